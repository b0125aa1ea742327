//! A telephone on real sockets, made of the project's own SIP stack: the caller behind the trunk,
//! or a counselor's softphone. For the demo, and for the test call before a line opens.
//!
//! Owns the SIP side of one phone with one call. Its voice is [`audio`]'s; when it does what is
//! the business of whoever holds it.

pub mod audio;

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::time::sleep_until;

use crate::chance::Chance;
use crate::pii::Pii;
use crate::sip::endpoint::Endpoint;
use crate::sip::message::{Message, Method};
use crate::sip::registration::{Account, Limits, Pacer, Reason, Registration, State};
use crate::sip::sdp::{self, Agreed, Codec, Direction, Ours, Security};
use crate::sip::{self, Admit, Cause, Event, Flow, Invite, Policy, ServerTx, SessionId, Transport};

/// Longest datagram that is read.
const LENGTH_MAX: usize = 65_535;
/// How often an even port is tried for.
const PORT_TRIES: usize = 64;
/// How long a phone without anything to do sleeps.
const IDLE: Duration = Duration::from_secs(60);
/// Expiry that a counselor's phone asks for.
const EXPIRES: Duration = Duration::from_secs(300);

/// What a phone tells.
#[derive(Debug)]
pub enum News {
    /// Calls come here.
    SignedIn,
    /// They don't.
    NotSignedIn(Reason),
    /// They don't any more, as was wished.
    SignedOut,
    /// Somebody answered our call.
    Answered(Agreed),
    /// It rings here.
    Rung(Rung),
    /// Our answer has arrived.
    Up,
    /// The call is over, not by us.
    Ended(Cause),
}

/// A call that comes in.
#[derive(Clone, Debug)]
pub struct Rung {
    /// Who calls, as the display shows it.
    pub shows: String,
    /// The whole INVITE.
    pub request: Message,
    /// What the audio will be.
    pub agreed: Agreed,
}

/// A telephone.
pub struct Phone {
    endpoint: Endpoint,
    chance: Chance,
    socket: UdpSocket,
    flow: Flow,
    ours: Ours,
    registration: Option<(Registration, Pacer)>,
    call: Option<SessionId>,
    /// To be sent when the call that rings here is answered.
    answer: Option<Bytes>,
    news: VecDeque<News>,
    buffer: Box<[u8]>,
}

impl Phone {
    /// A phone on free ports of the server's own address, and the socket for its voice. `server` is
    /// whom it talks to, and nobody else is heard.
    ///
    /// # Errors
    /// When there are no such ports: the server is on another machine, or the system refuses.
    pub async fn new(
        server: SocketAddr,
        domain: &str,
        mut chance: Chance,
    ) -> io::Result<(Self, UdpSocket)> {
        let socket = UdpSocket::bind((server.ip(), 0)).await?;
        let local = socket.local_addr()?;
        let audio = even_port(server.ip()).await?;
        let media = audio.local_addr()?;
        let config = sip::Config {
            domain: domain.to_owned(),
            listen: vec![(Transport::Udp, local)],
            ..sip::Config::default()
        };
        let phone = Self {
            endpoint: Endpoint::new(config, chance.split()),
            socket,
            flow: Flow::new(Transport::Udp, local, server),
            ours: Ours {
                codecs: vec![Codec::Pcmu],
                events: true,
                address: media.ip(),
                port: media.port(),
                id: u64::from(chance.u32()),
                version: 1,
                direction: Direction::SendRecv,
                security: Security::Off,
            },
            registration: None,
            call: None,
            answer: None,
            news: VecDeque::new(),
            buffer: vec![0; LENGTH_MAX].into(),
            chance,
        };
        Ok((phone, audio))
    }

    /// Where its signaling comes from.
    pub fn address(&self) -> SocketAddr {
        self.flow.local
    }

    /// Begins to register: [`News::SignedIn`] or [`News::NotSignedIn`] comes.
    pub fn sign_in(&mut self, user: &str, domain: &str, password: Pii) {
        let account = Account {
            registrar: format!("sip:{domain}"),
            aor: format!("sip:{user}@{domain}"),
            user: user.to_owned(),
            password: Some(password),
            contact_user: Some(user.to_owned()),
            contact_at: self.flow.local,
            transport: Transport::Udp,
            expires: EXPIRES,
        };
        let chance = self.chance.split();
        let registration = Registration::new(Instant::now(), account, Limits::default(), chance);
        // Our own registrar needs no sparing: the answer to its challenge goes at once.
        self.registration = Some((registration, Pacer::new(Duration::ZERO)));
    }

