//! A peer that moves, pauses or begins a new stream is heard again; nobody else is in its place.

use super::secure::{SUITES, crypto};
use super::*;

/// A leg as the call path makes it: the signaling comes from the host of the audio, or from the NAT
/// before it.
fn connect(world: &mut World, rtp: SocketAddr, latch: SocketAddr) {
    let peer = Peer { rtp, latch: Some(latch.ip()), ..peer(1) };
    world.command(Command::Connect { port: port(1), peer, crypto: None });
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::new(address(1).ip(), port)
}

/// So many packets from there, one every 20 ms; how many were heard.
fn say(world: &mut World, voice: &mut Voice, from: SocketAddr, n: usize) -> usize {
    (0..n)
        .filter(|_| {
            world.pass(20 * MS);
            let packet = voice.packet();
            world.speak_from(1, from, &packet)
        })
        .count()
}

/// Where packets to the peer went in the next 200 ms.
fn sent_to(world: &mut World) -> Vec<SocketAddr> {
    world.take(1);
    world.pass(200 * MS);
    let mut to: Vec<SocketAddr> = world.take(1).into_iter().map(|heard| heard.to).collect();
    to.dedup();
    to
}

#[test]
fn a_peer_that_moves_to_another_port_is_heard_there() {
    for (strays, ssrc) in [(1, 1001), (1, 5), (10, 5), (0, 5)] {
        let mut world = World::with_ports(2);
        world.bridge(1, 2);
        connect(&mut world, at(4000), at(0));
        let mut voice = Voice::new(1);
        assert_eq!(say(&mut world, &mut voice, at(4000), 50), 50);
        connect(&mut world, at(4002), at(0));
        // Packets from the old port are still under way, and change nothing.
        assert_eq!(say(&mut world, &mut voice, at(4000), strays), strays);
        assert_eq!(sent_to(&mut world), [at(4002)]);
        voice.stamp.ssrc = ssrc;
        assert_eq!(say(&mut world, &mut voice, at(4002), 500), 500);
        assert_eq!(sent_to(&mut world), [at(4002)]);
        assert_eq!(say(&mut world, &mut Voice::new(7), at(4000), 50), 0);
    }
}

#[test]
fn a_secure_peer_that_moves_to_another_port_is_heard_there() {
    let mut world = World::with_ports(2);
    world.bridge(1, 2);
    let (ours, theirs) = crypto(SUITES[0], 1, 0);
    world.guards.insert(1, Srtp::new(&theirs).unwrap());
    let mut voice = Voice::new(1);
    for (rtp, n) in [(at(4000), 50), (at(4002), 500)] {
        let peer = Peer { rtp, latch: Some(rtp.ip()), ..peer(1) };
        world.command(Command::Connect { port: port(1), peer, crypto: Some(ours.clone()) });
        say(&mut world, &mut voice, at(4000), 1);
        assert_eq!(say(&mut world, &mut voice, rtp, n), n);
        assert_eq!(sent_to(&mut world), [rtp]);
    }
}

#[test]
fn behind_nat_another_private_address_changes_nothing() {
    let mut world = World::with_ports(2);
    world.bridge(1, 2);
    let nat = SocketAddr::from(([203, 0, 113, 5], 61_234));
    connect(&mut world, at(4000), nat);
    let mut voice = Voice::new(1);
    assert_eq!(say(&mut world, &mut voice, nat, 50), 50);
    connect(&mut world, at(4002), nat);
    assert_eq!(sent_to(&mut world), [nat]);
    assert_eq!(say(&mut world, &mut voice, nat, 100), 100);
    assert_eq!(sent_to(&mut world), [nat]);
    // It has stayed: SDP's place takes over no more with a voice of its own.
    let mut forged = Voice::new(7);
    for _ in 0..50 {
        assert_eq!(say(&mut world, &mut voice, nat, 1), 1);
        let packet = forged.packet();
        assert!(!world.speak_raw(1, at(4002), &packet));
    }
}

