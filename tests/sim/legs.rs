//! Each call between a phone and the service, as the wire and the commands to the media plane show
//! it: who is joined with whom, what a caller is told, what the service waits for.
//!
//! Owns the legs. Whether the service may end one is [`endings`](super::endings)'s.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use koebashi::media::{Prompt, Source, Then};
use koebashi::sip::header::Name;
use koebashi::sip::message::{Message, Method};
use koebashi::time::Timestamp;

use super::endings::Why;
use super::world::server;

/// What the service waits for in a dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wanted {
    /// The answer to a request that offers or refreshes something, or tells something.
    Answer,
    /// The answer to the question whether somebody is there.
    SignOfLife,
    /// The ACK to its 200.
    Ack,
    /// The PRACK to what it says before that.
    Prack,
}

/// One dialog that an INVITE began.
#[derive(Debug)]
pub(super) struct Leg {
    /// Its Call-ID.
    pub(super) id: String,
    pub(super) phone: SocketAddr,
    /// A caller's, through a trunk.
    pub(super) is_caller: bool,
    /// When each copy of a caller's INVITE was read: what the record has as its beginning.
    pub(super) begun: Vec<Timestamp>,
    pub(super) since: Instant,
    /// When the service first said more than that it tries.
    pub(super) rang: Option<Instant>,
    /// A 200 was sent or has come.
    pub(super) is_up: bool,
    /// When the phone's 200 was read.
    pub(super) answered: Option<Instant>,
    /// Where the service hears it.
    port: Option<u16>,
    /// The how manyth it was to be told a port: of two with the same port the later has it.
    claim: usize,
    /// The port has been closed, and may be somebody else's.
    is_closed: bool,
    /// Whom it was joined with, by Call-ID: the last is the present one.
    pub(super) partners: Vec<String>,
    /// It has heard something else since the last of them left.
    is_alone: bool,
    /// The phone has ended it, or says that it is over, before the service did.
    pub(super) hung_up: Option<Instant>,
    /// When something that was waited for last came.
    heard: Instant,
    /// What is waited for, with the number of the request.
    pub(super) waits: BTreeMap<(u32, Wanted), Instant>,
    /// The prompts that it is told, and since when, where silence follows them.
    pub(super) told: Option<(Instant, Vec<Prompt>)>,
    /// The service has ended it: why.
    pub(super) over: Option<Option<Why>>,
    /// Why the process that died last might have ended it at that moment.
    pub(super) due: Option<Why>,
}

impl Leg {
    fn new(now: Instant, id: &str, phone: SocketAddr) -> Self {
        Self {
            id: id.to_owned(),
            phone,
            is_caller: phone.to_string().starts_with("10.0.1."),
            begun: Vec::new(),
            since: now,
            rang: None,
            answered: None,
            is_up: false,
            port: None,
            claim: 0,
            is_closed: false,
            partners: Vec::new(),
            is_alone: false,
            hung_up: None,
            heard: now,
            waits: BTreeMap::new(),
            told: None,
            over: None,
            due: None,
        }
    }

    /// The phone has hung up, be it that the service has done so before.
    fn leave(&mut self, now: Instant) {
        self.hung_up.get_or_insert(now);
    }

    /// The process that follows knows nothing of it: a port that it is told again is a new one.
    pub(super) fn lose_port(&mut self) {
        (self.port, self.is_closed) = (None, true);
    }

