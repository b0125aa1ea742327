//! SIP messages as received (RFC 3261 §7): one buffer, and where in it everything stands.
//!
//! Owns the message, reading its values on demand, and the judgment whether it has what every
//! message must have (§8.1.1, §8.2.1, §16.3). Taking bytes apart is `parse`'s; what one value means
//! is `header`'s; what we send is `print`'s.

use std::fmt;

use bytes::Bytes;

use super::fault::{Fault, ParseError};
use super::header::{
    CSeq, Contact, Name, NameAddr, Place, RAck, SessionExpires, Tag, Via, elements, trim,
};
pub use super::method::Method;
use super::uri::{Params, Uri};

/// Parts of a multipart body that are looked at.
const PARTS_MAX: usize = 16;

/// A stretch of the buffer.
#[derive(Clone, Copy, Default)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// One header line.
#[derive(Clone, Copy)]
pub(crate) struct Line {
    pub(crate) tag: Tag,
    pub(crate) name: Span,
    pub(crate) value: Span,
}

/// The first line.
#[derive(Clone)]
pub(crate) enum Start {
    Request { method: Method, uri: Span },
    Response { code: u16, reason: Span },
}

/// A received message. Cheap to clone: the bytes are shared. `Debug` shows no contents.
#[derive(Clone)]
pub struct Message {
    /// The whole message, folded lines joined by spaces, cut at the end of the body.
    pub(crate) bytes: Bytes,
    pub(crate) start: Start,
    pub(crate) lines: Vec<Line>,
    /// Where the body starts.
    pub(crate) body: usize,
    /// The first thing that is wrong with the form.
    pub(crate) defect: Option<ParseError>,
}

impl Message {
    fn slice(&self, span: Span) -> &[u8] {
        &self.bytes[span.start as usize..span.end as usize]
    }

    fn str(&self, span: Span) -> &str {
        str::from_utf8(self.slice(span)).unwrap_or_default()
    }

    /// Request, not response.
    pub fn is_request(&self) -> bool {
        matches!(self.start, Start::Request { .. })
    }

    /// The method of a request.
    pub fn method(&self) -> Option<&Method> {
        match &self.start {
            Start::Request { method, .. } => Some(method),
            Start::Response { .. } => None,
        }
    }

    /// The status code of a response, 100–699.
    pub fn code(&self) -> Option<u16> {
        match self.start {
            Start::Request { .. } => None,
            Start::Response { code, .. } => Some(code),
        }
    }

    /// The Request-URI of a request, as written.
    pub fn uri(&self) -> Option<&str> {
        match self.start {
            Start::Request { uri, .. } => Some(self.str(uri)),
            Start::Response { .. } => None,
        }
    }

    /// The reason phrase of a response; empty when it has none or is not UTF-8.
    pub fn reason(&self) -> Option<&str> {
        match self.start {
            Start::Request { .. } => None,
            Start::Response { reason, .. } => Some(self.str(reason)),
        }
    }

