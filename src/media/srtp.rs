//! SRTP and SRTCP (RFC 3711, RFC 7714) of one leg, with the keys that SDES agreed on (RFC 4568).
//!
//! Owns which packets are believed: authentic ones, once each, and nothing changes before a packet
//! has proven authentic. Packets are protected and read in place, and none costs an allocation.
//! No master key index, no key derivation rate, no unencrypted streams: SDES never agrees on them.
//! Where keys come from, and what is done with a packet, is the affair of others.

mod cipher;
mod window;

use std::fmt;

use cipher::{Cipher, Kind};
use window::Window;

use crate::media::{Crypto, MasterKey, Suite};

/// How many streams (SSRCs) of a peer are believed under one key. A phone changes its SSRC now and
/// then, with every hold perhaps, and some mixers with every speaker; the windows of earlier
/// streams are kept so that nobody can play those again. Only who has the key can begin one.
const STREAMS_MAX: usize = 64;
/// The readable part of an RTCP packet.
const RTCP_HEADER: usize = 8;
/// The last index of SRTCP: 31 bits.
const RTCP_LAST: u64 = (1 << 31) - 1;
/// The lower half of the sequence numbers: a stream that is first heard there may have wrapped
/// before.
const LOWER_HALF: u16 = 1 << 15;

/// The key's length is not the suite's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a master key of the wrong length")]
pub struct KeyLength;

/// How far a stream has come: its SSRC and its newest index (RTP: rollover counter times 65,536,
/// plus sequence number; RTCP: the 31-bit index).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Whose.
    pub ssrc: u32,
    /// The newest.
    pub index: u64,
}

/// How far both directions have come: with the keys, what another process needs to go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// What we sent, RTP.
    pub sent: Option<Place>,
    /// The newest index that we sent, RTCP.
    pub sent_rtcp: u64,
    /// What the peer sent, RTP.
    pub received: Option<Place>,
    /// What the peer sent, RTCP.
    pub received_rtcp: Option<Place>,
    /// The peer's other streams, RTP.
    pub earlier: Vec<Place>,
    /// The peer's other streams, RTCP.
    pub earlier_rtcp: Vec<Place>,
}

/// The protection of one leg, both ways.
pub struct Srtp {
    crypto: Crypto,
    sender: Sender,
    receiver: Receiver,
}

impl Srtp {
    /// Protection with these keys, from the start.
    ///
    /// # Errors
    /// A key's length is not its suite's.
    pub fn new(crypto: &Crypto) -> Result<Self, KeyLength> {
        let sender = Sender::new(crypto.suite, &crypto.send).ok_or(KeyLength)?;
        let receiver = Receiver::new(crypto.suite, &crypto.receive).ok_or(KeyLength)?;
        Ok(Self { crypto: crypto.clone(), sender, receiver })
    }

    /// Takes other keys. A direction whose key stays goes on where it was. One whose key changes
    /// begins anew: give our stream a new SSRC then, because peers disagree on whether the
    /// rollover counter of the old one goes on (RFC 3711 §3.3.1 says that it does).
    ///
    /// # Errors
    /// A key's length is not its suite's; the former keys stay.
    pub fn renew(&mut self, crypto: &Crypto) -> Result<(), KeyLength> {
        if self.crypto == *crypto {
            return Ok(());
        }
        let mut new = Self::new(crypto)?;
        let is_same = self.crypto.suite == crypto.suite;
        if is_same && self.crypto.send == crypto.send {
            std::mem::swap(&mut new.sender, &mut self.sender);
        }
        if is_same && self.crypto.receive == crypto.receive {
            std::mem::swap(&mut new.receiver, &mut self.receiver);
        } else {
            new.receiver.former = self.receiver.rtp.newest.or(self.receiver.former);
        }
        *self = new;
        Ok(())
    }

    /// How far both directions have come.
    pub fn progress(&self) -> Progress {
        Progress {
            sent: self.sent(),
            sent_rtcp: self.sender.rtcp_index,
            received: self.received(),
            received_rtcp: self.receiver.rtcp.newest,
            earlier: self.receiver.rtp.earlier(),
            earlier_rtcp: self.receiver.rtcp.earlier(),
        }
    }

    /// What we sent, RTP.
    pub fn sent(&self) -> Option<Place> {
        self.sender.stream.as_ref().map(Stream::place)
    }

    /// What the peer sent, RTP.
    pub fn received(&self) -> Option<Place> {
        self.receiver.rtp.newest
    }

