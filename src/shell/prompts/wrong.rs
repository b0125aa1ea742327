//! What is wrong with a folder of prompts, as it is complained about to operators.

use std::path::PathBuf;

use super::manifest::{Error, NAME_MAX};
use crate::complaint::{Cause, Complaint, File, Syntax};
use crate::media;

/// What is wrong with a recording.
fn audio(error: media::prompt::Error) -> File {
    use media::prompt::Error::{Malformed, NotCanonical, Silent, TooLong, Unsupported};
    match error {
        Malformed(why) => File::NoWav(Cause::new(why)),
        Unsupported(why) => File::OddWav(Cause::new(why)),
        NotCanonical { rate, bits, channels } => File::ForeignWav(rate.into(), bits, channels),
        TooLong => File::LongAudio,
        Silent => File::SilentAudio,
    }
}

impl From<Error> for Complaint {
    fn from(error: Error) -> Self {
        let of = |path: PathBuf, what| Self::error(path.display().to_string(), None, what);
        match error {
            Error::Name(name) => Self::error(name, None, File::PromptFileName(NAME_MAX)),
            Error::Io(path, cause) => of(path, File::Io(cause)),
            Error::NoFile(path) => of(path, File::NoFile),
            Error::TooLarge(path, most) => of(path, File::LargeFile(most)),
            Error::TooMany(path, most) => of(path, File::ManyFiles(most)),
            Error::Audio(path, error) => of(path, audio(error)),
            Error::Manifest(path, line, why) => {
                Self { line: Some(line), ..of(path, File::OddManifest(Syntax(why))) }
            }
            Error::NoVoice(folder) => {
                Self::error("", None, File::NoVoice(folder.display().to_string()))
            }
            Error::NoText(path, name) => of(path, File::NothingToRead(name)),
            Error::Voice(program, why, name) => {
                Self::error(program, None, File::VoiceFailed(Cause::new(why), name))
            }
        }
    }
}
