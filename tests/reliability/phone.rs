//! A phone that registers, with the right password or another.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use koebashi::chance::Chance;
use koebashi::pii::Pii;
use koebashi::sip::auth::{Asked, Challenge, answer};
use koebashi::sip::header::Name;
use koebashi::sip::message::Message;

/// The extension that the load generator's configuration has beside those with fixed phones, and
/// its password.
pub(crate) const EXTENSION: &str = "999";
pub(crate) const PASSWORD: &str = "never-signs-in";
/// How long an answer is waited for.
const LIMIT: Duration = Duration::from_millis(300);

/// One phone.
pub(crate) struct Phone {
    pub(crate) socket: UdpSocket,
    service: SocketAddr,
    pub(crate) password: String,
    count: u32,
    chance: Chance,
}

impl Phone {
    pub(crate) fn new(ip: Ipv4Addr, service: SocketAddr, password: &str) -> io::Result<Self> {
        let socket = UdpSocket::bind((ip, 0))?;
        socket.set_read_timeout(Some(LIMIT))?;
        let (password, chance) = (password.to_owned(), Chance::from_number(1));
        Ok(Self { socket, service, password, count: 0, chance })
    }

    /// Registers; the code that its password was answered with, if it was.
    pub(crate) fn register(&mut self) -> io::Result<Option<u16>> {
        let Some(asked) = self.ask(None)? else { return Ok(None) };
        let challenge = asked.header(&Name::WwwAuthenticate).map(Challenge::parse_all);
        let Some(challenge) = challenge.and_then(Result::ok).and_then(|mut all| all.pop()) else {
            return Ok(None);
        };
        let uri = format!("sip:{}", self.service.ip());
        let password = Pii::new(self.password.clone());
        let asked =
            Asked { method: "REGISTER", uri: &uri, user: EXTENSION, password: &password, count: 1 };
        let proof = answer(&challenge, &asked, &mut self.chance);
        let judged = self.ask(Some(&proof))?;
        Ok(judged.and_then(|it| it.code()))
    }

    fn ask(&mut self, proof: Option<&str>) -> io::Result<Option<Message>> {
        self.count += 1;
        let (local, service, n) = (self.socket.local_addr()?, self.service.ip(), self.count);
        let proof = proof.map(|it| format!("Authorization: {it}\r\n")).unwrap_or_default();
        let text = format!(
            "REGISTER sip:{service} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bKr{n};rport\
             \r\nMax-Forwards: 70\r\nFrom: <sip:{EXTENSION}@{service}>;tag=r{n}\r\n\
             To: <sip:{EXTENSION}@{service}>\r\nCall-ID: phone@{local}\r\nCSeq: {n} REGISTER\r\n\
             Contact: <sip:{EXTENSION}@{local}>\r\nExpires: 300\r\n{proof}\
             Content-Length: 0\r\n\r\n"
        );
        self.socket.send_to(text.as_bytes(), self.service)?;
        let mut room = [0; 4_096];
        // Whatever else comes (it may be asked whether it is there) is no answer to this.
        let began = Instant::now();
        while began.elapsed() < LIMIT {
            let Ok(length) = self.socket.recv(&mut room) else { return Ok(None) };
            let Ok(message) = Message::parse(&room[..length]) else { continue };
            if message.code().is_some() && message.cseq().is_ok_and(|it| it.seq == n) {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }
}
