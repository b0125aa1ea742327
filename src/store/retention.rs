//! Deleting what has been kept long enough.
//!
//! Owns the rule. When it runs is the writer's; that nothing deleted stays readable is
//! `secure_delete`'s and the checkpoint's after it.

use chrono::TimeDelta;
use rusqlite::{Connection, TransactionBehavior};

use super::{Config, audit, carrier, contact, duty, recording};
use crate::time::Timestamp;

/// Deletes records and audit entries older than the configuration's days, with the former what is
/// known of counselors' duty, from the carrier and of what calls were, with the latter the rows of
/// recordings that were deleted as long ago; says how many. Running it again changes nothing.
///
/// # Errors
/// When the database refuses; nothing is deleted then.
pub(super) fn sweep(
    conn: &mut Connection,
    config: &Config,
    now: Timestamp,
) -> rusqlite::Result<usize> {
    let before = |days: u32| now - TimeDelta::days(i64::from(days));
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let limit = before(config.cdr_days).timestamp_millis();
    let cdrs = tx.execute("DELETE FROM cdr WHERE started_ms < ?1", [limit])?;
    let stints = duty::expire(&tx, before(config.cdr_days))?;
    let counted = carrier::expire(&tx, before(config.cdr_days).date_naive())?;
    let said = contact::expire(&tx, before(config.cdr_days))?;
    let entries = audit::expire(&tx, before(config.audit_days))?;
    let recordings = recording::expire(&tx, before(config.audit_days))?;
    tx.commit()?;
    Ok(cdrs + said + stints + counted + entries + recordings)
}
