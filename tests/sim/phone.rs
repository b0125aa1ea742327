//! A telephone on the other side: the caller behind the trunk, or a counselor's softphone.
//!
//! It is made of the project's own SIP stack with a script on top, and a microphone that sends one
//! byte value over and over, so that who hears whom is seen at a glance. What a phone of another
//! make does is tested on real sockets.

mod call;
mod place;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use koebashi::chance::Chance;
use koebashi::pii::Pii;
use koebashi::sip::auth::{self, Challenge};
use koebashi::sip::endpoint::Endpoint;
use koebashi::sip::header::Name;
use koebashi::sip::print::Draft;
use koebashi::sip::registration::{Pacer, Registration};
use koebashi::sip::sdp::{self, Codec, Direction, Ours, Security};
use koebashi::sip::{
    self, Admit, Cause, ConnectionId, Event, Flow, Invite, Policy, SessionId, Transport,
};

use super::dialogs::Dialogs;
pub(crate) use call::PhoneCall;

/// Which phone of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PhoneId(pub usize);

/// What a phone does when it is rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Rings, and answers after this.
    After(Duration),
    /// Rings for ever.
    Never,
    /// Refuses with this code.
    Refuses(u16),
    /// Does not react to anything at all.
    Dead,
}

/// What a phone heard at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// When.
    pub at: Instant,
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP timestamp.
    pub timestamp: u32,
    /// RTP SSRC.
    pub ssrc: u32,
    /// Payload type.
    pub payload: u8,
    /// First byte of the payload.
    pub byte: u8,
    /// Last byte of the payload.
    pub last: u8,
}

/// A telephone.
pub(crate) struct Phone {
    /// Its SIP address.
    pub sip: SocketAddr,
    /// How it signals.
    pub transport: Transport,
    /// The connection by which it does, where it is a stream and there is one.
    pub connection: Option<ConnectionId>,
    /// Its RTP address.
    pub rtp: SocketAddr,
    /// Its stack.
    pub endpoint: Endpoint,
    /// What it does when rung.
    pub answer: Answer,
    /// Codecs that it offers.
    pub codecs: Vec<Codec>,
    /// Whether its voice is encrypted.
    pub security: Security,
    /// What its microphone sends, byte after byte; `None`: nothing (muted, packets and all).
    pub voice: Option<u8>,
    /// Whether the phone still reacts to SIP.
    pub is_alive: bool,
    /// When it died, if it has.
    pub died: Option<Instant>,
    /// The session timer that it asks for.
    pub session_expires: Option<Duration>,
    /// It never refreshes a session, though it has agreed to.
    pub is_forgetful: bool,
    /// When it last did not react to a message.
    pub ignored: Option<Instant>,
    /// How long it stays in a call, unless it is told to hang up.
    pub patience: Option<Duration>,
    /// Whether what it says stays with it for the time being.
    pub is_held: bool,
    /// Calls, in order.
    pub calls: Vec<PhoneCall>,
    /// All events of its stack, first to last.
    pub events: Vec<Event>,
    /// All packets that arrived and could be read.
    pub heard: Vec<Heard>,
    /// How many came that could not.
    pub unreadable: usize,
    /// When to answer.
    answers: BTreeMap<Instant, SessionId>,
    next_packet: Option<Instant>,
    sequence: u16,
    timestamp: u32,
    /// Packets to send before anything else: telephone-events.
    queued: Vec<(u8, bool, u32, Vec<u8>)>,
    registration: Option<(Registration, Pacer, Flow)>,
    transactions: Vec<sip::ClientTx>,
    /// The registration is being taken back.
    is_leaving: bool,
    server: SocketAddr,
    chance: Chance,
    /// Its dialogs, for what the stack has no verb for.
    pub dialogs: Dialogs,
    /// Name and password, for calls that are challenged.
    pub account: Option<(String, Pii)>,
    /// A call that was made with the account, and to whom: a challenge to it is answered, once.
    dialing: Option<(SessionId, String)>,
}

