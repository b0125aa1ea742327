//! The memory of a process, as root reads it: whether there is something in it.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use memchr::memmem;

/// How long a transaction remembers what was said (Timers H and J) and what is behind it.
const LIMIT: Duration = Duration::from_secs(20);
/// The longest piece that is read at once.
const PIECE: usize = 1 << 20;

/// Where in memory these texts are, by mapping; `None`: nobody may look.
pub(super) fn find(pid: u32, texts: &[&str]) -> Option<Vec<String>> {
    let memory = match File::open(format!("/proc/{pid}/mem")) {
        Ok(memory) => memory,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
            assert!(!may_look(), "whoever may trace every process may read its memory");
            return None;
        }
    };
    let mut found = vec![];
    for mapping in fs::read_to_string(format!("/proc/{pid}/maps")).unwrap().lines() {
        let mut words = mapping.split_whitespace();
        let (range, rights) = (words.next().unwrap(), words.next().unwrap());
        let name = words.nth(3).unwrap_or("anonymous");
        // What can't be written is the program itself.
        if !rights.starts_with("rw") || name.starts_with("[v") {
            continue;
        }
        let (from, to) = range.split_once('-').unwrap();
        let [from, to] = [from, to].map(|at| u64::from_str_radix(at, 16).unwrap());
        let mut at = from;
        while at < to {
            let mut piece = vec![0; PIECE.min((to - at) as usize)];
            let length = memory.read_at(&mut piece, at).unwrap_or(0);
            for text in texts {
                for hit in memmem::find_iter(&piece[..length], text.as_bytes()) {
                    let around = &piece[hit.saturating_sub(60)..(hit + 60).min(length)];
                    let around = String::from_utf8_lossy(around).into_owned();
                    found.push(format!("{name} {:x}: {around:?}", at + hit as u64));
                }
            }
            at += PIECE as u64;
        }
    }
    Some(found)
}

/// Whether this process may look into every other (CAP_SYS_PTRACE, capabilities(7)).
fn may_look() -> bool {
    const CAP_SYS_PTRACE: u32 = 19;
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let held = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(held.trim(), 16).unwrap() & (1 << CAP_SYS_PTRACE) != 0
}

/// Says that this machine does not let it be seen: whoever reads that all is well should know how
/// much of it was looked at.
#[expect(clippy::print_stderr, reason = "what was not looked at is told there")]
pub(super) fn tell_skipped() {
    eprintln!("SKIPPED: the search of the process's memory: nobody may read /proc/PID/mem here");
}

/// Waits until the texts are in its memory no more.
pub(super) fn wait_forgotten(pid: u32, texts: &[&str]) {
    let began = Instant::now();
    let mut last = vec![];
    while began.elapsed() < LIMIT {
        match find(pid, texts) {
            Some(found) if !found.is_empty() => last = found,
            Some(_) => return,
            None => return tell_skipped(),
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    panic!("still in memory: {} times\n{}", last.len(), last.join("\n"));
}
