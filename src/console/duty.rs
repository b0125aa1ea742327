//! Watches the board, and writes down who was on duty when.
//!
//! Owns the watch. What is written is counselors' time, by state; a stint that goes on is written
//! again from time to time, so that one that was open at a crash ends when it was last seen.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout_at};

use super::desk::Desk;
use crate::call::board::Board;
use crate::call::config::Extension;
use crate::shell::clock;
use crate::store::duty::{self, State, Stint};
use crate::time::Timestamp;

/// Shortest time between two looks: what is shorter is not told apart.
const LOOK: Duration = Duration::from_secs(1);
/// How often stints that go on are written.
const WRITE: Duration = Duration::from_secs(30);
/// A machine that slept for longer than this was not on duty meanwhile.
const GAP: TimeDelta = TimeDelta::seconds(120);
/// Stints that wait for the database; the oldest are lost beyond that.
const WAITING_MAX: usize = 10_000;

/// Watches until `stopped`, and then writes the last of it.
pub(super) async fn watch(desk: Arc<Desk>, mut stopped: oneshot::Receiver<()>) {
    let mut board = desk.handle.board();
    let mut watch = Watch::default();
    let mut due = Instant::now() + WRITE;
    let mut goes_on = true;
    while goes_on {
        goes_on = tokio::select! {
            _ = &mut stopped => false,
            changed = timeout_at(due, board.changed()) => !matches!(changed, Ok(Err(_))),
        };
        if desk.handle.is_live() {
            watch.look(&board.borrow_and_update().clone(), clock::now().wall);
        }
        if Instant::now() >= due || !goes_on {
            watch.keep_open();
            due = Instant::now() + WRITE;
        }
        watch.write(&desk).await;
        if goes_on {
            tokio::select! {
                _ = &mut stopped => goes_on = false,
                () = sleep(LOOK) => {}
            }
        }
    }
    watch.keep_open();
    watch.write(&desk).await;
}

/// What goes on, and what is to be written.
#[derive(Default)]
struct Watch {
    open: BTreeMap<Extension, Stint>,
    looked: Option<Timestamp>,
    /// By counselor and beginning.
    waiting: BTreeMap<(Timestamp, Extension), Stint>,
}

impl Watch {
    fn look(&mut self, board: &Board, now: Timestamp) {
        let slept = self.looked.is_some_and(|looked| now - looked > GAP || now < looked);
        self.looked = Some(now);
        if slept {
            self.keep_open();
            self.open.clear();
        }
        let mut before = std::mem::take(&mut self.open);
        for counselor in &board.counselors {
            let Some(state) = State::named(counselor.state.name()) else { continue };
            let extension = counselor.extension.clone();
            let new = Stint { extension, state, from: now, to: now };
            let stint = match before.remove(&counselor.extension) {
                Some(stint) if stint.state == state => Stint { to: now, ..stint },
                Some(stint) => {
                    self.keep(Stint { to: now, ..stint });
                    new
                }
                None => new,
            };
            self.open.insert(counselor.extension.clone(), stint);
        }
        for stint in before.into_values() {
            self.keep(Stint { to: now, ..stint });
        }
    }

    fn keep_open(&mut self) {
        for stint in self.open.values().cloned().collect::<Vec<_>>() {
            self.keep(stint);
        }
    }

    fn keep(&mut self, stint: Stint) {
        if self.waiting.len() >= WAITING_MAX {
            self.waiting.pop_first();
        }
        self.waiting.insert((stint.from, stint.extension.clone()), stint);
    }

    /// What the database does not take now is tried again next time.
    async fn write(&mut self, desk: &Desk) {
        if self.waiting.is_empty() {
            return;
        }
        let stints = self.waiting.values().cloned().collect::<Vec<_>>();
        match desk.store().run(move |conn| duty::write(conn, &stints)).await {
            Ok(()) => self.waiting.clear(),
            Err(error) => tracing::warn!(%error, "times on duty wait for the database"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::board::{CounselorState, CounselorView};

    fn board(states: &[(&str, CounselorState)]) -> Board {
        let counselor = |(extension, state): &(&str, CounselorState)| {
            CounselorView::of(extension, state.clone())
        };
        Board { counselors: states.iter().map(counselor).collect(), ..Board::default() }
    }

    fn at(s: i64) -> Timestamp {
        Timestamp::from_timestamp(1_800_000_000 + s, 0).unwrap()
    }

    fn waiting(watch: &Watch) -> Vec<(String, State, i64, i64)> {
        let seconds = |moment: Timestamp| (moment - at(0)).num_seconds();
        let row =
            |it: &Stint| (it.extension.to_string(), it.state, seconds(it.from), seconds(it.to));
        watch.waiting.values().map(row).collect()
    }

    #[test]
    fn a_stint_ends_when_the_state_does_and_who_is_logged_out_has_none() {
        use CounselorState::{Offline, Paused, Ready, Talking};
        let mut watch = Watch::default();
        watch.look(&board(&[("101", Ready), ("102", Offline)]), at(0));
        watch.look(&board(&[("101", Ready), ("102", Ready)]), at(10));
        assert_eq!(waiting(&watch), []);
        watch.look(&board(&[("101", Talking), ("102", Ready)]), at(20));
        watch.look(&board(&[("101", Paused("休憩".into())), ("102", Offline)]), at(30));
        let stint = |extension: &str, state, from, to| (extension.to_owned(), state, from, to);
        let ended = [
            stint("101", State::Ready, 0, 20),
            stint("102", State::Ready, 10, 30),
            stint("101", State::Talking, 20, 30),
        ];
        assert_eq!(waiting(&watch), ended);
        // What goes on is written as far as it was seen.
        watch.look(&board(&[("101", Paused("休憩".into()))]), at(40));
        watch.keep_open();
        assert_eq!(waiting(&watch)[3], stint("101", State::Paused, 30, 40));
    }

    #[test]
    fn nobody_was_on_duty_while_the_machine_slept_or_its_clock_was_put_back() {
        for next in [at(3_600), at(-3_600)] {
            let mut watch = Watch::default();
            watch.look(&board(&[("101", CounselorState::Ready)]), at(0));
            watch.look(&board(&[("101", CounselorState::Ready)]), at(60));
            watch.look(&board(&[("101", CounselorState::Ready)]), next);
            assert_eq!(waiting(&watch), [("101".to_owned(), State::Ready, 0, 60)]);
            assert_eq!(watch.open[&Extension::from("101")].from, next);
        }
    }

    #[test]
    fn what_waits_for_the_database_has_a_limit() {
        let mut watch = Watch::default();
        for s in 0..3 * i64::try_from(WAITING_MAX).unwrap() {
            let state = [CounselorState::Ready, CounselorState::Ringing][(s % 2) as usize].clone();
            watch.look(&board(&[("101", state)]), at(s));
        }
        assert_eq!(watch.waiting.len(), WAITING_MAX);
    }
}
