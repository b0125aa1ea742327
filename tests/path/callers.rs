use std::time::Duration;

use koebashi::call::cdr::{EndReason, EndedBy, Outcome, Presentation};
use koebashi::sip::header::Name;
use koebashi::sip::message::Method;

use super::{CALLER, COUNSELOR, MS, S, only_record, requests_to, rings};
use crate::config::{alone, basic};
use crate::sim::{Answer, PhoneId, Raw, World};

/// A caller dials the line as `from`, with these headers more.
fn dial_as(world: &mut World, from: &str, headers: &[(Name, &str)]) -> PhoneId {
    let caller = world.add_caller(1, CALLER);
    world.with(caller, |phone, now| phone.call(now, "0570000000", from, headers));
    caller
}

#[test]
fn what_is_known_of_the_number_is_recorded_without_the_number() {
    use Presentation::{Payphone, Shown, Unavailable, Unknown, Withheld};
    let privacy = [(Name::Privacy, "id")];
    type Headers<'a> = &'a [(Name, &'a str)];
    let cases: [(&str, Headers<'_>, Presentation); 8] = [
        ("<sip:09011112222@carrier.example>", &[], Shown),
        ("<tel:+819011112222>", &[], Shown),
        ("\"Anonymous\" <sip:anonymous@anonymous.invalid>", &[], Withheld),
        ("<sip:09011112222@carrier.example>", &privacy, Withheld),
        ("\"Coin line/payphone\" <sip:anonymous@anonymous.invalid>", &[], Payphone),
        ("\"Unavailable\" <sip:unavailable@anonymous.invalid>", &[], Unavailable),
        ("\"Interaction with other service\" <sip:anonymous@anonymous.invalid>", &[], Unavailable),
        ("<sip:carrier.example>", &[], Unknown),
    ];
    for (from, headers, presentation) in cases {
        let mut world = World::new(&basic("", "", ""));
        dial_as(&mut world, from, headers);
        world.run(2 * S);
        let cdr = only_record(&mut world);
        assert_eq!(cdr.presentation, presentation, "{from}");
        assert!(!format!("{cdr:?}").contains("1111"), "{cdr:?}");
    }
}

#[test]
fn ask_186_is_said_to_those_who_show_no_number_and_to_nobody_else() {
    let toml = basic("anonymous = \"ask_186\"", "", "");
    let mut world = World::new(&toml);
    let counselor = world.add_counselor("101", COUNSELOR);
    let caller = dial_as(&mut world, "\"Anonymous\" <sip:anonymous@anonymous.invalid>", &[]);
    world.run(3 * S);
    assert_eq!(world.said(caller), ["ask_186"]);
    assert_eq!(requests_to(&world, caller, &Method::Bye).len(), 1);
    assert_eq!(rings(&world, counselor), 0);
    let cdr = only_record(&mut world);
    assert_eq!((cdr.outcome, cdr.reason), (Outcome::Refused, EndReason::MessageEnded));
    let mut world = World::new(&toml);
    let counselor = world.add_counselor("101", COUNSELOR);
    let caller = dial_as(&mut world, "<sip:09011112222@carrier.example>", &[]);
    world.run(4 * S);
    assert_eq!(world.hears(caller), format!("voice {}", counselor.0));
}

#[test]
fn refuse_refuses_unanswered_with_433() {
    let mut world = World::new(&basic("anonymous = \"refuse\"", "", ""));
    let mut raw = Raw::caller(7);
    raw.local = "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=raw".to_owned();
    raw.invite(&mut world, "", "10.0.1.7:4000");
    assert_eq!(raw.responses(&world, &Method::Invite, 433).len(), 1);
    assert_eq!(raw.responses(&world, &Method::Invite, 180).len(), 0);
    raw.ack(&mut world);
    let cdr = only_record(&mut world);
    assert_eq!((cdr.outcome, cdr.reason), (Outcome::Refused, EndReason::Rejected(433)));
    assert_eq!(cdr.line, Some("main".into()));
}

#[test]
fn a_line_reached_from_another_line_treats_the_anonymous_by_its_own_word() {
    for rule in ["ask_186", "refuse"] {
        let guidance = "[line.guidance]\nstart = { play = [\"a\"], next = \"line:strict\" }\n";
        let strict =
            format!("[[line]]\nid = \"strict\"\nname = \"strict\"\nanonymous = \"{rule}\"\n");
        let toml = basic(guidance, "", &strict);
        let toml = toml.replace("lines = [\"main\"]", "lines = [\"main\", \"strict\"]");
        let mut world = World::new(&toml);
        let counselor = world.add_counselor("101", COUNSELOR);
        let caller = dial_as(&mut world, "\"Anonymous\" <sip:anonymous@anonymous.invalid>", &[]);
        world.run(4 * S);
        assert_eq!(world.said(caller), ["a", "ask_186"], "{rule}");
        assert_eq!(rings(&world, counselor), 0);
        assert_eq!(only_record(&mut world).outcome, Outcome::Refused);
    }
}

#[test]
fn the_called_number_is_read_where_the_trunk_says() {
    let dialed = |trunk: &str, uri: &str, to: &str, more: &str| {
        let toml = basic("", "", "").replace("peers =", &format!("{trunk}\npeers ="));
        let mut world = World::new(&toml);
        let mut raw = Raw::caller(7);
        raw.target = uri.to_owned();
        raw.remote = to.to_owned();
        raw.invite(&mut world, more, "10.0.1.7:4000");
        !raw.responses(&world, &Method::Invite, 180).is_empty()
    };
    let (uri, to) = ("sip:x@10.0.0.1", "<sip:y@10.0.0.1>");
    assert!(dialed("", uri, to, "P-Called-Party-ID: <sip:0570000000@c>\r\n"));
    assert!(dialed("", uri, to, "P-Called-Party-ID: <tel:+81570000000>\r\n"));
    assert!(dialed("", uri, to, "P-Called-Party-ID: \"a <b\" <sip:0570000000@c>;x=1\r\n"));
    assert!(dialed("", uri, to, "P-Called-Party-ID: sip:0570000000@c;x=1, <sip:1@d>\r\n"));
    assert!(dialed("", uri, "<sip:+81570000000@10.0.0.1;user=phone>", ""));
    assert!(dialed("", uri, "<tel:0570-000-000;phone-context=+81>", ""));
    assert!(dialed("", "sip:0570000000@10.0.0.1", to, ""));
    assert!(dialed("called_number = [\"Request-URI\"]", "sip:0570000000@h", "<sip:1@h>", ""));
    assert!(!dialed("called_number = [\"To\"]", "sip:0570000000@h", "<sip:1@h>", ""));
    assert!(dialed("add_prefix = \"05\"", uri, "<sip:70000000@10.0.0.1>", ""));
    assert!(!dialed("", uri, to, ""));
}

#[test]
fn what_goes_on_for_a_caller_goes_less_far() {
    for (left, on) in [("70", 69), ("5", 4), ("200", 69), ("1", 0)] {
        let mut world = World::new(&basic("", "", ""));
        let counselor = world.add_counselor("101", COUNSELOR);
        dial_as(&mut world, "<sip:1@carrier.example>", &[(Name::MaxForwards, left)]);
        world.run(5 * S);
        let invite = requests_to(&world, counselor, &Method::Invite).remove(0);
        assert_eq!(invite.number(&Name::MaxForwards), Some(on), "{left}");
    }
    let mut world = World::new(&basic("", "", ""));
    let caller = dial_as(&mut world, "<sip:1@carrier.example>", &[(Name::MaxForwards, "0")]);
    world.run(5 * S);
    let call_id = world.sent_by(caller)[0].call_id().unwrap().to_owned();
    let answers = world.wire.iter().map(|sent| sent.message());
    let mut answers = answers.filter(|m| m.call_id().is_ok_and(|id| id == call_id));
    assert!(answers.any(|m| m.code() == Some(483)));
    assert!(world.cdrs.is_empty());
}

#[test]
fn strangers_get_no_answer() {
    let mut world = World::new(&basic("", "", ""));
    let mut raw = Raw::caller(7);
    raw.at = "198.51.100.7:5060".to_owned();
    raw.invite(&mut world, "", "198.51.100.7:4000");
    world.run(5 * S);
    assert!(raw.received(&world).is_empty());
    assert!(world.cdrs.is_empty());
    assert_eq!(world.board.counts().dropped_strangers, 1);
}

#[test]
fn more_calls_than_the_service_may_have_are_refused_with_503() {
    let mut world = World::new(&basic("", "", "[service]\nmax_calls = 1"));
    let counselor = world.add_counselor("101", COUNSELOR);
    world.phone(counselor).answer = Answer::Never;
    dial_as(&mut world, "<sip:1@carrier.example>", &[]);
    world.run(S);
    let mut raw = Raw::caller(7);
    raw.invite(&mut world, "", "10.0.1.7:4000");
    let refused = raw.responses(&world, &Method::Invite, 503);
    assert_eq!(refused[0].number(&Name::RetryAfter), Some(30));
    assert_eq!(world.cdrs[0].outcome, Outcome::Full);
}

/// How a kind of call goes, and what becomes of it.
struct Case {
    what: &'static str,
    queue: &'static str,
    counselor: Option<Answer>,
    /// After this the caller hangs up.
    patience: Option<Duration>,
    expected: (Outcome, EndedBy, EndReason),
}

const fn case(
    what: &'static str,
    queue: &'static str,
    counselor: Option<Answer>,
    patience: Option<Duration>,
    expected: (Outcome, EndedBy, EndReason),
) -> Case {
    Case { what, queue, counselor, patience, expected }
}

fn cases() -> [Case; 10] {
    use EndReason::{Cancelled, Hangup, MessageEnded};
    use EndedBy::{Caller, System};
    use Outcome::{
        Abandoned, Answered, Full, GuidanceAbandoned, NoCounselor, ShortAbandoned, TimedOut,
    };
    let never = Some(Answer::Never);
    let soon = Some(Answer::After(S));
    let brief = "max_wait = \"5s\"";
    [
        case("answered", "", soon, Some(9 * S), (Answered, Caller, Hangup)),
        case("abandoned", "", never, Some(9 * S), (Abandoned, Caller, Hangup)),
        case("short", "", never, Some(4 * S), (ShortAbandoned, Caller, Hangup)),
        case("guidance", "", never, Some(300 * MS), (GuidanceAbandoned, Caller, Hangup)),
        case("timed out", brief, never, None, (TimedOut, System, MessageEnded)),
        case("timed out, hung up", brief, never, Some(6 * S), (TimedOut, Caller, Hangup)),
        case("full", "max_callers = 0", never, None, (Full, System, MessageEnded)),
        case("nobody", "", None, None, (NoCounselor, System, MessageEnded)),
        case("nobody, hung up", "", None, Some(200 * MS), (NoCounselor, Caller, Hangup)),
        case("cancelled", "", soon, Some(3 * MS), (GuidanceAbandoned, Caller, Cancelled)),
    ]
}

#[test]
fn every_call_leaves_one_record_with_the_right_outcome() {
    for Case { what, queue, counselor, patience, expected } in cases() {
        let mut world = World::new(&alone("", queue, ""));
        if let Some(answer) = counselor {
            let counselor = world.add_counselor("101", COUNSELOR);
            world.phone(counselor).answer = answer;
        }
        let caller = world.add_caller(1, CALLER);
        world.dial(caller);
        if let Some(patience) = patience {
            world.run(patience);
            world.with(caller, |phone, now| phone.hang_up(now));
        }
        world.run(20 * S);
        let cdr = only_record(&mut world);
        assert_eq!((cdr.outcome, cdr.ended_by, cdr.reason), expected, "{what}\n{}", world.story());
        let spans = cdr.guidance + cdr.wait + cdr.talk;
        let lasted = (cdr.ended - cdr.started).to_std().unwrap();
        assert!(spans <= lasted, "{what}: {cdr:?}");
        assert_eq!(cdr.talk.is_zero(), cdr.outcome != Outcome::Answered, "{what}");
    }
}

#[test]
fn the_record_of_an_answered_call_has_the_times_of_each_phase() {
    let mut world = World::new(&alone("", "", ""));
    let counselor = world.add_counselor("101", COUNSELOR);
    let caller = world.add_caller(1, CALLER);
    world.dial(caller);
    world.run(10 * S);
    world.with(counselor, |phone, now| phone.hang_up(now));
    let cdr = only_record(&mut world);
    assert_eq!((cdr.outcome, cdr.ended_by), (Outcome::Answered, EndedBy::Counselor));
    assert_eq!(cdr.reason, EndReason::Hangup);
    assert_eq!(cdr.talks.len(), 1);
    assert!((7 * S..=8 * S).contains(&cdr.talk), "{:?}", cdr.talk);
    assert!((2 * S..=3 * S).contains(&cdr.wait), "{:?}", cdr.wait);
    assert!((2 * S..=3 * S).contains(&cdr.paid_wait), "{:?}", cdr.paid_wait);
    assert!((490 * MS..=520 * MS).contains(&cdr.guidance), "{:?}", cdr.guidance);
    assert_eq!((cdr.position, cdr.offers), (Some(1), 1));
    assert!(cdr.legs.len() == 2 && cdr.legs.iter().all(|leg| leg.quality.received > 300));
}

#[test]
fn a_flood_of_wrong_numbers_does_not_fill_the_records() {
    let mut world = World::new(&basic("", "", ""));
    for n in 0..100 {
        let mut raw = Raw::caller(7);
        raw.call_id = format!("wrong-{n}@10.0.1.7");
        raw.target = "sip:0999999999@10.0.0.1".to_owned();
        raw.remote = "<sip:0999999999@10.0.0.1>".to_owned();
        raw.invite(&mut world, "", "10.0.1.7:4000");
    }
    world.run(S);
    assert_eq!(world.cdrs.len(), 10, "{}", world.story());
    assert!(
        world.cdrs.iter().all(|it| (it.line.is_none(), it.outcome) == (true, Outcome::Refused))
    );
}
