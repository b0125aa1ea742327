//! What holds for the whole process: no memory image on disk, no contents in a panic's message.

use std::io::{Write, stderr};
use std::panic::{PanicHookInfo, set_hook};

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};

/// Turns core files off, for us and for whoever we would start, and keeps other processes of our
/// user from reading our memory: it holds callers' numbers.
///
/// # Errors
/// When the system refuses.
pub fn seal() -> Result<(), Errno> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    prctl::set_dumpable(false)
}

/// Lets a panic say where, and nothing else: its message may quote a caller's number.
pub fn hide_panics() {
    set_hook(Box::new(|info| {
        let place = place(info);
        if tracing::dispatcher::has_been_set() {
            tracing::error!(%place, "a fault of koebashi: panic");
        } else {
            // The last words of a process that can't even complain are lost in any case.
            drop(writeln!(stderr(), "koebashi: a fault of its own at {place}"));
        }
    }));
}

fn place(info: &PanicHookInfo<'_>) -> String {
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("?");
    match info.location() {
        Some(at) => format!("{}:{}:{} in {thread}", at.file(), at.line(), at.column()),
        None => format!("? in {thread}"),
    }
}
