//! `koebashi keep`: runs the service and keeps its sockets while there is none, where no systemd
//! does it.
//!
//! Owns one child, the sockets that it wants kept, and when the next child is started. Speaks the
//! service manager's protocol (sd_notify(3), sd_listen_fds(3)), so that the service does not know
//! the difference. Knows nothing of calls and holds nothing but open files: it has no reason to die
//! with its child.

mod shelf;

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write, stderr};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, mkdtemp};

use super::fds;
use shelf::{Shelf, Told};

/// The longest message that is read.
const MESSAGE_MAX: usize = 4_096;
/// How long a service that has been ready may give no sign of life.
const WATCHDOG: Duration = Duration::from_secs(10);
/// How long a service may take to hand over.
const HAND_OVER: Duration = Duration::from_secs(5);
/// Pause before a service that dies young is started again; doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// See [`PAUSE_MIN`].
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A service that has lived so long did not die young.
const GROWN_UP: Duration = Duration::from_secs(10);
/// How long a service that is to end may be away before its calls are given up.
const ABSENCE: Duration = Duration::from_secs(60);
/// What a child that a signal killed counts as having ended with.
const KILLED: u8 = 1;

/// The program that is kept running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The file. Read anew at each start: a newer one takes the place of the older.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// What is wanted of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Serve,
    /// It is to end when its calls are over. One that dies before that leaves them to the next,
    /// which is told the same.
    Drain,
    /// It is to end, whatever is left; and we with it.
    End,
}

/// How far a child is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// A signal might still kill it.
    Starting,
    Ready,
    /// It has said that it ends; no call is left, or will be.
    Ending,
}

struct Child {
    pid: Pid,
    born: Instant,
    stage: Stage,
    /// It has to be heard of again by then, once it is ready.
    heard_by: Instant,
    /// It has been told to make way for the next, and has to until then.
    leaves_by: Option<Instant>,
}

struct Keeper {
    program: Program,
    /// Where the service's messages come in.
    socket: UnixDatagram,
    path: PathBuf,
    shelf: Shelf,
    child: Option<Child>,
    wish: Wish,
    /// When the next child is started.
    start_at: Option<Instant>,
    pause: Duration,
    /// Since when no child is ready, where one has been.
    absent_since: Option<Instant>,
    /// Some child has been ready: a later one that can't start is tried again for ever.
    has_served: bool,
}

/// Keeps the program running until it is told to end, or can't be begun at all; what the last child
/// ended with. The process must have one thread.
///
/// # Errors
/// When the system refuses what this needs.
pub fn run(program: Program) -> io::Result<u8> {
    let folder = new_folder()?;
    let served = serve(program, &folder);
    fs::remove_dir_all(&folder).ok();
    served
}

/// A folder for the socket that nobody else may use. Its name is new each time: a keeper that was
/// killed has left its own, and process numbers come again (in a container always the same).
fn new_folder() -> io::Result<PathBuf> {
    Ok(mkdtemp(&env::temp_dir().join("koebashi-keep-XXXXXX"))?)
}

fn serve(program: Program, folder: &Path) -> io::Result<u8> {
    let signals = [
        Signal::SIGCHLD,
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
    ];
    let signals = SigSet::from_iter(signals);
    // Taken one by one where they are waited for; nothing of ours runs in between.
    signals.thread_block()?;
    let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let path = folder.join("notify");
    let socket = UnixDatagram::bind(&path)?;
    let poll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    for fd in [socket.as_fd(), signals.as_fd()] {
        poll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
    }
    let mut keeper = Keeper {
        program,
        socket,
        path,
        shelf: Shelf::default(),
        child: None,
        wish: Wish::Serve,
        start_at: Some(Instant::now()),
        pause: PAUSE_MIN,
        absent_since: None,
        has_served: false,
    };
    loop {
        let wait = keeper.next_deadline().map_or(EpollTimeout::NONE, |at| {
            let left = at.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
            EpollTimeout::try_from(left).unwrap_or(EpollTimeout::MAX)
        });
        match poll.wait(&mut [EpollEvent::empty(); 2], wait) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        // First what a child has said, then that it is dead: its last words count.
        keeper.listen();
        let mut ended = None;
        while let Ok(Some(signal)) = signals.read_signal() {
            match Signal::try_from(signal.ssi_signo as i32) {
                Ok(Signal::SIGCHLD) => {}
                Ok(signal) => keeper.on_signal(signal),
                Err(_) => {}
            }
        }
        while let Some((pid, code)) = reap() {
            keeper.listen();
            ended = keeper.on_end(pid, code).or(ended);
        }
        if let Some(code) = ended {
            return Ok(code);
        }
        keeper.on_time(Instant::now())?;
        if keeper.wish == Wish::End && keeper.child.is_none() {
            return Ok(KILLED);
        }
    }
}

