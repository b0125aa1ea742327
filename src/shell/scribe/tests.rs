use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;

use super::*;
use crate::chance::Chance;

const MS: Duration = Duration::from_millis(1);
static PLACES: AtomicU32 = AtomicU32::new(0);

/// A folder of a test, gone with it.
struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

impl Place {
    fn new() -> Self {
        let number = PLACES.fetch_add(1, Ordering::Relaxed);
        let name = format!("koebashi-scribe-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn journal(&self) -> Journal {
        Journal::open(&self.0.join("calls"), &self.0.join("run"), Chance::from_number(1)).0
    }

    /// What the next process would find.
    fn text(&self) -> String {
        let journal = self.journal();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let pairs = journal.live().map(|(key, value)| text(key) + "=" + &text(value));
        pairs.collect::<Vec<_>>().join(" ")
    }
}

fn put(key: &str, value: &str) -> Change {
    (key.as_bytes().into(), Some(Value::copy_from_slice(value.as_bytes())))
}

#[test]
fn what_was_handed_over_is_there_when_the_loop_goes_on() {
    let place = Place::new();
    let scribe = Scribe::start(place.journal(), 1_000 * MS).unwrap();
    for n in 0..50 {
        scribe.keep([put("a", &n.to_string()), put("b", "1")]);
        assert_eq!(place.text(), format!("a={n} b=1"));
    }
    scribe.keep([(Key::from(*b"b"), None)]);
    assert_eq!(place.text(), "a=49");
    assert_eq!(scribe.health(), Health { fault: None, written: 51, late: 0 });
}

#[test]
fn whoever_must_not_wait_is_written_soon_and_turned_away_from_a_desk_that_is_taken() {
    let place = Place::new();
    let scribe = Scribe::start(place.journal(), 1_000 * MS).unwrap();
    let pen = scribe.pen();
    assert!(pen.note(|| [put("port/1", "a"), put("port/2", "b")].into_iter()));
    let until = Instant::now() + 5_000 * MS;
    while place.text() != "port/1=a port/2=b" {
        assert!(Instant::now() < until, "{}", place.text());
        sleep(MS);
    }
    let taken = scribe.shared.lock();
    assert!(!pen.note(|| -> std::iter::Empty<Change> { panic!("there is no room") }));
    drop(taken);
    assert!(pen.note(|| [put("port/1", "c"), (Key::from(*b"port/2"), None)].into_iter()));
    // What was noted before is in the file too; and the count is of what somebody waits for.
    scribe.keep([put("a", "1")]);
    assert_eq!(place.text(), "a=1 port/1=c");
    assert_eq!(scribe.health(), Health { fault: None, written: 1, late: 0 });
    drop(scribe);
    pen.note(|| [put("a", "2")].into_iter());
}

#[test]
fn a_disk_that_is_full_holds_nothing_up_and_gets_it_whole_later() {
    let place = Place::new();
    let journal = place.journal();
    let calls = place.0.join("calls");
    fs::create_dir_all(&calls).unwrap();
    for n in 1..=100 {
        std::os::unix::fs::symlink("/dev/full", calls.join(format!("calls-{n}"))).unwrap();
    }
    let scribe = Scribe::start(journal, 1_000 * MS).unwrap();
    scribe.keep([put("a", "1")]);
    let fault = scribe.health().fault.unwrap();
    assert!(fault.contains("No space left"), "{fault}");
    let began = Instant::now();
    for n in 0..1_000 {
        scribe.keep([put("b", &n.to_string())]);
    }
    assert!(began.elapsed() < 500 * MS, "nobody waits for a disk that is full");
    assert!(!scribe.flush(10 * MS));
    fs::remove_dir_all(&calls).unwrap();
    let until = Instant::now() + 5_000 * MS;
    while scribe.health().fault.is_some() {
        assert!(Instant::now() < until, "{:?}", scribe.health());
        sleep(5 * MS);
    }
    assert!(scribe.flush(1_000 * MS));
    assert_eq!(place.text(), "a=1 b=999");
    assert_eq!(scribe.health(), Health { fault: None, written: 1_001, late: 1_001 });
    // And from here on it is waited for again.
    scribe.keep([put("b", "2")]);
    assert_eq!(scribe.health().late, 1_001);
}

#[test]
fn a_disk_that_hangs_costs_one_wait_and_is_a_fault_after_a_while() {
    let place = Place::new();
    let journal = place.journal();
    // Whoever writes into a pipe that nobody reads hangs when it is full, like a disk that is gone.
    fs::create_dir_all(place.0.join("calls")).unwrap();
    let pipe = place.0.join("calls/calls-1");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let scribe = Scribe::start(journal, 20 * MS).unwrap();
    let began = Instant::now();
    scribe.keep([put("a", "1")]);
    let waited = began.elapsed();
    assert!(waited >= 20 * MS && waited < 500 * MS, "{waited:?}");
    let began = Instant::now();
    for n in 0..1_000 {
        scribe.keep([put("b", &n.to_string())]);
    }
    assert!(began.elapsed() < 500 * MS, "{:?}", began.elapsed());
    let until = began + HANGS_AFTER + 1_000 * MS;
    while scribe.health().fault.is_none() {
        assert!(Instant::now() < until);
        sleep(10 * MS);
    }
    // It answers again.
    let mut reader = fs::File::open(&pipe).unwrap();
    let reading = std::thread::spawn(move || io::copy(&mut reader, &mut io::sink()).unwrap());
    assert!(scribe.flush(2_000 * MS));
    assert_eq!(scribe.health().fault, None);
    assert_eq!(scribe.health().late, 1_001);
    drop(scribe);
    reading.join().unwrap();
}

#[test]
#[ignore = "a measurement"]
fn cost_of_one_change() {
    let place = Place::new();
    let scribe = Scribe::start(place.journal(), 100 * MS).unwrap();
    for size in [500, 2_000, 8_000] {
        let value = "x".repeat(size);
        let mut took: Vec<_> = (0..20_000)
            .map(|n| {
                let began = Instant::now();
                scribe.keep([put(&format!("call/{}", n % 200), &value), put("session/1", &value)]);
                began.elapsed()
            })
            .collect();
        took.sort_unstable();
        let (half, most) = (took[took.len() / 2], took[took.len() * 99 / 100]);
        tracing::info!(size, ?half, ?most, "measured");
        assert!(most < 100 * MS, "{size} bytes: {half:?} at the median, {most:?} at the 99th");
    }
}
