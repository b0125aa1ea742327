//! How long each counselor was on duty, and what of it they did.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::ratio;
use crate::call::config::Extension;
use crate::store::duty::{self, State};
use crate::time::Timestamp;

/// A counselor's time by state, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Duty([u64; State::ALL.len()]);

impl Duty {
    /// Time in a state.
    pub fn of(&self, state: State) -> u64 {
        self.0[state as usize]
    }

    /// Time signed in and neither paused nor out of reach.
    pub fn on_duty(&self) -> u64 {
        let on_duty = State::ALL.into_iter().filter(|state| state.is_on_duty());
        on_duty.map(|state| self.of(state)).sum()
    }

    /// (talking + wrap-up) ÷ on duty.
    pub fn occupancy(&self) -> Option<f64> {
        ratio(self.of(State::Talking) + self.of(State::WrapUp), self.on_duty())
    }
}

/// Reads everybody's time within `from..to`.
pub(super) fn load(
    conn: &Connection,
    from: Timestamp,
    to: Timestamp,
    into: &mut BTreeMap<Extension, Duty>,
) -> rusqlite::Result<()> {
    duty::load(conn, from, to, |stint| {
        let length = (stint.to - stint.from).num_milliseconds();
        let times = into.entry(stint.extension).or_default();
        times.0[stint.state as usize] += u64::try_from(length).unwrap_or_default();
    })
}
