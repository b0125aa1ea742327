//! "Did you mean": the known name nearest to one that is not known.

use crate::complaint::Hint;

/// Names are listed in full up to this many.
const LISTED: usize = 8;
/// From this likeness on (0 to 1) a name may have been meant.
const ALIKE: f64 = 0.5;

/// What other systems call it (Asterisk's app_queue, FreeSWITCH's mod_callcenter) = what we do.
const ELSEWHERE: [(&str, &str); 21] = [
    ("agent", "counselor"),
    ("announce-frequency", "announce_every"),
    ("announce_frequency", "announce_every"),
    ("autopause", "auto_pause_after"),
    ("call_timeout", "ring_timeout"),
    ("holidays_jp", "holidays"),
    ("joinempty", "max_wait_no_counselor"),
    ("leavewhenempty", "max_wait_no_counselor"),
    ("max-no-answer", "auto_pause_after"),
    ("max-wait-time", "max_wait"),
    ("max-wait-time-with-no-agent", "max_wait_no_counselor"),
    ("maxlen", "max_callers"),
    ("moh", "hold"),
    ("moh-sound", "hold"),
    ("musicclass", "hold"),
    ("periodic_announce_frequency", "announce_every"),
    ("queue", "line"),
    ("timeout", "ring_timeout"),
    ("wrap-up-time", "wrap_up"),
    ("wrapup_time", "wrap_up"),
    ("wrapuptime", "wrap_up"),
];

/// The known name that is nearest to what was written; `None` when none resembles it.
pub(super) fn nearest<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let written = written.to_lowercase();
    let likeness =
        |name: &str| strsim::normalized_damerau_levenshtein(&written, &name.to_lowercase());
    let known: Vec<&str> = known.into_iter().collect();
    let elsewhere =
        ELSEWHERE.iter().find(|(theirs, ours)| *theirs == written && known.contains(ours));
    if let Some((_, ours)) = elsewhere {
        return known.into_iter().find(|name| name == ours);
    }
    let scored = known.into_iter().map(|name| (likeness(name), name));
    let best = scored.max_by(|(a, x), (b, y)| a.total_cmp(b).then_with(|| y.cmp(x)));
    best.filter(|(score, _)| *score >= ALIKE).map(|(_, name)| name)
}

/// The end of a complaint about an unknown name: the nearest known one, or what there is.
pub(super) fn hint<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Hint {
    let known: Vec<&str> = known.into_iter().collect();
    let names = known.iter().take(LISTED).map(|name| (*name).to_owned());
    match nearest(written, known.iter().copied()) {
        Some(name) => Hint::Nearest(name.to_owned()),
        None if known.is_empty() => Hint::Nothing,
        None if known.len() <= LISTED => Hint::These(names.collect()),
        None => Hint::Some(names.collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::complaint::Say as _;
    use crate::lang::Lang;

    #[test]
    fn a_slip_of_the_pen_is_understood() {
        let known = ["ring_timeout", "retry", "max_wait", "max_wait_no_counselor", "wrap_up"];
        let check = |written, expected| assert_eq!(nearest(written, known), expected, "{written}");
        check("ring_timout", Some("ring_timeout"));
        check("Max_Wait", Some("max_wait"));
        check("wrapup", Some("wrap_up"));
        check("wrapuptime", Some("wrap_up"));
        check("call_timeout", Some("ring_timeout"));
        // No such key here: nothing is made up.
        check("maxlen", None);
        check("xyz", None);
        check("", None);
    }

    #[test]
    fn what_resembles_nothing_is_told_what_there_is() {
        let hint =
            |written, known: &[&'static str]| hint(written, known.iter().copied()).say(Lang::En);
        assert_eq!(hint("xyz", &["udp", "tcp"]), "; there is udp, tcp");
        assert_eq!(hint("upd", &["udp", "tcp"]), "; the nearest is \"udp\"");
        assert_eq!(hint("x", &[]), "; there is none");
        let nine = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
        assert_eq!(hint("xyz", &nine), "; there is a, b, c, d, e, f, g, h, …");
    }
}
