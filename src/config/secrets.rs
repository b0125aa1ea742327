//! Passwords: written in the file or in a file of their own, and whether they are any good.

use std::path::Path;

use super::sheet::Section;
use super::{Context, DEMO_PASSWORD, Reader};
use crate::complaint::{Cause, File, Fit, Value, Wrong};
use crate::pii::Pii;

/// Passwords that stand for "put yours here", and the one that everybody knows.
const PLACEHOLDERS: [&str; 8] =
    ["...", "…", "changeme", "change-me", "password", "secret", "12345678", DEMO_PASSWORD];
/// The shortest password of an extension.
const SHORTEST: usize = 8;
/// The longest password file, in bytes.
const LONGEST_FILE: u64 = 4096;

/// Who chose the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    /// The operator, for an extension: it must be long enough.
    Here,
    /// The carrier, who decides its length.
    ByCarrier,
}

/// `password` or `password_file` of a section; `None` when neither is there or it was refused.
pub(super) fn password(
    section: &Section<'_>,
    context: &Context<'_>,
    chosen: Chosen,
) -> Option<Pii> {
    let written = section.secret("password");
    let file = section.optional("password_file", |text| Ok(text.to_owned()));
    if written.is_some() && file.is_some() {
        section.error("password_file", Fit::TwoPasswords);
    }
    let (key, password) = match (written, file) {
        (Some(password), _) => ("password", password),
        (None, Some(file)) => match read_file(&file, &context.base_dir.join(&file)) {
            Ok(password) => ("password_file", password),
            Err(what) => {
                match context.reader {
                    Reader::Anybody => section.error("password_file", what),
                    Reader::Awaited => section.outside("password_file", what),
                }
                return None;
            }
        },
        (None, None) => return None,
    };
    if let Err(what) = judge(password.expose(), context.is_loopback, chosen) {
        match context.reader {
            // What stands in a file beside the configuration may have changed since it was read.
            Reader::Awaited if key == "password_file" => section.outside(key, what),
            Reader::Awaited | Reader::Anybody => section.error(key, what),
        }
        return None;
    }
    Some(password)
}

/// Whether a password may be used.
fn judge(password: &str, is_loopback: bool, chosen: Chosen) -> Result<(), Wrong> {
    if password.is_empty() {
        return Err(Value::Empty.into());
    }
    if password.chars().any(char::is_control) {
        return Err(Value::ControlCharacter.into());
    }
    if is_loopback {
        return Ok(());
    }
    let lower = password.to_lowercase();
    if PLACEHOLDERS.contains(&lower.as_str()) || (chosen == Chosen::ByCarrier && lower == "1234") {
        return Err(Value::Placeholder.into());
    }
    if chosen == Chosen::Here && password.chars().count() < SHORTEST {
        return Err(Value::ShortPassword(SHORTEST).into());
    }
    Ok(())
}

/// The password in a file, which is called so.
fn read_file(name: &str, path: &Path) -> Result<Pii, File> {
    let unreadable = |error| File::NamedUnreadable(name.to_owned(), Cause::from(&error));
    let about = std::fs::metadata(path).map_err(unreadable)?;
    if !about.is_file() || about.len() > LONGEST_FILE {
        return Err(File::NamedNoPlainFile(name.to_owned(), LONGEST_FILE));
    }
    let text = std::fs::read_to_string(path).map(Pii::new).map_err(unreadable)?;
    Ok(Pii::new(text.expose().trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_passwords_are_for_loopback() {
        for bad in ["...", "ChangeMe", "1234", "short", DEMO_PASSWORD] {
            assert!(judge(bad, true, Chosen::Here).is_ok(), "{bad}");
            assert!(judge(bad, false, Chosen::Here).is_err(), "{bad}");
        }
        assert!(judge("k7m2q9xw", false, Chosen::Here).is_ok());
        assert!(judge("k7m2", false, Chosen::ByCarrier).is_ok());
        assert!(judge("1234", false, Chosen::ByCarrier).is_err());
        assert!(judge("", true, Chosen::ByCarrier).is_err());
    }
}
