//! The prompts as files: those shipped inside the program, and the operator's folder over them.
//!
//! Owns which recordings there are ([`embedded`], [`load`], [`library`]) and what is known of them
//! ([`list`]). A file of the folder takes the place of the shipped one of its name. Making and
//! importing recordings is [`make`]'s, the texts are [`manifest`]'s; what is inside of a recording
//! the media plane knows. Reads and writes files, so none of it belongs on the loop.

pub mod decode;
pub mod make;
pub mod manifest;
#[cfg(test)]
mod tests;
mod wrong;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::media::Prompt;
use crate::media::prompt::{Clip, Library};
use manifest::{Error, Manifest, is_name, read_limited};

/// The largest file of the folder: ten minutes in the form that prompts are kept in.
pub const FILE_BYTES_MAX: u64 = 10 << 20;

/// How many files a folder may hold.
pub const FILES_MAX: usize = 1000;

/// A recording: borrowed from the program, or read from the folder.
pub type Recording = Cow<'static, [u8]>;

/// Name and bytes of each shipped recording.
macro_rules! shipped {
    ($($name:literal)*) => {
        [$((
            $name,
            include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/prompts/", $name, ".wav"))
                .as_slice(),
        )),*]
    };
}

static SHIPPED: [(&str, &[u8]); 54] = shipped!(
    "all_busy" "ask_186" "beep" "charge_notice" "closed" "closed_nijiiro" "closed_year_end"
    "closing_soon" "code_refused" "connecting" "counselor_lost" "draining" "fault" "goodbye" "help"
    "help_sent" "hold" "joined" "listening" "logged_out" "no_counselor" "not_recorded"
    "not_tonight" "paused"
    "please_wait" "position_1" "position_10" "position_2" "position_3" "position_4" "position_5"
    "position_6" "position_7" "position_8" "position_9" "position_more" "ready" "recording_ask"
    "recording_notice" "recording_paused" "recording_resumed" "still_waiting" "timed_out" "tone_15m"
    "tone_1m" "tone_5m" "tone_help" "tone_supervised" "tone_unsupervised" "welcome"
    "welcome_nijiiro" "whispering" "wrap_up_ended" "wrap_up_extended"
);

/// The text of the shipped manifest.
const SHIPPED_MANIFEST: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/prompts/prompts.toml"));

/// The shipped recordings, WAV files in the form that prompts are kept in, by name.
pub fn embedded() -> impl Iterator<Item = (&'static str, &'static [u8])> {
    SHIPPED.iter().copied()
}

/// What is known of the shipped recordings.
pub fn embedded_manifest() -> Manifest {
    manifest::parse(SHIPPED_MANIFEST, Path::new("prompts.toml")).unwrap_or_default()
}

/// The recordings by name: the shipped ones, and over them the WAV files of the folder. A folder
/// that is not there holds none.
///
/// # Errors
/// Every file of the folder that can't be taken: its name, its size, or that it can't be read.
pub fn load(folder: &Path) -> Result<BTreeMap<String, Recording>, Vec<Error>> {
    let (sources, mut errors) = sources(folder);
    let (found, unread) = read(sources);
    errors.extend(unread);
    if errors.is_empty() { Ok(found) } else { Err(errors) }
}

/// The recordings that are any good, ready to be played, and what is wrong with the others: as
/// [`load`]'s, and every recording that is not in the form that prompts are kept in. Where a file
/// is no good, the shipped recording of its name is there. Each that is `known`, by the file that
/// it is in or would be in, is not read.
pub fn library(
    folder: &Path,
    known: impl Fn(&Path, &Prompt) -> Option<Arc<Clip>>,
) -> (Library, Vec<Error>) {
    let mut ready = Library::default();
    let mut new = BTreeMap::new();
    let (sources, mut errors) = sources(folder);
    for (name, source) in sources {
        let prompt = Prompt(name.as_str().into());
        match known(&folder.join(format!("{name}.wav")), &prompt) {
            Some(clip) => ready = ready.with(prompt, clip),
            None => drop(new.insert(name, source)),
        }
    }
    let (found, unread) = read(new);
    let (mut found, bad) = clips(folder, found);
    errors.extend(unread.into_iter().chain(bad));
    if !errors.is_empty() {
        let is_lost = |name: &str| !found.contains_key(name) && ready.clip(&name.into()).is_none();
        let lost = embedded().filter(|(name, _)| is_lost(name));
        let lost = lost.map(|(name, bytes)| (name.to_owned(), Cow::Borrowed(bytes))).collect();
        found.extend(clips(folder, lost).0);
    }
    let with = |library: Library, (name, clip): (String, _)| {
        library.with(Prompt(name.into()), Arc::new(clip))
    };
    (found.into_iter().fold(ready, with), errors)
}

