//! New recordings: brought from elsewhere ([`import`]) or spoken by a voice ([`render`]).
//!
//! Owns the writing into the folder of prompts: a recording and its entry, each in one step, so
//! that a running service never reads half a file. Bringing a recording to our form is the media
//! plane's, the voice is a program of the operator's choice.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::manifest::{self, Entry, Error, Manifest, is_name, read_limited};
use crate::media::prompt::{self, BYTES_MAX, RATE};

/// How long a voice may take for one prompt.
const VOICE_LIMIT: Duration = Duration::from_secs(300);

/// How often it is looked whether the voice is through.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Where Debian keeps the dictionary of Open JTalk, and voices.
const JTALK_DICTIONARY: &str = "/var/lib/mecab/dic/open-jtalk/naist-jdic";
const JTALK_VOICES: &str = "/usr/share/hts-voice";

/// Brings a recording (WAV of any usual kind) into the folder as `NAME.wav`, and writes it down.
/// `text` is what it says; `None`: what is written down stays. Returns how long it plays.
///
/// # Errors
/// When the name is none that a prompt may have, the recording can't be taken, or the folder can't
/// be written.
pub fn import(
    folder: &Path,
    file: &Path,
    name: &str,
    text: Option<&str>,
) -> Result<Duration, Error> {
    if !is_name(name) {
        return Err(Error::Name(name.to_owned()));
    }
    let samples = convert(file)?;
    let mut entry = manifest::read(folder)?.remove(name).unwrap_or_default();
    let text = text.map_or(entry.text, str::to_owned);
    entry = Entry { text, check: entry.check, ..Entry::default() };
    entry.voice = Some("recording".to_owned());
    keep(folder, name, &samples, entry)
}

/// Lets a voice speak the prompts of the folder's manifest that have no recording, or one of an
/// older text; shipped recordings of the same text count. `command` is a program with its
/// arguments: it gets the text on its standard input and, as last argument, the WAV file to write.
/// `None`: the folder's `render.sh`, else Open JTalk. `on_made` hears of each prompt as it is made.
/// Returns how many were made.
///
/// # Errors
/// At the first prompt that can't be made; those made before are kept.
pub fn render(
    folder: &Path,
    command: Option<&[OsString]>,
    mut on_made: impl FnMut(&str, Duration),
) -> Result<usize, Error> {
    let wanted = wanted(folder, &manifest::read(folder)?, &super::embedded_manifest());
    if wanted.is_empty() {
        return Ok(0);
    }
    let command = match command {
        Some(command) => command.to_vec(),
        None => voice(folder).ok_or_else(|| Error::NoVoice(folder.to_owned()))?,
    };
    for (name, entry) in &wanted {
        let length = speak(folder, &command, name, entry)?;
        on_made(name, length);
    }
    Ok(wanted.len())
}

/// The entries that want a recording.
fn wanted(folder: &Path, own: &Manifest, shipped: &Manifest) -> Vec<(String, Entry)> {
    let is_wanted = |(name, entry): &(&String, &Entry)| {
        if folder.join(format!("{name}.wav")).exists() {
            entry.made_from.as_ref().is_some_and(|from| *from != entry.source())
        } else {
            shipped.get(*name).is_none_or(|shipped| shipped.reading() != entry.reading())
        }
    };
    let owned = |(name, entry): (&String, &Entry)| (name.clone(), entry.clone());
    own.iter().filter(is_wanted).map(owned).collect()
}

/// The program to speak with when none was named.
fn voice(folder: &Path) -> Option<Vec<OsString>> {
    let script = folder.join("render.sh");
    if script.is_file() {
        return Some(vec![script.into(), "--speak".into()]);
    }
    let path = std::env::var_os("PATH")?;
    let program = std::env::split_paths(&path).map(|dir| dir.join("open_jtalk"));
    let program = program.into_iter().find(|program| program.is_file())?;
    let voices = fs::read_dir(JTALK_VOICES).ok()?.flatten().map(|found| found.path());
    let within = |found: PathBuf| fs::read_dir(&found).into_iter().flatten().flatten();
    let mut voices: Vec<_> = voices.flat_map(|dir| within(dir).map(|file| file.path())).collect();
    voices.retain(|file| file.extension().is_some_and(|end| end == "htsvoice"));
    voices.sort();
    let voice = voices.into_iter().next()?;
    let dictionary = JTALK_DICTIONARY.into();
    Some(vec![program.into(), "-x".into(), dictionary, "-m".into(), voice.into(), "-ow".into()])
}

