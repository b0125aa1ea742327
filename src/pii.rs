//! `Pii`: what identifies a caller, held so that it can't be printed or stored by mistake.
//!
//! Owns the type. It has no `Display`, no serialization, and its `Debug` shows nothing; the memory
//! is wiped when it is dropped.

use std::fmt;

use zeroize::Zeroize;

/// A caller's number or name. It exists in the memory of the live call and nowhere else.
#[derive(Clone, PartialEq, Eq)]
pub struct Pii(String);

impl Pii {
    /// Takes the text into custody.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. Every use is a disclosure and needs a reason at the place of the call.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Pii {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pii(…)")
    }
}

impl Drop for Pii {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Pii::new("09012345678")), "Pii(…)");
    }
}
