//! The configuration: TOML in, each module's own `Config` out, or everything that is wrong with it.
//!
//! Owns reading ([`load`], [`parse`]), the checks that need the prompts ([`check()`]), and what
//! differs between two configurations ([`changes`]). `config/default.toml` is its manual. Does not
//! own what the values mean (the modules' `Config`s do) nor when a file is read again (the shell).
//!
//! An empty file is a whole configuration: see [`DEMO_PASSWORD`].

mod check;
mod console;
mod contacts;
mod counselors;
mod diff;
pub mod edit;
mod guidance;
mod lines;
mod mask;
mod nearest;
mod opening;
pub mod ready;
mod reports;
mod secrets;
mod service;
mod sheet;
mod tls;
mod trunks;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;

pub use check::{GUIDANCE_MAX, check, guidance_length};
pub use console::Console;
pub use contacts::Contacts;
pub use diff::{Change, changes, waits};
pub use mask::masked;
pub use opening::{Mail, MailTls, Notify, Opening};
pub use reports::Reports;

use crate::complaint::{Cause, Complaint, File, Fit, Severity, Syntax};
use crate::pii::Pii;
use crate::{call, media, shell, sip, store};
use sheet::{Section, Sheet};

/// The password of extension 101 in the demo that an empty file opens. Everyone knows it, so it
/// works on loopback only.
pub const DEMO_PASSWORD: &str = "koebashi-demo";

/// What is added to a file that names no trunk, no line and no counselor.
const DEMO: &str = r#"
[[trunk]]
id = "demo"
peers = ["127.0.0.1", "::1"]
[[line]]
id = "demo"
name = "Demo"
numbers = ["0570000000"]
[[counselor]]
extension = "101"
name = "Demo"
password = "koebashi-demo"
lines = ["demo"]
"#;

/// The longest file that is read, in bytes.
const MAX_FILE: usize = 4 << 20;

/// A whole configuration.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// For the path of a call. Its prompt lengths are empty: the shell fills them from the library.
    pub call: call::config::Config,
    /// For the SIP stack.
    pub sip: sip::Config,
    /// For the handshakes of SIP over TLS; `None` without a certificate.
    pub tls: Option<Arc<shell::sip_socket::tls::Tls>>,
    /// Other files that were read and may change by themselves: certificates.
    pub files: Vec<PathBuf>,
    /// For the media plane.
    pub media: media::Config,
    /// For the program around them.
    pub shell: shell::Config,
    /// For the pages.
    pub console: Console,
    /// What counselors can say of a call.
    pub contacts: Contacts,
    /// For the figures.
    pub reports: Reports,
    /// For the checks before a line opens.
    pub opening: Opening,
    /// For the database.
    pub store: store::Config,
    /// What looks wrong but can be run.
    pub warnings: Vec<Complaint>,
    /// The effective value of every key, written or by default, by its full name
    /// (`line.nijiiro.queue.max_wait`).
    pub settings: BTreeMap<String, Setting>,
    file: String,
    places: BTreeMap<String, usize>,
}

/// The effective value of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// May be shown.
    Shown(String),
    /// A password or what stands for one.
    Secret(Pii),
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shown(text) => f.write_str(text),
            Self::Secret(_) => f.write_str("(secret)"),
        }
    }
}

/// Reads a file. Paths of password files and certificates are relative to its folder.
///
/// # Errors
/// Everything that is wrong with it, in order of lines.
pub fn load(path: &Path) -> Result<Loaded, Vec<Complaint>> {
    let file = path.display().to_string();
    let refuse = |line, what| vec![Complaint::error(&file, line, what)];
    let unreadable = |error| refuse(None, File::Unreadable(Cause::from(&error)));
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        refuse(Some(line), File::NoUtf8)
    })?;
    parse(&text, &file, path.parent().unwrap_or_else(|| Path::new("")))
}

/// Reads a file that need not be there: when it is missing, the demo opens as with an empty file,
/// and a warning says so.
///
/// # Errors
/// Everything that is wrong with it, in order of lines.
pub fn load_or_demo(path: &Path) -> Result<Loaded, Vec<Complaint>> {
    match path.try_exists() {
        Ok(true) | Err(_) => load(path),
        Ok(false) => {
            let file = path.display().to_string();
            let mut loaded = parse("", &file, path.parent().unwrap_or_else(|| Path::new("")))?;
            let warning = Complaint::error(file, None, File::DemoOpens);
            loaded.warnings.push(Complaint { severity: Severity::Warning, ..warning });
            Ok(loaded)
        }
    }
}

/// Reads a text. `file` names it in complaints, `base_dir` is where relative password files
/// and certificates lie.
///
/// # Errors
/// Everything that is wrong with it, in order of lines.
pub fn parse(text: &str, file: &str, base_dir: &Path) -> Result<Loaded, Vec<Complaint>> {
    parse_for(Reader::Anybody, text, file, base_dir)
}

/// The same for a service that others wait for: whoever has their password in a file that can't be
/// read has none.
///
/// # Errors
/// As [`parse`].
pub fn parse_anyway(text: &str, file: &str, base_dir: &Path) -> Result<Loaded, Vec<Complaint>> {
    parse_for(Reader::Awaited, text, file, base_dir)
}

/// Who reads a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    Anybody,
    /// A service that has to begin.
    Awaited,
}

