//! `prompts.toml`: what each prompt says, in which voice, under which licence.
//!
//! Owns the form of the file and its editing, which leaves comments and other entries as they are;
//! and what is wrong with a folder of prompts ([`Error`]). Knows no recordings.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::complaint::Cause;
use crate::media;

/// The manifest's file in a folder of prompts.
pub const FILE: &str = "prompts.toml";

/// The largest manifest.
const BYTES_MAX: u64 = 1 << 20;

/// The longest name of a prompt.
pub(super) const NAME_MAX: usize = 64;

/// The voice of an entry that names none; as `render.py` has it.
const VOICE: &str = "kokoro:jf_alpha";

/// The speed of an entry that names none; as `render.py` has it.
const SPEED: f64 = 0.95;

/// What is wrong with prompts or the making of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A name that no prompt may have.
    #[error(
        "{0}: a prompt's name has 1 to {NAME_MAX} of a-z, 0-9 and _, and its file ends in .wav"
    )]
    Name(String),
    /// The system refuses.
    #[error("{0}: {1}")]
    Io(PathBuf, Cause),
    /// Not a plain file.
    #[error("{0}: is no file")]
    NoFile(PathBuf),
    /// A file over the limit, in bytes.
    #[error("{0}: is larger than {1} bytes")]
    TooLarge(PathBuf, u64),
    /// A folder over the limit, in files.
    #[error("{0}: holds more than {1} WAV files")]
    TooMany(PathBuf, usize),
    /// A recording that can't be taken.
    #[error("{0}: {1}")]
    Audio(PathBuf, media::prompt::Error),
    /// A manifest that can't be read: the line, and what is wrong there.
    #[error("{0}:{1}: {2}")]
    Manifest(PathBuf, usize, String),
    /// No program that speaks.
    #[error(
        "no voice to render with: put render.sh into {0}, install open-jtalk with a voice, name a \
         command, or bring recordings with `koebashi prompts import`"
    )]
    NoVoice(PathBuf),
    /// A prompt that has no text to speak.
    #[error("{0}: [{1}] has no text that a voice can speak")]
    NoText(PathBuf, String),
    /// The program that speaks failed.
    #[error("{0}: {1} (rendering `{2}`)")]
    Voice(String, String, String),
}

impl Error {
    /// The system's refusal, with the path.
    pub fn io(path: &Path, error: &io::Error) -> Self {
        Self::Io(path.to_owned(), error.into())
    }
}

/// What is written down of one prompt. Other keys are left alone.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
pub struct Entry {
    /// What it says.
    #[serde(default)]
    pub text: String,
    /// What the voice reads, where it is not the text.
    pub reading: Option<String>,
    /// Who says it.
    pub voice: Option<String>,
    /// The speed of the voice.
    pub speed: Option<f64>,
    /// What a person must verify before it goes on air.
    pub check: Option<String>,
    /// The licence of the recording.
    pub licence: Option<String>,
    /// How long the recording is, in seconds.
    pub seconds: Option<f64>,
    /// The checksum of the recording's file, hex.
    pub sha256: Option<String>,
    /// Of what text and voice the recording was made; `None`: it was not made by a voice of ours.
    pub made_from: Option<String>,
}

/// The entries by name.
pub type Manifest = BTreeMap<String, Entry>;

impl Entry {
    /// What a voice has to read.
    pub fn reading(&self) -> &str {
        self.reading.as_deref().unwrap_or(&self.text)
    }

    /// What the recording's `made_from` is when it fits voice, speed and reading.
    pub fn source(&self) -> String {
        let voice = self.voice.as_deref().unwrap_or(VOICE);
        let speed = self.speed.unwrap_or(SPEED);
        let mut sum = sha256(format!("{voice}\n{speed:?}\n{}", self.reading()).as_bytes());
        sum.truncate(16);
        sum
    }

