//! Our own registration at a carrier (RFC 3261 §10.2; Path RFC 3327, Service-Route RFC 3608,
//! P-Associated-URI RFC 7315 §4.1).
//!
//! Owns when to send which REGISTER and what its answer means. Does not send (the caller does, by
//! `Endpoint::request`, to the carrier and nobody else: the credential in the draft is the
//! carrier's), and does not resolve names.
//!
//! ```text
//!          poll                    2xx
//!   Due ─────────► Asking ───────────────► Due (to refresh)
//!    ▲                │ 401, 407, 423: at once, else after a pause
//!    └────────────────┘
//!   stop: Due or Asking ─► Leaving (Expires: 0) ─► Left
//! ```

mod outcome;
mod pacer;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Transport;
use super::auth::{Asked, Challenge, answer};
use super::header::Name;
use super::message::{Message, Method};
use super::print::Draft;
use super::transaction::{Place, is_sips};
use crate::chance::Chance;
use crate::pii::Pii;
use outcome::Outcome;
pub use pacer::Pacer;

/// Characters of a Call-ID, a From tag and a Contact's user of our own making.
const TOKEN_LEN: usize = 20;

/// What one registration is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Request-URI: the carrier's registrar.
    pub registrar: String,
    /// Address-of-record: To and From.
    pub aor: String,
    /// Name for the digest.
    pub user: String,
    /// Password for the digest; `None`: the carrier knows the line.
    pub password: Option<Pii>,
    /// User part of our Contact; `None`: random, and the same for the life of the registration.
    pub contact_user: Option<String>,
    /// Where the carrier reaches us: host and port of our Contact.
    pub contact_at: SocketAddr,
    /// How the carrier reaches us.
    pub transport: Transport,
    /// Expiry that we ask for.
    pub expires: Duration,
}

/// Times and limits of one registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Refresh after this many percent of what was granted.
    pub refresh_percent: u32,
    /// Pause before the first retry; doubles each time.
    pub retry: Duration,
    /// Longest pause before a retry.
    pub retry_max: Duration,
    /// Pause after a refusal that a retry won't change (403, 404, wrong password, …).
    pub refused: Duration,
    /// Percent of every pause that chance may add, so that retries spread.
    pub jitter_percent: u32,
    /// Shortest pause before a refresh, however little was granted.
    pub refresh_min: Duration,
    /// Longest expiry that a carrier may ask for by 423.
    pub expires_max: Duration,
    /// REGISTERs in a row that may be answered by 401, 407 or 423.
    pub tries: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            refresh_percent: 50,
            retry: Duration::from_secs(4),
            retry_max: Duration::from_secs(300),
            refused: Duration::from_secs(600),
            jitter_percent: 25,
            refresh_min: Duration::from_secs(5),
            expires_max: Duration::from_secs(86_400),
            tries: 4,
        }
    }
}

/// What the carrier thinks of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No answer yet.
    Registering,
    /// Calls come to us.
    Registered {
        /// Unless refreshed.
        until: Instant,
    },
    /// Calls don't come to us. It is tried again.
    Failed {
        /// Why.
        reason: Reason,
    },
    /// Taken back by us.
    Stopped,
}

/// Why a registration failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No answer in time, or the transport failed.
    NoAnswer,
    /// The carrier's final code.
    Refused(u16),
    /// Our password is wrong.
    WrongPassword,
    /// A password is asked for and there is none.
    NoPassword,
    /// The challenge is none that we can answer.
    UnknownChallenge,
    /// The carrier challenged, or asked for a longer expiry, again and again.
    TooManyTries,
    /// The carrier granted nothing.
    NothingGranted,
}

/// What we wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The moment of the next REGISTER.
    Due(Instant),
    /// Its answer.
    Asking,
    /// The moment, then the answer, of the last REGISTER, which takes the others back.
    Leaving(Option<Instant>),
    /// Nothing.
    Left,
}

/// A challenge that the carrier gave, and how often it has been answered.
struct Answerable {
    challenge: Challenge,
    header: Name,
    count: u32,
}

/// One registration at a carrier.
pub struct Registration {
    account: Account,
    limits: Limits,
    chance: Chance,
    state: State,
    phase: Phase,
    call_id: String,
    from_tag: String,
    contact_user: String,
    cseq: u32,
    /// Expiry that we ask for: the account's, or more after 423.
    expires: Duration,
    auth: Option<Answerable>,
    /// REGISTERs since the last round began.
    tries: u32,
    /// Rounds that failed since one succeeded.
    failures: u32,
    /// Path then Service-Route of the last 2xx, and P-Associated-URI.
    route: Vec<String>,
    associated: Vec<String>,
}

