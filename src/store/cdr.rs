//! Records of calls in the database: one row a call, never changed.
//!
//! Owns the form of a row. The start is kept to the minute only (a carrier's bill tells the second
//! and the number; matching the two must not be easy); what followed is kept as lengths from the
//! start, in milliseconds.

use std::time::Duration;

use chrono::TimeDelta;
use rusqlite::{Connection, Row, Rows, named_params};

use super::unknown;
use crate::call::cdr::{
    CallId, Cdr, EndReason, EndedBy, LegFigures, Outcome, Presentation, Quality, Whose,
};
use crate::call::config::{Extension, LineId, TrunkId};
use crate::time::Timestamp;

const INSERT: &str = "
    INSERT INTO cdr VALUES (
        :call, :trunk, :line, :started_ms, :answered_after_ms, :lasted_ms, :outcome, :ended_by,
        :reason, :reason_code, :presentation, :guidance_ms, :wait_ms, :talk_ms, :paid_wait_ms,
        :position, :offers, :counselor, :test, :recorded
    ) ON CONFLICT (call) DO NOTHING";

const INSERT_TALK: &str = "INSERT INTO cdr_talk VALUES (?1, ?2, ?3, ?4)";

const INSERT_LEG: &str = "
    INSERT INTO cdr_leg (
        call, nth, side, extension, received, sent, lost, lost_at_peer, jitter_ms,
        round_trip_ms, strangers, mos, rejected, late, concealed, first_packet_ms,
        source_differs, level_dbfs, one_way, unheard, mos_at_peer, jitter_max_ms
    ) VALUES (
        :call, :nth, :side, :extension, :received, :sent, :lost, :lost_at_peer, :jitter_ms,
        :round_trip_ms, :strangers, :mos, :rejected, :late, :concealed,
        :first_packet_ms, :source_differs, :level_dbfs, :one_way,
        :unheard, :mos_at_peer, :jitter_max_ms
    )";

/// Writes one record; false: the call has its row already.
///
/// # Errors
/// When the database refuses; part of the record may be written then, and the transaction around
/// it decides.
pub fn insert(conn: &Connection, cdr: &Cdr) -> rusqlite::Result<bool> {
    let (reason, code) = reason_columns(cdr.reason);
    let since = |moment: Timestamp| (moment - cdr.started).num_milliseconds().max(0);
    let inserted = conn.prepare_cached(INSERT)?.execute(named_params! {
        ":call": &*cdr.call.0,
        ":trunk": &*cdr.trunk.0,
        ":line": cdr.line.as_ref().map(|line| &*line.0),
        ":started_ms": to_minute(cdr.started),
        ":answered_after_ms": cdr.answered.map(since),
        ":lasted_ms": since(cdr.ended),
        ":outcome": cdr.outcome.name(),
        ":ended_by": ended_by_name(cdr.ended_by),
        ":reason": reason,
        ":reason_code": code,
        ":presentation": cdr.presentation.name(),
        ":guidance_ms": millis(cdr.guidance),
        ":wait_ms": millis(cdr.wait),
        ":talk_ms": millis(cdr.talk),
        ":paid_wait_ms": millis(cdr.paid_wait),
        ":position": cdr.position,
        ":offers": cdr.offers,
        ":counselor": cdr.counselor.as_ref().map(|extension| &*extension.0),
        ":test": cdr.test,
        ":recorded": cdr.recorded,
    })?;
    if inserted == 0 {
        return Ok(false);
    }
    for (nth, (extension, talk)) in (0_i64..).zip(&cdr.talks) {
        let row = (&*cdr.call.0, nth, &*extension.0, millis(*talk));
        conn.prepare_cached(INSERT_TALK)?.execute(row)?;
    }
    for (nth, leg) in (0_i64..).zip(&cdr.legs) {
        insert_leg(conn, &cdr.call, nth, leg)?;
    }
    Ok(true)
}

/// Hands every record that began in `from..to` to `take`, oldest first.
///
/// # Errors
/// When the database can't be read, or a row holds a word that we don't write.
pub fn load(
    conn: &Connection,
    from: Timestamp,
    to: Timestamp,
    mut take: impl FnMut(Cdr),
) -> rusqlite::Result<()> {
    // Three walks side by side in the same order: to ask for each call's rows one by one costs
    // several times as much.
    let span = (from.timestamp_millis(), to.timestamp_millis());
    let mut query = conn.prepare(
        "SELECT * FROM cdr WHERE started_ms >= ?1 AND started_ms < ?2 ORDER BY started_ms, rowid",
    )?;
    let (mut talks, mut legs) = (conn.prepare(TALKS)?, conn.prepare(LEGS)?);
    let mut rows = query.query(span)?;
    let mut talks = Beside::new(talks.query(span)?, read_talk)?;
    let mut legs = Beside::new(legs.query(span)?, read_leg)?;
    while let Some(row) = rows.next()? {
        let mut cdr = read(row)?;
        cdr.talks = talks.of(&cdr.call)?;
        cdr.legs = legs.of(&cdr.call)?;
        take(cdr);
    }
    Ok(())
}

