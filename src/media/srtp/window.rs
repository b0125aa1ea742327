//! Places in a stream: which packet a sequence number means, and which have come already
//! (RFC 3711 §3.3.1, §3.3.2).

/// How many places behind the newest are remembered.
const WIDTH: u64 = 128;
/// The last place of a stream: 48 bits.
const LAST: u64 = (1 << 48) - 1;

/// The newest place of a stream, and which of those behind it are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    newest: u64,
    /// Bit n: the place n behind the newest is taken.
    taken: u128,
    /// What of the places up to here and a little beyond is taken is not known.
    is_resumed: bool,
}

impl Window {
    /// A stream that begins at `first`: those just before it may still come.
    pub(super) fn begun(first: u64) -> Self {
        Self { newest: first, taken: 1, is_resumed: false }
    }

    /// A stream that has come to `newest`, or somewhat further: none before it is taken any more,
    /// and none before the next.
    pub(super) fn resumed(newest: u64) -> Self {
        Self { newest, taken: u128::MAX, is_resumed: true }
    }

    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// The place that a sequence number means: the nearest to the newest. `None` beyond the last.
    pub(super) fn place(&self, sequence: u16) -> Option<u64> {
        let step = sequence.wrapping_sub(self.newest as u16).cast_signed();
        // Nothing is before the first place: a number that would be is far ahead.
        let far = u64::from(sequence);
        let place = self.newest.checked_add_signed(step.into()).unwrap_or(far);
        (place <= LAST).then_some(place)
    }

    /// Whether a place is still to be taken.
    pub(super) fn is_free(&self, place: u64) -> bool {
        match self.newest.checked_sub(place) {
            None => true,
            Some(behind) => behind < WIDTH && self.taken >> behind & 1 == 0,
        }
    }

    /// Takes a place.
    pub(super) fn take(&mut self, place: u64) {
        if let Some(behind) = self.newest.checked_sub(place) {
            self.taken |= if behind < WIDTH { 1 << behind } else { 0 };
            return;
        }
        let ahead = place - self.newest;
        self.taken = match std::mem::take(&mut self.is_resumed) {
            true => u128::MAX,
            false if ahead < WIDTH => self.taken << ahead | 1,
            false => 1,
        };
        self.newest = place;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The newest place, a sequence number, the place that it means.
    static PLACES: &[(u64, u16, Option<u64>)] = &[
        (0, 0, Some(0)),
        (0, 1, Some(1)),
        (65_534, 65_535, Some(65_535)),
        (65_535, 0, Some(0x1_0000)),
        (65_535, 3, Some(0x1_0003)),
        (0x1_0000, 65_535, Some(65_535)),
        (0x1_0003, 65_530, Some(65_530)),
        (0x5_8000, 0, Some(0x5_0000)),
        (0x5_8001, 0, Some(0x6_0000)),
        (0x5_7fff, 0xfffe, Some(0x5_fffe)),
        (0x5_7ffe, 0xffff, Some(0x4_ffff)),
        (5, 60_000, Some(60_000)),
        (LAST, 0xffff, Some(LAST)),
        (LAST, 0, None),
        (LAST, 0xfffe, Some(LAST - 1)),
    ];

    #[test]
    fn nearest_place() {
        for (newest, sequence, place) in PLACES {
            assert_eq!(Window::begun(*newest).place(*sequence), *place, "{newest:x} {sequence:x}");
        }
    }

    #[test]
    fn each_place_once_and_none_behind_the_window() {
        let mut window = Window::begun(1000);
        assert!(!window.is_free(1000) && window.is_free(1001) && window.is_free(999));
        window.take(999);
        assert!(!window.is_free(999) && window.is_free(1000 - 127) && !window.is_free(1000 - 128));
        window.take(1100);
        assert!(!window.is_free(1000) && !window.is_free(999) && window.is_free(1001));
        window.take(1100 + WIDTH);
        assert!(!window.is_free(1100) && window.is_free(1101) && !window.is_free(1100 + WIDTH));
        window.take(5000);
        assert!(window.is_free(4999) && !window.is_free(5000) && !window.is_free(5000 - WIDTH));
        assert!(!Window::resumed(9).is_free(8) && Window::resumed(9).is_free(10));
    }
}
