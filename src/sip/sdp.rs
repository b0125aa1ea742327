//! Offer and answer for one audio stream (RFC 3264, RFC 8866; RFC 4733 for telephone-event).
//!
//! Owns our descriptions, and what a peer's description comes to when met with ours. It reads only
//! the lines that matter to one RTP/AVP stream of G.711 and skips the rest, so that one odd line
//! does not cost a call. Ports, packets and when to offer are the affair of others.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

/// Bytes of a description.
const LENGTH_MAX: usize = 65_535;
/// `m=` lines of a description; an answer must repeat each.
const MEDIA_MAX: usize = 32;
/// Formats of an `m=` line that are looked at.
const FORMATS_MAX: usize = 64;
/// `a=rtpmap` lines of one medium that are looked at.
const MAPS_MAX: usize = 128;
/// The payload number that we offer for telephone-event.
const EVENTS_PAYLOAD: u8 = 101;
/// Packet time unless the peer states a sensible other, in milliseconds.
const PTIME: u32 = 20;

/// An audio codec of the telephone network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
}

impl Codec {
    /// Its static payload number (RFC 3551 §6).
    pub fn payload(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
        }
    }

    /// Its name in `rtpmap`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }
}

/// Who may send, seen from whoever states it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Both.
    #[default]
    SendRecv,
    /// Only who states it.
    SendOnly,
    /// Only the other.
    RecvOnly,
    /// Nobody.
    Inactive,
}

impl Direction {
    fn new(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// Whether who states it sends.
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether who states it listens.
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The same seen from the other side.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self::new(self.receives(), self.sends())
    }

    /// As the attribute is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let all = [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive];
        all.into_iter().find(|direction| direction.as_str() == text)
    }
}

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
    /// The same for RTCP: the same address always, whatever `a=rtcp` says of it.
    pub rtcp: Option<SocketAddr>,
    /// Who may send, as the peer states it; a peer at 0.0.0.0 does not listen.
    pub direction: Direction,
    /// Packet time that the peer asks for, in milliseconds: 10–100.
    pub ptime: u32,
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
    /// Its audio is not plain RTP.
    #[error("unsupported transport protocol")]
    Protocol,
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
            Self::NoAudio | Self::Disabled | Self::Protocol | Self::NoCodec | Self::Address => 488,
        }
    }
}

/// Our offer.
pub fn offer(ours: &Ours) -> Bytes {
    let mut out = header(ours, "0 0");
    let formats: Vec<_> = ours.codecs.iter().map(|codec| (codec.payload(), *codec)).collect();
    let events = ours.events.then_some((EVENTS_PAYLOAD, 8000));
    medium(&mut out, ours, "RTP/AVP", &formats, events, ours.direction);
    out.into()
}

