//! A record that outlives the process before the database has it.
//!
//! Owns the way from a record to its kept form and back. There is no number in it. Whose it is
//! while its call lives is `record`'s.

use super::cdr::{CallId, Cdr, LegFigures, Whose};
use super::config::{Extension, LineId, TrunkId};
use super::journal::Unreadable;
use super::kept::{self, Word};
use super::record::keeping::{length, nanos};
use crate::media::Quality;
use crate::sip::kept::{print, read};
use crate::time::Timestamp;

/// A record as it is kept.
pub fn keep(cdr: &Cdr) -> Vec<u8> {
    let talks = cdr.talks.iter().map(|(who, talk)| (who.to_string(), nanos(*talk)));
    let legs = cdr
        .legs
        .iter()
        .map(|leg| kept::Voice { whose: keep_whose(&leg.whose), quality: finite(leg.quality) });
    print(&kept::Cdr {
        call: cdr.call.to_string(),
        trunk: cdr.trunk.to_string(),
        line: cdr.line.as_ref().map(ToString::to_string),
        started: cdr.started.timestamp_micros(),
        answered: cdr.answered.map(|at| at.timestamp_micros()),
        ended: cdr.ended.timestamp_micros(),
        outcome: Word(cdr.outcome),
        by: Word(cdr.ended_by),
        reason: cdr.reason.into(),
        presentation: Word(cdr.presentation),
        guidance: nanos(cdr.guidance),
        wait: nanos(cdr.wait),
        talk: nanos(cdr.talk),
        paid_wait: nanos(cdr.paid_wait),
        position: cdr.position,
        offers: cdr.offers,
        counselor: cdr.counselor.as_ref().map(ToString::to_string),
        talks: talks.collect(),
        recorded: cdr.recorded,
        test: cdr.test,
        legs: legs.collect(),
    })
}

/// What was kept.
///
/// # Errors
/// When it is damaged, or a later version's.
pub fn restore(kept: &[u8]) -> Result<Cdr, Unreadable> {
    let kept: kept::Cdr = read(kept)?;
    let moment =
        |micros| Timestamp::from_timestamp_micros(micros).ok_or(Unreadable::Without("moment"));
    let extension = |name: String| Extension::from(name.as_str());
    let talks = kept.talks.into_iter().map(|(who, talk)| (extension(who), length(talk)));
    let legs = kept.legs.into_iter();
    let legs = legs.map(|kept::Voice { whose, quality }| {
        let whose = restore_whose(whose);
        LegFigures { whose, quality }
    });
    Ok(Cdr {
        call: CallId(kept.call.into()),
        trunk: TrunkId::from(kept.trunk.as_str()),
        line: kept.line.map(|line| LineId::from(line.as_str())),
        started: moment(kept.started)?,
        answered: kept.answered.map(moment).transpose()?,
        ended: moment(kept.ended)?,
        outcome: kept.outcome.0,
        ended_by: kept.by.0,
        reason: kept.reason.into(),
        presentation: kept.presentation.0,
        guidance: length(kept.guidance),
        wait: length(kept.wait),
        talk: length(kept.talk),
        paid_wait: length(kept.paid_wait),
        position: kept.position,
        offers: kept.offers,
        counselor: kept.counselor.map(extension),
        talks: talks.collect(),
        recorded: kept.recorded,
        test: kept.test,
        legs: legs.collect(),
    })
}

/// JSON has no word for what is no number; it would be read as damage.
fn finite(quality: Quality) -> Quality {
    let finite = |x: f32| if x.is_finite() { x } else { 0.0 };
    let (jitter_ms, jitter_max_ms) = (finite(quality.jitter_ms), finite(quality.jitter_max_ms));
    Quality { jitter_ms, jitter_max_ms, ..quality }
}

fn keep_whose(whose: &Whose) -> kept::Whose {
    match whose {
        Whose::Caller => kept::Whose::Caller,
        Whose::Counselor(who) => kept::Whose::Counselor(who.to_string()),
        Whose::Supervisor(who) => kept::Whose::Supervisor(who.to_string()),
    }
}

fn restore_whose(whose: kept::Whose) -> Whose {
    match whose {
        kept::Whose::Caller => Whose::Caller,
        kept::Whose::Counselor(who) => Whose::Counselor(who.as_str().into()),
        kept::Whose::Supervisor(who) => Whose::Supervisor(who.as_str().into()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::call::cdr::{EndReason, EndedBy, Outcome, Presentation};

    fn record() -> Cdr {
        let started = Timestamp::from_timestamp_micros(1_800_000_000_123_456).unwrap();
        let quality = Quality {
            received: 7,
            jitter_ms: 1.5,
            mos: Some(4.25),
            source_differs: true,
            ..Quality::default()
        };
        let leg = |whose| LegFigures { whose, quality };
        Cdr {
            call: CallId("abc".into()),
            trunk: "navi".into(),
            line: Some("nijiiro".into()),
            started,
            answered: Some(started + Duration::from_millis(80)),
            ended: started + Duration::from_secs(3_000),
            outcome: Outcome::Answered,
            ended_by: EndedBy::Counselor,
            reason: EndReason::Rejected(488),
            presentation: Presentation::Payphone,
            guidance: Duration::from_nanos(1),
            wait: Duration::from_secs(2),
            talk: Duration::from_secs(3),
            paid_wait: Duration::from_secs(4),
            position: Some(5),
            offers: 6,
            counselor: Some("102".into()),
            talks: vec![("101".into(), Duration::from_secs(1)), ("102".into(), Duration::ZERO)],
            recorded: 2,
            test: false,
            legs: vec![
                leg(Whose::Caller),
                leg(Whose::Counselor("101".into())),
                leg(Whose::Supervisor("201".into())),
            ],
        }
    }

    #[test]
    fn a_record_is_what_it_was() {
        assert_eq!(restore(&keep(&record())), Ok(record()));
        let bare = Cdr {
            line: None,
            answered: None,
            position: None,
            counselor: None,
            talks: vec![],
            legs: vec![],
            ..record()
        };
        assert_eq!(restore(&keep(&bare)), Ok(bare));
    }

    #[test]
    fn figures_that_are_none_are_no_damage() {
        let mut odd = record();
        odd.legs[0].quality.jitter_ms = f32::NAN;
        odd.legs[0].quality.mos = Some(f32::INFINITY);
        let restored = restore(&keep(&odd)).unwrap();
        let quality = restored.legs[0].quality;
        assert_eq!((quality.jitter_ms, quality.mos, quality.received), (0.0, None, 7));
    }

    #[test]
    fn damage_is_told() {
        assert!(restore(b"{\"format\":1,\"form\":{}}").is_err());
        assert_eq!(restore(b"{\"format\":9}"), Err(Unreadable::Newer(9)));
    }
}
