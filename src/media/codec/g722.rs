//! G.722 at 64 kbit/s: 16 kHz sound in two bands, one byte for each two samples.
//!
//! Owns the codec of ITU-T G.722 (09/2012) §3–§5 in its mode 1 and the tables of that
//! Recommendation; the names of its blocks (QUANTL, LOGSCL, …) stand where each is done. Knows
//! nothing of packets. Values are as wide as the Recommendation's and saturate as its do.

/// Magnitudes where one step of the low band's 6-bit quantizer ends and the next begins (Table 14).
const LEVELS: [i32; 29] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023,
    1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919,
];
const LEVEL_MAX: i32 = LEVELS[LEVELS.len() - 1];
/// What each of those steps stands for.
const OUTPUTS_6: [i32; 30] = [
    136, 432, 728, 1040, 1360, 1688, 2032, 2400, 2776, 3168, 3576, 4008, 4464, 4944, 5456, 6000,
    6576, 7192, 7856, 8576, 9360, 10_232, 11_192, 12_280, 13_512, 14_984, 16_704, 19_008, 21_904,
    24_808,
];
/// The same with the two lowest bits left out: what both predictors see.
const OUTPUTS_4: [i32; 8] = [0, 1200, 2584, 4240, 6288, 8968, 12_896, 20_456];
/// How far each of those steps moves the scale's logarithm.
const MOVES_LOW: [i32; 8] = [-60, -30, 58, 172, 334, 538, 1198, 3042];
/// The high band's quantizer: where its second step begins, outputs and moves of its two steps.
const LEVEL_HIGH: i32 = 564;
const OUTPUTS_2: [i32; 2] = [1616, 7408];
const MOVES_HIGH: [i32; 2] = [-214, 798];
/// 2048 · 2^(n/32).
const POWERS: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834,
    2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];
/// Every other coefficient of the quadrature mirror filter (Table 11). Four noughts make a round
/// number of them.
const FIRST: [i16; TAPS] = [0, 0, 0, 0, 3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];
/// The rest: the same, read backwards.
const SECOND: [i16; TAPS] = [0, 0, 0, 0, -11, 53, -156, 362, -805, 3876, 951, -210, 32, 12, -11, 3];
/// Coefficients of each half of that filter.
const TAPS: usize = 16;

/// What each of the low band's codes stands for (INVQBL). Codes 0–3 are never sent.
static CODES_6: [i32; 64] = {
    let mut table = [-OUTPUTS_6[0]; 64];
    let mut step = 0;
    while step < OUTPUTS_6.len() {
        table[positive_code(step)] = OUTPUTS_6[step];
        table[negative_code(step)] = -OUTPUTS_6[step];
        step += 1;
    }
    table
};

/// The step of each level: as many of [`LEVELS`] as are not above it.
static STEPS: [u8; LEVEL_MAX as usize + 1] = {
    let mut table = [0; LEVEL_MAX as usize + 1];
    let (mut level, mut step) = (0, 0);
    while level <= LEVEL_MAX {
        if step < LEVELS.len() && LEVELS[step] <= level {
            step += 1;
        }
        table[level as usize] = step as u8;
        level += 1;
    }
    table
};

/// The code of a step of the low band, above zero …
const fn positive_code(step: usize) -> usize {
    61 - step
}

/// … and below.
const fn negative_code(step: usize) -> usize {
    if step < 2 { 63 - step } else { 33 - step }
}

/// Sound to bytes.
#[derive(Clone, Debug)]
pub(super) struct Encoder {
    halves: Halves,
    low: Band,
    high: Band,
}

/// Bytes to sound.
#[derive(Clone, Debug)]
pub(super) struct Decoder {
    halves: Halves,
    low: Band,
    high: Band,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self { halves: Halves::new(), low: Band::low(), high: Band::high() }
    }

    /// The byte for two samples.
    pub(super) fn encode(&mut self, first: i16, second: i16) -> u8 {
        let (first, second) = self.halves.push(first, second);
        let low = limit((second + first) >> 14);
        let high = limit((second - first) >> 14);

        // SUBTRA, QUANTL.
        let error = saturate(low - self.low.estimate);
        let magnitude = if error < 0 { !error } else { error };
        let scale = self.low.scale;
        // level · scale / 2^12 ≤ magnitude, solved for the level.
        let level = ((((magnitude + 1) << 12) - 1) / scale).min(LEVEL_MAX);
        let step = usize::from(STEPS[level as usize]);
        let low = if error < 0 { negative_code(step) } else { positive_code(step) };
        self.low.follow_low(low);

        // SUBTRA, QUANTH.
        let error = saturate(high - self.high.estimate);
        let magnitude = if error < 0 { !error } else { error };
        let is_large = magnitude >= (LEVEL_HIGH * self.high.scale) >> 12;
        let high = (usize::from(error >= 0) << 1) | usize::from(!is_large);
        self.high.follow_high(high);

        (high << 6 | low) as u8
    }
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self { halves: Halves::new(), low: Band::low(), high: Band::high() }
    }

    /// The two samples of a byte.
    pub(super) fn decode(&mut self, byte: u8) -> [i16; 2] {
        let (low_code, high_code) = (usize::from(byte & 0x3f), usize::from(byte >> 6));
        // INVQBL, RECONS, LIMIT.
        let low = limit(self.low.estimate + ((CODES_6[low_code] * self.low.scale) >> 15));
        self.low.follow_low(low_code);
        let before = self.high.estimate;
        let high = limit(before + self.high.follow_high(high_code));
        // Two values of 15 bits make one of 16.
        let (first, second) = self.halves.push((low + high) as i16, (low - high) as i16);
        [saturate(second >> 11) as i16, saturate(first >> 11) as i16]
    }
}