    /// Goes on from there, in place of what was learned. Whoever may have sent more after it read
    /// the progress adds a margin to `sent` and `sent_rtcp` first: an index that is used twice
    /// gives the voice away.
    pub fn resume(&mut self, progress: &Progress) {
        self.sender.stream = progress.sent.map(Stream::resumed);
        self.sender.rtcp_index = progress.sent_rtcp;
        self.receiver.rtp = Streams::resumed(progress.received, &progress.earlier);
        self.receiver.rtcp = Streams::resumed(progress.received_rtcp, &progress.earlier_rtcp);
    }

    /// Protects the RTP packet in the first `length` bytes of `buffer`. The new length; `None` for
    /// what is no RTP, is of another SSRC than the first, has the place of an earlier packet, or
    /// where `buffer` is too short: such a packet must not be sent.
    pub fn protect(&mut self, buffer: &mut [u8], length: usize) -> Option<usize> {
        self.sender.rtp(buffer, length)
    }

    /// The same for a compound RTCP packet.
    pub fn protect_rtcp(&mut self, buffer: &mut [u8], length: usize) -> Option<usize> {
        self.sender.rtcp(buffer, length)
    }

    /// Checks and reads an SRTP packet in place. The length of the RTP packet that it is then;
    /// `None`, and nothing changed, when it is not authentic or has come before.
    pub fn unprotect(&mut self, packet: &mut [u8]) -> Option<usize> {
        self.receiver.rtp(packet)
    }

    /// The same for SRTCP.
    pub fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Option<usize> {
        self.receiver.rtcp(packet)
    }
}

impl fmt::Debug for Srtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Srtp").field("suite", &self.crypto.suite).finish_non_exhaustive()
    }
}

/// What we send.
struct Sender {
    rtp: Cipher,
    rtcp: Cipher,
    /// Our one stream.
    stream: Option<Stream>,
    /// The index of our last RTCP packet.
    rtcp_index: u64,
}

impl Sender {
    fn new(suite: Suite, key: &MasterKey) -> Option<Self> {
        let rtp = Cipher::new(suite, key, Kind::Rtp)?;
        let rtcp = Cipher::new(suite, key, Kind::Rtcp)?;
        Some(Self { rtp, rtcp, stream: None, rtcp_index: 0 })
    }

    fn rtp(&mut self, buffer: &mut [u8], length: usize) -> Option<usize> {
        let head = RtpHead::read(buffer.get(..length)?)?;
        let index = match &self.stream {
            None => u64::from(head.sequence),
            Some(stream) if stream.ssrc == head.ssrc => stream.next(head.sequence)?,
            Some(_) => return None,
        };
        let total = self.rtp.seal(buffer, head.length, length, (head.ssrc, index))?;
        match &mut self.stream {
            Some(stream) => stream.window.take(index),
            none => *none = Some(Stream::begun(head.ssrc, index)),
        }
        Some(total)
    }

    fn rtcp(&mut self, buffer: &mut [u8], length: usize) -> Option<usize> {
        let ssrc = rtcp_ssrc(buffer.get(..length)?)?;
        let index = Some(self.rtcp_index + 1).filter(|index| *index <= RTCP_LAST)?;
        let total = self.rtcp.seal(buffer, RTCP_HEADER, length, (ssrc, index))?;
        self.rtcp_index = index;
        Some(total)
    }
}

/// What the peer sends.
struct Receiver {
    rtp_cipher: Cipher,
    rtcp_cipher: Cipher,
    rtp: Streams,
    rtcp: Streams,
    /// Where the peer's stream was under the former key.
    former: Option<Place>,
}

impl Receiver {
    fn new(suite: Suite, key: &MasterKey) -> Option<Self> {
        Some(Self {
            rtp_cipher: Cipher::new(suite, key, Kind::Rtp)?,
            rtcp_cipher: Cipher::new(suite, key, Kind::Rtcp)?,
            rtp: Streams::default(),
            rtcp: Streams::default(),
            former: None,
        })
    }

