//! What goes into the switchboard, and why it wants to be woken.

use std::sync::Arc;

use crate::call::config::{Config, LineId, Override};
use crate::call::deed::Request;
use crate::call::io::Timer;
use crate::call::piece::Rehearse;
use crate::media::{self, RecordId};
use crate::sip::{self, Flow};

/// What comes in.
#[derive(Debug)]
pub enum Input<'a> {
    /// A whole SIP message.
    Sip {
        /// Where from.
        flow: Flow,
        /// The message.
        bytes: &'a [u8],
    },
    /// The far end of a flow can't be reached (ICMP, reset, no connection).
    FlowFailed(Flow),
    /// The media plane says.
    Media(media::Event),
    /// The operator wants.
    Command(Command),
    /// A deadline of [`Switchboard::poll_timeout`](super::Switchboard::poll_timeout) is reached.
    Timeout,
}

/// What an operator wants.
#[derive(Clone, Debug)]
pub enum Command {
    /// A prompt is to be played to a phone, or recorded by one; told by
    /// [`Output::Rehearsed`](super::Output::Rehearsed).
    Rehearse(Rehearse),
    /// Another configuration. Live calls keep theirs, but what supervisors may do there.
    Configure(Arc<Config>, Box<sip::Config>),
    /// No new calls: they hear the help message.
    Drain,
    /// Every call ends now, with a BYE to each side: the time to drain is over.
    Stop,
    /// A recording can't be written any further: it ends, the call goes on.
    RecordingLost(RecordId),
    /// A line is opened or closed by hand, until the next configuration.
    Override {
        /// Which.
        line: LineId,
        /// How.
        over: Override,
    },
    /// Somebody asks through the console, and gets [`Output::Answer`](super::Output::Answer).
    Request {
        /// What.
        request: Request,
        /// The name of their account.
        who: Arc<str>,
    },
}

/// Why the switchboard wants to be woken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A retransmission or another timer of the SIP stack.
    Sip,
    /// A registration of a phone ends, or a phone is asked.
    Registrar,
    /// A deadline of the call path.
    Timer(Timer),
}
