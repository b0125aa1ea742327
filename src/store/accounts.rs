//! People who sign in to the console: accounts, and who is signed in.
//!
//! Owns the tables `account` and `session`. What a password or a token is worth is the console's to
//! judge: here are only their hashes.

use rusqlite::{Connection, OptionalExtension, Row};

use super::unknown;
use crate::call::config::Extension;
use crate::time::Timestamp;

/// Accounts at most.
pub const ACCOUNTS_MAX: usize = 10_000;
/// Sign-ins of one account at a time; one more ends the oldest.
const SESSIONS_MAX: u32 = 20;

/// What a person may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Edits prompts, hours and settings.
    Operator,
    /// Watches, listens and helps.
    Supervisor,
    /// Talks with callers.
    Counselor,
    /// Reads what was done, and changes nothing.
    Auditor,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Operator, Self::Supervisor, Self::Counselor, Self::Auditor];

    /// Its name in the database and the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Supervisor => "supervisor",
            Self::Counselor => "counselor",
            Self::Auditor => "auditor",
        }
    }

    /// The role of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// Somebody who can sign in, or is invited to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The name to sign in with; stands in the audit trail.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Their phone, for those who have one.
    pub extension: Option<Extension>,
    /// The password's hash in the PHC form (argon2id); `None`: invited, not yet set.
    pub password: Option<String>,
    /// The secret of the second factor; `None`: there is none.
    pub totp: Option<Vec<u8>>,
    /// The time step of the last code that was taken: none is good twice.
    pub totp_step: i64,
    /// SHA-256 of an invitation's token, and until when it is good.
    pub invitation: Option<(Vec<u8>, Timestamp)>,
}

impl Account {
    /// Somebody with nothing yet to sign in with.
    pub fn new(name: impl Into<String>, role: Role) -> Self {
        Self {
            name: name.into(),
            role,
            extension: None,
            password: None,
            totp: None,
            totp_step: 0,
            invitation: None,
        }
    }
}

/// Somebody who is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// SHA-256 of the token in the cookie.
    pub token: Vec<u8>,
    /// The account.
    pub account: String,
    /// Until when.
    pub until: Timestamp,
}

const COLUMNS: &str =
    "name, role, extension, password, totp, totp_step, invitation, invitation_until_ms";

/// Every account, by name.
///
/// # Errors
/// When the database can't be read.
pub fn all(conn: &Connection) -> rusqlite::Result<Vec<Account>> {
    let mut query = conn.prepare(&format!("SELECT {COLUMNS} FROM account ORDER BY name"))?;
    query.query_map([], read)?.collect()
}

/// The account of this name.
///
/// # Errors
/// When the database can't be read.
pub fn find(conn: &Connection, name: &str) -> rusqlite::Result<Option<Account>> {
    let sql = format!("SELECT {COLUMNS} FROM account WHERE name = ?1");
    conn.query_row(&sql, [name], read).optional()
}

/// Writes an account, new or changed.
///
/// # Errors
/// When the database refuses.
pub fn save(conn: &Connection, account: &Account) -> rusqlite::Result<()> {
    let (invitation, until) = match &account.invitation {
        Some((hash, until)) => (Some(hash), Some(until.timestamp_millis())),
        None => (None, None),
    };
    let sql = format!(
        "INSERT OR REPLACE INTO account ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
    );
    let extension = account.extension.as_ref().map(|extension| &*extension.0);
    let values = (
        &account.name,
        account.role.name(),
        extension,
        &account.password,
        &account.totp,
        account.totp_step,
        invitation,
        until,
    );
    conn.execute(&sql, values)?;
    Ok(())
}

/// Writes a new account. False: there is one of that name already, in small or large letters, or as
/// many as may be, and nothing is written.
///
/// # Errors
/// When the database refuses.
pub fn create(conn: &Connection, account: &Account) -> rusqlite::Result<bool> {
    let known = all(conn)?;
    let name = account.name.to_lowercase();
    if known.len() >= ACCOUNTS_MAX || known.iter().any(|it| it.name.to_lowercase() == name) {
        return Ok(false);
    }
    save(conn, account)?;
    Ok(true)
}

