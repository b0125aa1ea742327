//! Why the service ends a call: it never does so for no reason that the world knows of.
//!
//! Owns the table of reasons ([`REASONS`]), and what it says of every BYE to a caller and to a
//! counselor's phone that was joined with one, of every refusal after it rang, and of every record.
//! What is known of the legs is [`legs`](super::legs)'s.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use koebashi::call::board::{CounselorState, CounselorView};
use koebashi::call::cdr::{Cdr, EndReason, EndedBy, Outcome};
use koebashi::call::config::{Config, LineId, SILENCE};
use koebashi::call::switchboard::Command;
use koebashi::media::{PortId, Prompt, Source};
use koebashi::sip::message::{Message, Method};

use super::clock::TICK;
use super::legs::{Leg, Legs, Wanted, peer};
use super::phone::PhoneCall;
use super::terms::DEAD;
use super::world::{World, server};

/// 64·T1: how long a request and a 200 are sent again.
const UNHEARD: Duration = Duration::from_secs(32);
/// How much sooner than by its limit something may be over: messages are under way for so long.
const EARLY: Duration = Duration::from_millis(500);
/// How long each prompt of the world lasts, but for what the last tick may be early.
const PROMPT: Duration = Duration::from_millis(480);
/// How long after REFER somebody else may have the caller: as long as a phone rings, and some.
const HANDED_ON_WITHIN: Duration = Duration::from_secs(30);
/// What a call ends with.
const FAREWELLS: [&str; 2] = ["help", "goodbye"];

/// Why a leg may be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    /// The phone sent BYE or CANCEL, or says that there is no such call (481, 408).
    HungUp,
    /// Nothing came of a caller for as long as `lost_caller`, and of a counselor's phone for as long
    /// as a silence and a question, and it was off, cut off or did not react meanwhile.
    Silent,
    /// The session's time is as good as over.
    Expired,
    /// It has not answered or acknowledged in 64·T1, and was off, cut off or did not react.
    Unanswered,
    /// The network says so of a phone that was asked whether it is there, because it was silent.
    GoneWhenAsked,
    /// The counselor asked for a transfer.
    HandedOn,
    /// A caller was told other numbers that help, or goodbye, to the end.
    Told,
    /// The caller with whom the counselor was joined has been let go already.
    Over,
    /// A media port can't be had.
    Portless,
    /// The present process has no configuration that knows some line that there was.
    Lineless,
    /// The process was told to stop.
    Stopped,
    /// The journal has lost what became of it.
    Forgotten,
}

/// Of whose legs a reason speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// The one of which it holds.
    Own,
    /// That of a caller, and then the counselor's with it; or that of a counselor alone: the caller
    /// comes first again.
    Callers,
    /// Both, whosever it is.
    Both,
}

/// A reason, and when it holds of a leg.
struct Row {
    why: Why,
    ends: Ends,
    holds: fn(&World, &Leg) -> bool,
}

/// All that the world accepts.
const REASONS: [Row; 11] = [
    Row { why: Why::HungUp, ends: Ends::Both, holds: World::is_hung_up },
    Row { why: Why::Silent, ends: Ends::Callers, holds: World::is_silent },
    Row { why: Why::Expired, ends: Ends::Callers, holds: World::is_expired },
    Row { why: Why::Unanswered, ends: Ends::Callers, holds: World::is_unanswered },
    Row { why: Why::GoneWhenAsked, ends: Ends::Callers, holds: World::is_refused },
    Row { why: Why::HandedOn, ends: Ends::Own, holds: World::has_handed_on },
    Row { why: Why::Told, ends: Ends::Own, holds: World::is_told_all },
    Row {
        why: Why::Over,
        ends: Ends::Callers,
        holds: |_, leg| leg.is_caller && leg.over.is_some(),
    },
    Row {
        why: Why::Portless,
        ends: Ends::Both,
        holds: |world, _| !world.unbindable.is_empty() || !world.hung.is_empty(),
    },
    Row { why: Why::Lineless, ends: Ends::Both, holds: |world, _| world.has_lost_a_line() },
    Row { why: Why::Stopped, ends: Ends::Both, holds: |world, _| world.endings.is_stopped },
];

/// What the world knows of ends.
#[derive(Debug, Default)]
pub(crate) struct Endings {
    pub(super) legs: Legs,
    /// How often each reason has held.
    pub(crate) seen: BTreeMap<Why, usize>,
    /// When the network last refused what was sent to an address.
    refused: BTreeMap<SocketAddr, Instant>,
    is_stopped: bool,
    /// Lines that there were.
    lines: BTreeSet<LineId>,
    /// The shortest that were in force: a silence and a question, `lost_caller`, `max_wait`.
    limits: Option<(Duration, Duration, Duration)>,
    broken: Vec<String>,
}

