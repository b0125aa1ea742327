//! RTCP and the figures of a call.

use super::*;
use crate::media::Way;
use crate::media::rtcp::{LENGTH_MAX, Reports, Sent};
use crate::media::rtp::Report;

pub(super) fn report(world: &World, about: u32, lost: u32) -> Vec<u8> {
    receipt(world, Some(Report { ssrc: about, fraction_lost: 0, lost, newest: 0, jitter: 0 }))
}

/// What a peer reports.
fn receipt(world: &World, about: Option<Report>) -> Vec<u8> {
    let mut out = [0; LENGTH_MAX];
    let sent =
        Sent { ssrc: 1001, timestamp: 0, packets: 0, octets: 0, is_sender: false, is_last: false };
    let reports = Reports::new(world.now, "x".to_owned());
    let n = reports.write(world.now, sent, about, &mut out);
    out[..n].to_vec()
}

#[test]
fn reports_go_out_to_the_next_port() {
    let mut world = World::with_ports(1);
    world.pass(30_000 * MS);
    assert!((4..=11).contains(&world.rtcp.len()), "{}", world.rtcp.len());
    let above = SocketAddr::new(address(1).ip(), 4001);
    assert!(world.rtcp.iter().all(|(_, to, bytes)| *to == above && bytes[1] == 200));
    let named = SocketAddr::from(([192, 0, 2, 77], 5005));
    world.command(Command::Connect {
        port: port(1),
        peer: Peer { rtcp: Some(named), ..peer(1) },
        crypto: None,
    });
    world.pass(8000 * MS);
    assert_eq!(world.rtcp.last().unwrap().1, named);
    // Held: we have nothing to say but what we hear.
    world.command(Command::Connect {
        port: port(1),
        peer: Peer { send: false, ..peer(1) },
        crypto: None,
    });
    world.pass(16_000 * MS);
    assert_eq!(world.rtcp.last().unwrap().2[1], 201);
}

/// When reports went out in ten minutes, and in which order from the ports.
fn report_times() -> Vec<(u64, PortId, usize)> {
    let mut world = World::with_ports(2);
    let from = world.now;
    let mut times = vec![];
    for _ in 0..30_000 {
        world.pass(20 * MS);
        let at = (world.now - from).as_millis() as u64;
        times.extend(world.rtcp.drain(..).map(|(port, _, bytes)| (at, port, bytes.len())));
    }
    times
}

#[test]
fn reports_keep_no_step() {
    let times = report_times();
    assert_eq!(times, report_times(), "the same seed");
    let of = |n| times.iter().filter(|t| t.1 == port(n)).map(|t| t.0).collect::<Vec<_>>();
    let [one, two] = [of(1), of(2)];
    assert_ne!(one, two);
    for times in [one, two] {
        assert!((1_250..=3_770).contains(&times[0]), "{times:?}");
        let spans: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(spans.iter().all(|span| (2_500..=7_520).contains(span)), "{spans:?}");
        let (least, most) = (spans.iter().min().unwrap(), spans.iter().max().unwrap());
        assert!(*least < 3_500 && *most > 6_500, "{spans:?}");
        let mean = spans.iter().sum::<u64>() / spans.len() as u64;
        assert!((4_500..=5_500).contains(&mean), "{mean}");
    }
}

#[test]
fn a_leg_ends_with_a_bye() {
    let mut world = World::with_ports(1);
    world.pass(500 * MS);
    let ssrc = world.take(1)[0].header.ssrc;
    world.command(Command::Close { port: port(1) });
    let (_, _, bytes) = world.rtcp.last().unwrap();
    assert_eq!(bytes[1], 200, "a report comes first");
    let mut bye = vec![0x81, 203, 0, 1];
    bye.extend(ssrc.to_be_bytes());
    assert!(bytes.ends_with(&bye), "{bytes:x?}");
    // Who has sent nothing takes no leave (§6.3.7).
    let mut world = World::new();
    world.open(1);
    world.command(Command::Connect {
        port: port(1),
        peer: Peer { proven: false, ..peer(1) },
        crypto: None,
    });
    world.pass(500 * MS);
    world.command(Command::Close { port: port(1) });
    assert!(world.rtcp.is_empty());
}

