//! What all pages share: the running service, the configuration in force, who is signed in.
//!
//! Owns [`Desk`]. Everything behind a lock is small and held for moments; nothing here holds the
//! service up.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::spawn_blocking;

use super::book::Book;
use super::opening::Opening;
use super::sign_in::Person;
use super::sign_in::guesses::Guesses;
use super::sign_in::sessions::{self, Sessions};
use super::studio::Studio;
use crate::chance::Chance;
use crate::config::Console;
use crate::config::ready::Ready;
use crate::shell::clock;
use crate::shell::handle::Handle;
use crate::store::accounts::{self, Account, Role, Session};
use crate::store::{self, Reader, Store, audit};

/// The file in the folder of state by which commands on this machine prove that they may ask.
const TOKEN_FILE: &str = "console.token";
/// Messages that wait for the next page of somebody; one more takes the place of another.
const NOTICES_MAX: usize = 1_000;
/// Passwords that are judged at once: each takes 19 MiB and tens of milliseconds.
const HASHERS: usize = 1;

/// What a console is made of.
pub struct Setup {
    /// The running service.
    pub handle: Handle,
    /// Limits.
    pub limits: Console,
    /// The configuration that is in force.
    pub current: watch::Receiver<Arc<Ready>>,
    /// For tokens and salts.
    pub chance: Chance,
    /// The configuration's file.
    pub path: PathBuf,
}

/// Why there is no console.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file for commands can't be written.
    #[error("{path}: {source}")]
    Token {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The accounts can't be read.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// What all pages share.
pub struct Desk {
    /// The running service.
    pub(super) handle: Handle,
    /// Limits.
    pub(super) limits: Console,
    /// What the pages about prompts keep in memory.
    pub(super) studio: Studio,
    /// The configuration's file.
    pub(super) book: Book,
    current: watch::Receiver<Arc<Ready>>,
    sessions: Mutex<Sessions>,
    guesses: Mutex<Guesses>,
    chance: Mutex<Chance>,
    notices: Mutex<BTreeMap<String, Notice>>,
    /// By which the first account is made, while there is none.
    setup: Mutex<Option<String>>,
    token: String,
    hashing: Arc<Semaphore>,
    /// How often an account was changed or removed.
    account_changes: AtomicU64,
    opening: Arc<Opening>,
}

/// What the next page says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    /// Whether it is about something that went wrong.
    pub(super) is_bad: bool,
    /// In words.
    pub(super) text: String,
}

impl Desk {
    /// Reads who is signed in, and writes the file by which commands on this machine are known.
    ///
    /// # Errors
    /// When the database or the folder of state refuses.
    pub async fn open(setup: Setup) -> Result<Arc<Self>, Error> {
        let Setup { handle, limits, current, mut chance, path } = setup;
        let now = clock::now().wall;
        let store = handle.store();
        let signed_in = store.run(move |conn| accounts::sessions(conn, now)).await?;
        let known = store.run(accounts::all).await?;
        let has_operator =
            known.iter().any(|it| it.role == Role::Operator && it.password.is_some());
        let token = chance.token(32);
        let folder = store.path().parent().unwrap_or_else(|| Path::new(""));
        let file = folder.join(TOKEN_FILE);
        write(&file, &token).map_err(|source| Error::Token { path: file, source })?;
        let opening = Opening::open(handle.clone(), current.clone(), chance.split()).await?;
        Ok(Arc::new(Self {
            opening,
            setup: Mutex::new((!has_operator).then(|| chance.token(24))),
            sessions: Mutex::new(Sessions::new(signed_in)),
            chance: Mutex::new(chance),
            guesses: Mutex::default(),
            notices: Mutex::default(),
            hashing: Arc::new(Semaphore::new(HASHERS)),
            account_changes: AtomicU64::new(0),
            studio: Studio::default(),
            handle,
            limits,
            book: Book::new(path),
            current,
            token,
        }))
    }

    /// The path by which the first operator's account is made; `None`: there is one already.
    pub fn setup_path(&self) -> Option<String> {
        lock(&self.setup).as_ref().map(|token| format!("/setup/{token}"))
    }

    /// Whether this is the token of [`Desk::setup_path`].
    pub(super) fn is_setup(&self, token: &str) -> bool {
        lock(&self.setup).as_deref() == Some(token)
    }

    /// There is an operator from here on. False: there was one already.
    pub(super) fn is_set_up(&self, token: &str) -> bool {
        let mut setup = lock(&self.setup);
        let fits = setup.as_deref() == Some(token);
        if fits {
            *setup = None;
        }
        fits
    }

    /// The checks before an opening.
    pub(super) fn opening(&self) -> &Arc<Opening> {
        &self.opening
    }

    /// The configuration that is in force.
    pub(super) fn current(&self) -> Arc<Ready> {
        Arc::clone(&self.current.borrow())
    }

    /// What is kept on disk.
    pub(super) fn store(&self) -> &Store {
        self.handle.store()
    }

    /// Reads the database beside the service, off the runtime's threads.
    ///
    /// # Errors
    /// When it can't be read.
    pub(super) async fn read<T, F>(&self, read: F) -> Result<T, store::Error>
    where
        T: Send + 'static,
        F: FnOnce(&Reader) -> Result<T, store::Error> + Send + 'static,
    {
        let path = self.store().path().to_owned();
        let read = spawn_blocking(move || read(&Reader::open(&path)?));
        read.await.unwrap_or(Err(store::Error::Busy))
    }

