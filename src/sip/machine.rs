//! What the four transaction machines are made of: the timers of RFC 3261 §17 and RFC 6026, what a
//! machine may ask for, and the form of a transition table.
//!
//! A machine is its table: an event without a row changes nothing. Running them is `transaction`'s.

use std::time::Duration;

use super::{Config, Transport};

/// A timer of RFC 3261 §17 (A–K) or RFC 6026 (L, M).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// INVITE is sent again.
    A,
    /// INVITE was not answered at all.
    B,
    /// Retransmissions of a final response to INVITE still come.
    D,
    /// Another request is sent again.
    E,
    /// Another request was not answered.
    F,
    /// The refusal of an INVITE is sent again.
    G,
    /// The refusal of an INVITE was not acknowledged.
    H,
    /// Retransmissions of ACK still come.
    I,
    /// Retransmissions of another request still come.
    J,
    /// Retransmissions of a response still come.
    K,
    /// Retransmissions of an INVITE that was answered by 2xx still come.
    L,
    /// Further 2xx of a forked INVITE still come.
    M,
    /// A request waits for our own side, or an INVITE of ours for an end that nobody wants to know;
    /// not of the RFC, so that no wait is without limit.
    Unanswered,
}

impl Timer {
    /// Every timer, for clearing all of a transaction.
    pub(crate) const ALL: [Self; 13] = [
        Self::A,
        Self::B,
        Self::D,
        Self::E,
        Self::F,
        Self::G,
        Self::H,
        Self::I,
        Self::J,
        Self::K,
        Self::L,
        Self::M,
        Self::Unanswered,
    ];

    /// How long the timer runs first; `None`: it is not used on this transport.
    pub(crate) fn first(self, config: &Config, transport: Transport) -> Option<Duration> {
        let datagrams = transport == Transport::Udp;
        match self {
            Self::A | Self::E | Self::G => datagrams.then_some(config.t1),
            Self::B | Self::F | Self::H | Self::L | Self::M => Some(config.t1 * 64),
            Self::D => Some(if datagrams {
                (config.t1 * 64).max(Duration::from_secs(32))
            } else {
                Duration::ZERO
            }),
            Self::J => Some(if datagrams { config.t1 * 64 } else { Duration::ZERO }),
            Self::I | Self::K => Some(if datagrams { config.t4 } else { Duration::ZERO }),
            Self::Unanswered => Some(config.t1 * 128),
        }
    }

    /// The interval after `last`, for a timer that repeats: twice as long, up to T2 for all but A.
    pub(crate) fn after(self, last: Duration, config: &Config) -> Duration {
        match self {
            Self::A => last * 2,
            Self::B
            | Self::D
            | Self::E
            | Self::F
            | Self::G
            | Self::H
            | Self::I
            | Self::J
            | Self::K
            | Self::L
            | Self::M
            | Self::Unanswered => (last * 2).min(config.t2),
        }
    }
}

/// What a machine asks for when it takes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Send the message that came with the event, and keep it.
    Send,
    /// Send the kept message again.
    Resend,
    /// Acknowledge the refusal that came with the event (RFC 3261 §17.1.1.3).
    Ack,
    /// Give the message that came with the event to the user of the transaction.
    Pass,
    /// Tell the user that time is over.
    TellTimeout,
    /// Tell the user that the transport failed.
    TellFailure,
    /// Start a timer.
    Start(Timer),
    /// Start a timer again, with its next interval.
    Again(Timer),
    /// Start a timer that repeats with its longest interval, T2.
    Slow(Timer),
    /// Stop a timer.
    Stop(Timer),
}

/// One arrow of a figure: in `from`, at `on`, do `act` and go to `to`.
pub(crate) struct Row<S: 'static, E: 'static> {
    pub(crate) from: S,
    pub(crate) on: E,
    pub(crate) to: S,
    pub(crate) act: &'static [Action],
}

/// The row of `table` for this state and event.
pub(crate) fn step<S: Copy + PartialEq, E: Copy + PartialEq>(
    table: &'static [Row<S, E>],
    state: S,
    event: E,
) -> Option<(S, &'static [Action])> {
    let row = table.iter().find(|row| row.from == state && row.on == event)?;
    Some((row.to, row.act))
}

/// The table as text, for the snapshots: every state by every event, `·` where nothing happens.
#[cfg(test)]
pub(crate) fn print<S, E>(table: &'static [Row<S, E>], states: &[S], events: &[E]) -> String
where
    S: Copy + PartialEq + std::fmt::Debug,
    E: Copy + PartialEq + std::fmt::Debug,
{
    use std::fmt::Write as _;
    let mut out = String::new();
    for state in states {
        writeln!(out, "{state:?}").unwrap();
        for event in events {
            let event_text = format!("{event:?}");
            match step(table, *state, *event) {
                Some((to, act)) => {
                    let to = format!("{to:?}");
                    writeln!(out, "  {event_text:<18} → {to:<11} {act:?}").unwrap();
                }
                None => writeln!(out, "  {event_text:<18} ·").unwrap(),
            }
        }
    }
    assert_eq!(
        table.len(),
        out.matches('→').count(),
        "a row that can't be reached: same state and event twice"
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_follow_the_rfc() {
        let config = Config::default();
        let ms = |timer: Timer, n: u32| {
            let mut at = timer.first(&config, Transport::Udp).unwrap();
            for _ in 0..n {
                at = timer.after(at, &config);
            }
            at.as_millis()
        };
        assert_eq!((0..7).map(|n| ms(Timer::A, n)).sum::<u128>(), 63_500);
        assert_eq!(ms(Timer::A, 6), 32_000);
        assert_eq!(
            (0..5).map(|n| ms(Timer::E, n)).collect::<Vec<_>>(),
            [500, 1000, 2000, 4000, 4000]
        );
        assert_eq!(ms(Timer::B, 0), 32_000);
        assert_eq!(Timer::K.first(&config, Transport::Tcp), Some(Duration::ZERO));
        assert_eq!(Timer::A.first(&config, Transport::Tcp), None);
    }
}
