//! Names of INVITEs that are refused and never become a call.
//!
//! An INVITE that was refused just before the process died comes again to the next one, which must
//! not record it a second time. So its name follows from the INVITE, under a secret that is drawn
//! at random, kept in the journal and nowhere else: without it a record says nothing of the INVITE.

use sha2::{Digest, Sha256};

use super::cdr::CallId;
use crate::chance::Chance;
use crate::sip::message::Message;

/// Letters of a name.
const LETTERS: usize = 10;

/// The secret, and whether the journal has it.
pub(super) struct Refused {
    secret: [u8; 32],
    is_kept: bool,
}

impl Refused {
    pub(super) fn new(chance: &mut Chance) -> Self {
        let mut secret = [0; 32];
        chance.fill(&mut secret);
        Self { secret, is_kept: false }
    }

    /// The same name for the same INVITE, also when it is sent again.
    pub(super) fn name(&self, invite: &Message) -> CallId {
        let branch = invite.via().ok().and_then(|via| via.branch().map(str::to_owned));
        let parts = [branch.as_deref(), invite.call_id().ok()];
        let mut hash = Sha256::new_with_prefix(self.secret);
        for part in parts.map(Option::unwrap_or_default) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        CallId(Chance::from_entropy(hash.finalize().into()).token(LETTERS).into())
    }

    /// Whether the journal still has to be told of the secret; asked before the first use.
    pub(super) fn is_to_be_kept(&mut self) -> bool {
        !std::mem::replace(&mut self.is_kept, true)
    }

    /// As the journal has it; `None`: nobody was refused yet.
    pub(super) fn keep(&self) -> Option<String> {
        self.is_kept.then(|| self.secret.map(|byte| format!("{byte:02x}")).concat())
    }

    /// The secret of the process before; what is none is passed over.
    pub(super) fn restore(&mut self, kept: &str) {
        let pairs = kept
            .as_bytes()
            .chunks_exact(2)
            .filter_map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok());
        if let Ok(secret) = pairs.collect::<Vec<_>>().try_into() {
            *self = Self { secret, is_kept: true };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite(call_id: &str, branch: &str) -> Message {
        let text = format!(
            "INVITE sip:1@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.1.1;branch={branch}\r\n\
             From: <sip:a@b>;tag=a\r\nTo: <sip:c@d>\r\nCall-ID: {call_id}\r\nCSeq: 1 INVITE\r\n\r\n"
        );
        Message::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_same_invite_has_the_same_name_in_the_next_process_only() {
        let mut chance = Chance::from_number(1);
        let (mut one, mut next) = (Refused::new(&mut chance), Refused::new(&mut chance));
        let name = one.name(&invite("a", "z9hG4bKb"));
        assert_eq!(name.0.len(), 10);
        assert_ne!(name, one.name(&invite("ab", "z9hG4bKb")));
        assert_ne!(name, one.name(&invite("a", "z9hG4bKc")));
        assert_ne!(name, next.name(&invite("a", "z9hG4bKb")));
        assert_eq!(one.keep(), None);
        assert!(one.is_to_be_kept() && !one.is_to_be_kept());
        next.restore("none of ours");
        next.restore(&one.keep().unwrap());
        assert_eq!(name, next.name(&invite("a", "z9hG4bKb")));
    }
}