impl Keeper {
    /// Takes everything that the service says.
    fn listen(&mut self) {
        let mut buffer = [0; MESSAGE_MAX];
        while let Ok((length, files)) = fds::receive(&self.socket, &mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let told = self.shelf.take(&text, files);
            let Some(child) = self.child.as_mut().filter(|_| told != Told::Nothing) else {
                continue;
            };
            child.heard_by = Instant::now() + WATCHDOG;
            match told {
                Told::Nothing | Told::Alive => {}
                Told::Ending => child.stage = Stage::Ending,
                Told::Ready => {
                    child.stage = Stage::Ready;
                    self.has_served = true;
                    self.pause = PAUSE_MIN;
                    self.absent_since = None;
                    if self.wish == Wish::Drain {
                        say("the service goes on to end when its calls are over");
                        self.tell(Signal::SIGTERM);
                    }
                }
            }
        }
    }

    fn on_signal(&mut self, signal: Signal) {
        #[expect(clippy::wildcard_enum_match_arm, reason = "only what was asked for comes")]
        match signal {
            Signal::SIGUSR1 | Signal::SIGUSR2 => self.replace(),
            Signal::SIGTERM | Signal::SIGINT => self.end(signal),
            // One that starts reads everything anyway.
            _ if self.is_ready() => self.tell(signal),
            _ => {}
        }
    }

    /// Has the service make way for the next. Where there is none at the moment, the one that is
    /// started next is the newest already.
    fn replace(&mut self) {
        let Some(child) = &mut self.child else { return };
        say("the service hands over to the next");
        child.leaves_by = Some(Instant::now() + HAND_OVER);
        self.tell(Signal::SIGUSR1);
    }

    /// Has the service end: when its calls are over, or, interrupted once more, at once.
    fn end(&mut self, signal: Signal) {
        let is_ready = self.is_ready();
        match self.wish {
            // There are no calls that anybody would go on with.
            Wish::Serve if !self.has_served => self.wish = Wish::End,
            // Who is not ready is told when it is: until then a signal would kill it.
            Wish::Serve => {
                self.wish = Wish::Drain;
                if !is_ready {
                    return;
                }
            }
            Wish::Drain | Wish::End if signal == Signal::SIGINT => {
                self.wish = Wish::End;
                if !is_ready {
                    self.tell(Signal::SIGKILL);
                }
            }
            Wish::Drain | Wish::End if is_ready => {}
            Wish::Drain | Wish::End => return,
        }
        self.tell(signal);
    }

    fn is_ready(&self) -> bool {
        self.child.as_ref().is_some_and(|child| child.stage != Stage::Starting)
    }

    fn tell(&self, signal: Signal) {
        if let Some(child) = &self.child {
            // It may be gone; then its end is told next.
            kill(child.pid, signal).ok();
        }
    }

