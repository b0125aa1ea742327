//! When a line is open: weekly windows, closed days, a person's override; two closings.
//!
//! Owns the judgment of one moment ([`at`]), the changes to come ([`next_change`],
//! [`next_openings`]) and the reading of a moment that a person wrote ([`parse_moment`]). The clock
//! is the shell's; what a closed line says and how long a caller may wait is the call path's. In
//! words for a person: [`explain`](super::when::explain).
//!
//! A window belongs to the day on which it opens: one that opens on a Saturday evening and runs
//! past midnight is Saturday's, and a closed Sunday takes nothing from it. Windows that touch or
//! overlap are one. Where summer time skips a written time, the first moment after the gap counts;
//! where it repeats one, opening counts at the first and closing at the second.

#[cfg(test)]
mod tests;

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone};
use chrono_tz::Tz;

use super::config::{Override, Schedule, Window};
use super::holidays;
use crate::time::Timestamp;

/// How many days ahead an opening or an end is looked for; beyond, there is none in sight.
const DAYS_AHEAD: u64 = 400;

/// Minutes that a gap of a zone's clock lasts at most (a zone that crosses the date line skips a
/// whole day).
const GAP_MINUTES_MAX: i64 = 25 * 60;

/// How a line stands at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// New callers are taken. `None`: no end in sight.
    Open {
        /// From here on no new callers.
        intake_end: Option<Timestamp>,
        /// From here on counseling is over; at or after `intake_end`.
        service_end: Option<Timestamp>,
    },
    /// The intake is over: no new callers, but counseling goes on.
    Winding {
        /// From here on counseling is over; `None`: no end in sight.
        service_end: Option<Timestamp>,
    },
    /// Nobody is taken.
    Closed {
        /// The reason.
        why: Why,
        /// When callers are taken again; `None`: not in sight.
        next_open: Option<Timestamp>,
    },
}

/// Why a line is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// No window is open, and nothing but the hours is the reason.
    OutsideHours,
    /// A closed range of every year, from month and day to month and day, inclusive.
    Range((u32, u32), (u32, u32)),
    /// A closed date.
    Date(NaiveDate),
    /// A holiday, by its name.
    Holiday(&'static str),
    /// A person closed it.
    Override,
}

/// Hours that are taken together: from the opening to the two closings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First moment.
    pub open: Timestamp,
    /// From here on no new callers; `None`: no end in sight.
    pub intake_end: Option<Timestamp>,
    /// From here on counseling is over; `None`: no end in sight.
    pub service_end: Option<Timestamp>,
}

/// How the line stands at `wall`.
pub fn at(schedule: &Schedule, tz: Tz, wall: Timestamp) -> Opening {
    match in_force(schedule.over, wall) {
        Override::Auto => by_hours(schedule, tz, wall),
        Override::Open(until) => {
            let Some(until) = until else {
                return Opening::Open { intake_end: None, service_end: None };
            };
            match by_hours(schedule, tz, until) {
                open @ Opening::Open { .. } => open,
                Opening::Winding { service_end } => {
                    Opening::Open { intake_end: Some(until), service_end }
                }
                Opening::Closed { .. } => {
                    Opening::Open { intake_end: Some(until), service_end: Some(until) }
                }
            }
        }
        Override::Closed(until) => {
            let next_open = until.and_then(|until| match by_hours(schedule, tz, until) {
                Opening::Open { .. } => Some(until),
                Opening::Winding { .. } => next_opening(schedule, tz, until),
                Opening::Closed { next_open, .. } => next_open,
            });
            Opening::Closed { why: Why::Override, next_open }
        }
    }
}

/// What the calendar says of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Day {
    /// There are hours.
    Open,
    /// There would be hours, and the day is closed.
    Closed(Why),
    /// There are no hours on such a day.
    Free,
}

