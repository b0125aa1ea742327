//! What holds for a time only: registrations, sessions, waits, times for notes, the voice of a phone
//! that died; and that each of them is over when its time is.
//!
//! Owns until when a registration or a session was granted last, by what went over the wire and
//! nothing else. When a line is open is [`hours`](super::hours)'s.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use koebashi::call::board::{Board, CounselorState, PhaseName};
use koebashi::call::config::{Config, Queue};
use koebashi::call::deed::What;
use koebashi::sip::header::{Contact, Refresher, SessionExpires};
use koebashi::sip::message::{Message, Method};

use super::sights::Sight;
use super::world::{World, server};

/// How much later something may be seen to be over: the board is drawn once a second, and a process
/// may be dead for three.
const SLACK: Duration = Duration::from_secs(5);
/// How long a process may be dead.
pub(super) const DEAD: Duration = Duration::from_secs(3);
/// How long the voice of a phone that died may stay connected: `lost_caller`, and as long as a
/// question and its repetition may take.
const GONE_WITHIN: Duration = Duration::from_secs(90);

/// What was granted for a time.
#[derive(Clone, Copy, Debug)]
struct Term {
    /// Whether the phone sent the request that was granted, and its `CSeq` number.
    asked: (bool, u32),
    granted: Instant,
    until: Instant,
    /// The phone is to refresh it (a session).
    is_theirs: bool,
    phone: SocketAddr,
    /// How much earlier it may have been granted, by a process that died before it said so.
    late: Duration,
}

impl Term {
    fn new(now: Instant, asked: (bool, u32), seconds: u32, phone: SocketAddr) -> Self {
        let until = now + Duration::from_secs(seconds.into());
        Self { asked, granted: now, until, is_theirs: true, phone, late: Duration::ZERO }
    }

    /// Whether it should have been renewed, which is due at half its time.
    fn is_overdue(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.granted) * 5 > (self.until - self.granted) * 3
    }

    /// Whether so much of it is over that it is renewed because of that, and not by the way.
    fn is_due(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.granted) * 5 > (self.until - self.granted) * 2
    }

    /// Whether so little is left of it that the service may give it up (RFC 4028 §10).
    fn is_given_up(&self, now: Instant) -> bool {
        let left = self.until.saturating_duration_since(now);
        left <= ((self.until - self.granted) / 3).min(Duration::from_secs(32)) + self.late
    }
}

/// The longest that anything may last by any configuration that was in force.
#[derive(Debug, Default)]
struct Longest {
    wait: Duration,
    notes: Duration,
}

/// What was granted, and until when.
#[derive(Debug, Default)]
pub(crate) struct Terms {
    /// By the phone's address. One whose time is over stays until the phone registers again; one
    /// that was taken back was granted no time.
    phones: BTreeMap<SocketAddr, Term>,
    lapsed: BTreeSet<SocketAddr>,
    /// By Call-ID.
    sessions: BTreeMap<String, Term>,
    /// Those of which the process may have agreed to something at its very end.
    untold: BTreeSet<String>,
    /// Those that the service has ended, or seen ended.
    over: BTreeSet<String>,
    /// What has been asked for at this moment: by whom, in which dialog.
    asked: Vec<(Instant, SocketAddr, String)>,
    longest: Longest,
}

impl Terms {
    /// Another configuration is in force.
    pub(super) fn configure(&mut self, config: &Config) {
        let most = |f: fn(&Queue) -> Duration| {
            config.lines.values().map(|line| f(&line.queue)).max().unwrap_or_default()
        };
        self.longest.wait = self.longest.wait.max(most(|queue| queue.max_wait));
        self.longest.notes = self.longest.notes.max(most(|queue| queue.wrap_up));
    }

