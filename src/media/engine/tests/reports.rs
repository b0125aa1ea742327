//! RTCP and the figures of a call.

use super::*;
use crate::media::rtcp::{LENGTH_MAX, Reports, Sent};
use crate::media::rtp::Report;

pub(super) fn report(world: &World, about: u32, lost: u32) -> Vec<u8> {
    let mut out = [0; LENGTH_MAX];
    let sent = Sent { ssrc: 1001, timestamp: 0, packets: 0, octets: 0, is_sender: false };
    let report = Report { ssrc: about, fraction_lost: 0, lost, newest: 0, jitter: 0 };
    let reports = Reports::new(world.now, "x".to_owned());
    let n = reports.write(world.now, sent, Some(report), &mut out);
    out[..n].to_vec()
}

#[test]
fn reports_go_out_every_five_seconds_to_the_next_port() {
    let mut world = World::with_ports(1);
    world.pass(30_000 * MS);
    assert!((5..=6).contains(&world.rtcp.len()), "{}", world.rtcp.len());
    let above = SocketAddr::new(address(1).ip(), 4001);
    assert!(world.rtcp.iter().all(|(_, to, bytes)| *to == above && bytes[1] == 200));
    let named = SocketAddr::from(([192, 0, 2, 77], 5005));
    world.command(Command::Connect {
        port: port(1),
        peer: Peer { rtcp: Some(named), ..peer(1) },
        crypto: None,
    });
    world.pass(6000 * MS);
    assert_eq!(world.rtcp.last().unwrap().1, named);
    // Held: we have nothing to say but what we hear.
    world.command(Command::Connect {
        port: port(1),
        peer: Peer { send: false, ..peer(1) },
        crypto: None,
    });
    world.pass(11_000 * MS);
    assert_eq!(world.rtcp.last().unwrap().2[1], 201);
}

#[test]
fn rtcp_is_a_sign_of_life_and_a_bye_is_not_the_end() {
    let mut world = World::with_ports(1);
    let from = SocketAddr::new(address(1).ip(), 4001);
    for _ in 0..10 {
        world.pass(3000 * MS);
        let mut packet = report(&world, 1, 0);
        packet.extend([0x81, 203, 0, 1, 0, 0, 0, 1]);
        world.engine.handle_rtcp(world.now, port(1), from, &mut packet);
    }
    world.collect();
    assert!(!world.events.iter().any(|e| matches!(e, Event::Silent { .. })));
    assert!(world.take(1).len() > 1400);
}

#[test]
fn figures_of_a_call() {
    let mut world = World::with_ports(1);
    let mut voice = Voice::new(1);
    talk(&mut world, &mut [&mut voice], 90);
    voice.skip(10);
    world.pass(200 * MS);
    talk(&mut world, &mut [&mut voice], 1);
    let ssrc = world.take(1)[0].header.ssrc;
    let from = SocketAddr::new(address(1).ip(), 4001);
    let mut packet = report(&world, ssrc, 12);
    world.engine.handle_rtcp(world.now, port(1), from, &mut packet);
    // On the RTP port too (RFC 5761), and not from strangers.
    world.speak(1, &report(&world, ssrc, 13));
    world.engine.handle_rtcp(world.now, port(1), address(9), &mut report(&world, ssrc, 99));
    let quality = world.close(1);
    assert_eq!((quality.received, quality.lost, quality.lost_at_peer), (91, 10, 13));
    assert_eq!(quality.strangers, 1);
    assert!((100..=102).contains(&quality.sent), "{}", quality.sent);
    assert!(quality.jitter_ms < 0.1 && quality.round_trip_ms.is_none());
    let mos = quality.mos.unwrap();
    assert!((3.0..3.6).contains(&mos), "{mos}");
}

#[test]
fn without_packets_there_is_no_score() {
    let mut world = World::with_ports(1);
    world.pass(100 * MS);
    let quality = world.close(1);
    assert!(quality.sent > 0);
    assert_eq!(quality, Quality { sent: quality.sent, ..Quality::default() });
}

