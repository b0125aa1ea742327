//! Two hours: every counter wraps.

use super::secure::SUITES;
use super::*;

/// A call of two hours in which one side sends a packet of `bytes` every so many frames; what the
/// other hears has no seam.
fn two_hours(world: &mut World, frames: u16, bytes: usize) {
    world.listen(2, Source::Port(port(1)));
    let mut voice = Voice::new(1);
    let mut last: Option<Header> = None;
    let length = u32::from(frames) * 160;
    for n in 0..360_000 / u32::from(frames) {
        let mut packet = voice.packet();
        packet.truncate(12 + bytes);
        voice.stamp.timestamp = voice.stamp.timestamp.wrapping_add(length - 160);
        assert!(world.speak(1, &packet), "packet {n}");
        world.pass(TICK * u32::from(frames));
        for heard in world.take(2) {
            assert_eq!(heard.payload, packet[12..], "packet {n}");
            if let Some(last) = last.replace(heard.header.clone()) {
                let step = heard.header.timestamp.wrapping_sub(last.timestamp);
                assert_eq!(heard.header.ssrc, last.ssrc);
                assert_eq!(heard.header.sequence, last.sequence.wrapping_add(1), "packet {n}");
                assert_eq!(step, length, "packet {n}");
            }
        }
        if n % 1000 == 0 {
            (world.heard, world.rtcp) = (vec![], vec![]);
            (world.events, world.told_at) = (vec![], vec![]);
        }
    }
    let packets = 360_000 / u64::from(frames);
    assert_eq!(world.garbled, 0);
    let quality = world.close(1);
    assert_eq!((quality.received, quality.lost, quality.rejected), (packets, 0, 0));
    assert_eq!(world.close(2).sent, packets);
}

#[test]
fn two_hours_without_a_seam() {
    two_hours(&mut World::with_ports(2), 1, 160);
}

/// In short packets every 40 ms, whose sequence wraps three times: unoptimized ciphers are slow.
fn two_secure_hours(from: Option<usize>, to: Option<usize>) {
    let mut world = World::with_ports(2);
    for (n, suite) in [(1, from), (2, to)] {
        if let Some(suite) = suite {
            world.secure(n, SUITES[suite]);
        }
    }
    // Nothing the other way.
    let held = Peer { send: false, ..peer(1) };
    let crypto = from.map(|suite| secure::crypto(SUITES[suite], 1, 0).0);
    world.command(Command::Connect { port: port(1), peer: held, crypto });
    two_hours(&mut world, 2, 20);
}

#[test]
fn two_hours_from_a_secure_leg() {
    two_secure_hours(Some(0), None);
}

#[test]
fn two_hours_to_a_secure_leg() {
    two_secure_hours(None, Some(2));
}
