//! What the checks judge by: everything that was found, nothing decided.
//!
//! Owns the types. Finding is [`find`](super::find)'s, judging [`judge`](super::judge)'s.

use std::time::Duration;

use crate::call::board::{CounselorView, TrunkView};
use crate::complaint::Complaint;
use crate::time::Timestamp;

/// Everything that was found at one moment.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// The moment.
    pub(super) now: Timestamp,
    /// Every trunk.
    pub(super) trunks: Vec<TrunkView>,
    /// The counselors of the line.
    pub(super) counselors: Vec<CounselorView>,
    /// What lies on the disk: how many prompts, or what is wrong.
    pub(super) files: Result<Files, Vec<Complaint>>,
    /// Where state and prompts are.
    pub(super) disks: Vec<Disk>,
    /// Bytes that must be free.
    pub(super) disk_min: u64,
    /// The clock.
    pub(super) clock: Clock,
    /// When the certificate ends; `None`: there is none.
    pub(super) certificate: Option<Timestamp>,
    /// How long it must be good for.
    pub(super) certificate_min: Duration,
    /// How long writing took, or why it did not work.
    pub(super) written: Result<Duration, String>,
    /// Records that wait, and that are lost.
    pub(super) records: (usize, u64),
    /// Ports for voices: free ones, and all; `None`: it can't be told.
    pub(super) ports: Option<(usize, usize)>,
    /// Why no new calls should come.
    pub(super) unready: Vec<String>,
    /// What the configuration names and is no good.
    pub(super) faults: Vec<Complaint>,
    /// What the test call heard.
    pub(super) call: Result<Heard, Unheard>,
}

/// What lies on the disk and can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Files {
    /// Prompts.
    pub(super) prompts: usize,
    /// What looks wrong.
    pub(super) warnings: Vec<Complaint>,
}

/// A folder's disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Disk {
    /// The key that names the folder.
    pub(super) key: &'static str,
    /// Bytes that are free, and all of them.
    pub(super) room: Result<(u64, u64), String>,
}

/// The clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    /// Whether the system says that it follows a time server; `None`: it does not say.
    pub(super) is_followed: Option<bool>,
    /// Milliseconds by which it was set since the last check, added up without their signs.
    pub(super) set_ms: i64,
    /// It shows a time before the last check's.
    pub(super) is_behind: bool,
}

/// What the test call heard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Heard {
    /// From INVITE to 200.
    pub(super) answered: Duration,
    /// From there to the first packet; `None`: none came.
    pub(super) first_packet: Option<Duration>,
    /// Packets that came.
    pub(super) packets: usize,
    /// The longest time between two of them.
    pub(super) gap: Duration,
    /// The loudest fifth of a second, in dB below full scale; `None`: nothing came.
    pub(super) level: Option<f32>,
    /// Records that it left.
    pub(super) records: u32,
}

/// Why there was no test call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unheard {
    /// There is no SIP socket over UDP that could be called.
    NoSocket,
    /// The line has no number.
    NoNumber,
    /// The service does not let it in now, by the name of the reason.
    Denied(&'static str),
    /// The service does not answer who asks.
    Busy,
    /// The system refuses.
    System(String),
    /// It was refused with this code.
    Refused(u16),
    /// Nothing came within the limit.
    Silence,
}