impl Phone {
    /// A phone at `sip`, whose peer is `server`.
    pub(crate) fn new(sip: SocketAddr, server: SocketAddr, voice: u8) -> Self {
        let IpAddr::V4(ip) = sip.ip() else { panic!("an IPv4 address") };
        let seed = u64::from(u32::from(ip)) << 16 | u64::from(sip.port());
        let mut chance = Chance::from_number(seed);
        Self {
            sip,
            transport: Transport::Udp,
            connection: None,
            rtp: SocketAddr::new(sip.ip(), sip.port() + 10_000),
            endpoint: Endpoint::new(Self::config(sip), chance.split()),
            answer: Answer::After(Duration::from_secs(2)),
            codecs: vec![Codec::Pcmu],
            security: Security::Off,
            voice: Some(voice),
            is_alive: true,
            died: None,
            session_expires: None,
            is_forgetful: false,
            ignored: None,
            patience: None,
            is_held: false,
            calls: Vec::new(),
            events: Vec::new(),
            heard: Vec::new(),
            unreadable: 0,
            answers: BTreeMap::new(),
            next_packet: None,
            sequence: 1,
            timestamp: 1000,
            queued: Vec::new(),
            registration: None,
            transactions: Vec::new(),
            is_leaving: false,
            server,
            chance,
            dialogs: Dialogs::default(),
            account: None,
            dialing: None,
        }
    }

    /// A caller's own number: nobody else has it.
    pub(crate) fn number(&self) -> String {
        let IpAddr::V4(ip) = self.sip.ip() else { panic!("an IPv4 address") };
        format!("0901111{}", 2221 + u16::from(ip.octets()[3]))
    }

    /// The flow to the server.
    pub(crate) fn flow(&self) -> Flow {
        let connection = self.connection;
        Flow { connection, ..Flow::new(self.transport, self.sip, self.server) }
    }

    fn policy(&self) -> Policy {
        Policy {
            rel100: true,
            session_expires: self.session_expires,
            advertised: None,
            contact_user: "ua".into(),
        }
    }

    fn ours(&mut self, direction: Direction) -> Ours {
        Ours {
            codecs: self.codecs.clone(),
            events: true,
            address: self.rtp.ip(),
            port: self.rtp.port(),
            id: 1,
            version: 1,
            direction,
            security: self.security.clone(),
        }
    }

    /// Calls `number`, as `from` (a name-addr), with these headers more.
    pub(crate) fn call(
        &mut self,
        now: Instant,
        number: &str,
        from: &str,
        headers: &[(Name, &str)],
    ) {
        let ours = self.ours(Direction::SendRecv);
        let sdp = sdp::offer(&ours);
        let uri = format!("sip:{number}@{}", self.server);
        let invite = Invite {
            flow: self.flow(),
            to: format!("<{uri}>"),
            uri,
            from: from.to_owned(),
            headers: headers.iter().map(|(n, v)| (n.clone(), (*v).to_owned())).collect(),
            sdp,
            policy: self.policy(),
        };
        let session = self.endpoint.invite(now, invite);
        self.dialogs.begun(session);
        self.calls.push(PhoneCall::new(session, ours));
    }

    /// Dials as an extension: a colleague or a code. The challenge is answered.
    pub(crate) fn dial(&mut self, now: Instant, number: &str) {
        let (user, _) = self.account.clone().expect("the phone has an account");
        self.call(now, number, &format!("<sip:{user}@koebashi.local>"), &[]);
        self.dialing = Some((self.last().session, number.to_owned()));
    }

    fn answer_challenge(&mut self, now: Instant, session: SessionId) {
        let Some((_, number)) = self.dialing.take_if(|(dialing, _)| *dialing == session) else {
            return;
        };
        let (user, password) = self.account.clone().expect("the phone has an account");
        let value = self.dialogs.challenge.take().expect("401 has a challenge");
        let challenges = Challenge::parse_all(value.as_bytes()).expect("a challenge");
        let challenge = auth::choose(&challenges).expect("a challenge that can be answered");
        let uri = format!("sip:{number}@{}", self.server);
        let asked =
            auth::Asked { method: "INVITE", uri: &uri, user: &user, password: &password, count: 1 };
        let credentials = auth::answer(challenge, &asked, &mut self.chance);
        let from = format!("<sip:{user}@koebashi.local>");
        self.call(now, &number, &from, &[(Name::Authorization, &credentials)]);
    }

    /// Asks for a transfer of a call: REFER with this Refer-To.
    pub(crate) fn refer(&mut self, session: SessionId, refer_to: &str) {
        let headers = [("Refer-To", refer_to)];
        self.dialogs.request(session, self.sip, "REFER", &headers);
    }

    /// What is to be sent next.
    pub(crate) fn poll_transmit(&mut self) -> Option<(SocketAddr, Bytes)> {
        if let Some(bytes) = self.dialogs.outbox.pop() {
            return Some((self.server, bytes));
        }
        let transmit = self.endpoint.poll_transmit()?;
        Some((transmit.flow.remote, self.dialogs.outgoing(&transmit.bytes)))
    }

