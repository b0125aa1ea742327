//! What holds for the whole process: no memory image on disk, no contents in a panic's message, as
//! many open files as the system lets it have.

use std::io::{Write, stderr};
use std::panic::{PanicHookInfo, set_hook};

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::task::JoinError;

/// Turns core files off, for us and for whoever we would start, and keeps other processes of our
/// user from reading our memory: it holds callers' numbers.
///
/// # Errors
/// When the system refuses.
pub fn seal() -> Result<(), Errno> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    prctl::set_dumpable(false)
}

/// Sockets of a call: voice and its reports, on two legs.
const SOCKETS_OF_A_CALL: u64 = 4;
/// Open files beside those of calls: sockets of SIP and the console, the database, logs.
const OTHER_FILES: u64 = 256;

/// Raises the limit of open files as far as the system lets us, and tells how many calls fit where
/// that is fewer than `calls`.
///
/// # Errors
/// When the system refuses.
pub fn open_files(calls: usize) -> Result<Option<u64>, Errno> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let fit = most.saturating_sub(OTHER_FILES) / SOCKETS_OF_A_CALL;
    Ok((fit < calls as u64).then_some(fit))
}

/// A task that ended by a panic, or was ended. The hook has said where; what the panic said, which
/// the runtime would quote, is nobody's to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fault of koebashi's own ended it")]
pub struct Broken;

impl From<JoinError> for Broken {
    fn from(_: JoinError) -> Self {
        Self
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Set for the process in which the test below panics.
    const PANICS: &str = "KOEBASHI_TEST_PANICS";
    /// As an index out of a message's bounds, or an `unwrap`, would quote it.
    const NUMBER: &str = "09011112222";

    /// In a process of its own: the hook is the process's.
    #[test]
    fn a_panic_says_where_and_nothing_of_what() {
        if std::env::var_os(PANICS).is_some() {
            hide_panics();
            let panics = || -> () { panic!("no line for {NUMBER}") };
            std::thread::Builder::new().name("of-test".into()).spawn(panics).unwrap().join().ok();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let broken =
                runtime.block_on(async move { tokio::spawn(async move { panics() }).await });
            let broken = anyhow::Error::from(Broken::from(broken.unwrap_err())).context("the loop");
            drop(writeln!(stderr(), "{broken:#} {broken:?}"));
            return;
        }
        let test = "shell::process::tests::a_panic_says_where_and_nothing_of_what";
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", test, "--nocapture"]).env(PANICS, "1").env("RUST_BACKTRACE", "full");
        let output = child.output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{said}");
        assert_eq!(
            said.matches("a fault of its own at src/shell/process.rs:").count(),
            2,
            "{said}"
        );
        assert!(said.contains(" in of-test") && said.contains("own ended it"), "{said}");
        assert!(!said.contains(NUMBER) && !said.contains("no line for"), "{said}");
    }

    #[test]
    fn files_suffice_for_few_calls_and_never_for_all() {
        assert_eq!(open_files(1), Ok(None));
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(soft, hard);
        assert_eq!(open_files(usize::MAX), Ok(Some((hard - OTHER_FILES) / SOCKETS_OF_A_CALL)));
    }
}
