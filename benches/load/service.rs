//! The program under load: its configuration, the process, and what it costs.
//!
//! Owns the folder of a run. What a process costs is read from `/proc`: CPU time of every thread by
//! the scheduler's account, so that media and the rest can be told apart, and resident memory.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::manager::Manager;
use super::{Addresses, EXTENSION, NUMBER};

/// How long starting may take.
const READY: Duration = Duration::from_secs(30);
/// Pages of the processor.
const PAGE: u64 = 4096;

/// What differs between runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Counselors whose phones answer.
    pub(crate) counselors: u32,
    /// How long the prompts are.
    pub(crate) prompt: Duration,
    /// How long hold music is.
    pub(crate) hold: Duration,
    /// Who looks after it.
    pub(crate) manager: Manager,
    /// How long a caller may give no sign of life.
    pub(crate) lost_caller: &'static str,
    /// More of the keys of `[sip]`.
    pub(crate) sip: &'static str,
    /// More of the queue's keys.
    pub(crate) queue: &'static str,
    /// More of the configuration: tables that are not there yet.
    pub(crate) tables: &'static str,
    /// More of its environment.
    pub(crate) env: &'static [(&'static str, &'static str)],
    /// What is done in its folder before it starts.
    pub(crate) prepare: fn(&Path) -> io::Result<()>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            counselors: 0,
            prompt: Duration::from_millis(200),
            hold: Duration::from_secs(20),
            manager: Manager::Nobody,
            lost_caller: "1h",
            sip: "",
            queue: "",
            tables: "",
            env: &[],
            prepare: |_| Ok(()),
        }
    }
}

/// The running program. It ends with this.
#[derive(Debug)]
pub(crate) struct Service {
    child: Child,
    manager: Manager,
    dir: PathBuf,
    console: SocketAddr,
}

/// What the process has used up since it began.
#[derive(Clone, Debug)]
pub(crate) struct Cost {
    /// CPU time of each thread, by its id, with its name.
    threads: BTreeMap<u32, (String, Duration)>,
    /// Resident memory in bytes.
    pub(crate) memory: u64,
}

impl Cost {
    /// CPU time since an earlier look: of the media threads, and of all others.
    pub(crate) fn since(&self, earlier: &Self) -> (Duration, Duration) {
        let (mut media, mut rest) = (Duration::ZERO, Duration::ZERO);
        for (id, (name, time)) in &self.threads {
            let before = earlier.threads.get(id).map_or(Duration::ZERO, |(_, time)| *time);
            let sum = if name.starts_with("media") { &mut media } else { &mut rest };
            *sum += time.saturating_sub(before);
        }
        (media, rest)
    }

    /// The same by the threads' names.
    pub(crate) fn by_name(&self, earlier: &Self) -> BTreeMap<String, Duration> {
        let mut names = BTreeMap::<String, Duration>::new();
        for (id, (name, time)) in &self.threads {
            let before = earlier.threads.get(id).map_or(Duration::ZERO, |(_, time)| *time);
            *names.entry(name.clone()).or_default() += time.saturating_sub(before);
        }
        names
    }
}

