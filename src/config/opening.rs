//! `[opening]`: what is checked before a line opens, when, and who is told.

use std::time::Duration;

use lettre::message::Mailbox;

use super::secrets::{Chosen, password};
use super::service::{DAY, HOUR, s};
use super::sheet::Section;
use super::value::{self, Read};
use super::{Context, Reader};
use crate::complaint::{Fit, Value};
use crate::pii::Pii;

/// Recipients of mails at most.
const RECIPIENTS_MAX: usize = 20;

/// When a line is checked, what is too little, and who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// How long before each opening it is checked; `None`: only when somebody asks.
    pub before: Option<Duration>,
    /// Bytes of the disk that must be free.
    pub disk_min: u64,
    /// How long the certificate must be good for.
    pub certificate_min: Duration,
    /// When somebody is told.
    pub notify: Notify,
    /// An address that gets each result as JSON. Such addresses hold secrets.
    pub webhook: Option<Pii>,
    /// Who gets a mail, and by which server.
    pub mail: Option<Mail>,
}

/// When somebody is told of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// When something is wrong.
    Problems,
    /// Each time.
    Always,
}

/// Mails: from whom, to whom, by which server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The server's name or address.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// How the way there is protected.
    pub tls: MailTls,
    /// The sender.
    pub from: Mailbox,
    /// Who gets it.
    pub to: Vec<Mailbox>,
    /// With which name and password; `None`: the server asks for none.
    pub login: Option<(String, Pii)>,
}

/// How the way to the mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTls {
    /// STARTTLS, which the server must offer.
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// Not at all.
    None,
}

/// Reads the section.
pub(super) fn opening(root: &Section<'_>, context: &Context<'_>) -> Option<Opening> {
    let section = root.section("opening");
    let before = section.duration_or_off("before", "15m", s(60)..=6 * HOUR);
    let disk_mb = section.number("disk_min_mb", 1_000_u64, 1..=1_000_000_000);
    let certificate_min = section.duration("certificate_min", "14d", DAY..=365 * DAY);
    let choices = [("problems", Notify::Problems), ("always", Notify::Always)];
    let notify = section.choice("notify", "problems", &choices);
    let webhook = section.secret("webhook").filter(|url| !url.expose().is_empty());
    if let Some(what) = webhook.as_ref().and_then(|url| wrong_url(url.expose())) {
        section.error("webhook", what);
    }
    let mail = mail(&section.section("mail"), context);
    section.done();
    Some(Opening {
        before: before?,
        disk_min: disk_mb * 1_000_000,
        certificate_min: certificate_min?,
        notify: notify?,
        webhook,
        mail,
    })
}

/// What is wrong with the address of a webhook. The address itself is not said: it holds secrets.
fn wrong_url(url: &str) -> Option<Value> {
    let plain = url.strip_prefix("http://");
    let rest = url.strip_prefix("https://").or(plain).unwrap_or_default();
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if name.is_empty() || url.chars().any(char::is_whitespace) || host.contains('@') {
        return Some(Value::NoWebAddress);
    }
    let is_here = ["127.0.0.1", "localhost", "[::1]"].contains(&name);
    (plain.is_some() && !is_here).then_some(Value::PlainWebAddress)
}

/// `[opening.mail]`; `None`: it is not there, or was complained about.
fn mail(section: &Section<'_>, context: &Context<'_>) -> Option<Mail> {
    let ways = [("starttls", MailTls::StartTls), ("tls", MailTls::Tls), ("none", MailTls::None)];
    let tls = section.choice("tls", "starttls", &ways);
    let port = section.number("port", 587_u16, 1..=65_535);
    let to = section.list("to", &[], mailbox);
    let user = section.optional("user", |text| Ok(text.to_owned()));
    let password = password(section, context, Chosen::ByCarrier);
    let is_written = ["server", "from", "to", "user"].iter().any(|key| section.has(key));
    let (server, from) = match is_written {
        true => (section.required("server", value::host), section.required("from", mailbox)),
        false => (section.optional("server", value::host), section.optional("from", mailbox)),
    };
    section.done();
    if !is_written {
        return None;
    }
    let (tls, to) = (tls?, to?);
    if to.is_empty() || to.len() > RECIPIENTS_MAX {
        section.error("to", Value::Recipients(to.len(), RECIPIENTS_MAX));
    }
    let login = match (user, password) {
        (Some(user), Some(password)) => Some((user, password)),
        (None, None) => None,
        // The file is there and can't be read: somebody who waits for more is told so, not stopped.
        (Some(_), None) if section.has("password_file") && context.reader == Reader::Awaited => {
            None
        }
        (Some(_), None) => {
            section.error("user", Fit::MailPasswordMissing);
            None
        }
        (None, Some(_)) => {
            section.error("password_file", Fit::MailUserMissing);
            None
        }
    };
    if tls == MailTls::None && login.is_some() && !context.is_loopback {
        section.warn("tls", Fit::MailInClear);
    }
    Some(Mail { server: server?, port, tls, from: from?, to, login })
}

fn mailbox(text: &str) -> Read<Mailbox> {
    let parsed = text.parse::<Mailbox>();
    parsed.map_err(|_| Value::NoMailAddress(text.to_owned()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhooks_go_over_tls_or_nowhere() {
        for good in ["https://hooks.example.jp/x?y=z", "http://127.0.0.1:99/", "http://[::1]:9/a"] {
            assert_eq!(wrong_url(good), None, "{good}");
        }
        for bad in [
            "http://hooks.example.jp/",
            "ftp://a.example",
            "https://",
            "hooks",
            "https://user:secret@a.example/",
            "https://a b/",
            "http://127.0.0.1.evil.example/",
        ] {
            assert!(wrong_url(bad).is_some(), "{bad}");
        }
    }
}
