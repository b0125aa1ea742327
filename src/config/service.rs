//! The sections that are there once: `[service]`, `[store]`, `[recording]`, `[sip]`, `[media]`,
//! `[codes]`, `[supervision]`, `[repeat]`, `[prompts]`.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::nearest::hint;
use super::sheet::Section;
use super::{tls, value};
use crate::call::config::{
    Codes, Limits, Notice, OnHelp, Prompts, Repeat, Said, Supervision, SupervisionMode,
};
use crate::complaint::{Fit, Value};
use crate::media::Digit;
use crate::shell::recorder::Config as RecorderConfig;
use crate::shell::sip_socket::Limits as SocketLimits;
use crate::{media, shell, sip, store};

/// Seconds.
pub(super) const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Milliseconds.
const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// An hour.
pub(super) const HOUR: Duration = s(3600);
/// A day.
pub(super) const DAY: Duration = s(86_400);

/// The file of the database in `state_dir`.
const DATABASE: &str = "koebashi.db";

/// The folder of the recordings in `state_dir`.
const RECORDINGS: &str = "recordings";

/// What `[service]` gives to several modules.
pub(super) struct Service {
    pub(super) timezone: chrono_tz::Tz,
    pub(super) limits: Limits,
    pub(super) shell: shell::Config,
    pub(super) store: store::Config,
}

/// `[service]`, `[store]` and `[recording]`.
pub(super) fn service(root: &Section<'_>) -> Option<Service> {
    let section = root.section("service");
    let timezone = section.parsed("timezone", "Asia/Tokyo", value::timezone);
    let state_dir = section.parsed("state_dir", "state", path);
    let runtime_dir = section.parsed("runtime_dir", "", folder_or_none);
    let journal_wait = section.duration("journal_wait", "5ms", ms(0)..=ms(100));
    let prompts_dir = section.parsed("prompts_dir", "prompts", path);
    let voice_command = voice_command(&section);
    let voice_file = section.optional("voice_file", path);
    let voice_timeout = section.duration("voice_timeout", "60s", s(1)..=s(600));
    let limits = limits(&section);
    let log = section.section("log");
    let formats = [("text", shell::LogFormat::Text), ("json", shell::LogFormat::Json)];
    let log_format = log.choice("format", "text", &formats);
    let levels = [
        ("error", tracing::Level::ERROR),
        ("warn", tracing::Level::WARN),
        ("info", tracing::Level::INFO),
        ("debug", tracing::Level::DEBUG),
        ("trace", tracing::Level::TRACE),
    ];
    let log_level = log.choice("level", "info", &levels);
    log.done();
    let retention = section.section("retention");
    let days = DAY..=DAY * 3650;
    let cdr = retention.duration("cdr", "400d", days.clone());
    let audit = retention.duration("audit", "1095d", days);
    retention.done();
    let store = root.section("store");
    let queue = count(&store, "queue", 1_024, 1..=1_000_000);
    let spool = count(&store, "spool", 16_384, 0..=1_000_000);
    let refusals = count(&store, "refusals", 10, 0..=10_000);
    store.done();
    section.done();
    let state_dir = state_dir?;
    Some(Service {
        timezone: timezone?,
        limits: limits?,
        store: store::Config {
            path: state_dir.join(DATABASE),
            cdr_days: whole_days(cdr?),
            audit_days: whole_days(audit?),
            queue: queue?,
            spool: spool?,
            refusals: refusals?,
        },
        shell: shell::Config {
            runtime_dir: runtime_dir?,
            journal_wait: journal_wait?,
            prompts_dir: prompts_dir?,
            voice_command: voice_command?,
            voice_file,
            voice_timeout: voice_timeout?,
            log_format: log_format?,
            log_level: log_level?,
            recorder: recorder(&root.section("recording"), &state_dir)?,
            state_dir,
            // Filled in with `[sip]`.
            sockets: SocketLimits::default(),
        },
    })
}

/// A program and its arguments, of which two may be the same.
fn voice_command(section: &Section<'_>) -> Option<Vec<String>> {
    let count = Cell::new(0);
    let words = section.list("voice_command", &[], |text| {
        count.set(count.get() + 1);
        match (count.get(), text) {
            (1, "") => Err(Value::NoProgram.into()),
            (nth, text) => Ok((nth, text.to_owned())),
        }
    });
    Some(words?.into_iter().map(|(_, word)| word).collect())
}