impl Endings {
    /// Another configuration is in force.
    pub(super) fn configure(&mut self, config: &Config) {
        self.lines.extend(config.lines.keys().cloned());
        let waits = config.lines.values().map(|line| line.queue.max_wait);
        let limits = &config.limits;
        let (vanish, lost) = (SILENCE + limits.question(), limits.lost_caller);
        let wait = waits.min().unwrap_or_default();
        let (v, l, w) = self.limits.unwrap_or((vanish, lost, wait));
        self.limits = Some((v.min(vanish), l.min(lost), w.min(wait)));
    }

    /// An operator or a person does something.
    pub(super) fn on_command(&mut self, command: &Command) {
        self.is_stopped |= matches!(command, Command::Stop);
        if let Command::Configure(config, _) = command {
            self.configure(config);
        }
    }

    /// The network says that nothing reaches this address.
    pub(super) fn on_refused(&mut self, now: Instant, phone: SocketAddr) {
        self.refused.insert(phone, now);
    }
}

impl World {
    /// Notes a message that has reached the service or leaves it; judges it, where it ends a leg.
    pub(crate) fn note_ending(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let Ok(message) = Message::parse(bytes) else { return };
        if from != server() {
            let wall = self.clock().wall;
            return self.endings.legs.on_read(self.now, wall, from, &message);
        }
        if let Ok(id) = message.call_id()
            && self.ends(id, &message)
        {
            let what = message.code().map_or_else(|| "BYE".to_owned(), |code| code.to_string());
            self.judge_end(id, &format!("{what} to {to}"));
        }
        let late = if self.is_first() { DEAD } else { Duration::ZERO };
        self.endings.legs.on_sent(self.now, self.now - late, to, &message);
    }

    fn judge_end(&mut self, id: &str, what: &str) {
        let why = self.why(id);
        let ms = (self.now - self.started()).as_millis();
        let Some(leg) = self.endings.legs.all.get_mut(id) else { return };
        leg.over = Some(why);
        match why {
            Some(why) => *self.endings.seen.entry(why).or_default() += 1,
            None => self.endings.broken.push(format!("{ms} ms: {what} for no reason: {leg:?}")),
        }
    }

    /// The process dies: whatever it has just decided, the next one does.
    pub(super) fn note_dues(&mut self) {
        let ids: Vec<_> = self.endings.legs.all.keys().cloned().collect();
        let dues: Vec<_> = ids.into_iter().map(|id| (self.why(&id), id)).collect();
        for (why, id) in dues {
            self.endings.legs.all.entry(id).and_modify(|leg| leg.due = why);
        }
    }

    /// Legs that the next process knows nothing of have no port there.
    pub(super) fn close_forgotten(&mut self) {
        let disks = &self.life.disks;
        let all = self.endings.legs.all.values_mut();
        all.filter(|leg| disks.is_in_a_gap(leg.since)).for_each(Leg::lose_port);
    }

    /// The media plane lets a port hear something else.
    pub(super) fn note_listen(&mut self, port: PortId, source: &Source) {
        let at = |port| self.ports.get(&port).map(|local| local.port());
        let other = if let Source::Port(other) = source { at(*other) } else { None };
        if let Some(port) = at(port) {
            self.endings.legs.on_listen(self.now, port, source, other);
        }
    }

    /// Whether a message ends a leg of which the service owes an account, for the first time: a
    /// caller's, or one that was joined with a caller's.
    fn ends(&self, id: &str, message: &Message) -> bool {
        let Some(leg) = self.endings.legs.all.get(id).filter(|leg| leg.over.is_none()) else {
            return false;
        };
        let is_known = self.phones.iter().any(|phone| phone.sip == leg.phone);
        let is_ours = leg.is_caller || !leg.partners.is_empty();
        let of_invite = message.cseq().is_ok_and(|cseq| cseq.method == Method::Invite);
        let is_refusal = of_invite && message.code().is_some_and(|code| code >= 300);
        let is_late = leg.rang.is_some_and(|rang| rang < self.now);
        let is_end = message.method() == Some(&Method::Bye)
            || (is_refusal && leg.is_caller && !leg.is_up && is_late);
        is_known && is_ours && is_end
    }

