//! Recordings as files: what is in them, who can open them, what is left of them.

mod deletion;

use std::f64::consts::TAU;
use std::fs;
use std::io::{Cursor, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};

use age::x25519::Identity;
use age::{DecryptError, Decryptor};

use super::retention::{delete, delete_recording};
use super::*;
use crate::store;
use crate::store::audit::Verdict;
use crate::store::recording::Why;

/// A folder of state, its store, and a recorder's configuration.
struct Place {
    state: PathBuf,
    store: Store,
    identity: Identity,
    config: Config,
}

impl Place {
    fn new(name: &str) -> Self {
        let state = std::env::temp_dir().join(format!("koebashi-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&state));
        let database = state.join("koebashi.db");
        let (store, _) =
            Store::open(&store::Config { path: database, ..store::Config::default() }).unwrap();
        let identity = Identity::generate();
        let config = Config {
            folder: state.join("recordings"),
            recipients: vec![identity.to_public()],
            keep: Duration::from_secs(30 * 86_400),
            max_length: Duration::from_secs(3_600),
            max_open: 10,
            queue: 4_096,
        };
        Self { state, store, identity, config }
    }

    fn start(&self) -> (Recorder, Metrics, Receiver<RecordId>) {
        let (lost, told) = channel();
        let metrics = Metrics::default();
        let on_lost = move |record| lost.send(record).unwrap();
        let (config, store) = (self.config.clone(), self.store.clone());
        (Recorder::start(config, store, metrics.clone(), on_lost).unwrap(), metrics, told)
    }

    /// The rows, when everything is written.
    fn rows(&self) -> Vec<Recording> {
        let reader = Reader::open(self.store.path()).unwrap();
        for _ in 0..500 {
            if self.store.health().pending == 0 {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        reader.recordings().unwrap()
    }

    fn reconcile(&self, busy: &[&str], limit: usize) -> Reconciled {
        let busy = busy.iter().map(|call| (CallId((*call).into()), 1)).collect();
        let (store, folder, rows) = (&self.store, &*self.config.folder, &self.rows());
        retention::reconcile(&Shelf { store, folder, rows, busy: &busy }, moment(), limit)
    }

    fn sweep(&self, busy: &[&str], now: Timestamp) -> usize {
        let busy = busy.iter().map(|call| (CallId((*call).into()), 1)).collect();
        let (store, folder, rows) = (&self.store, &*self.config.folder, &self.rows());
        retention::sweep(&Shelf { store, folder, rows, busy: &busy }, self.config.keep, now)
    }

    /// A file of that call, cut off after 5 s.
    fn cut_off(&self, call: &str) {
        let mut tape = Tape::create(self.path(call, 1), &self.config.recipients).unwrap();
        for nth in 0..250 {
            let Chunk::Frame { left, right } = frame(1, nth, 440.0, 440.0).chunk else {
                unreachable!()
            };
            tape.frame(&left, &right).unwrap();
        }
        std::mem::forget(tape);
    }

    /// A whole file of that call, and what it came to.
    fn whole(&self, call: &str, part: u32) -> Written {
        let tape = Tape::create(self.path(call, part), &self.config.recipients).unwrap();
        tape.finish(Ended::Whole).unwrap()
    }

    fn path(&self, call: &str, part: u32) -> PathBuf {
        file::path(&self.config.folder, moment(), &CallId(call.into()), part)
    }

    fn open(&self, path: &Path) -> Result<Vec<u8>, DecryptError> {
        let bytes = fs::read(path).unwrap();
        let decryptor = Decryptor::new(Cursor::new(bytes))?;
        let mut reader =
            decryptor.decrypt(std::iter::once(&self.identity as &dyn age::Identity))?;
        let mut plain = Vec::new();
        reader.read_to_end(&mut plain)?;
        Ok(plain)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(self.store.close(Duration::from_secs(5)));
        drop(fs::remove_dir_all(&self.state));
    }
}

fn moment() -> Timestamp {
    "2026-11-28T10:00:00Z".parse().unwrap()
}

fn id(n: u64) -> RecordId {
    RecordId { n, shard: 0 }
}

/// The row of a recording that goes on, as far as the database knows.
fn row(call: &str) -> Recording {
    Recording {
        call: CallId(call.into()),
        part: 1,
        line: Some(LineId::from("nijiiro")),
        started: moment(),
        written: None,
        deleted: None,
    }
}

fn begin(n: u64, call: &str, part: u32) -> Order {
    let (call, line) = (CallId(call.into()), LineId::from("nijiiro"));
    Order::Begin { record: id(n), call, part, line, started: moment() }
}

/// 20 ms of two tones, the `nth`.
fn frame(n: u64, nth: usize, left: f64, right: f64) -> Recorded {
    let tone = |hz: f64| {
        std::array::from_fn(|i| {
            let at = (nth * 160 + i) as f64 / 8_000.0;
            ((TAU * hz * at).sin() * 8_000.0) as i16
        })
    };
    Recorded { record: id(n), chunk: Chunk::Frame { left: tone(left), right: tone(right) } }
}

fn end(n: u64) -> Recorded {
    Recorded { record: id(n), chunk: Chunk::End }
}

/// Everything in the folder and below.
fn all_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(all_files(&path)) } else { files.push(path) }
    }
    files
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// `sox FILE -n remix CHANNEL stat`: length in seconds and rough frequency.
fn sox(path: &Path, channel: &str) -> Option<(f64, f64)> {
    let mut sox = Command::new("sox");
    let ran = sox.arg(path).args(["-n", "remix", channel, "stat"]).output().ok()?;
    let text = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(!text.contains("WARN") && ran.status.success(), "{text}");
    let value = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().last()?.parse().ok()
    };
    Some((value("Length")?, value("Rough")?))
}

#[test]
fn a_recording_plays_and_nothing_plain_was_ever_written() {
    let place = Place::new("plays");
    let (mut recorder, metrics, lost) = place.start();
    recorder.tell(begin(1, "k7f2", 1));
    let tap = recorder.tap();
    for nth in 0..500 {
        assert_eq!(tap.give(frame(1, nth, 440.0, 1_000.0)), Ok(()));
    }
    // While it is written nothing but the part is there, and it is private.
    let part = file::part_of(&place.path("k7f2", 1));
    while !fs::metadata(&part).is_ok_and(|file| file.len() > 100_000) {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(fs::metadata(&part).unwrap().permissions().mode() & 0o777, 0o600);
    let Chunk::Frame { left, .. } = frame(1, 3, 440.0, 0.0).chunk else { unreachable!() };
    let Chunk::Frame { left: right, .. } = frame(1, 3, 1_000.0, 0.0).chunk else { unreachable!() };
    let stereo: Vec<u8> =
        (0..8).flat_map(|i| [left[i], right[i]]).flat_map(i16::to_le_bytes).collect();
    let no_plain = |place: &Place| {
        for file in all_files(&place.state) {
            let bytes = fs::read(&file).unwrap();
            assert!(!contains(&bytes, &stereo), "{}", file.display());
            assert!(!contains(&bytes, b"WAVEfmt"), "{}", file.display());
        }
    };
    no_plain(&place);
    assert_eq!(tap.give(end(1)), Ok(()));
    recorder.tell(Order::End { record: id(1) });
    drop((tap, recorder));
    no_plain(&place);
    let path = place.path("k7f2", 1);
    assert!(path.ends_with("2026/11/k7f2.wav.age"), "{}", path.display());
    let plain = place.open(&path).unwrap();
    assert!(contains(&plain, &stereo), "the search would find it");
    let rows = place.rows();
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    let bytes = fs::read(&path).unwrap();
    let sha256 = <sha2::Sha256 as sha2::Digest>::digest(&bytes).into();
    let length = Some(Duration::from_secs(10));
    let ended = Ended::Whole;
    assert_eq!(row.written, Some(Written { ended, length, bytes: bytes.len() as u64, sha256 }));
    assert_eq!((&*row.call.0, row.part, row.started), ("k7f2", 1, moment()));
    assert!(metrics.encode().contains("koebashi_recordings_total{ended=\"whole\"} 1"));
    assert_eq!(lost.try_recv().ok(), None);
    let other = Decryptor::new(Cursor::new(&bytes)).unwrap();
    let stranger = Identity::generate();
    assert!(other.decrypt(std::iter::once(&stranger as &dyn age::Identity)).is_err());
    // Samples, one by one.
    let samples: Vec<i16> =
        plain[44..].chunks(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    assert_eq!(samples.len(), 2 * 8_000 * 10);
    assert_eq!(samples[2 * 480..2 * 480 + 4], [left[0], right[0], left[1], right[1]]);
    // And as players hear it.
    let wav = place.state.join("plain.wav");
    fs::write(&wav, &plain).unwrap();
    if let Some((length, hz)) = sox(&wav, "1") {
        assert!((length - 10.0).abs() < 1e-6 && (hz - 440.0).abs() < 15.0, "{length} {hz}");
        let (_, hz) = sox(&wav, "2").unwrap();
        assert!((hz - 1_000.0).abs() < 40.0, "{hz}");
    }
}

#[test]
fn parts_of_a_call_lie_side_by_side_and_sound_without_a_name_is_lost() {
    let place = Place::new("parts");
    let (mut recorder, _, lost) = place.start();
    let tap = recorder.tap();
    assert_eq!(tap.give(frame(7, 0, 440.0, 440.0)), Ok(()));
    assert_eq!(lost.recv_timeout(Duration::from_secs(5)), Ok(id(7)));
    for part in [1, 2] {
        recorder.tell(begin(u64::from(part), "abcd", part));
        for nth in 0..u64::from(part) {
            assert_eq!(tap.give(frame(part.into(), nth as usize, 440.0, 440.0)), Ok(()));
        }
        assert_eq!(tap.give(end(part.into())), Ok(()));
    }
    drop((tap, recorder));
    for part in [1, 2] {
        let plain = place.open(&place.path("abcd", part)).unwrap();
        assert_eq!(plain.len(), 44 + 640 * part as usize);
    }
    assert!(place.path("abcd", 2).ends_with("abcd-2.wav.age"));
    let lengths: Vec<_> = place.rows().into_iter().filter_map(|row| row.written?.length).collect();
    assert_eq!(lengths, [Duration::from_millis(20), Duration::from_millis(40)]);
}

#[test]
fn limits_end_recordings_and_tell_the_loop() {
    let mut place = Place::new("limits");
    place.config.max_length = Duration::from_millis(60);
    place.config.max_open = 2;
    let (mut recorder, metrics, lost) = place.start();
    let tap = recorder.tap();
    for n in 1..=3 {
        recorder.tell(begin(n, &format!("call{n}"), 1));
    }
    assert_eq!(lost.recv_timeout(Duration::from_secs(5)), Ok(id(3)));
    for nth in 0..5 {
        assert_eq!(tap.give(frame(1, nth, 440.0, 440.0)), Ok(()));
    }
    assert_eq!(lost.recv_timeout(Duration::from_secs(5)), Ok(id(1)));
    drop((tap, recorder));
    assert_eq!(lost.try_recv().ok(), None, "told once");
    assert_eq!(place.open(&place.path("call1", 1)).unwrap().len(), 44 + 640 * 3);
    assert!(!place.path("call3", 1).exists());
    let rows = place.rows();
    let ended: Vec<_> = rows.iter().map(|row| row.written.as_ref().unwrap().ended).collect();
    assert_eq!(ended, [Ended::TooLong, Ended::CutOff], "one was open to the end of the process");
    assert!(metrics.encode().contains("koebashi_recordings_total{ended=\"too_long\"} 1"));
}

#[test]
fn a_queue_without_room_ends_the_recording() {
    let mut place = Place::new("room");
    place.config.queue = 4;
    let (mut recorder, _, lost) = place.start();
    recorder.tell(begin(1, "full", 1));
    let tap = recorder.tap();
    let mut nth = 0;
    while tap.give(frame(1, nth, 440.0, 440.0)) == Ok(()) {
        nth += 1;
    }
    assert_eq!(lost.recv_timeout(Duration::from_secs(5)), Ok(id(1)));
    drop((tap, recorder));
    let rows = place.rows();
    assert_eq!(rows[0].written.as_ref().unwrap().ended, Ended::Overrun);
    assert!(place.open(&place.path("full", 1)).is_ok(), "what was written can be opened");
}

#[test]
fn a_disk_that_refuses_costs_the_recording_alone() {
    // Nobody may write there; where even that is allowed (root), the folder is no folder.
    let place = Place::new("disk");
    fs::write(&place.config.folder, "a file where a folder should be").unwrap();
    let (mut recorder, metrics, lost) = place.start();
    recorder.tell(begin(1, "none", 1));
    assert_eq!(lost.recv_timeout(Duration::from_secs(5)), Ok(id(1)));
    let tap = recorder.tap();
    assert_eq!(tap.give(frame(1, 0, 440.0, 440.0)), Ok(()));
    fs::remove_file(&place.config.folder).unwrap();
    recorder.tell(begin(2, "next", 1));
    assert_eq!(tap.give(end(2)), Ok(()));
    drop((tap, recorder));
    assert!(place.path("next", 1).exists());
    assert_eq!(place.rows().len(), 1);
    assert!(metrics.encode().contains("koebashi_recordings_total{ended=\"unwritable\"} 1"));
}

#[test]
fn a_disk_that_fills_up_is_an_error_at_the_next_piece() {
    let recipients = [Identity::generate().to_public()];
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    assert!(Tape::onto(full, PathBuf::new(), &recipients).is_err());
    // A pipe that nobody reads from any longer refuses half-way.
    let (reader, writer) = io::pipe().unwrap();
    let file = fs::File::from(std::os::fd::OwnedFd::from(writer));
    let mut tape = Tape::onto(file, PathBuf::new(), &recipients).unwrap();
    drop(reader);
    let silence = [0; 160];
    let refused = (0..1_000).position(|_| tape.frame(&silence, &silence).is_err());
    assert_eq!(refused, Some(65_536 / 640), "the first piece of 64 KiB");
}

#[test]
fn a_folder_that_is_taken_away_leaves_a_row_that_the_next_start_puts_right() {
    let place = Place::new("away");
    let (mut recorder, metrics, _lost) = place.start();
    recorder.tell(begin(1, "away", 1));
    while !place.config.folder.exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    while place.rows().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    fs::remove_dir_all(&place.config.folder).unwrap();
    assert_eq!(recorder.tap().give(end(1)), Ok(()));
    drop(recorder);
    assert!(metrics.encode().contains("koebashi_recordings_total{ended=\"unwritable\"} 1"));
    assert_eq!(place.rows()[0].written, None);
    let (recorder, ..) = place.start();
    drop(recorder);
    assert_eq!(place.rows()[0].deleted.map(|(_, why)| why), Some(Why::Missing));
}

#[test]
fn what_is_past_its_time_is_gone_and_proved() {
    let place = Place::new("past");
    let (mut recorder, ..) = place.start();
    for (n, call) in [(1, "old"), (2, "also")] {
        recorder.tell(begin(n, call, 1));
        assert_eq!(recorder.tap().give(frame(n, 0, 440.0, 440.0)), Ok(()));
        assert_eq!(recorder.tap().give(end(n)), Ok(()));
    }
    drop(recorder);
    let in_time = moment() + chrono::TimeDelta::days(30);
    assert_eq!(place.sweep(&[], in_time), 0);
    assert!(place.path("old", 1).exists());
    let later = in_time + chrono::TimeDelta::minutes(1);
    assert_eq!(place.sweep(&["old", "also"], later), 0, "not while it is written");
    assert!(place.path("old", 1).exists());
    // One of them was taken away by hand.
    fs::remove_file(place.path("also", 1)).unwrap();
    assert_eq!(place.sweep(&[], later), 2);
    assert_eq!(all_files(&place.config.folder), Vec::<PathBuf>::new());
    let rows = place.rows();
    assert!(rows.iter().all(|row| row.deleted == Some((later, Why::Expired))), "{rows:?}");
    assert!(rows.iter().all(|row| row.written.is_some()), "what it was is still known");
    assert_eq!(place.sweep(&[], later), 0, "once");
    let verdict = Reader::open(place.store.path()).unwrap().verify_audit().unwrap();
    assert!(matches!(verdict, Verdict::Intact { entries: 2, .. }), "{verdict:?}");
}

#[test]
fn what_can_not_be_deleted_is_not_said_to_be() {
    let place = Place::new("stays");
    let path = place.path("stuck", 1);
    // A folder of that name can't be taken away as a file.
    fs::create_dir_all(&path).unwrap();
    assert!(delete(&path).is_err());
    let row = Recording {
        call: CallId("stuck".into()),
        part: 1,
        line: None,
        started: moment(),
        written: None,
        deleted: None,
    };
    place.store.recording(row.clone());
    let by = (moment(), "operator");
    assert!(delete_recording(&place.store, &place.config.folder, &row, Why::Asked, by).is_err());
    assert_eq!(place.rows(), [row]);
}

#[test]
fn after_a_kill_rows_and_files_fit_each_other_again() {
    let place = Place::new("kill");
    let folder = &place.config.folder;
    // Cut off while it was written: two whole pieces of it are on the disk.
    place.cut_off("cut");
    // Gone by somebody else's hand, and without a row.
    for call in ["cut", "missing"] {
        place.store.recording(row(call));
    }
    place.whole("orphan", 2);
    assert_eq!(place.reconcile(&[], 9), Reconciled::All);
    let rows = place.rows();
    let of = |call: &str| rows.iter().find(|row| &*row.call.0 == call).unwrap();
    let cut = of("cut").written.as_ref().unwrap();
    assert_eq!((cut.ended, cut.length), (Ended::CutOff, None));
    assert!(place.path("cut", 1).exists() && !file::part_of(&place.path("cut", 1)).exists());
    // Whoever has the key still gets the whole pieces.
    let bytes = fs::read(place.path("cut", 1)).unwrap();
    let decryptor = Decryptor::new(Cursor::new(bytes)).unwrap();
    let mut reader =
        decryptor.decrypt(std::iter::once(&place.identity as &dyn age::Identity)).unwrap();
    let mut plain = vec![0; 65_536];
    reader.read_exact(&mut plain).unwrap();
    assert_eq!(&plain[..4], b"RIFF");
    assert_eq!(of("missing").deleted, Some((moment(), Why::Missing)));
    let orphan = of("orphan");
    assert_eq!((orphan.part, &orphan.line), (2, &None));
    assert_eq!(
        file::path(folder, orphan.started, &orphan.call, orphan.part),
        place.path("orphan", 2),
        "its row leads to it"
    );
    let before = rows.clone();
    assert_eq!(place.reconcile(&[], 9), Reconciled::All);
    assert_eq!(place.rows(), before, "again changes nothing");
    // What was deleted and is put back does not stay.
    fs::write(place.path("missing", 1), "from a backup").unwrap();
    assert_eq!(place.reconcile(&[], 9), Reconciled::All);
    assert!(!place.path("missing", 1).exists());
}

#[test]
fn without_recipients_nothing_is_recorded() {
    let mut place = Place::new("nobody");
    place.config.recipients.clear();
    let (mut recorder, _, lost) = place.start();
    recorder.tell(begin(1, "none", 1));
    assert_eq!(lost.recv_timeout(Duration::from_secs(5)), Ok(id(1)));
    drop(recorder);
    assert!(all_files(&place.state).iter().all(|file| !file.to_string_lossy().contains("age")));
    assert_eq!(place.rows(), []);
}
