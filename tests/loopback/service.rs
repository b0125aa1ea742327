//! The program under test: its configuration, the process, its console, its records.
//!
//! Owns the defaults that all tests share: one trunk (127.0.0.2), prompts that are tones, so that
//! what is heard says where the call is.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::place::{Place, Process, wait_for};
use super::tone;

/// The line's number.
pub(crate) const NUMBER: &str = "0570000001";
/// The realm of the phones.
pub(crate) const DOMAIN: &str = "koebashi.local";
/// Every phone's password.
pub(crate) const PASSWORD: &str = "loopback-secret";

/// Prompts, and the tone that each of them is, in Hz.
pub(crate) const WELCOME: (&str, u32) = ("welcome", 300);
/// Hold music.
pub(crate) const HOLD: (&str, u32) = ("hold", 360);
/// The help message.
pub(crate) const HELP: (&str, u32) = ("help", 420);
/// Closed.
pub(crate) const CLOSED: (&str, u32) = ("closed", 560);
/// Nobody on duty.
pub(crate) const NO_COUNSELOR: (&str, u32) = ("no_counselor", 680);
/// Going down.
pub(crate) const DRAINING: (&str, u32) = ("draining", 740);
/// A branch of a menu.
pub(crate) const BRANCH: (&str, u32) = ("branch", 880);
/// A counselor is ready.
pub(crate) const READY: (&str, u32) = ("ready", 1_060);
/// A counselor is paused.
pub(crate) const PAUSED: (&str, u32) = ("paused", 1_120);
/// The counselor's phone was lost.
pub(crate) const LOST: (&str, u32) = ("counselor_lost", 1_180);
/// The conversation is recorded.
pub(crate) const NOTICE: (&str, u32) = ("recording_notice", 1_240);
const PROMPTS: [(&str, u32); 11] =
    [WELCOME, HOLD, HELP, CLOSED, NO_COUNSELOR, DRAINING, BRANCH, READY, PAUSED, LOST, NOTICE];
/// Every other prompt.
const OTHER: u32 = 1_900;
/// What callers say in these tests.
pub(crate) const CALLER: u32 = 500;
/// What counselors say.
pub(crate) const COUNSELOR: u32 = 620;

/// How long starting may take: under load, with a database to be made.
const READY_LIMIT: Duration = Duration::from_secs(15);
/// How long a phone may take to register.
const PHONE_LIMIT: Duration = Duration::from_secs(10);
/// How long a record may take from the end of its call to the disk.
const RECORD_LIMIT: Duration = Duration::from_secs(5);

/// What differs between tests: pieces of TOML.
pub(crate) struct Setup {
    /// It also listens by TLS, with `sip.pem` and `sip.key` of the test's folder.
    pub(crate) has_tls: bool,
    /// The trunk's keys, `id` not counted.
    pub(crate) trunk: String,
    /// Keys of `[sip]`.
    pub(crate) sip: String,
    /// Keys of the line itself: `answer`, `override`.
    pub(crate) line: String,
    /// `[line.guidance]` and other tables of the line.
    pub(crate) tables: String,
    /// Keys of `[line.queue]`.
    pub(crate) queue: String,
    /// `[[counselor]]` tables, and anything else that comes last.
    pub(crate) counselors: String,
    /// Its folder for temporary files; `None`: the system's.
    pub(crate) temporary: Option<PathBuf>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            has_tls: false,
            trunk: "peers = [\"127.0.0.2\"]".to_owned(),
            sip: String::new(),
            line: "answer = \"immediate\"".to_owned(),
            tables: "[line.guidance]\nstart = { play = [\"welcome\"], next = \"queue\" }"
                .to_owned(),
            queue: "wrap_up = \"0s\"".to_owned(),
            counselors: counselor("101"),
            temporary: None,
        }
    }
}

/// A counselor whose phone registers.
pub(crate) fn counselor(extension: &str) -> String {
    format!(
        "[[counselor]]\nextension = \"{extension}\"\nname = \"Counselor {extension}\"\n\
         password = \"{PASSWORD}\"\nlines = [\"main\"]\n"
    )
}