    /// The latest call.
    pub(crate) fn last(&self) -> &PhoneCall {
        self.calls.last().expect("the phone has had a call")
    }

    /// Whether the latest call is answered and not over.
    pub(crate) fn is_talking(&self) -> bool {
        self.calls.last().is_some_and(|c| c.is_up && c.ended.is_none() && !c.is_hung_up)
    }

    /// Hangs up the latest call.
    pub(crate) fn hang_up(&mut self, now: Instant) {
        if let Some(call) = self.calls.last_mut()
            && call.ended.is_none()
        {
            call.is_hung_up = true;
            let session = call.session;
            self.endpoint.hangup(now, session, None);
        }
    }

    /// Answers a call that rings, now.
    pub(crate) fn answer_now(&mut self, now: Instant, session: SessionId) {
        if let Some(call) = self.call_of(session)
            && call.ended.is_none()
            && !call.is_up
        {
            self.answers.insert(now, session);
            self.on_time(now);
        }
    }

    /// Declines a call that rings, now.
    pub(crate) fn decline(&mut self, now: Instant, session: SessionId) {
        if let Some(call) = self.call_of(session)
            && call.ended.is_none()
            && !call.is_up
        {
            call.is_hung_up = true;
            self.endpoint.refuse(now, session, 486, &[]);
        }
    }

    /// Hangs up every call.
    pub(crate) fn hang_up_all(&mut self, now: Instant) {
        for call in self.calls.iter_mut().filter(|call| call.ended.is_none()) {
            call.is_hung_up = true;
            self.endpoint.hangup(now, call.session, None);
        }
    }

    /// Calls that are answered and not over.
    pub(crate) fn live_sessions(&self) -> Vec<SessionId> {
        let live = |c: &&PhoneCall| c.is_up && c.ended.is_none() && !c.is_hung_up;
        self.calls.iter().filter(live).map(|call| call.session).collect()
    }

    /// Whether it is in one call, and wants to hear it.
    pub(crate) fn listens(&self) -> bool {
        let mut live = self.calls.iter().filter(|call| call.ended.is_none() && !call.is_hung_up);
        let (one, other) = (live.next(), live.next());
        other.is_none()
            && one.is_some_and(|call| call.is_up && call.ours.direction == Direction::SendRecv)
    }

    /// Puts the latest call on hold, or takes it back.
    pub(crate) fn hold(&mut self, now: Instant, on: bool) {
        let direction = if on { Direction::SendOnly } else { Direction::SendRecv };
        let Some(call) = self.calls.last_mut() else { return };
        call.ours.direction = direction;
        call.ours.version += 1;
        let (session, sdp) = (call.session, sdp::offer(&call.ours));
        self.endpoint.reoffer(now, session, sdp);
    }

    /// Offers this in place of what is agreed: other keys, or none.
    pub(crate) fn secure_again(&mut self, now: Instant, security: Security) {
        let Some(call) = self.calls.last_mut() else { return };
        call.ours.security = security;
        call.ours.version += 1;
        let (session, sdp) = (call.session, sdp::offer(&call.ours));
        self.endpoint.reoffer(now, session, sdp);
    }

    /// Goes on at this sequence number, as after a loss.
    pub(crate) fn skip_to(&mut self, sequence: u16) {
        self.sequence = sequence;
    }

    /// Hears from now on at another address, and says so.
    pub(crate) fn move_to(&mut self, now: Instant, rtp: &str) {
        self.rtp = rtp.parse().expect("an address");
        let Some(call) = self.calls.last_mut() else { return };
        (call.ours.address, call.ours.port) = (self.rtp.ip(), self.rtp.port());
        call.ours.version += 1;
        let (session, sdp) = (call.session, sdp::offer(&call.ours));
        self.endpoint.reoffer(now, session, sdp);
    }

    /// Presses a key by SIP INFO.
    pub(crate) fn press_by_info(&mut self, now: Instant, digit: char) {
        let session = self.last().session;
        self.endpoint.info_digit(now, session, digit);
    }

    /// Presses a key by a tone of 100 ms in the audio.
    pub(crate) fn press_by_tone(&mut self, low: f64, high: f64) {
        for packet in 0..5u32 {
            let payload = (0..160u32).map(|n| {
                let t = f64::from(packet * 160 + n) / 8000.0 * std::f64::consts::TAU;
                koebashi::media::g711::encode(
                    koebashi::media::Law::Mu,
                    ((t * low).sin() * 6000.0 + (t * high).sin() * 6000.0) as i16,
                )
            });
            self.queued.push((0, false, self.timestamp + 160 * (packet + 1), payload.collect()));
        }
    }