    /// The values of all lines of that name in order, each unfolded and trimmed.
    pub fn headers<'a>(&'a self, name: &Name) -> impl Iterator<Item = &'a [u8]> {
        let tag = name.tag();
        let is_same = move |line: &Line| {
            line.tag == tag
                && (tag != Tag::OTHER
                    || self.slice(line.name).eq_ignore_ascii_case(name.as_str().as_bytes()))
        };
        self.lines.iter().filter(move |line| is_same(line)).map(|line| self.slice(line.value))
    }

    /// All header lines in order: name as written, and value.
    pub fn lines(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines.iter().map(|line| (self.slice(line.name), self.slice(line.value)))
    }

    /// The value of the first line of that name.
    pub fn header(&self, name: &Name) -> Option<&[u8]> {
        self.headers(name).next()
    }

    /// The same as text; `None` also when it is not UTF-8.
    pub fn text(&self, name: &Name) -> Option<&str> {
        str::from_utf8(self.header(name)?).ok()
    }

    /// The elements of a comma-separated header over all its lines; quotes and angle brackets
    /// protect commas. Empty elements and those that are not UTF-8 are left out.
    pub fn list<'a>(&'a self, name: &Name) -> impl Iterator<Item = &'a str> {
        self.headers(name).flat_map(elements).filter_map(|item| str::from_utf8(item).ok())
    }

    /// Whether the list has that token, in any case of letters.
    pub fn has_token(&self, name: &Name, token: &str) -> bool {
        self.list(name).any(|item| item.eq_ignore_ascii_case(token))
    }

    /// Call-ID.
    ///
    /// # Errors
    /// [`ParseError::Missing`], or [`ParseError::Value`] when it is empty or not UTF-8.
    pub fn call_id(&self) -> Result<&str, ParseError> {
        let value = self.header(&Name::CallId).ok_or(ParseError::Missing("Call-ID"))?;
        let text = str::from_utf8(value).ok().filter(|text| !text.is_empty());
        text.ok_or(ParseError::Value("Call-ID"))
    }

    /// `CSeq`.
    ///
    /// # Errors
    /// [`ParseError::Missing`], or [`ParseError::Value`] for anything but a number below 2³¹ and a
    /// method.
    pub fn cseq(&self) -> Result<CSeq, ParseError> {
        CSeq::parse(self.header(&Name::CSeq).ok_or(ParseError::Missing("CSeq"))?)
    }

    /// From.
    ///
    /// # Errors
    /// [`ParseError::Missing`] or [`ParseError::Value`].
    pub fn from(&self) -> Result<NameAddr<'_>, ParseError> {
        self.address(&Name::From, "From")
    }

    /// To.
    ///
    /// # Errors
    /// [`ParseError::Missing`] or [`ParseError::Value`].
    pub fn to(&self) -> Result<NameAddr<'_>, ParseError> {
        self.address(&Name::To, "To")
    }

    fn address(&self, name: &Name, label: &'static str) -> Result<NameAddr<'_>, ParseError> {
        let value = self.header(name).ok_or(ParseError::Missing(label))?;
        NameAddr::parse(value).map_err(|_| ParseError::Value(label))
    }

    /// The topmost Via.
    ///
    /// # Errors
    /// [`ParseError::Missing`] or [`ParseError::Value`].
    pub fn via(&self) -> Result<Via<'_>, ParseError> {
        let value = self.header(&Name::Via).ok_or(ParseError::Missing("Via"))?;
        let first = elements(value).next().and_then(|item| str::from_utf8(item).ok());
        Via::parse(first.ok_or(ParseError::Value("Via"))?)
    }

    /// The elements of Contact over all its lines.
    pub fn contacts(&self) -> impl Iterator<Item = Result<Contact<'_>, ParseError>> {
        self.headers(&Name::Contact).flat_map(elements).map(|item| match item {
            b"*" => Ok(Contact::Star),
            item => {
                NameAddr::parse(item).map(Contact::Addr).map_err(|_| ParseError::Value("Contact"))
            }
        })
    }

    /// The number that a header starts with: Expires, Max-Forwards, RSeq, Min-SE, Retry-After.
    /// Beyond 32 bits it reads as [`u32::MAX`].
    pub fn number(&self, name: &Name) -> Option<u32> {
        let value = self.header(name)?;
        let end = value.iter().position(|b| !b.is_ascii_digit()).unwrap_or(value.len());
        let ends_well = matches!(value.get(end), None | Some(b' ' | b'\t' | b';' | b'('));
        let digits = str::from_utf8(&value[..end]).ok().filter(|d| ends_well && !d.is_empty())?;
        Some(digits.parse().unwrap_or(u32::MAX))
    }

    /// Session-Expires (RFC 4028).
    pub fn session_expires(&self) -> Option<Result<SessionExpires, ParseError>> {
        self.header(&Name::SessionExpires).map(|value| {
            let text = str::from_utf8(value).map_err(|_| ParseError::Value("Session-Expires"))?;
            SessionExpires::parse(text)
        })
    }

    /// `RAck` (RFC 3262).
    pub fn rack(&self) -> Option<Result<RAck, ParseError>> {
        self.header(&Name::RAck).map(RAck::parse)
    }

    /// The body, as long as Content-Length says.
    pub fn body(&self) -> &[u8] {
        &self.bytes[self.body..]
    }

    /// Length of the whole message in bytes.
    pub fn length(&self) -> usize {
        self.bytes.len()
    }

    /// The media type, without its parameters.
    pub fn content_type(&self) -> Option<&str> {
        self.text(&Name::ContentType).map(media_type)
    }

    /// The session description: the body when it is `application/sdp`, or the first such part of a
    /// `multipart` body. `None` when that is empty or there is none.
    pub fn sdp(&self) -> Option<Bytes> {
        let text = self.text(&Name::ContentType)?;
        let kind = media_type(text);
        let part = if kind.eq_ignore_ascii_case("application/sdp") {
            self.body()
        } else if kind.get(..10).is_some_and(|k| k.eq_ignore_ascii_case("multipart/")) {
            let boundary = Params::new(&text[kind.len()..]).value("boundary")?;
            parts(self.body(), boundary).find_map(sdp_part)?
        } else {
            return None;
        };
        (!part.is_empty()).then(|| self.bytes.slice_ref(part))
    }

    /// Whether this is a message that may be acted on: well formed, with every mandatory header,
    /// once, and readable. Max-Forwards 0, unknown methods, schemes and extensions are the user
    /// agent's to judge.
    ///
    /// # Errors
    /// The first fault and the code that answers it: 400, 505 or 513. A response with a fault is to
    /// be dropped.
    pub fn validate(&self) -> Result<(), Fault> {
        self.check().map_err(Fault::from)
    }

    fn check(&self) -> Result<(), ParseError> {
        if let Some(defect) = self.defect {
            return Err(defect);
        }
        let mut seen = 0u64;
        for line in &self.lines {
            let bit = line.tag.bit() & SINGLE;
            if seen & bit != 0 {
                return Err(ParseError::Duplicate(line.tag.label()));
            }
            seen |= bit;
        }
        self.via()?;
        self.from()?;
        self.to()?;
        self.call_id()?;
        let cseq = self.cseq()?;
        let Start::Request { method, uri } = &self.start else { return Ok(()) };
        if cseq.method != *method {
            return Err(ParseError::MethodMismatch);
        }
        Uri::parse(self.str(*uri))?;
        let hops = self.header(&Name::MaxForwards).map(|_| self.number(&Name::MaxForwards));
        if hops.is_some_and(|hops| !matches!(hops, Some(0..=255))) {
            return Err(ParseError::Value("Max-Forwards"));
        }
        for via in self.headers(&Name::Via).flat_map(elements).skip(1) {
            Via::parse(str::from_utf8(via).map_err(|_| ParseError::Value("Via"))?)?;
        }
        self.contacts().try_for_each(|contact| contact.map(|_| ()))
    }
}

