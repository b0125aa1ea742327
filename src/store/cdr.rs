//! Records of calls in the database: one row a call, never changed.
//!
//! Owns the form of a row. The start is kept to the minute only (a carrier's bill tells the second
//! and the number; matching the two must not be easy); what followed is kept as lengths from the
//! start, in milliseconds.

use std::time::Duration;

use chrono::TimeDelta;
use rusqlite::{Connection, Row, named_params};

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
    let mut query = conn.prepare(
        "SELECT * FROM cdr WHERE started_ms >= ?1 AND started_ms < ?2 ORDER BY started_ms, rowid",
    )?;
    let mut rows = query.query((from.timestamp_millis(), to.timestamp_millis()))?;
    while let Some(row) = rows.next()? {
        let mut cdr = read(row)?;
        cdr.talks = load_talks(conn, &cdr.call)?;
        cdr.legs = load_legs(conn, &cdr.call)?;
        take(cdr);
    }
    Ok(())
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

fn load_legs(conn: &Connection, call: &CallId) -> rusqlite::Result<Vec<LegFigures>> {
    let sql = "SELECT * FROM cdr_leg WHERE call = ?1 ORDER BY nth";
    let mut query = conn.prepare_cached(sql)?;
    let rows = query.query_map([&*call.0], |row| {
        let whose = whose(&row.get::<_, String>("side")?, row.get("extension")?)?;
        Ok(LegFigures { whose, quality: read_quality(row)? })
    })?;
    rows.collect()
}

fn read_quality(row: &Row<'_>) -> rusqlite::Result<Quality> {
    let count =
        |row: &Row<'_>, name| row.get::<_, i64>(name).map(|n| u64::try_from(n).unwrap_or_default());
    Ok(Quality {
        received: count(row, "received")?,
        sent: count(row, "sent")?,
        lost: count(row, "lost")?,
        lost_at_peer: count(row, "lost_at_peer")?,
        jitter_ms: row.get("jitter_ms")?,
        jitter_max_ms: row.get::<_, Option<f32>>("jitter_max_ms")?.unwrap_or_default(),
        round_trip_ms: row.get("round_trip_ms")?,
        strangers: count(row, "strangers")?,
        mos: row.get("mos")?,
        rejected: count(row, "rejected")?,
        late: count(row, "late")?,
        concealed: count(row, "concealed")?,
        first_packet_ms: row.get("first_packet_ms")?,
        source_differs: row.get("source_differs")?,
        level_dbfs: row.get("level_dbfs")?,
        one_way: row.get("one_way")?,
        unheard: row.get("unheard")?,
        mos_at_peer: row.get("mos_at_peer")?,
    })
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

fn load_talks(conn: &Connection, call: &CallId) -> rusqlite::Result<Vec<(Extension, Duration)>> {
    let sql = "SELECT extension, talk_ms FROM cdr_talk WHERE call = ?1 ORDER BY nth";
    let mut query = conn.prepare_cached(sql)?;
    let rows = query.query_map([&*call.0], |row| {
        Ok((Extension(row.get::<_, String>(0)?.into()), length(row.get(1)?)))
    })?;
    rows.collect()
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
