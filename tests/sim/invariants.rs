//! What must hold in every world, whatever is done to it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use koebashi::call::board::{Board, CounselorState, PhaseName};
use koebashi::call::cdr::{CallId, Outcome};
use koebashi::media::Source;
use koebashi::sip::message::Method;

use super::phone::PhoneId;
use super::world::{World, server};

/// How long anything may go on after everyone has hung up: a dead caller's `max_wait` in ring mode,
/// then 64·T1 for the ACK to our 200 and 64·T1 for the answer to our BYE, and some.
pub(crate) const QUIET_WITHIN: Duration = Duration::from_secs(150);

impl World {
    /// Panics with the story when something is wrong at this moment.
    pub(crate) fn check(&self) {
        let mut broken = Vec::new();
        self.check_board(&mut broken);
        self.check_records(&mut broken);
        self.check_tapes(&mut broken);
        self.check_voices(&mut broken);
        self.check_tables(&mut broken);
        if !self.life.is_dead()
            && let Some((at, why)) = self.board.poll_timeout()
            && at + Duration::from_millis(1) < self.now
        {
            broken.push(format!("a deadline is missed: {why:?}"));
        }
        self.judge(&broken);
    }

    /// Every phone hangs up all that it has, and everything comes to rest.
    pub(crate) fn let_all_go(&mut self) {
        for id in 0..self.phones.len() {
            self.with(PhoneId(id), |phone, now| phone.hang_up_all(now));
        }
        self.come_to_rest();
    }

    /// Lets everything come to rest, and panics with the story when something is left over.
    pub(crate) fn come_to_rest(&mut self) {
        let until = self.now + QUIET_WITHIN;
        while !self.is_at_rest() && self.now < until {
            self.run(Duration::from_millis(500));
        }
        // The board is drawn a few times a second.
        self.run(Duration::from_millis(300));
        let mut broken = Vec::new();
        self.check_left_over(&mut broken);
        self.check_records(&mut broken);
        self.check_tapes(&mut broken);
        self.judge(&broken);
    }

    fn is_at_rest(&self) -> bool {
        let phones = self.phones.iter().filter(|phone| phone.is_alive);
        !self.life.is_dead()
            && self.board.is_idle()
            && self.board.counts().sessions == 0
            && self.open_ports() == 0
            && phones.map(|phone| phone.endpoint.counts().sessions).sum::<usize>() == 0
    }

    fn judge(&self, broken: &[String]) {
        assert!(broken.is_empty(), "{}\n{}", broken.join("\n"), self.story());
    }

    /// Nobody is in two calls; a place in a queue belongs to one.
    fn check_board(&self, broken: &mut Vec<String>) {
        let mut busy = BTreeSet::new();
        let mut places = BTreeMap::new();
        for call in &self.shown.calls {
            for extension in &call.counselors {
                if !busy.insert(extension) {
                    broken.push(format!("{extension} is in two calls"));
                }
            }
            if call.phase == PhaseName::Bridge && call.counselors.len() != 1 {
                broken.push(format!("{} is joined with {:?}", call.call, call.counselors));
            }
            if let Some(place) = call.position
                && let Some(other) = places.insert((&call.line, place), &call.call)
            {
                broken.push(format!("{} and {other} have place {place}", call.call));
            }
        }
    }

    /// Nobody waits, with nothing happening, while somebody is free.
    pub(crate) fn check_service(&self) {
        if self.life.is_dead() {
            return;
        }
        let (board, long) = (&self.shown, Duration::from_secs(6));
        for call in board.calls.iter().filter(|call| call.phase == PhaseName::Queue) {
            let id = format!(" {}: ", call.call);
            let last = self.steps.iter().rev().find(|step| step.contains(&id)).expect("a step");
            let at = last.trim_start().split(' ').next().and_then(|ms| ms.parse().ok());
            let since = self.started() + Duration::from_millis(at.expect("a step's time"));
            if self.now < since + long {
                continue;
            }
            let free = board.counselors.iter().find(|c| {
                c.state == CounselorState::Ready
                    && c.for_ > long
                    && call.line.as_ref().is_some_and(|line| c.lines.contains(line))
            });
            assert!(free.is_none(), "{} waits while {free:?} is free", call.call);
        }
    }

    /// The caller's number has gone nowhere but to the trunk that it came from.
    pub(crate) fn check_secrets(&self) {
        let number = "09011112222";
        let to_others = self
            .wire
            .iter()
            .filter(|sent| sent.from == server() && !sent.to.to_string().starts_with("10.0.1."));
        for sent in to_others {
            let text = String::from_utf8_lossy(&sent.bytes);
            assert!(!text.contains(number), "a number is told to {}:\n{text}", sent.to);
        }
        let steps = self.steps.join("\n");
        let told =
            format!("{steps}{:?}{:?}{:?}{:?}", self.deeds, self.cdrs, self.shown, self.voices);
        assert!(!told.contains(number), "a number is told");
    }

    /// Another board is shown: those who wait on a line still wait in the same order.
    pub(crate) fn show(&mut self, board: Board) {
        let place = |board: &Board, id: &CallId| {
            let call = board.calls.iter().find(|call| call.call == *id)?;
            Some((call.line.clone(), call.position?))
        };
        for (n, one) in self.shown.calls.iter().enumerate() {
            for two in &self.shown.calls[n + 1..] {
                let before = (place(&self.shown, &one.call), place(&self.shown, &two.call));
                let after = (place(&board, &one.call), place(&board, &two.call));
                if let ((Some((l1, p1)), Some((l2, p2))), (Some((m1, q1)), Some((m2, q2)))) =
                    (before, after)
                    && [&l1, &l2, &m1, &m2].iter().all(|line| **line == l1)
                {
                    let is_kept = (p1 < p2) == (q1 < q2);
                    assert!(is_kept, "{} and {} have changed places", one.call, two.call);
                }
            }
        }
        self.shown = board;
    }