    /// A process has ended: what we end with, if that is our end too.
    fn on_end(&mut self, pid: Pid, code: u8) -> Option<u8> {
        // Others than ours are those that nobody else waits for (as a container's first process).
        let child = self.child.take_if(|child| child.pid == pid)?;
        let now = Instant::now();
        match self.wish {
            Wish::End => return Some(code),
            // Records that could not be written make no end a bad one that would come again.
            Wish::Drain if child.stage == Stage::Ending => return Some(code),
            Wish::Serve | Wish::Drain if child.leaves_by.is_some() => {}
            // It ended by itself, and well: somebody has told it to.
            Wish::Serve | Wish::Drain if code == 0 || !self.has_served => return Some(code),
            Wish::Serve | Wish::Drain => {
                say("the service has died, the next one goes on with its calls");
            }
        }
        let is_young = child.stage == Stage::Starting && now - child.born < GROWN_UP;
        self.absent_since.get_or_insert(now);
        self.start_at = Some(if is_young { now + self.pause } else { now });
        self.pause = if is_young { (self.pause * 2).min(PAUSE_MAX) } else { PAUSE_MIN };
        None
    }

    fn on_time(&mut self, now: Instant) -> io::Result<()> {
        if let Some(child) = &mut self.child {
            let is_silent = child.stage != Stage::Starting && now >= child.heard_by;
            if child.leaves_by.is_some_and(|at| now >= at) {
                say("the service does not hand over: it is ended");
                child.leaves_by = Some(now + HAND_OVER);
                self.tell(Signal::SIGKILL);
            } else if is_silent {
                say("the service gives no sign of life: it is ended");
                child.heard_by = now + WATCHDOG;
                self.tell(Signal::SIGKILL);
            }
        }
        if self.absence_ends().is_some_and(|at| now >= at) {
            say("no service goes on with the calls: they are given up");
            self.wish = Wish::End;
            self.tell(Signal::SIGKILL);
        }
        if self.wish != Wish::End && self.start_at.is_some_and(|at| now >= at) {
            self.start_at = None;
            match self.start() {
                Ok(child) => self.child = Some(child),
                // No process at the moment: those who talk hear nothing, but the ports are theirs.
                Err(error) if self.has_served => {
                    say(&format!("the service can't be started: {error}"));
                    self.start_at = Some(now + self.pause);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn start(&self) -> io::Result<Child> {
        let most = shelf::MOST.to_string();
        let watchdog = WATCHDOG.as_micros().to_string();
        let variables = [
            ("NOTIFY_SOCKET", self.path.as_os_str()),
            ("FDSTORE", OsStr::new(&most)),
            ("WATCHDOG_USEC", OsStr::new(&watchdog)),
        ];
        let Program { path, arguments } = &self.program;
        let pid = fds::start(path, arguments, &variables, self.shelf.all())?;
        let born = Instant::now();
        let (stage, leaves_by) = (Stage::Starting, None);
        Ok(Child { pid, born, stage, heard_by: born + WATCHDOG, leaves_by })
    }

    /// When a service that is to end, and is away, has been so for too long.
    fn absence_ends(&self) -> Option<Instant> {
        self.absent_since.filter(|_| self.wish == Wish::Drain).map(|since| since + ABSENCE)
    }

    fn next_deadline(&self) -> Option<Instant> {
        let child = self.child.as_ref();
        let leaves_by = child.and_then(|child| child.leaves_by);
        let heard_by = child.filter(|child| child.stage != Stage::Starting).map(|c| c.heard_by);
        let all = [self.start_at, leaves_by, heard_by, self.absence_ends()];
        all.into_iter().flatten().min()
    }
}

/// The next child that has ended, and how.
fn reap() -> Option<(Pid, u8)> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => {
                return Some((pid, u8::try_from(code).unwrap_or(KILLED)));
            }
            Ok(WaitStatus::Signaled(pid, ..)) => return Some((pid, KILLED)),
            Ok(WaitStatus::StillAlive) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

/// A line for whoever reads the output; that nobody does is no reason to end.
fn say(text: &str) {
    drop(writeln!(stderr(), "koebashi keep: {text}"));
}

#[cfg(test)]
mod tests;