#[test]
fn an_echo_of_our_ssrc_changes_nothing() {
    let mut world = World::with_ports(1);
    world.pass(20 * MS);
    let mut voice = Voice::new(1);
    voice.stamp.ssrc = world.take(1)[0].header.ssrc;
    talk(&mut world, &mut [&mut voice], 100);
    let heard = world.take(1);
    assert!(heard.iter().all(|h| h.header.ssrc == voice.stamp.ssrc));
    assert_unbroken(&heard);
    assert_eq!(world.close(1).received, 100);
}

#[test]
fn rtcp_is_a_sign_of_life_and_a_bye_is_not_the_end() {
    let mut world = World::with_ports(1);
    let from = SocketAddr::new(address(1).ip(), 4001);
    for _ in 0..10 {
        world.pass(2900 * MS);
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
fn the_jitter_of_a_call_is_that_of_all_of_it() {
    let mut world = World::with_ports(1);
    let mut voice = Voice::new(1);
    // Ten seconds in which each packet is 15 ms early or late, then ten in which all is well.
    for n in 0..1000 {
        let late = if n < 500 && n % 2 == 0 { 15 } else { 0 };
        world.pass((5 + late) * MS);
        world.speak(1, &voice.packet());
        world.pass((15 - late) * MS);
    }
    let quality = world.close(1);
    assert!((7.0..8.0).contains(&quality.jitter_ms), "{}", quality.jitter_ms);
    assert!((14.5..15.5).contains(&quality.jitter_max_ms), "{}", quality.jitter_max_ms);
}

#[test]
fn a_live_leg_tells_of_its_last_seconds_too() {
    let mut world = World::with_ports(1);
    let mut voice = Voice::new(1);
    talk(&mut world, &mut [&mut voice], 3000);
    world.events.clear();
    // After a good minute every second packet is lost; then none comes.
    for _ in 0..400 {
        talk(&mut world, &mut [&mut voice], 1);
        voice.skip(1);
        world.pass(20 * MS);
    }
    world.pass(16_000 * MS);
    let measured: Vec<_> = world
        .events
        .iter()
        .filter_map(|e| {
            let Event::Measured { quality, recent, .. } = e else { return None };
            Some((*quality, *recent))
        })
        .collect();
    let (quality, recent) = measured[1];
    let recent = recent.unwrap();
    assert!((0.49..0.51).contains(&recent.loss) && recent.mos < 1.6, "{recent:?}");
    assert!(quality.mos.unwrap() > 2.5, "{quality:?}");
    assert_eq!(measured.last().unwrap().1, None);
}

#[test]
fn what_is_relayed_too_late_for_a_buffer_counts_once() {
    for is_tapped in [false, true] {
        let mut world = World::with_ports(3);
        world.bridge(1, 2);
        if is_tapped {
            world.listen(3, Source::Mix(vec![port(1), port(2)]));
        }
        let mut voice = Voice::new(1);
        talk(&mut world, &mut [&mut voice], 100);
        world.pass(100 * MS);
        // Five packets at once: 100, 80, 60, 40 and 20 ms after their time.
        for _ in 0..5 {
            world.speak(1, &voice.packet());
        }
        talk(&mut world, &mut [&mut voice], 100);
        let quality = world.close(1);
        assert_eq!(quality.lost, 0);
        match is_tapped {
            false => assert_eq!((quality.late, quality.concealed), (2, 0)),
            true => assert!(quality.late <= 5 && quality.concealed > 0, "{quality:?}"),
        }
    }
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
        Event::OneWay { way: Way::FromPeer, .. } => Some("one way"),
        Event::BothWays { way: Way::FromPeer, .. } => Some("both ways"),
        Event::OneWay { way: Way::ToPeer, .. } => Some("unheard"),
        Event::BothWays { way: Way::ToPeer, .. } => Some("arrives"),
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
    assert!((2980..=3020).contains(&times[0].0) && (2980..=3020).contains(&times[1].0));
    // The way was broken: the next time is told of again.
    world.told_at.clear();
    world.pass(5_000 * MS);
    assert_eq!(told(&world, from).len(), 2);
    assert_eq!(world.close(1).one_way, 3);
}

/// A peer that speaks all the time and reports every five seconds, five times. `says`: what, by
/// the number of the report and our SSRC. When and what was told.
fn reported(world: &mut World, says: impl Fn(u32, u32) -> Option<Report>) -> Vec<(u64, String)> {
    let from = world.now;
    world.told_at.clear();
    let mut voice = Voice::new(1);
    let rtcp = SocketAddr::new(address(1).ip(), 4001);
    for n in 0..5 {
        talk(world, &mut [&mut voice], 250);
        let ssrc = world.take(1)[0].header.ssrc;
        let mut packet = receipt(world, says(n, ssrc));
        world.engine.handle_rtcp(world.now, port(1), rtcp, &mut packet);
        world.collect();
    }
    told(world, from).into_iter().map(|(at, what)| (at / 100, what.to_owned())).collect()
}

#[test]
fn who_hears_nothing_of_us_is_told_of_with_the_second_report_that_says_so() {
    let block = |ssrc, newest| Report { ssrc, fraction_lost: 0, lost: 0, newest, jitter: 0 };
    let once = |told: Vec<(u64, String)>| assert_eq!(told, [(100, "unheard".to_owned())]);
    // No report block at all, one about somebody else, and one that does not go on.
    once(reported(&mut World::with_ports(1), |_, _| None));
    once(reported(&mut World::with_ports(1), |_, ssrc| Some(block(!ssrc, 9))));
    let mut world = World::with_ports(1);
    let told =
        reported(&mut world, |n, ssrc| Some(block(ssrc, if n < 4 { 70_000 } else { 70_001 })));
    let told: Vec<_> = told.iter().map(|(at, what)| (*at, what.as_str())).collect();
    assert_eq!(told, [(150, "unheard"), (250, "arrives")]);
    assert_eq!(world.close(1).unheard, 1);
}

#[test]
fn who_hears_us_or_is_not_sent_to_or_never_reports_is_not_told_of() {
    let block = |ssrc, newest| Report { ssrc, fraction_lost: 0, lost: 0, newest, jitter: 0 };
    let told = reported(&mut World::with_ports(1), |n, ssrc| Some(block(ssrc, 250 * n + 250)));
    assert_eq!(told, []);
    // One report in between without a block is no proof.
    let mut world = World::with_ports(1);
    let told = reported(&mut world, |n, ssrc| (n % 2 == 0).then(|| block(ssrc, 250 * n + 250)));
    assert_eq!(told, []);
    // No RTCP at all.
    let mut world = World::with_ports(1);
    let mut voice = Voice::new(1);
    talk(&mut world, &mut [&mut voice], 1500);
    assert_eq!(world.close(1).unheard, 0);
    // Before the answer it need not listen.
    let mut world = World::with_ports(1);
    let early = Peer { answered: false, ..peer(1) };
    world.command(Command::Connect { port: port(1), peer: early, crypto: None });
    assert_eq!(reported(&mut world, |_, _| None), []);
    // It holds us: nothing goes out.
    let mut world = World::with_ports(1);
    let held = Peer { send: false, ..peer(1) };
    world.command(Command::Connect { port: port(1), peer: held, crypto: None });
    let rtcp = SocketAddr::new(address(1).ip(), 4001);
    for _ in 0..5 {
        world.pass(5000 * MS);
        let mut packet = receipt(&world, None);
        world.engine.handle_rtcp(world.now, port(1), rtcp, &mut packet);
    }
    assert_eq!(world.close(1).unheard, 0);
}

#[test]
fn what_the_peer_missed_lowers_its_own_score() {
    let mut world = World::with_ports(1);
    reported(&mut world, |n, ssrc| {
        let (lost, newest) = (25 * (n + 1), 250 * (n + 1));
        Some(Report { ssrc, fraction_lost: 26, lost, newest, jitter: 80 })
    });
    let quality = world.close(1);
    assert_eq!(quality.lost_at_peer, 125);
    // One in ten lost: R = 93.2 - 95 * 10 / 35.1 - 0.024 * 60 = 64.7.
    let mos = quality.mos_at_peer.unwrap();
    assert!((mos - 3.34).abs() < 0.02, "{mos}");
    assert!(quality.mos.unwrap() > mos);
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
        told.filter_map(|it| if let Event::OneWay { port, .. } = it { Some(port.n) } else { None })
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