impl Service {
    /// Writes its files, starts it and waits until it is ready.
    pub(crate) fn start(program: &Path, addresses: &Addresses, plan: &Plan) -> io::Result<Self> {
        let dir = std::env::temp_dir().join(format!("koebashi-load-{}", std::process::id()));
        fs::remove_dir_all(&dir).ok();
        fs::create_dir_all(dir.join("state"))?;
        write_prompts(&dir.join("prompts"), plan)?;
        let config = dir.join("koebashi.toml");
        fs::write(&config, configuration(addresses, plan))?;
        (plan.prepare)(&dir)?;
        let log = fs::File::create(dir.join("log"))?;
        let mut command = plan.manager.command(program, &dir);
        command.current_dir(&dir).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.env_remove("NOTIFY_SOCKET").envs(plan.env.iter().copied());
        let console = (addresses.service, 8080).into();
        let mut service = Self { child: command.spawn()?, manager: plan.manager, dir, console };
        let began = Instant::now();
        while !service.is_ready() {
            if service.child.try_wait()?.is_some() || began.elapsed() > READY {
                return Err(io::Error::other(format!("it does not start: {}", service.log())));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(service)
    }

    /// Its folder: `koebashi.toml`, `log`, `prompts`, `state`.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        let pid = i32::try_from(self.pid()).map_err(io::Error::other)?;
        Ok(kill(Pid::from_raw(pid), signal)?)
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// What its console answers: the code and the body; `None`: nothing.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, String)> {
        get(self.console, path, &self.token()).ok()
    }

    /// The number of its process; where somebody looks after it, of theirs.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The process of the service that somebody looks after; `None`: there is none at the moment.
    pub(crate) fn kept(&self) -> Option<u32> {
        self.manager.kept(self.pid())
    }

    /// Whether it is ready for calls.
    pub(crate) fn is_ready(&self) -> bool {
        self.get("/ready").is_some_and(|(code, _)| code == 200)
    }

    /// Where its console is.
    pub(crate) fn console(&self) -> SocketAddr {
        self.console
    }

    /// What proves to the console that we may ask.
    pub(crate) fn token(&self) -> String {
        fs::read_to_string(self.dir.join("state/console.token")).unwrap_or_default()
    }

    /// What its configuration's file says now.
    pub(crate) fn configuration(&self) -> String {
        fs::read_to_string(self.dir.join("koebashi.toml")).unwrap_or_default()
    }

    /// What it has used up by now.
    pub(crate) fn cost(&self) -> io::Result<Cost> {
        let proc = PathBuf::from(format!("/proc/{}", self.child.id()));
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(proc.join("task"))? {
            let task = entry?.path();
            let id = task.file_name().and_then(|name| name.to_str()?.parse().ok()).unwrap_or(0);
            // A thread may end while we look.
            let Ok(name) = fs::read_to_string(task.join("comm")) else { continue };
            let Ok(account) = fs::read_to_string(task.join("schedstat")) else { continue };
            let nanos = account.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
            threads.insert(id, (name.trim().to_owned(), Duration::from_nanos(nanos)));
        }
        let pages = fs::read_to_string(proc.join("statm"))?;
        let pages: u64 = pages.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
        Ok(Cost { threads, memory: pages * PAGE })
    }

    /// The link that it prints for the console's first account.
    pub(crate) fn setup_link(&self) -> Option<String> {
        let text = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        let at = text.find("/setup/")?;
        let path = text[at..].split_whitespace().next()?;
        Some(format!("http://{}{path}", self.console))
    }

    /// Bytes that it has logged.
    pub(crate) fn log_size(&self) -> u64 {
        fs::metadata(self.dir.join("log")).map_or(0, |log| log.len())
    }

    /// The end of what it has logged.
    pub(crate) fn log(&self) -> String {
        let text = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // A keeper that is killed leaves its child behind.
        let kept = self.kept();
        self.child.kill().ok();
        self.child.wait().ok();
        if let Some(kept) = kept.and_then(|pid| i32::try_from(pid).ok()) {
            kill(Pid::from_raw(kept), Signal::SIGKILL).ok();
        }
        fs::remove_dir_all(&self.dir).ok();
    }
}

fn get(console: SocketAddr, path: &str, token: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&console, Duration::from_millis(200))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {console}\r\nAuthorization: Bearer {token}\r\n\
         Connection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Ok((code, body.to_owned()))
}

/// Every shipped prompt as a short tone, hold music longer.
fn write_prompts(dir: &Path, plan: &Plan) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts");
    for file in fs::read_dir(shipped)? {
        let file = file?.path();
        let Some(name) = file.file_name().filter(|_| file.extension().is_some_and(|e| e == "wav"))
        else {
            continue;
        };
        let is_hold = file.file_stem().is_some_and(|stem| stem == "hold");
        let time = if is_hold { plan.hold } else { plan.prompt };
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 8000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer =
            hound::WavWriter::create(dir.join(name), spec).map_err(io::Error::other)?;
        for i in 0..time.as_millis() as u32 * 8 {
            let sample = ((i % 20) as i16 - 10) * 300;
            writer.write_sample(sample).map_err(io::Error::other)?;
        }
        writer.finalize().map_err(io::Error::other)?;
    }
    Ok(())
}

fn configuration(addresses: &Addresses, plan: &Plan) -> String {
    let Addresses { service, trunk, phones, others } = addresses;
    let Plan { lost_caller, queue, sip, .. } = plan;
    let has_tls = plan.tables.contains("[sip.tls]");
    let mut streams = String::new();
    if has_tls || plan.tables.contains("transport=tcp") {
        streams += &format!(", \"tcp://{service}:5060\"");
    }
    if has_tls {
        streams += &format!(", \"tls://{service}:5061\"");
    }
    let mut text = format!(
        r#"[service]
state_dir = "state"
prompts_dir = "prompts"
max_calls = 5000
lost_caller = "{lost_caller}"
[service.log]
level = "warn"
[sip]
listen = ["udp://{service}:5060"{streams}]
{sip}
[media]
ports = "10000-59998"
port_rest = "1s"
[console]
listen = "{service}:8080"
[[trunk]]
id = "trunk"
peers = ["{trunk}", "{others}"]
[[line]]
id = "main"
numbers = ["{NUMBER}"]
[line.guidance]
start = {{ play = ["welcome"], next = "queue" }}
[line.queue]
max_wait = "1h"
max_callers = 5000
max_wait_no_counselor = "1h"
announce_position = "off"
wrap_up = "0s"
{queue}
[[counselor]]
extension = "999"
password = "never-signs-in"
lines = ["main"]
"#
    );
    text += plan.tables;
    for n in EXTENSION..EXTENSION + plan.counselors {
        text += &format!(
            "[[counselor]]\nextension = \"{n}\"\ncontact = \"sip:{n}@{phones}:5060\"\nlines = [\"main\"]\n"
        );
    }
    text
}