/// Our answer to a peer's offer: its first audio stream that we can do, with its first codec that
/// is ours; every other stream is refused by port 0.
///
/// # Errors
/// Why the offer must be refused; [`Error::code`] tells the answer.
pub fn answer(offer: &[u8], ours: &Ours) -> Result<(Bytes, Agreed), Error> {
    let theirs = Description::parse(offer)?;
    let (chosen, agreed) = theirs.choose(ours)?;
    let mut out = header(ours, theirs.time.unwrap_or("0 0"));
    for (i, media) in theirs.media.iter().enumerate() {
        if i == chosen {
            let direction = ours.direction;
            let direction = Direction::new(
                direction.sends() && agreed.direction.receives(),
                direction.receives() && agreed.direction.sends(),
            );
            let formats = [(agreed.payload_send, agreed.codec)];
            let events = agreed.events.map(|events| (events.send, events.clock));
            medium(&mut out, ours, media.protocol, &formats, events, direction);
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
    let theirs = Description::parse(answer)?;
    theirs.choose(ours).map(|(_, agreed)| agreed)
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

/// Our audio stream.
fn medium(
    out: &mut String,
    ours: &Ours,
    protocol: &str,
    codecs: &[(u8, Codec)],
    events: Option<(u8, u32)>,
    direction: Direction,
) {
    let payloads = codecs.iter().map(|(payload, _)| *payload).chain(events.map(|(p, _)| p));
    let payloads: Vec<_> = payloads.map(|payload| payload.to_string()).collect();
    line(out, format_args!("m=audio {} {protocol} {}", ours.port, payloads.join(" ")));
    for (payload, codec) in codecs {
        line(out, format_args!("a=rtpmap:{payload} {}/8000", codec.name()));
    }
    if let Some((payload, clock)) = events {
        line(out, format_args!("a=rtpmap:{payload} telephone-event/{clock}"));
        line(out, format_args!("a=fmtp:{payload} 0-15"));
    }
    line(out, format_args!("a=ptime:{PTIME}"));
    line(out, format_args!("a={}", direction.as_str()));
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing into a string never fails.
    let _written = write!(out, "{text}\r\n");
}

/// What we need of a description.
#[derive(Default)]
struct Description<'a> {
    time: Option<&'a str>,
    connection: Option<&'a str>,
    direction: Option<Direction>,
    media: Vec<Media<'a>>,
}

/// One `m=` line and what follows it.
struct Media<'a> {
    kind: &'a str,
    port: u16,
    protocol: &'a str,
    formats: &'a str,
    connection: Option<&'a str>,
    direction: Option<Direction>,
    ptime: Option<u32>,
    rtcp: Option<u16>,
    /// Payload number and encoding of each `a=rtpmap`.
    maps: Vec<(u8, &'a str)>,
}

impl<'a> Description<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        if bytes.len() > LENGTH_MAX {
            return Err(Error::Malformed);
        }
        let mut lines = bytes.split(|b| *b == b'\n').map(<[u8]>::trim_ascii_end);
        if lines.next() != Some(b"v=0") {
            return Err(Error::Malformed);
        }
        let mut out = Self::default();
        for line in lines {
            let [key, b'=', value @ ..] = line else { continue };
            // Only free text may be in another charset, and that we don't read.
            match (*key, str::from_utf8(value)) {
                (b'm', Ok(value)) if out.media.len() < MEDIA_MAX => {
                    out.media.push(Media::parse(value).ok_or(Error::Malformed)?);
                }
                (b'm', _) => return Err(Error::Malformed),
                (b'c', Ok(value)) => match out.media.last_mut() {
                    Some(media) => media.connection = media.connection.or(Some(value)),
                    None => out.connection = out.connection.or(Some(value)),
                },
                (b't', Ok(value)) if is_time(value) => out.time = out.time.or(Some(value)),
                (b'a', Ok(value)) => match out.media.last_mut() {
                    Some(media) => media.attribute(value),
                    None => out.direction = out.direction.or_else(|| Direction::parse(value)),
                },
                _ => {}
            }
        }
        Ok(out)
    }

    /// The first stream that can be, or why the first that was meant to be can't.
    fn choose(&self, ours: &Ours) -> Result<(usize, Agreed), Error> {
        let audio = self.media.iter().enumerate().filter(|(_, media)| media.kind == "audio");
        let mut error = Error::NoAudio;
        for (i, media) in audio {
            match self.agree(media, ours) {
                Ok(agreed) => return Ok((i, agreed)),
                Err(why) if matches!(error, Error::NoAudio | Error::Disabled) => error = why,
                Err(_) => {}
            }
        }
        Err(error)
    }

    /// What one stream comes to, when it is described by the peer's answer to our offer.
    fn agree(&self, media: &Media<'_>, ours: &Ours) -> Result<Agreed, Error> {
        if media.port == 0 {
            return Err(Error::Disabled);
        }
        if !matches!(media.protocol, "RTP/AVP" | "RTP/AVPF") {
            return Err(Error::Protocol);
        }
        let codec = |payload: u8| {
            let mut codecs = ours.codecs.iter();
            codecs.find(|codec| media.is_codec(payload, **codec)).map(|codec| (payload, *codec))
        };
        let (payload_send, codec) = media.payloads().find_map(codec).ok_or(Error::NoCodec)?;
        let ip = address(media.connection.or(self.connection).ok_or(Error::Address)?)?;
        let is_held = ip.is_unspecified();
        if !is_held && ip.is_ipv4() != ours.address.is_ipv4() {
            return Err(Error::Address);
        }
        let stated = media.direction.or(self.direction).unwrap_or_default();
        let rtcp = media.rtcp.or_else(|| media.port.checked_add(1)).filter(|port| *port != 0);
        Ok(Agreed {
            codec,
            payload_send,
            payload_receive: codec.payload(),
            events: media.events().filter(|_| ours.events),
            rtp: SocketAddr::new(ip, media.port),
            rtcp: rtcp.map(|port| SocketAddr::new(ip, port)),
            direction: Direction::new(stated.sends(), stated.receives() && !is_held),
            ptime: media.ptime.filter(|ptime| (10..=100).contains(ptime)).unwrap_or(PTIME),
        })
    }
}

