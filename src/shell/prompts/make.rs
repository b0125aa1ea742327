//! New recordings: brought from elsewhere ([`import`]) or spoken by a voice ([`render`]).
//!
//! Owns the writing into the folder of prompts: a recording and its entry, each in one step, so
//! that a running service never reads half a file. Bringing a recording to our form is the media
//! plane's, the voice is a program of the operator's choice.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Cursor, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::manifest::{self, Entry, Error, Manifest, is_name, read_limited};
use crate::media::prompt::{self, BYTES_MAX, Clip, RATE};

/// How long a voice may take for one prompt.
const VOICE_LIMIT: Duration = Duration::from_secs(300);

/// How long a script may take to say whether its voice is there.
const READY_LIMIT: Duration = Duration::from_secs(5);

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
/// older text; shipped recordings of the same text count. `command` is asked for a program with its
/// arguments once there is something to speak: it gets the text on its standard input and, as last
/// argument, the WAV file to write. `on_made` hears of each prompt as it is made. Returns how many
/// were made.
///
/// # Errors
/// When there is no program, and at the first prompt that can't be made; those made before are
/// kept.
pub fn render(
    folder: &Path,
    command: impl FnOnce() -> Result<Vec<OsString>, Error>,
    mut on_made: impl FnMut(&str, Duration),
) -> Result<usize, Error> {
    let wanted = wanted(folder, &manifest::read(folder)?, &super::embedded_manifest());
    if wanted.is_empty() {
        return Ok(0);
    }
    let command = command()?;
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

/// The program to speak with: the one that is named, else the folder's `render.sh`, else Open
/// JTalk with the voice in `file` (`None`: one where Debian keeps them).
///
/// # Errors
/// When there is none.
pub fn voice(folder: &Path, named: &[String], file: Option<&Path>) -> Result<Vec<OsString>, Error> {
    if !named.is_empty() {
        return Ok(named.iter().map(OsString::from).collect());
    }
    let script = folder.join("render.sh");
    if script.is_file() {
        return Ok(vec![script.into(), "--speak".into()]);
    }
    open_jtalk(file).ok_or_else(|| Error::NoVoice(folder.to_owned()))
}

/// A program to speak with at once, as somebody waits: the one that is named, else Open JTalk,
/// else the folder's `render.sh` where its voice is there already. Nothing is installed.
///
/// # Errors
/// When there is none.
pub fn voice_at_hand(
    folder: &Path,
    named: &[String],
    file: Option<&Path>,
) -> Result<Vec<OsString>, Error> {
    if !named.is_empty() {
        return voice(folder, named, file);
    }
    let script = || ready_script(folder).map(|script| vec![script.into(), "--speak".into()]);
    open_jtalk(file).or_else(script).ok_or_else(|| Error::NoVoice(folder.to_owned()))
}

/// The folder's `render.sh`, where it says that it needs to install nothing.
fn ready_script(folder: &Path) -> Option<PathBuf> {
    let script = folder.join("render.sh");
    let ask: [OsString; 2] = [script.clone().into(), "--ready".into()];
    let is_ready =
        script.is_file() && run(&ask, READY_LIMIT, &folder.join(".ready"), "", "").is_ok();
    is_ready.then_some(script)
}

/// Where a program of this name is.
fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|program| program.is_file())
}

fn open_jtalk(file: Option<&Path>) -> Option<Vec<OsString>> {
    let program = installed("open_jtalk")?;
    let voice = file.map(Path::to_owned).or_else(debian_voice)?;
    let dictionary = JTALK_DICTIONARY.into();
    Some(vec![program.into(), "-x".into(), dictionary, "-m".into(), voice.into(), "-ow".into()])
}

/// The first voice where Debian keeps them.
fn debian_voice() -> Option<PathBuf> {
    let voices = fs::read_dir(JTALK_VOICES).ok()?.flatten().map(|found| found.path());
    let within = |found: PathBuf| fs::read_dir(&found).into_iter().flatten().flatten();
    let mut voices: Vec<_> = voices.flat_map(|dir| within(dir).map(|file| file.path())).collect();
    voices.retain(|file| file.extension().is_some_and(|end| end == "htsvoice"));
    voices.sort();
    voices.into_iter().next()
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
    let made = say(command, VOICE_LIMIT, &out, name, entry.reading());
    let voice = Some(program_name(command));
    let mut entry = Entry { voice, licence: Some("that of the voice".to_owned()), ..entry.clone() };
    entry.made_from = Some(entry.source());
    keep(folder, name, &made?, entry)
}