/// `[recording]`.
fn recorder(section: &Section<'_>, state_dir: &Path) -> Option<RecorderConfig> {
    let recipients = section.list("recipients", &[], value::recipient);
    let keep = section.duration("keep", "30d", DAY..=DAY * 3650);
    let max_length = section.duration("max_length", "3h", s(60)..=HOUR * 12);
    let max_open = count(section, "max_open", 100, 1..=10_000);
    let queue = count(section, "queue", 8_192, 256..=262_144);
    section.done();
    Some(RecorderConfig {
        folder: state_dir.join(RECORDINGS),
        recipients: recipients?,
        keep: keep?,
        max_length: max_length?,
        max_open: max_open?,
        queue: queue?,
    })
}

fn limits(section: &Section<'_>) -> Option<Limits> {
    let max_calls = count(section, "max_calls", 2_000, 1..=50_000);
    let drain = section.duration("drain", "3h", s(0)..=DAY);
    let vanish_after = section.duration("vanish_after", "8s", s(5)..=s(300));
    let code_call = section.duration("code_call", "30s", s(5)..=s(300));
    let lost_caller = section.duration("lost_caller", "30s", s(5)..=HOUR);
    Some(Limits {
        max_calls: max_calls?,
        drain: drain?,
        vanish_after: vanish_after?,
        code_call: code_call?,
        lost_caller: lost_caller?,
    })
}

fn folder_or_none(text: &str) -> value::Read<Option<PathBuf>> {
    Ok(Some(PathBuf::from(text)).filter(|_| !text.is_empty()))
}

fn path(text: &str) -> value::Read<PathBuf> {
    if text.is_empty() { Err(Value::Empty.into()) } else { Ok(PathBuf::from(text)) }
}

/// `[sip]`: for the stack and for its sockets.
pub(super) fn sip(root: &Section<'_>) -> Option<(sip::Config, SocketLimits, tls::Written)> {
    let section = root.section("sip");
    let listen =
        section.list("listen", &["udp://127.0.0.1:5060", "tcp://127.0.0.1:5060"], value::listener);
    let domain = section.parsed("domain", "koebashi.local", value::domain);
    let advertised = section.parsed("advertised", "", value::address_or_none);
    let t1 = section.duration("t1", "500ms", ms(100)..=s(2));
    let t2 = section.duration("t2", "4s", s(1)..=s(32));
    let t4 = section.duration("t4", "5s", s(1)..=s(32));
    let max_transactions = count(&section, "max_transactions", 20_000, 100..=1_000_000);
    let max_sessions = count(&section, "max_sessions", 8_000, 10..=1_000_000);
    let shortest = section.duration("register_expires_min", "60s", s(10)..=DAY);
    let longest = section.duration("register_expires_max", "5m", s(10)..=DAY);
    let max_contacts = count(&section, "max_contacts", 5, 1..=50);
    let nonce_life = section.duration("nonce_life", "5m", s(10)..=DAY);
    let guesses = section.number("guesses", 10, 1..=1_000_u32);
    let flood = floodgate(&section);
    let busy_after = section.duration("busy_after", "100ms", ms(20)..=s(2));
    let tls = tls::written(&section);
    let sockets = sockets(&section);
    let (listen, advertised) = (listen?, advertised?);
    if listen.is_empty() || listen.len() > 16 {
        section.error("listen", Value::Sockets);
    }
    if let Some((_, socket)) = listen.iter().find(|(_, socket)| socket.ip().is_unspecified())
        && advertised.is_none()
    {
        section.error("listen", Fit::EveryAddress(socket.to_string()));
    }
    if t2? < t1? {
        section.error("t2", Fit::ShorterThan("t1"));
    }
    if longest? < shortest? {
        section.error("register_expires_max", Fit::ShorterThan("register_expires_min"));
    }
    if sockets.as_ref()?.idle_timeout <= longest? {
        section.error("idle_timeout", Fit::NotLongerThan("register_expires_max"));
    }
    section.done();
    let tls = tls?;
    let sockets = SocketLimits { handshake_timeout: tls.handshake_timeout, ..sockets? };
    let config = sip::Config {
        domain: domain?,
        listen,
        advertised,
        t1: t1?,
        t2: t2?,
        t4: t4?,
        max_transactions: max_transactions?,
        max_sessions: max_sessions?,
        register_expires: (shortest?, longest?),
        max_contacts: max_contacts?,
        nonce_life: nonce_life?,
        guesses,
        flood: flood?,
        busy_after: busy_after?,
    };
    Some((config, sockets, tls))
}