/// What the calendar says of a day, a person's hand aside.
pub fn day(schedule: &Schedule, date: NaiveDate) -> Day {
    match closure(schedule, date) {
        _ if hours_on(schedule, date).is_empty() => Day::Free,
        Some(why) => Day::Closed(why),
        None => Day::Open,
    }
}

/// The first moment after `wall` at which the line goes over into another of the three states;
/// `None`: none in sight.
pub fn next_change(schedule: &Schedule, tz: Tz, wall: Timestamp) -> Option<Timestamp> {
    let until = match in_force(schedule.over, wall) {
        Override::Auto => return next_change_by_hours(schedule, tz, wall),
        Override::Open(until) | Override::Closed(until) => until?,
    };
    let (now, then) = (at(schedule, tz, wall), by_hours(schedule, tz, until));
    if std::mem::discriminant(&now) == std::mem::discriminant(&then) {
        next_change_by_hours(schedule, tz, until)
    } else {
        Some(until)
    }
}

/// The next `n` times that the line goes over from not taking callers to taking them, in order.
/// Hours that an override swallows are left out.
pub fn next_openings(schedule: &Schedule, tz: Tz, wall: Timestamp, n: usize) -> Vec<Span> {
    let (from, closed) = match in_force(schedule.over, wall) {
        Override::Auto => (wall, false),
        Override::Open(None) | Override::Closed(None) => return vec![],
        Override::Open(Some(until)) => (until, false),
        Override::Closed(Some(until)) => (until, true),
    };
    spans(schedule, tz, from)
        .filter_map(|span| {
            // Hours that begin while a person keeps the line closed open with the end of that.
            let late = closed && before(from, span.intake_end);
            (span.open > from || late).then(|| Span { open: span.open.max(from), ..span })
        })
        .take(n)
        .collect()
}

/// The override that counts at `wall`: one whose end has come no longer does.
pub(super) fn in_force(over: Override, wall: Timestamp) -> Override {
    match over {
        Override::Open(Some(until)) | Override::Closed(Some(until)) if until <= wall => {
            Override::Auto
        }
        Override::Auto | Override::Open(_) | Override::Closed(_) => over,
    }
}

fn by_hours(schedule: &Schedule, tz: Tz, wall: Timestamp) -> Opening {
    let mut intake = None;
    let mut service = None;
    let mut next_open = None;
    for span in spans(schedule, tz, wall) {
        let begun = span.open <= wall;
        if begun && before(wall, span.intake_end) {
            intake = Some(span.intake_end);
        }
        // Counseling that reaches into the next hours ends with theirs.
        let counts = match service {
            None => begun && before(wall, span.service_end),
            Some(end) => before(span.open, end),
        };
        if counts {
            service = Some(service.map_or(span.service_end, |end| later(end, span.service_end)));
        } else if !begun {
            next_open = Some(span.open);
            break;
        }
    }
    match (intake, service) {
        (Some(intake_end), Some(service_end)) => Opening::Open { intake_end, service_end },
        (None, Some(service_end)) => Opening::Winding { service_end },
        (_, None) => Opening::Closed { why: why_closed(schedule, tz, wall), next_open },
    }
}

fn next_change_by_hours(schedule: &Schedule, tz: Tz, wall: Timestamp) -> Option<Timestamp> {
    match by_hours(schedule, tz, wall) {
        Opening::Open { intake_end, .. } => intake_end,
        Opening::Winding { service_end } => {
            next_opening(schedule, tz, wall).into_iter().chain(service_end).min()
        }
        Opening::Closed { next_open, .. } => next_open,
    }
}

/// The first opening by the hours after `wall`.
fn next_opening(schedule: &Schedule, tz: Tz, wall: Timestamp) -> Option<Timestamp> {
    spans(schedule, tz, wall).map(|span| span.open).find(|open| *open > wall)
}

/// Whether `moment` is before `end`, where no end is later than everything.
fn before(moment: Timestamp, end: Option<Timestamp>) -> bool {
    end.is_none_or(|end| moment < end)
}