/// What the voice is called: its program.
pub fn program_name(command: &[OsString]) -> String {
    let program = command.first().map(Path::new).and_then(Path::file_name).unwrap_or_default();
    program.to_string_lossy().into_owned()
}

/// Lets a program speak a text, and brings what it wrote into `out` to our form. Nothing of `out`
/// stays. The program runs when nobody else needs the processor, and is ended with all that it has
/// started when it takes longer than `limit` or writes more than can be read. What it says on its
/// standard output goes nowhere. `name` is for the complaint.
///
/// # Errors
/// When it fails, takes too long, or writes nothing that can be used.
pub fn say(
    command: &[OsString],
    limit: Duration,
    out: &Path,
    name: &str,
    text: &str,
) -> Result<Vec<i16>, Error> {
    let made = run(command, limit, out, name, text).and_then(|()| convert(out));
    // Whether or not there is one: nothing of it is to stay.
    drop(fs::remove_file(out));
    made
}

/// Lets the program speak into `out`.
fn run(
    command: &[OsString],
    limit: Duration,
    out: &Path,
    name: &str,
    text: &str,
) -> Result<(), Error> {
    let program = command.first().map(|p| p.to_string_lossy().into_owned()).unwrap_or_default();
    let fail = |what: String| Error::Voice(program.clone(), what, name.to_owned());
    let mut child = calm(command)
        .arg(out)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        // A group of its own, to be ended with all that it starts.
        .process_group(0)
        .spawn()
        .map_err(|error| fail(error.to_string()))?;
    // A program that does not read its text shows by what it writes, or by its exit.
    if let Some(mut stdin) = child.stdin.take() {
        drop(stdin.write_all(text.as_bytes()).and_then(|()| stdin.write_all(b"\n")));
    }
    match wait(&mut child, limit, out) {
        Ok(End::Exit(status)) if status.success() => Ok(()),
        Ok(End::Exit(status)) => Err(fail(status.to_string())),
        Ok(End::TooSlow) => Err(fail(format!("took longer than {} s", limit.as_secs()))),
        Ok(End::TooMuch) => Err(fail(format!("wrote more than {BYTES_MAX} bytes"))),
        Err(error) => Err(fail(error.to_string())),
    }
}

/// The command, run by `nice` where that is installed and the program is there: a program that is
/// not is to be named by the system, not by `nice`.
fn calm(command: &[OsString]) -> Command {
    let program = command.first().map(OsString::as_os_str).unwrap_or_default();
    let is_there = match Path::new(program).components().count() {
        1 => installed(&program.to_string_lossy()).is_some(),
        _ => Path::new(program).is_file(),
    };
    let mut calm = match installed("nice").filter(|_| is_there) {
        Some(nice) => {
            let mut calm = Command::new(nice);
            calm.args(["-n", "15", "--"]).arg(program);
            calm
        }
        None => Command::new(program),
    };
    calm.args(command.iter().skip(1));
    calm
}

/// How the program came to its end.
enum End {
    /// By itself.
    Exit(ExitStatus),
    /// It took too long and was ended.
    TooSlow,
    /// It filled the disk and was ended.
    TooMuch,
}

/// Waits for the program's end, or ends it with all that it has started.
fn wait(child: &mut Child, limit: Duration, out: &Path) -> std::io::Result<End> {
    let until = Instant::now() + limit;
    let end = loop {
        if let Some(status) = child.try_wait()? {
            return Ok(End::Exit(status));
        }
        if fs::metadata(out).is_ok_and(|data| data.len() > BYTES_MAX as u64) {
            break End::TooMuch;
        }
        if Instant::now() >= until {
            break End::TooSlow;
        }
        std::thread::sleep(LOOK_EVERY);
    };
    if let Ok(group) = i32::try_from(child.id()) {
        // The group is gone where all of it has ended in this moment.
        killpg(Pid::from_raw(group), Signal::SIGKILL).ok();
    }
    child.kill()?;
    child.wait()?;
    Ok(end)
}

fn convert(file: &Path) -> Result<Vec<i16>, Error> {
    let bytes = read_limited(file, BYTES_MAX as u64)?;
    prompt::import(&bytes).map_err(|error| Error::Audio(file.to_owned(), error))
}

