use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;

use super::*;

static PLACES: AtomicU32 = AtomicU32::new(0);

/// A folder of a test, gone with it.
struct Place {
    folder: PathBuf,
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).ok();
    }
}

impl Place {
    fn new() -> Self {
        let number = PLACES.fetch_add(1, Ordering::Relaxed);
        let name = format!("koebashi-journal-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        Self { folder }
    }

    fn open(&self) -> (Journal, Losses) {
        let root = &self.folder;
        Journal::open(&root.join("calls"), &root.join("run"), Chance::from_number(1))
    }

    /// The one file of the journal.
    fn file(&self) -> PathBuf {
        let mut files = fs::read_dir(self.folder.join("calls")).unwrap();
        let path = files.next().unwrap().unwrap().path();
        assert!(files.next().is_none(), "one file");
        path
    }

    fn keys(&self) -> usize {
        fs::read_dir(self.folder.join("run")).unwrap().count()
    }
}

fn put(key: &str, value: &str) -> Change {
    (key.as_bytes().into(), Some(Value::copy_from_slice(value.as_bytes())))
}

fn gone(key: &str) -> Change {
    (key.as_bytes().into(), None)
}

fn text(journal: &Journal) -> String {
    let pairs = journal.live().map(|(key, value)| {
        format!("{}={}", String::from_utf8_lossy(key), String::from_utf8_lossy(value))
    });
    pairs.collect::<Vec<_>>().join(" ")
}

#[test]
fn what_was_written_is_there_for_the_next_process() {
    let place = Place::new();
    let (mut journal, losses) = place.open();
    assert_eq!(losses, Losses::default());
    journal.apply([put("a", "1"), put("b", "2")]).unwrap();
    journal.apply([put("a", "3"), gone("b"), put("c", "4")]).unwrap();
    drop(journal);
    let (mut journal, losses) = place.open();
    assert_eq!((text(&journal).as_str(), losses), ("a=3 c=4", Losses::default()));
    // The second process writes on, in a file of its own.
    journal.apply([put("d", "5")]).unwrap();
    drop(journal);
    assert_eq!(text(&place.open().0), "a=3 c=4 d=5");
}

#[test]
fn nothing_can_be_read_on_the_disk_and_no_key_stays() {
    let place = Place::new();
    let (mut journal, _) = place.open();
    journal.apply([put("call", "sip:+15550199887@example.org")]).unwrap();
    let bytes = fs::read(place.file()).unwrap();
    assert!(!String::from_utf8_lossy(&bytes).contains("5550199887"));
    let before = place.file();
    journal.apply([gone("call")]).unwrap();
    journal.tidy(false).unwrap();
    assert_ne!(place.file(), before, "the call is gone, so is its file");
    assert_eq!(fs::read(place.file()).unwrap().len(), 16 + 4 + 7 + 16);
    assert_eq!(place.keys(), 1);
}

#[test]
fn the_file_does_not_grow_with_changes() {
    let place = Place::new();
    let (mut journal, _) = place.open();
    let value = "x".repeat(4_000);
    for n in 0..2_000 {
        journal.apply([put("a", &format!("{n}{value}"))]).unwrap();
        journal.tidy(false).unwrap();
        assert!(fs::metadata(place.file()).unwrap().len() < 2 * DEAD_MAX);
    }
    journal.tidy(true).unwrap();
    assert!(fs::metadata(place.file()).unwrap().len() < 5_000);
}

#[test]
fn a_file_that_was_being_begun_does_not_hide_the_one_before() {
    let place = Place::new();
    let (mut journal, _) = place.open();
    journal.apply([put("a", "1"), put("b", "2")]).unwrap();
    drop(journal);
    let root = &place.folder;
    let (folder, runtime) = (root.join("calls"), root.join("run"));
    let mut log = Log::create(&folder, &runtime, 9, &mut Chance::from_number(2)).unwrap();
    let mut half = Vec::new();
    log.seal(&mut half, &[put("a", "1")]);
    log.write(&half).unwrap();
    let (mut journal, losses) = place.open();
    assert_eq!((text(&journal).as_str(), losses), ("a=1 b=2", Losses::default()));
    journal.apply([put("c", "3")]).unwrap();
    assert_eq!(place.file(), folder.join("calls-10"));
    assert_eq!(place.keys(), 1);
}

#[test]
fn without_the_key_the_calls_are_gone_and_the_service_starts() {
    let place = Place::new();
    let (mut journal, _) = place.open();
    journal.apply([put("a", "1")]).unwrap();
    drop(journal);
    fs::remove_dir_all(place.folder.join("run")).unwrap();
    let (mut journal, losses) = place.open();
    assert_eq!((text(&journal).as_str(), losses), ("", Losses { records: 0, files: 1 }));
    journal.apply([put("b", "2")]).unwrap();
    assert_eq!(text(&place.open().0), "b=2");
}

#[test]
fn what_the_disk_refuses_is_written_as_soon_as_it_takes_it_again() {
    let place = Place::new();
    let (mut journal, _) = place.open();
    journal.apply([put("a", "1")]).unwrap();
    journal.log = None;
    let calls = place.folder.join("calls");
    fs::rename(&calls, place.folder.join("away")).unwrap();
    fs::write(&calls, "in the way").unwrap();
    journal.apply([put("b", "2")]).unwrap_err();
    journal.apply([put("c", "3")]).unwrap_err();
    assert_eq!(place.keys(), 1, "of what could not be begun nothing is left");
    fs::remove_file(&calls).unwrap();
    fs::rename(place.folder.join("away"), &calls).unwrap();
    journal.apply([put("d", "4")]).unwrap();
    drop(journal);
    assert_eq!(text(&place.open().0), "a=1 b=2 c=3 d=4");
}

#[test]
fn changes_that_belong_together_are_there_together_or_not_at_all() {
    let place = Place::new();
    let (mut journal, _) = place.open();
    journal.apply([put("a", "1"), put("b", "1")]).unwrap();
    let before = fs::metadata(place.file()).unwrap().len() as usize;
    journal.apply([put("a", "2"), gone("b"), put("c", "2")]).unwrap();
    drop(journal);
    let bytes = fs::read(place.file()).unwrap();
    for cut in before..bytes.len() {
        fs::write(place.file(), &bytes[..cut]).unwrap();
        assert_eq!(text(&place.open().0), "a=1 b=1", "cut at {cut}");
    }
    fs::write(place.file(), &bytes).unwrap();
    assert_eq!(text(&place.open().0), "a=2 c=2");
}

#[test]
fn more_than_a_record_holds_goes_into_a_file_of_its_own() {
    let place = Place::new();
    let (mut journal, _) = place.open();
    journal.apply([put("a", "1")]).unwrap();
    let first = place.file();
    let large = "x".repeat(1 << 20);
    journal.apply((0..17).map(|n| put(&format!("k{n}"), &large))).unwrap();
    assert_ne!(place.file(), first);
    drop(journal);
    let (journal, losses) = place.open();
    assert_eq!((journal.live().count(), losses), (18, Losses::default()));
}

#[test]
fn a_folder_that_others_can_write_into_takes_no_key() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let (calls, run) = (place.folder.join("calls"), place.folder.join("run"));
    fs::create_dir(&run).unwrap();
    fs::set_permissions(&run, fs::Permissions::from_mode(0o777)).unwrap();
    let (mut journal, _) = Journal::open(&calls, &run, Chance::from_number(1));
    let error = journal.apply([put("a", "1")]).unwrap_err().to_string();
    assert!(error.contains("somebody else"), "{error}");
}