const TALKS: &str = "
    SELECT t.call, t.extension, t.talk_ms FROM cdr CROSS JOIN cdr_talk t ON t.call = cdr.call
    WHERE cdr.started_ms >= ?1 AND cdr.started_ms < ?2
    ORDER BY cdr.started_ms, cdr.rowid, t.nth";

/// In the order of [`read_leg`].
const LEGS: &str = "
    SELECT l.call, side, extension, received, sent, lost, lost_at_peer, jitter_ms, jitter_max_ms,
        round_trip_ms, strangers, mos, rejected, late, concealed, first_packet_ms, source_differs,
        level_dbfs, one_way, unheard, mos_at_peer
    FROM cdr CROSS JOIN cdr_leg l ON l.call = cdr.call
    WHERE cdr.started_ms >= ?1 AND cdr.started_ms < ?2
    ORDER BY cdr.started_ms, cdr.rowid, l.nth";

/// Rows that belong to calls, in the order of the calls.
struct Beside<'s, T> {
    rows: Rows<'s>,
    read: fn(&Row<'_>) -> rusqlite::Result<T>,
    /// The next row, and whose it is.
    next: Option<(String, T)>,
}

impl<'s, T> Beside<'s, T> {
    fn new(rows: Rows<'s>, read: fn(&Row<'_>) -> rusqlite::Result<T>) -> rusqlite::Result<Self> {
        let mut beside = Self { rows, read, next: None };
        beside.step()?;
        Ok(beside)
    }

    fn step(&mut self) -> rusqlite::Result<Option<T>> {
        let row = self.rows.next()?;
        let next = row.map(|row| Ok::<_, rusqlite::Error>((row.get(0)?, (self.read)(row)?)));
        let current = std::mem::replace(&mut self.next, next.transpose()?);
        Ok(current.map(|(_, row)| row))
    }

    /// The rows of a call; calls are to be asked for in their order.
    fn of(&mut self, call: &CallId) -> rusqlite::Result<Vec<T>> {
        let mut found = vec![];
        while self.next.as_ref().is_some_and(|(whose, _)| **whose == *call.0) {
            found.extend(self.step()?);
        }
        Ok(found)
    }
}

/// The moment's minute, in milliseconds of Unix time.
pub(super) fn to_minute(moment: Timestamp) -> i64 {
    moment.timestamp().div_euclid(60) * 60_000
}

fn insert_leg(
    conn: &Connection,
    call: &CallId,
    nth: i64,
    LegFigures { whose, quality }: &LegFigures,
) -> rusqlite::Result<()> {
    let (side, extension) = whose_columns(whose);
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    // SQLite has no NaN and would store NULL.
    let finite = |x: f32| Some(f64::from(x)).filter(|x| x.is_finite());
    conn.prepare_cached(INSERT_LEG)?.execute(named_params! {
        ":call": &*call.0,
        ":nth": nth,
        ":side": side,
        ":extension": extension,
        ":received": count(quality.received),
        ":sent": count(quality.sent),
        ":lost": count(quality.lost),
        ":lost_at_peer": count(quality.lost_at_peer),
        ":jitter_ms": finite(quality.jitter_ms).unwrap_or(0.0),
        ":jitter_max_ms": finite(quality.jitter_max_ms),
        ":round_trip_ms": quality.round_trip_ms.and_then(finite),
        ":strangers": count(quality.strangers),
        ":mos": quality.mos.and_then(finite),
        ":rejected": count(quality.rejected),
        ":late": count(quality.late),
        ":concealed": count(quality.concealed),
        ":first_packet_ms": quality.first_packet_ms.and_then(finite),
        ":source_differs": quality.source_differs,
        ":level_dbfs": quality.level_dbfs.and_then(finite),
        ":one_way": quality.one_way,
        ":unheard": quality.unheard,
        ":mos_at_peer": quality.mos_at_peer.and_then(finite),
    })?;
    Ok(())
}

fn read_leg(row: &Row<'_>) -> rusqlite::Result<LegFigures> {
    let count = |nth: usize| row.get::<_, i64>(nth).map(|n| u64::try_from(n).unwrap_or_default());
    let whose = whose(row.get_ref(1)?.as_str()?, row.get(2)?)?;
    let quality = Quality {
        received: count(3)?,
        sent: count(4)?,
        lost: count(5)?,
        lost_at_peer: count(6)?,
        jitter_ms: row.get(7)?,
        jitter_max_ms: row.get::<_, Option<f32>>(8)?.unwrap_or_default(),
        round_trip_ms: row.get(9)?,
        strangers: count(10)?,
        mos: row.get(11)?,
        rejected: count(12)?,
        late: count(13)?,
        concealed: count(14)?,
        first_packet_ms: row.get(15)?,
        source_differs: row.get(16)?,
        level_dbfs: row.get(17)?,
        one_way: row.get(18)?,
        unheard: row.get(19)?,
        mos_at_peer: row.get(20)?,
    };
    Ok(LegFigures { whose, quality })
}