    /// Why this leg may be ended now.
    fn why(&self, id: &str) -> Option<Why> {
        let legs = &self.endings.legs.all;
        let leg = legs.get(id)?;
        let other = self.endings.legs.partner(self.now, leg);
        let holds = |row: &&Row| {
            let is_others = other.is_some_and(|other| {
                let reaches = match row.ends {
                    Ends::Own => false,
                    Ends::Callers => other.is_caller,
                    Ends::Both => other.over.is_none() || other.is_caller,
                };
                reaches && (row.holds)(self, other)
            });
            (row.holds)(self, leg) || is_others
        };
        // What the process before had decided is done as soon as there is another.
        let due = leg.due.filter(|_| self.life.since == self.now);
        let row = REASONS.iter().find(holds).map(|row| row.why).or(due);
        row.or_else(|| {
            let both = [Some(leg), other];
            let is_forgotten = both.into_iter().flatten().any(|leg| self.is_forgotten(leg));
            is_forgotten.then_some(Why::Forgotten)
        })
    }

    /// Whether the phone was off, cut off or did not react at any moment since then, or knows nothing
    /// of the call now.
    fn was_away(&self, leg: &Leg, since: Instant) -> bool {
        let Some(phone) = self.phones.iter().find(|phone| phone.sip == leg.phone) else {
            return false;
        };
        let ip = leg.phone.ip();
        let session = phone.dialogs.session_of(&leg.id);
        let mut calls = phone.calls.iter();
        let is_on = |call: &PhoneCall| call.ended.is_none() && !call.is_hung_up;
        let is_in_it = calls.any(|call| Some(call.session) == session && is_on(call));
        let is_since = |at: Option<&Instant>| at.is_some_and(|at| *at >= since);
        !phone.is_alive
            || !is_in_it
            || is_since(phone.ignored.as_ref())
            || is_since(self.link.troubled.get(&ip))
            || is_since(self.link.cut.get(&ip))
    }

    /// Whether the phone has hung up; or, of a caller, whether a counselor has who was joined with
    /// them: the BYE may have to wait for an ACK. Or whether any has just now: who is joined with
    /// whom is not always known, as where an answer waits for a PRACK, or the process is a new one.
    fn is_hung_up(&self, leg: &Leg) -> bool {
        let has_left = |(id, it): (&String, &Leg)| {
            let is_theirs = leg.partners.contains(id) && it.hung_up.is_some();
            !it.is_caller && (is_theirs || it.hung_up == Some(self.now))
        };
        leg.hung_up.is_some() || leg.is_caller && self.endings.legs.all.iter().any(has_left)
    }

    fn is_silent(&self, leg: &Leg) -> bool {
        let Some((vanish, lost, _)) = self.endings.limits else { return false };
        let limit = if leg.is_caller { lost } else { vanish };
        // Of what a process did not hear, it can't be heard by the next one that nothing came.
        let heard = self.endings.legs.heard(leg);
        let since = heard.max(self.life.since);
        let is_over = |since: Instant, limit| since + limit <= self.now + EARLY;
        // Whoever holds is not expected to speak, and is asked from time to time.
        let asked = leg.waits_since(&[Wanted::SignOfLife]).filter(|_| !leg.is_caller);
        is_over(since, limit) && self.was_away(leg, heard)
            || asked.is_some_and(|at| is_over(at, vanish - SILENCE) && self.was_away(leg, at))
    }

    fn is_expired(&self, leg: &Leg) -> bool {
        self.terms.is_given_up(&leg.id, self.now)
    }

    fn is_unanswered(&self, leg: &Leg) -> bool {
        let since = leg.waits_since(&[Wanted::Answer, Wanted::Ack, Wanted::Prack]);
        since.is_some_and(|at| at + UNHEARD <= self.now && self.was_away(leg, at))
    }

    fn has_lost_a_line(&self) -> bool {
        let all = || self.life.old.iter().chain([&self.life.toml]);
        let is_known = |line: &LineId| all().any(|toml| toml.contains(&format!("id = \"{line}\"")));
        self.life.deaths > 0 && !self.endings.lines.iter().all(is_known)
    }

    fn is_refused(&self, leg: &Leg) -> bool {
        let is_now = self.endings.refused.get(&leg.phone) == Some(&self.now);
        is_now && leg.waits_since(&[Wanted::SignOfLife]).is_some()
    }

    fn has_handed_on(&self, leg: &Leg) -> bool {
        let referred = self.endings.legs.referred.get(&leg.phone);
        let is_new = |at: &Instant| *at >= leg.since && *at + HANDED_ON_WITHIN >= self.now;
        !leg.is_caller && referred.is_some_and(is_new)
    }

    fn is_told_all(&self, leg: &Leg) -> bool {
        let is_told = |(at, prompts): (Instant, &[Prompt])| {
            let is_farewell = prompts.last().is_some_and(|last| FAREWELLS.contains(&&*last.0));
            let is_fault = prompts.iter().any(|prompt| &*prompt.0 == "fault");
            // It has been said when its last packet goes out.
            let length = PROMPT * prompts.len() as u32;
            is_farewell && !is_fault && at + length <= self.now + TICK
        };
        leg.is_caller && self.endings.legs.told(leg).any(is_told)
    }

