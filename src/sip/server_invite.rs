//! The INVITE server transaction: an INVITE that came to us and our responses.
//!
//! Owns the machine of RFC 3261 §17.2.1 as corrected by RFC 6026 §8.5. Does not own the
//! retransmission of a 2xx and its ACK, which belong to the session.

use crate::sip::machine::{Action, Row, Timer};

/// What is awaited (RFC 6026 figure 5, "INVITE server transaction").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Our final response.
    Proceeding,
    /// The end of the INVITE's retransmissions; the session resends the 2xx.
    Accepted,
    /// ACK to our refusal.
    Completed,
    /// The end of the ACK's retransmissions.
    Confirmed,
    /// Nothing.
    Terminated,
}

/// What may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The INVITE came again.
    Request,
    /// ACK came.
    Ack,
    /// We answer 1xx.
    Provisional,
    /// We answer 2xx.
    Success,
    /// We answer 300–699.
    Failure,
    /// A timer ran out.
    Timer(Timer),
}

/// The figure. A transport error changes nothing here: the peer asks again or gives up.
pub(crate) const TABLE: &[Row<State, Event>] = {
    use Action::{Again, Pass, Resend, Send, Start, Stop};
    use Event::{Ack, Failure, Provisional, Request, Success};
    use State::{Accepted, Completed, Confirmed, Proceeding, Terminated};
    use Timer::{G, H, I, L};
    &[
        Row { from: Proceeding, on: Request, to: Proceeding, act: &[Resend] },
        Row { from: Proceeding, on: Provisional, to: Proceeding, act: &[Send] },
        Row { from: Proceeding, on: Success, to: Accepted, act: &[Send, Start(L)] },
        Row { from: Proceeding, on: Failure, to: Completed, act: &[Send, Start(G), Start(H)] },
        Row { from: Accepted, on: Request, to: Accepted, act: &[] },
        Row { from: Accepted, on: Ack, to: Accepted, act: &[Pass] },
        Row { from: Accepted, on: Success, to: Accepted, act: &[Send] },
        Row { from: Accepted, on: Event::Timer(L), to: Terminated, act: &[] },
        Row { from: Completed, on: Request, to: Completed, act: &[Resend] },
        Row { from: Completed, on: Event::Timer(G), to: Completed, act: &[Resend, Again(G)] },
        Row { from: Completed, on: Ack, to: Confirmed, act: &[Stop(G), Stop(H), Start(I)] },
        Row { from: Completed, on: Event::Timer(H), to: Terminated, act: &[] },
        Row { from: Confirmed, on: Request, to: Confirmed, act: &[] },
        Row { from: Confirmed, on: Ack, to: Confirmed, act: &[] },
        Row { from: Confirmed, on: Event::Timer(I), to: Terminated, act: &[] },
    ]
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::machine::print;

    #[test]
    fn table() {
        let states = [
            State::Proceeding,
            State::Accepted,
            State::Completed,
            State::Confirmed,
            State::Terminated,
        ];
        let events = [
            Event::Request,
            Event::Ack,
            Event::Provisional,
            Event::Success,
            Event::Failure,
            Event::Timer(Timer::G),
            Event::Timer(Timer::H),
            Event::Timer(Timer::I),
            Event::Timer(Timer::L),
        ];
        insta::assert_snapshot!(print(TABLE, &states, &events));
    }
}
