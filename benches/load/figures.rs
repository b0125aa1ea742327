//! Counts of packets and times.
//!
//! Owns the histogram and what a measurement of the voice gives.

use std::collections::BTreeMap;

/// Times are counted by the microsecond up to here (1 s).
const BUCKETS: usize = 1_000_000;

/// How often which time was seen.
#[derive(Clone, Debug)]
pub(crate) struct Times {
    buckets: Vec<u32>,
    count: u64,
}

impl Times {
    /// No times.
    pub(crate) fn new() -> Self {
        Self { buckets: vec![0; BUCKETS], count: 0 }
    }

    /// Counts a time.
    pub(crate) fn add(&mut self, nanos: u64) {
        let at = usize::try_from(nanos / 1000).unwrap_or(usize::MAX).min(BUCKETS - 1);
        self.buckets[at] += 1;
        self.count += 1;
    }

    /// The time, in milliseconds, that this share of all times does not exceed.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let wanted = (self.count as f64 * share).ceil() as u64;
        let mut seen = 0;
        let at = self.buckets.iter().position(|n| {
            seen += u64::from(*n);
            seen >= wanted.max(1)
        });
        at.map_or(f64::NAN, |at| at as f64 / 1000.0)
    }

    /// Forgets all times.
    pub(crate) fn clear(&mut self) {
        self.buckets.fill(0);
        self.count = 0;
    }
}

/// A stream that comes from the service, by what its peer can tell of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Its source, as its first packet has named it.
    ssrc: u32,
    /// When its last packet came.
    last: u64,
    /// The longest time between two packets, in nanoseconds.
    pub(crate) pause: u64,
    /// Whether another source has taken its place: to its peer that is another voice.
    pub(crate) is_another: bool,
}

impl Heard {
    fn new(ssrc: u32, at: u64) -> Self {
        Self { ssrc, last: at, pause: 0, is_another: false }
    }

    fn hear(&mut self, ssrc: u32, at: u64) {
        self.is_another |= ssrc != self.ssrc;
        self.pause = self.pause.max(at.saturating_sub(self.last));
        self.last = self.last.max(at);
    }
}

/// The packets that left while it was measured, and what became of them.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    /// Packets sent, from callers and from phones.
    pub(crate) sent: [u64; 2],
    /// Those that came out at the other side, byte for byte.
    pub(crate) relayed: [u64; 2],
    /// Those whose payload was not what it had been.
    pub(crate) altered: u64,
    /// Packets that the service made itself (prompts, music, silence), to callers and to phones.
    pub(crate) played: [u64; 2],
    /// From sending to the kernel's stamp of arrival.
    pub(crate) delay: Times,
    /// How late the generator itself sent.
    pub(crate) sent_late: Times,
    /// How long packets lay in the generator's sockets: no part of `delay`.
    pub(crate) read_late: Times,
    /// How often the generator itself was away so long that its voices paused: a figure above 0
    /// says that the machine, not the service, was measured.
    pub(crate) skipped: u64,
    /// Packets that did not fit the generator's own sockets, either way.
    pub(crate) dropped_here: u64,
    /// Every stream that came, by its side and the service's port.
    pub(crate) streams: BTreeMap<(usize, u16), Heard>,
}

impl Figures {
    /// Nothing counted.
    pub(crate) fn new() -> Self {
        Self {
            sent: [0; 2],
            relayed: [0; 2],
            altered: 0,
            played: [0; 2],
            delay: Times::new(),
            sent_late: Times::new(),
            read_late: Times::new(),
            skipped: 0,
            dropped_here: 0,
            streams: BTreeMap::new(),
        }
    }

    /// A packet of a stream came.
    pub(crate) fn hear(&mut self, stream: (usize, u16), ssrc: u32, at: u64) {
        self.streams.entry(stream).or_insert_with(|| Heard::new(ssrc, at)).hear(ssrc, at);
    }

    /// Nothing counts that comes after this: a stream that is silent pauses until here.
    pub(crate) fn end(&mut self, at: u64) {
        for heard in self.streams.values_mut() {
            heard.hear(heard.ssrc, at);
        }
    }

    /// Share of the packets that never came out.
    pub(crate) fn loss(&self) -> f64 {
        let sent: u64 = self.sent.iter().sum();
        let relayed: u64 = self.relayed.iter().sum();
        sent.saturating_sub(relayed) as f64 / sent.max(1) as f64
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        for times in [&mut self.delay, &mut self.sent_late, &mut self.read_late] {
            times.clear();
        }
        (self.sent, self.relayed, self.played) = ([0; 2], [0; 2], [0; 2]);
        (self.altered, self.skipped, self.dropped_here) = (0, 0, 0);
        self.streams.clear();
    }
}
