//! Asks the system to run a media thread before everything else.
#![expect(unsafe_code, reason = "the scheduling of one thread has no safe interface")]

use std::io;

use nix::libc::{self, PRIO_PROCESS, SCHED_FIFO, SCHED_RESET_ON_FORK, sched_param};
use nix::sys::prctl;

/// Among real-time threads: low, above everything that is not one. What the system itself runs in
/// real time stays before it.
const REAL_TIME: i32 = 10;
/// What is asked for where real time is refused.
const NICE: i32 = -10;
/// How late a timer may be to save energy, in nanoseconds.
const TIMER_SLACK: u64 = 1_000;

/// What the thread got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// SCHED_FIFO.
    RealTime,
    /// A share before the others'.
    Nice,
}

impl Given {
    /// Its name in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::RealTime => "real time",
            Self::Nice => "nice",
        }
    }
}

/// Raises the calling thread. Fails with the reason when the system grants nothing at all: a limit
/// (`LimitRTPRIO=`, `LimitNICE=`) or a missing CAP_SYS_NICE.
pub fn raise() -> io::Result<Given> {
    // Less exact timers are no reason to run without priority.
    prctl::set_timerslack(TIMER_SLACK).ok();
    let wanted = sched_param { sched_priority: REAL_TIME };
    // SAFETY: the kernel reads `wanted`, which lives through the call, and keeps no pointer. 0 is
    // the calling thread.
    if unsafe { libc::sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &wanted) } == 0 {
        return Ok(Given::RealTime);
    }
    let refused = io::Error::last_os_error();
    // SAFETY: takes no pointer. Linux gives each thread its own nice value; 0 is the calling one.
    match unsafe { libc::setpriority(PRIO_PROCESS, 0, NICE) } {
        0 => Ok(Given::Nice),
        _ => Err(refused),
    }
}