/// Where the bytes of a recording are.
enum Source {
    Shipped(&'static [u8]),
    File(PathBuf),
}

/// Where each recording is: the shipped ones, and over them the WAV files of the folder.
fn sources(folder: &Path) -> (BTreeMap<String, Source>, Vec<Error>) {
    let (own, errors) = own(folder);
    let own = own.into_iter().map(|(name, path)| (name, Source::File(path)));
    let shipped = embedded().map(|(name, bytes)| (name.to_owned(), Source::Shipped(bytes)));
    (shipped.chain(own).collect(), errors)
}

fn read(sources: BTreeMap<String, Source>) -> (BTreeMap<String, Recording>, Vec<Error>) {
    let (mut found, mut errors) = (BTreeMap::new(), vec![]);
    for (name, source) in sources {
        let bytes = match source {
            Source::Shipped(bytes) => Ok(Cow::Borrowed(bytes)),
            Source::File(path) => read_limited(&path, FILE_BYTES_MAX).map(Cow::Owned),
        };
        match bytes {
            Ok(bytes) => drop(found.insert(name, bytes)),
            Err(error) => errors.push(error),
        }
    }
    (found, errors)
}

/// Where a recording comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is inside of the program.
    Shipped,
    /// It is in the operator's folder, and not as shipped.
    Folder,
    /// There is none: only its text is known.
    Missing,
}

/// What is known of one prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Where its recording comes from.
    pub origin: Origin,
    /// How long it plays; zero when it is missing.
    pub length: Duration,
    /// Its level, dBFS RMS; `None` when it is missing or silent.
    pub level: Option<f64>,
    /// What it says; empty when nobody wrote that down.
    pub text: String,
    /// Who says it; `None` when nobody wrote that down.
    pub voice: Option<String>,
    /// What a person must verify before it goes on air.
    pub check: Option<String>,
}

/// Every prompt, by name.
///
/// # Errors
/// As [`library`]'s, and a manifest that can't be read.
pub fn list(folder: &Path) -> Result<Vec<Row>, Vec<Error>> {
    let shipped = embedded_manifest();
    let own = manifest::read(folder).map_err(|error| vec![error])?;
    let recordings = load(folder)?;
    let origins: BTreeMap<String, Origin> = recordings
        .iter()
        .map(|(name, bytes)| {
            let is_shipped = embedded().any(|(n, shipped)| n == name && shipped == bytes.as_ref());
            (name.clone(), if is_shipped { Origin::Shipped } else { Origin::Folder })
        })
        .collect();
    let (clips, errors) = clips(folder, recordings);
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for (name, clip) in &clips {
        let origin = origins.get(name).copied().unwrap_or(Origin::Shipped);
        let known = match origin {
            Origin::Shipped => own.get(name).or_else(|| shipped.get(name)),
            Origin::Folder | Origin::Missing => own.get(name),
        };
        let mut row = Row::missing(name, known);
        row.origin = origin;
        row.length = clip.duration();
        row.level = level(clip.pcm());
        rows.insert(name.clone(), row);
    }
    for (name, entry) in &own {
        rows.entry(name.clone()).or_insert_with(|| Row::missing(name, Some(entry)));
    }
    Ok(rows.into_values().collect())
}

/// What each prompt that is there says, where somebody wrote that down. A file that can't be read
/// says nothing.
pub fn texts(folder: &Path) -> BTreeMap<Prompt, String> {
    let (own, shipped) = (manifest::read(folder).unwrap_or_default(), embedded_manifest());
    let is_shipped = |name: &str, source: &Source| match source {
        Source::Shipped(_) => true,
        Source::File(path) => embedded().any(|(known, bytes)| {
            known == name && read_limited(path, FILE_BYTES_MAX).is_ok_and(|own| own == bytes)
        }),
    };
    let text = |(name, source): (String, Source)| {
        let shipped = || shipped.get(&name).filter(|_| is_shipped(&name, &source));
        let text = own.get(&name).or_else(shipped)?.text.clone();
        (!text.is_empty()).then(|| (Prompt(name.into()), text))
    };
    sources(folder).0.into_iter().filter_map(text).collect()
}