    /// A message has left the service, or has reached it. `is_first`: at the very beginning of a
    /// process that follows another.
    pub(super) fn on_message(
        &mut self,
        now: Instant,
        from: SocketAddr,
        to: SocketAddr,
        bytes: &[u8],
        is_first: bool,
    ) -> Option<Sight> {
        // What grants or ends something: most messages do neither.
        let is_ours = from == server();
        let is_success = bytes.starts_with(b"SIP/2.0 2");
        let is_end = is_ours && (bytes.starts_with(b"BYE ") || bytes.starts_with(b"SIP/2.0 481"));
        let is_wish = !is_ours && !bytes.starts_with(b"SIP/2.0");
        if !is_success && !is_end && !is_wish {
            return None;
        }
        let message = Message::parse(bytes).ok()?;
        let cseq = message.cseq().ok()?;
        let id = message.call_id().ok()?.to_owned();
        if is_wish {
            self.asked.retain(|(at, ..)| *at == now);
            self.asked.push((now, from, id));
            return None;
        }
        if cseq.method == Method::Register {
            return if is_ours && is_success {
                self.on_registered(now, to, &message)
            } else {
                None
            };
        }
        if cseq.method == Method::Bye {
            return if is_ours { self.on_over(now, id, message.is_request()) } else { None };
        }
        let is_agreed = is_success && matches!(cseq.method, Method::Invite | Method::Update);
        if !is_agreed || self.over.contains(&id) {
            return None;
        }
        let timer = message.session_expires().and_then(Result::ok);
        let phone = if is_ours { to } else { from };
        let sight = self.on_agreed(now, id.clone(), cseq.seq, timer, phone, is_ours);
        if is_ours
            && is_first
            && let Some(term) = self.sessions.get_mut(&id)
        {
            term.late = DEAD;
        }
        sight
    }

    /// Whether so little is left of this session that it may be given up.
    pub(super) fn is_given_up(&self, id: &str, now: Instant) -> bool {
        let term = self.sessions.get(id);
        term.map_or_else(|| self.untold.contains(id), |term| term.is_given_up(now))
    }

    /// The process ends: what was asked for at this very moment may be granted, and nobody told.
    pub(super) fn die(&mut self, now: Instant) {
        for (_, phone, id) in self.asked.drain(..).filter(|(at, ..)| *at == now) {
            self.phones.remove(&phone);
            if self.sessions.remove(&id).is_some() {
                self.untold.insert(id);
            }
        }
    }

    fn on_registered(
        &mut self,
        now: Instant,
        phone: SocketAddr,
        answer: &Message,
    ) -> Option<Sight> {
        let contacts = answer.contacts().filter_map(|contact| match contact {
            Ok(Contact::Addr(addr)) => addr.params.value("expires")?.parse().ok(),
            Ok(Contact::Star) | Err(_) => None,
        });
        let seconds = contacts.max().unwrap_or(0);
        let seq = answer.cseq().map_or(0, |cseq| cseq.seq);
        let before = self.phones.insert(phone, Term::new(now, (true, seq), seconds, phone));
        self.lapsed.remove(&phone);
        let is_again =
            before.is_some_and(|it| it.until > now && it.asked.1 != seq && it.is_due(now));
        is_again.then_some(Sight::RegistrationRenewed)
    }

    /// A 2xx to INVITE or UPDATE. Of one that is sent again the first counts.
    fn on_agreed(
        &mut self,
        now: Instant,
        id: String,
        seq: u32,
        timer: Option<SessionExpires>,
        phone: SocketAddr,
        is_ours: bool,
    ) -> Option<Sight> {
        let Some(timer) = timer else {
            self.sessions.remove(&id);
            return None;
        };
        let before = self.sessions.get(&id).copied();
        if before.is_some_and(|it| it.asked == (is_ours, seq)) {
            return None;
        }
        // Ours answers a request of the phone, its own one of ours.
        let is_theirs = (timer.refresher == Some(Refresher::Uac)) == is_ours;
        let term = Term::new(now, (is_ours, seq), timer.seconds, phone);
        self.sessions.insert(id, Term { is_theirs, ..term });
        let due = before.filter(|it| it.is_due(now));
        due.map(|_| if is_ours { Sight::RefreshedByPhone } else { Sight::RefreshedByUs })
    }

    /// The service says BYE, or answers one.
    fn on_over(&mut self, now: Instant, id: String, is_request: bool) -> Option<Sight> {
        let term = self.sessions.remove(&id);
        self.over.insert(id);
        term.filter(|it| is_request && it.is_theirs && it.is_given_up(now))
            .map(|_| Sight::SessionGivenUp)
    }
}

impl World {
    /// Notes what a message grants.
    pub(crate) fn note_terms(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let is_first = self.is_first();
        let sight = self.terms.on_message(self.now, from, to, bytes, is_first);
        self.sights.extend(sight);
    }

    /// Whether a process begins now that follows another: it does what that had decided.
    pub(super) fn is_first(&self) -> bool {
        self.life.deaths > 0 && self.now == self.life.since
    }

