//! Bytes → [`Message`] (RFC 3261 §7, §18.3, §25.1).
//!
//! Owns the limits and the walk over start line and header lines: where each begins and ends,
//! folded lines joined, Content-Length obeyed. Lines end with CRLF; a CR or LF alone is a defect,
//! because peers disagree on what it ends. A message that can be taken apart is kept with its
//! defect, so that it can be answered; [`Message::validate`] tells. No value is understood here but
//! Content-Length.

use bytes::Bytes;

use super::fault::ParseError;
use super::header::{Name, Tag, trim};
use super::message::{Line, Message, Method, Span, Start};
use super::method::token;

/// How much of a message is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a whole message.
    pub message: usize,
    /// Bytes of start line and headers together.
    pub head: usize,
    /// Header lines.
    pub headers: usize,
    /// Bytes of one header line.
    pub header: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { message: 65_535, head: 32_768, headers: 128, header: 8_192 }
    }
}

impl Message {
    /// Reads one datagram, or one frame of a stream, within the default [`Limits`]. Line ends
    /// before it are skipped, bytes behind its body dropped. Without Content-Length the body is the
    /// rest.
    ///
    /// # Errors
    /// Only for what can't be represented, and so not be answered: [`ParseError::Empty`],
    /// [`ParseError::StartLine`], [`ParseError::TooLarge`], and [`ParseError::Version`] in a
    /// response. Other errors come from [`Message::validate`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        Self::parse_within(bytes, &Limits::default())
    }

    /// The same within other limits.
    ///
    /// # Errors
    /// As [`Message::parse`].
    pub fn parse_within(bytes: &[u8], limits: &Limits) -> Result<Self, ParseError> {
        let bytes = &bytes[leading_line_ends(bytes)..];
        if bytes.len() > limits.message.min(u32::MAX as usize) {
            return Err(ParseError::TooLarge { limit: limits.message });
        }
        let mut buffer = bytes.to_vec();
        let head = Head::parse(&mut buffer, limits)?;
        let mut defect = head.defect;
        if let Length::Is(length) = head.length {
            match usize::try_from(length).ok().and_then(|n| head.end.checked_add(n)) {
                Some(end) if end <= buffer.len() => buffer.truncate(end),
                _ => defect = defect.or(Some(ParseError::Truncated)),
            }
        }
        let Head { start, lines, end: body, .. } = head;
        Ok(Self { bytes: Bytes::from(buffer), start, lines, body, defect })
    }
}

/// How many bytes of line ends come before the message (RFC 3261 §7.5).
fn leading_line_ends(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count()
}

/// What Content-Length says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// Nothing.
    Absent,
    /// Bytes of the body.
    Is(u64),
    /// No number, or two that differ.
    Bad,
}

/// Start line and headers, taken apart.
pub(crate) struct Head {
    pub(crate) start: Start,
    pub(crate) lines: Vec<Line>,
    /// Where the body starts.
    pub(crate) end: usize,
    pub(crate) length: Length,
    /// The first thing that is wrong.
    pub(crate) defect: Option<ParseError>,
}

impl Head {
    /// Reads the head at the start of `buffer` and joins its folded lines there.
    pub(crate) fn parse(buffer: &mut [u8], limits: &Limits) -> Result<Self, ParseError> {
        if buffer.is_empty() {
            return Err(ParseError::Empty);
        }
        let first = line_at(buffer, 0);
        let (start, defect) = start_line(&buffer[..first.end])?;
        let mut head = Self {
            start,
            lines: Vec::with_capacity(24),
            end: buffer.len(),
            length: Length::Absent,
            defect: defect.or(first.defect),
        };
        let mut at = first.next;
        loop {
            if at >= buffer.len() {
                head.blame(ParseError::Unfinished);
                return Ok(head);
            }
            let mut line = line_at(buffer, at);
            if line.end == at && line.is_ended {
                head.end = line.next;
                return Ok(head);
            }
            while let Some(b' ' | b'\t') = buffer.get(line.next) {
                // No line may be folded before its colon; some would take the next for a header.
                if !buffer[at..line.end].contains(&b':') {
                    line.defect = Some(ParseError::Line { at });
                }
                buffer[line.end..line.next].fill(b' ');
                let more = line_at(buffer, line.next);
                line = Ended { defect: line.defect.or(more.defect), ..more };
            }
            head.line(buffer, at, &line, limits);
            at = line.next;
        }
    }

    fn blame(&mut self, error: ParseError) {
        self.defect = self.defect.or(Some(error));
    }

