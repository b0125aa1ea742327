//! Who sends from elsewhere hears nothing and is not heard (reliability: RTP bleed and inject).

use super::secure::{SUITES, crypto};
use super::*;

/// A call that strangers attack from everywhere, before and while it runs.
fn attacked(secure: bool) {
    let mut world = World::new();
    let crypto = |n| secure.then(|| crypto(SUITES[0], n, 0));
    for n in 1..=2 {
        world.open(n);
        let keys = crypto(n);
        if let Some((_, theirs)) = &keys {
            world.guards.insert(n, Srtp::new(theirs).unwrap());
        }
        let peer = Peer { proven: false, latch: Some([203, 0, 113, n as u8].into()), ..peer(n) };
        let crypto = keys.map(|(ours, _)| ours);
        world.command(Command::Connect { port: port(n), peer, crypto });
    }
    world.bridge(1, 2);
    let strangers: Vec<SocketAddr> = (1..=200)
        .map(|i| SocketAddr::from(([198, 51, 100, i as u8], 4000)))
        .chain([SocketAddr::new(address(1).ip(), 4002), SocketAddr::new(address(2).ip(), 4000)])
        .collect();
    let mut forged = Voice::new(7);
    let attack = |world: &mut World, forged: &mut Voice| {
        for stranger in &strangers {
            for packet in [forged.packet(), forged.event(96, [5, 0x8a, 3, 32], 9)] {
                assert!(!world.speak_raw(1, *stranger, &packet));
            }
            let mut report = reports::report(world, 1, 3);
            world.engine.handle_rtcp(world.now, port(1), *stranger, &mut report);
        }
    };
    // Before anything: no lock, no packet, no event.
    for _ in 0..20 {
        attack(&mut world, &mut forged);
        world.pass(20 * MS);
    }
    assert!(world.heard.is_empty() && world.rtcp.is_empty() && world.keys().is_empty());
    assert!(!world.events.iter().any(|e| matches!(e, Event::Heard { .. })));
    // While it runs. The peers know each other by their voices.
    let (mut one, mut two) = (Voice::new(1), Voice::new(2));
    for _ in 0..50 {
        attack(&mut world, &mut forged);
        talk(&mut world, &mut [&mut one, &mut two], 1);
    }
    assert_eq!(world.garbled, 0);
    assert!(world.heard.iter().all(|(id, heard)| heard.to == address(id.n)), "bleed");
    assert!(world.rtcp.iter().all(|(id, to, _)| to.ip() == address(id.n).ip()), "bleed");
    // The first of them came before anybody was proven to be there.
    let mut fill = 2u8;
    for heard in world.take(2).iter().filter(|h| h.payload != [0xff; 160]) {
        assert_eq!(heard.payload[0], fill, "inject");
        fill = fill.wrapping_add(1);
    }
    assert_eq!((fill, world.keys().as_str()), (51, ""));
    let quality = world.close(1);
    // One's own host on another port may send reports; on a secure leg they must be authentic.
    let reports = 70;
    assert_eq!((quality.received, quality.rejected), (50, if secure { reports } else { 0 }));
    assert_eq!(quality.strangers + reports, 70 * strangers.len() as u64 * 3);
}

#[test]
fn strangers_hear_nothing_and_are_not_heard() {
    attacked(false);
    attacked(true);
}

#[test]
fn who_forges_the_source_is_not_heard_while_the_peer_speaks() {
    let mut world = World::with_ports(2);
    world.bridge(1, 2);
    let (mut voice, mut forged) = (Voice::new(1), Voice::new(7));
    for _ in 0..100 {
        talk(&mut world, &mut [&mut voice], 1);
        for _ in 0..5 {
            let packet = forged.packet();
            assert!(!world.speak_raw(1, address(1), &packet));
        }
    }
    assert_eq!(world.close(1).strangers, 500);
    // On a secure leg he is not heard even when the peer is silent, nor are the peer's own packets
    // a second time.
    let mut world = World::with_ports(2);
    world.secure(1, SUITES[1]);
    world.bridge(1, 2);
    let spoken: Vec<Vec<u8>> = (0..50)
        .map(|_| {
            let plain = voice.packet();
            let packet = world.sealed(1, &plain);
            world.pass(20 * MS);
            assert!(world.speak_raw(1, address(1), &packet));
            packet
        })
        .collect();
    world.pass(1000 * MS);
    for packet in spoken.iter().chain(&[forged.packet(), voice.packet()]) {
        assert!(!world.speak_raw(1, address(1), packet));
    }
    assert_eq!(world.close(1).rejected, 52);
}

#[test]
fn only_signaling_moves_a_leg() {
    for secure in [false, true] {
        let mut world = World::with_ports(1);
        let keys = secure.then(|| crypto(SUITES[0], 1, 0));
        if let Some((_, theirs)) = &keys {
            world.guards.insert(1, Srtp::new(theirs).unwrap());
        }
        let ours = keys.map(|(ours, _)| ours);
        let connect = |world: &mut World, peer: Peer| {
            let crypto = ours.clone();
            world.command(Command::Connect { port: port(1), peer, crypto });
        };
        connect(&mut world, peer(1));
        let mut voice = Voice::new(1);
        talk(&mut world, &mut [&mut voice], 10);
        // The peer itself, authentic, from another address: not without signaling.
        let elsewhere = SocketAddr::from(([192, 0, 2, 50], 7000));
        for _ in 0..20 {
            let packet = voice.packet();
            assert!(!world.speak_from(1, elsewhere, &packet));
            world.pass(20 * MS);
        }
        assert!(world.take(1).iter().all(|h| h.to == address(1)));
        connect(&mut world, Peer { rtp: elsewhere, ..peer(1) });
        world.speak_from(1, elsewhere, &voice.packet());
        world.pass(100 * MS);
        let heard = world.take(1);
        assert!(!heard.is_empty() && heard.iter().all(|h| h.to == elsewhere));
        let quality = world.close(1);
        assert_eq!((quality.received, quality.strangers, quality.rejected), (11, 20, 0));
    }
}
