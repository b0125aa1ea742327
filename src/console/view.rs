//! The board's form in JSON: `/api/v1/board`, the events, and what `koebashi status` reads back.
//!
//! Owns the names of the API's fields. The core's types know nothing of it. Moments are RFC 3339
//! in UTC, lengths whole seconds, outcomes and states by their names.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::SecondsFormat;
use serde::{Deserialize, Serialize};

use crate::call::board;
use crate::call::board::CounselorState;
use crate::call::config::Override;
use crate::call::intention::Intention;
use crate::time::Timestamp;

/// Everything that a supervisor sees at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Board {
    /// When it was drawn.
    pub at: String,
    /// No new calls are taken.
    pub draining: bool,
    /// How many callers are not to be connected again for a while.
    #[serde(default)]
    pub limits: usize,
    /// Lines, in order of their ids.
    pub lines: Vec<Line>,
    /// Calls, oldest first.
    pub calls: Vec<Call>,
    /// Counselors, in order of the configuration.
    pub counselors: Vec<Counselor>,
    /// Trunks, in order of their ids.
    pub trunks: Vec<Trunk>,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Its id.
    pub line: String,
    /// What people call it.
    pub name: String,
    /// Whether a caller would be taken.
    pub open: bool,
    /// When that changes next, if it ever does.
    pub changes_at: Option<String>,
    /// When counseling ends, while there is any and an end is in sight.
    #[serde(default)]
    pub closes_at: Option<String>,
    /// Whether a person has opened or closed it: auto, open, closed.
    #[serde(default)]
    pub r#override: String,
    /// Until when they have, if that has an end.
    #[serde(default)]
    pub override_until: Option<String>,
    /// How many wait.
    pub waiting: u32,
    /// How long the first of them has waited.
    pub longest_wait_seconds: u64,
    /// Counselors who are ready.
    pub ready: u32,
    /// Calls that ended since midnight, by outcome.
    pub today: BTreeMap<String, u32>,
    /// How soon callers were answered since midnight.
    #[serde(default)]
    pub service_level: ServiceLevel,
}

/// How many of those who waited were answered soon; those who talk count already.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceLevel {
    /// Answered within 20 s.
    pub within_20: u32,
    /// Answered within 60 s.
    pub within_60: u32,
    /// Answered within 180 s.
    pub within_180: u32,
    /// Answered at all, or abandoned (but for those who hung up at once).
    pub of: u32,
}

/// A call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Its id, random.
    pub call: String,
    /// Its line, once known.
    pub line: Option<String>,
    /// Its stage: trunk, guidance, queue, ringing, bridge.
    pub phase: String,
    /// When it came.
    pub since: String,
    /// How long it has been in this stage.
    pub in_phase_seconds: u64,
    /// How long it had waited when it was answered; null: it was not yet.
    #[serde(default)]
    pub waited_seconds: Option<u64>,
    /// Place in the queue, from 1.
    pub position: Option<u32>,
    /// Extensions that ring or talk.
    pub counselors: Vec<String>,
    /// Whether the caller shows a number, and if not, why; never the number.
    pub presentation: String,
    /// on, paused; null: it is not recorded.
    pub recording: Option<String>,
    /// Who takes part as a supervisor.
    pub supervisor: Option<Supervisor>,
    /// Alarm: audio goes one way only on one of the legs, whichever way it is.
    #[serde(default)]
    pub one_way: bool,
    /// The voices: the caller's, and the counselor's who talks.
    #[serde(default)]
    pub legs: Vec<Leg>,
}

/// A supervisor in a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supervisor {
    /// Their extension.
    pub extension: String,
    /// listen, whisper, join.
    pub mode: String,
    /// How long they have been there.
    pub for_seconds: u64,
}