/// What came in last, each pair taken apart, and the two halves of the mirror filter over it.
#[derive(Clone, Debug)]
struct Halves {
    /// Both are rings, written twice so that the newest [`TAPS`] lie side by side.
    first: [i16; 2 * TAPS],
    second: [i16; 2 * TAPS],
    at: usize,
}

impl Halves {
    fn new() -> Self {
        Self { first: [0; 2 * TAPS], second: [0; 2 * TAPS], at: 0 }
    }

    fn push(&mut self, first: i16, second: i16) -> (i32, i32) {
        (self.first[self.at], self.first[self.at + TAPS]) = (first, first);
        (self.second[self.at], self.second[self.at + TAPS]) = (second, second);
        self.at = (self.at + 1) % TAPS;
        let sum = |ring: &[i16; 2 * TAPS], coefficients: &[i16; TAPS]| {
            let newest = ring[self.at..].iter().zip(coefficients);
            newest.map(|(x, c)| i32::from(*x) * i32::from(*c)).sum()
        };
        (sum(&self.first, &FIRST), sum(&self.second, &SECOND))
    }
}

/// One band's prediction and scale (§3.5, §3.6, §5.2.1).
#[derive(Clone, Debug)]
struct Band {
    /// What is predicted for the next sample (PREDIC), and the part of it from the zeros.
    estimate: i32,
    from_zeros: i32,
    /// The quantizer's scale and its logarithm.
    scale: i32,
    log_scale: i32,
    poles: [i32; 2],
    zeros: [i32; 6],
    /// The newest quantized differences, doubled.
    differences: [i32; 6],
    /// The newest rebuilt samples, doubled.
    rebuilt: [i32; 2],
    /// Whether the newest partly rebuilt samples were below zero.
    below: [bool; 2],
}

impl Band {
    fn low() -> Self {
        Self::new(32)
    }

    fn high() -> Self {
        Self::new(8)
    }

    fn new(scale: i32) -> Self {
        Self {
            estimate: 0,
            from_zeros: 0,
            scale,
            log_scale: 0,
            poles: [0; 2],
            zeros: [0; 6],
            differences: [0; 6],
            rebuilt: [0; 2],
            below: [false; 2],
        }
    }

    /// Takes the low band's code: INVQAL, LOGSCL, SCALEL and the predictor.
    fn follow_low(&mut self, code: usize) {
        let code = code >> 2;
        let (is_below, step) = if code < 8 { (true, (8 - code) & 7) } else { (false, 15 - code) };
        let output = if is_below { -OUTPUTS_4[step] } else { OUTPUTS_4[step] };
        let difference = (self.scale * output) >> 15;
        self.rescale(MOVES_LOW[step], 18_432, 8);
        self.predict(difference);
    }

    /// Takes the high band's code: INVQAH, LOGSCH, SCALEH and the predictor. The difference that
    /// the code stands for.
    fn follow_high(&mut self, code: usize) -> i32 {
        let step = usize::from(code & 1 == 0);
        let output = if code < 2 { -OUTPUTS_2[step] } else { OUTPUTS_2[step] };
        let difference = (self.scale * output) >> 15;
        self.rescale(MOVES_HIGH[step], 22_528, 10);
        self.predict(difference);
        difference
    }

    fn rescale(&mut self, step: i32, most: i32, shift: i32) {
        self.log_scale = (((self.log_scale * 127) >> 7) + step).clamp(0, most);
        let power = POWERS[(self.log_scale >> 6) as usize & 31];
        // One place more, taken back at the end, so that the shift never goes the other way.
        self.scale = ((power << 1) >> (shift + 1 - (self.log_scale >> 11))) << 2;
    }

    /// Adapts the predictor to the difference that was sent and predicts the next sample.
    fn predict(&mut self, difference: i32) {
        let is_below = saturate(self.from_zeros + difference) < 0;
        let rebuilt = saturate(self.estimate + difference);
        let is_same = is_below == self.below[0];

        // UPPOL2.
        let [one, two] = self.poles;
        let quadruple = saturate(one << 2);
        let pull = saturate(if is_same { -quadruple } else { quadruple }) >> 7;
        let push = if is_below == self.below[1] { 128 } else { -128 };
        let two = (pull + push + ((two * 32_512) >> 15)).clamp(-12_288, 12_288);
        // UPPOL1.
        let push = if is_same { 192 } else { -192 };
        let most = 15_360 - two;
        let one = saturate(push + ((one * 32_640) >> 15)).clamp(-most, most);
        self.poles = [one, two];
        self.below = [is_below, self.below[0]];

        // UPZERO.
        let push = if difference == 0 { 0 } else { 128 };
        for (zero, old) in self.zeros.iter_mut().zip(&self.differences) {
            let push = if (*old < 0) == (difference < 0) { push } else { -push };
            *zero = saturate(((*zero * 32_640) >> 15) + push);
        }

        // DELAYA, FILTEP, FILTEZ, PREDIC.
        self.differences.copy_within(..5, 1);
        self.differences[0] = saturate(difference << 1);
        self.rebuilt = [saturate(rebuilt << 1), self.rebuilt[0]];
        let products = |(a, b): (&i32, &i32)| (a * b) >> 15;
        let from_poles = self.poles.iter().zip(&self.rebuilt).map(products).sum();
        let from_zeros = self.zeros.iter().zip(&self.differences).map(products).sum();
        self.from_zeros = saturate(from_zeros);
        self.estimate = saturate(saturate(from_poles) + self.from_zeros);
    }
}

/// To 16 bits.
fn saturate(value: i32) -> i32 {
    value.clamp(i16::MIN.into(), i16::MAX.into())
}

/// To the 15 bits of a band's sample.
fn limit(value: i32) -> i32 {
    value.clamp(-16_384, 16_383)
}
