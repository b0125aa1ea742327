//! Where a phone can be found: its registration, and what becomes of it when the phone dies, forgets
//! it or is switched on again. Its calls are the phone's.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use koebashi::pii::Pii;
use koebashi::sip::endpoint::Endpoint;
use koebashi::sip::registration::{Account, Limits, Pacer, Reason, Registration, State};
use koebashi::sip::{self, Transport};

use super::Phone;

impl Phone {
    /// Begins to register as `user`; not before an earlier registration is taken back for good
    /// (RFC 3261 §10.2).
    pub(crate) fn register(&mut self, now: Instant, user: &str, password: &str) {
        if self.is_leaving && self.registration_state() != Some(State::Stopped) {
            return;
        }
        self.is_leaving = false;
        self.account = Some((user.to_owned(), Pii::new(password)));
        let account = Account {
            registrar: "sip:koebashi.local".to_owned(),
            aor: format!("sip:{user}@koebashi.local"),
            user: user.to_owned(),
            password: Some(Pii::new(password)),
            contact_user: Some(user.to_owned()),
            contact_at: self.sip,
            transport: self.transport,
            expires: Duration::from_secs(3600),
        };
        let registration = Registration::new(now, account, Limits::default(), self.chance.split());
        let flow = self.flow();
        self.registration = Some((registration, Pacer::new(Duration::from_millis(1)), flow));
        self.poll_registration(now);
    }

    /// Takes the registration back.
    pub(crate) fn unregister(&mut self, now: Instant) {
        self.is_leaving = true;
        if let Some((registration, ..)) = &mut self.registration {
            registration.stop(now);
        }
        self.poll_registration(now);
    }

    pub(super) fn poll_registration(&mut self, now: Instant) {
        if let Some((registration, pacer, flow)) = &mut self.registration
            && let Some(draft) = registration.poll(now, pacer)
        {
            let tx = self.endpoint.request(now, *flow, draft);
            self.transactions.push(tx);
        }
    }

    /// Whether the phone believes that it is registered.
    pub(crate) fn is_registered(&self) -> bool {
        let is_registered = matches!(self.registration_state(), Some(State::Registered { .. }));
        is_registered && !self.is_leaving
    }

    fn registration_state(&self) -> Option<State> {
        self.registration.as_ref().map(|(registration, ..)| registration.state())
    }

    /// Why it was turned away though it is known, if it was. What says nothing of the phone itself
    /// does not count: no answer, and errors of the service (500 after a crash: it has the REGISTER
    /// that comes again already).
    pub(crate) fn turned_away(&self) -> Option<Reason> {
        let Some(State::Failed { reason }) = self.registration_state() else { return None };
        match reason {
            Reason::NoAnswer | Reason::Refused(500..) => None,
            Reason::Refused(_)
            | Reason::WrongPassword
            | Reason::NoPassword
            | Reason::UnknownChallenge
            | Reason::TooManyTries
            | Reason::NothingGranted => Some(reason),
        }
    }

    /// Does nothing any more, from one moment to the next.
    pub(crate) fn die(&mut self, now: Instant) {
        self.is_alive = false;
        self.died = Some(now);
    }

    /// Never registers again, though it stays where it is: its binding ends by itself.
    pub(crate) fn forget_registration(&mut self) {
        self.registration = None;
    }

    /// Is switched on again, and knows nothing of what was.
    pub(crate) fn restart(&mut self, now: Instant) {
        self.endpoint = Endpoint::new(Self::config(self.sip), self.chance.split());
        self.dialogs.forget();
        self.calls.clear();
        self.answers.clear();
        self.queued.clear();
        self.transactions.clear();
        (self.registration, self.dialing) = (None, None);
        (self.is_alive, self.died, self.is_leaving) = (true, None, false);
        if let Some((user, password)) = self.account.clone() {
            self.register(now, &user, password.expose());
        }
    }

    pub(super) fn config(sip: SocketAddr) -> sip::Config {
        sip::Config {
            domain: "koebashi.local".to_owned(),
            listen: vec![(Transport::Udp, sip)],
            ..sip::Config::default()
        }
    }
}
