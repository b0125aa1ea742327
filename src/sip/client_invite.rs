//! The INVITE client transaction: an INVITE that we sent and its responses.
//!
//! Owns the machine of RFC 3261 §17.1.1 as corrected by RFC 6026 §8.4, with two additions: an
//! INVITE whose outcome nobody wants any longer does not wait for it forever; and an error of the
//! network does not end one that the peer has begun to answer, because its final response may come
//! yet. Does not own the ACK to a 2xx, which belongs to the session.

use crate::sip::machine::{Action, Row, Timer};

/// What is awaited (RFC 6026 figure 5, "INVITE client transaction").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Any response.
    Calling,
    /// A final response.
    Proceeding,
    /// The end of the 2xx that a forked INVITE may bring.
    Accepted,
    /// The end of the refusal's retransmissions.
    Completed,
    /// Nothing.
    Terminated,
}

/// What may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// 1xx came.
    Provisional,
    /// 2xx came.
    Success,
    /// 300–699 came.
    Failure,
    /// A timer ran out.
    Timer(Timer),
    /// The transport failed.
    TransportError,
}

/// The figure.
pub(crate) const TABLE: &[Row<State, Event>] = {
    use Action::{Ack, Again, Pass, Resend, Start, Stop, TellFailure, TellTimeout};
    use Event::{Failure, Provisional, Success, TransportError};
    use State::{Accepted, Calling, Completed, Proceeding, Terminated};
    use Timer::{A, B, D, M, Unanswered};
    &[
        Row { from: Calling, on: Event::Timer(A), to: Calling, act: &[Resend, Again(A)] },
        Row { from: Calling, on: Event::Timer(B), to: Terminated, act: &[TellTimeout] },
        Row { from: Calling, on: TransportError, to: Terminated, act: &[TellFailure] },
        Row { from: Calling, on: Provisional, to: Proceeding, act: &[Stop(A), Stop(B), Pass] },
        Row { from: Calling, on: Success, to: Accepted, act: &[Stop(A), Stop(B), Start(M), Pass] },
        Row {
            from: Calling,
            on: Failure,
            to: Completed,
            act: &[Stop(A), Stop(B), Ack, Start(D), Pass],
        },
        Row { from: Proceeding, on: Provisional, to: Proceeding, act: &[Pass] },
        Row { from: Proceeding, on: Success, to: Accepted, act: &[Start(M), Pass] },
        Row { from: Proceeding, on: Failure, to: Completed, act: &[Ack, Start(D), Pass] },
        Row { from: Proceeding, on: Event::Timer(Unanswered), to: Terminated, act: &[TellTimeout] },
        Row { from: Proceeding, on: TransportError, to: Proceeding, act: &[TellFailure] },
        Row { from: Accepted, on: Success, to: Accepted, act: &[Pass] },
        Row { from: Accepted, on: Event::Timer(M), to: Terminated, act: &[] },
        Row { from: Completed, on: Failure, to: Completed, act: &[Ack] },
        Row { from: Completed, on: Event::Timer(D), to: Terminated, act: &[] },
    ]
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::machine::print;

    #[test]
    fn table() {
        use Timer::{A, B, D, M};
        let states = [
            State::Calling,
            State::Proceeding,
            State::Accepted,
            State::Completed,
            State::Terminated,
        ];
        let events = [
            Event::Provisional,
            Event::Success,
            Event::Failure,
            Event::Timer(A),
            Event::Timer(B),
            Event::Timer(D),
            Event::Timer(M),
            Event::Timer(Timer::Unanswered),
            Event::TransportError,
        ];
        insta::assert_snapshot!(print(TABLE, &states, &events));
    }
}