#[test]
fn a_clean_call_scores_high() {
    let mut world = World::with_ports(1);
    let mut voice = Voice::new(1);
    talk(&mut world, &mut [&mut voice], 500);
    assert!(world.close(1).mos.unwrap() > 4.3);
}

#[test]
fn rtcp_travels_with_rtp_where_agreed() {
    let mut world = World::with_ports(1);
    let peer = Peer { rtcp_mux: true, ..peer(1) };
    world.command(Command::Connect { port: port(1), peer, crypto: None });
    let mut voice = Voice::new(1);
    world.speak(1, &voice.packet());
    let ssrc = {
        world.pass(20 * MS);
        world.take(1)[0].header.ssrc
    };
    world.speak(1, &report(&world, ssrc, 7));
    // Off the RTP port nothing is his: not even from his address.
    world.speak_from(1, SocketAddr::new(address(1).ip(), 4001), &report(&world, ssrc, 8));
    world.pass(12_000 * MS);
    assert!(world.rtcp.is_empty());
    let reports = world.muxed.iter().filter(|(to, bytes)| *to == address(1) && bytes[1] == 200);
    assert!((2..=3).contains(&reports.count()));
    let quality = world.close(1);
    assert_eq!((quality.lost_at_peer, quality.strangers), (7, 1));
}

/// When [`Event::OneWay`], [`Event::BothWays`], [`Event::Silent`] and [`Event::Resumed`] came.
fn told(world: &World, from: Instant) -> Vec<(u64, &'static str)> {
    let name = |event: &Event| match event {
        Event::OneWay { .. } => Some("one way"),
        Event::BothWays { .. } => Some("both ways"),
        Event::Silent { .. } => Some("silent"),
        Event::Resumed { .. } => Some("resumed"),
        Event::Opened { .. }
        | Event::OpenFailed { .. }
        | Event::Heard { .. }
        | Event::Digit { .. }
        | Event::Played { .. }
        | Event::Measured { .. }
        | Event::Closed { .. } => None,
    };
    let at = |at: Instant| (at - from).as_millis() as u64;
    world.told_at.iter().filter_map(|(t, e)| Some((at(*t), name(e)?))).collect()
}

#[test]
fn one_way_audio_is_told_in_three_seconds_and_its_end_at_once() {
    let mut world = World::with_ports(1);
    let from = world.now;
    world.pass(10_000 * MS);
    assert_eq!(told(&world, from), [(3020, "one way")]);
    let mut voice = Voice::new(1);
    world.speak(1, &voice.packet());
    talk(&mut world, &mut [&mut voice], 50);
    assert_eq!(told(&world, from)[1..], [(10_000, "both ways")]);
    // It stops, and packets are lost: first one-way, then silent.
    let from = world.now;
    world.told_at.clear();
    world.pass(5_000 * MS);
    voice.skip(250);
    talk(&mut world, &mut [&mut voice], 50);
    let times = told(&world, from);
    let names: Vec<_> = times.iter().map(|(_, name)| *name).collect();
    assert_eq!(names, ["one way", "silent", "both ways", "resumed"]);
    assert!((2980..=3020).contains(&times[0].0) && (3980..=4020).contains(&times[1].0));
    // The way was broken: the next time is told of again.
    world.told_at.clear();
    world.pass(5_000 * MS);
    assert_eq!(told(&world, from).len(), 2);
    assert_eq!(world.close(1).one_way, 3);
}

#[test]
fn who_only_listens_owes_nothing() {
    let mut world = World::with_ports(3);
    let hears = |world: &mut World, who, source| {
        world.command(Command::Listen { port: port(who), source });
    };
    hears(&mut world, 1, Source::Port(port(2)));
    hears(&mut world, 2, Source::Port(port(1)));
    hears(&mut world, 3, Source::Mix(vec![port(1), port(2)]));
    world.pass(10_000 * MS);
    let silent = |world: &World| {
        let told = world.told_at.iter().map(|(_, event)| event);
        told.filter_map(|it| if let Event::OneWay { port } = it { Some(port.n) } else { None })
            .collect::<Vec<_>>()
    };
    assert_eq!(silent(&world), [1, 2], "the two who talk");
    // From here on he is meant to be heard.
    hears(&mut world, 2, Source::Mix(vec![port(1), port(3)]));
    let from = world.now;
    world.told_at.clear();
    world.pass(10_000 * MS);
    assert_eq!(silent(&world), [3]);
    assert!((2_980..=3_040).contains(&told(&world, from)[0].0));
}

