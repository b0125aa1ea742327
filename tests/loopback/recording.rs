//! A recorded call from end to end: the notice, the voices of both in the encrypted file, the pause
//! by the API that is not in it, and what the commands say of it.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use age::x25519::Identity;

use super::calls::{caller, sipp_phone};
use super::place::{Place, wait_for};
use super::service::{CALLER, COUNSELOR, HOLD, NOTICE, Service, Setup, WELCOME, counselor};
use super::tone;

const SOON: Duration = Duration::from_secs(15);
const SOUND: Duration = Duration::from_millis(800);
/// How long nothing is recorded.
const PAUSE: Duration = Duration::from_secs(3);

/// Everything in the folder and below.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let inside = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    entries.flat_map(inside).collect()
}

/// The left and the right voice.
fn open(file: &Path, identity: &Identity) -> (Vec<i16>, Vec<i16>) {
    let encrypted = fs::read(file).unwrap();
    let decryptor = age::Decryptor::new(encrypted.as_slice()).unwrap();
    let identity: &dyn age::Identity = identity;
    let mut wav = Vec::new();
    decryptor.decrypt(std::iter::once(identity)).unwrap().read_to_end(&mut wav).unwrap();
    assert_eq!((&wav[..4], &wav[36..40]), (b"RIFF".as_slice(), b"data".as_slice()));
    let frames = wav[44..].chunks_exact(4);
    let sample = |two: &[u8]| i16::from_le_bytes([two[0], two[1]]);
    frames.map(|frame| (sample(&frame[..2]), sample(&frame[2..]))).unzip()
}

/// A service whose line records for whoever has this key.
fn recording_service(place: &Place, identity: &Identity) -> Service {
    let recipients = format!("[recording]\nrecipients = [\"{}\"]\n", identity.to_public());
    let setup = Setup {
        tables: Setup::default().tables + "\n[line.recording]\nmode = \"on\"",
        counselors: counselor("101") + &recipients,
        ..Setup::default()
    };
    Service::start(place, &setup)
}

#[test]
fn a_recording_that_goes_on_is_deleted_by_the_service_and_the_talk_goes_on() {
    let place = Place::new("recording-deleted");
    let service = recording_service(&place, &Identity::generate());
    let (mut phone, ear) = sipp_phone(&place, &service, "phone", |run| run);
    let (mut caller, voice) = caller(&place, &service, |run| run.talk(Duration::from_secs(8)));
    voice.wait_heard(0, COUNSELOR, SOUND, SOON);
    ear.wait_heard(0, CALLER, SOUND, SOON);
    let board = service.board();
    assert_eq!(board["calls"][0]["recording"], "on", "{board}");
    let call = board["calls"][0]["call"].as_str().unwrap().to_owned();
    let recordings = place.dir.join("state/recordings");
    assert_eq!(files(&recordings).len(), 1);
    assert_eq!(service.command(&["recordings", "delete", &call]), format!("{call} 1: deleted\n"));
    assert_eq!(files(&recordings), Vec::<PathBuf>::new());
    wait_for("the board to say so", SOON, || {
        service.board()["calls"][0]["recording"].is_null().then_some(())
    });
    let mark = ear.mark();
    ear.wait_heard(mark, CALLER, SOUND, SOON);
    caller.succeed();
    phone.succeed();
    service.record();
    assert_eq!(files(&recordings), Vec::<PathBuf>::new(), "nobody went on writing");
    let list = service.command(&["recordings", "list"]);
    assert!(list.contains("(asked)") && list.ends_with("\n0 recordings\n"), "{list}");
    let entry = format!("console: recording of call {call}, part 1: deleted (asked)");
    assert!(service.audit().contains(&entry), "{:?}", service.audit());
}

#[test]
fn a_recorded_call_is_in_the_file_and_nowhere_else() {
    let place = Place::new("recording");
    let identity = Identity::generate();
    let service = recording_service(&place, &identity);
    let (mut phone, ear) = sipp_phone(&place, &service, "phone", |run| run);
    let (mut caller, voice) = caller(&place, &service, |run| run.talk(Duration::from_secs(14)));
    voice.wait_heard(0, NOTICE.1, SOUND, SOON);
    voice.wait_heard(0, COUNSELOR, SOUND, SOON);
    ear.wait_heard(0, CALLER, SOUND, SOON);
    let board = service.board();
    assert_eq!(board["calls"][0]["recording"], "on", "{board}");
    let call = board["calls"][0]["call"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/calls/{call}/recording");
    let paused_at = Instant::now();
    assert_eq!(service.post(&path, "{\"paused\": true}"), Some(200));
    wait_for("the pause", SOON, || {
        (service.board()["calls"][0]["recording"] == "paused").then_some(())
    });
    std::thread::sleep(PAUSE);
    assert_eq!(service.post(&path, "{\"paused\": false}"), Some(200));
    let paused = paused_at.elapsed();
    caller.succeed();
    phone.succeed();
    let record = service.record();
    assert_eq!(record.recorded, 1);
    let state = place.dir.join("state");
    let file = wait_for("the recording", SOON, || {
        files(&state.join("recordings"))
            .into_iter()
            .find(|file| file.ends_with(format!("{call}.wav.age")))
    });
    let (left, right) = open(&file, &identity);
    for (who, voice, own, others) in
        [("left", &left, CALLER, COUNSELOR), ("right", &right, COUNSELOR, CALLER)]
    {
        tone::assert_heard(who, voice, own, SOUND);
        for sound in [others, WELCOME.1, NOTICE.1, HOLD.1] {
            tone::assert_not_heard(who, voice, sound);
        }
    }
    let length = Duration::from_secs_f64(left.len() as f64 / f64::from(tone::RATE));
    let talk = record.talk - paused;
    let off = length.abs_diff(talk);
    assert!(off < Duration::from_millis(700), "{length:?} of {talk:?}, {paused:?} left out");
    // A tenth of a second of what was said is in no file as it is.
    let middle = left.len() / 2;
    let words: Vec<u8> = left[middle..middle + 800].iter().flat_map(|s| s.to_le_bytes()).collect();
    for file in files(&place.dir) {
        let bytes = fs::read(&file).unwrap();
        assert!(!bytes.windows(words.len()).any(|part| part == words), "{}", file.display());
    }
    let list = service.command(&["recordings", "list"]);
    assert!(list.contains(&format!("{call} 1 main ")) && list.contains(" whole"), "{list}");
    service.command(&["recordings", "delete", &call]);
    assert!(!file.exists());
    let list = service.command(&["recordings", "list"]);
    assert!(list.contains("deleted") && list.contains("(asked)"), "{list}");
    assert_eq!(service.metric("koebashi_recordings_total{ended=\"whole\"}"), 1.0);
}
