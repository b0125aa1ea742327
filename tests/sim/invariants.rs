//! What must hold in every world, whatever is done to it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use koebashi::call::board::{Board, CounselorState, PhaseName};
use koebashi::call::cdr::{CallId, Outcome};
use koebashi::sip::message::Method;

use super::pace::PAUSE_MAX;
use super::phone::{Answer, PhoneId};
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
        self.check_bridges(&mut broken);
        self.check_voices(&mut broken);
        self.check_tables(&mut broken);
        self.check_terms(&mut broken);
        self.check_endings(&mut broken);
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
        self.check_endings(&mut broken);
        self.check_tapes(&mut broken);
        self.judge(&broken);
    }

    fn is_at_rest(&self) -> bool {
        let phones = self.phones.iter().filter(|phone| phone.is_alive);
        !self.life.is_dead()
            && self.board.is_idle()
            && self.board.counts().sessions == 0
            && self.open_ports() == 0
            && self.life.disks.are_well()
            && phones.map(|phone| phone.endpoint.counts().sessions).sum::<usize>() == 0
    }

    pub(super) fn judge(&self, broken: &[String]) {
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
            // Who declines at once rings too briefly for the board.
            let declines = |extension: &str| {
                self.phones.iter().any(|phone| {
                    matches!(phone.answer, Answer::Refuses(_))
                        && phone.account.as_ref().is_some_and(|(user, _)| user == extension)
                })
            };
            let free = board.counselors.iter().find(|c| {
                c.state == CounselorState::Ready
                    && !declines(&c.extension.0)
                    && c.for_ > long
                    && call.line.as_ref().is_some_and(|line| c.lines.contains(line))
            });
            assert!(free.is_none(), "{} waits while {free:?} is free", call.call);
        }
    }

    /// A caller's number has gone nowhere but to where it came from, not even to another caller.
    pub(crate) fn check_secrets(&self) {
        let numbers = self.numbers();
        for sent in self.wire.iter().filter(|sent| sent.from == server()) {
            let text = String::from_utf8_lossy(&sent.bytes);
            for (number, owners) in &numbers {
                let is_told = !owners.contains(&sent.to) && text.contains(number.as_str());
                assert!(!is_told, "a number is told to {}:\n{text}", sent.to);
            }
        }
        let steps = self.steps.join("\n");
        let told =
            format!("{steps}{:?}{:?}{:?}{:?}", self.deeds, self.cdrs, self.shown, self.voices);
        for number in numbers.keys() {
            assert!(!told.contains(number), "a number is told");
        }
    }

    /// The numbers of callers, and where each came from.
    fn numbers(&self) -> BTreeMap<String, BTreeSet<SocketAddr>> {
        let mut numbers: BTreeMap<String, BTreeSet<SocketAddr>> = BTreeMap::new();
        for sent in self.wire.iter().filter(|sent| sent.to == server()) {
            let text = String::from_utf8_lossy(&sent.bytes);
            let from = text.lines().find_map(|line| line.strip_prefix("From: "));
            let number =
                from.and_then(|from| from.split_once("@carrier.example")?.0.rsplit(':').next());
            let number = number.filter(|number| number.len() > 8);
            if let Some(number) = number.filter(|_| text.starts_with("INVITE ")) {
                numbers.entry(number.to_owned()).or_default().insert(sent.from);
            }
        }
        numbers
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
        self.check_shown(&board);
        self.note_board(&board);
        self.shown = board;
    }

    /// Every leg is sent a packet every 20 ms, and what is sent is heard: also by a phone that has
    /// heard nothing so far.
    fn check_voices(&self, broken: &mut Vec<String>) {
        if self.life.is_dead() {
            return;
        }
        self.pace.check(self.now, broken);
        let late = PAUSE_MAX + self.link.voice_delay_max();
        for phone in self.phones.iter().filter(|phone| phone.is_alive && phone.listens()) {
            let mut ports = self.peers.iter().filter(|(_, peer)| **peer == phone.rtp);
            let (Some((port, _)), None) = (ports.next(), ports.next()) else { continue };
            let Some(since) = self.pace.owed_since(*port) else { continue };
            let last = phone.heard.last().map_or(since, |heard| heard.at.max(since));
            let is_lost = self.link.lost.get(&phone.rtp).is_some_and(|lost| *lost >= last);
            if last + late < self.now && !is_lost {
                let gap = self.now - last;
                broken.push(format!("{} hears nothing, for {gap:?}", phone.rtp));
            }
        }
    }

    /// Nothing grows beyond what the world can ask for at once.
    fn check_tables(&self, broken: &mut Vec<String>) {
        let counts = self.board.counts();
        // Transactions are remembered for 32 s, and a phone says much in these.
        for (what, count, per_phone) in [
            ("sessions", counts.sessions, 12),
            ("media ports", self.open_ports(), 12),
            ("values of the journal", self.life.kept.len(), 12),
            ("transactions", counts.transactions, 120),
        ] {
            let limit = 16 + per_phone * self.phones.len();
            if count > limit {
                broken.push(format!("{count} {what}"));
            }
        }
    }

    /// One record a call, with one outcome that fits the rest of it.
    fn check_records(&self, broken: &mut Vec<String>) {
        broken.extend(self.life.disks.broken.iter().cloned());
        for cdr in &self.cdrs {
            let id = &cdr.call;
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
        let (calls, records) = (self.calls_seen(), self.cdrs.len());
        let forgiven = self.records_lost(&calls);
        let twice = self.life.disks.nameless();
        if records > calls.len() + twice || records + forgiven < calls.len() {
            broken.push(format!("{} calls, {records} records, {forgiven} lost", calls.len()));
        }
        for counselor in &self.shown.counselors {
            if matches!(counselor.state, CounselorState::Ringing | CounselorState::Talking) {
                broken.push(format!("{} is stuck: {:?}", counselor.extension, counselor.state));
            }
        }
    }

    /// Calls of trunks that the service has answered in whatever way, by what it sent: when it said
    /// its first word.
    fn calls_seen(&self) -> Vec<Instant> {
        let mut calls = BTreeMap::new();
        let answers = self.wire.iter().filter(|sent| sent.from == server());
        for sent in answers.filter(|sent| sent.to.to_string().starts_with("10.0.1.")) {
            let message = sent.message();
            if let Some(code) = message.code()
                && message.cseq().is_ok_and(|cseq| cseq.method == Method::Invite)
            {
                let id = message.call_id().unwrap_or_default().to_owned();
                let (_, is_answered) = calls.entry(id).or_insert((sent.at, false));
                *is_answered |= code > 100;
            }
        }
        let answered = calls.into_values().filter(|(_, is_answered)| *is_answered);
        answered.map(|(at, _)| at).collect()
    }

    /// How many records of these calls may be missing: calls that began while the journal was not
    /// written, before the process was killed, and refusals whose record waited for the database.
    fn records_lost(&self, calls: &[Instant]) -> usize {
        let disks = &self.life.disks;
        let unknown = calls.iter().filter(|at| disks.is_in_a_gap(**at)).count();
        let is_recorded = |id: &&CallId| self.cdrs.iter().any(|cdr| cdr.call == **id);
        unknown + disks.lost.iter().filter(|id| !is_recorded(id)).count()
    }

    /// What the board shows of a counselor, now.
    pub(crate) fn state_of(&self, extension: &str) -> CounselorState {
        let mut all = self.shown.counselors.iter();
        let view = all.find(|view| &*view.extension.0 == extension);
        view.expect("the counselor is on the board").state.clone()
    }
}
