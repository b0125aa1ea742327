//! Secure legs: what is believed, what goes out, keys that go on and keys that change.

use super::*;
use crate::media::{Crypto, MasterKey, Suite};

pub(super) const SUITES: [Suite; 3] =
    [Suite::AesCm128HmacSha1_80, Suite::AesCm128HmacSha1_32, Suite::AeadAes128Gcm];

fn key(suite: Suite, seed: u8) -> MasterKey {
    let length = if suite == Suite::AeadAes128Gcm { 28 } else { 30 };
    MasterKey { bytes: (0..length).map(|i| seed.wrapping_mul(31).wrapping_add(i)).collect() }
}

/// Our keys on the leg of port `n`, and its peer's. `epoch` tells one agreement from the next.
pub(super) fn crypto(suite: Suite, n: u32, epoch: u8) -> (Arc<Crypto>, Crypto) {
    let seed = n as u8 * 16 + epoch;
    let ours =
        Crypto { suite, send: key(suite, seed), receive: key(suite, seed.wrapping_add(128)) };
    let theirs = Crypto { suite, send: ours.receive.clone(), receive: ours.send.clone() };
    (Arc::new(ours), theirs)
}

impl World {
    /// Makes the leg of port `n` secure.
    pub(super) fn secure(&mut self, n: u32, suite: Suite) {
        let (ours, theirs) = crypto(suite, n, 0);
        self.guards.insert(n, Srtp::new(&theirs).unwrap());
        let peer = peer(n);
        self.command(Command::Connect { port: port(n), peer, crypto: Some(ours) });
    }
}

#[test]
fn voices_pass_between_secure_and_plain_legs() {
    for (one, two) in [(Some(0), Some(2)), (Some(1), None), (None, Some(2)), (Some(0), Some(0))] {
        let mut world = World::with_ports(2);
        for (n, suite) in [(1, one), (2, two)] {
            if let Some(suite) = suite {
                world.secure(n, SUITES[suite]);
            }
        }
        world.play(2, &["wait"], Then::Silence);
        world.pass(100 * MS);
        world.bridge(1, 2);
        let mut voice = Voice::new(1);
        for _ in 0..100 {
            world.pass(20 * MS);
            let packet = voice.packet();
            assert!(world.speak(1, &packet));
            assert_eq!(world.heard.last().unwrap().1.payload, packet[12..]);
        }
        assert_unbroken(&world.take(2));
        assert_eq!(world.garbled, 0);
        assert_eq!(world.close(1).rejected, 0);
    }
}

#[test]
fn nothing_plain_is_sent_or_believed_on_a_secure_leg() {
    for suite in SUITES {
        let mut world = World::with_ports(1);
        world.secure(1, suite);
        let proven = Peer { proven: false, ..peer(1) };
        let (ours, theirs) = crypto(suite, 1, 0);
        world.command(Command::Connect { port: port(1), peer: proven, crypto: Some(ours) });
        let mut voice = Voice::new(1);
        let guard = world.guards.remove(&1).unwrap();
        // From the right address, but plain: no lock, no event, no figures.
        for _ in 0..10 {
            let packet = voice.packet();
            assert!(!world.speak(1, &packet));
        }
        let mut report = reports::report(&world, 1, 5);
        world.engine.handle_rtcp(world.now, port(1), address(1), &mut report);
        world.pass(20_000 * MS);
        assert!(world.heard.is_empty() && world.rtcp.is_empty());
        assert!(!world.events.contains(&Event::Heard { port: port(1) }));
        world.guards.insert(1, guard);
        let packet = voice.packet();
        world.speak(1, &packet);
        assert!(world.events.contains(&Event::Heard { port: port(1) }));
        world.pass(10_000 * MS);
        assert!(world.take(1).len() > 400 && world.rtcp.len() > 1);
        assert_eq!(world.garbled, 0);
        // The same packets can't be read with other keys: they are no plain ones.
        world.guards.insert(1, Srtp::new(&crypto(suite, 9, 0).1).unwrap());
        world.rtcp.clear();
        world.pass(10_000 * MS);
        assert!(world.take(1).is_empty() && world.rtcp.is_empty());
        assert!(world.garbled > 500);
        let quality = world.close(1);
        assert_eq!((quality.rejected, quality.received, quality.strangers), (11, 1, 0));
        drop(theirs);
    }
}