/// A counselor whose phone has a fixed address.
pub(crate) fn fixed_counselor(extension: &str, contact: SocketAddr) -> String {
    format!(
        "[[counselor]]\nextension = \"{extension}\"\nname = \"Counselor {extension}\"\n\
         contact = \"sip:{extension}@{contact}\"\nlines = [\"main\"]\n"
    )
}

/// A running service. It ends with the test.
pub(crate) struct Service {
    /// Where it listens for SIP, UDP and TCP.
    pub(crate) sip: SocketAddr,
    /// Where it listens for SIP over TLS, if it does.
    pub(crate) tls: SocketAddr,
    console: SocketAddr,
    /// Its configuration file.
    pub(crate) config: PathBuf,
    process: Process,
    database: PathBuf,
}

impl Service {
    /// Writes its files, starts it and waits until it is ready.
    pub(crate) fn start(place: &Place, setup: &Setup) -> Self {
        Self::start_by(place, setup, "run")
    }

    /// The same by this command: `run`, or `keep`, whose child is the service then.
    pub(crate) fn start_by(place: &Place, setup: &Setup, command: &str) -> Self {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (sip, tls) = (local(place.port()), local(place.port()));
        let console = local(place.port());
        make_prompts(&place.dir.join("prompts"));
        let config = place.file("koebashi.toml", &text(place, setup, [sip, tls], console));
        let process = run(place, command, &config, setup.temporary.as_deref());
        let database = place.dir.join("state/koebashi.db");
        let mut service = Self { sip, tls, console, config, process, database };
        service.wait_ready();
        service
    }

    /// Ends it, lets something be done to its database meanwhile, and starts it again.
    pub(crate) fn restart(&mut self, place: &Place, meanwhile: impl FnOnce(&rusqlite::Connection)) {
        self.signal("TERM");
        let status = self.wait(Duration::from_secs(10));
        assert!(status.success(), "{status}");
        let database = rusqlite::Connection::open(&self.database).unwrap();
        meanwhile(&database);
        database.close().unwrap();
        self.process = run(place, "run", &self.config, None);
        self.wait_ready();
    }

    /// Starts the next one when it has ended, however that was.
    pub(crate) fn follow(&mut self, place: &Place) {
        self.process.wait(Duration::from_secs(10));
        self.process = run(place, "run", &self.config, None);
    }

    /// The number of its process; where it is kept, of the keeper's.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The process that the keeper keeps; `None`: there is none at the moment.
    pub(crate) fn kept(&self) -> Option<u32> {
        let pid = self.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    }

    /// Waits until it is ready.
    pub(crate) fn wait_ready(&mut self) {
        wait_for("the service to be ready", READY_LIMIT, || {
            assert!(self.process.is_running(), "the service ended: {}", self.log());
            let (code, _) = self.get("/ready")?;
            (code == 200).then_some(())
        });
    }

    /// Where its console is.
    pub(crate) fn console(&self) -> SocketAddr {
        self.console
    }