impl<'a> Media<'a> {
    fn parse(value: &'a str) -> Option<Self> {
        let is_printable = value.bytes().all(|b| (b' '..0x7f).contains(&b));
        let (kind, rest) = value.split_once(' ').filter(|_| is_printable)?;
        let (port, rest) = rest.trim_start().split_once(' ')?;
        let (protocol, formats) = rest.trim_start().split_once(' ')?;
        let port = port.split('/').next()?;
        let is_number = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        Some(Self {
            kind,
            port: port.parse().ok().filter(|_| is_number)?,
            protocol,
            formats,
            connection: None,
            direction: None,
            ptime: None,
            rtcp: None,
            maps: Vec::new(),
        })
    }

    /// Takes an attribute in; of several the first counts.
    fn attribute(&mut self, text: &'a str) {
        let (name, value) = text.split_once(':').unwrap_or((text, ""));
        let value = value.trim();
        match name {
            "rtpmap" if self.maps.len() < MAPS_MAX => {
                let Some((payload, encoding)) = value.split_once(' ') else { return };
                self.maps.extend(payload.parse().ok().map(|p| (p, encoding.trim())));
            }
            "ptime" => self.ptime = self.ptime.or_else(|| value.parse().ok()),
            "rtcp" => {
                let port = value.split(' ').next().and_then(|port| port.parse().ok());
                self.rtcp = self.rtcp.or(port);
            }
            _ => self.direction = self.direction.or_else(|| Direction::parse(text)),
        }
    }

    /// The payload numbers in order of preference.
    fn payloads(&self) -> impl Iterator<Item = u8> + use<'a> {
        let formats = self.formats.split(' ').filter(|f| !f.is_empty()).take(FORMATS_MAX);
        formats.filter_map(|format| format.parse().ok()).filter(|payload| *payload < 128)
    }

    /// Name, clock and channels of a payload number, as the peer maps it.
    fn encoding(&self, payload: u8) -> Option<(&'a str, &'a str, &'a str)> {
        let (_, text) = self.maps.iter().find(|(p, _)| *p == payload)?;
        let mut fields = text.split('/');
        let next = |fields: &mut std::str::Split<'a, char>| fields.next().unwrap_or("1");
        Some((fields.next()?, next(&mut fields), next(&mut fields)))
    }

    fn is_codec(&self, payload: u8, codec: Codec) -> bool {
        match self.encoding(payload) {
            Some((name, clock, channels)) => {
                name.eq_ignore_ascii_case(codec.name()) && clock == "8000" && channels == "1"
            }
            None => payload == codec.payload(),
        }
    }

    /// Telephone-event: at the audio's clock if there is one, else the first.
    fn events(&self) -> Option<Events> {
        let event = |payload: u8| {
            let (name, clock, _) = self.encoding(payload)?;
            let clock = clock.parse().ok().filter(|clock| (8000..=96_000).contains(clock))?;
            let is_event = name.eq_ignore_ascii_case("telephone-event");
            is_event.then_some(Events { send: payload, receive: EVENTS_PAYLOAD, clock })
        };
        let first = self.payloads().find_map(event);
        let at_8000 = |events: &Events| events.clock == 8000;
        self.payloads().filter_map(event).find(at_8000).or(first)
    }
}

/// The address of a `c=` line.
fn address(value: &str) -> Result<IpAddr, Error> {
    let mut fields = value.split(' ').filter(|f| !f.is_empty());
    let (net, _family, place) = (fields.next(), fields.next(), fields.next());
    let place = place.filter(|_| net == Some("IN")).ok_or(Error::Address)?;
    let place = place.split('/').next().unwrap_or(place);
    let ip: IpAddr = place.parse().map_err(|_| Error::Address)?;
    let is_broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    if ip.is_multicast() || is_broadcast { Err(Error::Address) } else { Ok(ip) }
}

/// Two numbers.
fn is_time(value: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    value.len() <= 42 && value.split_once(' ').is_some_and(|(a, b)| is_number(a) && is_number(b))
}

#[cfg(test)]
mod tests;
