//! How the voices of the calls that are under way have done in the last seconds, by side: the worst
//! leg and the median one, never a leg by itself, so that the list does not grow.
//!
//! Owns the gauges. What the end of a leg says is in [`super::voices`].

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::call::board::{Board, LegView};
use crate::call::voice::Side;
use crate::media::Recent;

/// A figure of a leg: its name, what it is, how it is read, and whether the least is the worst.
struct Figure {
    name: &'static str,
    help: &'static str,
    read: fn(&Recent) -> f64,
    is_least_worst: bool,
}

const FIGURES: [Figure; 3] = [
    Figure {
        name: "mos",
        help: "Mean opinion score of the live legs in the last seconds.",
        read: |recent| f64::from(recent.mos),
        is_least_worst: true,
    },
    Figure {
        name: "loss_ratio",
        help: "Share of the packets of live legs that never came in the last seconds.",
        read: |recent| f64::from(recent.loss),
        is_least_worst: false,
    },
    Figure {
        name: "jitter_seconds",
        help: "Interarrival jitter of the live legs in the last seconds.",
        read: |recent| f64::from(recent.jitter_ms) / 1_000.0,
        is_least_worst: false,
    },
];

/// What the last picture showed of one side.
#[derive(Clone, Copy, Debug, Default)]
struct OfSide {
    legs: u32,
    one_way: u32,
    /// Worst and median of each of [`FIGURES`]; `None`: there is none.
    figures: [Option<(f64, f64)>; 3],
}

/// The gauges, each of [`Side::ALL`].
#[derive(Debug, Default)]
pub(super) struct Live(Mutex<[OfSide; 3]>);

impl Live {
    /// Takes them from a new picture.
    pub(super) fn board(&self, board: &Board) {
        let legs = || board.calls.iter().flat_map(|call| &call.legs);
        *self.lock() = Side::ALL.map(|side| of_side(legs().filter(|leg| leg.side == side)));
    }

    fn lock(&self) -> MutexGuard<'_, [OfSide; 3]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of_side<'a>(legs: impl Iterator<Item = &'a LegView>) -> OfSide {
    let mut of_side = OfSide::default();
    let mut recents = vec![];
    for leg in legs {
        of_side.legs += 1;
        of_side.one_way += u32::from(leg.is_one_way || leg.is_unheard);
        recents.extend(leg.recent);
    }
    of_side.figures = FIGURES.map(|figure| {
        let mut values: Vec<f64> = recents.iter().map(figure.read).collect();
        values.sort_by(f64::total_cmp);
        let worst = if figure.is_least_worst { values.first() } else { values.last() };
        worst.copied().zip(values.get(values.len() / 2).copied())
    });
    of_side
}

impl Collector for Live {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let sides = *self.lock();
        let sides = || Side::ALL.iter().map(|side| side.name()).zip(&sides);
        let (legs, one_way) = (|side: &OfSide| side.legs, |side: &OfSide| side.one_way);
        let counts = |read: fn(&OfSide) -> u32| sides().map(move |(name, side)| (name, read(side)));
        super::gauge(&mut encoder, "koebashi_live_legs", "Live legs", "side", counts(legs))?;
        let help = "Live legs on which audio goes one way only";
        super::gauge(&mut encoder, "koebashi_live_legs_one_way", help, "side", counts(one_way))?;
        for (nth, figure) in FIGURES.iter().enumerate() {
            let name = format!("koebashi_live_leg_{}", figure.name);
            let mut metric =
                encoder.encode_descriptor(&name, figure.help, None, MetricType::Gauge)?;
            for (side, of_side) in sides() {
                let Some((worst, median)) = of_side.figures[nth] else { continue };
                for (of, value) in [("worst", worst), ("median", median)] {
                    let labels = [("side", side), ("of", of)];
                    ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
                }
            }
        }
        Ok(())
    }
}
