use koebashi::call::board::Board;
use koebashi::sip::header::Name;

use super::{CALLER, COUNSELOR, S, only_record};
use crate::config::basic;
use crate::sim::World;

/// The canary as it may be written: whole, national, its end, backwards.
const CANARIES: [&str; 7] = [
    "09011112222",
    "9011112222",
    "+819011112222",
    "090-1111-2222",
    "2222111109",
    "11112222",
    "2222",
];

#[test]
fn the_callers_number_is_nowhere_but_in_the_live_call() {
    let mut world = World::new(&basic("", "ring_timeout = \"4s\"\nretry = \"1s\"", ""));
    let a = world.add_counselor("101", COUNSELOR);
    let b = world.add_counselor("102", 0x56);
    world.phone(a).answer = crate::sim::Answer::Refuses(486);
    let headers: Vec<(Name, &str)> = vec![
        (Name::PAssertedIdentity, "\"09011112222\" <tel:+819011112222>"),
        (Name::Diversion, "<sip:09011112222@carrier.example>;reason=unconditional"),
        (Name::HistoryInfo, "<sip:+819011112222@carrier.example>;index=1"),
        (Name::Subject, "090-1111-2222"),
        (Name::UserAgent, "phone 09011112222"),
        (Name::Other("X-Caller".into()), "+819011112222"),
        (Name::Other("Remote-Party-ID".into()), "<sip:09011112222@carrier.example>"),
    ];
    let caller = world.add_caller(1, CALLER);
    world.with(caller, |phone, now| {
        let from = "\"09011112222\" <sip:+819011112222@carrier.example;cpn=09011112222>";
        phone.call(now, "0570000000", from, &headers);
    });
    let mut boards: Vec<Board> = Vec::new();
    for _ in 0..12 {
        world.run(S);
        boards.push(world.shown.clone());
    }
    assert_eq!(world.hears(caller), format!("voice {}", b.0), "{}", world.story());
    world.with(caller, |phone, now| {
        phone.press_by_info(now, '1');
        phone.hold(now, true);
    });
    world.run(3 * S);
    world.with(caller, |phone, now| phone.hang_up(now));
    let cdr = only_record(&mut world);
    let to_counselors: Vec<String> = [a, b]
        .into_iter()
        .map(|phone| world.phones[phone.0].sip)
        .flat_map(|at| world.wire.iter().filter(move |sent| sent.to == at))
        .map(|sent| String::from_utf8_lossy(&sent.bytes).into_owned())
        .collect();
    assert!(to_counselors.len() > 6);
    let places = [
        ("SIP to counselors", to_counselors.join("\n")),
        ("steps", world.steps.join("\n")),
        ("boards", format!("{boards:?}")),
        ("the record", format!("{cdr:?}")),
    ];
    for (place, text) in places {
        assert!(!text.is_empty());
        for canary in CANARIES {
            // Four digits may come up by chance in tokens and times; alone they say little.
            let is_there = if canary.len() == 4 {
                text.contains(&format!("{canary}@")) || text.contains(&format!("\"{canary}\""))
            } else {
                text.contains(canary)
            };
            assert!(!is_there, "{canary} in {place}");
        }
    }
}

#[test]
fn tokens_of_a_call_say_nothing_of_its_caller() {
    // The same number twice, the same seed: what is shown differs from call to call all the same.
    let mut world = World::new(&basic("", "", ""));
    let counselor = world.add_counselor("101", COUNSELOR);
    for n in 1..=2 {
        let caller = world.add_caller(n, n);
        world.dial(caller);
        world.run(5 * S);
        world.with(caller, |phone, now| phone.hang_up(now));
        world.run(3 * S);
    }
    assert_ne!(world.cdrs[0].call, world.cdrs[1].call);
    let invites = super::requests_to(&world, counselor, &koebashi::sip::message::Method::Invite);
    let from: Vec<_> = invites.iter().map(|m| m.from().unwrap().uri.to_owned()).collect();
    assert_ne!(from[0], from[1]);
}
