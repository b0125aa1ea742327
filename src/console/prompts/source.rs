//! Where sounds come from: a file that is brought, a text that a voice speaks.
//!
//! Owns the files in between, each gone when its use is over, and the limits of both.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::time::Duration;

use tokio::task::spawn_blocking;

use super::{Trouble, folder};
use crate::console::desk::Desk;
use crate::lang::Lang;
use crate::shell::prompts::decode::{self, Unplayable};
use crate::shell::prompts::make;

/// The longest prompt.
pub(in crate::console) const LONGEST: Duration = Duration::from_secs(300);
/// Characters of a text.
pub(in crate::console) const TEXT_MAX: usize = 1_000;
/// Bytes that are gathered before they are written.
const GATHERED: usize = 256 * 1024;
/// The folder in the folder of state.
const FOLDER: &str = "uploads";

/// A file that is gone when this is.
pub(in crate::console) struct Temporary {
    path: PathBuf,
    file: Option<File>,
    gathered: Vec<u8>,
    length: usize,
    most: usize,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "a file that was brought stays behind");
        }
    }
}

impl Temporary {
    /// An empty file for its owner alone.
    pub(in crate::console) fn new(desk: &Desk) -> Result<Self, Trouble> {
        let state = desk.store().path().parent().map(PathBuf::from).unwrap_or_default();
        let folder = state.join(FOLDER);
        let path = folder.join(format!("{}.part", desk.token(16)));
        let make = || {
            DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)
        };
        let file = make().map_err(Unplayable::from)?;
        let most = desk.limits.upload_max;
        Ok(Self { path, file: Some(file), gathered: Vec::new(), length: 0, most })
    }

    /// Takes the next bytes. False: they are more than may be.
    pub(in crate::console) async fn take(&mut self, bytes: &[u8]) -> Result<bool, Trouble> {
        self.length += bytes.len();
        if self.length > self.most {
            return Ok(false);
        }
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= GATHERED {
            self.flush().await?;
        }
        Ok(true)
    }

    /// Writes what has been gathered, where waiting for a disk harms nobody.
    async fn flush(&mut self) -> Result<(), Trouble> {
        let Some(mut file) = self.file.take() else { return Ok(()) };
        let bytes = std::mem::take(&mut self.gathered);
        let written = spawn_blocking(move || file.write_all(&bytes).map(|()| file));
        let file = written.await.map_err(|_| Trouble::Busy)?.map_err(Unplayable::from)?;
        self.file = Some(file);
        Ok(())
    }

    /// The sound that is in it. `ending`: of the name that it had.
    pub(in crate::console) async fn sound(
        mut self,
        desk: &Desk,
        ending: &str,
    ) -> Result<Vec<i16>, Trouble> {
        if self.length == 0 {
            return Err(Unplayable::Empty.into());
        }
        self.flush().await?;
        let ending = ending.to_owned();
        let work = move || decode::file(&self.path, &ending, LONGEST);
        Ok(desk.studio.work(work).await.ok_or(Trouble::Busy)??)
    }
}

/// Removes what a crash has left behind.
pub(in crate::console) fn sweep(desk: &Desk) {
    let state = desk.store().path().parent().map(PathBuf::from).unwrap_or_default();
    let left = fs::read_dir(state.join(FOLDER)).into_iter().flatten().flatten();
    for file in left.take(10_000) {
        // What can't be removed harms nobody.
        fs::remove_file(file.path()).ok();
    }
}

/// What somebody wrote as a prompt's text, as one line.
///
/// # Errors
/// What is wrong with it.
pub(in crate::console) fn text(typed: &str, l: Lang) -> Result<String, String> {
    let one: String = typed.split_whitespace().collect::<Vec<_>>().join(" ");
    if one.chars().any(char::is_control) {
        let ja = "文章に使えない文字(制御文字)が含まれています。";
        return Err(l.t(ja, "There is a control character in the text.").to_owned());
    }
    match one.chars().count() {
        0..=TEXT_MAX => Ok(one),
        n => Err(match l {
            Lang::Ja => format!("文章が長すぎます({n}文字)。{TEXT_MAX}文字までです。"),
            Lang::En => format!("The text is too long: {n} characters, at most {TEXT_MAX}."),
        }),
    }
}

/// Has a text spoken: the voice's name, and the sound.
pub(in crate::console) async fn speak(
    desk: &Desk,
    name: &str,
    text: String,
) -> Result<(String, Vec<i16>), Trouble> {
    let current = desk.current();
    let limit = current.loaded.shell.voice_timeout;
    let command = make::voice(&folder(desk), &current.loaded.shell.voice_command);
    let command = command.map_err(|_| Trouble::NoVoice)?;
    let voice = make::program_name(&command);
    // The program makes the file itself; here only its name is taken, and that it goes.
    let out = Temporary::new(desk)?;
    let name = name.to_owned();
    let said = desk.studio.work(move || make::say(&command, limit, &out.path, &name, &text));
    let said = said.await.ok_or(Trouble::Busy)?;
    let samples = said.map_err(|error| Trouble::Voice(error.to_string()))?;
    if samples.len() as u64 > LONGEST.as_secs() * u64::from(crate::media::prompt::RATE) {
        return Err(Unplayable::TooLong(LONGEST).into());
    }
    Ok((voice, samples))
}

/// What is wrong with a file, in words.
pub(super) fn words(wrong: &Unplayable, l: Lang) -> String {
    let t = |ja: String, en: String| match l {
        Lang::Ja => ja,
        Lang::En => en,
    };
    let kinds = "WAV, MP3, M4A, AAC, OGG (Vorbis), FLAC";
    match wrong {
        Unplayable::Empty => t(
            "ファイルが空です。ファイルを選び直してください。".to_owned(),
            "The file is empty. Please choose another one.".to_owned(),
        ),
        Unplayable::Unknown(_) => t(
            format!("音声ファイルとして読めませんでした。使えるのは {kinds} です。"),
            format!("This is not a sound file that can be read. Possible are {kinds}."),
        ),
        Unplayable::Coding(what) => t(
            format!("この形式の音声には対応していません({what})。使えるのは {kinds} です。"),
            format!("Sound of this kind can't be read ({what}). Possible are {kinds}."),
        ),
        Unplayable::Broken(what) => t(
            format!("ファイルが壊れているため、再生できません({what})。"),
            format!("The file is damaged and can't be played ({what})."),
        ),
        Unplayable::Cut => t(
            "ファイルが途中で切れています。元のファイルからやり直してください。".to_owned(),
            "The end of the file is missing. Please try again from the original.".to_owned(),
        ),
        Unplayable::TooLong(most) => t(
            format!("音声が長すぎます。{}分までにしてください。", most.as_secs() / 60),
            format!("The sound is too long: at most {} minutes.", most.as_secs() / 60),
        ),
        Unplayable::Silent => t(
            "音が入っていません(無音です)。".to_owned(),
            "Nothing is to be heard in it: it is silent.".to_owned(),
        ),
        Unplayable::Io(what) => t(
            format!("ファイルを保存できませんでした({what})。"),
            format!("The file could not be kept ({what})."),
        ),
    }
}