/// How much of what strangers send is looked at.
fn floodgate(section: &Section<'_>) -> Option<sip::floodgate::Limits> {
    let of_source = section.number("stranger_rate", 10, 1..=10_000_u32);
    let of_strangers = section.number("strangers_rate", 500, 10..=100_000_u32);
    let max_sources = count(section, "max_sources", 4_096, 64..=1_000_000);
    Some(sip::floodgate::Limits { of_source, of_strangers, max_sources: max_sources? })
}

/// The keys of the sockets. What streams are marked with is the trunk's.
fn sockets(section: &Section<'_>) -> Option<SocketLimits> {
    let most = count(section, "max_connections", 2_000, 10..=50_000);
    let of_source = count(section, "max_connections_per_source", 64, 1..=50_000);
    let connect = section.duration("connect_timeout", "4s", s(1)..=s(30));
    let idle = section.duration("idle_timeout", "65m", s(60)..=DAY * 2);
    let stranger = section.duration("stranger_timeout", "64s", s(5)..=HOUR);
    let message = section.duration("message_timeout", "10s", s(1)..=s(60));
    let write = section.duration("write_timeout", "5s", s(1)..=s(60));
    Some(SocketLimits {
        max_connections: most?,
        max_connections_per_source: of_source?,
        connect_timeout: connect?,
        idle_timeout: idle?,
        stranger_timeout: stranger?,
        message_timeout: message?,
        write_timeout: write?,
        ..SocketLimits::default()
    })
}

/// `[media]`.
pub(super) fn media(root: &Section<'_>) -> Option<media::Config> {
    let section = root.section("media");
    let backends =
        [("auto", media::Io::Auto), ("io_uring", media::Io::Uring), ("epoll", media::Io::Epoll)];
    let priorities = [("auto", media::Priority::Auto), ("off", media::Priority::Off)];
    let config = media::Config {
        ports: section.parsed("ports", "30000-39998", value::ports)?,
        threads: section.number("threads", 0, 0..=64_u8),
        io: section.choice("backend", "auto", &backends)?,
        priority: section.choice("priority", "auto", &priorities)?,
        port_rest: section.duration("port_rest", "30s", s(0)..=HOUR)?,
        one_way_after: section.duration("one_way_after", "3s", s(1)..=s(300))?,
        ..media::Config::default()
    };
    section.done();
    Some(config)
}

/// A count of things.
pub(super) fn count(
    section: &Section<'_>,
    key: &str,
    default: u32,
    range: RangeInclusive<u32>,
) -> Option<usize> {
    usize::try_from(section.number(key, default, range)).ok()
}

/// `[codes]`.
pub(super) fn codes(root: &Section<'_>) -> Option<Codes> {
    let section = root.section("codes");
    let code = |key: &'static str, default| section.parsed(key, default, value::code);
    let codes = Codes {
        ready: code("ready", "*21")?,
        pause: code("pause", "*22")?,
        end_wrap_up: code("end_wrap_up", "*23")?,
        extend_wrap_up: code("extend_wrap_up", "*24")?,
        log_out: code("log_out", "*20")?,
        pause_reasons: pause_reasons(&section.section("pause_reasons")),
        listen: code("listen", "*81")?,
        whisper: code("whisper", "*82")?,
        join: code("join", "*83")?,
        help: code("help", "*9")?,
        recording: code("recording", "*7")?,
    };
    section.done();
    let named = named(&codes);
    for (n, (name, code)) in named.iter().enumerate() {
        let clash = named.iter().enumerate().find(|(m, (_, other))| {
            *m != n && code.starts_with(*other) && (other.len() < code.len() || *m < n)
        });
        if let Some((_, (other, _))) = clash {
            let what = Fit::CodeClash((*code).to_owned(), (*other).to_owned());
            section.error(name, what);
        }
    }
    Some(codes)
}

