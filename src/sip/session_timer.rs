//! Session timers (RFC 4028): how long a session lives without a refresh, and who refreshes.
//!
//! Owns the arithmetic and the choices of §7 (UAC), §9 (UAS) and §10 (when to give up). Does not
//! own the deadlines nor the requests: the session does.

use std::time::Duration;

use crate::sip::header::{Refresher, SessionExpires};

/// The shortest interval that we accept, in seconds (§4: no shorter one may be demanded).
pub(crate) const MIN_SE: u32 = 90;

/// What a request that came to us says of its timer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    /// Session-Expires.
    pub(crate) expires: Option<SessionExpires>,
    /// Min-SE.
    pub(crate) min: Option<u32>,
    /// `timer` is in Supported (or Require).
    pub(crate) supported: bool,
}

/// Refuse with 422 and `Min-SE:` [`MIN_SE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooShort;

/// The timer of a session, as agreed by the latest 2xx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    /// Life without refresh, in seconds.
    pub(crate) seconds: u32,
    /// Refreshing is our duty.
    pub(crate) ours: bool,
}

/// What our 2xx says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Who refreshes, in the words of Session-Expires: the UAC or UAS of this transaction.
    pub(crate) refresher: Refresher,
    /// Whether 2xx carries `Require: timer`: only a peer that knows timers may read it.
    pub(crate) require: bool,
    /// The timer that starts.
    pub(crate) agreed: Agreed,
}

/// Chooses the timer when we are asked (§9). `wanted`: the interval that we would like, in seconds.
/// `None`: the session has no timer.
pub(crate) fn answer(asked: &Asked, wanted: Option<u32>) -> Result<Option<Answer>, TooShort> {
    let floor = asked.min.unwrap_or(0).max(MIN_SE);
    let seconds = match (asked.expires, wanted) {
        // A proxy put it there for a peer that could not react to 422: no timer.
        (Some(it), _) if it.seconds < MIN_SE && !asked.supported => return Ok(None),
        (Some(it), _) if it.seconds < MIN_SE => return Err(TooShort),
        // It may be shortened, never lengthened.
        (Some(it), Some(wanted)) => it.seconds.min(wanted.max(floor)),
        (Some(it), None) => it.seconds,
        (None, Some(wanted)) => wanted.max(floor),
        (None, None) => return Ok(None),
    };
    let refresher = match asked.expires.and_then(|it| it.refresher) {
        Some(Refresher::Uac) if asked.supported => Refresher::Uac,
        Some(Refresher::Uac | Refresher::Uas) => Refresher::Uas,
        None if asked.supported => Refresher::Uac,
        None => Refresher::Uas,
    };
    let theirs = refresher == Refresher::Uac;
    let agreed = Agreed { seconds, ours: !theirs };
    Ok(Some(Answer { refresher, require: theirs, agreed }))
}

/// The timer that a 2xx to our own request starts (§7.2); a 2xx without Session-Expires ends it.
pub(crate) fn accepted(response: Option<SessionExpires>) -> Option<Agreed> {
    let it = response?;
    // A peer can only shorten what we asked for; less than the minimum would make us flood it.
    let seconds = it.seconds.max(MIN_SE);
    Some(Agreed { seconds, ours: it.refresher != Some(Refresher::Uas) })
}

impl Agreed {
    /// When the refresher refreshes, after the latest 2xx.
    pub(crate) fn refresh_after(self) -> Duration {
        Duration::from_secs(self.seconds.into()) / 2
    }

    /// When the session is given up by BYE: a third of the interval, at most 32 s, before its end.
    pub(crate) fn give_up_after(self) -> Duration {
        let interval = Duration::from_secs(self.seconds.into());
        interval - (interval / 3).min(Duration::from_secs(32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Refresher::{Uac, Uas};

    fn asked(seconds: u32, refresher: Option<Refresher>, supported: bool) -> Asked {
        Asked { expires: Some(SessionExpires { seconds, refresher }), min: None, supported }
    }

    #[test]
    fn uas_chooses_as_asked() {
        let check = |asked: Asked, wanted, seconds, refresher, require| {
            let got = answer(&asked, wanted).unwrap().unwrap();
            let want = Agreed { seconds, ours: refresher == Uas };
            assert_eq!(got, Answer { refresher, require, agreed: want });
        };
        check(asked(300, Some(Uac), true), None, 300, Uac, true);
        check(asked(300, Some(Uas), true), None, 300, Uas, false);
        check(asked(300, None, true), None, 300, Uac, true);
        check(asked(300, None, false), None, 300, Uas, false);
        check(asked(1800, None, true), Some(300), 300, Uac, true);
        check(asked(300, None, true), Some(1800), 300, Uac, true);
        let with_min = Asked { min: Some(600), ..asked(1800, None, true) };
        check(with_min, Some(300), 600, Uac, true);
        let none = Asked { supported: true, ..Asked::default() };
        check(none, Some(300), 300, Uac, true);
        check(Asked::default(), Some(300), 300, Uas, false);
        check(Asked::default(), Some(10), 90, Uas, false);
    }

    #[test]
    fn no_timer_and_too_short() {
        assert_eq!(answer(&Asked::default(), None), Ok(None));
        assert_eq!(answer(&asked(89, None, true), None), Err(TooShort));
        assert_eq!(answer(&asked(89, None, false), None), Ok(None));
        assert!(answer(&asked(90, None, true), None).unwrap().is_some());
    }

    #[test]
    fn uac_reads_the_answer() {
        assert_eq!(accepted(None), None);
        let read = |refresher| accepted(Some(SessionExpires { seconds: 300, refresher }));
        assert_eq!(read(Some(Uas)), Some(Agreed { seconds: 300, ours: false }));
        assert_eq!(read(Some(Uac)), Some(Agreed { seconds: 300, ours: true }));
        assert_eq!(read(None), Some(Agreed { seconds: 300, ours: true }));
    }

    #[test]
    fn half_for_refresh_and_a_third_or_32_s_for_giving_up() {
        let times = |seconds| {
            let it = Agreed { seconds, ours: true };
            (it.refresh_after().as_secs(), it.give_up_after().as_secs())
        };
        assert_eq!(times(300), (150, 268));
        assert_eq!(times(90), (45, 60));
        assert_eq!(times(1800), (900, 1768));
    }
}