    /// Whether the journal missed what went between this phone and the service.
    fn is_forgotten(&self, leg: &Leg) -> bool {
        let (disks, delay) = (&self.life.disks, self.link.delay);
        // What was on its way when the gap began has come in it.
        let is_missed = |at| disks.is_in_a_gap(at) || disks.is_in_a_gap(at + delay);
        leg.answered.is_some_and(|at| disks.is_in_a_gap(at))
            || !disks.gaps.is_empty()
                && self.wire.iter().any(|sent| {
                    peer(sent.from, sent.to) == leg.phone
                        && sent.at >= leg.since
                        && is_missed(sent.at)
                })
    }

    /// A record comes: what it says is what happened to one of those who called at its beginning.
    pub(crate) fn note_end_of_record(&mut self, cdr: &Cdr) {
        let mut legs = self.endings.legs.begun_at(cdr.started).peekable();
        let is_known = |leg: &Leg| self.phones.iter().any(|phone| phone.sip == leg.phone);
        let is_right = legs.peek().is_none()
            || legs.any(|(id, leg)| !is_known(leg) || self.fits(cdr, id, leg));
        if !is_right || !self.is_fair(cdr) {
            let ms = (self.now - self.started()).as_millis();
            let legs: Vec<_> = self.endings.legs.begun_at(cdr.started).collect();
            let text = format!("{ms} ms: ended for no reason: {cdr:?}, {legs:?}");
            self.endings.broken.push(text);
        }
    }

    fn fits(&self, cdr: &Cdr, id: &str, leg: &Leg) -> bool {
        let why = || leg.over.unwrap_or_else(|| self.why(id));
        let all = &self.endings.legs.all;
        let others = || {
            let known = leg.partners.iter().filter_map(|other| all.get(other));
            known.chain(self.endings.legs.partner(self.now, leg))
        };
        let has_row = |wanted: &[Why]| why().is_some_and(|why| wanted.contains(&why));
        let is_right = match (cdr.reason, cdr.ended_by) {
            (EndReason::Hangup, EndedBy::Counselor) => {
                // The next process may tell it, who does not tune anybody's legs any more.
                let has_left = |it: &Leg| it.hung_up.is_some_and(|at| at >= leg.since);
                all.values().filter(|it| !it.is_caller).any(has_left)
            }
            (EndReason::Hangup | EndReason::Cancelled, _) => leg.hung_up.is_some(),
            (EndReason::CallerLost, _) => has_row(&LOSSES),
            (EndReason::MessageEnded, _) => has_row(&[Why::Told]) || self.is_told_all(leg),
            (EndReason::Rejected(_), _) => leg.rang.is_none() || why().is_some() || !leg.is_up,
            (EndReason::Stopped, _) => has_row(&[Why::Stopped]),
            (EndReason::Fault, _) => has_row(&[Why::Portless]),
        };
        is_right || self.is_forgotten(leg) || others().any(|leg| self.is_forgotten(leg))
    }

    /// Whether a verdict that turns a caller away has something in its favor.
    fn is_fair(&self, cdr: &Cdr) -> bool {
        let Some((_, _, wait)) = self.endings.limits else { return true };
        // The next process may tell it, long after it was decided.
        let ago = (self.clock().wall - cdr.ended).to_std().unwrap_or_default();
        let is_free = |counselor: &CounselorView| {
            let is_theirs = cdr.line.as_ref().is_some_and(|line| counselor.lines.contains(line));
            let long = cdr.wait + ago + Duration::from_secs(10);
            is_theirs && counselor.state == CounselorState::Ready && counselor.for_ > long
        };
        let is_turned_away = matches!(cdr.reason, EndReason::MessageEnded | EndReason::Rejected(_));
        let is_early = cdr.outcome == Outcome::TimedOut && cdr.wait + EARLY < wait;
        let is_wrong = cdr.outcome == Outcome::NoCounselor
            && is_turned_away
            && self.shown.counselors.iter().any(is_free);
        !is_early && !is_wrong
    }

    /// Whether the service has ended this leg for no reason.
    pub(super) fn is_broken_off(&self, id: &str) -> bool {
        self.endings.legs.all.get(id).is_some_and(|leg| leg.over == Some(None))
    }

    /// What was ended for no reason.
    pub(super) fn check_endings(&self, broken: &mut Vec<String>) {
        broken.extend(self.endings.broken.iter().cloned());
    }
}

/// Of these a record says that the caller was lost; who restarts their phone says 481.
const LOSSES: [Why; 6] =
    [Why::HungUp, Why::Silent, Why::Expired, Why::Unanswered, Why::GoneWhenAsked, Why::Forgotten];