    /// Asks the console; `None`: nobody answers.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, String)> {
        self.ask(&format!("GET {path} HTTP/1.1\r\n"), "")
    }

    /// Tells the console something in JSON; the answer's code.
    pub(crate) fn post(&self, path: &str, body: &str) -> Option<u16> {
        let (form, length) = ("Content-Type: application/json", body.len());
        let head = format!("POST {path} HTTP/1.1\r\n{form}\r\nContent-Length: {length}\r\n");
        self.ask(&head, body).map(|(code, _)| code)
    }

    /// Everything that comes in answer to a GET, to its end or for so long.
    pub(crate) fn read(&self, path: &str, length: Duration) -> Vec<u8> {
        let mut stream = self.request(&format!("GET {path} HTTP/1.1\r\n"), "").unwrap();
        let (began, mut answer) = (Instant::now(), vec![]);
        let mut part = [0; 65_536];
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        while began.elapsed() < length {
            match stream.read(&mut part) {
                Ok(0) => break,
                Ok(length) => answer.extend_from_slice(&part[..length]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{path}"),
            }
        }
        answer
    }

    /// Asks the console in the name of the machine.
    fn request(&self, head: &str, body: &str) -> Option<TcpStream> {
        let limit = Duration::from_secs(2);
        let mut stream = TcpStream::connect_timeout(&self.console, limit).ok()?;
        stream.set_read_timeout(Some(limit)).unwrap();
        let host = self.console;
        // There from the moment that the console answers.
        let token = fs::read_to_string(self.database.with_file_name("console.token"));
        let token = token.unwrap_or_default();
        let request = format!(
            "{head}Host: {host}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).ok()?;
        Some(stream)
    }

    fn ask(&self, head: &str, body: &str) -> Option<(u16, String)> {
        let mut stream = self.request(head, body)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// The live board.
    pub(crate) fn board(&self) -> Value {
        let (_, body) = self.get("/api/v1/board").expect("the console answers");
        serde_json::from_str(&body).expect("the board is JSON")
    }

    /// A counselor's state.
    pub(crate) fn counselor_state(&self, extension: &str) -> String {
        let board = self.board();
        let counselors = board["counselors"].as_array().cloned().unwrap_or_default();
        let found = counselors.iter().find(|counselor| counselor["extension"] == extension);
        found.map_or_else(String::new, |c| c["state"].as_str().unwrap_or_default().to_owned())
    }

    /// Waits until a counselor is in this state.
    pub(crate) fn wait_counselor(&self, extension: &str, state: &str) {
        let what = format!("{extension} to be {state}");
        wait_for(&what, PHONE_LIMIT, || (self.counselor_state(extension) == state).then_some(()));
    }

    /// A value of `/metrics` by its name with labels, 0 when it is not there.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.get("/metrics").expect("the console answers");
        let mut values = text.lines().filter_map(|line| line.strip_prefix(name));
        values.find_map(|rest| rest.trim().parse().ok()).unwrap_or(0.0)
    }

    /// Waits for so many records, and returns all: `outcome`, `ended_by`, `counselor`, `talk_ms`.
    pub(crate) fn records(&self, count: usize) -> Vec<Record> {
        wait_for(&format!("{count} records"), RECORD_LIMIT, || {
            let records = self.read_records().unwrap_or_default();
            (records.len() >= count).then_some(records)
        })
    }

    /// The record of the only call.
    pub(crate) fn record(&self) -> Record {
        let mut records = self.records(1);
        assert_eq!(records.len(), 1, "{records:?}");
        records.remove(0)
    }

    /// The audit trail: who did what, joined by a colon.
    pub(crate) fn audit(&self) -> Vec<String> {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let database = rusqlite::Connection::open_with_flags(&self.database, flags).unwrap();
        database.busy_timeout(Duration::from_secs(1)).unwrap();
        let sql = "SELECT who || ': ' || what FROM audit ORDER BY n";
        let mut statement = database.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// A figure of the voices, summed over all legs of all calls: a column of `cdr_leg`.
    pub(crate) fn figure(&self, column: &str) -> i64 {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let database = rusqlite::Connection::open_with_flags(&self.database, flags).unwrap();
        database.busy_timeout(Duration::from_secs(1)).unwrap();
        let sql = format!("SELECT sum({column}) FROM cdr_leg");
        database.query_row(&sql, [], |row| row.get(0)).unwrap()
    }

    fn read_records(&self) -> rusqlite::Result<Vec<Record>> {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let database = rusqlite::Connection::open_with_flags(&self.database, flags)?;
        database.busy_timeout(Duration::from_secs(1))?;
        let mut statement = database.prepare(
            "SELECT outcome, ended_by, counselor, talk_ms, presentation, recorded
             FROM cdr ORDER BY started_ms",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(Record {
                outcome: row.get(0)?,
                ended_by: row.get(1)?,
                counselor: row.get(2)?,
                talk: Duration::from_millis(row.get::<_, i64>(3)?.unsigned_abs()),
                presentation: row.get(4)?,
                recorded: row.get(5)?,
            })
        })?;
        rows.collect()
    }

    /// What `koebashi` prints when called with this configuration.
    pub(crate) fn command(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_koebashi"));
        command.args(arguments).arg("--config").arg(&self.config);
        command.current_dir(self.config.parent().unwrap());
        let output = command.output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    /// Whether it runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self, limit: Duration) -> ExitStatus {
        self.process.wait(limit)
    }

    /// Its log so far.
    pub(crate) fn log(&self) -> String {
        self.process.log()
    }
}

