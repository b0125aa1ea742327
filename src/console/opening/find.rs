//! Finding what the checks judge by: the disk, the ports, the clock, the files, the board.
//!
//! Owns the questions. Everything that may wait for a disk is asked off the runtime's threads.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::statvfs::statvfs;

use super::facts::{Disk, Files};
use crate::complaint::Complaint;
use crate::config::ready::{self, Ready};
use crate::time::Now;

/// Where systemd's time service says that the clock is right.
const FOLLOWED: &str = "/run/systemd/timesync/synchronized";
/// The kernel's lists of UDP sockets.
const SOCKETS: [&str; 2] = ["/proc/net/udp", "/proc/net/udp6"];
/// A smaller difference of the two clocks is only kept right, in milliseconds.
const STEP_MS: i64 = 500;

/// What is found off the runtime's threads.
pub(super) struct Found {
    pub(super) files: Result<Files, Vec<Complaint>>,
    pub(super) disks: Vec<Disk>,
    pub(super) ports: Option<(usize, usize)>,
    pub(super) is_followed: Option<bool>,
}

/// Looks. Blocks.
pub(super) fn find(ready: &Ready) -> Found {
    let shell = &ready.loaded.shell;
    Found {
        files: files(ready),
        disks: vec![disk("state_dir", &shell.state_dir), disk("prompts_dir", &shell.prompts_dir)],
        ports: free_ports(ready.loaded.media.ports),
        is_followed: Path::new(FOLLOWED).exists().then_some(true),
    }
}

/// What a restart would read.
fn files(known: &Ready) -> Result<Files, Vec<Complaint>> {
    let ready = ready::load_beside(known.loaded.file(), &BTreeSet::new(), Some(known))?;
    let prompts = ready.loaded.call.prompt_lengths.len();
    Ok(Files { prompts, warnings: ready.warnings })
}

/// Prompts that are built in need no folder: then its disk is that of where we run.
fn disk(key: &'static str, path: &Path) -> Disk {
    let path = if path.exists() { path } else { Path::new(".") };
    let room = statvfs(path).map_err(|error| error.desc().to_owned()).map(|it| {
        let block = it.fragment_size();
        (it.blocks_available().saturating_mul(block), it.blocks().saturating_mul(block))
    });
    Disk { key, room }
}

/// Even ports of the range that no socket of the machine has, and all of them.
fn free_ports(range: (u16, u16)) -> Option<(usize, usize)> {
    let lists: Vec<_> = SOCKETS.iter().filter_map(|path| fs::read_to_string(path).ok()).collect();
    let is_even = |port: &u16| port.is_multiple_of(2);
    let all = (range.0..=range.1).filter(is_even).count();
    let mut used: Vec<u16> = lists.iter().flat_map(|list| ports(list)).collect();
    used.retain(|port| is_even(port) && (range.0..=range.1).contains(port));
    used.sort_unstable();
    used.dedup();
    (!lists.is_empty()).then(|| (all.saturating_sub(used.len()), all))
}

/// The local ports of a list of the kernel.
fn ports(list: &str) -> impl Iterator<Item = u16> {
    list.lines().skip(1).filter_map(|line| {
        let local = line.split_ascii_whitespace().nth(1)?;
        u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()
    })
}

/// How far the wall clock was set, against the monotonic one.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClockWatch {
    last: Now,
    set_ms: i64,
}

impl ClockWatch {
    pub(super) fn new(now: Now) -> Self {
        Self { last: now, set_ms: 0 }
    }

    /// To be called often: only what comes between two looks is seen as one.
    pub(super) fn look(&mut self, now: Now) {
        let wall = (now.wall - self.last.wall).num_milliseconds();
        let passed = now.mono.saturating_duration_since(self.last.mono);
        let step = wall.saturating_sub(millis(passed)).saturating_abs();
        if step >= STEP_MS {
            self.set_ms = self.set_ms.saturating_add(step);
        }
        self.last = now;
    }

    /// Milliseconds by which it was set since this was last asked.
    pub(super) fn take(&mut self) -> i64 {
        std::mem::take(&mut self.set_ms)
    }
}

fn millis(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;
    use crate::shell::clock;

    #[test]
    fn a_socket_takes_a_port_of_its_range() {
        let list = "  sl  local_address rem_address   st tx_queue\n\
                    12: 0100007F:13C4 00000000:0000 07 00000000:00000000\n\
                    13: 00000000000000000000000001000000:7530 0:0 07 0\n nonsense\n";
        assert_eq!(ports(list).collect::<Vec<_>>(), [5060, 30_000]);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port() & !1;
        let (free, all) = free_ports((port, port)).unwrap();
        let is_taken = socket.local_addr().unwrap().port() == port;
        assert_eq!(all, 1);
        assert!(!is_taken || free == 0);
    }

    #[test]
    fn a_clock_that_is_set_is_told_from_one_that_goes() {
        let start = clock::now();
        let after = |wall: i64, mono: u64| Now {
            wall: start.wall + chrono::Duration::milliseconds(wall),
            mono: start.mono + Duration::from_millis(mono),
        };
        let mut watch = ClockWatch::new(start);
        watch.look(after(5_010, 5_000));
        assert_eq!(watch.take(), 0);
        watch.look(after(70_010, 10_000));
        watch.look(after(15_010, 15_000));
        assert_eq!(watch.take(), 60_000 + 60_000);
        assert_eq!(watch.take(), 0);
    }

    #[test]
    fn a_disk_has_room_and_a_file_is_read() {
        let (free, all) = disk("state_dir", &std::env::temp_dir()).room.unwrap();
        assert!(0 < free && free <= all);
        let ready = ready::load(Path::new("there/is/none.toml")).unwrap();
        assert!(files(&ready).unwrap().prompts > 10);
    }
}