/// A voice, as it has done so far; a few seconds old. Figures of what comes from the peer, unless
/// they say otherwise. Null: nothing was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Leg {
    /// Whose: caller, counselor, supervisor.
    pub side: String,
    /// Alarm: we send, and nothing comes.
    pub one_way: bool,
    /// How often that was so.
    pub one_way_count: u32,
    /// Alarm: we send, and by the peer's RTCP nothing arrives.
    pub unheard: bool,
    /// How often that was so.
    pub unheard_count: u32,
    /// Mean opinion score by the E-model, 1 to 4.5.
    pub mos: Option<f64>,
    /// The same for what arrived at the peer, by its RTCP.
    pub mos_at_peer: Option<f64>,
    /// The same for what came in the last five seconds.
    pub recent_mos: Option<f64>,
    /// Share of packets that never came in the last five seconds, 0 to 1.
    pub recent_loss: Option<f64>,
    /// Interarrival jitter of the last seconds.
    pub recent_jitter_ms: Option<f64>,
    /// Valid packets.
    pub received: u64,
    /// Packets to the peer.
    pub sent: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Packets of ours that the peer says it missed.
    pub lost_at_peer: u64,
    /// Interarrival jitter, its mean so far.
    pub jitter_ms: f64,
    /// The most that it has been.
    pub jitter_max_ms: f64,
    /// Round trip by RTCP.
    pub round_trip_ms: Option<f64>,
    /// Packets too late to be mixed, or for a buffer of 60 ms where they are only passed on.
    pub late: u64,
    /// Frames of 20 ms made up for lost packets while mixing or recording.
    pub concealed: u64,
    /// From the moment that the peer might speak to its first packet.
    pub first_packet_ms: Option<f64>,
    /// Packets of SRTP that were forged or came twice.
    pub rejected: u64,
    /// Packets from a source that was not the proven one.
    pub strangers: u64,
    /// The packets come from another address than the peer's SDP named.
    pub source_differs: bool,
    /// Mean power of the voice, dB below full scale.
    pub level_dbfs: Option<f64>,
}

/// A counselor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counselor {
    /// Their extension.
    pub extension: String,
    /// Shown to colleagues.
    pub name: String,
    /// offline, unreachable, paused, ready, ringing, talking, wrap_up.
    pub state: String,
    /// Why they are paused.
    pub pause_reason: Option<String>,
    /// What is chosen for the time when no call and no wrap-up has them: offline, ready, paused.
    #[serde(default)]
    pub chosen: String,
    /// Who chose that: own, other (somebody at the console), missed (nobody: rings were missed).
    #[serde(default)]
    pub chosen_by: String,
    /// How long the time for notes still lasts; null: there is none.
    #[serde(default)]
    pub wrap_up_left_seconds: Option<u64>,
    /// How long the state has lasted.
    pub for_seconds: u64,
    /// Rings missed in a row.
    pub missed: u32,
    /// Calls taken since the process began.
    pub taken: u32,
    /// Their lines.
    pub lines: Vec<String>,
    /// How long they have waited for a supervisor's help, if they asked for it.
    pub help_seconds: Option<u64>,
    /// Supervisors whose phones ring for it.
    #[serde(default)]
    pub help_rings: Vec<String>,
}

/// The event that a counselor asks for help.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Help {
    /// Who asks.
    pub counselor: String,
    /// In which call.
    pub call: String,
    /// Since when.
    pub since: String,
    /// Supervisors whose phones ring for it; none: nobody is free, or nobody is to be rung.
    pub rings: Vec<String>,
}

impl Help {
    /// Every call for help on a board.
    pub fn all(board: &board::Board) -> Vec<Self> {
        let asking = board.counselors.iter().filter_map(|it| Some((it, it.help.as_ref()?)));
        let help = asking.map(|(counselor, help)| Self {
            counselor: counselor.extension.to_string(),
            call: help.call.to_string(),
            since: moment(board.at - help.for_),
            rings: rings(Some(help)),
        });
        help.collect()
    }
}

fn rings(help: Option<&board::HelpView>) -> Vec<String> {
    let rings = help.map(|help| &*help.rings).unwrap_or_default();
    rings.iter().map(ToString::to_string).collect()
}

/// A trunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trunk {
    /// Its id.
    pub trunk: String,
    /// assumed, up, down.
    pub state: String,
    /// What the last failure said.
    pub reason: Option<String>,
}

impl From<&board::Board> for Board {
    fn from(board: &board::Board) -> Self {
        Self {
            at: moment(board.at),
            draining: board.draining,
            limits: board.limits,
            lines: board.lines.iter().map(Line::from).collect(),
            calls: board.calls.iter().map(Call::from).collect(),
            counselors: board.counselors.iter().map(Counselor::from).collect(),
            trunks: board.trunks.iter().map(Trunk::from).collect(),
        }
    }
}

impl From<&board::LineView> for Line {
    fn from(line: &board::LineView) -> Self {
        Self {
            line: line.line.to_string(),
            name: line.name.clone(),
            open: line.open,
            changes_at: line.changes_at.map(moment),
            closes_at: line.closes_at.map(moment),
            r#override: match line.over {
                Override::Auto => "auto",
                Override::Open(_) => "open",
                Override::Closed(_) => "closed",
            }
            .to_owned(),
            override_until: match line.over {
                Override::Auto => None,
                Override::Open(until) | Override::Closed(until) => until.map(moment),
            },
            waiting: line.waiting,
            longest_wait_seconds: seconds(line.longest_wait),
            ready: line.ready,
            today: line.today.iter().map(|(o, n)| (o.name().to_owned(), *n)).collect(),
            service_level: {
                let board::ServiceLevel { within: [within_20, within_60, within_180], of } =
                    line.service_level;
                ServiceLevel { within_20, within_60, within_180, of }
            },
        }
    }
}