    /// Takes the registration back: [`News::SignedOut`] comes.
    pub fn sign_out(&mut self) {
        if let Some((registration, _)) = &mut self.registration {
            registration.stop(Instant::now());
        }
    }

    /// Calls a number, as `from` (a name-addr).
    pub fn call(&mut self, number: &str, from: &Pii) {
        let uri = format!("sip:{number}@{}", self.flow.remote);
        let invite = Invite {
            flow: self.flow,
            to: format!("<{uri}>"),
            uri,
            from: from.expose().to_owned(),
            headers: Vec::new(),
            sdp: sdp::offer(&self.ours),
            policy: policy(),
        };
        self.call = Some(self.endpoint.invite(Instant::now(), invite));
    }

    /// Answers the call that rings here.
    pub fn answer(&mut self) {
        if let (Some(session), Some(sdp)) = (self.call, self.answer.take()) {
            self.endpoint.answer(Instant::now(), session, sdp);
        }
    }

    /// Ends its call.
    pub fn hang_up(&mut self) {
        if let Some(session) = self.call.take() {
            self.endpoint.hangup(Instant::now(), session, None);
        }
    }

    /// Runs the phone until it has something to tell. Nothing is lost when the future is dropped
    /// before.
    ///
    /// # Errors
    /// When its socket fails.
    pub async fn next(&mut self) -> io::Result<News> {
        loop {
            // A new socket must be asked once before it takes anything.
            self.socket.writable().await?;
            self.settle();
            if let Some(news) = self.news.pop_front() {
                return Ok(news);
            }
            let due = self.poll_timeout().unwrap_or_else(|| Instant::now() + IDLE);
            tokio::select! {
                came = self.socket.recv_from(&mut self.buffer) => {
                    let (length, from) = came?;
                    if from == self.flow.remote {
                        let admit = Admit::Peer(policy());
                        let bytes = &self.buffer[..length];
                        self.endpoint.handle(Instant::now(), self.flow, bytes, &admit);
                    }
                }
                () = sleep_until(due.into()) => self.endpoint.handle_timeout(Instant::now()),
            }
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let registration = self.registration.as_ref().and_then(|(it, _)| it.poll_timeout());
        [self.endpoint.poll_timeout(), registration].into_iter().flatten().min()
    }

    /// Does everything that can be done without waiting.
    fn settle(&mut self) {
        let now = Instant::now();
        while let Some(event) = self.endpoint.poll_event() {
            self.on_event(now, event);
        }
        if let Some((registration, pacer)) = &mut self.registration
            && let Some(draft) = registration.poll(now, pacer)
        {
            self.endpoint.request(now, self.flow, draft);
        }
        while let Some(transmit) = self.endpoint.poll_transmit() {
            // What finds no room in the socket is lost, as any datagram may be: SIP repeats it.
            let _sent = self.socket.try_send_to(&transmit.bytes, transmit.flow.remote);
        }
    }

    fn on_event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Invite { session, request, .. } => self.on_invite(now, session, request),
            Event::Answered { session, sdp } => {
                match sdp.map(|sdp| sdp::agreed(&sdp, &self.ours)) {
                    Some(Ok(agreed)) => self.news.push_back(News::Answered(agreed)),
                    Some(Err(_)) | None => self.endpoint.hangup(now, session, None),
                }
            }
            Event::Confirmed { early: false, .. } => self.news.push_back(News::Up),
            Event::Offer { session, sdp } => self.on_offer(now, session, sdp),
            Event::Ended { session, cause } if self.call == Some(session) => {
                self.call = None;
                self.news.push_back(News::Ended(cause));
            }
            Event::Request { tx, request, .. } => self.on_request(now, tx, &request),
            Event::Refer { tx, .. } => self.endpoint.respond_code(now, tx, 603),
            Event::Response { response, .. } => self.on_response(now, response.as_ref()),
            Event::Progress { .. }
            | Event::Ended { .. }
            | Event::Confirmed { early: true, .. }
            | Event::Reoffered { .. }
            | Event::Info { .. }
            | Event::Probed { .. } => {}
        }
    }

    fn on_invite(&mut self, now: Instant, session: SessionId, request: Message) {
        if self.call.is_some() {
            return self.endpoint.refuse(now, session, 486, &[]);
        }
        match request.sdp().map(|offer| sdp::answer(&offer, &self.ours)) {
            Some(Ok((answer, agreed))) => {
                self.call = Some(session);
                self.answer = Some(answer);
                self.endpoint.ring(now, session, 180, None);
                let shows = request.from().map(|from| from.uri.to_owned()).unwrap_or_default();
                self.news.push_back(News::Rung(Rung { shows, request, agreed }));
            }
            Some(Err(_)) | None => self.endpoint.refuse(now, session, 488, &[]),
        }
    }

    /// The server asks again what we do: the same.
    fn on_offer(&mut self, now: Instant, session: SessionId, offer: Option<Bytes>) {
        match offer.map(|offer| sdp::answer(&offer, &self.ours)) {
            Some(Ok((answer, _))) => self.endpoint.accept_offer(now, session, answer),
            Some(Err(error)) => self.endpoint.refuse_offer(now, session, error.code()),
            None => self.endpoint.accept_offer(now, session, sdp::offer(&self.ours)),
        }
    }

    fn on_request(&mut self, now: Instant, tx: ServerTx, request: &Message) {
        let is_known = request.method() == Some(&Method::Options);
        self.endpoint.respond_code(now, tx, if is_known { 200 } else { 405 });
    }

    fn on_response(&mut self, now: Instant, response: Option<&Message>) {
        let Some((registration, _)) = &mut self.registration else { return };
        let before = registration.state();
        registration.on_response(now, response);
        match registration.state() {
            state if state == before => {}
            State::Registering => {}
            State::Registered { .. } => self.news.push_back(News::SignedIn),
            State::Failed { reason } => self.news.push_back(News::NotSignedIn(reason)),
            State::Stopped => self.news.push_back(News::SignedOut),
        }
    }
}