fn speak(
    folder: &Path,
    command: &[OsString],
    name: &str,
    entry: &Entry,
) -> Result<Duration, Error> {
    let is_tone = entry.voice.as_ref().is_some_and(|voice| voice.starts_with("tone:"));
    if entry.reading().trim().is_empty() || is_tone {
        return Err(Error::NoText(folder.join(manifest::FILE), name.to_owned()));
    }
    let out = folder.join(format!(".{name}.raw.wav"));
    let made = run(command, &out, name, entry.reading()).and_then(|()| convert(&out));
    // Whether or not there is one: nothing of it is to stay.
    drop(fs::remove_file(&out));
    let program = command.first().map(Path::new).and_then(Path::file_name).unwrap_or_default();
    let voice = Some(program.to_string_lossy().into_owned());
    let mut entry = Entry { voice, licence: Some("that of the voice".to_owned()), ..entry.clone() };
    entry.made_from = Some(entry.source());
    keep(folder, name, &made?, entry)
}

/// Lets the program speak into `out`.
fn run(command: &[OsString], out: &Path, name: &str, text: &str) -> Result<(), Error> {
    let program = command.first().map(|p| p.to_string_lossy().into_owned()).unwrap_or_default();
    let fail = |what: String| Error::Voice(program.clone(), what, name.to_owned());
    let mut child = Command::new(command.first().map(OsString::as_os_str).unwrap_or_default())
        .args(command.iter().skip(1))
        .arg(out)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| fail(error.to_string()))?;
    // A program that does not read its text shows by what it writes, or by its exit.
    if let Some(mut stdin) = child.stdin.take() {
        drop(stdin.write_all(text.as_bytes()).and_then(|()| stdin.write_all(b"\n")));
    }
    match wait(&mut child) {
        Ok(Some(status)) if status.success() => Ok(()),
        Ok(Some(status)) => Err(fail(status.to_string())),
        Ok(None) => Err(fail(format!("took longer than {} s", VOICE_LIMIT.as_secs()))),
        Err(error) => Err(fail(error.to_string())),
    }
}

/// The program's exit; `None`: it took too long and was ended.
fn wait(child: &mut Child) -> std::io::Result<Option<ExitStatus>> {
    let mut waited = Duration::ZERO;
    while waited < VOICE_LIMIT {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(LOOK_EVERY);
        waited += LOOK_EVERY;
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

fn convert(file: &Path) -> Result<Vec<i16>, Error> {
    let bytes = read_limited(file, BYTES_MAX as u64)?;
    prompt::import(&bytes).map_err(|error| Error::Audio(file.to_owned(), error))
}

/// Writes the recording and then its entry.
fn keep(folder: &Path, name: &str, samples: &[i16], entry: Entry) -> Result<Duration, Error> {
    let path = folder.join(format!("{name}.wav"));
    let wav = wav(samples).map_err(|error| Error::Audio(path.clone(), error.into()))?;
    let length = Duration::from_secs_f64(samples.len() as f64 / f64::from(RATE));
    let facts = Entry {
        seconds: Some(length.as_secs_f64()),
        sha256: Some(manifest::sha256(&wav)),
        ..entry
    };
    let text = manifest::with_entry(&manifest::read_text(folder)?, name, &facts);
    // What was written must be read again, or the folder would be spoiled.
    manifest::parse(&text, &folder.join(manifest::FILE))?;
    fs::create_dir_all(folder).map_err(|error| Error::io(folder, &error))?;
    replace(&path, &wav)?;
    replace(&folder.join(manifest::FILE), text.as_bytes())?;
    Ok(length)
}

fn wav(samples: &[i16]) -> Result<Vec<u8>, hound::Error> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut bytes = Cursor::new(vec![]);
    let mut writer = hound::WavWriter::new(&mut bytes, spec)?;
    samples.iter().try_for_each(|sample| writer.write_sample(*sample))?;
    writer.finalize()?;
    Ok(bytes.into_inner())
}

/// Puts a file in the place of another (or none), whole or not at all.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let part = path.with_file_name(format!(".{name}.part"));
    let write = || {
        let mut file = File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)
    };
    write().map_err(|error| {
        drop(fs::remove_file(&part));
        Error::io(path, &error)
    })
}