    /// Takes one unfolded line in.
    fn line(&mut self, buffer: &[u8], at: usize, line: &Ended, limits: &Limits) {
        if line.end - at > limits.header {
            return self.blame(ParseError::HeaderTooLong { at, limit: limits.header });
        }
        if line.end > limits.head {
            return self.blame(ParseError::HeadTooLarge { limit: limits.head });
        }
        if self.lines.len() >= limits.headers {
            return self.blame(ParseError::TooManyHeaders { limit: limits.headers });
        }
        if let Some(defect) = line.defect {
            self.blame(defect);
        }
        let (name, rest) = token(&buffer[at..line.end]);
        let [b':', value @ ..] = trim(rest) else { return self.blame(ParseError::Line { at }) };
        if name.is_empty() {
            return self.blame(ParseError::Line { at });
        }
        let value = trim(value);
        let tag = Tag::of(name);
        if tag == Name::ContentLength.tag() {
            self.content_length(value);
        }
        let value = span(buffer, value);
        self.lines.push(Line { tag, name: span(buffer, name), value });
    }

    /// Any number of equal good values is one; everything else is a defect.
    fn content_length(&mut self, value: &[u8]) {
        let text = str::from_utf8(value).unwrap_or_default();
        let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let length = text.parse().unwrap_or(u64::MAX);
        self.length = match self.length {
            Length::Absent if is_number => Length::Is(length),
            Length::Is(before) if is_number && before == length => Length::Is(length),
            Length::Absent | Length::Is(_) | Length::Bad => {
                self.blame(ParseError::ContentLength);
                Length::Bad
            }
        };
    }
}

/// Where a line ends.
struct Ended {
    /// Behind its last byte.
    end: usize,
    /// Where the next line starts.
    next: usize,
    /// By CRLF, not by the end of the buffer.
    is_ended: bool,
    defect: Option<ParseError>,
}

/// The line that starts at `at`.
fn line_at(buffer: &[u8], at: usize) -> Ended {
    let mut from = at;
    let mut defect = None;
    while let Some(i) = memchr::memchr2(b'\r', b'\n', &buffer[from..]) {
        let end = from + i;
        if buffer[end] == b'\r' && buffer.get(end + 1) == Some(&b'\n') {
            return Ended { end, next: end + 2, is_ended: true, defect };
        }
        defect = Some(ParseError::Line { at });
        from = end + 1;
    }
    Ended { end: buffer.len(), next: buffer.len(), is_ended: false, defect }
}

/// Where a slice of the buffer stands in it.
fn span(buffer: &[u8], part: &[u8]) -> Span {
    let start = part.as_ptr() as usize - buffer.as_ptr() as usize;
    Span { start: start as u32, end: (start + part.len()) as u32 }
}

/// The first line, and what is wrong with it.
fn start_line(line: &[u8]) -> Result<(Start, Option<ParseError>), ParseError> {
    let text = line.trim_ascii_end();
    if let Some(version) = prefix_ignoring_case(text, b"SIP/") {
        return status_line(line, version);
    }
    let (method, rest) = cut(text, memchr::memchr(b' ', text)).ok_or(ParseError::StartLine)?;
    let (uri, version) = cut(rest, memchr::memrchr(b' ', rest)).ok_or(ParseError::StartLine)?;
    let method = Method::parse(method).ok_or(ParseError::StartLine)?;
    let number = prefix_ignoring_case(version, b"SIP/").ok_or(ParseError::StartLine)?;
    let uri = trim(uri);
    let defect = if number != b"2.0" {
        Some(ParseError::Version)
    } else if uri.is_empty() || uri.contains(&b' ') || str::from_utf8(uri).is_err() {
        Some(ParseError::Uri)
    } else {
        None
    };
    Ok((Start::Request { method, uri: span(line, uri) }, defect))
}

fn status_line(line: &[u8], rest: &[u8]) -> Result<(Start, Option<ParseError>), ParseError> {
    let (version, rest) = cut(rest, memchr::memchr(b' ', rest)).ok_or(ParseError::StartLine)?;
    if version != b"2.0" {
        return Err(ParseError::Version);
    }
    let rest = trim(rest);
    let (code, reason) = rest.split_at_checked(3).ok_or(ParseError::StartLine)?;
    let code = str::from_utf8(code).ok().filter(|c| c.bytes().all(|b| b.is_ascii_digit()));
    let code = code.and_then(|c| c.parse().ok()).filter(|c| (100..700).contains(c));
    if !(reason.is_empty() || reason.starts_with(b" ")) {
        return Err(ParseError::StartLine);
    }
    let reason = span(line, trim(reason));
    Ok((Start::Response { code: code.ok_or(ParseError::StartLine)?, reason }, None))
}

/// Both sides of a byte.
fn cut(text: &[u8], at: Option<usize>) -> Option<(&[u8], &[u8])> {
    at.map(|i| (&text[..i], &text[i + 1..]))
}

fn prefix_ignoring_case<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}
