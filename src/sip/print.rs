//! What we send: [`Draft`] → bytes (RFC 3261 §7, §8.2.6).
//!
//! Owns drafts and their printed form. Control characters never get in, so that no value, whoever
//! wrote it, can start a header of its own. Which headers a message needs is the caller's affair,
//! except for what a response takes over from its request, and Content-Length.

use std::fmt::{self, Display, Write};

use bytes::{BufMut, Bytes, BytesMut};

use super::header::{Name, NameAddr};
use super::message::{Message, Method};

/// A message in the making: start line, headers in order, body.
#[derive(Clone)]
pub struct Draft {
    start: Start,
    /// All values, one behind the other.
    text: Vec<u8>,
    lines: Vec<Line>,
    body: Bytes,
}

#[derive(Clone)]
enum Start {
    Request { method: Method, uri: Span },
    Response { code: u16 },
}

/// A stretch of `text`.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

#[derive(Clone)]
struct Line {
    name: Name,
    value: Span,
}

/// Takes text in and leaves control characters out.
struct Clean<'a>(&'a mut Vec<u8>);

impl Write for Clean<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.bytes().any(is_control) {
            self.0.extend(text.bytes().filter(|b| !is_control(*b)));
        } else {
            self.0.extend_from_slice(text.as_bytes());
        }
        Ok(())
    }
}

fn is_control(b: u8) -> bool {
    (b < b' ' && b != b'\t') || b == 0x7f
}

impl Draft {
    fn new(start: Start) -> Self {
        let text = Vec::with_capacity(1024);
        Self { start, text, lines: Vec::with_capacity(20), body: Bytes::new() }
    }

    /// A request without headers.
    pub fn request(method: &Method, uri: &str) -> Self {
        let mut draft = Self::new(Start::Response { code: 0 });
        let is_wanted = |b: &u8| !is_control(*b) && !b.is_ascii_whitespace();
        draft.text.extend(uri.bytes().filter(is_wanted));
        let uri = Span { start: 0, end: draft.text.len() };
        draft.start = Start::Request { method: method.clone(), uri };
        draft
    }

    /// A response with what it takes over from its request: every Via, From, To, Call-ID, `CSeq`,
    /// Timestamp in a 100, and Record-Route in a 101–299 to INVITE (RFC 3261 §8.2.6, §12.1.1).
    pub fn response(to: &Message, code: u16) -> Self {
        let mut draft = Self::new(Start::Response { code });
        let is_dialog = (101..300).contains(&code) && to.method() == Some(&Method::Invite);
        for name in [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq] {
            draft.copy(to, &name);
        }
        if is_dialog {
            draft.copy(to, &Name::RecordRoute);
        }
        if code == 100 {
            draft.copy(to, &Name::Timestamp);
        }
        draft
    }

    /// A request of ours as it was printed before; `None`: it is none.
    pub(super) fn printed(request: &Message) -> Option<Self> {
        let mut draft = Self::request(request.method()?, request.uri()?);
        for (name, value) in request.lines() {
            let name = Name::parse(name);
            if name != Name::ContentLength {
                draft.push(name, String::from_utf8_lossy(value));
            }
        }
        draft.body = request.bytes.slice(request.body..);
        Some(draft)
    }

    /// Takes all lines of a header over, byte for byte but without CR and LF.
    fn copy(&mut self, from: &Message, name: &Name) {
        for value in from.headers(name) {
            let start = self.text.len();
            if memchr::memchr2(b'\r', b'\n', value).is_some() {
                self.text.extend(value.iter().filter(|b| !matches!(b, b'\r' | b'\n')));
            } else {
                self.text.extend_from_slice(value);
            }
            self.lines.push(Line { name: name.clone(), value: self.since(start) });
        }
    }

    fn since(&self, start: usize) -> Span {
        Span { start, end: self.text.len() }
    }

    fn slice(&self, span: Span) -> &[u8] {
        &self.text[span.start..span.end]
    }

