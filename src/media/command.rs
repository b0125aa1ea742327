//! What the call path asks of the media plane.
//!
//! Owns the border's way in; what comes back is [`Event`](super::Event)'s.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::{Crypto, Digit, Peer, PlayId, PortId, Prompt, RecordId};

/// What a port hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Packets of silence, so that the peer never thinks us dead.
    Silence,
    /// Prompts one after the other; [`Event::Played`](super::Event::Played) when the last has
    /// ended; then `then`.
    Play {
        /// Comes back in [`Event::Played`](super::Event::Played).
        play: PlayId,
        /// What to play, in order. A name that the library lacks is skipped.
        prompts: Vec<Prompt>,
        /// What follows.
        then: Then,
    },
    /// Another port of the same shard, passed on as it arrives: the bridge. Of two hearers of one
    /// port the later counts; a [`Source::Mix`] of it counts besides.
    Port(PortId),
    /// Several ports of the same shard, mixed every 20 ms. Those who are heard so keep their own
    /// relay. Never the hearer itself.
    Mix(Vec<PortId>),
}

/// What a port hears when its prompts have ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// Silence.
    Silence,
    /// This prompt over and over, without a gap; goes on where the port last left it.
    Loop(Prompt),
}

/// What the call path asks of the media plane.
#[derive(Clone, Debug)]
pub enum Command {
    /// Bind RTP at `local` (an even port) and RTCP on the next. Answered by
    /// [`Event::Opened`](super::Event::Opened) or [`Event::OpenFailed`](super::Event::OpenFailed).
    Open {
        /// The port's name from here on.
        port: PortId,
        /// Where to bind.
        local: SocketAddr,
        /// DSCP of RTP and RTCP (0–63).
        dscp: u8,
    },
    /// Go on as the port that told this state ([`Kept`](super::Kept)) in another process. Right
    /// after [`Command::Open`], before the port has a peer; what was ordered since comes again
    /// after it.
    /// The port begins anew when the state is damaged, of another version, or too old.
    Resume {
        /// Which.
        port: PortId,
        /// Its latest state.
        state: Bytes,
    },
    /// Talk to this peer, from now on in this form. Repeated when signaling changes something;
    /// SSRC, sequence and timestamp go on.
    Connect {
        /// Whose.
        port: PortId,
        /// The far end.
        peer: Peer,
        /// SRTP's keys; `None`: plain RTP. With keys nothing plain is sent or believed. The same
        /// keys again go on where they were.
        crypto: Option<Arc<Crypto>>,
    },
    /// Let the port hear this, in place of what it hears now.
    Listen {
        /// Who hears.
        port: PortId,
        /// What.
        source: Source,
    },
    /// Play prompts over what the port hears, which goes on (unheard) meanwhile.
    Overlay {
        /// Who hears.
        port: PortId,
        /// What.
        prompts: Vec<Prompt>,
    },
    /// Report keys pressed on this port's peer, by these means.
    Detect {
        /// Whose keys.
        port: PortId,
        /// Telephone-events.
        rfc4733: bool,
        /// Tones in the audio; of a peer that is seen to send telephone-events as agreed, only
        /// where those are not asked for.
        inband: bool,
        /// Whether telephone-events also go on to who hears the port.
        pass: bool,
    },
    /// Press a key towards the port's peer: telephone-events where negotiated, else tones.
    SendDigit {
        /// Towards whom.
        port: PortId,
        /// The key.
        digit: Digit,
    },
    /// Record what two ports' peers say, one on each channel of a stereo recording, 8 kHz. The same
    /// port twice: what its peer says, on both.
    Record {
        /// The recording's name from here on.
        record: RecordId,
        /// Whose voice is on the left.
        left: PortId,
        /// Whose voice is on the right.
        right: PortId,
    },
    /// Leave out what is said (`paused`), or go on. What is left out is not silence in the file: it
    /// is not there.
    PauseRecord {
        /// Which.
        record: RecordId,
        /// Whether nothing is recorded from here on.
        paused: bool,
    },
    /// End the recording. It also ends when either port closes.
    StopRecord {
        /// Which.
        record: RecordId,
    },
    /// Close the sockets, answer with [`Event::Closed`](super::Event::Closed).
    Close {
        /// Which.
        port: PortId,
    },
}
