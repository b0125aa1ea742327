//! Offer and answer for one audio stream (RFC 3264, RFC 8866; RFC 4733 for telephone-event, RFC
//! 4568 for the keys of SRTP, RFC 5761 for RTCP on the RTP port).
//!
//! Owns our descriptions, and what a peer's description comes to when met with ours. Ports, packets
//! and when to offer are the affair of others. A description may hold keys: it is never logged.

mod codec;
mod kept;
mod read;
mod security;

pub use codec::{Codec, Direction};
pub use kept::{KeptAgreed, KeptOurs};
pub use security::{Crypto, Key, Keys, Profile, Security, Suite};

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use read::{Description, Media, address};
use security::Line;

/// The payload numbers that we offer for telephone-event, and their clocks.
const EVENTS: [(u8, u32); 2] = [(101, 8000), (102, 48_000)];
/// Packet time unless the peer states a sensible other, in milliseconds.
const PTIME: u32 = 20;

/// Our side of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ours {
    /// What we take, best first; not empty.
    pub codecs: Vec<Codec>,
    /// Whether we take telephone-event.
    pub events: bool,
    /// Where we listen, as the peer sees it.
    pub address: IpAddr,
    /// The RTP port there.
    pub port: u16,
    /// Session id of the `o=` line; the same through a dialog.
    pub id: u64,
    /// Version of the `o=` line; one more with each change in a dialog.
    pub version: u64,
    /// Who may send, as we state it.
    pub direction: Direction,
    /// Whether the stream is encrypted, and our keys.
    pub security: Security,
}

/// How keys pressed travel in the stream (RFC 4733).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Events {
    /// Payload number that we send.
    pub send: u8,
    /// Payload number that we receive.
    pub receive: u8,
    /// Ticks a second of their duration.
    pub clock: u32,
}

/// What both sides have come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// The codec.
    pub codec: Codec,
    /// Payload number that we send.
    pub payload_send: u8,
    /// Payload number that we receive.
    pub payload_receive: u8,
    /// Telephone-event, when both have it.
    pub events: Option<Events>,
    /// Where the peer says that it listens; unproven.
    pub rtp: SocketAddr,
    /// The same for RTCP: the same address always, whatever `a=rtcp` says of it; the same port too
    /// with `rtcp_mux`.
    pub rtcp: Option<SocketAddr>,
    /// Who may send, as the peer states it; a peer at 0.0.0.0 does not listen.
    pub direction: Direction,
    /// Packet time that the peer asks for, in milliseconds: 10–100.
    pub ptime: u32,
    /// RTCP travels on the RTP port.
    pub rtcp_mux: bool,
    /// Keys of SRTP; `None`: plain RTP.
    pub crypto: Option<Crypto>,
}

/// Why a description leads to no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is no description, or over the limits.
    #[error("malformed description")]
    Malformed,
    /// It has no audio.
    #[error("no audio")]
    NoAudio,
    /// Its audio is refused: port 0.
    #[error("audio disabled")]
    Disabled,
    /// Its audio is of a profile that we don't speak, or encrypted where we don't.
    #[error("unsupported transport protocol")]
    Protocol,
    /// Its audio is plain where it must not be, or its keys can't be used.
    #[error("no usable keys")]
    Keys,
    /// None of its codecs is ours.
    #[error("no common codec")]
    NoCodec,
    /// Its address is no unicast address of our family.
    #[error("unusable address")]
    Address,
}

impl Error {
    /// The code that refuses an offer with this error.
    pub fn code(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::NoAudio
            | Self::Disabled
            | Self::Protocol
            | Self::Keys
            | Self::NoCodec
            | Self::Address => 488,
        }
    }
}

/// Our offer.
pub fn offer(ours: &Ours) -> Bytes {
    let mut out = header(ours, "0 0");
    let clocks: Vec<_> = ours.codecs.iter().map(|codec| codec.clock()).collect();
    let events = EVENTS.iter().filter(|(_, clock)| ours.events && clocks.contains(clock));
    let stream = Stream {
        port: ours.port,
        protocol: match ours.security.profile() {
            Profile::Avp => "RTP/AVP",
            Profile::Savp => "RTP/SAVP",
        },
        codecs: ours.codecs.iter().map(|codec| (codec.payload(), *codec)).collect(),
        events: events.copied().collect(),
        direction: ours.direction,
        rtcp_mux: false,
        crypto: ours.security.keys().map(Keys::lines).unwrap_or_default(),
    };
    stream.print(&mut out);
    out.into()
}