fn whose_columns(whose: &Whose) -> (&'static str, Option<&str>) {
    match whose {
        Whose::Caller => ("caller", None),
        Whose::Counselor(extension) => ("counselor", Some(&extension.0)),
        Whose::Supervisor(extension) => ("supervisor", Some(&extension.0)),
    }
}

fn whose(side: &str, extension: Option<String>) -> rusqlite::Result<Whose> {
    let extension = Extension(extension.unwrap_or_default().into());
    match side {
        "caller" => Ok(Whose::Caller),
        "counselor" => Ok(Whose::Counselor(extension)),
        "supervisor" => Ok(Whose::Supervisor(extension)),
        unwritten => Err(unknown(unwritten)),
    }
}

fn read_talk(row: &Row<'_>) -> rusqlite::Result<(Extension, Duration)> {
    Ok((Extension(row.get::<_, String>(1)?.into()), length(row.get(2)?)))
}

fn read(row: &Row<'_>) -> rusqlite::Result<Cdr> {
    let text = |name: &str| row.get::<_, String>(name);
    let lasting = |name: &str| Ok::<_, rusqlite::Error>(length(row.get(name)?));
    let started: i64 = row.get("started_ms")?;
    let started = Timestamp::from_timestamp_millis(started).unwrap_or_default();
    let after = |ms: i64| started + TimeDelta::milliseconds(ms);
    Ok(Cdr {
        call: CallId(text("call")?.into()),
        trunk: TrunkId(text("trunk")?.into()),
        line: row.get::<_, Option<String>>("line")?.map(|line| LineId(line.into())),
        started,
        answered: row.get::<_, Option<i64>>("answered_after_ms")?.map(after),
        ended: after(row.get("lasted_ms")?),
        outcome: word(&text("outcome")?, Outcome::ALL, Outcome::name)?,
        ended_by: word(&text("ended_by")?, ENDED_BY, ended_by_name)?,
        reason: reason(&text("reason")?, row.get("reason_code")?)?,
        presentation: word(&text("presentation")?, Presentation::ALL, Presentation::name)?,
        guidance: lasting("guidance_ms")?,
        wait: lasting("wait_ms")?,
        talk: lasting("talk_ms")?,
        paid_wait: lasting("paid_wait_ms")?,
        position: row.get("position")?,
        offers: row.get("offers")?,
        counselor: row.get::<_, Option<String>>("counselor")?.map(|e| Extension(e.into())),
        talks: vec![],
        recorded: row.get("recorded")?,
        test: row.get("test")?,
        legs: vec![],
    })
}

fn millis(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}

fn length(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or_default())
}

/// The value whose name is `text`.
fn word<T: Copy, const N: usize>(
    text: &str,
    all: [T; N],
    name: impl Fn(T) -> &'static str,
) -> rusqlite::Result<T> {
    all.into_iter().find(|value| name(*value) == text).ok_or_else(|| unknown(text))
}

const ENDED_BY: [EndedBy; 3] = [EndedBy::Caller, EndedBy::Counselor, EndedBy::System];

fn ended_by_name(who: EndedBy) -> &'static str {
    match who {
        EndedBy::Caller => "caller",
        EndedBy::Counselor => "counselor",
        EndedBy::System => "system",
    }
}

fn reason_columns(reason: EndReason) -> (&'static str, Option<u16>) {
    match reason {
        EndReason::Hangup => ("hangup", None),
        EndReason::Cancelled => ("cancelled", None),
        EndReason::MessageEnded => ("message_ended", None),
        EndReason::Rejected(code) => ("rejected", Some(code)),
        EndReason::CallerLost => ("caller_lost", None),
        EndReason::Stopped => ("stopped", None),
        EndReason::Fault => ("fault", None),
    }
}

fn reason(text: &str, code: Option<u16>) -> rusqlite::Result<EndReason> {
    match (text, code) {
        ("hangup", _) => Ok(EndReason::Hangup),
        ("cancelled", _) => Ok(EndReason::Cancelled),
        ("message_ended", _) => Ok(EndReason::MessageEnded),
        ("rejected", code) => Ok(EndReason::Rejected(code.unwrap_or_default())),
        ("caller_lost", _) => Ok(EndReason::CallerLost),
        ("stopped", _) => Ok(EndReason::Stopped),
        ("fault", _) => Ok(EndReason::Fault),
        (text, _) => Err(unknown(text)),
    }
}