    fn line(&mut self, name: Name, value: impl Display) -> Line {
        let start = self.text.len();
        // Writing into a vector never fails; a `Display` that does leaves what it wrote so far.
        let _written = write!(Clean(&mut self.text), "{value}");
        Line { name, value: self.since(start) }
    }

    /// With one more header at the end.
    #[must_use]
    pub fn with(mut self, name: Name, value: impl Display) -> Self {
        self.push(name, value);
        self
    }

    /// Adds a header at the end.
    pub fn push(&mut self, name: Name, value: impl Display) {
        let line = self.line(name, value);
        self.lines.push(line);
    }

    /// Adds a header in front of all others.
    pub fn push_front(&mut self, name: Name, value: impl Display) {
        let line = self.line(name, value);
        self.lines.insert(0, line);
    }

    /// Puts a value in the place of the first header of that name, or adds the header at the end.
    pub fn replace(&mut self, name: Name, value: impl Display) {
        let line = self.line(name, value);
        match self.lines.iter_mut().find(|l| l.name == line.name) {
            Some(old) => *old = line,
            None => self.lines.push(line),
        }
    }

    /// With `;tag=` added to To when it has none.
    #[must_use]
    pub fn to_tag(mut self, tag: &str) -> Self {
        self.tag(&Name::To, tag);
        self
    }

    /// With `;tag=` added to From when it has none.
    #[must_use]
    pub fn from_tag(mut self, tag: &str) -> Self {
        self.tag(&Name::From, tag);
        self
    }

    fn tag(&mut self, name: &Name, tag: &str) {
        let Some(at) = self.lines.iter().position(|line| line.name == *name) else { return };
        let Span { start, end } = self.lines[at].value;
        let has_tag = NameAddr::parse(&self.text[start..end]).is_ok_and(|a| a.tag().is_some());
        if has_tag {
            return;
        }
        let from = self.text.len();
        self.text.extend_from_within(start..end);
        let _written = write!(Clean(&mut self.text), ";tag={tag}");
        self.lines[at].value = self.since(from);
    }

    /// With that body in place of any other, and its Content-Type.
    #[must_use]
    pub fn set_body(mut self, content_type: &str, body: Bytes) -> Self {
        self.replace(Name::ContentType, content_type);
        self.body = body;
        self
    }

    /// The value of the first header of that name; `None` also when it is not UTF-8.
    pub fn header(&self, name: &Name) -> Option<&str> {
        let line = self.lines.iter().find(|line| line.name == *name)?;
        str::from_utf8(self.slice(line.value)).ok()
    }

    /// The method of a request.
    pub fn method(&self) -> Option<&Method> {
        match &self.start {
            Start::Request { method, .. } => Some(method),
            Start::Response { .. } => None,
        }
    }

    /// The Request-URI of a request.
    pub fn uri(&self) -> Option<&str> {
        match self.start {
            Start::Request { uri, .. } => str::from_utf8(self.slice(uri)).ok(),
            Start::Response { .. } => None,
        }
    }

    /// The status code of a response.
    pub fn code(&self) -> Option<u16> {
        match self.start {
            Start::Request { .. } => None,
            Start::Response { code } => Some(code),
        }
    }

    /// The body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The message as it goes out. Content-Length is always there, once, and right.
    pub fn print(&self) -> Bytes {
        let size = self.text.len() + self.lines.len() * 24 + self.body.len() + 64;
        let mut out = BytesMut::with_capacity(size);
        match &self.start {
            Start::Request { method, uri } => {
                put(&mut out, method.as_str().as_bytes());
                out.put_u8(b' ');
                out.put_slice(self.slice(*uri));
                out.put_slice(b" SIP/2.0\r\n");
            }
            Start::Response { code } => {
                out.put_slice(b"SIP/2.0 ");
                put_number(&mut out, usize::from(*code));
                out.put_u8(b' ');
                out.put_slice(reason_phrase(*code).as_bytes());
                out.put_slice(b"\r\n");
            }
        }
        for line in self.lines.iter().filter(|line| line.name != Name::ContentLength) {
            put(&mut out, line.name.as_str().as_bytes());
            out.put_slice(b": ");
            out.put_slice(self.slice(line.value));
            out.put_slice(b"\r\n");
        }
        out.put_slice(b"Content-Length: ");
        put_number(&mut out, self.body.len());
        out.put_slice(b"\r\n\r\n");
        out.put_slice(&self.body);
        out.freeze()
    }
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("Draft");
        match &self.start {
            Start::Request { method, .. } => f.field("method", method),
            Start::Response { code } => f.field("code", code),
        };
        f.field("headers", &self.lines.len()).field("body", &self.body.len()).finish()
    }
}

