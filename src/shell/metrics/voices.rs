//! How voices did, by side of the call: never by call, so that the list does not grow.
//!
//! Owns the families. A leg counts when it is over; one-way audio when it begins.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::Labels;
use crate::call::cdr::Quality;
use crate::call::voice::{News, Side, Voice};
use crate::media::Way;

type Counters = Family<Labels<1>, Counter>;
type Histograms = Family<Labels<1>, Histogram, fn() -> Histogram>;

/// Something that is simply added up, and how it is read.
type Sum = (Counters, fn(&Quality) -> u64);

/// Every family, with its sides.
pub(super) struct Voices {
    mos: Histograms,
    jitter: Histograms,
    loss: Histograms,
    first_packet: Histograms,
    level: Histograms,
    sums: Vec<Sum>,
    one_way: Counters,
    unheard: Counters,
    mos_at_peer: Histograms,
}

impl Voices {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let mut histograms = |name: &str, help: &str, make: fn() -> Histogram| {
            let family = Histograms::new_with_constructor(make);
            for side in Side::ALL {
                drop(family.get_or_create(&labels(side)));
            }
            registry.register(format!("koebashi_leg_{name}"), help, Family::clone(&family));
            family
        };
        let help = "Mean opinion score of the voice of a leg by the E-model";
        let mos = histograms("mos", help, || {
            Histogram::new([1.5, 2.0, 2.5, 3.0, 3.5, 3.8, 4.0, 4.2, 4.3, 4.4])
        });
        let help = "Mean opinion score of what arrived at the peer, by its RTCP reports";
        let mos_at_peer = histograms("mos_at_peer", help, || {
            Histogram::new([1.5, 2.0, 2.5, 3.0, 3.5, 3.8, 4.0, 4.2, 4.3, 4.4])
        });
        let help = "Mean interarrival jitter of a leg";
        let jitter = histograms("jitter_seconds", help, || {
            Histogram::new([0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2])
        });
        let help = "Share of a leg's packets that never came";
        let loss = histograms("loss_ratio", help, || {
            Histogram::new([0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5])
        });
        let help = "From the moment that a peer might speak to its first packet";
        let first_packet = histograms("first_packet_seconds", help, || {
            Histogram::new([0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0])
        });
        let help = "Mean power of the voice of a leg, dB below full scale";
        let level = histograms("level_dbfs", help, || {
            Histogram::new([-70.0, -60.0, -50.0, -45.0, -40.0, -35.0, -30.0, -25.0, -20.0, -10.0])
        });
        let mut counters = |name: &str, help: &str| {
            let family = Counters::default();
            for side in Side::ALL {
                drop(family.get_or_create(&labels(side)));
            }
            registry.register(format!("koebashi_leg_{name}"), help, Family::clone(&family));
            family
        };
        let sums: Vec<Sum> = vec![
            (
                counters("late_packets", "Packets too late to be mixed, or for a buffer of 60 ms"),
                |q| q.late,
            ),
            (counters("concealed_frames", "Frames of 20 ms made up for lost packets"), |q| {
                q.concealed
            }),
            (
                counters(
                    "rejected_packets",
                    "Packets that were forged or came twice (SRTP), or are nothing agreed on",
                ),
                |q| q.rejected,
            ),
            (counters("stranger_packets", "Packets whose source was not the proven one"), |q| {
                q.strangers
            }),
            (counters("source_differs", "Legs whose source was not what SDP named"), |q| {
                u64::from(q.source_differs)
            }),
        ];
        let one_way = counters("one_way", "Alarms: packets went out and none came");
        let unheard =
            counters("unheard", "Alarms: by the peer's reports none of our packets arrive");
        Self { mos, jitter, loss, first_packet, level, sums, one_way, unheard, mos_at_peer }
    }

    pub(super) fn add(&self, voice: &Voice) {
        let labels = labels(voice.side);
        let quality = match &voice.news {
            News::OneWay(way) => {
                let family = match way {
                    Way::FromPeer => &self.one_way,
                    Way::ToPeer => &self.unheard,
                };
                family.get_or_create(&labels).inc();
                return;
            }
            News::BothWays(_) => return,
            News::Closed(quality) => quality,
        };
        let observe = |family: &Histograms, value: Option<f32>| {
            if let Some(value) = value.filter(|value| value.is_finite()) {
                family.get_or_create(&labels).observe(f64::from(value));
            }
        };
        let expected = quality.received.saturating_add(quality.lost);
        let has_come = quality.received > 0;
        observe(&self.mos, quality.mos);
        observe(&self.mos_at_peer, quality.mos_at_peer);
        observe(&self.jitter, has_come.then_some(quality.jitter_ms / 1_000.0));
        observe(&self.loss, (expected > 0).then(|| quality.lost as f32 / expected as f32));
        observe(&self.first_packet, quality.first_packet_ms.map(|ms| ms / 1_000.0));
        observe(&self.level, quality.level_dbfs);
        for (family, read) in &self.sums {
            family.get_or_create(&labels).inc_by(read(quality));
        }
    }
}

fn labels(side: Side) -> Labels<1> {
    [("side", side.name().to_owned())]
}