/// A service that is kept outlives its keeper, as it should; but not the test.
impl Drop for Service {
    fn drop(&mut self) {
        let kept = self.kept();
        self.process.end();
        if let Some(pid) = kept {
            Command::new("sh").args(["-c", &format!("kill -KILL {pid}")]).status().ok();
        }
    }
}

fn run(place: &Place, command: &str, config: &Path, temporary: Option<&Path>) -> Process {
    let mut program = Command::new(env!("CARGO_BIN_EXE_koebashi"));
    program.envs(temporary.map(|folder| ("TMPDIR", folder)));
    // Keys of live calls: in the test's folder, not among those of the machine.
    program.env("RUNTIME_DIRECTORY", place.dir.join("run"));
    program.args([command, "--config"]).arg(config).env_remove("NOTIFY_SOCKET");
    Process::start(place, "koebashi", &mut program)
}

/// All shipped prompts as tones: a long one each for those that the tests listen for, a short one
/// for the rest.
fn make_prompts(dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts");
    for file in fs::read_dir(shipped).unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "wav") {
            let pcm = tone::sine(OTHER, Duration::from_millis(300));
            tone::write_wav(&dir.join(file.file_name().unwrap()), &pcm);
        }
    }
    for (name, hz) in PROMPTS {
        let pcm = tone::sine(hz, Duration::from_millis(1_500));
        tone::write_wav(&dir.join(format!("{name}.wav")), &pcm);
    }
}

/// What is kept of a call.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// How it went.
    pub(crate) outcome: String,
    /// Who hung up.
    pub(crate) ended_by: String,
    /// Who talked last.
    pub(crate) counselor: Option<String>,
    /// How long.
    pub(crate) talk: Duration,
    /// Whether the number was shown.
    pub(crate) presentation: String,
    /// Conversations of which there is, or was, a recording.
    pub(crate) recorded: u32,
}

fn text(place: &Place, setup: &Setup, [sip, tls]: [SocketAddr; 2], console: SocketAddr) -> String {
    let Setup { trunk, sip: keys, line, tables, queue, counselors, has_tls, .. } = setup;
    let (socket, files) = match has_tls {
        true => (
            format!(", \"tls://{tls}\""),
            "[sip.tls]\ncertificate = \"sip.pem\"\nkey = \"sip.key\"\nca = \"ca.pem\"",
        ),
        false => (String::new(), ""),
    };
    let (first, last) = place.media_ports();
    // The whole suite can be run with either backend of the media threads.
    let backend = std::env::var("KOEBASHI_TEST_BACKEND").unwrap_or_else(|_| "auto".to_owned());
    format!(
        r#"[service]
state_dir = "state"
prompts_dir = "prompts"
max_calls = 150
[sip]
listen = ["udp://{sip}", "tcp://{sip}"{socket}]
domain = "{DOMAIN}"
{keys}
{files}
[media]
ports = "{first}-{last}"
threads = 1
backend = "{backend}"
port_rest = "0s"
[console]
listen = "{console}"
[[trunk]]
id = "trunk"
{trunk}
[[line]]
id = "main"
name = "Loopback"
numbers = ["{NUMBER}"]
{line}
{tables}
[line.queue]
announce_position = "off"
retry = "1s"
ring_timeout = "10s"
{queue}
{counselors}
"#
    )
}