/// Puts a name or method: what could end it early is left out.
fn put(out: &mut BytesMut, token: &[u8]) {
    let is_bad = |b: &u8| is_control(*b) || matches!(b, b' ' | b'\t' | b':');
    if token.iter().any(is_bad) {
        out.extend(token.iter().filter(|b| !is_bad(b)));
    } else {
        out.put_slice(token);
    }
}

fn put_number(out: &mut BytesMut, number: usize) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.put_slice(&digits[at..]);
}

/// The default reason phrase of a status code; of an unknown code, that of its class.
fn reason_phrase(code: u16) -> &'static str {
    let find = |code: u16| REASONS.iter().find(|(c, _)| *c == code).map(|(_, text)| *text);
    find(code).or_else(|| find(code / 100 * 100)).unwrap_or("Unknown")
}

static REASONS: &[(u16, &str)] = &[
    (100, "Trying"),
    (180, "Ringing"),
    (181, "Call Is Being Forwarded"),
    (182, "Queued"),
    (183, "Session Progress"),
    (199, "Early Dialog Terminated"),
    (200, "OK"),
    (202, "Accepted"),
    (204, "No Notification"),
    (300, "Multiple Choices"),
    (301, "Moved Permanently"),
    (302, "Moved Temporarily"),
    (305, "Use Proxy"),
    (380, "Alternative Service"),
    (400, "Bad Request"),
    (401, "Unauthorized"),
    (402, "Payment Required"),
    (403, "Forbidden"),
    (404, "Not Found"),
    (405, "Method Not Allowed"),
    (406, "Not Acceptable"),
    (407, "Proxy Authentication Required"),
    (408, "Request Timeout"),
    (410, "Gone"),
    (412, "Conditional Request Failed"),
    (413, "Request Entity Too Large"),
    (414, "Request-URI Too Long"),
    (415, "Unsupported Media Type"),
    (416, "Unsupported URI Scheme"),
    (420, "Bad Extension"),
    (421, "Extension Required"),
    (422, "Session Interval Too Small"),
    (423, "Interval Too Brief"),
    (428, "Use Identity Header"),
    (429, "Provide Referrer Identity"),
    (433, "Anonymity Disallowed"),
    (439, "First Hop Lacks Outbound Support"),
    (469, "Bad Info Package"),
    (480, "Temporarily Unavailable"),
    (481, "Call/Transaction Does Not Exist"),
    (482, "Loop Detected"),
    (483, "Too Many Hops"),
    (484, "Address Incomplete"),
    (485, "Ambiguous"),
    (486, "Busy Here"),
    (487, "Request Terminated"),
    (488, "Not Acceptable Here"),
    (489, "Bad Event"),
    (491, "Request Pending"),
    (493, "Undecipherable"),
    (494, "Security Agreement Required"),
    (500, "Server Internal Error"),
    (501, "Not Implemented"),
    (502, "Bad Gateway"),
    (503, "Service Unavailable"),
    (504, "Server Time-out"),
    (505, "Version Not Supported"),
    (513, "Message Too Large"),
    (580, "Precondition Failure"),
    (600, "Busy Everywhere"),
    (603, "Decline"),
    (604, "Does Not Exist Anywhere"),
    (606, "Not Acceptable"),
    (607, "Unwanted"),
    (608, "Rejected"),
];

#[cfg(test)]
mod tests;
