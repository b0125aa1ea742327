//! Everywhere that the mark might have got to: files, processes, the console, commands.
//!
//! Owns where is looked. What is looked for is the mark's.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::mark::Mark;
use crate::browser::every::read_routes;
use crate::loopback::service::Service;

/// How long a stream of events is read.
const EVENTS: Duration = Duration::from_millis(600);
/// How long a page may take.
const PAGE: Duration = Duration::from_secs(5);
/// What a path's blanks are filled with.
const BLANKS: [(&str, &str); 10] = [
    ("/assets/{version}/{name}", "/assets/1/console.js"),
    ("/settings/counselor/{id}", "/settings/counselor/101"),
    ("/settings/line/{id}", "/settings/line/main"),
    ("/settings/{list}/{id}", "/settings/line/main"),
    ("/settings/{list}/new", "/settings/line/new"),
    ("/settings/{group}", "/settings/service"),
    ("/prompts/{name}", "/prompts/welcome"),
    ("{line}", "main"),
    ("{n}", "1"),
    ("{token}", "none"),
];
/// Commands that print what is kept or goes on.
const COMMANDS: [&[&str]; 9] = [
    &["status"],
    &["status", "--format", "json"],
    &["report"],
    &["report", "--format", "csv"],
    &["report", "--format", "json"],
    &["report", "--public", "--format", "csv"],
    &["audit"],
    &["recordings", "list"],
    &["prompts", "list"],
];

/// A search, and what it has come to.
pub(super) struct Search {
    mark: Mark,
    hits: Vec<String>,
    /// Sinks that were searched, and their bytes.
    searched: Vec<(String, usize)>,
}

impl Search {
    pub(super) fn new() -> Self {
        Self { mark: Mark::new(), hits: vec![], searched: vec![] }
    }

    /// Looks at these bytes.
    pub(super) fn look(&mut self, sink: &str, bytes: &[u8]) {
        let hits = self.mark.find(bytes).into_iter().map(|hit| format!("{sink}: {hit}"));
        self.hits.extend(hits);
        self.searched.push((sink.to_owned(), bytes.len()));
    }

    /// Looks at every file in there, and at their names; but those that `is_left_out`.
    pub(super) fn folder(&mut self, folder: &Path, is_left_out: fn(&Path) -> bool) {
        for file in files(folder).into_iter().filter(|file| !is_left_out(file)) {
            let name = file.strip_prefix(folder).unwrap().display().to_string();
            assert!(!name.starts_with("core"), "a memory image: {name}");
            self.look("the names of files", name.as_bytes());
            // What was there a moment ago and is not any more is nowhere.
            if let Ok(bytes) = fs::read(&file) {
                self.look(&name, &bytes);
            }
        }
    }

    /// Looks at what everybody, or the same user, could read of a process: its command line and
    /// environment, and the files that it holds open, deleted ones too.
    pub(super) fn process(&mut self, pid: u32) {
        let of = |what: &str| format!("/proc/{pid}/{what}");
        self.look("command line", &fs::read(of("cmdline")).unwrap());
        self.look("status", &fs::read(of("status")).unwrap());
        // It lets nobody but root.
        match fs::read(of("environ")) {
            Ok(environment) => self.look("environment", &environment),
            Err(error) => assert_eq!(error.kind(), ErrorKind::PermissionDenied),
        }
        let Ok(open) = fs::read_dir(of("fd")) else { return };
        for link in open.map(|entry| entry.unwrap().path()) {
            let Ok(target) = fs::read_link(&link) else { continue };
            let is_file = fs::metadata(&link).is_ok_and(|it| it.is_file());
            if is_file && let Ok(bytes) = fs::read(&link) {
                self.look(&format!("open file {}", target.display()), &bytes);
            }
        }
    }

    /// Looks at every page, answer and stream of the console.
    pub(super) fn console(&mut self, service: &Service) {
        let mut routes = vec![];
        read_routes(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console"), &mut routes);
        assert!(routes.len() > 30, "{routes:?}");
        let mut shown = 0;
        for route in routes {
            let path = BLANKS.iter().fold(route, |path, (blank, with)| path.replace(blank, with));
            assert!(!path.contains('{'), "{path} has a blank that nothing fills");
            let length = if path.ends_with("/events") { EVENTS } else { PAGE };
            let answer = service.read(&path, length);
            shown += usize::from(answer.starts_with(b"HTTP/1.1 200"));
            self.look(&path, &answer);
        }
        assert!(shown > 25, "only {shown} pages are shown");
    }

    /// Looks at what the commands print.
    pub(super) fn commands(&mut self, service: &Service) {
        for arguments in COMMANDS {
            self.look(&arguments.join(" "), service.command(arguments).as_bytes());
        }
    }

    /// How many bytes were searched in sinks whose name holds this.
    pub(super) fn bytes(&self, name: &str) -> usize {
        self.searched.iter().filter(|(sink, _)| sink.contains(name)).map(|(_, bytes)| bytes).sum()
    }

    /// Everything that was found.
    pub(super) fn hits(&self) -> &[String] {
        &self.hits
    }
}

/// Every file in a folder and below.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let inside = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    entries.flat_map(inside).collect()
}
