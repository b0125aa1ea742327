//! Files that are open in one process and go on in another: what the service manager hands over at
//! the start (`sd_listen_fds(3)`), what comes by a socket, and what a new program is started with.
//!
//! Owns all that is unsafe about it: a number that names an open file is made its owner here, once.
//! Does not know what they are for.
#![expect(unsafe_code, reason = "numbers of open files come from outside")]

use std::env;
use std::ffi::{CString, OsStr};
use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use nix::cmsg_space;
use nix::libc::{self, _exit};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use nix::unistd::{ForkResult, Pid, execv, fork, getpid};

/// Files that one message brings at most (`SCM_MAX_FD`).
const MESSAGE_MAX: usize = 253;
/// The first file that a program is started with, behind its standard ones.
const FIRST: RawFd = 3;
/// What a child ends with when there is no program to run.
const NO_PROGRAM: i32 = 127;

/// A file and the name that it was handed over under.
pub type Named = (String, OwnedFd);

/// What the service manager hands over. To be called once, before there is a second thread: it
/// takes the variables out of the environment, so that nobody whom we start takes them for his.
///
/// # Errors
/// When the variables contradict each other.
pub fn handed_over() -> io::Result<Vec<Named>> {
    // SAFETY: there is one thread (see above), so nobody else reads the environment.
    let handed = unsafe { sd_notify::listen_fds_with_names_and_unset_env() }?;
    // SAFETY: the manager has opened these for us and tells so by our process number; nobody owns
    // them, and since the variables are gone, nobody else will.
    Ok(handed.map(|(fd, name)| (name, unsafe { OwnedFd::from_raw_fd(fd) })).collect())
}

/// The next message of a socket and the files that come with it. Never waits.
///
/// # Errors
/// When there is none.
pub fn receive(socket: &UnixDatagram, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = cmsg_space!([RawFd; MESSAGE_MAX]);
    let mut data = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let received = recvmsg::<()>(socket.as_raw_fd(), &mut data, Some(&mut space), flags)?;
    let mut files = Vec::new();
    for message in received.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = message {
            // SAFETY: the kernel has opened these for us in this call; nobody else knows them.
            files.extend(fds.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    Ok((received.bytes, files))
}

/// Starts a program with these files, as a service manager does. `variables` are added to its
/// environment. Only for a process that has one thread.
///
/// # Errors
/// When the system refuses a process. Where the program can't be run the child ends with 127.
pub fn start<'a>(
    program: &Path,
    arguments: &[impl AsRef<OsStr>],
    variables: &[(&str, &OsStr)],
    files: impl Iterator<Item = (&'a str, &'a OwnedFd)>,
) -> io::Result<Pid> {
    let text = |text: &OsStr| CString::new(text.as_bytes()).map_err(io::Error::from);
    let path = text(program.as_os_str())?;
    let arguments = arguments.iter().map(|argument| text(argument.as_ref()));
    let all = [Ok(path.clone())].into_iter().chain(arguments);
    let all = all.collect::<io::Result<Vec<_>>>()?;
    let (names, fds): (Vec<&str>, Vec<RawFd>) =
        files.map(|(name, file)| (name, file.as_raw_fd())).unzip();
    let names = names.join(":");
    // SAFETY: there is one thread (see above), so the child may do what a process may do.
    if let ForkResult::Parent { child } = unsafe { fork() }? {
        return Ok(child);
    }
    let count = fds.len().to_string();
    let pid = getpid().to_string();
    let own = [("LISTEN_PID", OsStr::new(&pid)), ("LISTEN_FDS", OsStr::new(&count))];
    let own = own.into_iter().chain([("LISTEN_FDNAMES", OsStr::new(&names))]);
    let own = own.filter(|_| !fds.is_empty());
    for (name, value) in variables.iter().copied().chain(own) {
        // SAFETY: the child has one thread.
        unsafe { env::set_var(name, value) };
    }
    if place(&fds).is_ok()
        && sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None).is_ok()
    {
        // Comes back only when there is no such program, which the exit code tells.
        execv(&path, &all).ok();
    }
    // SAFETY: ends the child; nothing of the parent's is flushed or run twice.
    unsafe { _exit(NO_PROGRAM) }
}

/// Puts these files where a program expects them, in the child of a fork.
fn place(fds: &[RawFd]) -> io::Result<()> {
    let done = |result: i32| if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) };
    let behind = FIRST + fds.len() as RawFd;
    let mut moved = Vec::with_capacity(fds.len());
    for fd in fds {
        // Out of the way of those that are placed.
        // SAFETY: makes another number for an open file; no memory is named.
        moved.push(done(unsafe { libc::fcntl(*fd, libc::F_DUPFD_CLOEXEC, behind) })?);
    }
    for (at, fd) in (FIRST..).zip(moved) {
        // SAFETY: as above. What had this number was the parent's, and is the parent's still; the
        // child owns nothing that it goes on to use.
        done(unsafe { libc::dup2(fd, at) })?;
    }
    Ok(())
}
