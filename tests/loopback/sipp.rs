//! SIPp runs: a scenario of `tests/sipp` with its blanks filled, a process, its log of messages.
//!
//! The scenarios' blanks are written `{{NAME}}`; an unfilled one fails the test.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::place::{Place, Process, wait_for};
use super::service::{NUMBER, PASSWORD};

/// Where the trunk's calls come from.
pub(crate) const TRUNK: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
/// Where phones are.
pub(crate) const PHONES: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// How long any run takes at most.
const LIMIT: Duration = Duration::from_secs(35);

/// What is to be run.
pub(crate) struct Run {
    /// The file in `tests/sipp`, without `.xml`.
    scenario: &'static str,
    local: SocketAddr,
    /// Whom it calls or registers at; `None`: it waits for calls.
    remote: Option<SocketAddr>,
    calls: u32,
    rate: u32,
    blanks: Vec<(&'static str, String)>,
    arguments: Vec<String>,
}

impl Run {
    /// One call.
    pub(crate) fn new(
        scenario: &'static str,
        local: SocketAddr,
        remote: Option<SocketAddr>,
    ) -> Self {
        let blanks = [
            ("FROM", "<sip:0312345678@trunk.example>"),
            ("EXTRA", "Subject: test"),
            ("USER", "trunk"),
            ("SESSION", "-"),
            ("FORMATS", "0 101"),
            (
                "ATTRIBUTES",
                "a=rtpmap:0 PCMU/8000\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15",
            ),
            ("TALK", "20000"),
            ("RING", "300"),
            ("EXPIRES", "120"),
            ("PASSWORD", PASSWORD),
        ];
        let blanks = blanks.map(|(name, value)| (name, value.to_owned())).to_vec();
        let run = Self { scenario, local, remote, calls: 1, rate: 10, blanks, arguments: vec![] };
        // Nobody listens at the discard port; tests with audio say where theirs goes.
        run.media(SocketAddr::new(local.ip(), 9)).number(NUMBER)
    }

    /// So many calls, so many of them a second.
    pub(crate) fn calls(self, calls: u32, rate: u32) -> Self {
        Self { calls, rate, ..self }
    }

    /// Fills a blank.
    pub(crate) fn fill(mut self, name: &'static str, value: &str) -> Self {
        self.blanks.retain(|(known, _)| *known != name);
        self.blanks.push((name, value.to_owned()));
        self
    }

    /// Where audio goes to.
    pub(crate) fn media(self, address: SocketAddr) -> Self {
        let (ip, port) = (address.ip().to_string(), address.port().to_string());
        self.fill("MEDIA_IP", &ip).fill("MEDIA_PORT", &port)
    }

    /// The number dialed.
    pub(crate) fn number(self, number: &str) -> Self {
        self.argument("-s", number)
    }

    /// One more argument of SIPp; the last of a name holds.
    pub(crate) fn argument(mut self, name: &str, value: &str) -> Self {
        self.arguments.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// Talks for so long, then hangs up.
    pub(crate) fn talk(self, length: Duration) -> Self {
        self.fill("TALK", &length.as_millis().to_string())
    }

    /// Rings for so long.
    pub(crate) fn ring(self, length: Duration) -> Self {
        self.fill("RING", &length.as_millis().to_string())
    }

    /// Starts it. `name` is unique in the test.
    pub(crate) fn start(self, place: &Place, name: &str) -> Sipp {
        let scenario = place.file(&format!("{name}.xml"), &self.scenario_text());
        let path = |kind: &str| place.dir.join(format!("{name}-{kind}.log"));
        let (messages, errors) = (path("messages"), path("errors"));
        let mut command = Command::new("sipp");
        // Who is silent is asked whether they are there, and answers (OPTIONS).
        command.args(["-nostdin", "-trace_msg", "-trace_err", "-timeout_error", "-aa"]);
        command.arg("-sf").arg(scenario);
        command.arg("-message_file").arg(&messages).arg("-error_file").arg(&errors);
        command.args(["-timeout", &format!("{}s", LIMIT.as_secs())]);
        command.args(["-m", &self.calls.to_string(), "-r", &self.rate.to_string()]);
        let ip = self.local.ip().to_string();
        command.args(["-i", &ip, "-mi", &ip, "-p", &self.local.port().to_string()]);
        // SIPp opens a control port and, for audio and video, two media ports even when it needs none.
        command.args(["-cp", &place.port().to_string()]);
        command.args(["-mp", &place.ports(2).to_string()]);
        command.args(&self.arguments);
        command.args(self.remote.map(|remote| remote.to_string()));
        let process = Process::start(place, name, &mut command);
        if self.remote.is_none() {
            // One who is called has to be there before the call.
            wait_for(name, LIMIT, || listens(self.local).then_some(()));
        }
        Sipp { name: name.to_owned(), process, messages, errors }
    }

    fn scenario_text(&self) -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sipp");
        let path = root.join(format!("{}.xml", self.scenario));
        let mut text = fs::read_to_string(&path).unwrap();
        for (name, value) in &self.blanks {
            text = text.replace(&format!("{{{{{name}}}}}"), value);
        }
        assert!(!text.contains("{{"), "{} has a blank that nothing fills", path.display());
        text
    }
}

/// A run that goes on. It ends with the test.
pub(crate) struct Sipp {
    name: String,
    process: Process,
    messages: PathBuf,
    errors: PathBuf,
}

impl Sipp {
    /// Waits until it has gone through its scenario as often as asked.
    ///
    /// # Panics
    /// When any call went otherwise than the scenario says; shows the messages.
    pub(crate) fn succeed(&mut self) {
        let status = self.process.wait(LIMIT + Duration::from_secs(5));
        if status.success() {
            return;
        }
        let errors = fs::read_to_string(&self.errors).unwrap_or_default();
        let end = |text: &str| {
            let from = text.len().saturating_sub(6_000);
            String::from_utf8_lossy(&text.as_bytes()[from..]).into_owned()
        };
        let (messages, errors) = (end(&self.messages()), end(&errors));
        panic!("{}: SIPp says {status}\n{errors}\n{messages}", self.name);
    }

    /// All messages sent and received, as SIPp logs them.
    pub(crate) fn messages(&self) -> String {
        let bytes = fs::read(&self.messages).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\r', "")
    }

    /// The first message received whose start line begins like this.
    pub(crate) fn received(&self, start: &str) -> Option<String> {
        let messages = self.messages();
        let received = messages.split("-----------------------------------------------");
        let received = received.filter(|part| part.contains("message received"));
        let bodies = received.filter_map(|part| part.split_once("\n\n").map(|(_, body)| body));
        bodies.map(str::trim_start).find(|body| body.starts_with(start)).map(str::to_owned)
    }
}

/// The value of a header in a message.
pub(crate) fn header<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    let lines = message.lines().take_while(|line| !line.is_empty());
    let mut named = lines.filter_map(|line| line.split_once(':'));
    named.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// Whether somebody has bound the address (IPv4), by UDP or TCP, as the kernel's tables say.
fn listens(address: SocketAddr) -> bool {
    let IpAddr::V4(ip) = address.ip() else { panic!("{address} is not IPv4") };
    let wanted = format!("{:08X}:{:04X}", u32::from_le_bytes(ip.octets()), address.port());
    let has = |table: &str| {
        let table = fs::read_to_string(table).unwrap();
        table.lines().any(|line| line.split_whitespace().nth(1) == Some(&*wanted))
    };
    has("/proc/net/udp") || has("/proc/net/tcp")
}