fn later(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    Some(a?.max(b?))
}

fn why_closed(schedule: &Schedule, tz: Tz, wall: Timestamp) -> Why {
    let today = wall.with_timezone(&tz).date_naive();
    // The hours of a closed day, were they kept, would hold at this moment.
    let lost = [today.pred_opt(), Some(today)].into_iter().flatten().find_map(|day| {
        let why = closure(schedule, day)?;
        let holds = |m: Moments| m.open <= wall && wall < m.service_end;
        let hours = hours_on(schedule, day);
        hours.into_iter().filter_map(|h| h.on(day, tz)).any(holds).then_some(why)
    });
    let of_today = || match closure(schedule, today)? {
        why @ Why::Range(..) => Some(why),
        // A closed Monday is no reason for a line that never opens on Mondays.
        why @ (Why::OutsideHours | Why::Date(_) | Why::Holiday(_) | Why::Override) => {
            (!hours_on(schedule, today).is_empty()).then_some(why)
        }
    };
    lost.or_else(of_today).unwrap_or(Why::OutsideHours)
}

/// What closes a day, whatever its windows.
fn closure(schedule: &Schedule, day: NaiveDate) -> Option<Why> {
    let here = (day.month(), day.day());
    let holds = |(from, to): &&((u32, u32), (u32, u32))| {
        if from <= to { (*from..=*to).contains(&here) } else { here >= *from || here <= *to }
    };
    if let Some((from, to)) = schedule.closed_ranges.iter().find(holds) {
        return Some(Why::Range(*from, *to));
    }
    if schedule.closed_dates.contains(&day) {
        return Some(Why::Date(day));
    }
    schedule.closed_on_holidays.then(|| holidays::name(day)).flatten().map(Why::Holiday)
}

/// The hours that would open on `day`, were it not closed, in order of opening. Without hours in
/// the schedule: the whole day.
fn hours_on(schedule: &Schedule, day: NaiveDate) -> Vec<Hours> {
    if schedule.hours.is_empty() {
        let midnight = NaiveTime::MIN;
        return vec![Hours { open: midnight, intake_end: midnight, service_end: midnight }];
    }
    let opens = |window: &&Window| window.days.contains(&day.weekday());
    let hours =
        |w: &Window| Hours { open: w.open, intake_end: w.intake_end, service_end: w.service_end };
    let mut all: Vec<_> = schedule.hours.iter().filter(opens).map(hours).collect();
    all.sort_by_key(|hours| hours.open);
    all
}

/// What the clock on the wall shows at the opening and the closings of a [`Window`].
#[derive(Clone, Copy)]
struct Hours {
    open: NaiveTime,
    intake_end: NaiveTime,
    service_end: NaiveTime,
}

/// The moments of [`Hours`].
#[derive(Clone, Copy)]
struct Moments {
    open: Timestamp,
    intake_end: Timestamp,
    service_end: Timestamp,
}

impl Hours {
    /// Those that open on `day`; `None` where the calendar ends.
    fn on(self, day: NaiveDate, tz: Tz) -> Option<Moments> {
        let end = |time| {
            let day = if time <= self.open { day.succ_opt()? } else { day };
            moment(tz, day.and_time(time), Repeated::Second)
        };
        let open = moment(tz, day.and_time(self.open), Repeated::First)?;
        let intake_end = end(self.intake_end)?;
        Some(Moments { open, intake_end, service_end: end(self.service_end)?.max(intake_end) })
    }
}