    /// The entry as the manifest holds it.
    fn print(&self, name: &str) -> String {
        let mut out = format!("[{name}]\n");
        let quoted = |text: &str| {
            let plain: String =
                text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            format!("\"{}\"", plain.replace('\\', "\\\\").replace('"', "\\\""))
        };
        let text = Some(quoted(&self.text));
        let string = |value: &Option<String>| value.as_deref().map(quoted);
        for (key, value) in [
            ("text", text),
            ("reading", string(&self.reading)),
            ("voice", string(&self.voice)),
            ("speed", self.speed.map(|speed| format!("{speed:?}"))),
            ("check", string(&self.check)),
            ("licence", string(&self.licence)),
            ("seconds", self.seconds.map(|seconds| format!("{seconds:.2}"))),
            ("sha256", string(&self.sha256)),
            ("made_from", string(&self.made_from)),
        ] {
            if let Some(value) = value {
                out.push_str(&format!("{key} = {value}\n"));
            }
        }
        out
    }
}

/// Whether a prompt may have this name; then it names nothing but a file of its folder.
pub fn is_name(name: &str) -> bool {
    let is_fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(is_fine)
}

/// Reads a manifest's text; `path` is for the complaints.
///
/// # Errors
/// When it is no TOML, an entry is no prompt's, or a name is none that a prompt may have.
pub fn parse(text: &str, path: &Path) -> Result<Manifest, Error> {
    let manifest: Manifest = toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        Error::Manifest(path.to_owned(), line, error.message().to_owned())
    })?;
    match manifest.keys().find(|name| !is_name(name)) {
        Some(name) => Err(Error::Name(format!("{}: [{name}]", path.display()))),
        None => Ok(manifest),
    }
}

/// The manifest of a folder; one that is not there has no entries.
///
/// # Errors
/// As [`parse`]'s, and when the file can't be read.
pub fn read(folder: &Path) -> Result<Manifest, Error> {
    parse(&read_text(folder)?, &folder.join(FILE))
}

/// The manifest's text; empty when it is not there.
///
/// # Errors
/// When it can't be read, is too large or no UTF-8.
pub fn read_text(folder: &Path) -> Result<String, Error> {
    let path = folder.join(FILE);
    if !path.try_exists().map_err(|error| Error::io(&path, &error))? {
        return Ok(String::new());
    }
    let bytes = read_limited(&path, BYTES_MAX)?;
    String::from_utf8(bytes).map_err(|_| Error::Manifest(path, 1, "is not UTF-8".to_owned()))
}

/// The text with this entry in place of the one of its name, or at the end. All else stays.
pub fn with_entry(text: &str, name: &str, entry: &Entry) -> String {
    let printed = entry.print(name);
    let mut out = String::new();
    let mut is_inside = false;
    let mut is_placed = false;
    for line in text.lines() {
        if line.starts_with('[') {
            is_inside = line.trim_end() == format!("[{name}]");
            if is_inside {
                is_placed = true;
                out.push_str(&printed);
                continue;
            }
        }
        let is_kept = line.is_empty() || line.starts_with('#');
        if !is_inside || is_kept {
            out.push_str(line);
            out.push('\n');
        }
    }
    if !is_placed {
        let gap = if out.is_empty() || out.ends_with("\n\n") { "" } else { "\n" };
        out.push_str(gap);
        out.push_str(&printed);
    }
    out
}

/// The text without the entry of this name. All else stays.
pub fn without_entry(text: &str, name: &str) -> String {
    let head = format!("[{name}]");
    let mut is_inside = false;
    let mut out = String::new();
    for line in text.lines() {
        if line.starts_with('[') {
            is_inside = line.trim_end() == head;
        }
        if !is_inside || line.starts_with('#') {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// The SHA-256 of these bytes, hex.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A file's bytes.
///
/// # Errors
/// When it is no file, larger than `limit` bytes, or can't be read.
pub fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let refuse = |error: io::Error| Error::io(path, &error);
    // Asked before it is opened: opening a pipe would wait for its writer.
    if !path.metadata().map_err(refuse)?.is_file() {
        return Err(Error::NoFile(path.to_owned()));
    }
    let mut bytes = vec![];
    File::open(path).map_err(refuse)?.take(limit + 1).read_to_end(&mut bytes).map_err(refuse)?;
    if bytes.len() as u64 > limit {
        return Err(Error::TooLarge(path.to_owned(), limit));
    }
    Ok(bytes)
}
