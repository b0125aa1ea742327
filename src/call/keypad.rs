//! The keys of a counselor during a call: codes are taken out, everything else is the caller's.
//!
//! Owns what is withheld while it may still become a code. What a code does is the bridge's.

use super::config::Codes;
use crate::media::Digit;

/// What a counselor may ask for by keys during a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InCall {
    /// Help of a supervisor.
    Help,
    /// That the recording pauses, or goes on.
    Recording,
}

/// What each code of a call asks for.
fn table(codes: &Codes) -> [(&str, InCall); 2] {
    [(&codes.help, InCall::Help), (&codes.recording, InCall::Recording)]
}

/// Whether a code begins so.
fn begins(codes: &Codes, text: &str) -> bool {
    table(codes).iter().any(|(code, _)| code.starts_with(text))
}

/// What comes of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pressed {
    /// It may begin a code: the next key decides, or time.
    Withheld,
    /// These are the caller's.
    Passed(Vec<Digit>),
    /// A code is complete.
    Code(InCall),
}

/// Keys that may still become a code. Never more than a code is long.
#[derive(Clone, Debug, Default)]
pub(super) struct Keypad {
    withheld: Vec<Digit>,
}

impl Keypad {
    /// Takes a key.
    pub(super) fn press(&mut self, codes: &Codes, digit: Digit) -> Pressed {
        self.withheld.push(digit);
        let text: String = self.withheld.iter().map(|digit| digit.char()).collect();
        if let Some((_, code)) = table(codes).into_iter().find(|(code, _)| *code == text) {
            self.withheld.clear();
            return Pressed::Code(code);
        }
        if begins(codes, &text) {
            return Pressed::Withheld;
        }
        self.pass_after(codes)
    }

    /// No code: all but the last key are the caller's, and the last one begins anew.
    fn pass_after(&mut self, codes: &Codes) -> Pressed {
        let last = if self.withheld.len() > 1 { self.withheld.pop() } else { None };
        let mut passed = std::mem::take(&mut self.withheld);
        match last {
            Some(last) if begins(codes, &last.char().to_string()) => self.withheld.push(last),
            Some(last) => passed.push(last),
            None => {}
        }
        Pressed::Passed(passed)
    }

    /// Whether something is withheld.
    pub(super) fn withholds(&self) -> bool {
        !self.withheld.is_empty()
    }

    /// The time for the next key is over: what was withheld is the caller's.
    pub(super) fn give_up(&mut self) -> Vec<Digit> {
        std::mem::take(&mut self.withheld)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(help: &str) -> Codes {
        let code = String::new;
        Codes {
            ready: code(),
            pause: code(),
            end_wrap_up: code(),
            extend_wrap_up: code(),
            log_out: code(),
            pause_reasons: std::collections::BTreeMap::new(),
            listen: code(),
            whisper: code(),
            join: code(),
            help: help.to_owned(),
            recording: "*7".to_owned(),
        }
    }

    /// What comes of keys: `!` a code, `-` withheld, else what is passed; then what is left.
    fn check(help: &str, keys: &str, expected: &str) {
        let (codes, mut keypad) = (codes(help), Keypad::default());
        let text = |digits: Vec<Digit>| digits.iter().map(|d| d.char()).collect::<String>();
        let mut came: Vec<String> = keys
            .chars()
            .map(|key| match keypad.press(&codes, Digit::from_char(key).unwrap()) {
                Pressed::Code(InCall::Help) => "!".to_owned(),
                Pressed::Code(InCall::Recording) => "%".to_owned(),
                Pressed::Withheld => "-".to_owned(),
                Pressed::Passed(digits) => text(digits),
            })
            .collect();
        assert_eq!(keypad.withholds(), came.last().is_some_and(|last| last == "-"), "{keys}");
        came.push(text(keypad.give_up()));
        assert_eq!(came.join(" "), expected, "{help}: {keys}");
    }

    #[test]
    fn codes_are_taken_out_and_the_rest_is_passed_in_order() {
        check("*9", "*9", "- ! ");
        check("*9", "5", "5 ");
        check("*9", "*", "- *");
        check("*9", "*5", "- *5 ");
        check("*9", "9*9", "9 - ! ");
        check("*9", "*7*9", "- % - ! ");
        check("*9", "*8*7", "- *8 - % ");
        check("*99*", "*98", "- - *98 ");
        check("*99*", "*99*", "- - - ! ");
    }

    #[test]
    fn a_key_that_breaks_one_code_off_may_begin_the_next() {
        let (codes, mut keypad) = (codes("*9"), Keypad::default());
        let [star, nine] = ['*', '9'].map(|key| Digit::from_char(key).unwrap());
        assert_eq!(keypad.press(&codes, star), Pressed::Withheld);
        assert_eq!(keypad.press(&codes, star), Pressed::Passed(vec![star]));
        assert!(keypad.withholds());
        assert_eq!(keypad.press(&codes, nine), Pressed::Code(InCall::Help));
    }
}