/// The spans that may still count at `wall`, and those after it, in order; touching and
/// overlapping windows as one.
fn spans(schedule: &Schedule, tz: Tz, wall: Timestamp) -> impl Iterator<Item = Span> {
    let always = schedule.hours.is_empty()
        && schedule.closed_ranges.is_empty()
        && schedule.closed_dates.is_empty()
        && !schedule.closed_on_holidays;
    let open = Timestamp::MIN_UTC;
    let endless = always.then_some(Span { open, intake_end: None, service_end: None });

    let today = wall.with_timezone(&tz).date_naive();
    let first = today.checked_sub_days(Days::new(2)).unwrap_or(today);
    // An end after the last day that is looked at is only the end of the looking.
    let last = first.checked_add_days(Days::new(DAYS_AHEAD)).unwrap_or(NaiveDate::MAX);
    let horizon = moment(tz, last.and_time(NaiveTime::MIN), Repeated::First);
    let in_sight = move |end: Timestamp| horizon.is_none_or(|h| end < h).then_some(end);

    let mut coming = first
        .iter_days()
        .take_while(move |day| !always && *day < last)
        .filter(|day| closure(schedule, *day).is_none())
        .flat_map(move |day| hours_on(schedule, day).into_iter().map(move |h| h.on(day, tz)))
        .flatten()
        .peekable();
    endless.into_iter().chain(std::iter::from_fn(move || {
        let mut all = coming.next()?;
        while let Some(next) = coming.next_if(|next| next.open <= all.intake_end) {
            all.intake_end = all.intake_end.max(next.intake_end);
            all.service_end = all.service_end.max(next.service_end);
        }
        let (intake_end, service_end) = (in_sight(all.intake_end), in_sight(all.service_end));
        Some(Span { open: all.open, intake_end, service_end })
    }))
}

/// Which of two moments at which a clock that was set back shows the same.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeated {
    First,
    Second,
}

/// The moment at which the zone's clock shows `local`, or the first after a gap that skips it.
fn moment(tz: Tz, local: NaiveDateTime, repeated: Repeated) -> Option<Timestamp> {
    (0..=GAP_MINUTES_MAX).find_map(|minutes| {
        let shown = tz.from_local_datetime(&local.checked_add_signed(TimeDelta::minutes(minutes))?);
        match repeated {
            Repeated::First => shown.earliest(),
            Repeated::Second => shown.latest(),
        }
        .map(|moment| moment.to_utc())
    })
}

/// Why a text is not a moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MomentError {
    /// It can't be read.
    #[error("`{0}` is no date and time; write 2026-12-26T18:00 (or with seconds, or with +09:00)")]
    Unreadable(String),
    /// The clock of the zone skips it.
    #[error("`{0}` does not exist in {1}: the clock is set forward over it")]
    Skipped(String, Tz),
}

/// Reads `2026-12-26T18:00`, also with a space for the `T`, with seconds, with an offset (`Z`,
/// `+09:00`), or as a date alone (its first moment). Without an offset it is what the zone's clock
/// shows; of two such moments the first.
///
/// # Errors
/// When the text is no date and time, or the zone's clock skips it.
pub fn parse_moment(text: &str, tz: Tz) -> Result<Timestamp, MomentError> {
    let text = text.trim();
    let written = text.replacen(' ', "T", 1);
    for form in ["%Y-%m-%dT%H:%M%#z", "%Y-%m-%dT%H:%M:%S%#z"] {
        if let Ok(moment) = DateTime::parse_from_str(&written, form) {
            return Ok(moment.to_utc());
        }
    }
    let local = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
        .into_iter()
        .find_map(|form| NaiveDateTime::parse_from_str(&written, form).ok());
    if let Some(local) = local {
        let shown = tz.from_local_datetime(&local).earliest();
        let skipped = || MomentError::Skipped(text.to_owned(), tz);
        return shown.map(|moment| moment.to_utc()).ok_or_else(skipped);
    }
    let day = NaiveDate::parse_from_str(&written, "%Y-%m-%d").ok();
    day.and_then(|day| moment(tz, day.and_time(NaiveTime::MIN), Repeated::First))
        .ok_or_else(|| MomentError::Unreadable(text.to_owned()))
}
