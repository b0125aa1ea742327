//! The board: a picture of the moment, drawn at most a few times a second.
//!
//! Owns the drawing and the count of the day's outcomes. No number of a caller is in it.

use std::collections::BTreeMap;

use super::settle::Watchers;
use super::{BOARD_EVERY, BOARD_SOON, Output, Phase, Switchboard, Timer};
use crate::call::Call;
use crate::call::board::{
    Board, CallView, CounselorState, CounselorView, HelpView, LineView, PhaseName, ServiceLevel,
    SupervisorView,
};
use crate::call::cdr::{Cdr, Outcome};
use crate::call::config::{Extension, LineId};
use crate::call::counselor::Activity;
use crate::call::schedule::{self, Opening};
use crate::call::voice::Side;
use crate::time::{Now, Timestamp};

impl Switchboard {
    /// Something has changed: the board follows, but not at every step.
    pub(super) fn draw_soon(&mut self, now: Now) {
        let soon = now.mono.max(self.drawn + BOARD_SOON);
        if self.timers.at(&Timer::Board).is_none_or(|at| at > soon) {
            self.timers.set(Timer::Board, soon);
        }
    }

    /// Draws the board and plans the next drawing.
    pub(super) fn draw(&mut self, now: Now) {
        self.drawn = now.mono;
        self.timers.set(Timer::Board, now.mono + BOARD_EVERY);
        let counselors = self.counselor_views(now);
        let board = Board {
            at: now.wall,
            draining: self.mode == super::Mode::Draining,
            limits: self.repeat.count(),
            lines: self.line_views(now, &counselors),
            calls: self.call_views(now),
            counselors,
            trunks: self.trunk_views(),
        };
        self.out.push_back(Output::Board(Box::new(board)));
    }

    fn line_views(&mut self, now: Now, counselors: &[CounselorView]) -> Vec<LineView> {
        self.turn_day(now);
        let tz = self.config.timezone;
        let mut views = Vec::new();
        for (id, line) in &self.config.lines {
            let waits = self.calls.values().filter(|call| call.line_id == *id);
            let waits = waits.filter_map(|call| Some(call.waiting()?.waited(now.mono)));
            let waits: Vec<_> = waits.collect();
            let opening = schedule::at(&line.schedule, tz, now.wall);
            views.push(LineView {
                line: id.clone(),
                name: line.name.clone(),
                open: matches!(opening, Opening::Open { .. }),
                changes_at: schedule::next_change(&line.schedule, tz, now.wall),
                closes_at: match opening {
                    Opening::Open { service_end, .. } | Opening::Winding { service_end } => {
                        service_end
                    }
                    Opening::Closed { .. } => None,
                },
                over: schedule::in_force(line.schedule.over, now.wall),
                waiting: waits.len() as u32,
                longest_wait: waits.into_iter().max().unwrap_or_default(),
                ready: counselors
                    .iter()
                    .filter(|c| c.state == CounselorState::Ready && c.lines.contains(id))
                    .count() as u32,
                today: self.today_of(id),
                service_level: self.level_of(id),
            });
        }
        views
    }

    fn call_views(&self, now: Now) -> Vec<CallView> {
        let places = self.queues.places();
        let views = self.calls.iter().filter_map(|(key, call)| {
            let place = places.get(key).copied();
            self.call_view(call, place, now)
        });
        let mut views: Vec<_> = views.collect();
        if !self.config.supervision.counselor_sees_listener {
            for view in &mut views {
                view.supervisor = None;
                view.legs.retain(|leg| leg.side != Side::Supervisor);
            }
        }
        views
    }

    /// Who waits for help.
    fn asking_help(&self, now: Now) -> BTreeMap<Extension, HelpView> {
        let asking = self.calls.iter().filter_map(|(key, call)| {
            let bridge = call.bridge()?;
            let for_ = now.mono.saturating_duration_since(bridge.asks_help_since()?);
            let rings = self.rung_for_help(*key);
            Some((bridge.extension.clone(), HelpView { call: call.id.clone(), for_, rings }))
        });
        asking.collect()
    }

    /// What every counselor does, as far as the board may say so: who supervises unseen is shown
    /// as they would be without.
    fn shown_activities(&self) -> BTreeMap<Extension, Activity> {
        match self.config.supervision.counselor_sees_listener {
            true => self.activities(),
            false => self.activities_of(None, Watchers::Unseen),
        }
    }