impl Registration {
    /// A registration whose first REGISTER is due at once.
    pub fn new(now: Instant, account: Account, limits: Limits, mut chance: Chance) -> Self {
        let contact_user = account.contact_user.clone();
        Self {
            call_id: chance.token(TOKEN_LEN),
            from_tag: chance.token(TOKEN_LEN),
            contact_user: contact_user.unwrap_or_else(|| chance.token(TOKEN_LEN)),
            expires: account.expires.max(limits.refresh_min),
            account,
            limits,
            chance,
            state: State::Registering,
            phase: Phase::Due(now),
            cseq: 0,
            auth: None,
            tries: 0,
            failures: 0,
            route: Vec::new(),
            associated: Vec::new(),
        }
    }

    /// What the carrier thinks of us. Names no number.
    pub fn state(&self) -> State {
        self.state
    }

    /// User part of our Contact: INVITEs for us come with it in their Request-URI.
    pub fn contact_user(&self) -> &str {
        &self.contact_user
    }

    /// Route for requests to the carrier: Path, then Service-Route, of the last 2xx.
    pub fn route(&self) -> &[String] {
        &self.route
    }

    /// Our numbers as the carrier knows them (`P-Associated-URI`): name-addrs.
    pub fn associated(&self) -> &[String] {
        &self.associated
    }