/// Headers that may be there only once, a bit for each.
const SINGLE: u64 = Place::bits(&[
    Place::From,
    Place::To,
    Place::CallId,
    Place::CSeq,
    Place::MaxForwards,
    Place::ContentType,
    Place::Expires,
    Place::SessionExpires,
    Place::MinSe,
    Place::RSeq,
    Place::RAck,
    Place::ReferTo,
    Place::Replaces,
    Place::Event,
]);

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("Message");
        match &self.start {
            Start::Request { method, .. } => f.field("method", method),
            Start::Response { code, .. } => f.field("code", code),
        };
        f.field("length", &self.bytes.len()).finish()
    }
}

/// A media type without its parameters.
fn media_type(text: &str) -> &str {
    text[..text.find(';').unwrap_or(text.len())].trim()
}

/// The parts of a multipart body (RFC 2046 §5.1.1), headers included, without their boundaries.
fn parts<'a>(body: &'a [u8], boundary: &str) -> impl Iterator<Item = &'a [u8]> {
    let mark = format!("--{boundary}");
    let find = move |from: &[u8]| {
        let mut marks = memchr::memmem::find_iter(from, mark.as_bytes());
        marks.find(|at| *at == 0 || from[at - 1] == b'\n').map(|at| (at, at + mark.len()))
    };
    let is_usable = !boundary.is_empty() && boundary.len() <= 70;
    let mut rest = if is_usable { find(body).map(|(_, end)| &body[end..]) } else { None };
    let next = std::iter::from_fn(move || {
        let from = rest?;
        let (end, after) = find(from)?;
        rest = Some(&from[after..]);
        let part = &from[..end];
        let part = part.strip_suffix(b"\n").unwrap_or(part);
        let part = part.strip_suffix(b"\r").unwrap_or(part);
        Some(&part[memchr::memchr(b'\n', part).map_or(part.len(), |i| i + 1)..])
    });
    next.take(PARTS_MAX)
}

/// The content of a part that is a session description.
fn sdp_part(part: &[u8]) -> Option<&[u8]> {
    let end = memchr::memmem::find(part, b"\r\n\r\n")?;
    let mut lines = part[..end].split(|b| *b == b'\n');
    let is_sdp = lines.any(|line| {
        let Some(colon) = memchr::memchr(b':', line) else { return false };
        let value = str::from_utf8(line[colon + 1..].trim_ascii()).unwrap_or_default();
        Tag::of(trim(&line[..colon])) == Name::ContentType.tag()
            && media_type(value).eq_ignore_ascii_case("application/sdp")
    });
    is_sdp.then(|| &part[end + 4..])
}

#[cfg(test)]
mod tests;