/// The rows as text for people, one line each.
pub fn table(rows: &[Row]) -> String {
    let mut out = String::new();
    for row in rows {
        let level = row.level.map_or_else(|| "-".to_owned(), |level| format!("{level:.0} dB"));
        let mark = match row.origin {
            Origin::Shipped => "",
            Origin::Folder => "(own) ",
            Origin::Missing => "(missing; `koebashi prompts render` makes it) ",
        };
        let check = row.check.as_ref().map(|check| format!("  [{check}]")).unwrap_or_default();
        let length = row.length.as_secs_f64();
        let name = &row.name;
        let text = &row.text;
        out.push_str(&format!("{name:18} {length:6.2} s {level:>7}  {mark}{text}{check}\n"));
    }
    out
}

impl Row {
    fn missing(name: &str, known: Option<&manifest::Entry>) -> Self {
        Self {
            name: name.to_owned(),
            origin: Origin::Missing,
            length: Duration::ZERO,
            level: None,
            text: known.map(|entry| entry.text.clone()).unwrap_or_default(),
            voice: known.and_then(|entry| entry.voice.clone()),
            check: known.and_then(|entry| entry.check.clone()),
        }
    }
}

/// dBFS RMS; `None`: nothing is to be heard.
pub fn level(pcm: &[i16]) -> Option<f64> {
    let power: f64 = pcm.iter().map(|s| f64::from(*s) * f64::from(*s)).sum();
    let full = 32_768.0 * 32_768.0;
    (power > 0.0).then(|| 10.0 * (power / pcm.len() as f64 / full).log10())
}

/// Every processor does its share: at a start after a crash, callers wait for it.
fn clips(
    folder: &Path,
    recordings: BTreeMap<String, Recording>,
) -> (BTreeMap<String, Clip>, Vec<Error>) {
    let recordings: Vec<_> = recordings.into_iter().collect();
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let share = recordings.len().div_ceil(threads).max(1);
    let read = |recordings: &[(String, Recording)]| -> Vec<_> {
        recordings.iter().map(|(_, bytes)| Clip::from_wav(bytes)).collect()
    };
    let clips_read: Vec<_> = thread::scope(|scope| {
        let shares = recordings.chunks(share).map(|it| scope.spawn(move || read(it)));
        let shares: Vec<_> = shares.collect();
        shares.into_iter().flat_map(|it| it.join().unwrap_or_else(|p| resume_unwind(p))).collect()
    });
    let mut clips = BTreeMap::new();
    let mut errors = vec![];
    for ((name, _), clip) in recordings.into_iter().zip(clips_read) {
        match clip {
            Ok(clip) => drop(clips.insert(name, clip)),
            Err(error) => {
                errors.push(Error::Audio(folder.join(format!("{name}.wav")), error));
            }
        }
    }
    (clips, errors)
}

/// The WAV files of the folder, by name.
fn own(folder: &Path) -> (BTreeMap<String, PathBuf>, Vec<Error>) {
    let mut found = BTreeMap::new();
    let mut errors = vec![];
    let files = match fs::read_dir(folder) {
        Ok(files) => files,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return (found, errors),
        Err(error) => return (found, vec![Error::io(folder, &error)]),
    };
    for file in files {
        let path = match file {
            Ok(file) => file.path(),
            Err(error) => {
                errors.push(Error::io(folder, &error));
                break;
            }
        };
        let is_wav = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("wav"));
        let stem = path.file_stem().map(std::ffi::OsStr::to_string_lossy).unwrap_or_default();
        // A dot: being written by `make`, or somebody's hidden file.
        if !is_wav || stem.starts_with('.') {
            continue;
        }
        if found.len() + errors.len() >= FILES_MAX {
            errors.push(Error::TooMany(folder.to_owned(), FILES_MAX));
            break;
        }
        if !is_name(&stem) || path.extension().is_some_and(|end| end != "wav") {
            errors.push(Error::Name(path.display().to_string()));
            continue;
        }
        found.insert(stem.into_owned(), path);
    }
    (found, errors)
}