/// The codes by their keys.
pub(super) fn named(codes: &Codes) -> [(&'static str, &str); 10] {
    [
        ("ready", &codes.ready),
        ("pause", &codes.pause),
        ("end_wrap_up", &codes.end_wrap_up),
        ("extend_wrap_up", &codes.extend_wrap_up),
        ("log_out", &codes.log_out),
        ("listen", &codes.listen),
        ("whisper", &codes.whisper),
        ("join", &codes.join),
        ("help", &codes.help),
        ("recording", &codes.recording),
    ]
}

/// `[supervision]`.
pub(super) fn supervision(root: &Section<'_>) -> Option<Supervision> {
    let section = root.section("supervision");
    let names = SupervisionMode::ALL.map(SupervisionMode::name);
    let modes = section.list("modes", &names, |text| {
        let mode = SupervisionMode::ALL.into_iter().find(|mode| mode.name() == text);
        mode.ok_or_else(|| Value::NoMode(text.to_owned(), names.join(", ")).into())
    });
    let notices = [("none", Notice::None), ("tone", Notice::Tone)];
    let notice = section.choice("notice", "tone", &notices);
    let on_help =
        section.choice("on_help", "ring", &[("ring", OnHelp::Ring), ("tell", OnHelp::Tell)]);
    let help_ring_max = count(&section, "help_ring_max", 8, 1..=32);
    let ring_timeout = section.duration("ring_timeout", "20s", s(1)..=s(300));
    let key_timeout = section.duration("key_timeout", "3s", s(1)..=s(10));
    let counselor_sees_listener = section.flag("counselor_sees_listener", true);
    section.done();
    Some(Supervision {
        modes: modes?,
        notice: notice?,
        counselor_sees_listener,
        on_help: on_help?,
        help_ring_max: help_ring_max?,
        ring_timeout: ring_timeout?,
        key_timeout: key_timeout?,
    })
}

/// `[repeat]`.
pub(super) fn repeat(root: &Section<'_>) -> Option<Repeat> {
    let section = root.section("repeat");
    // No limit is longer than the shortest life of a key, so that none ends with its key.
    let limit = section.duration("limit", "12h", s(60)..=DAY);
    let max = count(&section, "max", 100, 1..=1_000);
    let key_life = section.duration("key_life", "7d", DAY..=DAY * 14);
    section.done();
    Some(Repeat { limit: limit?, max: max?, key_life: key_life? })
}

fn pause_reasons(section: &Section<'_>) -> BTreeMap<Digit, String> {
    const DEFAULTS: [(&str, &str); 4] =
        [("1", "休憩"), ("2", "記録"), ("3", "相談"), ("4", "研修")];
    let mut reasons = BTreeMap::new();
    let written = section.names();
    let keys = DEFAULTS.iter().map(|(key, _)| *key).filter(|_| !section.is_written());
    for key in keys.chain(written) {
        let default = DEFAULTS.iter().find(|(k, _)| *k == key).map_or("…", |(_, reason)| *reason);
        let Some(digit) = digit(key) else {
            section.error(key, Value::NoPhoneKey);
            continue;
        };
        if let Some(reason) = section.parsed(key, default, label) {
            reasons.insert(digit, reason);
        }
    }
    reasons
}

/// A key of a telephone, by its name in the file.
pub(super) fn digit(key: &str) -> Option<Digit> {
    let mut chars = key.chars();
    let (first, rest) = (chars.next()?, chars.next());
    if rest.is_some() { None } else { Digit::from_char(first) }
}

/// What people call something.
pub(super) fn label(text: &str) -> value::Read<String> {
    match text.chars().count() {
        1..=100 => Ok(text.to_owned()),
        0 => Err(Value::Empty.into()),
        n => Err(Value::Characters(n, 100).into()),
    }
}

/// `[prompts]`, of the service or of a line: keys are what is said, values are names of prompts.
/// Only the service's have defaults; a line that says nothing takes the service's.
pub(super) fn prompts(section: &Section<'_>) -> Prompts {
    let is_service = section.key("") == "prompts";
    let mut prompts = BTreeMap::new();
    for said in Said::ALL {
        if is_service || section.has(said.name()) {
            let prompt = section.parsed(said.name(), said.name(), value::prompt);
            prompts.extend(prompt.map(|prompt| (said, prompt)));
        }
    }
    for name in section.names() {
        let known = Said::ALL.map(Said::name);
        if !known.contains(&name) {
            section.error(name, Fit::NeverSaid(hint(name, known)));
        }
    }
    Prompts(prompts)
}

/// Whole days of a duration, at least one.
fn whole_days(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs() / 86_400).unwrap_or(u32::MAX).max(1)
}