    /// Presses a key: RFC 4733 packets of a 100 ms press, the end thrice.
    pub(crate) fn press(&mut self, event: u8, has_marker: bool) {
        let timestamp = self.timestamp;
        for n in 1..=8u16 {
            let is_end = n > 5;
            let duration = n.min(6) * 160;
            let flags = if is_end { 0x8a } else { 0x0a };
            let payload = vec![event, flags, (duration >> 8) as u8, (duration & 0xff) as u8];
            self.queued.push((101, has_marker && n == 1, timestamp, payload));
        }
    }

    /// A datagram has arrived at the SIP address.
    pub(crate) fn on_sip(&mut self, now: Instant, bytes: &[u8]) {
        if !self.is_alive || self.answer == Answer::Dead {
            self.ignored = Some(now);
            return;
        }
        let admit = Admit::Peer(self.policy());
        let flow = self.flow();
        let Some(mut bytes) = self.dialogs.incoming(bytes) else { return };
        if self.is_forgetful && bytes.starts_with(b"SIP/2.0 2") {
            // It does not see that there is something to refresh.
            let text = String::from_utf8_lossy(&bytes);
            bytes = text.replace("Session-Expires:", "X-Forgotten:").into();
        }
        self.endpoint.handle(now, flow, &bytes, &admit);
        self.on_events(now);
    }

