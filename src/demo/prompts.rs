//! The prompts that the demo needs, compiled in, so that it runs wherever the program is.

use crate::media::Prompt;
use crate::media::prompt::{Clip, Error, Library};

/// Names and files.
macro_rules! shipped {
    ($($name:literal)*) => {
        &[$((
            $name,
            include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/prompts/", $name, ".wav")),
        )),*]
    };
}

/// Whatever the demo line may say.
const SHIPPED: &[(&str, &[u8])] = shipped! {
    "all_busy" "ask_186" "closed" "closed_year_end" "code_refused" "connecting" "counselor_lost"
    "draining" "fault" "goodbye" "help" "hold" "logged_out" "no_counselor" "paused" "position_1"
    "position_10" "position_2" "position_3" "position_4" "position_5" "position_6" "position_7"
    "position_8" "position_9" "position_more" "ready" "still_waiting" "timed_out" "tone_15m"
    "tone_1m" "tone_5m" "welcome" "wrap_up_ended" "wrap_up_extended"
};

/// All of them.
///
/// # Errors
/// When one is not in the form that prompts have, which the tests rule out.
pub(super) fn library() -> Result<Library, Error> {
    let clip = |(name, bytes): &(&str, &[u8])| Ok((Prompt::from(*name), Clip::from_wav(bytes)?));
    Ok(Library::from_clips(SHIPPED.iter().map(clip).collect::<Result<Vec<_>, Error>>()?))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{self, Severity};

    #[test]
    fn nothing_that_the_demo_line_may_say_is_missing() {
        let library = library().unwrap();
        let lengths = library.names().map(|name| {
            let clip = library.clip(name).unwrap();
            (name.clone(), clip.duration())
        });
        let demo = config::parse("", "demo", Path::new("")).unwrap();
        let complaints = config::check(&demo, &lengths.collect());
        let errors: Vec<_> =
            complaints.iter().filter(|complaint| complaint.severity == Severity::Error).collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
}