fn policy() -> Policy {
    Policy { rel100: true, session_expires: None, advertised: None, contact_user: "demo".into() }
}

/// RTP uses even ports (RFC 3550 §11).
async fn even_port(ip: IpAddr) -> io::Result<UdpSocket> {
    for _ in 0..PORT_TRIES {
        let socket = UdpSocket::bind((ip, 0)).await?;
        if socket.local_addr()?.port().is_multiple_of(2) {
            return Ok(socket);
        }
    }
    Err(io::Error::other("no even port is free"))
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    /// Two phones that take each other for the server.
    async fn pair() -> (Phone, Phone) {
        let nobody = "127.0.0.1:9".parse().unwrap();
        let (mut a, _) = Phone::new(nobody, "x.test", Chance::from_number(1)).await.unwrap();
        let (mut b, _) = Phone::new(nobody, "x.test", Chance::from_number(2)).await.unwrap();
        (a.flow.remote, b.flow.remote) = (b.flow.local, a.flow.local);
        (a, b)
    }

    #[tokio::test]
    async fn one_calls_the_other_answers_and_hangs_up() {
        let (mut a, mut b) = pair().await;
        a.call("100", &Pii::new("<sip:me@x.test>"));
        let talk = async {
            let (mut agreed, mut is_over) = (Vec::new(), false);
            while !is_over {
                let (news, is_a) = tokio::select! {
                    news = a.next() => (news.unwrap(), true),
                    news = b.next() => (news.unwrap(), false),
                };
                if let News::Answered(how) = &news {
                    agreed.push(how.rtp.port());
                }
                if let News::Rung(rung) = &news {
                    assert_eq!(rung.shows, "sip:me@x.test");
                    agreed.push(rung.agreed.rtp.port());
                    b.answer();
                }
                if matches!(news, News::Up) {
                    b.hang_up();
                }
                is_over = is_a && matches!(news, News::Ended(Cause::Bye));
            }
            agreed
        };
        let agreed = timeout(LIMIT, talk).await.unwrap();
        assert_eq!(agreed, [a.ours.port, b.ours.port]);
        assert!(agreed.iter().all(|port| port.is_multiple_of(2)));
    }

    #[tokio::test]
    async fn a_second_call_finds_it_busy() {
        let (mut a, mut b) = pair().await;
        b.call = Some(SessionId(99));
        a.call("100", &Pii::new("<sip:me@x.test>"));
        let refused = async {
            tokio::select! {
                news = a.next() => news.unwrap(),
                _ = b.next() => panic!("b has nothing to tell"),
            }
        };
        let refused = timeout(LIMIT, refused).await.unwrap();
        assert!(matches!(refused, News::Ended(Cause::Refused { code: 486, .. })), "{refused:?}");
    }
}
