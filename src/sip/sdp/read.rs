//! Reading a peer's description (RFC 8866 §5, §9): the lines that matter to one audio stream.
//!
//! Skips everything else, so that one odd line does not cost a call. What comes of the streams is
//! judged in `sdp`.

use std::net::IpAddr;

use super::codec::{Codec, Direction};
use super::security::{Line, Profile};

/// Bytes of a description.
const LENGTH_MAX: usize = 65_535;
/// `m=` lines of a description; an answer must repeat each.
const MEDIA_MAX: usize = 32;
/// Formats of an `m=` line that are looked at.
const FORMATS_MAX: usize = 64;
/// `a=rtpmap` lines of one medium that are looked at.
const MAPS_MAX: usize = 128;
/// `a=crypto` lines of one medium that are looked at.
const CRYPTO_MAX: usize = 16;

/// What we need of a description.
#[derive(Default)]
pub(super) struct Description<'a> {
    pub(super) time: Option<&'a str>,
    pub(super) connection: Option<&'a str>,
    pub(super) direction: Option<Direction>,
    pub(super) media: Vec<Media<'a>>,
}

/// One `m=` line and what follows it.
pub(super) struct Media<'a> {
    pub(super) kind: &'a str,
    pub(super) port: u16,
    pub(super) protocol: &'a str,
    pub(super) formats: &'a str,
    pub(super) connection: Option<&'a str>,
    pub(super) direction: Option<Direction>,
    pub(super) ptime: Option<u32>,
    pub(super) rtcp: Option<u16>,
    /// Whether RTCP may share the RTP port (RFC 5761).
    pub(super) rtcp_mux: bool,
    /// Payload number and encoding of each `a=rtpmap`.
    maps: Vec<(u8, &'a str)>,
    /// What follows each `a=crypto:`.
    crypto: Vec<&'a str>,
}

impl<'a> Description<'a> {
    /// `None` when it is no description, or over the limits.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        if bytes.len() > LENGTH_MAX {
            return None;
        }
        let mut lines = bytes.split(|b| *b == b'\n').map(<[u8]>::trim_ascii_end);
        if lines.next() != Some(b"v=0") {
            return None;
        }
        let mut out = Self::default();
        for line in lines {
            let [key, b'=', value @ ..] = line else { continue };
            // Only free text may be in another charset, and that we don't read.
            match (*key, str::from_utf8(value)) {
                (b'm', Ok(value)) if out.media.len() < MEDIA_MAX => {
                    out.media.push(Media::parse(value)?);
                }
                (b'm', _) => return None,
                (b'c', Ok(value)) => match out.media.last_mut() {
                    Some(media) => media.connection = media.connection.or(Some(value)),
                    None => out.connection = out.connection.or(Some(value)),
                },
                (b't', Ok(value)) if is_time(value) => out.time = out.time.or(Some(value)),
                (b'a', Ok(value)) => match out.media.last_mut() {
                    Some(media) => media.attribute(value),
                    None => out.direction = out.direction.or_else(|| Direction::parse(value)),
                },
                // Unreadable keys are not the same as none.
                (b'a', Err(_)) if value.starts_with(b"crypto:") => {
                    if let Some(media) = out.media.last_mut() {
                        media.attribute("crypto");
                    }
                }
                _ => {}
            }
        }
        Some(out)
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
            rtcp_mux: false,
            maps: Vec::new(),
            crypto: Vec::new(),
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
            "rtcp-mux" => self.rtcp_mux = true,
            "crypto" if self.crypto.len() < CRYPTO_MAX => self.crypto.push(value),
            _ => self.direction = self.direction.or_else(|| Direction::parse(text)),
        }
    }

    /// The payload numbers in order of preference.
    pub(super) fn payloads(&self) -> impl Iterator<Item = u8> + use<'a> {
        let formats = self.formats.split(' ').filter(|f| !f.is_empty()).take(FORMATS_MAX);
        formats.filter_map(|format| format.parse().ok()).filter(|payload| *payload < 128)
    }

    /// What the peer maps a payload number to: name, clock and perhaps channels.
    fn encoding(&self, payload: u8) -> Option<&'a str> {
        self.maps.iter().find(|(p, _)| *p == payload).map(|(_, text)| *text)
    }

    pub(super) fn is_codec(&self, payload: u8, codec: Codec) -> bool {
        codec.is(payload, self.encoding(payload))
    }

    /// Payload number and clock of telephone-event: at the audio's clock if there is one, else the
    /// first.
    pub(super) fn events(&self, clock: u32) -> Option<(u8, u32)> {
        let event = |payload: u8| {
            let mut fields = self.encoding(payload)?.split('/');
            let is_event = fields.next()?.eq_ignore_ascii_case("telephone-event");
            let clock = fields.next().unwrap_or("1").parse().ok();
            let clock = clock.filter(|clock| (8000..=96_000).contains(clock))?;
            is_event.then_some((payload, clock))
        };
        let first = self.payloads().find_map(event);
        self.payloads().filter_map(event).find(|(_, at)| *at == clock).or(first)
    }

    /// What its packets are by name; `None`: something else. Feedback (`F`) we neither give nor
    /// need.
    pub(super) fn profile(&self) -> Option<Profile> {
        match self.protocol {
            "RTP/AVP" | "RTP/AVPF" => Some(Profile::Avp),
            "RTP/SAVP" | "RTP/SAVPF" => Some(Profile::Savp),
            _ => None,
        }
    }

    /// How many `a=crypto` lines it has, usable or not.
    pub(super) fn keys(&self) -> usize {
        self.crypto.len()
    }

    /// Those that are usable, in order of preference.
    pub(super) fn crypto(&self) -> impl Iterator<Item = Line> + '_ {
        self.crypto.iter().filter_map(|text| Line::parse(text))
    }
}

/// The unicast address of a `c=` line.
pub(super) fn address(value: &str) -> Option<IpAddr> {
    let mut fields = value.split(' ').filter(|f| !f.is_empty());
    let (net, _family, place) = (fields.next(), fields.next(), fields.next());
    let place = place.filter(|_| net == Some("IN"))?;
    let place = place.split('/').next().unwrap_or(place);
    let ip: IpAddr = place.parse().ok()?;
    let is_broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    (!ip.is_multicast() && !is_broadcast).then_some(ip)
}

/// Two numbers.
fn is_time(value: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    value.len() <= 42 && value.split_once(' ').is_some_and(|(a, b)| is_number(a) && is_number(b))
}
