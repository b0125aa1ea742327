//! Reliable provisional responses (RFC 3262): numbers and retransmission.
//!
//! Owns RSeq on either side. Does not own the responses, the PRACK requests nor the deadlines.

use std::time::Duration;

use crate::chance::Chance;
use crate::sip::header::RAck;
use crate::sip::message::Method;

/// The numbering of what we send as UAS: one response at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// Nothing is out; `next` is the RSeq to use.
    Idle {
        /// RSeq of the next response.
        next: u32,
    },
    /// A response waits for its PRACK.
    Waiting {
        /// Its RSeq.
        rseq: u32,
        /// The interval after which it is sent again.
        interval: Duration,
    },
}

impl Sender {
    /// Starts at a random number below 2³¹ (§3).
    pub(crate) fn new(chance: &mut Chance) -> Self {
        Self::Idle { next: (chance.u32() >> 2) + 1 }
    }

    /// Takes a number for a response; `None` while another waits for its PRACK.
    pub(crate) fn send(&mut self, t1: Duration) -> Option<u32> {
        let Self::Idle { next } = *self else { return None };
        *self = Self::Waiting { rseq: next, interval: t1 };
        Some(next)
    }

    /// The response is sent again: the time until the next one. `None`: nothing waits.
    pub(crate) fn again(&mut self) -> Option<Duration> {
        let Self::Waiting { interval, .. } = self else { return None };
        *interval *= 2;
        Some(*interval)
    }

    /// A PRACK came: whether it is for the response that waits, to the INVITE numbered `cseq`.
    pub(crate) fn acknowledge(&mut self, rack: &RAck, cseq: u32) -> bool {
        let Self::Waiting { rseq, .. } = *self else { return false };
        if rack.rseq != rseq || rack.cseq != cseq || rack.method != Method::Invite {
            return false;
        }
        *self = Self::Idle { next: rseq.wrapping_add(1) };
        true
    }

    /// A response waits for its PRACK.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self, Self::Waiting { .. })
    }
}

/// The numbering of what one dialog sends to us as UAC.
#[derive(Clone, Debug, Default)]
pub(crate) struct Receiver {
    last: Option<u32>,
}

impl Receiver {
    /// Whether a response is new and next in order; others are dropped and not acknowledged (§4).
    pub(crate) fn accept(&mut self, rseq: u32) -> bool {
        let is_next = self.last.is_none_or(|last| rseq == last.wrapping_add(1));
        if is_next {
            self.last = Some(rseq);
        }
        is_next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_response_at_a_time_and_only_its_own_prack() {
        let mut sender = Sender::Idle { next: 7 };
        let rack = |rseq, cseq, method| RAck { rseq, cseq, method };
        let ms = Duration::from_millis;
        assert_eq!(sender.send(ms(500)), Some(7));
        assert_eq!(sender.send(ms(500)), None);
        assert_eq!((sender.again(), sender.again()), (Some(ms(1000)), Some(ms(2000))));
        assert!(!sender.acknowledge(&rack(6, 1, Method::Invite), 1));
        assert!(!sender.acknowledge(&rack(7, 2, Method::Invite), 1));
        assert!(!sender.acknowledge(&rack(7, 1, Method::Bye), 1));
        assert!(sender.acknowledge(&rack(7, 1, Method::Invite), 1));
        assert!(!sender.acknowledge(&rack(7, 1, Method::Invite), 1));
        assert_eq!(sender.again(), None);
        assert_eq!(sender.send(ms(500)), Some(8));
    }

    #[test]
    fn first_number_is_in_range() {
        for seed in 0..100 {
            let Sender::Idle { next } = Sender::new(&mut Chance::from_number(seed)) else {
                panic!("nothing was sent");
            };
            assert!((1..=1 << 31).contains(&next));
        }
    }

    #[test]
    fn receiver_wants_the_order() {
        let mut receiver = Receiver::default();
        assert!(receiver.accept(100));
        assert!(!receiver.accept(100));
        assert!(!receiver.accept(102));
        assert!(receiver.accept(101));
    }
}