#[test]
fn the_size_of_what_is_kept_is_known_without_counting() {
    let place = Place::new();
    let (mut journal, _) = place.open();
    for change in [put("a", "1"), put("b", "22"), put("a", "4444"), gone("b"), gone("c")] {
        journal.apply([change]).unwrap();
        let sizes = journal.live().map(|(key, value)| file::size(key.len(), value.len()));
        let counted: u64 = sizes.sum();
        assert_eq!(journal.size, counted);
    }
    let size = journal.size;
    drop(journal);
    assert_eq!((place.open().0.size, size > 0), (size, true));
}

proptest! {
    /// A process may die in any write.
    #[test]
    fn a_file_that_is_cut_anywhere_gives_what_came_before(cut in 0usize..400) {
        let place = Place::new();
        let (mut journal, _) = place.open();
        let mut ends = Vec::new();
        for n in 0..5 {
            journal.apply([put(&format!("k{n}"), &"v".repeat(30))]).unwrap();
            ends.push(fs::metadata(place.file()).unwrap().len() as usize);
        }
        drop(journal);
        let bytes = fs::read(place.file()).unwrap();
        let cut = cut.min(bytes.len());
        fs::write(place.file(), &bytes[..cut]).unwrap();
        let (journal, losses) = place.open();
        let found = journal.live().count();
        let whole = ends.iter().filter(|end| **end <= cut).count();
        // A file without the mark that it was begun is better than none.
        prop_assert!(found == whole || (found == 1 && cut < ends[0]), "{} of {}", found, whole);
        prop_assert_eq!(losses.records, 0);
    }

    /// A disk may change any byte.
    #[test]
    fn a_damaged_byte_costs_one_record_or_what_comes_after(at in 16usize..400, bit in 0u8..8) {
        let place = Place::new();
        let (mut journal, _) = place.open();
        for n in 0..5 {
            journal.apply([put(&format!("k{n}"), &"v".repeat(30))]).unwrap();
        }
        drop(journal);
        let mut bytes = fs::read(place.file()).unwrap();
        let at = at.min(bytes.len() - 1);
        bytes[at] ^= 1 << bit;
        fs::write(place.file(), &bytes).unwrap();
        let (journal, losses) = place.open();
        for (_, value) in journal.live() {
            prop_assert_eq!(&**value, &[b'v'; 30][..]);
        }
        // What is no value any more is told, unless a length says that there is nothing.
        prop_assert!(journal.live().count() < 5 || losses.records > 0);
    }
}