#[test]
fn before_the_answer_nobody_is_missed_and_after_it_within_three_seconds() {
    let mut world = World::new();
    world.open(1);
    let early = Peer { answered: false, ..peer(1) };
    world.command(Command::Connect { port: port(1), peer: early, crypto: None });
    let from = world.now;
    world.pass(20_000 * MS);
    assert!(world.take(1).len() > 900, "it is spoken to");
    assert_eq!(told(&world, from), []);
    world.command(Command::Connect { port: port(1), peer: peer(1), crypto: None });
    let from = world.now;
    world.pass(5_000 * MS);
    assert!(matches!(told(&world, from)[..], [(3000..=3020, "one way")]));
    assert_eq!(world.close(1).one_way, 1);
}

#[test]
fn a_phone_that_mutes_by_sending_nothing_is_told_of_once() {
    let mut world = World::with_ports(1);
    let mut voice = Voice::new(1);
    for _ in 0..5 {
        talk(&mut world, &mut [&mut voice], 100);
        world.pass(5_000 * MS);
        voice.stamp.timestamp = voice.stamp.timestamp.wrapping_add(40_000);
    }
    let count = |name| told(&world, world.now - 60_000 * MS).iter().filter(|t| t.1 == name).count();
    assert_eq!((count("one way"), count("both ways"), count("silent")), (1, 1, 5));
    // What signaling names anew is judged anew.
    let moved = Peer { rtp: address(5), ..peer(1) };
    world.command(Command::Connect { port: port(1), peer: moved, crypto: None });
    world.pass(3_100 * MS);
    assert_eq!(world.close(1).one_way, 2);
}

#[test]
fn who_need_not_speak_or_is_not_sent_to_is_not_missed() {
    for (send, receive, proven) in [(false, true, true), (true, false, true), (true, true, false)] {
        let mut world = World::new();
        world.open(1);
        let peer = Peer { send, receive, proven, ..peer(1) };
        world.command(Command::Connect { port: port(1), peer, crypto: None });
        let from = world.now;
        world.pass(20_000 * MS);
        assert_eq!(told(&world, from), []);
    }
}

#[test]
fn a_live_leg_is_measured_with_every_report() {
    let mut world = World::with_ports(1);
    let nat = SocketAddr::from(([203, 0, 113, 5], 61_234));
    let natted = Peer { latch: Some(nat.ip()), ..peer(1) };
    world.command(Command::Connect { port: port(1), peer: natted, crypto: None });
    world.pass(250 * MS);
    let mut voice = Voice::new(1);
    for _ in 0..600 {
        let mut packet = voice.packet();
        // A square wave of 16,764, which 16,384 becomes by µ-law.
        for (i, byte) in packet[12..].iter_mut().enumerate() {
            let sample = if i % 8 < 4 { 16_384 } else { -16_384 };
            *byte = g711::encode(Law::Mu, sample);
        }
        world.speak_from(1, nat, &packet);
        world.pass(20 * MS);
    }
    let measured: Vec<Quality> = world
        .events
        .iter()
        .filter_map(|e| if let Event::Measured { quality, .. } = e { Some(*quality) } else { None })
        .collect();
    assert_eq!(measured.len(), world.rtcp.len());
    assert!((2..=3).contains(&measured.len()));
    let quality = measured.last().unwrap();
    assert!(quality.received > 250 && quality.sent > 250 && quality.source_differs);
    assert!((quality.first_packet_ms.unwrap() - 250.0).abs() < 0.01);
    let level = quality.level_dbfs.unwrap();
    assert!((level + 5.82).abs() < 0.01, "{level}");
}
