//! The client transaction of every request but INVITE and ACK.
//!
//! Owns the machine of RFC 3261 §17.1.2.

use crate::sip::machine::{Action, Row, Timer};

/// What is awaited (RFC 3261 figure 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Any response.
    Trying,
    /// A final response.
    Proceeding,
    /// The end of the response's retransmissions.
    Completed,
    /// Nothing.
    Terminated,
}

/// What may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// 1xx came.
    Provisional,
    /// 200–699 came.
    Final,
    /// A timer ran out.
    Timer(Timer),
    /// The transport failed.
    TransportError,
}

/// The figure.
pub(crate) const TABLE: &[Row<State, Event>] = {
    use Action::{Again, Pass, Resend, Slow, Start, Stop, TellFailure, TellTimeout};
    use Event::{Final, Provisional, TransportError};
    use State::{Completed, Proceeding, Terminated, Trying};
    use Timer::{E, F, K};
    &[
        Row { from: Trying, on: Event::Timer(E), to: Trying, act: &[Resend, Again(E)] },
        Row { from: Trying, on: Event::Timer(F), to: Terminated, act: &[TellTimeout] },
        Row { from: Trying, on: TransportError, to: Terminated, act: &[TellFailure] },
        Row { from: Trying, on: Provisional, to: Proceeding, act: &[] },
        Row { from: Trying, on: Final, to: Completed, act: &[Stop(E), Stop(F), Start(K), Pass] },
        Row { from: Proceeding, on: Event::Timer(E), to: Proceeding, act: &[Resend, Slow(E)] },
        Row { from: Proceeding, on: Event::Timer(F), to: Terminated, act: &[TellTimeout] },
        Row { from: Proceeding, on: TransportError, to: Terminated, act: &[TellFailure] },
        Row {
            from: Proceeding,
            on: Final,
            to: Completed,
            act: &[Stop(E), Stop(F), Start(K), Pass],
        },
        Row { from: Completed, on: Event::Timer(K), to: Terminated, act: &[] },
    ]
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::machine::print;

    #[test]
    fn table() {
        let states = [State::Trying, State::Proceeding, State::Completed, State::Terminated];
        let events = [
            Event::Provisional,
            Event::Final,
            Event::Timer(Timer::E),
            Event::Timer(Timer::F),
            Event::Timer(Timer::K),
            Event::TransportError,
        ];
        insta::assert_snapshot!(print(TABLE, &states, &events));
    }
}