    fn rtp(&mut self, packet: &mut [u8]) -> Option<usize> {
        let RtpHead { ssrc, sequence, length: header } = RtpHead::read(packet)?;
        let cipher = &self.rtp_cipher;
        if let Some(stream) = self.rtp.known(ssrc) {
            let index = stream.next(sequence)?;
            let length = cipher.open(packet, header, (ssrc, index))?;
            self.rtp.take(ssrc, index);
            return Some(length);
        }
        if self.rtp.is_full() {
            return None;
        }
        // A stream begins with the counter at 0. Its packets before the wrap may have been missed,
        // and a new key may go on with the counter of the former one.
        let wrapped = (sequence < LOWER_HALF).then_some(u64::from(sequence) + (1 << 16));
        let former = self.former.filter(|former| former.ssrc == ssrc);
        let former = former.and_then(|it| Window::begun(it.index).place(sequence));
        let starts = [Some(u64::from(sequence)), wrapped, former];
        let (index, length) = starts.into_iter().flatten().find_map(|index| {
            cipher.open(packet, header, (ssrc, index)).map(|length| (index, length))
        })?;
        self.rtp.take(ssrc, index);
        Some(length)
    }

    fn rtcp(&mut self, packet: &mut [u8]) -> Option<usize> {
        let ssrc = rtcp_ssrc(packet)?;
        let index = self.rtcp_cipher.stated(packet)?;
        match self.rtcp.known(ssrc) {
            Some(stream) if !stream.window.is_free(index) => return None,
            None if self.rtcp.is_full() => return None,
            Some(_) | None => {}
        }
        let length = self.rtcp_cipher.open(packet, RTCP_HEADER, (ssrc, index))?;
        self.rtcp.take(ssrc, index);
        Some(length)
    }
}

/// One SSRC.
struct Stream {
    ssrc: u32,
    window: Window,
}

impl Stream {
    fn begun(ssrc: u32, index: u64) -> Self {
        Self { ssrc, window: Window::begun(index) }
    }

    fn resumed(place: Place) -> Self {
        Self { ssrc: place.ssrc, window: Window::resumed(place.index) }
    }

    fn place(&self) -> Place {
        Place { ssrc: self.ssrc, index: self.window.newest() }
    }

    /// The index of a sequence number, unless it is taken.
    fn next(&self, sequence: u16) -> Option<u64> {
        self.window.place(sequence).filter(|index| self.window.is_free(*index))
    }
}

/// The streams that a peer has authenticated, at most [`STREAMS_MAX`].
#[derive(Default)]
struct Streams {
    all: Vec<Stream>,
    /// Where the one that spoke last is.
    newest: Option<Place>,
}

impl Streams {
    fn resumed(newest: Option<Place>, earlier: &[Place]) -> Self {
        let all = newest.iter().chain(earlier).copied().map(Stream::resumed);
        Self { all: all.take(STREAMS_MAX).collect(), newest }
    }

    /// Where those are that have spoken before the newest.
    fn earlier(&self) -> Vec<Place> {
        let newest = self.newest.map(|place| place.ssrc);
        let others = self.all.iter().filter(|stream| Some(stream.ssrc) != newest);
        others.map(Stream::place).collect()
    }

    fn known(&self, ssrc: u32) -> Option<&Stream> {
        self.all.iter().find(|stream| stream.ssrc == ssrc)
    }

    fn is_full(&self) -> bool {
        self.all.len() >= STREAMS_MAX
    }

    /// Takes the place of an authentic packet.
    fn take(&mut self, ssrc: u32, index: u64) {
        match self.all.iter_mut().find(|stream| stream.ssrc == ssrc) {
            Some(stream) => stream.window.take(index),
            None => self.all.push(Stream::begun(ssrc, index)),
        }
        self.newest = self.known(ssrc).map(Stream::place);
    }
}

/// What SRTP needs of an RTP packet's header (RFC 3550 §5.1).
struct RtpHead {
    ssrc: u32,
    sequence: u16,
    /// Bytes that stay readable: with contributing sources and extension.
    length: usize,
}

impl RtpHead {
    fn read(packet: &[u8]) -> Option<Self> {
        let [first, _, s0, s1, _, _, _, _, a, b, c, d, ..] = *packet else { return None };
        if first >> 6 != 2 {
            return None;
        }
        let mut length = 12 + 4 * usize::from(first & 0x0f);
        if first & 0x10 != 0 {
            let [_, _, high, low] = *packet.get(length..length + 4)? else { return None };
            length += 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
        }
        let ssrc = u32::from_be_bytes([a, b, c, d]);
        let sequence = u16::from_be_bytes([s0, s1]);
        (length <= packet.len()).then_some(Self { ssrc, sequence, length })
    }
}

/// The sender of an RTCP packet, which begins with a report (RFC 3550 §6.1).
fn rtcp_ssrc(packet: &[u8]) -> Option<u32> {
    let [first, _, _, _, a, b, c, d, ..] = *packet else { return None };
    (first >> 6 == 2).then_some(u32::from_be_bytes([a, b, c, d]))
}

#[cfg(test)]
mod tests;
