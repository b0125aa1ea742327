//! The server transaction of every request but INVITE and ACK.
//!
//! Owns the machine of RFC 3261 §17.2.2, with one addition: a request that our own side leaves
//! unanswered is forgotten after a while.

use crate::sip::machine::{Action, Row, Timer};

/// What is awaited (RFC 3261 figure 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Our response.
    Trying,
    /// Our final response.
    Proceeding,
    /// The end of the request's retransmissions.
    Completed,
    /// Nothing.
    Terminated,
}

/// What may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The request came again.
    Request,
    /// We answer 1xx.
    Provisional,
    /// We answer 200–699.
    Final,
    /// A timer ran out.
    Timer(Timer),
}

/// The figure.
pub(crate) const TABLE: &[Row<State, Event>] = {
    use Action::{Resend, Send, Start, Stop};
    use Event::{Final, Provisional, Request};
    use State::{Completed, Proceeding, Terminated, Trying};
    use Timer::{J, Unanswered};
    &[
        Row { from: Trying, on: Request, to: Trying, act: &[] },
        Row { from: Trying, on: Provisional, to: Proceeding, act: &[Send] },
        Row { from: Trying, on: Final, to: Completed, act: &[Send, Stop(Unanswered), Start(J)] },
        Row { from: Trying, on: Event::Timer(Unanswered), to: Terminated, act: &[] },
        Row { from: Proceeding, on: Request, to: Proceeding, act: &[Resend] },
        Row { from: Proceeding, on: Provisional, to: Proceeding, act: &[Send] },
        Row {
            from: Proceeding,
            on: Final,
            to: Completed,
            act: &[Send, Stop(Unanswered), Start(J)],
        },
        Row { from: Proceeding, on: Event::Timer(Unanswered), to: Terminated, act: &[] },
        Row { from: Completed, on: Request, to: Completed, act: &[Resend] },
        Row { from: Completed, on: Event::Timer(J), to: Terminated, act: &[] },
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
            Event::Request,
            Event::Provisional,
            Event::Final,
            Event::Timer(Timer::J),
            Event::Timer(Timer::Unanswered),
        ];
        insta::assert_snapshot!(print(TABLE, &states, &events));
    }
}
