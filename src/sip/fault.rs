//! What can be wrong with a message (RFC 3261 §16.3 item 1, §21.4.1).
//!
//! Owns the error of the readers and the judgment that turns it into an answer. Neither carries a
//! byte of the message: errors end in logs, and messages carry callers' numbers.

/// Why bytes, a header or a URI could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Nothing but line ends: a keep-alive.
    #[error("no message, only line ends")]
    Empty,
    /// The first line is neither a request line nor a status line of SIP.
    #[error("not a SIP start line")]
    StartLine,
    /// The version is not SIP/2.0.
    #[error("unknown SIP version")]
    Version,
    /// The message is longer than the limit.
    #[error("message over {limit} bytes")]
    TooLarge {
        /// Bytes.
        limit: usize,
    },
    /// The start line and headers together are longer than the limit.
    #[error("header section over {limit} bytes")]
    HeadTooLarge {
        /// Bytes.
        limit: usize,
    },
    /// More header lines than the limit.
    #[error("over {limit} headers")]
    TooManyHeaders {
        /// Lines.
        limit: usize,
    },
    /// One header is longer than the limit.
    #[error("header at byte {at} over {limit} bytes")]
    HeaderTooLong {
        /// Where the line starts.
        at: usize,
        /// Bytes.
        limit: usize,
    },
    /// A header line without a proper name and colon, or with a CR or LF of its own inside.
    #[error("bad header line at byte {at}")]
    Line {
        /// Where the line starts.
        at: usize,
    },
    /// The empty line that ends the headers is missing.
    #[error("headers without end")]
    Unfinished,
    /// Content-Length is no number, or there are two that differ.
    #[error("bad Content-Length")]
    ContentLength,
    /// Content-Length is more than what came.
    #[error("body shorter than Content-Length")]
    Truncated,
    /// A stream carries a message without Content-Length.
    #[error("no Content-Length on a stream")]
    NoContentLength,
    /// A header that must be there is not.
    #[error("no {0}")]
    Missing(&'static str),
    /// A header that may be there once is there more often.
    #[error("more than one {0}")]
    Duplicate(&'static str),
    /// The value of a header can't be understood.
    #[error("bad {0}")]
    Value(&'static str),
    /// The method in CSeq is not that of the request line.
    #[error("CSeq names another method")]
    MethodMismatch,
    /// A URI can't be understood.
    #[error("bad URI")]
    Uri,
}

/// What is wrong with a message that could be taken apart, and how a request with it is answered.
/// A response with a fault is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error} ({code})")]
pub struct Fault {
    /// Code of the answer: 400, 505 or 513.
    pub code: u16,
    /// What is wrong.
    pub error: ParseError,
}

impl From<ParseError> for Fault {
    fn from(error: ParseError) -> Self {
        let code = match error {
            ParseError::Version => 505,
            ParseError::TooLarge { .. }
            | ParseError::HeadTooLarge { .. }
            | ParseError::TooManyHeaders { .. }
            | ParseError::HeaderTooLong { .. } => 513,
            ParseError::Empty
            | ParseError::StartLine
            | ParseError::Line { .. }
            | ParseError::Unfinished
            | ParseError::ContentLength
            | ParseError::Truncated
            | ParseError::NoContentLength
            | ParseError::Missing(_)
            | ParseError::Duplicate(_)
            | ParseError::Value(_)
            | ParseError::MethodMismatch
            | ParseError::Uri => 400,
        };
        Self { code, error }
    }
}