    fn counselor_views(&mut self, now: Now) -> Vec<CounselorView> {
        let (busy, help) = (self.shown_activities(), self.asking_help(now));
        let mut views = Vec::new();
        for (extension, c) in &self.config.counselors {
            let activity = busy.get(extension).copied();
            let Some(kept) = self.counselors.show(now.mono, extension, activity) else { continue };
            let view = CounselorView {
                extension: extension.clone(),
                name: c.name.clone(),
                state: kept.shown.0.clone(),
                for_: now.mono.saturating_duration_since(kept.shown.1),
                intention: kept.intention.clone(),
                chosen_by: kept.chosen_by,
                wrap_up_left: kept
                    .wrap_up_until
                    .map(|until| until.saturating_duration_since(now.mono)),
                missed: kept.missed,
                taken: kept.taken,
                recent: kept.recent.iter().cloned().collect(),
                lines: c.lines.clone(),
                help: help.get(extension).cloned(),
            };
            views.push((c.order, view));
        }
        views.sort_by_key(|(order, _)| *order);
        views.into_iter().map(|(_, view)| view).collect()
    }

    /// One more outcome today, by the service's calendar.
    pub(super) fn count_today(&mut self, now: Now, line: &LineId, outcome: Outcome) {
        self.turn_day(now);
        self.touch_service();
        *self.today.outcomes.entry(line.clone()).or_default().entry(outcome).or_default() += 1;
    }

    /// Whether anything was counted today already: what is kept over a restart says so.
    pub fn knows_today(&self) -> bool {
        self.today.day.is_some()
    }

    /// Counts a call of an earlier process, when it is one of today: a restart in the middle of an
    /// evening does not begin the evening anew.
    pub fn recall(&mut self, now: Now, cdr: &Cdr) {
        let day = |at: Timestamp| at.with_timezone(&self.config.timezone).date_naive();
        let is_today = day(cdr.ended) == day(now.wall);
        let Some(line) = cdr.line.as_ref().filter(|_| is_today && !cdr.test) else { return };
        self.count_today(now, line, cdr.outcome);
        self.count_level(line, cdr);
        self.is_dirty = true;
    }

    /// Begins the count anew after midnight, whether anybody has called since or not.
    fn turn_day(&mut self, now: Now) {
        let day = now.wall.with_timezone(&self.config.timezone).date_naive();
        if self.today.day != Some(day) {
            self.today.day = Some(day);
            self.today.outcomes.clear();
            self.today.levels.clear();
        }
    }

    fn today_of(&self, line: &LineId) -> Vec<(Outcome, u32)> {
        let outcomes = self.today.outcomes.get(line).into_iter().flatten();
        outcomes.map(|(outcome, count)| (*outcome, *count)).collect()
    }

    /// Counts a call that is over into its line's service level, by the rule of the reports.
    pub(super) fn count_level(&mut self, line: &LineId, cdr: &Cdr) {
        let level = self.today.levels.entry(line.clone()).or_default();
        match cdr.outcome {
            Outcome::Answered => level.answered(cdr.wait),
            Outcome::Abandoned => level.of += 1,
            Outcome::ShortAbandoned
            | Outcome::GuidanceAbandoned
            | Outcome::TimedOut
            | Outcome::Full
            | Outcome::NoCounselor
            | Outcome::Closed
            | Outcome::Refused
            | Outcome::Failed => {}
        }
    }

    /// The line's service level today; whoever talks was answered.
    fn level_of(&self, line: &LineId) -> ServiceLevel {
        let mut level = self.today.levels.get(line).copied().unwrap_or_default();
        let of_line = self.calls.values().filter(|call| call.line_id == *line);
        for call in of_line.filter(|call| call.record.was_joined()) {
            level.answered(call.record.waited());
        }
        level
    }

    fn call_view(&self, call: &Call, position: Option<u32>, now: Now) -> Option<CallView> {
        if call.record.is_trial() {
            return None;
        }
        let (phase, counselors) = match &call.phase {
            Phase::Trunk(_) => (PhaseName::Trunk, Vec::new()),
            Phase::Guidance(_) | Phase::Message(_) | Phase::Consent(_) => {
                (PhaseName::Guidance, Vec::new())
            }
            Phase::Queue(_) => (PhaseName::Queue, Vec::new()),
            Phase::Ringing(_, ring) => (PhaseName::Ringing, ring.extensions()),
            Phase::Bridge(bridge) => (PhaseName::Bridge, bridge.extensions().0),
            Phase::Ended => return None,
        };
        let watcher = call.bridge().and_then(|bridge| bridge.watcher());
        Some(CallView {
            call: call.id.clone(),
            line: Some(call.line_id.clone()),
            phase,
            since: call.record.started.wall,
            in_phase: now.mono.saturating_duration_since(call.record.phase_since(phase)),
            waited: call.record.was_joined().then(|| call.record.waited()),
            position,
            counselors,
            presentation: call.presentation,
            recording: call.recording.tape(),
            legs: self.leg_views(call),
            supervisor: watcher.map(|watcher| SupervisorView {
                extension: watcher.extension,
                mode: watcher.mode,
                for_: now.mono.saturating_duration_since(watcher.since),
            }),
        })
    }
}