    /// What is wrong now with what should be over.
    pub(super) fn check_terms(&self, broken: &mut Vec<String>) {
        if self.life.is_dead() || self.now < self.life.since + SLACK {
            return;
        }
        for (id, term) in &self.terms.sessions {
            // A process that knows nothing of a session, or of its INVITE, can't end it.
            let leg = self.endings.legs.all.get(id);
            let mut lost = [Some(term.granted), leg.map(|leg| leg.since)].into_iter().flatten();
            let is_unknown = lost.any(|at| self.life.disks.is_in_a_gap(at));
            if term.until + SLACK < self.now && !is_unknown {
                let late = self.now - term.until;
                broken.push(format!("session {id} goes on {late:?} after its end"));
            }
            if term.is_overdue(self.now) && !is_unknown && self.wants_on(id, term) {
                broken.push(format!("session {id} is not refreshed: {term:?}"));
            }
        }
        for phone in &self.phones {
            if let Some(why) = phone.turned_away() {
                broken.push(format!("{} is turned away: {why:?}", phone.sip));
            }
            let Some(died) = phone.died.filter(|died| *died + GONE_WITHIN < self.now) else {
                continue;
            };
            for (port, _) in self.peers.iter().filter(|(_, peer)| **peer == phone.rtp) {
                let gone = self.now - died;
                broken.push(format!("{port:?} is connected with a phone that died {gone:?} ago"));
            }
        }
    }

    /// Whether the phone is still in this call, would refresh it or let it be refreshed, and could.
    fn wants_on(&self, id: &str, term: &Term) -> bool {
        let Some(phone) = self.phones.iter().find(|phone| phone.sip == term.phone) else {
            return false;
        };
        let session = phone.dialogs.session_of(id);
        let is_in_it = session.is_some_and(|session| phone.live_sessions().contains(&session));
        let was_cut = self.link.cut.get(&phone.sip.ip()).is_some_and(|end| *end > term.granted);
        let was_deaf = phone.ignored.is_some_and(|at| at > term.granted);
        let forgets = phone.is_forgetful && term.is_theirs;
        phone.is_alive && is_in_it && !was_cut && !was_deaf && !forgets
    }

    /// What is wrong with what the board shows, when it is drawn.
    pub(super) fn check_shown(&mut self, board: &Board) {
        let mut broken = Vec::new();
        for counselor in &board.counselors {
            self.check_registration(&counselor.extension.0, &counselor.state, &mut broken);
            let own = |deed: &&koebashi::call::deed::Deed| {
                deed.counselor.as_ref() == Some(&counselor.extension)
                    && matches!(deed.what, What::WrapUpExtended)
            };
            let times = 1 + self.deeds.iter().filter(own).count() as u32;
            let longest = self.terms.longest.notes * times + SLACK;
            if counselor.state == CounselorState::WrapUp && counselor.for_ > longest {
                broken
                    .push(format!("{} takes notes for {:?}", counselor.extension, counselor.for_));
            }
        }
        for call in &board.calls {
            let waits = matches!(call.phase, PhaseName::Queue | PhaseName::Ringing);
            if waits && call.in_phase > self.terms.longest.wait + SLACK {
                broken.push(format!("{} waits for {:?}", call.call, call.in_phase));
            }
        }
        self.judge(&broken);
    }

    /// Nobody is shown as there whose registration is over.
    fn check_registration(
        &mut self,
        extension: &str,
        state: &CounselorState,
        broken: &mut Vec<String>,
    ) {
        let is_theirs = |phone: &&super::phone::Phone| {
            phone.account.as_ref().is_some_and(|(user, _)| user == extension)
        };
        let Some(phone) = self.phones.iter().find(is_theirs) else { return };
        let at = phone.sip;
        let over = self.terms.phones.get(&at).filter(|it| it.until < self.now);
        let Some(term) = over.copied() else { return };
        let is_taken_back = term.until == term.granted;
        if is_taken_back && self.life.disks.brings_back(term.granted) {
            return;
        }
        if !is_taken_back && self.terms.lapsed.insert(at) {
            self.sights.extend([Sight::RegistrationLapsed]);
        }
        match state {
            CounselorState::Ready | CounselorState::Paused(_) | CounselorState::WrapUp => {
                let late = self.now - term.until;
                broken.push(format!("{extension} is {state:?}, {late:?} after the registration"));
            }
            CounselorState::Offline
            | CounselorState::Unreachable
            | CounselorState::Ringing
            | CounselorState::Talking => {}
        }
    }
}