#[test]
fn damaged_and_repeated_packets_change_nothing() {
    let mut world = World::with_ports(2);
    world.secure(1, SUITES[0]);
    world.bridge(1, 2);
    let mut voice = Voice::new(1);
    talk(&mut world, &mut [&mut voice], 5);
    let plain = voice.packet();
    let good = world.sealed(1, &plain);
    for bit in 0..good.len() * 8 {
        let mut packet = good.clone();
        packet[bit / 8] ^= 1 << (bit % 8);
        assert!(!world.speak_raw(1, address(1), &packet), "bit {bit}");
    }
    assert!(world.speak_raw(1, address(1), &good));
    assert!(!world.speak_raw(1, address(1), &good));
    world.pass(20 * MS);
    talk(&mut world, &mut [&mut voice], 50);
    assert_eq!(world.take(2).iter().filter(|h| h.payload != [0xff; 160]).count(), 56);
    let quality = world.close(1);
    // Bits of the packet type make some of them look like RTCP: refused there.
    assert_eq!(quality.rejected as usize, good.len() * 8 + 1);
    assert_eq!(quality.lost, 0);
}

#[test]
fn a_hundred_thousand_bad_packets_cost_nobody_anything() {
    let mut world = World::with_ports(2);
    world.secure(1, SUITES[2]);
    world.bridge(1, 2);
    let mut voice = Voice::new(1);
    let mut bad = vec![0x80, 0];
    bad.extend([0x5a; 186]);
    for _ in 0..500 {
        for n in 0..200u16 {
            bad[2..4].copy_from_slice(&n.to_be_bytes());
            assert!(!world.speak_raw(1, address(1), &bad));
        }
        talk(&mut world, &mut [&mut voice], 1);
    }
    let heard = world.take(2);
    assert_eq!(heard.iter().filter(|h| h.payload != [0xff; 160]).count(), 500);
    assert_unbroken(&heard);
    let quality = world.close(1);
    assert_eq!((quality.rejected, quality.received, quality.lost), (100_000, 500, 0));
}

#[test]
fn the_same_keys_go_on_and_other_keys_take_over() {
    for suite in SUITES {
        let mut world = World::with_ports(2);
        world.secure(1, suite);
        world.bridge(1, 2);
        let (mut one, mut two) = (Voice::new(1), Voice::new(2));
        talk(&mut world, &mut [&mut one, &mut two], 100);
        // A re-INVITE with the same keys, equal but not the same object: the peer's context and
        // ours, with their counters past a wrap, go on.
        let (ours, _) = crypto(suite, 1, 0);
        world.command(Command::Connect { port: port(1), peer: peer(1), crypto: Some(ours) });
        talk(&mut world, &mut [&mut one, &mut two], 100);
        let heard = world.take(1);
        assert_unbroken(&heard);
        assert_eq!((world.garbled, heard[0].header.ssrc), (0, heard[199].header.ssrc));
        // Other keys: the stream has another SSRC, so that nobody's counter is in doubt.
        let (ours, theirs) = crypto(suite, 1, 1);
        world.guards.get_mut(&1).unwrap().renew(&theirs).unwrap();
        world.command(Command::Connect { port: port(1), peer: peer(1), crypto: Some(ours) });
        world.take(2);
        talk(&mut world, &mut [&mut one, &mut two], 100);
        let again = world.take(1);
        assert_unbroken(&again);
        assert_ne!(again[0].header.ssrc, heard[0].header.ssrc);
        let voiced = world.take(2).iter().filter(|h| h.payload != [0xff; 160]).count();
        assert_eq!((voiced, world.garbled), (100, 0));
        assert_eq!(world.close(1).rejected, 0);
    }
}

#[test]
fn keys_of_a_wrong_length_close_the_leg() {
    let mut world = World::with_ports(1);
    let (ours, _) = crypto(SUITES[0], 1, 0);
    let short = MasterKey { bytes: vec![1; 5] };
    let short = Arc::new(Crypto { send: short, ..(*ours).clone() });
    world.command(Command::Connect { port: port(1), peer: peer(1), crypto: Some(short) });
    world.take(1);
    let mut voice = Voice::new(1);
    world.speak_raw(1, address(1), &voice.packet());
    world.pass(10_000 * MS);
    assert!(world.take(1).is_empty() && world.rtcp.is_empty());
    assert_eq!(world.close(1).rejected, 1);
}

#[test]
fn keys_and_reports_of_a_secure_leg_show_in_nothing() {
    let mut world = World::with_ports(1);
    let peer = Peer { rtcp_mux: true, ..peer(1) };
    let (ours, theirs) = crypto(SUITES[0], 1, 0);
    assert!(!format!("{ours:?}").contains("31"));
    world.guards.insert(1, Srtp::new(&theirs).unwrap());
    world.command(Command::Connect { port: port(1), peer, crypto: Some(ours) });
    world.pass(12_000 * MS);
    // Read by the peer, they hold a name of 16 characters; on the wire they don't.
    assert!(world.muxed.len() >= 2);
    for ((_, read), (_, wire)) in world.muxed.iter().zip(&world.muxed_wire) {
        let name = &read[read.len() - 20..];
        let name = &name[..name.iter().rposition(u8::is_ascii_alphanumeric).unwrap()];
        assert!(name.len() >= 8 && !wire.windows(8).any(|w| w == &name[name.len() - 8..]));
    }
}
