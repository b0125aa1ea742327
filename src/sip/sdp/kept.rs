//! What is kept of a stream's description over a restart of the process: our side, and what was
//! agreed on.
//!
//! Owns the forms and the way there and back. They hold keys, in the words of `a=crypto`: they go
//! nowhere else than into the journal, which is encrypted, and have no `Debug`.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::codec::{Codec, Direction};
use super::security::{Crypto, Keys, Line, Profile, Security};
use super::{Agreed, Events, Ours};
use crate::sip::kept::Unreadable;

/// Whether a stream is encrypted, and our keys as `a=crypto` names them.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KeptSecurity {
    Off,
    Optional(Vec<String>),
    Required(Vec<String>),
    /// As agreed, in the profile of encrypted streams or not.
    Settled(Vec<String>, bool),
}

/// Our side of a stream.
#[derive(Serialize, Deserialize)]
pub struct KeptOurs {
    codecs: Vec<String>,
    events: bool,
    address: IpAddr,
    port: u16,
    id: u64,
    version: u64,
    direction: String,
    security: KeptSecurity,
}

/// What both sides have come to.
#[derive(Serialize, Deserialize)]
pub struct KeptAgreed {
    codec: String,
    payload_send: u8,
    payload_receive: u8,
    /// Payloads that we send and receive, and the clock.
    #[serde(default)]
    events: Option<(u8, u8, u32)>,
    rtp: SocketAddr,
    #[serde(default)]
    rtcp: Option<SocketAddr>,
    direction: String,
    ptime: u32,
    #[serde(default)]
    rtcp_mux: bool,
    /// Our key, the peer's, and whether in the profile of encrypted streams.
    #[serde(default)]
    crypto: Option<(String, String, bool)>,
}

/// The attribute's name, which is not part of a line's value.
const CRYPTO: &str = "a=crypto:";

fn print(line: &Line) -> String {
    let text = line.print();
    text.strip_prefix(CRYPTO).unwrap_or(&text).to_owned()
}

fn line(text: &str) -> Result<Line, Unreadable> {
    Line::parse(text).ok_or(Unreadable::Without("usable key"))
}

fn codec(name: &str) -> Result<Codec, Unreadable> {
    let all = [Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::Opus];
    all.into_iter().find(|it| it.name() == name).ok_or(Unreadable::Without("known codec"))
}

fn direction(name: &str) -> Result<Direction, Unreadable> {
    Direction::parse(name).ok_or(Unreadable::Without("direction"))
}

fn profile(is_secure: bool) -> Profile {
    if is_secure { Profile::Savp } else { Profile::Avp }
}

fn keep_security(security: &Security) -> KeptSecurity {
    let lines = |keys: &Keys| keys.lines().iter().map(print).collect();
    match security {
        Security::Off => KeptSecurity::Off,
        Security::Optional(keys) => KeptSecurity::Optional(lines(keys)),
        Security::Required(keys) => KeptSecurity::Required(lines(keys)),
        Security::Settled { keys, profile } => {
            KeptSecurity::Settled(lines(keys), *profile == Profile::Savp)
        }
    }
}

fn restore_security(kept: KeptSecurity) -> Result<Security, Unreadable> {
    let keys = |lines: Vec<String>| {
        let lines = lines.iter().map(|text| line(text)).collect::<Result<_, _>>()?;
        Ok(Keys::of(lines))
    };
    Ok(match kept {
        KeptSecurity::Off => Security::Off,
        KeptSecurity::Optional(lines) => Security::Optional(keys(lines)?),
        KeptSecurity::Required(lines) => Security::Required(keys(lines)?),
        KeptSecurity::Settled(lines, is_secure) => {
            Security::Settled { keys: keys(lines)?, profile: profile(is_secure) }
        }
    })
}

impl Ours {
    /// What is kept of it.
    pub fn keep(&self) -> KeptOurs {
        KeptOurs {
            codecs: self.codecs.iter().map(|codec| codec.name().to_owned()).collect(),
            events: self.events,
            address: self.address,
            port: self.port,
            id: self.id,
            version: self.version,
            direction: self.direction.as_str().to_owned(),
            security: keep_security(&self.security),
        }
    }

    /// The same back.
    ///
    /// # Errors
    /// What can't be read in it.
    pub fn restore(kept: KeptOurs) -> Result<Self, Unreadable> {
        Ok(Self {
            codecs: kept.codecs.iter().map(|name| codec(name)).collect::<Result<_, _>>()?,
            events: kept.events,
            address: kept.address,
            port: kept.port,
            id: kept.id,
            // Room for all versions to come.
            version: kept.version.min(u64::MAX / 2),
            direction: direction(&kept.direction)?,
            security: restore_security(kept.security)?,
        })
    }
}

impl Agreed {
    /// What is kept of it.
    pub fn keep(&self) -> KeptAgreed {
        KeptAgreed {
            codec: self.codec.name().to_owned(),
            payload_send: self.payload_send,
            payload_receive: self.payload_receive,
            events: self.events.map(|it| (it.send, it.receive, it.clock)),
            rtp: self.rtp,
            rtcp: self.rtcp,
            direction: self.direction.as_str().to_owned(),
            ptime: self.ptime,
            rtcp_mux: self.rtcp_mux,
            crypto: self.crypto.as_ref().map(|it| {
                let theirs = Line { tag: it.tag, suite: it.suite, key: it.receive.clone() };
                (print(&Line::of(it)), print(&theirs), it.profile == Profile::Savp)
            }),
        }
    }

    /// The same back.
    ///
    /// # Errors
    /// What can't be read in it.
    pub fn restore(kept: KeptAgreed) -> Result<Self, Unreadable> {
        let crypto = match kept.crypto {
            None => None,
            Some((ours, theirs, is_secure)) => {
                let (ours, theirs) = (line(&ours)?, line(&theirs)?);
                if ours.suite != theirs.suite {
                    return Err(Unreadable::Without("usable key"));
                }
                Some(Crypto {
                    tag: ours.tag,
                    suite: ours.suite,
                    send: ours.key,
                    receive: theirs.key,
                    profile: profile(is_secure),
                })
            }
        };
        Ok(Self {
            codec: codec(&kept.codec)?,
            payload_send: kept.payload_send,
            payload_receive: kept.payload_receive,
            events: kept.events.map(|(send, receive, clock)| Events { send, receive, clock }),
            rtp: kept.rtp,
            rtcp: kept.rtcp,
            direction: direction(&kept.direction)?,
            ptime: kept.ptime,
            rtcp_mux: kept.rtcp_mux,
            crypto,
        })
    }
}
