//! The test call: a telephone of our own calls the line over real sockets, listens for a moment,
//! and hangs up.
//!
//! Owns the telephone's part and its limits. That the service lets it in, and that it is nobody's
//! call, is [`call::trial`](crate::call::trial)'s.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout, timeout_at};

use super::facts::{Heard, Unheard};
use crate::call::config::{Line, LineId};
use crate::call::deed::Request;
use crate::call::trial::{LIMIT, Trial};
use crate::chance::Chance;
use crate::pii::Pii;
use crate::shell::handle::Handle;
use crate::shell::phone::audio::{Audio, Recording};
use crate::shell::phone::{News, Phone};
use crate::sip::sdp::Agreed;
use crate::sip::{Cause, Transport};
use crate::store::{Reader, opening};
use crate::time::Timestamp;

/// How long the answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// How long is listened: longer than the silence that a prompt may begin with.
const LISTEN: Duration = Duration::from_millis(2_500);
/// How long the answer to our BYE may take.
const GOODBYE: Duration = Duration::from_millis(300);
/// Records say the minute only.
const RECORD_GRAIN: Duration = Duration::from_secs(120);
/// How often the record is looked for, and the pause between.
const RECORD_TRIES: usize = 30;
/// See [`RECORD_TRIES`].
const RECORD_PAUSE: Duration = Duration::from_millis(100);
/// Length of the word that names the call.
const WORD: usize = 24;

/// Calls the line. Never longer than the service keeps such a call.
pub(super) async fn call(
    handle: &Handle,
    id: &LineId,
    line: &Line,
    began: Timestamp,
    chance: Chance,
) -> Result<Heard, Unheard> {
    let number = line.numbers.first().ok_or(Unheard::NoNumber)?;
    let server = server(handle.listening()).ok_or(Unheard::NoSocket)?;
    let since = began - RECORD_GRAIN;
    let before = records(handle, id, since).await;
    let called = timeout(LIMIT, listen(handle, id, number, server, chance));
    let heard = called.await.unwrap_or(Err(Unheard::Silence))?;
    Ok(Heard { records: new_records(handle, id, since, before).await, ..heard })
}

/// The socket that is called: one of loopback where there is any.
fn server(listening: &[(Transport, SocketAddr)]) -> Option<SocketAddr> {
    let udp = listening.iter().filter(|(transport, _)| *transport == Transport::Udp);
    let reachable = udp.map(|(_, address)| {
        let ip = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            IpAddr::V4(_) | IpAddr::V6(_) => address.ip(),
        };
        SocketAddr::new(ip, address.port())
    });
    reachable.min_by_key(|address| !address.ip().is_loopback())
}

async fn listen(
    handle: &Handle,
    line: &LineId,
    number: &str,
    server: SocketAddr,
    mut chance: Chance,
) -> Result<Heard, Unheard> {
    let system = |error: std::io::Error| Unheard::System(error.to_string());
    let phone = Phone::new(server, "koebashi.invalid", chance.split()).await;
    let (mut phone, socket) = phone.map_err(system)?;
    let word = chance.token(WORD);
    let from = Pii::new(format!("<sip:{word}@koebashi.invalid>"));
    let trial = Trial { line: line.clone(), from: phone.address(), word: Pii::new(word) };
    match handle.ask(Request::Trial(trial), "system").await {
        Ok(Ok(())) => {}
        Ok(Err(denial)) => return Err(Unheard::Denied(denial.name())),
        Err(_) => return Err(Unheard::Busy),
    }
    let dialed = Instant::now();
    phone.call(number, &from);
    let agreed = timeout(ANSWER_LIMIT, answer(&mut phone)).await;
    let agreed = agreed.unwrap_or(Err(Unheard::Silence))?;
    let answered = Instant::now();
    let recording = hear(&mut phone, socket, agreed, &mut chance).await.map_err(system)?;
    let first = recording.heard.first().map(|packet| packet.at - answered);
    Ok(Heard {
        answered: answered - dialed,
        first_packet: first,
        packets: recording.heard.len(),
        gap: recording.longest_gap(),
        level: recording.loudest(),
        records: 0,
    })
}

/// Waits until somebody answers.
async fn answer(phone: &mut Phone) -> Result<Agreed, Unheard> {
    loop {
        match phone.next().await {
            Ok(News::Answered(agreed)) => return Ok(agreed),
            Ok(News::Ended(Cause::Refused { code, .. })) => return Err(Unheard::Refused(code)),
            Ok(News::Ended(_)) => return Err(Unheard::Silence),
            Ok(_) => {}
            Err(error) => return Err(Unheard::System(error.to_string())),
        }
    }
}

/// Listens for a moment, or until the line hangs up; then hangs up.
async fn hear(
    phone: &mut Phone,
    socket: UdpSocket,
    agreed: Agreed,
    chance: &mut Chance,
) -> std::io::Result<Recording> {
    // Nothing is said: the packets are silence. The voice ends when the cue is dropped.
    let (tell, cue) = watch::channel(None);
    let voice = Audio::start(socket, agreed, Vec::new(), cue, chance);
    let until = tokio::time::Instant::now() + LISTEN;
    while let Ok(news) = timeout_at(until, phone.next()).await {
        if matches!(news?, News::Ended(_)) {
            break;
        }
    }
    phone.hang_up();
    // What is told in this time is the answer to our BYE, if anything.
    while let Ok(news) = timeout(GOODBYE, phone.next()).await {
        news?;
    }
    drop(tell);
    voice.await.map_err(std::io::Error::other)?
}

/// How many records it left, besides those that were there.
async fn new_records(handle: &Handle, line: &LineId, since: Timestamp, before: u32) -> u32 {
    for _ in 0..RECORD_TRIES {
        match records(handle, line, since).await.saturating_sub(before) {
            0 => sleep(RECORD_PAUSE).await,
            new => return new,
        }
    }
    0
}

/// Records of test calls of the line; none where they can't be read.
async fn records(handle: &Handle, line: &LineId, since: Timestamp) -> u32 {
    let (path, line) = (handle.store().path().to_owned(), line.clone());
    let read = spawn_blocking(move || {
        Reader::open(&path)?.read(|conn| opening::test_calls(conn, &line, since))
    });
    read.await.map_or(0, Result::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_called_where_it_can_be() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let of = |all: &[(Transport, &str)]| {
            server(&all.iter().map(|(transport, text)| (*transport, at(text))).collect::<Vec<_>>())
        };
        use Transport::{Tcp, Udp};
        assert_eq!(of(&[(Tcp, "127.0.0.1:5060")]), None);
        let both = [(Udp, "192.0.2.2:5060"), (Udp, "127.0.0.1:5061")];
        assert_eq!(of(&both), Some(at("127.0.0.1:5061")));
        assert_eq!(of(&[(Udp, "192.0.2.2:5060")]), Some(at("192.0.2.2:5060")));
        assert_eq!(of(&[(Udp, "0.0.0.0:5060")]), Some(at("127.0.0.1:5060")));
        assert_eq!(of(&[(Udp, "[::]:5060")]), Some(at("[::1]:5060")));
    }
}