/// Our answer to a peer's offer: its first audio stream that we can do, with its first codec and
/// its first suite that are ours; every other stream is refused by port 0.
///
/// # Errors
/// Why the offer must be refused; [`Error::code`] tells the answer.
pub fn answer(offer: &[u8], ours: &Ours) -> Result<(Bytes, Agreed), Error> {
    let theirs = Description::parse(offer).ok_or(Error::Malformed)?;
    let (chosen, agreed) = choose(&theirs, ours, Role::Answerer)?;
    let mut out = header(ours, theirs.time.unwrap_or("0 0"));
    for (i, media) in theirs.media.iter().enumerate() {
        if i == chosen {
            let direction = ours.direction;
            let line = agreed.crypto.as_ref().map(Line::of);
            let stream = Stream {
                port: ours.port,
                protocol: media.protocol,
                codecs: vec![(agreed.payload_send, agreed.codec)],
                events: agreed.events.map(|it| (it.send, it.clock)).into_iter().collect(),
                direction: Direction::new(
                    direction.sends() && agreed.direction.receives(),
                    direction.receives() && agreed.direction.sends(),
                ),
                rtcp_mux: agreed.rtcp_mux,
                crypto: line.as_slice(),
            };
            stream.print(&mut out);
        } else {
            let format = media.formats.split(' ').find(|f| !f.is_empty()).unwrap_or("0");
            line(&mut out, format_args!("m={} 0 {} {format}", media.kind, media.protocol));
        }
    }
    let agreed = Agreed { payload_receive: agreed.payload_send, ..agreed };
    let events = agreed.events.map(|events| Events { receive: events.send, ..events });
    Ok((out.into(), Agreed { events, ..agreed }))
}

/// What a peer's answer to our offer comes to.
///
/// # Errors
/// Why there is no stream.
pub fn agreed(answer: &[u8], ours: &Ours) -> Result<Agreed, Error> {
    let theirs = Description::parse(answer).ok_or(Error::Malformed)?;
    choose(&theirs, ours, Role::Offerer).map(|(_, agreed)| agreed)
}

/// Which side we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Offerer,
    Answerer,
}

/// The first stream that can be, or why the first that was meant to be can't.
fn choose(theirs: &Description<'_>, ours: &Ours, role: Role) -> Result<(usize, Agreed), Error> {
    let audio = theirs.media.iter().enumerate().filter(|(_, media)| media.kind == "audio");
    let mut error = Error::NoAudio;
    for (i, media) in audio {
        match agree(theirs, media, ours, role) {
            Ok(agreed) => return Ok((i, agreed)),
            Err(why) if matches!(error, Error::NoAudio | Error::Disabled) => error = why,
            Err(_) => {}
        }
    }
    Err(error)
}

/// What one stream comes to, when it is described by the peer's answer to our offer.
fn agree(
    theirs: &Description<'_>,
    media: &Media<'_>,
    ours: &Ours,
    role: Role,
) -> Result<Agreed, Error> {
    if media.port == 0 {
        return Err(Error::Disabled);
    }
    let crypto = secure(media, &ours.security, role)?;
    let codec = |payload: u8| {
        let mut codecs = ours.codecs.iter();
        codecs.find(|codec| media.is_codec(payload, **codec)).map(|codec| (payload, *codec))
    };
    let (payload_send, codec) = media.payloads().find_map(codec).ok_or(Error::NoCodec)?;
    let connection = media.connection.or(theirs.connection).ok_or(Error::Address)?;
    let ip = address(connection).ok_or(Error::Address)?;
    let is_held = ip.is_unspecified();
    if !is_held && ip.is_ipv4() != ours.address.is_ipv4() {
        return Err(Error::Address);
    }
    let stated = media.direction.or(theirs.direction).unwrap_or_default();
    // We never offer that RTCP shares the port: an answer can't ask for it.
    let rtcp_mux = media.rtcp_mux && role == Role::Answerer;
    let rtcp = match rtcp_mux {
        true => Some(media.port),
        false => media.rtcp.or_else(|| media.port.checked_add(1)).filter(|port| *port != 0),
    };
    Ok(Agreed {
        codec,
        payload_send,
        payload_receive: codec.payload(),
        events: media.events(codec.clock()).filter(|_| ours.events).map(|(send, clock)| {
            let ours = EVENTS.iter().find(|(_, at)| *at == clock).unwrap_or(&EVENTS[0]);
            Events { send, receive: ours.0, clock }
        }),
        rtp: SocketAddr::new(ip, media.port),
        rtcp: rtcp.map(|port| SocketAddr::new(ip, port)),
        direction: Direction::new(stated.sends(), stated.receives() && !is_held),
        ptime: media.ptime.filter(|ptime| (10..=100).contains(ptime)).unwrap_or(PTIME),
        rtcp_mux,
        crypto,
    })
}