impl From<&board::CallView> for Call {
    fn from(call: &board::CallView) -> Self {
        Self {
            call: call.call.to_string(),
            line: call.line.as_ref().map(ToString::to_string),
            phase: call.phase.name().to_owned(),
            since: moment(call.since),
            in_phase_seconds: seconds(call.in_phase),
            waited_seconds: call.waited.map(seconds),
            position: call.position,
            counselors: call.counselors.iter().map(ToString::to_string).collect(),
            presentation: call.presentation.name().to_owned(),
            recording: call.recording.map(|tape| tape.name().to_owned()),
            supervisor: call.supervisor.as_ref().map(|supervisor| Supervisor {
                extension: supervisor.extension.to_string(),
                mode: supervisor.mode.name().to_owned(),
                for_seconds: seconds(supervisor.for_),
            }),
            one_way: call.legs.iter().any(|leg| leg.is_one_way || leg.is_unheard),
            legs: call.legs.iter().map(Leg::from).collect(),
        }
    }
}

impl From<&board::LegView> for Leg {
    fn from(leg: &board::LegView) -> Self {
        let q = &leg.quality;
        Self {
            side: leg.side.name().to_owned(),
            one_way: leg.is_one_way,
            one_way_count: q.one_way,
            unheard: leg.is_unheard,
            unheard_count: q.unheard,
            mos: q.mos.map(hundredths),
            mos_at_peer: q.mos_at_peer.map(hundredths),
            recent_mos: leg.recent.map(|recent| hundredths(recent.mos)),
            recent_loss: leg.recent.map(|recent| hundredths(recent.loss)),
            recent_jitter_ms: leg.recent.map(|recent| hundredths(recent.jitter_ms)),
            received: q.received,
            sent: q.sent,
            lost: q.lost,
            lost_at_peer: q.lost_at_peer,
            jitter_ms: hundredths(q.jitter_ms),
            jitter_max_ms: hundredths(q.jitter_max_ms),
            round_trip_ms: q.round_trip_ms.map(hundredths),
            late: q.late,
            concealed: q.concealed,
            first_packet_ms: q.first_packet_ms.map(hundredths),
            rejected: q.rejected,
            strangers: q.strangers,
            source_differs: q.source_differs,
            level_dbfs: q.level_dbfs.map(hundredths),
        }
    }
}

impl From<&board::CounselorView> for Counselor {
    fn from(counselor: &board::CounselorView) -> Self {
        let reason = match &counselor.state {
            CounselorState::Paused(reason) => Some(reason.clone()),
            CounselorState::Offline
            | CounselorState::Unreachable
            | CounselorState::Ready
            | CounselorState::Ringing
            | CounselorState::Talking
            | CounselorState::WrapUp => None,
        };
        Self {
            extension: counselor.extension.to_string(),
            name: counselor.name.clone(),
            state: counselor.state.name().to_owned(),
            pause_reason: reason,
            chosen: match counselor.intention {
                Intention::LoggedOut => "offline",
                Intention::Ready => "ready",
                Intention::Paused(_) => "paused",
            }
            .to_owned(),
            chosen_by: counselor.chosen_by.name().to_owned(),
            wrap_up_left_seconds: counselor.wrap_up_left.map(seconds),
            for_seconds: seconds(counselor.for_),
            missed: counselor.missed,
            taken: counselor.taken,
            lines: counselor.lines.iter().map(ToString::to_string).collect(),
            help_seconds: counselor.help.as_ref().map(|help| seconds(help.for_)),
            help_rings: rings(counselor.help.as_ref()),
        }
    }
}

impl From<&board::TrunkView> for Trunk {
    fn from(trunk: &board::TrunkView) -> Self {
        Self {
            trunk: trunk.trunk.to_string(),
            state: trunk.state.name().to_owned(),
            reason: trunk.reason.clone(),
        }
    }
}

fn moment(moment: Timestamp) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn seconds(length: Duration) -> u64 {
    length.as_secs()
}

/// To two places: nobody reads more, and JSON knows no infinity.
fn hundredths(x: f32) -> f64 {
    if x.is_finite() { (f64::from(x) * 100.0).round() / 100.0 } else { 0.0 }
}