/// Changes an account as it is at this moment, whatever was read of it before. False: there is none
/// any more, or `change` says that it no longer fits, and nothing is written.
///
/// # Errors
/// When the database refuses.
pub fn amend(
    conn: &Connection,
    name: &str,
    change: impl FnOnce(&mut Account) -> bool,
) -> rusqlite::Result<bool> {
    let Some(mut account) = find(conn, name)? else { return Ok(false) };
    if !change(&mut account) {
        return Ok(false);
    }
    save(conn, &account)?;
    Ok(true)
}

/// Removes an account and signs it out everywhere.
///
/// # Errors
/// When the database refuses.
pub fn remove(conn: &Connection, name: &str) -> rusqlite::Result<()> {
    sign_out_all(conn, name)?;
    conn.execute("DELETE FROM account WHERE name = ?1", [name])?;
    Ok(())
}

/// Everybody who is signed in at `now`; those whose time is over are forgotten.
///
/// # Errors
/// When the database refuses.
pub fn sessions(conn: &Connection, now: Timestamp) -> rusqlite::Result<Vec<Session>> {
    conn.execute("DELETE FROM session WHERE until_ms <= ?1", [now.timestamp_millis()])?;
    let mut query = conn.prepare("SELECT token, account, until_ms FROM session")?;
    let rows = query.query_map([], |row| {
        let until = Timestamp::from_timestamp_millis(row.get(2)?).unwrap_or_default();
        Ok(Session { token: row.get(0)?, account: row.get(1)?, until })
    })?;
    rows.collect()
}

/// Signs in.
///
/// # Errors
/// When the database refuses.
pub fn sign_in(conn: &Connection, session: &Session) -> rusqlite::Result<()> {
    let until = session.until.timestamp_millis();
    let sql = "INSERT OR REPLACE INTO session VALUES (?1, ?2, ?3)";
    conn.execute(sql, (&session.token, &session.account, until))?;
    let sql = "DELETE FROM session WHERE account = ?1 AND token NOT IN
               (SELECT token FROM session WHERE account = ?1 ORDER BY until_ms DESC LIMIT ?2)";
    conn.execute(sql, (&session.account, SESSIONS_MAX))?;
    Ok(())
}

/// Signs out.
///
/// # Errors
/// When the database refuses.
pub fn sign_out(conn: &Connection, token: &[u8]) -> rusqlite::Result<()> {
    conn.execute("DELETE FROM session WHERE token = ?1", [token])?;
    Ok(())
}

/// Signs an account out everywhere.
///
/// # Errors
/// When the database refuses.
pub fn sign_out_all(conn: &Connection, account: &str) -> rusqlite::Result<()> {
    conn.execute("DELETE FROM session WHERE account = ?1", [account])?;
    Ok(())
}

/// Signs an account out everywhere but where the session with this token's hash is.
///
/// # Errors
/// When the database refuses.
pub fn sign_out_others(conn: &Connection, account: &str, but: &[u8]) -> rusqlite::Result<()> {
    conn.execute("DELETE FROM session WHERE account = ?1 AND token <> ?2", (account, but))?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Account> {
    let role: String = row.get("role")?;
    let until: Option<i64> = row.get("invitation_until_ms")?;
    let until = until.and_then(Timestamp::from_timestamp_millis);
    let invitation: Option<Vec<u8>> = row.get("invitation")?;
    Ok(Account {
        name: row.get("name")?,
        role: Role::named(&role).ok_or_else(|| unknown(&role))?,
        extension: row.get::<_, Option<String>>("extension")?.map(|it| Extension(it.into())),
        password: row.get("password")?,
        totp: row.get("totp")?,
        totp_step: row.get("totp_step")?,
        invitation: invitation.zip(until),
    })
}
