//! RTCP and the figures of a call.

use super::*;
use crate::media::rtcp::{LENGTH_MAX, Reports, Sent};
use crate::media::rtp::Report;

fn report(world: &World, about: u32, lost: u32) -> Vec<u8> {
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
    assert_eq!(world.events, [Event::Opened { port: port(1) }]);
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
    assert_eq!(quality, Quality { sent: quality.sent, ..Quality::default() });
}

#[test]
fn a_clean_call_scores_high() {
    let mut world = World::with_ports(1);
    let mut voice = Voice::new(1);
    talk(&mut world, &mut [&mut voice], 500);
    assert!(world.close(1).mos.unwrap() > 4.3);
}