    /// Since when this is waited for.
    pub(super) fn waits_since(&self, wanted: &[Wanted]) -> Option<Instant> {
        let mut waits = self.waits.iter();
        waits.find(|((_, what), _)| wanted.contains(what)).map(|(_, since)| *since)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Legs {
    /// By Call-ID.
    pub(super) all: BTreeMap<String, Leg>,
    /// The last packet of voice, by the service's port and where it came from.
    voices: BTreeMap<(u16, IpAddr), Instant>,
    /// What ports were last told to hear, until it is known whose they are.
    tuned: BTreeMap<u16, (Instant, Tuned)>,
    claims: usize,
    /// When the present process began: what it lets be heard at first is what was heard before.
    born: Option<Instant>,
    /// When each phone last asked for a transfer.
    pub(super) referred: BTreeMap<SocketAddr, Instant>,
}

/// What a port hears.
#[derive(Debug)]
enum Tuned {
    Voice(u16),
    Told(Vec<Prompt>),
    Else,
}

impl Legs {
    /// A message has reached the service.
    pub(super) fn on_read(
        &mut self,
        now: Instant,
        wall: Timestamp,
        from: SocketAddr,
        message: &Message,
    ) {
        let (Ok(id), Ok(cseq)) = (message.call_id(), message.cseq()) else { return };
        let method = message.method();
        if method == Some(&Method::Invite) {
            let leg = self.all.entry(id.to_owned()).or_insert_with(|| Leg::new(now, id, from));
            if leg.is_caller && !leg.is_up {
                leg.begun.push(wall);
            }
            leg.waits.retain(|(seq, what), _| *what != Wanted::Ack || *seq >= cseq.seq);
        }
        if method == Some(&Method::Refer) {
            self.referred.insert(from, now);
        }
        let Some(leg) = self.all.get_mut(id) else { return };
        let waited = leg.waits.len();
        match (method, message.code()) {
            (Some(Method::Bye | Method::Cancel), _) => leg.leave(now),
            (Some(Method::Ack), _) => drop(leg.waits.remove(&(cseq.seq, Wanted::Ack))),
            (Some(Method::Prack), _) => leg.waits.retain(|(_, what), _| *what != Wanted::Prack),
            (Some(_), _) => {}
            (None, code) => {
                let code = code.unwrap_or_default();
                if code >= 200 {
                    for what in [Wanted::Answer, Wanted::SignOfLife] {
                        leg.waits.remove(&(cseq.seq, what));
                    }
                }
                if cseq.method == Method::Invite && (200..300).contains(&code) {
                    leg.is_up = true;
                    leg.answered.get_or_insert(now);
                }
                // To a NOTIFY it says that of the subscription alone (RFC 6665 §4.2.2).
                if matches!(code, 408 | 481) && cseq.method != Method::Notify {
                    leg.leave(now);
                }
            }
        }
        // What a phone says again of its own accord does not tell that it hears anything.
        if leg.waits.len() < waited {
            leg.heard = now;
        }
    }

    /// The service sends a message. `since`: when it may have decided to.
    pub(super) fn on_sent(
        &mut self,
        now: Instant,
        since: Instant,
        to: SocketAddr,
        message: &Message,
    ) {
        let (Ok(id), Ok(cseq)) = (message.call_id(), message.cseq()) else { return };
        if message.method() == Some(&Method::Invite) {
            self.all.entry(id.to_owned()).or_insert_with(|| Leg::new(now, id, to));
        }
        let Some(leg) = self.all.get_mut(id) else { return };
        leg.is_closed |= message.method() == Some(&Method::Cancel);
        let wanted = match (message.method(), message.code()) {
            (Some(Method::Ack | Method::Bye | Method::Cancel), _) => None,
            (Some(Method::Options), _) => Some(Wanted::SignOfLife),
            (Some(_), _) => Some(Wanted::Answer),
            (None, Some(200..300)) if cseq.method == Method::Invite => {
                leg.is_up = true;
                Some(Wanted::Ack)
            }
            (None, Some(101..200)) => {
                leg.rang.get_or_insert(now);
                message.header(&Name::RSeq).map(|_| Wanted::Prack)
            }
            (None, _) => None,
        };
        if let Some(wanted) = wanted {
            leg.waits.entry((cseq.seq, wanted)).or_insert(since);
        }
        if let Some(port) = message.sdp().and_then(|sdp| port_of(&sdp)) {
            if leg.port != Some(port) {
                self.claims += 1;
                (leg.port, leg.claim, leg.is_closed) = (Some(port), self.claims, false);
            }
            self.settle();
        }
    }

    /// A packet of voice has reached the service.
    pub(super) fn on_voice(&mut self, now: Instant, port: u16, from: IpAddr) {
        self.voices.insert((port, from), now);
    }

    /// A port is opened: whoever had it has it no more.
    pub(super) fn on_open(&mut self, now: Instant, port: u16) {
        self.tuned.remove(&port);
        let is_old = |leg: &&mut Leg| leg.port == Some(port) && leg.since < now;
        self.all.values_mut().filter(is_old).for_each(|leg| leg.is_closed = true);
    }

    /// A port is closed.
    pub(super) fn on_close(&mut self, port: u16) {
        let all = self.all.values_mut().filter(|leg| leg.port == Some(port));
        all.for_each(|leg| leg.is_closed = true);
    }

    /// A process goes on.
    pub(super) fn on_birth(&mut self, now: Instant) {
        self.born = Some(now);
    }

    /// The media plane lets a port hear something else. `port_of`: where a port is.
    pub(super) fn on_listen(
        &mut self,
        now: Instant,
        port: u16,
        source: &Source,
        other: Option<u16>,
    ) {
        let tuned = match (source, other) {
            (Source::Port(_), Some(other)) => Tuned::Voice(other),
            (Source::Play { prompts, then: Then::Silence, .. }, _) => Tuned::Told(prompts.clone()),
            _ => Tuned::Else,
        };
        self.tuned.insert(port, (now, tuned));
        self.settle();
    }

    /// The last that came of the phone, in this dialog.
    pub(super) fn heard(&self, leg: &Leg) -> Instant {
        let voice = leg.port.and_then(|port| self.voices.get(&(port, leg.phone.ip())));
        voice.map_or(leg.heard, |voice| leg.heard.max(*voice))
    }

    /// What a leg is told, or, where the phone knows of no port yet, what anybody is told of whom
    /// nothing else is known.
    pub(super) fn told<'a>(
        &'a self,
        leg: &'a Leg,
    ) -> impl Iterator<Item = (Instant, &'a [Prompt])> {
        let nameless = self.tuned.values().filter(|(at, _)| leg.port.is_none() && *at >= leg.since);
        let nameless = nameless.filter_map(|(at, tuned)| match tuned {
            Tuned::Told(prompts) => Some((*at, prompts.as_slice())),
            Tuned::Voice(_) | Tuned::Else => None,
        });
        let own = leg.told.iter().map(|(at, prompts)| (*at, prompts.as_slice()));
        own.chain(nameless)
    }

    /// The legs whose records may begin at this moment.
    pub(super) fn begun_at(&self, started: Timestamp) -> impl Iterator<Item = (&String, &Leg)> {
        let is_it = move |at: &Timestamp| (*at - started).abs() < chrono::Duration::milliseconds(2);
        self.all.iter().filter(move |(_, leg)| leg.begun.iter().any(is_it))
    }

    /// With whom it is joined; where its phone knows of no port yet, with whom somebody is of whom
    /// nothing else is known.
    pub(super) fn partner(&self, now: Instant, leg: &Leg) -> Option<&Leg> {
        if let Some(last) = leg.partners.last() {
            let is_there = |it: &&Leg| !leg.is_alone || it.hung_up == Some(now);
            return self.all.get(last).filter(is_there);
        }
        let nameless = self.tuned.values().filter(|(at, _)| leg.port.is_none() && *at >= leg.since);
        let ports = nameless.filter_map(|(_, tuned)| match tuned {
            Tuned::Voice(port) => Some(*port),
            Tuned::Told(_) | Tuned::Else => None,
        });
        let ports: Vec<_> = ports.collect();
        let has_one = |other: &&Leg| other.port.is_some_and(|port| ports.contains(&port));
        self.all.values().filter(has_one).max_by_key(|leg| leg.claim)
    }

    fn owner(&self, port: u16) -> Option<String> {
        let is_theirs = |leg: &Leg| leg.port == Some(port) && !leg.is_closed;
        let all = self.all.iter().filter(|(_, leg)| is_theirs(leg));
        all.max_by_key(|(_, leg)| leg.claim).map(|(id, _)| id.clone())
    }

    /// What was heard at ports becomes known of the legs that have them.
    fn settle(&mut self) {
        for (port, (at, tuned)) in std::mem::take(&mut self.tuned) {
            let (mine, theirs) = match &tuned {
                Tuned::Voice(other) => (self.owner(port), self.owner(*other)),
                Tuned::Told(_) | Tuned::Else => (self.owner(port), None),
            };
            match (mine, theirs, tuned) {
                (Some(mine), Some(theirs), Tuned::Voice(_)) => self.join(&mine, &theirs),
                (Some(mine), _, Tuned::Told(prompts)) => self.tell(&mine, at, Some(prompts)),
                (Some(mine), _, Tuned::Else) => self.tell(&mine, at, None),
                (_, _, tuned) => drop(self.tuned.insert(port, (at, tuned))),
            }
        }
    }

    /// A leg hears something of ours.
    fn tell(&mut self, id: &str, at: Instant, prompts: Option<Vec<Prompt>>) {
        let partner = self.all.get(id).and_then(|leg| leg.partners.last());
        let partner = partner.and_then(|partner| self.all.get(partner));
        let has_left = partner.is_some_and(|it| it.hung_up.is_some() || it.over.is_some());
        if let Some(leg) = self.all.get_mut(id) {
            leg.told = prompts.map(|prompts| (at, prompts));
            leg.is_alone |= has_left && leg.is_caller && self.born != Some(at);
        }
    }

    /// A caller and a counselor hear each other.
    fn join(&mut self, one: &str, other: &str) {
        let is_caller = |id: &str| self.all.get(id).is_some_and(|leg| leg.is_caller);
        if is_caller(one) == is_caller(other) {
            return;
        }
        for (mine, theirs) in [(one, other), (other, one)] {
            if let Some(leg) = self.all.get_mut(mine) {
                (leg.told, leg.is_alone) = (None, false);
                leg.partners.retain(|known| known != theirs);
                leg.partners.push(theirs.to_owned());
            }
        }
    }
}

/// The port of the first media line.
fn port_of(sdp: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(sdp).ok()?;
    text.split("m=audio ").nth(1)?.split(' ').next()?.parse().ok()
}

/// The phone at the other end.
pub(super) fn peer(from: SocketAddr, to: SocketAddr) -> SocketAddr {
    if from == server() { to } else { from }
}