fn parse_for(
    reader: Reader,
    text: &str,
    file: &str,
    base_dir: &Path,
) -> Result<Loaded, Vec<Complaint>> {
    if text.len() > MAX_FILE {
        return Err(vec![Complaint::error(file, None, File::TooBig(text.len(), MAX_FILE))]);
    }
    let written = table(text, file)?;
    let is_demo = ["trunk", "line", "counselor"].iter().all(|key| !written.contains_key(*key));
    if !is_demo {
        return read(reader, text, file, base_dir, false);
    }
    let text = format!("{text}\n{DEMO}");
    read(reader, &text, file, base_dir, true)
}

/// The text as TOML.
fn table<'t>(text: &'t str, file: &str) -> Result<DeTable<'t>, Vec<Complaint>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(table.into_inner());
    }
    let sheet = Sheet::new(file, text);
    let said = errors.iter().map(|error| {
        let line = error.span().map(|span| sheet.line(span.start));
        (line, error.message().replace('\n', "; "))
    });
    let mut said: Vec<_> = said.collect();
    said.sort_by_key(|(line, _)| *line);
    said.dedup();
    for (line, what) in said {
        sheet.complain(Severity::Error, "", line, File::NotToml(Syntax(what)));
    }
    Err(sheet.into_found().complaints)
}

/// What the readers of the sections have in common.
struct Context<'a> {
    reader: Reader,
    /// Where relative password files lie.
    base_dir: &'a Path,
    /// Whether every SIP socket is on loopback: only then known passwords are good enough.
    is_loopback: bool,
    /// Realm of the extensions.
    domain: &'a str,
    /// Zone of every local time.
    timezone: chrono_tz::Tz,
}

/// A print of a configuration's text: calls that outlive the process are told it, and find it again
/// among the versions that were in force.
pub fn version(text: &str) -> u64 {
    use sha2::Digest;
    let print = sha2::Sha256::digest(text.as_bytes());
    print.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn read(
    reader: Reader,
    text: &str,
    file: &str,
    base_dir: &Path,
    is_demo: bool,
) -> Result<Loaded, Vec<Complaint>> {
    let table = table(text, file)?;
    let sheet = Sheet::new(file, text);
    let loaded = read_root(reader, &Section::root(&sheet, &table), base_dir, is_demo);
    let found = sheet.into_found();
    let is_refused = found.complaints.iter().any(|c| c.severity == Severity::Error);
    match loaded {
        Some(loaded) if !is_refused => Ok(Loaded {
            call: call::config::Config { version: version(text), ..loaded.call },
            warnings: found.complaints,
            settings: found.settings,
            places: found.places,
            file: file.to_owned(),
            ..loaded
        }),
        Some(_) | None => Err(found.complaints),
    }
}

/// Reads every section. `None` only where something was complained about.
fn read_root(reader: Reader, root: &Section<'_>, base_dir: &Path, is_demo: bool) -> Option<Loaded> {
    let service = service::service(root);
    let sip = service::sip(root);
    let media = service::media(root);
    let console = console::console(root);
    let contacts = contacts::contacts(root);
    let reports = reports::reports(root);
    let codes = service::codes(root);
    let supervision = service::supervision(root);
    let repeat = service::repeat(root);
    let prompts = service::prompts(&root.section("prompts"));
    let (service, (sip, sockets, tls)) = (service?, sip?);
    let context = Context {
        reader,
        base_dir,
        is_loopback: sip.listen.iter().all(|(_, socket)| socket.ip().is_loopback()),
        domain: &sip.domain,
        timezone: service.timezone,
    };
    if is_demo && !context.is_loopback {
        root.error("sip.listen", Fit::DemoElsewhere);
        return None;
    }
    let trunks = trunks::trunks(root, &context);
    let lines = lines::lines(root, &context);
    let counselors = counselors::counselors(root, &context);
    let opening = opening::opening(root, &context);
    root.done();
    let call = call::config::Config {
        timezone: service.timezone,
        trunks,
        lines,
        counselors,
        codes: codes?,
        supervision: supervision?,
        prompts,
        prompt_lengths: BTreeMap::new(),
        limits: service.limits,
        repeat: repeat?,
        version: 0,
    };
    let tls::Made { tls, files } = tls::make(root, &tls, &sip, &call, base_dir);
    check::keys(root, &call, &sip.listen);
    check::whole(root, &call, &media.as_ref()?.ports, &service.shell.recorder);
    let dscp = call.trunks.values().next().map_or(sockets.dscp, |trunk| trunk.dscp_sip);
    let sockets = shell::sip_socket::Limits { dscp, ..sockets };
    Some(Loaded {
        call,
        sip,
        tls,
        files,
        media: media::Config { silent_after: call::config::SILENCE, ..media? },
        shell: shell::Config { sockets, ..service.shell },
        console: console?,
        contacts: contacts?,
        reports,
        opening: opening?,
        store: service.store,
        warnings: Vec::new(),
        settings: BTreeMap::new(),
        file: String::new(),
        places: BTreeMap::new(),
    })
}

impl Loaded {
    /// The file that it was read from, as it was named.
    pub fn file(&self) -> &Path {
        Path::new(&self.file)
    }
}

/// The line of a key, or of the innermost table around it that is written.
fn place(places: &BTreeMap<String, usize>, key: &str) -> Option<usize> {
    let mut key = key;
    loop {
        if let Some(line) = places.get(key) {
            return Some(*line);
        }
        key = key.rsplit_once('.')?.0;
    }
}

#[cfg(test)]
mod tests;