/// The keys of one stream, or why it can't be; `None`: it is plain, and may be.
fn secure(media: &Media<'_>, security: &Security, role: Role) -> Result<Option<Crypto>, Error> {
    let profile = media.profile().ok_or(Error::Protocol)?;
    let Some(keys) = security.keys() else {
        return if profile == Profile::Avp { Ok(None) } else { Err(Error::Protocol) };
    };
    // Our key and the peer's. Ours sent back to us is none: both directions would share it.
    let pair = |theirs: Line, is_ours: fn(&Line, &Line) -> bool| {
        let ours = keys.lines().iter().find(|ours| is_ours(ours, &theirs))?;
        let Line { tag, suite, key: receive } = theirs;
        let send = ours.key.clone();
        (send != receive).then_some(Crypto { tag, suite, send, receive, profile })
    };
    let crypto = match role {
        Role::Answerer => {
            media.crypto().find_map(|theirs| pair(theirs, |ours, it| ours.suite == it.suite))
        }
        Role::Offerer if media.keys() == 0 => None,
        // Exactly one line, and one of ours (RFC 4568 §5.1.2). Whoever answers with others thinks
        // the stream encrypted: it can't be plain.
        Role::Offerer => {
            let one = media.crypto().next().filter(|_| media.keys() == 1).ok_or(Error::Keys)?;
            let is_ours = |ours: &Line, it: &Line| (ours.tag, ours.suite) == (it.tag, it.suite);
            Some(pair(one, is_ours).ok_or(Error::Keys)?)
        }
    };
    match (&crypto, security, profile) {
        (None, Security::Optional(_), Profile::Avp) | (Some(_), ..) => Ok(crypto),
        (None, ..) => Err(Error::Keys),
    }
}

/// Everything above our first `m=` line.
fn header(ours: &Ours, time: &str) -> String {
    let mut out = String::with_capacity(320);
    let family = if ours.address.is_ipv4() { "IP4" } else { "IP6" };
    let Ours { id, version, address, .. } = ours;
    line(&mut out, format_args!("v=0"));
    line(&mut out, format_args!("o=- {id} {version} IN {family} {address}"));
    line(&mut out, format_args!("s=-"));
    line(&mut out, format_args!("c=IN {family} {address}"));
    line(&mut out, format_args!("t={time}"));
    out
}

/// Our audio stream as it is described.
struct Stream<'a> {
    port: u16,
    protocol: &'a str,
    codecs: Vec<(u8, Codec)>,
    events: Vec<(u8, u32)>,
    direction: Direction,
    rtcp_mux: bool,
    crypto: &'a [Line],
}

impl Stream<'_> {
    fn print(&self, out: &mut String) {
        let Self { port, protocol, .. } = self;
        let payloads = self.codecs.iter().map(|(payload, _)| *payload);
        let payloads = payloads.chain(self.events.iter().map(|(payload, _)| *payload));
        let payloads: Vec<_> = payloads.map(|payload| payload.to_string()).collect();
        line(out, format_args!("m=audio {port} {protocol} {}", payloads.join(" ")));
        for crypto in self.crypto {
            line(out, format_args!("{}", crypto.print()));
        }
        for (payload, codec) in &self.codecs {
            line(out, format_args!("a=rtpmap:{payload} {}", codec.encoding()));
            if let Some(parameters) = codec.parameters() {
                line(out, format_args!("a=fmtp:{payload} {parameters}"));
            }
        }
        for (payload, clock) in &self.events {
            line(out, format_args!("a=rtpmap:{payload} telephone-event/{clock}"));
            line(out, format_args!("a=fmtp:{payload} 0-15"));
        }
        if self.rtcp_mux {
            line(out, format_args!("a=rtcp-mux"));
        }
        line(out, format_args!("a=ptime:{PTIME}"));
        line(out, format_args!("a={}", self.direction.as_str()));
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing into a string never fails.
    let _written = write!(out, "{text}\r\n");
}

#[cfg(test)]
mod tests;
