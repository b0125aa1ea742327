#![expect(clippy::disallowed_methods, reason = "a base to count from")]

use super::*;

const MS: Duration = Duration::from_millis(1);

fn line(t0: Instant) -> Timeline {
    Timeline::new(t0, &mut Chance::from_number(3))
}

fn header(sequence: u16, timestamp: u32) -> Header {
    Header { payload_type: 0, marker: false, sequence, timestamp, ssrc: 9, payload: 12..172 }
}

#[test]
fn own_packets_follow_the_clock_in_whole_frames() {
    let t0 = Instant::now();
    let mut line = line(t0);
    let first = line.stamp(t0, 160);
    for (ms, sequence, frames, marker) in [
        (20, 1, 1, false),
        (49, 2, 2, false), // late, but within the frame
        (60, 3, 3, false),
        (200, 4, 10, true), // a pause
        (215, 5, 11, false),
    ] {
        let stamp = line.stamp(t0 + ms * MS, 160);
        let ran = stamp.timestamp.wrapping_sub(first.timestamp);
        let steps = stamp.sequence.wrapping_sub(first.sequence);
        assert_eq!((steps, ran / 160, ran % 160, stamp.marker), (sequence, frames, 0, marker));
    }
    assert!(!line.is_due(t0 + 229 * MS));
    assert!(line.is_due(t0 + 230 * MS));
}

#[test]
fn the_timestamp_of_now_runs_between_packets() {
    let t0 = Instant::now();
    let mut line = line(t0);
    let first = line.stamp(t0, 160);
    assert_eq!(line.timestamp_at(t0 + 5 * MS).wrapping_sub(first.timestamp), 40);
    assert_eq!(line.timestamp_at(t0 + 50 * MS).wrapping_sub(first.timestamp), 400);
}

#[test]
fn a_relayed_stream_keeps_its_spacing() {
    let t0 = Instant::now();
    let (mut line, mut relay) = (line(t0), Relay::new(t0));
    let base = line.stamp(t0, 160);
    let mut out = vec![];
    for (ms, sequence, timestamp) in
        [(20, 65_534, 0), (45, 65_535, 160), (58, 0, 320), (100, 2, 640), (101, 1, 480)]
    {
        let packet = header(sequence, timestamp);
        let stamp = relay.audio(&mut line, t0 + ms * MS, &packet, 160).unwrap();
        out.push((
            stamp.sequence.wrapping_sub(base.sequence),
            stamp.timestamp.wrapping_sub(base.timestamp) / 160,
        ));
    }
    assert_eq!(out, [(1, 1), (2, 2), (3, 3), (5, 5), (4, 4)]);
    assert_eq!(relay.audio(&mut line, t0 + 102 * MS, &header(1, 480), 160), None, "came before");
    assert!(!relay.fill(t0 + 150 * MS));
    assert!(relay.fill(t0 + 160 * MS));
    assert!(relay.fill(t0 + 161 * MS), "until the next packet");
}

#[test]
fn late_packets_of_an_earlier_piece_are_dropped() {
    let t0 = Instant::now();
    let (mut line, mut relay) = (line(t0), Relay::new(t0));
    relay.audio(&mut line, t0, &header(10, 1600), 160).unwrap();
    assert!(relay.fill(t0 + 80 * MS));
    line.stamp(t0 + 80 * MS, 160);
    relay.audio(&mut line, t0 + 90 * MS, &header(14, 2240), 160).unwrap();
    assert_eq!(relay.audio(&mut line, t0 + 91 * MS, &header(12, 1920), 160), None);
}

#[test]
fn packets_left_out_leave_no_hole() {
    let t0 = Instant::now();
    let (mut line, mut relay) = (line(t0), Relay::new(t0));
    let a = relay.audio(&mut line, t0, &header(1, 160), 160).unwrap();
    relay.leave_out(&header(2, 320));
    relay.leave_out(&header(3, 320));
    let b = relay.audio(&mut line, t0 + 60 * MS, &header(4, 640), 160).unwrap();
    assert_eq!(b.sequence.wrapping_sub(a.sequence), 1);
    assert_eq!(b.timestamp.wrapping_sub(a.timestamp), 480);
}

/// All packets of a key say when it was pressed: whoever is joined in the middle of it must not take
/// that for now, or all that is heard afterwards is early by as much.
#[test]
fn a_stream_that_begins_in_the_middle_of_a_key_is_on_time_after_it() {
    let t0 = Instant::now();
    let (mut line, mut relay) = (line(t0), Relay::new(t0));
    let base = line.stamp(t0, 160);
    // The key was pressed at 1600, 160 ms before the first packet that comes over.
    for n in 0..3u16 {
        let at = t0 + (20 + 20 * u32::from(n)) * MS;
        relay.event(&mut line, at, &header(10 + n, 1600)).unwrap();
    }
    let stamp = relay.audio(&mut line, t0 + 80 * MS, &header(13, 1600 + 220 * 8), 160).unwrap();
    assert_eq!(stamp.sequence.wrapping_sub(base.sequence), 4);
    assert_eq!(stamp.timestamp.wrapping_sub(base.timestamp), 640);
    assert!(!relay.fill(t0 + 130 * MS));
    assert!(relay.fill(t0 + 140 * MS));
}