/// Writes a recording in our form and then its entry; a shipped recording as it is shipped.
/// Returns how long it plays.
///
/// # Errors
/// When the name is none that a prompt may have, or the folder can't be written.
pub fn keep(folder: &Path, name: &str, samples: &[i16], entry: Entry) -> Result<Duration, Error> {
    if !is_name(name) {
        return Err(Error::Name(name.to_owned()));
    }
    let path = folder.join(format!("{name}.wav"));
    let shipped = super::embedded().find(|(shipped, bytes)| {
        *shipped == name && Clip::from_wav(bytes).is_ok_and(|clip| clip.pcm() == samples)
    });
    let wav = match shipped {
        Some((_, bytes)) => bytes.to_vec(),
        None => wav(samples).map_err(|error| Error::Audio(path.clone(), error.into()))?,
    };
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

/// What the folder holds of one prompt, to be put back.
#[derive(Clone, Debug)]
pub struct Held {
    recording: Option<Vec<u8>>,
    manifest: Option<Vec<u8>>,
}

/// What the folder holds of a prompt.
///
/// # Errors
/// When it can't be read.
pub fn held(folder: &Path, name: &str) -> Result<Held, Error> {
    let read = |file: String, limit| {
        let path = folder.join(file);
        let is_there = path.try_exists().map_err(|error| Error::io(&path, &error))?;
        is_there.then(|| read_limited(&path, limit)).transpose()
    };
    Ok(Held {
        recording: read(format!("{name}.wav"), super::FILE_BYTES_MAX)?,
        manifest: read(manifest::FILE.to_owned(), BYTES_MAX as u64)?,
    })
}

/// Puts back what the folder held.
///
/// # Errors
/// When it can't be written.
pub fn put_back(folder: &Path, name: &str, held: &Held) -> Result<(), Error> {
    let put = |file: String, bytes: &Option<Vec<u8>>| match bytes {
        Some(bytes) => replace(&folder.join(file), bytes),
        None => take_away(&folder.join(file)),
    };
    put(format!("{name}.wav"), &held.recording)?;
    put(manifest::FILE.to_owned(), &held.manifest)
}

/// Takes a prompt out of the folder, with its entry.
///
/// # Errors
/// When the folder can't be written.
pub fn remove(folder: &Path, name: &str) -> Result<(), Error> {
    if !is_name(name) {
        return Err(Error::Name(name.to_owned()));
    }
    let text = manifest::without_entry(&manifest::read_text(folder)?, name);
    manifest::parse(&text, &folder.join(manifest::FILE))?;
    take_away(&folder.join(format!("{name}.wav")))?;
    replace(&folder.join(manifest::FILE), text.as_bytes())
}

fn take_away(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path, &error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A WAV file of samples in our form.
///
/// # Errors
/// When there are more than fit.
pub fn wav(samples: &[i16]) -> Result<Vec<u8>, hound::Error> {
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A click must not install 400 MB: the script is asked whether its voice is there.
    #[test]
    fn from_a_page_nothing_is_installed() {
        let folder = std::env::temp_dir().join(format!("koebashi-at-hand-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let script = folder.join("render.sh");
        let write = |ready: &str| {
            let text = format!(
                "#!/bin/sh\ncd {}\n[ \"$1\" = --ready ] && exit {ready}\ntouch installed\n",
                folder.display()
            );
            fs::write(&script, text).unwrap();
            fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
        };
        let with_script = vec![OsString::from(&script), "--speak".into()];
        write("1");
        let found = voice_at_hand(&folder, &[], None);
        assert!(found.is_err() || found.as_ref().is_ok_and(|it| *it != with_script), "{found:?}");
        write("0");
        let found = voice_at_hand(&folder, &[], None).unwrap();
        assert_eq!(
            found,
            open_jtalk(None).unwrap_or_else(|| with_script.clone()),
            "Open JTalk first"
        );
        assert_eq!(voice_at_hand(&folder, &["say".into()], None).unwrap(), ["say"]);
        assert_eq!(voice(&folder, &[], None).unwrap(), with_script, "of a command as ever");
        assert!(!folder.join("installed").exists());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_shipped_script_says_that_it_is_not_ready_and_makes_nothing() {
        let cache = std::env::temp_dir().join(format!("koebashi-no-voice-{}", std::process::id()));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts/render.sh");
        let ask = || {
            let mut command = Command::new(&script);
            command.arg("--ready").env("KOEBASHI_VOICES", &cache).status().unwrap()
        };
        assert!(!ask().success());
        assert!(!cache.exists());
    }
}