    /// A caller is heard by one counselor and by whoever supervises, and a phone that has begun to
    /// hear something goes on hearing, packet by packet.
    fn check_voices(&self, broken: &mut Vec<String>) {
        for (port, peer) in &self.peers {
            let hears_it = |source: &Source| match source {
                Source::Port(of) => of == port,
                Source::Mix(of) => of.contains(port),
                Source::Silence | Source::Play { .. } => false,
            };
            let hearers = self.listens.values().filter(|source| hears_it(source)).count();
            if peer.to_string().starts_with("10.0.1.") && hearers > 2 {
                broken.push(format!("{hearers} hear the caller at {peer}"));
            }
        }
        if self.life.is_dead() {
            return;
        }
        let late = Duration::from_millis(100);
        for phone in self.phones.iter().filter(|phone| phone.is_alive && phone.listens()) {
            let mut ports = self.peers.iter().filter(|(_, peer)| **peer == phone.rtp);
            let (Some((port, _)), None) = (ports.next(), ports.next()) else { continue };
            let since = self.connected[port];
            let lost = self.link.lost.get(&phone.rtp);
            let last = phone.heard.last().filter(|heard| heard.at >= since);
            if let Some(last) = last
                && last.at + late < self.now
                && lost.is_none_or(|lost| *lost < last.at)
            {
                let gap = self.now - last.at;
                broken.push(format!("{} hears nothing, for {gap:?}", phone.rtp));
            }
        }
    }

    /// Nothing grows beyond what the world can ask for at once.
    fn check_tables(&self, broken: &mut Vec<String>) {
        let counts = self.board.counts();
        let per_phone = 12;
        for (what, count) in [
            ("sessions", counts.sessions),
            ("media ports", self.open_ports()),
            ("values of the journal", self.life.kept.len()),
        ] {
            let limit = 16 + per_phone * self.phones.len();
            if count > limit {
                broken.push(format!("{count} {what}"));
            }
        }
    }

    /// One record a call, with one outcome that fits the rest of it.
    fn check_records(&self, broken: &mut Vec<String>) {
        let mut seen = BTreeSet::new();
        for cdr in &self.cdrs {
            let id = &cdr.call;
            if !seen.insert(id) {
                broken.push(format!("{id} has two records"));
            }
            if cdr.outcome == Outcome::Failed {
                broken.push(format!("{id} failed, which is our fault"));
            }
            if (cdr.outcome == Outcome::Answered) == cdr.talks.is_empty() {
                broken.push(format!("{id}: {:?} with {:?}", cdr.outcome, cdr.talks));
            }
            if cdr.talk != cdr.talks.iter().map(|(_, talk)| *talk).sum::<Duration>() {
                broken.push(format!("{id}: the talk is not the sum of the talks"));
            }
            let lasted = (cdr.ended - cdr.started).to_std();
            if lasted.is_err() || lasted.is_ok_and(|all| all < cdr.guidance + cdr.wait + cdr.talk) {
                broken.push(format!("{id} is shorter than its parts: {cdr:?}"));
            }
        }
    }

    /// Nothing is left when everyone has hung up.
    fn check_left_over(&self, broken: &mut Vec<String>) {
        let mut none = |what: &str, count: usize| {
            if count > 0 {
                broken.push(format!("{count} {what} left"));
            }
        };
        none("media ports of the service", self.open_ports());
        none("sessions of the service", self.board.counts().sessions);
        none("calls of the service", usize::from(!self.board.is_idle()));
        for phone in self.phones.iter().filter(|phone| phone.is_alive) {
            none("sessions of a phone", phone.endpoint.counts().sessions);
            let on = |call: &&super::phone::PhoneCall| call.ended.is_none() && !call.is_hung_up;
            none("calls of a phone that never ended", phone.calls.iter().filter(on).count());
        }
        let is_open = |t: &&super::recording::Tape| t.stopped.is_none() || !t.is_ended;
        none("recordings that nobody ended", self.tapes.all.iter().filter(is_open).count());
        let calls = self.calls_seen();
        if calls != self.cdrs.len() {
            broken.push(format!("{calls} calls, {} records", self.cdrs.len()));
        }
        for counselor in &self.shown.counselors {
            if matches!(counselor.state, CounselorState::Ringing | CounselorState::Talking) {
                broken.push(format!("{} is stuck: {:?}", counselor.extension, counselor.state));
            }
        }
    }

    /// Calls of trunks that the service has answered in whatever way, by what it sent.
    fn calls_seen(&self) -> usize {
        let answers = self.wire.iter().filter(|sent| sent.from == server());
        let answers = answers.filter(|sent| sent.to.to_string().starts_with("10.0.1."));
        let answers = answers.map(super::world::Sent::message);
        let answers = answers.filter(|message| {
            let is_invite = message.cseq().is_ok_and(|cseq| cseq.method == Method::Invite);
            is_invite && message.code().is_some_and(|code| code > 100)
        });
        let ids: BTreeSet<_> =
            answers.map(|message| message.call_id().unwrap_or_default().to_owned()).collect();
        ids.len()
    }

    /// What the board shows of a counselor, now.
    pub(crate) fn state_of(&self, extension: &str) -> CounselorState {
        let mut all = self.shown.counselors.iter();
        let view = all.find(|view| &*view.extension.0 == extension);
        view.expect("the counselor is on the board").state.clone()
    }
}
