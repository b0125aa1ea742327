//! The figures of each leg, and the alarm when audio goes one way only: on the board, in the record,
//! and as news for log and metrics. The media plane's events are played by hand.

use koebashi::call::board::LegView;
use koebashi::call::voice::{News, Side, Voice};
use koebashi::media::{Event, PortId, Quality, Recent, Way};

use super::{MS, S, Talk, basic_talk, only_record};
use crate::config::BASIC;
use crate::sim::{Answer, World};

/// Caller's and counselor's port.
fn ports(world: &World) -> [PortId; 2] {
    let ports: Vec<_> = world.ports.keys().copied().collect();
    ports.try_into().expect("two legs")
}

fn legs(world: &World) -> Vec<LegView> {
    world.shown.calls[0].legs.clone()
}

fn news(world: &World) -> Vec<(Side, News)> {
    world.voices.iter().map(|(_, voice)| (voice.side, voice.news)).collect()
}

fn figures(n: u64) -> Quality {
    Quality {
        received: 100 * n,
        sent: 101 * n,
        lost: n,
        lost_at_peer: 2 * n,
        jitter_ms: 1.5,
        late: 3 * n,
        concealed: 4 * n,
        rejected: 5 * n,
        strangers: 6 * n,
        first_packet_ms: Some(40.0),
        source_differs: true,
        level_dbfs: Some(-26.0),
        mos: Some(4.1),
        ..Quality::default()
    }
}

fn recent(n: u64) -> Option<Recent> {
    Some(Recent { loss: n as f32 / 100.0, jitter_ms: 3.0, mos: 4.0 })
}

#[test]
fn the_board_shows_the_latest_figures_of_both_legs() {
    let Talk { mut world, .. } = basic_talk();
    let [caller, counselor] = ports(&world);
    for n in 1..=2 {
        world.media(Event::Measured { port: caller, quality: figures(n), recent: recent(n) });
        world.media(Event::Measured {
            port: counselor,
            quality: figures(10 * n),
            recent: recent(10 * n),
        });
    }
    world.run(S);
    let leg = |side, n| LegView {
        side,
        quality: figures(n),
        recent: recent(n),
        is_one_way: false,
        is_unheard: false,
    };
    assert_eq!(legs(&world), [leg(Side::Caller, 2), leg(Side::Counselor, 20)]);
    assert_eq!(news(&world), []);
}

#[test]
fn one_way_audio_is_told_once_and_shown_at_once_until_it_is_over() {
    let Talk { mut world, .. } = basic_talk();
    let [_, counselor] = ports(&world);
    let began = world.now;
    world.media(Event::OneWay { port: counselor, way: Way::FromPeer });
    world.media(Event::OneWay { port: counselor, way: Way::FromPeer });
    world.run(300 * MS);
    let shown = |world: &World| legs(world).iter().map(|l| l.is_one_way).collect::<Vec<_>>();
    assert_eq!(shown(&world), [false, true]);
    let call = Some(world.shown.calls[0].call.clone());
    let told = Voice { call, side: Side::Counselor, news: News::OneWay(Way::FromPeer) };
    assert_eq!(world.voices, [(began, told)]);
    world.media(Event::BothWays { port: counselor, way: Way::FromPeer });
    world.run(300 * MS);
    assert_eq!(shown(&world), [false, false]);
    assert_eq!(news(&world)[1..], [(Side::Counselor, News::BothWays(Way::FromPeer))]);
    // Of a leg that has no port any more nothing is said.
    world.media(Event::OneWay { port: PortId { n: 999, shard: 0 }, way: Way::FromPeer });
    assert_eq!(world.voices.len(), 2);
}

#[test]
fn a_phone_that_hears_nothing_is_told_of_like_one_that_is_not_heard() {
    let Talk { mut world, .. } = basic_talk();
    let [caller, _] = ports(&world);
    let shown = |world: &World| {
        let leg = &legs(world)[0];
        (leg.is_one_way, leg.is_unheard)
    };
    for (event, is_unheard) in [
        (Event::OneWay { port: caller, way: Way::ToPeer }, true),
        (Event::BothWays { port: caller, way: Way::FromPeer }, true),
        (Event::BothWays { port: caller, way: Way::ToPeer }, false),
    ] {
        world.media(event);
        world.run(300 * MS);
        assert_eq!(shown(&world), (false, is_unheard));
    }
    let told = [News::OneWay(Way::ToPeer), News::BothWays(Way::ToPeer)];
    assert_eq!(news(&world), told.map(|news| (Side::Caller, news)));
}

#[test]
fn the_figures_of_the_end_are_in_the_record_and_told_by_side() {
    let Talk { mut world, caller, .. } = basic_talk();
    let [caller_port, counselor_port] = ports(&world);
    world.media(Event::Measured { port: caller_port, quality: figures(1), recent: None });
    world.media(Event::Measured { port: counselor_port, quality: figures(9), recent: None });
    world.hung.push(counselor_port);
    world.with(caller, |phone, now| phone.hang_up(now));
    let cdr = only_record(&mut world);
    assert!(cdr.caller_quality().received > 10 && cdr.caller_quality() != figures(1));
    assert_eq!(cdr.counselor_qualities().collect::<Vec<_>>(), [figures(9)]);
    let told = [
        (Side::Counselor, News::Closed(figures(9))),
        (Side::Caller, News::Closed(cdr.caller_quality())),
    ];
    assert_eq!(news(&world), told);
}

#[test]
fn a_phone_that_never_answers_leaves_no_figures() {
    let mut world = World::new(&BASIC.replace("wrap_up", "ring_timeout = \"2s\"\nwrap_up"));
    let counselor = world.add_counselor("101", super::COUNSELOR);
    world.phone(counselor).answer = Answer::Never;
    let caller = world.add_caller(1, super::CALLER);
    world.dial(caller);
    world.run(8 * S);
    world.with(caller, |phone, now| phone.hang_up(now));
    let cdr = only_record(&mut world);
    assert!(cdr.offers > 0, "{}", world.story());
    assert_eq!(news(&world), [(Side::Caller, News::Closed(cdr.caller_quality()))]);
}

#[test]
fn an_extensions_own_call_is_told_by_its_role() {
    for (role, side) in [("supervisor", Side::Supervisor), ("counselor", Side::Counselor)] {
        let role = format!("name = \"相談員A\"\nrole = \"{role}\"");
        let mut world = World::new(&BASIC.replace("name = \"相談員A\"", &role));
        let phone = world.add_counselor("101", super::COUNSELOR);
        world.with(phone, |phone, now| phone.dial(now, "*22"));
        world.run(400 * MS);
        let port = *world.ports.keys().next().expect("its leg");
        world.media(Event::OneWay { port, way: Way::FromPeer });
        world.run(8 * S);
        assert_eq!(world.open_ports(), 0);
        let told = &world.voices;
        assert!(told.iter().all(|(_, v)| v.side == side && v.call.is_none()), "{told:?}");
        assert!(matches!(told.last(), Some((_, Voice { news: News::Closed(_), .. }))), "{told:?}");
    }
}
