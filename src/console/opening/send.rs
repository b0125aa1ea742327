//! Telling somebody: a webhook, a mail. Each with a limit and a few tries, off the runtime's
//! threads.
//!
//! Owns the sending, and the words for how it came out: never an address, a password or what the
//! other side said.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{SmtpTransport, Transport as _};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::check::{Told, Words};
use super::message::Message;
use crate::config::{Mail, MailTls, Opening};
use crate::pii::Pii;

/// How long beyond its own limit a try is waited for.
const GRACE: Duration = Duration::from_secs(5);

/// How long a try may take, and the pauses between tries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) limit: Duration,
    pub(super) pauses: &'static [Duration],
}

/// For what matters: three tries.
pub(super) const PATIENT: Patience = Patience {
    limit: Duration::from_secs(10),
    pauses: &[Duration::from_secs(2), Duration::from_secs(8)],
};
/// While somebody waits for the answer: one try.
pub(super) const ONCE: Patience = Patience { limit: Duration::from_secs(10), pauses: &[] };

/// How a try came out: in words.
type Tried = Result<Words, Words>;

/// Tells everybody whom the configuration names.
pub(super) async fn tell(
    config: &Opening,
    message: &Message,
    patience: Patience,
    places: &Arc<Semaphore>,
) -> Vec<Told> {
    let webhook = async {
        let url = config.webhook.clone()?;
        let json = message.json.to_string();
        let once = move || post(&url, &json, patience.limit);
        Some(tries(Words::new("Webhook", "Webhook"), once, patience, places).await)
    };
    let mail = async {
        let (mail, message) = (config.mail.clone()?, message.clone());
        let once = move || send(&mail, &message, patience.limit);
        Some(tries(Words::new("メール", "Mail"), once, patience, places).await)
    };
    let (webhook, mail) = tokio::join!(webhook, mail);
    webhook.into_iter().chain(mail).collect()
}

/// Tries until it works, or often enough.
async fn tries(
    by: Words,
    once: impl Fn() -> Tried + Clone + Send + 'static,
    patience: Patience,
    places: &Arc<Semaphore>,
) -> Told {
    let mut pauses = patience.pauses.iter();
    let mut count = 0;
    loop {
        count += 1;
        let what = match attempt(once.clone(), patience, places).await {
            Ok(what) => return Told { by, done: true, what },
            Err(what) => what,
        };
        let Some(pause) = pauses.next() else {
            let ja = format!("{}({count}回試しました)", what.ja);
            let en = format!("{} ({count} tries)", what.en);
            tracing::warn!("{}: {en}", by.en);
            return Told { by, done: false, what: Words::new(ja, en) };
        };
        sleep(*pause).await;
    }
}

/// One try, on a thread where waiting harms nobody; a thread that hangs keeps its place.
async fn attempt(
    once: impl FnOnce() -> Tried + Send + 'static,
    patience: Patience,
    places: &Arc<Semaphore>,
) -> Tried {
    let Ok(place) = Arc::clone(places).try_acquire_owned() else {
        return Err(Words::new("ほかの送信が終わっていません。", "Others are still being sent."));
    };
    let trying = spawn_blocking(move || {
        let tried = once();
        drop(place);
        tried
    });
    match timeout(patience.limit + GRACE, trying).await {
        Ok(Ok(tried)) => tried,
        Ok(Err(_)) => Err(Words::new("送信中に不具合が起きました。", "Sending broke.")),
        Err(_) => Err(late()),
    }
}

fn late() -> Words {
    Words::new("相手が時間内に応答しませんでした。", "The other side did not answer in time.")
}

fn unreachable() -> Words {
    Words::new(
        "相手につながりません。アドレスと、インターネットへの接続を確かめてください。",
        "The other side can't be reached: check its address, and the way to the internet.",
    )
}

fn unproven() -> Words {
    Words::new(
        "相手との暗号化ができません。証明書と tls の設定を確かめてください。",
        "No encrypted way to the other side: check its certificate, and the key tls.",
    )
}

