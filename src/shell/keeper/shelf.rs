//! The open files that the service wants kept, by the names that it gives them.
//!
//! Owns the table, its limits, and what a message of the service says about it.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

/// Files at most: their names fit in one variable of the environment.
pub(super) const MOST: usize = 16_000;
/// Bytes of all names at most, with what parts them: a variable has 128 KiB.
const NAMES_MAX: usize = 120_000;
/// The longest name.
const NAME_MAX: usize = 255;
/// What a file is called that nobody has named.
const UNNAMED: &str = "stored";

/// What a message says beside what is to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Nothing,
    /// It serves.
    Ready,
    /// It lives.
    Alive,
    /// It ends, and leaves no call to another.
    Ending,
}

/// The table.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    files: BTreeMap<String, Vec<OwnedFd>>,
    count: usize,
    /// Bytes of the names of all files.
    names: usize,
}

impl Shelf {
    /// Does what a message of the service asks for. Files that are not to be kept are closed.
    pub(super) fn take(&mut self, message: &str, files: Vec<OwnedFd>) -> Told {
        let has = |line: &str| message.lines().any(|it| it == line);
        let name = message.lines().find_map(|line| line.strip_prefix("FDNAME="));
        let name = name.unwrap_or(UNNAMED);
        if has("FDSTOREREMOVE=1") {
            self.remove(name);
        } else if has("FDSTORE=1") && is_name(name) {
            self.add(name, files);
        }
        let words =
            [("READY=1", Told::Ready), ("STOPPING=1", Told::Ending), ("WATCHDOG=1", Told::Alive)];
        words.into_iter().find(|(word, _)| has(word)).map_or(Told::Nothing, |(_, told)| told)
    }

    fn add(&mut self, name: &str, files: Vec<OwnedFd>) {
        let bytes = files.len() * (name.len() + 1);
        if self.count + files.len() > MOST || self.names + bytes > NAMES_MAX || files.is_empty() {
            return;
        }
        self.count += files.len();
        self.names += bytes;
        self.files.entry(name.to_owned()).or_default().extend(files);
    }

    fn remove(&mut self, name: &str) {
        let removed = self.files.remove(name).unwrap_or_default();
        self.count -= removed.len();
        self.names -= removed.len() * (name.len() + 1);
    }

    /// All of them, with their names.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &OwnedFd)> {
        self.files.iter().flat_map(|(name, files)| files.iter().map(move |it| (name.as_str(), it)))
    }
}

/// As systemd has it: ASCII that can be seen, without a colon.
fn is_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii() && !c.is_ascii_control() && c != ':';
    !name.is_empty() && name.len() <= NAME_MAX && name.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn file() -> OwnedFd {
        File::open("/dev/null").unwrap().into()
    }

    fn names(shelf: &Shelf) -> Vec<&str> {
        shelf.all().map(|(name, _)| name).collect()
    }

    #[test]
    fn what_is_put_on_the_shelf_stays_until_it_is_taken_off() {
        let mut shelf = Shelf::default();
        assert_eq!(shelf.take("FDSTORE=1\nFDNAME=m30000\n", vec![file(), file()]), Told::Nothing);
        shelf.take("FDSTORE=1\nFDNAME=udp-127.0.0.1.5060\n", vec![file()]);
        shelf.take("FDSTORE=1\n", vec![file()]);
        assert_eq!(names(&shelf), ["m30000", "m30000", "stored", "udp-127.0.0.1.5060"]);
        shelf.take("FDSTOREREMOVE=1\nFDNAME=m30000\n", vec![]);
        shelf.take("FDSTOREREMOVE=1\nFDNAME=nobody\n", vec![]);
        assert_eq!(names(&shelf), ["stored", "udp-127.0.0.1.5060"]);
        assert_eq!((shelf.count, shelf.names), (2, 7 + 19));
    }

    #[test]
    fn other_words_are_heard_and_nothing_foreign_is_kept() {
        let mut shelf = Shelf::default();
        assert_eq!(shelf.take("READY=1\nSTATUS=takes calls\n", vec![]), Told::Ready);
        assert_eq!(shelf.take("WATCHDOG=1\n", vec![file()]), Told::Alive);
        assert_eq!(shelf.take("STOPPING=1\nSTATUS=ends\n", vec![]), Told::Ending);
        for bad in ["", "a:b", "a\tb", "ä", &"x".repeat(NAME_MAX + 1)] {
            shelf.take(&format!("FDSTORE=1\nFDNAME={bad}\n"), vec![file()]);
        }
        assert!(names(&shelf).is_empty());
    }

    #[test]
    fn there_is_room_for_the_names_of_all() {
        let mut shelf = Shelf::default();
        let long = "x".repeat(NAME_MAX);
        for n in 0..600 {
            shelf.take(&format!("FDSTORE=1\nFDNAME={n}{}\n", &long[4..]), vec![file()]);
        }
        let bytes: usize = shelf.all().map(|(name, _)| name.len() + 1).sum();
        assert!(bytes == shelf.names && bytes <= NAMES_MAX && bytes > NAMES_MAX - 300, "{bytes}");
    }
}