    /// A packet has arrived at the RTP address.
    pub(crate) fn on_rtp(&mut self, now: Instant, packet: &[u8]) {
        let mut packet = packet.to_vec();
        let srtp = self.calls.last_mut().and_then(|call| call.srtp.as_mut());
        let length = srtp.map_or(Some(packet.len()), |srtp| srtp.unprotect(&mut packet));
        if !self.is_alive || length.is_none() {
            self.unreadable += usize::from(self.is_alive);
            return;
        }
        packet.truncate(length.unwrap_or(0));
        if packet.len() < 13 {
            return;
        }
        self.heard.push(Heard {
            at: now,
            sequence: u16::from_be_bytes([packet[2], packet[3]]),
            timestamp: u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]),
            ssrc: u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]),
            payload: packet[1] & 0x7f,
            byte: packet[12],
            last: packet[packet.len() - 1],
        });
    }

    /// Deadlines that are due.
    pub(crate) fn on_time(&mut self, now: Instant) {
        if !self.is_alive {
            return;
        }
        self.endpoint.handle_timeout(now);
        let leaves = self.patience.map(|patience| now + patience);
        while let Some(entry) = self.answers.first_entry()
            && *entry.key() <= now
        {
            let session = entry.remove();
            let Some(call) = self.calls.iter_mut().find(|c| c.session == session) else { continue };
            if call.ended.is_none() {
                (call.is_up, call.leaves) = (true, leaves);
                let sdp = call.answer.take().unwrap_or_else(|| sdp::offer(&call.ours));
                self.endpoint.answer(now, session, sdp);
            }
        }
        for call in
            self.calls.iter_mut().filter(|call| call.leaves_at().is_some_and(|at| at <= now))
        {
            call.is_hung_up = true;
            self.endpoint.hangup(now, call.session, None);
        }
        self.poll_registration(now);
        self.on_events(now);
    }

    fn on_events(&mut self, now: Instant) {
        while let Some(event) = self.endpoint.poll_event() {
            self.events.push(event.clone());
            self.on_event(now, event);
        }
    }

    fn call_of(&mut self, session: SessionId) -> Option<&mut PhoneCall> {
        self.calls.iter_mut().find(|call| call.session == session)
    }

    fn on_event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Invite { session, request, .. } => {
                self.dialogs.rung(session, &request);
                self.on_invite(now, session, request.sdp());
            }
            Event::Answered { session, sdp } => {
                let leaves = self.patience.map(|patience| now + patience);
                if let Some(call) = self.call_of(session) {
                    (call.is_up, call.leaves) = (true, leaves);
                    call.agree(sdp.and_then(|sdp| sdp::agreed(&sdp, &call.ours).ok()));
                }
                self.next_packet.get_or_insert(now);
            }
            Event::Progress { session, sdp: Some(sdp), .. } => {
                if let Some(call) = self.call_of(session) {
                    call.agree(sdp::agreed(&sdp, &call.ours).ok());
                }
            }
            Event::Confirmed { session, sdp, .. } => {
                if let Some(call) = self.call_of(session)
                    && let Some(sdp) = sdp
                {
                    call.agree(sdp::agreed(&sdp, &call.ours).ok());
                }
                self.next_packet.get_or_insert(now);
            }
            Event::Offer { session, sdp } => {
                let Some(call) = self.call_of(session) else { return };
                let answer = match sdp.as_ref().map(|sdp| sdp::answer(sdp, &call.ours)) {
                    Some(Ok((answer, agreed))) => {
                        call.agree(Some(agreed));
                        answer
                    }
                    Some(Err(_)) | None => sdp::offer(&call.ours),
                };
                self.endpoint.accept_offer(now, session, answer);
            }
            Event::Ended { session, cause } => {
                let is_challenged = matches!(cause, Cause::Refused { code: 401, .. });
                if let Some(call) = self.call_of(session) {
                    call.ended = Some(cause);
                }
                if is_challenged {
                    self.answer_challenge(now, session);
                }
            }
            Event::Response { response, .. } => {
                if let Some((registration, ..)) = &mut self.registration {
                    registration.on_response(now, response.as_ref());
                }
                self.poll_registration(now);
            }
            Event::Request { tx, request, .. } => {
                self.endpoint.respond(now, tx, Draft::response(&request, 405));
            }
            Event::Reoffered { session, result: Ok(Some(sdp)) } => {
                if let Some(call) = self.call_of(session).filter(|it| it.has_keys()) {
                    call.agree(sdp::agreed(&sdp, &call.ours).ok());
                }
            }
            Event::Progress { .. }
            | Event::Reoffered { .. }
            | Event::Info { .. }
            | Event::Refer { .. }
            | Event::Probed { .. } => {}
        }
    }

    fn on_invite(&mut self, now: Instant, session: SessionId, offer: Option<Bytes>) {
        let ours = self.ours(Direction::SendRecv);
        let answered = offer.and_then(|offer| sdp::answer(&offer, &ours).ok());
        let mut call = PhoneCall::new(session, ours);
        if let Some((answer, agreed)) = answered {
            call.answer = Some(answer).filter(|_| call.ours.security != Security::Off);
            call.agree(Some(agreed));
        }
        self.calls.push(call);
        match self.answer {
            Answer::After(after) => {
                self.endpoint.ring(now, session, 180, None);
                self.answers.insert(now + after, session);
            }
            Answer::Never => self.endpoint.ring(now, session, 180, None),
            Answer::Refuses(code) => {
                self.endpoint.refuse(now, session, code, &[]);
                if let Some(call) = self.calls.last_mut() {
                    call.is_hung_up = true;
                }
            }
            Answer::Dead => {}
        }
    }

    /// When [`Self::on_time`] is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if !self.is_alive {
            return None;
        }
        let registration = self.registration.as_ref().and_then(|(r, ..)| r.poll_timeout());
        let answers = self.answers.keys().next().copied();
        let leaves = self.calls.iter().filter_map(PhoneCall::leaves_at).min();
        [self.endpoint.poll_timeout(), registration, answers, leaves].into_iter().flatten().min()
    }

    /// Whether it sends its voice.
    pub(crate) fn speaks(&self) -> bool {
        let mut calls = self.calls.iter();
        self.is_alive
            && self.next_packet.is_some()
            && calls.any(|c| c.is_up && c.ended.is_none() && !c.is_hung_up && c.agreed.is_some())
    }

    /// The packet of this 20 ms, and where it goes.
    pub(crate) fn packet(&mut self, now: Instant) -> Option<(SocketAddr, Vec<u8>)> {
        if !self.is_alive || self.next_packet.is_none_or(|at| at > now) {
            return None;
        }
        self.next_packet = Some(now + Duration::from_millis(20));
        let mut calls = self.calls.iter_mut().rev();
        let call = calls.find(|c| c.is_up && c.ended.is_none() && !c.is_hung_up)?;
        let agreed = call.agreed.as_ref()?;
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(160);
        let (payload_type, marker, timestamp, payload) = if self.queued.is_empty() {
            (agreed.payload_send, false, self.timestamp, vec![self.voice?; 160])
        } else {
            self.queued.remove(0)
        };
        let mut packet = vec![0x80, payload_type | u8::from(marker) << 7];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend(u32::from(self.sip.port()).to_be_bytes());
        packet.extend(payload);
        if let Some(srtp) = &mut call.srtp {
            let length = packet.len();
            packet.resize(length + 16, 0);
            let length = srtp.protect(&mut packet, length).expect("each packet once");
            packet.truncate(length);
        }
        Some((agreed.rtp, packet))
    }
}
