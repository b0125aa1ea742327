//! Messages out of a stream (RFC 3261 §18.3, §7.5; keep-alives of RFC 5626 §3.5.1).
//!
//! Owns where a message on a stream ends, which must be the same for the parser: both read the head
//! by the same code. What is in a message is not looked at. A stream whose framing is lost can't be
//! read on and must be closed.

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};

use super::fault::ParseError;
use super::parse::{Head, Length, Limits};

/// What comes out of a stream. `Debug` shows no contents.
#[derive(Clone, PartialEq, Eq)]
pub enum Frame {
    /// One whole message.
    Message(Bytes),
    /// CRLF CRLF: the peer wants a CRLF back.
    Ping,
    /// A CRLF alone. It is told from half a ping by what follows, and comes out only then.
    Pong,
}

/// The stream can't be read on: what comes next can't be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stream lost: {0}")]
pub struct FrameError(pub ParseError);

/// Collects what a stream brings and cuts it into frames. An iterator: ask it after every
/// [`Framer::push`] until it has nothing more. It holds at most one message and what was last
/// pushed.
pub struct Framer {
    limits: Limits,
    buffer: BytesMut,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Waits for the end of the headers; the first `searched` bytes are known not to hold it.
    Head { searched: usize },
    /// Waits for the end of the body.
    Body { total: usize },
    /// Has failed; everything further is thrown away.
    Lost,
}

/// What ends the headers.
const END: &[u8] = b"\r\n\r\n";

impl Framer {
    /// A framer at the start of a stream.
    pub fn new(limits: Limits) -> Self {
        Self { limits, buffer: BytesMut::new(), state: State::Head { searched: 0 } }
    }

    /// Takes in what the stream has brought.
    pub fn push(&mut self, bytes: &[u8]) {
        if !matches!(self.state, State::Lost) {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Whether a part of a message is held. Line ends between messages are none.
    pub fn has_begun(&self) -> bool {
        self.buffer.iter().any(|b| !matches!(b, b'\r' | b'\n'))
    }

    fn keep_alive(&mut self) -> Option<Frame> {
        match *self.buffer {
            [b'\r', b'\n', b'\r', b'\n', ..] => {
                self.buffer.advance(4);
                Some(Frame::Ping)
            }
            [b'\r', b'\n', b'\r'] => None,
            [b'\r', b'\n', _, ..] => {
                self.buffer.advance(2);
                Some(Frame::Pong)
            }
            _ => None,
        }
    }

    /// Length of the message whose head is complete; `None` while it is not.
    fn total(&mut self, searched: usize) -> Result<Option<usize>, ParseError> {
        let from = searched.saturating_sub(END.len() - 1);
        let Limits { head: limit, message, .. } = self.limits;
        let end = memchr::memmem::find(&self.buffer[from..], END).map(|i| from + i + END.len());
        if end.unwrap_or(self.buffer.len()) > limit {
            return Err(ParseError::HeadTooLarge { limit });
        }
        let Some(end) = end else {
            self.state = State::Head { searched: self.buffer.len() };
            return Ok(None);
        };
        let length = match Head::parse(&mut self.buffer[..end].to_vec(), &self.limits)?.length {
            Length::Is(length) => length,
            Length::Absent => return Err(ParseError::NoContentLength),
            Length::Bad => return Err(ParseError::ContentLength),
        };
        let total = usize::try_from(length).ok().and_then(|length| end.checked_add(length));
        match total.filter(|total| *total <= message) {
            Some(total) => Ok(Some(total)),
            None => Err(ParseError::TooLarge { limit: message }),
        }
    }

    fn lose(&mut self, error: ParseError) -> FrameError {
        self.state = State::Lost;
        self.buffer = BytesMut::new();
        FrameError(error)
    }
}

impl fmt::Debug for Framer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Framer")
            .field("state", &self.state)
            .field("buffer", &self.buffer.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(bytes) => f.debug_tuple("Message").field(&bytes.len()).finish(),
            Self::Ping => f.write_str("Ping"),
            Self::Pong => f.write_str("Pong"),
        }
    }
}

impl Iterator for Framer {
    type Item = Result<Frame, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        let total = match self.state {
            State::Lost => return None,
            State::Body { total } => total,
            State::Head { searched } => {
                if let Some(frame) = self.keep_alive() {
                    return Some(Ok(frame));
                }
                if self.buffer.first() == Some(&b'\r') && self.buffer.len() < END.len() {
                    return None;
                }
                match self.total(searched) {
                    Ok(total) => total?,
                    Err(error) => return Some(Err(self.lose(error))),
                }
            }
        };
        if self.buffer.len() < total {
            self.state = State::Body { total };
            return None;
        }
        self.state = State::Head { searched: 0 };
        let message = self.buffer.split_to(total).freeze();
        if self.buffer.is_empty() {
            // The memory goes with the message, not with the stream.
            self.buffer = BytesMut::new();
        }
        Some(Ok(Frame::Message(message)))
    }
}

#[cfg(test)]
mod tests;
