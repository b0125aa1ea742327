//! What a counselor says of a call: which types there are, of which calls, until when.
//!
//! Owns these rules, for the page and the API alike. The table is the store's.

use chrono::{TimeDelta, TimeZone as _};
use chrono_tz::Tz;

use super::desk::Desk;
use super::sign_in::Person;
use crate::call::board::Board;
use crate::call::cdr::CallId;
use crate::call::config::Extension;
use crate::shell::clock;
use crate::store;
use crate::store::contact::{self, Contact};
use crate::time::Timestamp;

/// A call that ends shortly before midnight can still be spoken of for so long.
const GRACE: TimeDelta = TimeDelta::hours(1);

/// Why nothing is written down.
#[derive(Debug)]
pub(super) enum Wrong {
    /// The account has no extension.
    NoExtension,
    /// There is no such call, or they did not talk in it.
    UnknownCall,
    /// There is no such type, or no longer.
    UnknownType,
    /// The day of the call is over.
    TooLate,
    /// The database refuses.
    Fault(store::Error),
}

impl Wrong {
    /// Its name in the API.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::NoExtension => "no_extension",
            Self::UnknownCall => "unknown_call",
            Self::UnknownType => "unknown_type",
            Self::TooLate => "too_late",
            Self::Fault(_) => "not_kept",
        }
    }
}

/// Writes down what somebody says of a call that they talked in, in place of what they said before.
pub(super) async fn set(
    desk: &Desk,
    person: &Person,
    call: CallId,
    kind: String,
) -> Result<(), Wrong> {
    let extension = person.extension.clone().ok_or(Wrong::NoExtension)?;
    let current = desk.current();
    if !current.loaded.contacts.types.contains(&kind) {
        return Err(Wrong::UnknownType);
    }
    let at = clock::now().wall;
    let zone = current.loaded.call.timezone;
    let (of, who) = (call.clone(), extension.clone());
    let kept = desk.read(move |db| db.read(|conn| contact::talk(conn, &of, &who))).await;
    match kept.map_err(Wrong::Fault)? {
        Some(talk) if at > deadline(talk.ended, zone) => return Err(Wrong::TooLate),
        Some(_) => {}
        // It goes on, or its record is not written yet.
        None if is_recent(&desk.handle.board().borrow(), &call, &extension) => {}
        None => return Err(Wrong::UnknownCall),
    }
    let deed = format!("says what call {call} was");
    let contact = Contact { call, extension, kind, at };
    let saved = desk.store().run(move |conn| contact::save(conn, &contact)).await;
    saved.map_err(Wrong::Fault)?;
    desk.audit(person, deed);
    Ok(())
}

/// Whether they took the call, and it is not long ago.
fn is_recent(board: &Board, call: &CallId, extension: &Extension) -> bool {
    let found = board.counselors.iter().find(|it| it.extension == *extension);
    found.is_some_and(|it| it.recent.contains(call))
}

/// Until when one may speak of a call that ended then: the end of its day.
fn deadline(ended: Timestamp, zone: Tz) -> Timestamp {
    let next = ended.with_timezone(&zone).date_naive().succ_opt();
    let midnight = next.and_then(|day| day.and_hms_opt(0, 0, 0));
    let midnight = midnight.and_then(|it| zone.from_local_datetime(&it).earliest());
    midnight.map_or(ended, |it| it.to_utc()).max(ended + GRACE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_can_be_spoken_of_until_its_day_is_over() {
        let zone = chrono_tz::Asia::Tokyo;
        for (ended, until) in [
            ("2026-11-28T21:55:00+09:00", "2026-11-29T00:00:00+09:00"),
            ("2026-11-28T23:30:00+09:00", "2026-11-29T00:30:00+09:00"),
            ("2026-11-29T00:10:00+09:00", "2026-11-30T00:00:00+09:00"),
        ] {
            let [ended, until] = [ended, until].map(|it| it.parse::<Timestamp>().unwrap());
            assert_eq!(deadline(ended, zone), until, "{ended}");
        }
    }
}