    /// When [`Self::poll`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let sending = match self.phase {
            Phase::Due(at) => Some(at),
            Phase::Leaving(at) => at,
            Phase::Asking | Phase::Left => None,
        };
        match self.state {
            State::Registered { until } => Some(sending.map_or(until, |at| at.min(until))),
            State::Registering | State::Failed { .. } | State::Stopped => sending,
        }
    }

    /// The REGISTER that is due, if any and if the pace allows it. Its outcome goes to
    /// [`Self::on_response`].
    pub fn poll(&mut self, now: Instant, pacer: &mut Pacer) -> Option<Draft> {
        if matches!(self.state, State::Registered { until } if until <= now) {
            self.state = State::Failed { reason: Reason::NoAnswer };
        }
        let (due, expires) = match self.phase {
            Phase::Due(at) => (at <= now, self.expires),
            Phase::Leaving(Some(at)) => (at <= now, Duration::ZERO),
            Phase::Asking | Phase::Leaving(None) | Phase::Left => return None,
        };
        if !due {
            return None;
        }
        match (pacer.take(now), self.phase) {
            (Err(later), Phase::Leaving(_)) => {
                self.phase = Phase::Leaving(Some(later));
                return None;
            }
            (Err(later), _) => {
                self.phase = Phase::Due(later);
                return None;
            }
            (Ok(()), Phase::Leaving(_)) => self.phase = Phase::Leaving(None),
            (Ok(()), _) => self.phase = Phase::Asking,
        }
        Some(self.draft(expires))
    }

    /// What became of the REGISTER: the final response, or `None` after time-out or transport
    /// failure. Answers to an earlier REGISTER than the last are ignored.
    pub fn on_response(&mut self, now: Instant, response: Option<&Message>) {
        if response.is_some_and(|r| r.cseq().map(|c| c.seq) != Ok(self.cseq)) {
            return;
        }
        let read = |r| Outcome::read(r, &self.contact_user, self.expires);
        let outcome = response.map_or(Outcome::NoAnswer, read);
        match self.phase {
            Phase::Asking => self.conclude(now, outcome),
            Phase::Leaving(None) => self.left(now, outcome),
            Phase::Due(_) | Phase::Leaving(Some(_)) | Phase::Left => {}
        }
    }

    /// Registers again at once: the connection to the carrier is lost, or our address has changed.
    pub fn renew(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Due(_)) {
            self.phase = Phase::Due(now);
        }
    }

    /// Takes the registration back. Done when [`Self::state`] is [`State::Stopped`].
    pub fn stop(&mut self, now: Instant) {
        self.phase = match (self.phase, self.state) {
            (Phase::Leaving(_) | Phase::Left, _) => return,
            // The answer may have been lost and not the request, thus also then.
            (Phase::Asking, _) | (Phase::Due(_), State::Registered { .. }) => {
                Phase::Leaving(Some(now))
            }
            (Phase::Due(_), State::Registering | State::Failed { .. } | State::Stopped) => {
                Phase::Left
            }
        };
        self.tries = 0;
        if self.phase == Phase::Left {
            self.state = State::Stopped;
        }
    }

    fn draft(&mut self, expires: Duration) -> Draft {
        self.cseq += 1;
        self.tries += 1;
        let Account { registrar, aor, contact_at, .. } = &self.account;
        let place = Place::at(*contact_at, self.account.transport);
        let contact = place.contact(&self.contact_user, is_sips(registrar));
        let draft = Draft::request(&Method::Register, registrar)
            .with(Name::From, format!("<{aor}>;tag={}", self.from_tag))
            .with(Name::To, format!("<{aor}>"))
            .with(Name::CallId, &self.call_id)
            .with(Name::CSeq, format!("{} REGISTER", self.cseq))
            .with(Name::Contact, contact)
            .with(Name::Expires, expires.as_secs())
            .with(Name::Supported, "path");
        match (&mut self.auth, &self.account.password) {
            (Some(auth), Some(password)) => {
                auth.count += 1;
                let asked = Asked {
                    method: "REGISTER",
                    uri: registrar,
                    user: &self.account.user,
                    password,
                    count: auth.count,
                };
                let value = answer(&auth.challenge, &asked, &mut self.chance);
                draft.with(auth.header.clone(), value)
            }
            _ => draft,
        }
    }

    fn conclude(&mut self, now: Instant, outcome: Outcome) {
        match outcome {
            Outcome::Granted { expires, route, associated } => {
                (self.route, self.associated) = (route, associated);
                (self.tries, self.failures) = (0, 0);
                let refresh = expires * self.limits.refresh_percent / 100;
                self.state = State::Registered { until: now + expires };
                self.phase = Phase::Due(now + refresh.max(self.limits.refresh_min));
            }
            Outcome::Challenged { challenge, header } => {
                match self.take_challenge(challenge, header) {
                    Ok(()) => self.phase = Phase::Due(now),
                    Err(reason) => self.failed(now, reason, self.limits.refused),
                }
            }
            Outcome::TooBrief { min: Some(min), .. }
                if min > self.expires
                    && min <= self.limits.expires_max
                    && self.tries < self.limits.tries =>
            {
                self.expires = min;
                self.phase = Phase::Due(now);
            }
            Outcome::TooBrief { .. } => {
                self.failed(now, Reason::Refused(423), self.limits.refused);
            }
            Outcome::NothingGranted => {
                self.failed(now, Reason::NothingGranted, self.limits.refused);
            }
            Outcome::Refused(code) => {
                self.failed(now, Reason::Refused(code), self.limits.refused);
            }
            Outcome::Unavailable { code, retry_after } => {
                let pause = retry_after.unwrap_or_default().max(self.pause());
                self.failed(now, Reason::Refused(code), pause.min(self.limits.refused));
            }
            Outcome::NoAnswer => self.failed(now, Reason::NoAnswer, self.pause()),
        }
    }

    /// Takes a challenge to be answered. Whoever refuses our first answer to a nonce and does not
    /// say that the nonce was stale, refuses our password.
    fn take_challenge(&mut self, challenge: Option<Challenge>, header: Name) -> Result<(), Reason> {
        let last = self.auth.take();
        let challenge = challenge.ok_or(Reason::UnknownChallenge)?;
        if self.account.password.is_none() {
            return Err(Reason::NoPassword);
        }
        let is_refused = last.is_some_and(|last| {
            let is_other = last.challenge.nonce != challenge.nonce;
            last.count == 1 && !(challenge.stale && is_other)
        });
        if is_refused {
            return Err(Reason::WrongPassword);
        }
        if self.tries >= self.limits.tries {
            return Err(Reason::TooManyTries);
        }
        self.auth = Some(Answerable { challenge, header, count: 0 });
        Ok(())
    }

    /// What an earlier 2xx granted stays until it ends by itself, unless the carrier refuses us.
    fn failed(&mut self, now: Instant, reason: Reason, pause: Duration) {
        self.failures = self.failures.saturating_add(1);
        self.tries = 0;
        let more = self.chance.below(u64::from(self.limits.jitter_percent) + 1);
        let percent = u32::try_from(more).unwrap_or(0).saturating_add(100);
        self.phase = Phase::Due(now + pause * percent / 100);
        let is_kept = match (self.state, reason) {
            (State::Registered { until }, Reason::NoAnswer) => until > now,
            (State::Registered { until }, Reason::Refused(code)) => until > now && code >= 500,
            _ => false,
        };
        if !is_kept {
            self.state = State::Failed { reason };
        }
    }

    /// The pause that follows one more failure: doubled each time.
    fn pause(&self) -> Duration {
        let doubled = self.limits.retry.saturating_mul(1 << self.failures.min(16));
        doubled.min(self.limits.retry_max)
    }

    /// The answer to the last REGISTER: a challenge is answered, everything else ends it.
    fn left(&mut self, now: Instant, outcome: Outcome) {
        if let Outcome::Challenged { challenge, header } = outcome
            && self.take_challenge(challenge, header).is_ok()
        {
            self.phase = Phase::Leaving(Some(now));
            return;
        }
        (self.phase, self.state) = (Phase::Left, State::Stopped);
    }
}

#[cfg(test)]
mod tests;