    /// Does something slow that may use much memory, such as judging a password: one at a time,
    /// also when whoever asked has gone meanwhile.
    pub(super) async fn hashing<T, F>(&self, work: F) -> Option<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let turn = Arc::clone(&self.hashing).acquire_owned().await.ok()?;
        let work = move || {
            let _turn = turn;
            work()
        };
        spawn_blocking(work).await.ok()
    }

    /// Writes down what somebody did.
    pub(super) fn audit(&self, who: &Person, what: impl Into<String>) {
        self.audit_of(&who.name, what);
    }

    /// Writes down what was done under a name.
    pub(super) fn audit_of(&self, who: &str, what: impl Into<String>) {
        self.store().audit(told(who, what.into()));
    }

    /// Writes down what somebody was not let do: where they try very often, as a sum.
    pub(super) fn audit_refusal(&self, who: &Person, what: impl Into<String>) {
        self.store().audit_refusal(told(&who.name, what.into()));
    }

    /// Unguessable bytes.
    pub(super) fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        lock(&self.chance).fill(&mut bytes);
        bytes
    }

    /// An unguessable token, 5 bits a character.
    pub(super) fn token(&self, length: usize) -> String {
        lock(&self.chance).token(length)
    }

    /// Whether this is the token of commands on this machine.
    pub(super) fn is_machine(&self, token: &str) -> bool {
        sessions::hash(token) == sessions::hash(&self.token)
    }

    /// Whose session this is. The account is read anew, so that a role that was taken away is gone
    /// at once.
    pub(super) async fn person(&self, token: &str) -> Option<Person> {
        let name = lock(&self.sessions).account(token, clock::now().wall)?;
        let found = self.read(move |db| db.read(|conn| accounts::find(conn, &name))).await;
        let account = match found {
            Ok(account) => account?,
            Err(error) => {
                tracing::error!(%error, "an account can't be read");
                return None;
            }
        };
        let must_enroll = account.totp.is_none() && self.limits.totp.contains(&account.role);
        Some(Person {
            name: account.name,
            role: account.role,
            extension: account.extension,
            csrf: sessions::csrf(token),
            must_enroll,
        })
    }

    /// Whether this token's session goes on. Reads nothing from disk.
    pub(super) fn is_signed_in(&self, token: &str) -> bool {
        lock(&self.sessions).account(token, clock::now().wall).is_some()
    }

    /// Signs an account in: the token for its cookie.
    ///
    /// # Errors
    /// When it can't be written down.
    pub(super) async fn sign_in(&self, account: &Account) -> Result<String, store::Error> {
        let token = self.token(32);
        let until = clock::now().wall + self.limits.session;
        let account = account.name.clone();
        let session = Session { token: sessions::hash(&token), account, until };
        let kept = session.clone();
        self.store().run(move |conn| accounts::sign_in(conn, &kept)).await?;
        lock(&self.sessions).add(&session);
        Ok(token)
    }

    /// Lets a session in that is not written down.
    #[cfg(test)]
    pub(super) fn admit(&self, session: &Session) {
        lock(&self.sessions).add(session);
    }

    /// Signs out.
    pub(super) async fn sign_out(&self, token: &str) {
        let key = lock(&self.sessions).end(token);
        if let Err(error) = self.store().run(move |conn| accounts::sign_out(conn, &key)).await {
            tracing::error!(%error, "a session is over, and may come back after a restart");
        }
    }

    /// Signs an account out everywhere.
    ///
    /// # Errors
    /// When it can't be written down.
    pub(super) async fn sign_out_all(&self, account: &str) -> Result<(), store::Error> {
        lock(&self.sessions).end_all(account);
        let account = account.to_owned();
        self.store().run(move |conn| accounts::sign_out_all(conn, &account)).await
    }

    /// Signs an account out everywhere but where this token is.
    ///
    /// # Errors
    /// When it can't be written down.
    pub(super) async fn sign_out_others(
        &self,
        account: &str,
        token: &str,
    ) -> Result<(), store::Error> {
        let but = sessions::hash(token);
        lock(&self.sessions).end_others(account, &but);
        let account = account.to_owned();
        self.store().run(move |conn| accounts::sign_out_others(conn, &account, &but)).await
    }

    /// An account is another than it was: whoever reads a stream is looked at anew.
    pub(super) fn accounts_changed(&self) {
        self.account_changes.fetch_add(1, Ordering::Relaxed);
    }

    /// How often [`Desk::accounts_changed`] was said.
    pub(super) fn account_changes(&self) -> u64 {
        self.account_changes.load(Ordering::Relaxed)
    }

    /// The counts of wrong guesses.
    pub(super) fn guesses(&self) -> MutexGuard<'_, Guesses> {
        lock(&self.guesses)
    }

    /// Lets the next page of somebody say something first.
    pub(super) fn tell(&self, whom: &Person, is_bad: bool, text: impl Into<String>) {
        let mut notices = lock(&self.notices);
        if notices.len() >= NOTICES_MAX {
            notices.pop_first();
        }
        notices.insert(whom.csrf.clone(), Notice { is_bad, text: text.into() });
    }

    /// What this page shall say first.
    pub(super) fn told(&self, whom: &Person) -> Option<Notice> {
        lock(&self.notices).remove(&whom.csrf)
    }

    /// How long somebody stays signed in.
    pub(super) fn session(&self) -> Duration {
        self.limits.session
    }
}

/// The token by which commands on this machine ask the service that keeps its state here.
///
/// # Errors
/// When it can't be read: there is no service, or it is another user's.
pub fn machine_token(state_dir: &Path) -> io::Result<String> {
    fs::read_to_string(state_dir.join(TOKEN_FILE))
}

/// An entry of the audit trail, told in the log as well.
fn told(who: &str, what: String) -> audit::Entry {
    tracing::info!("{who}: {what}");
    audit::Entry { at: clock::now().wall, who: who.to_owned(), what }
}

/// A file for its owner alone.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    drop(file);
    fs::rename(new, path)
}

/// Locks here are held for moments and guard nothing that a panic could leave half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
