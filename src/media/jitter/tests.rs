#![expect(clippy::disallowed_methods, reason = "a base to count from")]

use super::*;
use crate::chance::Chance;

mod net;
use net::{Net, Packet, frames, jittered, missing, stream, talk};

const MS: Duration = Duration::from_millis(1);

/// What becomes of a stream: its name, what it does to a packet, and how many packets it may cost.
type Turn = (&'static str, fn(&mut Packet), usize);

/// The sequence numbers of these packets.
fn sequences(packets: &[Packet]) -> Vec<u16> {
    packets.iter().map(|p| p.sequence).collect()
}

#[test]
fn packets_of_any_length_are_all_heard_in_order_and_nothing_is_made_up() {
    for ms in [10, 20, 30, 40, 60] {
        for phase in [0, 300, 9_999, 19_999] {
            let packets = stream(500, ms);
            let mut net = Net::new();
            let ticks = net.play(packets.clone(), phase);
            assert_eq!(frames(&ticks), sequences(&packets), "{ms} ms, {phase} µs");
            let talk = talk(&ticks);
            // The last tick may end in the silence after the last packet.
            let before = &talk[..talk.len() - 1];
            let changed = before.iter().filter(|t| t.idle || t.missing + t.longer > 0);
            let changed: Vec<_> = changed.collect();
            assert!(changed.is_empty(), "{ms} ms, {phase} µs: {changed:?}");
            // The depth that a stream begins with is more than it turns out to need.
            let shorter: i64 = talk.iter().map(|t| t.shorter).sum();
            assert!(shorter <= 24, "{ms} ms, {phase} µs: {shorter} ms left out");
            assert_eq!((net.buffer.late(), net.buffer.concealed()), (0, 0));
            assert!(net.buffer.delay() <= 40 * MS, "{:?}", net.buffer.delay());
        }
    }
}

#[test]
fn what_is_lost_is_made_up_and_nothing_else() {
    for percent in [1, 5, 10, 20] {
        for ms in [10, 20, 30, 60] {
            let mut chance = Chance::from_number(percent);
            let mut packets = stream(3000, ms);
            // The ends stay, so that the loss is between packets.
            let last = packets.len() as u16 - 1;
            packets.retain(|p| {
                let n = p.sequence.wrapping_sub(65_000);
                n == 0 || n == last || chance.below(100) >= percent
            });
            let lost = 3000 - packets.len() as i64;
            let mut net = Net::new();
            let ticks = net.play(packets.clone(), 500);
            assert_eq!(frames(&ticks), sequences(&packets), "{percent} % of {ms} ms");
            let wanted = lost * i64::from(ms);
            let idle = 20 * talk(&ticks).iter().filter(|t| t.idle).count() as i64;
            let off = missing(talk(&ticks)) + idle - wanted;
            // A loss of packets longer than a tick may end within one.
            assert!(
                (-wanted / 100..=wanted / 20 + 20).contains(&off),
                "{percent} % of {ms} ms: {off} ms"
            );
            assert_eq!(net.buffer.late(), 0);
            let concealed = net.buffer.concealed() as i64 * 20;
            assert!(concealed >= (wanted * 9 / 10), "{concealed} of {wanted}");
        }
    }
}

#[test]
fn a_network_that_reorders_and_doubles_is_put_right() {
    let mut chance = Chance::from_number(4);
    let mut packets = stream(2000, 20);
    let wanted = sequences(&packets);
    for n in (0..packets.len()).rev() {
        if chance.below(5) == 0 {
            packets[n].arrival += 30_000; // after the next, before the one after that
        }
        if chance.below(5) == 0 {
            let again = Packet { arrival: packets[n].arrival + 15_000, ..packets[n] };
            packets.push(again);
        }
    }
    let mut net = Net::new();
    let ticks = net.play(packets, 0);
    assert_eq!(frames(&ticks), wanted);
    // At most the first that was later than any before it.
    assert!(missing(talk(&ticks)) <= 40, "{}", missing(talk(&ticks)));
}

#[test]
fn a_packet_that_comes_twice_is_told_from_one_that_comes_late() {
    let mut net = Net::new();
    let packets = stream(60, 20);
    for n in [0, 1, 3, 4] {
        assert_eq!(net.put(packets[n]), if n == 0 { Put::Begun } else { Put::Stored });
        assert_eq!(net.put(packets[n]), Put::Twice);
    }
    for _ in 0..12 {
        net.tick(90_000);
    }
    assert_eq!(net.put(packets[2]), Put::Late);
    assert_eq!(net.put(packets[3]), Put::Twice);
    assert_eq!((net.buffer.late(), net.buffer.held), (1, 0));
}

#[test]
fn the_depth_grows_with_jitter_and_nearly_all_is_heard() {
    for (most, seed) in [(20, 1), (60, 2), (120, 3), (200, 4)] {
        let packets = jittered(stream(5000, 20), most * 1000, seed);
        let mut net = Net::new();
        let ticks = net.play(packets.clone(), 7_000);
        let delay = net.buffer.delay();
        assert!(delay >= (most - 5) as u32 * MS, "{most} ms: {delay:?}");
        assert!(delay <= (most as u32 + 30) * MS, "{most} ms: {delay:?}");
        let late = net.buffer.late();
        assert!(late <= 5, "{most} ms: {late} late");
        // What is made up is what the depth grew by.
        let made_up = missing(talk(&ticks));
        assert!(made_up <= 2 * most as i64 + 40, "{most} ms: {made_up} ms");
        let mut sorted = frames(&ticks);
        sorted.sort_by_key(|s| s.wrapping_sub(65_000));
        assert_eq!(sorted, frames(&ticks), "out of order");
    }
}

#[test]
fn the_depth_shrinks_slowly_when_the_network_calms_down() {
    let mut packets = jittered(stream(9000, 20), 2_000, 5);
    for packet in &mut packets[500..520] {
        packet.arrival += 150_000;
    }
    let mut net = Net::new();
    let calm = packets.split_off(1000);
    net.play(packets, 0);
    let deep = net.buffer.delay();
    assert!(deep >= 150 * MS, "{deep:?}");
    // The first play let a second pass after its packets.
    let ticks = net.play(calm, 0);
    assert!(net.buffer.delay() <= 45 * MS, "{:?}", net.buffer.delay());
    let shorter: i64 = ticks.iter().map(|t| t.shorter).sum();
    assert!((80..=200).contains(&shorter), "{shorter} ms were left out");
    // Slowly: never two changes within 100 ms.
    let at: Vec<_> = ticks.iter().enumerate().filter(|(_, t)| t.shorter > 0).collect();
    assert!(at.windows(2).all(|w| w[1].0 - w[0].0 >= 5));
}

#[test]
fn clocks_that_part_by_200_ppm_are_followed_for_two_hours() {
    for ppm in [200, -200] {
        let count = 360_000;
        let mut packets = jittered(stream(count, 20), 3_000, 6);
        for (n, packet) in packets.iter_mut().enumerate() {
            packet.arrival += n as i64 * 20_000 * ppm / 1_000_000;
        }
        let mut net = Net::new();
        let ticks = net.play(packets, 3_000);
        let talk = talk(&ticks);
        // 7,200 s at 200 ppm are 1,440 ms.
        let (longer, shorter): (Vec<_>, Vec<_>) =
            talk.iter().map(|t| (t.longer, t.shorter)).unzip();
        let (longer, shorter) = (longer.iter().sum::<i64>(), shorter.iter().sum::<i64>());
        let (with, against) = if ppm > 0 { (longer, shorter) } else { (shorter, longer) };
        assert!((1390..=1490).contains(&with), "{ppm} ppm: {with} ms with the drift");
        assert_eq!(against, 0, "{ppm} ppm: changes against the drift");
        assert_eq!((missing(talk), net.buffer.late()), (0, 0), "{ppm} ppm");
        assert_eq!(frames(talk).len(), count, "{ppm} ppm");
        assert!(talk.iter().all(|t| !t.idle));
        assert!(net.buffer.delay() <= 45 * MS, "{:?}", net.buffer.delay());
        assert!(net.buffer.held <= 3);
    }
}

#[test]
fn silence_on_purpose_is_not_loss() {
    let mut packets = stream(1000, 20);
    // Talk of a second, pauses of a second; sequence numbers go on, timestamps jump.
    for (n, packet) in packets.iter_mut().enumerate() {
        let pauses = n as u32 / 50;
        packet.marker = n % 50 == 0;
        packet.timestamp = packet.timestamp.wrapping_add(pauses * 8000);
        packet.arrival += i64::from(pauses) * 1_000_000;
    }
    let mut net = Net::new();
    let ticks = net.play(packets.clone(), 1_000);
    assert_eq!(frames(&ticks), sequences(&packets));
    assert_eq!((net.buffer.late(), net.buffer.concealed()), (0, 0));
    let idle = talk(&ticks).iter().filter(|t| t.idle).count();
    assert!((19 * 44..=19 * 50).contains(&idle), "{idle}");
}

#[test]
fn a_sender_whose_timestamps_stand_still_in_its_silence_is_heard_at_once() {
    let mut packets = stream(100, 20);
    for packet in &mut packets[50..] {
        packet.arrival += 700_000;
    }
    let mut net = Net::new();
    let ticks = net.play(packets.clone(), 1_000);
    assert_eq!(frames(&ticks), sequences(&packets));
    assert!(talk(&ticks).len() <= 100 + 38, "{}", talk(&ticks).len());
}

#[test]
fn after_a_stall_the_newest_is_heard_without_undue_delay() {
    let mut packets = stream(500, 20);
    for packet in &mut packets[100..150] {
        packet.arrival = 150 * 20_000; // a second's worth at once
    }
    let mut net = Net::new();
    let ticks = net.play(packets, 1_000);
    let heard = frames(&ticks);
    assert!(net.buffer.late() >= 30, "{}", net.buffer.late());
    assert_eq!(heard.len() as u64 + net.buffer.late(), 500);
    // A second later nobody hears anything older than the depth.
    let last = ticks.iter().position(|t| t.frames.contains(&65_400)).unwrap();
    assert!(last <= 400 + 15, "packet 400 is heard at tick {last}");
}

#[test]
fn bursts_of_loss_end_in_silence_and_begin_again() {
    let mut packets = stream(600, 20);
    packets.retain(|p| !(100..160).contains(&p.sequence.wrapping_sub(65_000)));
    let mut net = Net::new();
    let ticks = net.play(packets.clone(), 0);
    assert_eq!(frames(&ticks), sequences(&packets));
    assert_eq!(missing(talk(&ticks)), 100);
    assert_eq!(net.buffer.concealed(), 5);
}

#[test]
fn another_stream_begins_at_once() {
    let other_ssrc = |p: &mut Packet| {
        p.ssrc = 8;
        p.sequence = p.sequence.wrapping_add(30_000);
        p.timestamp = p.timestamp.wrapping_add(3_000_000_000);
    };
    let sequence_jump = |p: &mut Packet| p.sequence = p.sequence.wrapping_add(20_000);
    let step_back = |p: &mut Packet| p.sequence = p.sequence.wrapping_sub(50);
    let timestamp_on = |p: &mut Packet| p.timestamp = p.timestamp.wrapping_add(1_000_000);
    let timestamp_back = |p: &mut Packet| p.timestamp = p.timestamp.wrapping_sub(5_000);
    let changes: [Turn; 5] = [
        ("ssrc", other_ssrc, 3),
        ("sequence", sequence_jump, 4),
        ("sequence back", step_back, 12),
        ("timestamp", timestamp_on, 3),
        ("timestamp back", timestamp_back, 3),
    ];
    for (what, change, most) in changes {
        let mut packets = stream(200, 20);
        packets[100..].iter_mut().for_each(change);
        let mut net = Net::new();
        let ticks = net.play(packets.clone(), 1_000);
        let heard = frames(&ticks);
        assert!(heard.len() >= 200 - most, "{what}: {} heard", heard.len());
        assert!(heard.ends_with(&sequences(&packets[112..])), "{what}");
        // What was lost of time is little.
        assert!(talk(&ticks).len() <= 200 + 6, "{what}: {} ticks", talk(&ticks).len());
    }
}

#[test]
fn one_packet_astray_changes_nothing() {
    let mut packets = stream(200, 20);
    let astray = Packet { sequence: 10_000, arrival: packets[100].arrival + 1, ..packets[100] };
    packets.push(astray);
    let mut net = Net::new();
    let ticks = net.play(packets, 0);
    assert_eq!(frames(&ticks), sequences(&stream(200, 20)));
}

#[test]
fn what_is_too_big_is_refused_and_what_is_too_much_drops_the_oldest() {
    let mut buffer = JitterBuffer::new(8000);
    let now = Instant::now();
    assert_eq!(buffer.put(now, 1, 1, 1, false, &[0; PAYLOAD_MAX + 1]), Put::TooBig);
    assert_eq!(buffer.put(now, 1, 160, 1, false, &[0; PAYLOAD_MAX]), Put::Begun);
    for n in 2..100u16 {
        assert_eq!(buffer.put(now, n, u32::from(n) * 160, 1, false, &[1]), Put::Stored);
    }
    assert_eq!((buffer.held, buffer.next), (SLOTS, 36));
    assert_eq!(buffer.late(), 35);
}

#[test]
fn nothing_is_allocated_once_warm() {
    let mut buffer = JitterBuffer::new(8000);
    let now = Instant::now();
    let held = |b: &JitterBuffer| -> usize { b.slots.iter().map(|s| s.payload.capacity()).sum() };
    let mut warm = 0;
    for n in 0..10_000u16 {
        let at = now + u32::from(n) * 20 * MS;
        buffer.put(at, n, u32::from(n) * 160, 1, false, &[0; 160]);
        while let Take::Frame(_) = buffer.take(at) {
            buffer.took(160);
        }
        if n == SLOTS {
            warm = held(&buffer);
        }
    }
    assert_eq!(held(&buffer), warm);
    assert!(warm <= usize::from(SLOTS) * 160, "{warm}");
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(128))]

    #[test]
    fn any_packets_in_any_order_are_survived(
        packets in proptest::collection::vec(
            (0i64..400_000, 0u16..300, proptest::num::u32::ANY, 1u32..3, 0u8..70), 0..200,
        ),
        small in proptest::bool::ANY,
    ) {
        let mut net = Net::new();
        let mut at = 0;
        for (wait, sequence, timestamp, ssrc, ms) in packets {
            let timestamp = if small { timestamp % 100_000 } else { timestamp };
            at += wait % 40_000;
            let ms = ms.max(1);
            let packet =
                Packet { arrival: at, sequence, timestamp, ssrc, marker: wait % 7 == 0, ms };
            net.put(packet);
            let tick = net.tick(0);
            proptest::prop_assert!(tick.frames.len() <= 64);
            let held = net.buffer.slots.iter().filter(|s| s.state == State::Held).count();
            proptest::prop_assert_eq!(usize::from(net.buffer.held), held);
        }
    }
}