#[test]
fn a_natted_phones_new_mapping_is_its_own_address() {
    let nat = |port| SocketAddr::from(([203, 0, 113, 5], port));
    let mut world = World::with_ports(2);
    world.bridge(1, 2);
    connect(&mut world, at(4000), nat(0));
    let mut voice = Voice::new(1);
    assert_eq!(say(&mut world, &mut voice, nat(61_234), 50), 50);
    // The same voice by another port, at once, and no straggler moves it back.
    let late = voice.packet();
    assert_eq!(say(&mut world, &mut voice, nat(61_300), 50), 50);
    assert!(!world.speak_raw(1, nat(61_234), &late));
    assert_eq!(sent_to(&mut world), [nat(61_300)]);
    // Another voice by another port of the same host: only after signaling, and in half a second.
    voice.stamp.ssrc = 5;
    assert_eq!(say(&mut world, &mut voice, nat(61_400), 100), 0);
    connect(&mut world, at(4000), nat(0));
    assert!(say(&mut world, &mut voice, nat(61_400), 100) >= 75);
    assert_eq!(sent_to(&mut world), [nat(61_400)]);
    // From another network, as signaling says; the first is nobody's then.
    let moved = SocketAddr::from(([203, 0, 113, 77], 7000));
    connect(&mut world, at(4000), moved);
    assert_eq!(say(&mut world, &mut voice, moved, 50), 50);
    assert_eq!(sent_to(&mut world), [moved]);
    assert_eq!(say(&mut world, &mut Voice::new(7), nat(61_400), 50), 0);
}

#[test]
fn who_knows_a_phones_host_alone_gets_nothing() {
    let nat = |port| SocketAddr::from(([203, 0, 113, 5], port));
    let mut world = World::with_ports(2);
    world.bridge(1, 2);
    connect(&mut world, at(4000), nat(0));
    let (mut voice, mut forged) = (Voice::new(1), Voice::new(7));
    assert_eq!(say(&mut world, &mut voice, nat(61_234), 60), 60);
    for n in 0..200 {
        if n % 50 == 0 {
            connect(&mut world, at(4000), nat(0));
        }
        assert_eq!(say(&mut world, &mut voice, nat(61_234), 1), 1);
        for from in [nat(61_235), nat(61_234), at(4000)] {
            let packet = forged.packet();
            assert!(!world.speak_raw(1, from, &packet), "{from}");
        }
    }
    assert_eq!(sent_to(&mut world), [nat(61_234)]);
}

#[test]
fn a_refresh_of_the_session_is_no_door() {
    let mut world = World::with_ports(2);
    world.bridge(1, 2);
    connect(&mut world, at(4000), at(0));
    let (mut voice, mut forged) = (Voice::new(1), Voice::new(7));
    assert_eq!(say(&mut world, &mut voice, at(4000), 50), 50);
    // The forger is first after the refresh.
    connect(&mut world, at(4000), at(0));
    for _ in 0..50 {
        let packet = forged.packet();
        assert!(!world.speak_raw(1, at(4000), &packet));
        assert_eq!(say(&mut world, &mut voice, at(4000), 1), 1);
    }
}

#[test]
fn a_pause_gives_nobody_the_leg_for_good() {
    let mut world = World::with_ports(2);
    world.bridge(1, 2);
    connect(&mut world, at(4000), at(0));
    let (mut voice, mut forged) = (Voice::new(1), Voice::new(7));
    assert_eq!(say(&mut world, &mut voice, at(4000), 50), 50);
    assert_eq!(say(&mut world, &mut forged, at(4000), 24), 0);
    // Nobody can tell a forger from a phone that begins anew, until the phone speaks again.
    assert!(say(&mut world, &mut forged, at(4000), 76) > 0);
    for _ in 0..50 {
        assert_eq!(say(&mut world, &mut voice, at(4000), 1), 1);
        let packet = forged.packet();
        assert!(!world.speak_raw(1, at(4000), &packet));
    }
}

#[test]
fn what_was_not_agreed_on_is_counted() {
    let mut world = World::with_ports(1);
    let mut voice = Voice::new(1);
    assert!(!world.speak(1, &voice.packet()));
    voice.payload_type = 18;
    for _ in 0..5 {
        let packet = voice.packet();
        assert!(!world.speak(1, &packet));
    }
    assert!(!world.speak(1, &[0x40; 30]));
    let quality = world.close(1);
    assert_eq!((quality.received, quality.rejected, quality.strangers), (1, 6, 0));
}