/// Posts JSON. Redirects are not followed: they could lead to another host.
fn post(url: &Pii, json: &str, limit: Duration) -> Tried {
    let is_here = url.expose().starts_with("http://");
    let mut config = ureq::Agent::config_builder()
        .timeout_global(Some(limit))
        .max_redirects(0)
        .http_status_as_error(false)
        .user_agent("koebashi")
        .tls_config(tls());
    if is_here {
        config = config.proxy(None);
    }
    let request = config.build().new_agent().post(url.expose());
    let answer = match request.content_type("application/json").send(json) {
        Ok(answer) => answer.status().as_u16(),
        Err(ureq::Error::Timeout(_)) => return Err(late()),
        Err(ureq::Error::Tls(_) | ureq::Error::Rustls(_)) => return Err(unproven()),
        Err(_) => return Err(unreachable()),
    };
    match answer {
        200..=299 => Ok(Words::new("届きました。", "Delivered.")),
        300..=399 => Err(Words::new(
            format!(
                "相手が別のアドレスへ回そうとしました({answer})。正しいアドレスを設定してください。"
            ),
            format!("The other side redirects ({answer}): set the address that it means."),
        )),
        _ => Err(Words::new(
            format!("相手が受け取りませんでした({answer})。アドレスを確かめてください。"),
            format!("The other side refuses ({answer}): check the address."),
        )),
    }
}

/// The system's roots.
fn tls() -> TlsConfig {
    let roots = rustls_native_certs::load_native_certs().certs;
    let roots = roots.iter().map(|root| Certificate::from_der(root).to_owned());
    TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(RootCerts::from(roots.collect::<Vec<_>>()))
        .build()
}

/// Sends a mail.
fn send(mail: &Mail, message: &Message, limit: Duration) -> Tried {
    let unfit = |_| Words::new("メールを作れませんでした。", "The mail could not be made.");
    let mut letter = lettre::Message::builder()
        .from(mail.from.clone())
        .subject(&message.subject)
        .header(ContentType::TEXT_PLAIN);
    for to in &mail.to {
        letter = letter.to(to.clone());
    }
    let letter = letter.body(message.body.clone()).map_err(unfit)?;
    let wrapped = || TlsParameters::new(mail.server.clone()).map_err(|_| unproven());
    let tls = match mail.tls {
        MailTls::StartTls => Tls::Required(wrapped()?),
        MailTls::Tls => Tls::Wrapper(wrapped()?),
        MailTls::None => Tls::None,
    };
    let mut transport = SmtpTransport::builder_dangerous(&mail.server)
        .port(mail.port)
        .tls(tls)
        .timeout(Some(limit));
    if let Some((user, password)) = &mail.login {
        let password = password.expose().to_owned();
        transport = transport.credentials(Credentials::new(user.clone(), password));
    }
    match transport.build().send(&letter) {
        Ok(_) => {
            Ok(Words::new("メールサーバーが受け付けました。", "The mail server has taken it."))
        }
        Err(error) => Err(refused(&error)),
    }
}

fn refused(error: &smtp::Error) -> Words {
    let code = error.status().map(|code| format!(" ({code})")).unwrap_or_default();
    if error.is_timeout() || is_late(error) {
        late()
    } else if error.is_tls() {
        unproven()
    } else if error.is_permanent() {
        Words::new(
            format!(
                "メールサーバーが断りました{code}。宛先、差出人、ユーザー名とパスワードを確かめてください。"
            ),
            format!("The mail server refuses{code}: check the addresses, user and password."),
        )
    } else if error.is_transient() {
        Words::new(
            format!("メールサーバーが今は受け付けません{code}。"),
            format!("The mail server does not take it now{code}."),
        )
    } else if error.is_response() || error.is_client() {
        Words::new(
            "メールサーバーとのやりとりができませんでした。tls の設定を確かめてください。",
            "The mail server speaks otherwise: check the key tls.",
        )
    } else {
        unreachable()
    }
}

/// A socket that waits no longer says that it would block.
fn is_late(error: &(dyn std::error::Error + 'static)) -> bool {
    let of_system = error.downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(of_system, Some(io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut))
        || error.source().is_some_and(is_late)
}

#[cfg(test)]
mod tests;
