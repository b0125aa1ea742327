//! What every test owns alone: a folder, a block of ports, child processes; and waiting with a limit.
#![expect(clippy::print_stderr, reason = "what a failed test leaves behind is told there")]

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The first port of the first block. All blocks lie below the kernel's ephemeral ports.
const FIRST_PORT: u16 = 10_000;
/// Ports of one block: a hundred to hand out, the rest for the service's media.
const BLOCK: u16 = 1_000;
/// Ports of a block that are handed out one by one.
const SINGLE: u16 = 200;
/// Blocks that there are; no more tests run at once.
const BLOCKS: u16 = 22;
/// How long a test waits for a block.
const BLOCK_LIMIT: Duration = Duration::from_secs(300);
/// Lines of each log that a failing test prints.
const LOG_LINES: usize = 60;

/// Asks again and again until there is an answer.
///
/// # Panics
/// When there is none within `limit`.
pub(crate) fn wait_for<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < limit, "waited {limit:?} for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A folder and a block of ports.
pub(crate) struct Place {
    /// The folder; it goes with the test, unless the test fails.
    pub(crate) dir: PathBuf,
    first: u16,
    next: Cell<u16>,
    /// Held as long as the ports are ours; the kernel lets go of it whatever happens.
    _lock: File,
}

impl Place {
    /// Takes a free block and makes an empty folder.
    pub(crate) fn new(name: &str) -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("loopback");
        let dir = root.join(format!("{name}-{}", std::process::id()));
        fs::remove_dir_all(&dir).ok();
        fs::create_dir_all(&dir).unwrap();
        // One folder of locks for all checkouts of the machine: ports are shared by all of them.
        let locks = std::env::temp_dir().join("koebashi-loopback-ports");
        fs::create_dir_all(&locks).unwrap();
        let (block, lock) = wait_for("a free block of ports", BLOCK_LIMIT, || {
            (0..BLOCKS).find_map(|block| {
                let file = File::create(locks.join(block.to_string())).unwrap();
                let first = FIRST_PORT + block * BLOCK;
                // Others than these tests may be there too.
                let is_ours = file.try_lock().is_ok() && (first..first + BLOCK).all(is_free);
                is_ours.then_some((block, file))
            })
        });
        let first = FIRST_PORT + block * BLOCK;
        Self { dir, first, next: Cell::new(first), _lock: lock }
    }

    /// An even port that nobody has, nor its neighbor, on any of our addresses.
    pub(crate) fn port(&self) -> u16 {
        self.ports(1)
    }

    /// The first of so many such ports in a row.
    pub(crate) fn ports(&self, count: u16) -> u16 {
        loop {
            let port = self.next.get();
            assert!(port + 2 * count <= self.first + SINGLE, "no port is left in the block");
            self.next.set(port + 2 * count);
            if (port..port + 2 * count).all(is_free) {
                return port;
            }
        }
    }

    /// First and last port of the block.
    pub(crate) fn block(&self) -> (u16, u16) {
        (self.first, self.first + BLOCK - 1)
    }

    /// First and last port for the service's media.
    pub(crate) fn media_ports(&self) -> (u16, u16) {
        (self.first + SINGLE, self.first + BLOCK - 2)
    }

    /// A file in the folder, with this content.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }
}

fn is_free(port: u16) -> bool {
    let any = Ipv4Addr::UNSPECIFIED;
    UdpSocket::bind((any, port)).is_ok() && TcpListener::bind((any, port)).is_ok()
}

impl Drop for Place {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("files of the failed test: {}", self.dir.display());
        } else {
            fs::remove_dir_all(&self.dir).ok();
        }
    }
}

/// A child process; it ends with the test.
pub(crate) struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    log: PathBuf,
}

impl Process {
    /// Starts it in the test's folder; what it prints goes to `NAME.log` there.
    ///
    /// # Panics
    /// When the program is not there; says which package of Debian has it.
    pub(crate) fn start(place: &Place, name: &str, command: &mut Command) -> Self {
        let log = place.dir.join(format!("{name}.log"));
        let out = File::create(&log).unwrap();
        let err = out.try_clone().unwrap();
        command.current_dir(&place.dir).stdin(Stdio::piped()).stdout(out).stderr(err);
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let program = command.get_program().to_string_lossy().into_owned();
                let package = match program.as_str() {
                    "sipp" => "sip-tester",
                    "baresip" => "baresip-core",
                    "linphonec" => "linphone-cli",
                    "chromedriver" => "chromium-driver chromium",
                    other => other,
                };
                panic!("{program} is missing: apt-get install -y {package}");
            }
            Err(error) => panic!("{name} does not start: {error}"),
        };
        let stdin = child.stdin.take();
        Self { name: name.to_owned(), child, stdin, log }
    }

    /// Types a line.
    pub(crate) fn type_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        writeln!(stdin, "{line}").unwrap();
        stdin.flush().unwrap();
    }

    /// Types a key.
    pub(crate) fn type_key(&mut self, key: char) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        write!(stdin, "{key}").unwrap();
        stdin.flush().unwrap();
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it has not ended within `limit`.
    pub(crate) fn wait(&mut self, limit: Duration) -> ExitStatus {
        let what = format!("{} to end", self.name);
        wait_for(&what, limit, || self.child.try_wait().unwrap())
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends it a signal, by its name without `SIG`.
    pub(crate) fn signal(&self, signal: &str) {
        let order = format!("kill -{signal} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &order]).status().unwrap().success(), "{order}");
    }

    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}

impl Process {
    /// Ends it at once.
    pub(crate) fn end(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
        if thread::panicking() {
            print_end(&self.name, &self.log);
        }
    }
}

/// Prints the last lines of a log.
pub(crate) fn print_end(name: &str, path: &Path) {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    let end = &lines[lines.len().saturating_sub(LOG_LINES)..];
    eprintln!("---- {name}: {}\n{}", path.display(), end.join("\n"));
}
