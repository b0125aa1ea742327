//! The figures of a report, one by one: key, names, definition, and how each is counted.
//!
//! Owns the table. Keys are the same in CSV, JSON and `queries.md`, and don't change.

use super::value::Value;
use super::{LineFigures, Spread, Voice};
use crate::call::cdr::Outcome;

/// A text in Japanese and English.
pub type Words = (&'static str, &'static str);

/// One figure: its key, names and definition (empty: the name says it all).
pub struct Figure {
    /// Its key for programs.
    pub key: &'static str,
    /// What people call it.
    pub label: Words,
    /// How it is counted, where that can be done in several ways.
    pub definition: Words,
    /// Its value.
    pub of: fn(&LineFigures) -> Value,
}

/// Shortens the table below.
const fn figure(
    key: &'static str,
    label: Words,
    definition: Words,
    of: fn(&LineFigures) -> Value,
) -> Figure {
    Figure { key, label, definition, of }
}

/// Every figure, in order.
pub const SUMMARY: &[Figure] = &[
    figure(
        "received",
        ("着信", "Calls received"),
        ("試験通話を除く全着信", "all calls but test calls"),
        |f| Value::Calls(f.counts.received()),
    ),
    figure(
        "answered",
        ("応答", "Answered"),
        ("相談員につながった", "joined with a counselor"),
        |f| calls(f, Outcome::Answered),
    ),
    figure(
        "abandoned",
        ("放棄", "Abandoned"),
        ("待つ間に切断（短時間放棄を除く）", "hung up while waiting (short ones apart)"),
        |f| calls(f, Outcome::Abandoned),
    ),
    figure(
        "short_abandoned",
        ("短時間放棄", "Abandoned at once"),
        ("待ち始めてすぐに切断", "hung up right after the wait began"),
        |f| calls(f, Outcome::ShortAbandoned),
    ),
    figure(
        "guidance_abandoned",
        ("案内中の切断", "Hung up in the guidance"),
        ("", ""),
        |f| calls(f, Outcome::GuidanceAbandoned),
    ),
    figure("timed_out", ("待ち時間超過", "Waited too long"), ("", ""), |f| {
        calls(f, Outcome::TimedOut)
    }),
    figure(
        "full",
        ("満員", "Queue full"),
        ("待ち人数の上限", "the limit on callers waiting"),
        |f| calls(f, Outcome::Full),
    ),
    figure("no_counselor", ("相談員不在", "Nobody on duty"), ("", ""), |f| {
        calls(f, Outcome::NoCounselor)
    }),
    figure("closed", ("時間外", "Out of hours"), ("", ""), |f| calls(f, Outcome::Closed)),
    figure("refused", ("規則による拒否", "Refused by a rule"), ("", ""), |f| {
        calls(f, Outcome::Refused)
    }),
    figure(
        "failed",
        ("当方の障害", "Our fault"),
        ("0 であるべき数", "has to be 0"),
        |f| calls(f, Outcome::Failed),
    ),
    figure(
        "in_hours",
        ("時間内の着信", "Received in hours"),
        ("着信 − 時間外", "received − out of hours"),
        |f| Value::Calls(f.counts.received() - f.counts.of(Outcome::Closed)),
    ),
    figure(
        "queued",
        ("待ち行列に入った", "Wanted a counselor"),
        (
            "応答 + 短時間放棄 + 放棄 + 待ち時間超過 + 相談員不在 + 障害",
            "answered + abandoned (also at once) + waited too long + nobody on duty + our fault",
        ),
        |f| Value::Calls(f.counts.queued()),
    ),
    figure(
        "waited",
        ("待った着信", "Waited for a counselor"),
        ("待ち行列に入った − 短時間放棄", "wanted a counselor − abandoned at once"),
        |f| Value::Calls(f.counts.waited()),
    ),
    figure(
        "test",
        ("試験通話（別計）", "Test calls"),
        ("他のどの数にも含まない", "counted in no other figure"),
        |f| Value::Calls(f.test),
    ),
    figure(
        "recorded",
        ("録音した通話", "Recorded calls"),
        ("一部だけの録音も含む", "also in part"),
        |f| Value::Calls(f.recorded),
    ),
    figure(
        "answer_rate",
        ("応答率", "Answer rate"),
        (
            "応答 ÷ (待ち行列に入った − 短時間放棄)",
            "answered ÷ (wanted a counselor − abandoned at once)",
        ),
        |f| Value::Ratio(f.counts.answer_rate()),
    ),
    figure(
        "answered_of_received",
        ("応答率（着信比）", "Answer rate, of received"),
        ("応答 ÷ 着信", "answered ÷ received"),
        |f| Value::Ratio(f.counts.answered_of_received()),
    ),
    figure(
        "connection_rate",
        ("接続率", "Connection rate"),
        (
            "応答 ÷ 通信事業者の発信件数（事業者の資料がある日だけ）",
            "answered ÷ the carrier's attempts (of days of which its file is known)",
        ),
        |f| Value::Ratio(f.connection_rate()),
    ),
    figure(
        "carrier_attempts",
        ("通信事業者の発信件数", "Carrier's attempts"),
        (
            "電話網に入った呼。当方に届かなかったものも含む",
            "calls that reached the network, also those that never reached us",
        ),
        |f| Value::Calls(f.carrier.count.attempts),
    ),
    figure(
        "carrier_connected",
        ("通信事業者の接続件数", "Carrier's connected calls"),
        ("そのうち当方につながったもの", "those of them that reached us"),
        |f| Value::Calls(f.carrier.count.connected),
    ),
    figure(
        "carrier_known_days",
        ("通信事業者の資料がある日数", "Days with a carrier's file"),
        ("", ""),
        |f| Value::Count(f.carrier.days.len() as u64),
    ),
    figure(
        "abandonment",
        ("放棄率", "Abandonment"),
        (
            "放棄 ÷ (待ち行列に入った − 短時間放棄)",
            "abandoned ÷ (wanted a counselor − abandoned at once)",
        ),
        |f| Value::Ratio(f.counts.abandonment()),
    ),
    figure(
        "service_level_20",
        ("SL 20秒", "Service level, 20 s"),
        ("20秒以内の応答 ÷ (応答 + 放棄)", "20 s: answered in time ÷ (answered + abandoned)"),
        |f| Value::Ratio(f.service_levels()[0]),
    ),
    figure(
        "service_level_60",
        ("SL 60秒", "Service level, 60 s"),
        ("60秒以内の応答 ÷ (応答 + 放棄)", "60 s: answered in time ÷ (answered + abandoned)"),
        |f| Value::Ratio(f.service_levels()[1]),
    ),
    figure(
        "service_level_180",
        ("SL 180秒", "Service level, 180 s"),
        ("180秒以内の応答 ÷ (応答 + 放棄)", "180 s: answered in time ÷ (answered + abandoned)"),
        |f| Value::Ratio(f.service_levels()[2]),
    ),
    figure(
        "service_level_answered_20",
        ("SL（応答のみ） 20秒", "Service level, of answered, 20 s"),
        ("20秒以内の応答 ÷ 応答（良く見える定義）", "20 s: answered in time ÷ answered (flatters)"),
        |f| Value::Ratio(f.service_levels_of_answered()[0]),
    ),
    figure(
        "service_level_answered_60",
        ("SL（応答のみ） 60秒", "Service level, of answered, 60 s"),
        ("60秒以内の応答 ÷ 応答（良く見える定義）", "60 s: answered in time ÷ answered (flatters)"),
        |f| Value::Ratio(f.service_levels_of_answered()[1]),
    ),
    figure(
        "service_level_answered_180",
        ("SL（応答のみ） 180秒", "Service level, of answered, 180 s"),
        (
            "180秒以内の応答 ÷ 応答（良く見える定義）",
            "180 s: answered in time ÷ answered (flatters)",
        ),
        |f| Value::Ratio(f.service_levels_of_answered()[2]),
    ),
    figure(
        "service_level_sl2_20",
        ("SL2（Asterisk） 20秒", "SL2 (Asterisk), 20 s"),
        (
            "20秒以内の応答と切断 ÷ (応答 + 放棄 + 短時間放棄)",
            "20 s: answered or hung up in time ÷ (answered + abandoned + abandoned at once)",
        ),
        |f| Value::Ratio(f.service_levels_2()[0]),
    ),
    figure(
        "service_level_sl2_60",
        ("SL2（Asterisk） 60秒", "SL2 (Asterisk), 60 s"),
        (
            "60秒以内の応答と切断 ÷ (応答 + 放棄 + 短時間放棄)",
            "60 s: answered or hung up in time ÷ (answered + abandoned + abandoned at once)",
        ),
        |f| Value::Ratio(f.service_levels_2()[1]),
    ),
    figure(
        "service_level_sl2_180",
        ("SL2（Asterisk） 180秒", "SL2 (Asterisk), 180 s"),
        (
            "180秒以内の応答と切断 ÷ (応答 + 放棄 + 短時間放棄)",
            "180 s: answered or hung up in time ÷ (answered + abandoned + abandoned at once)",
        ),
        |f| Value::Ratio(f.service_levels_2()[2]),
    ),
    figure(
        "wait_answered_mean",
        ("応答までの待ち 平均", "Wait until answered, mean (ASA)"),
        ("", ""),
        |f| mean(&f.wait_answered),
    ),
    figure(
        "wait_answered_median",
        ("応答までの待ち 中央値", "Wait until answered, median"),
        ("", ""),
        |f| median(&f.wait_answered),
    ),
    figure(
        "wait_answered_p90",
        ("応答までの待ち 90 %点", "Wait until answered, 90th percentile"),
        ("最近順位法", "nearest rank"),
        |f| Value::Length(f.wait_answered.p90()),
    ),
    figure(
        "wait_answered_max",
        ("応答までの待ち 最長", "Wait until answered, longest"),
        ("", ""),
        |f| max(&f.wait_answered),
    ),
    figure(
        "wait_abandoned_mean",
        ("放棄までの待ち 平均", "Wait until abandoned, mean"),
        ("", ""),
        |f| mean(&f.wait_abandoned),
    ),
    figure(
        "wait_abandoned_median",
        ("放棄までの待ち 中央値", "Wait until abandoned, median"),
        ("", ""),
        |f| median(&f.wait_abandoned),
    ),
    figure(
        "wait_abandoned_p90",
        ("放棄までの待ち 90 %点", "Wait until abandoned, 90th percentile"),
        ("最近順位法", "nearest rank"),
        |f| Value::Length(f.wait_abandoned.p90()),
    ),
    figure(
        "wait_abandoned_max",
        ("放棄までの待ち 最長", "Wait until abandoned, longest"),
        ("", ""),
        |f| max(&f.wait_abandoned),
    ),
    figure("talk_total", ("相談時間 合計", "Talk, in all"), ("", ""), |f| {
        Value::Length(Some(f.talk.total()))
    }),
    figure("talk_mean", ("相談時間 平均", "Talk, mean"), ("", ""), |f| mean(&f.talk)),
    figure("talk_median", ("相談時間 中央値", "Talk, median"), ("", ""), |f| {
        median(&f.talk)
    }),
    figure(
        "talk_p90",
        ("相談時間 90 %点", "Talk, 90th percentile"),
        ("最近順位法", "nearest rank"),
        |f| Value::Length(f.talk.p90()),
    ),
    figure("talk_max", ("相談時間 最長", "Talk, longest"), ("", ""), |f| max(&f.talk)),
    figure(
        "guidance_drop_off",
        ("案内での離脱率", "Lost in the guidance"),
        ("案内中の切断 ÷ 案内を聞いた着信", "hung up in the guidance ÷ calls that heard it"),
        |f| Value::Ratio(f.drop_off()),
    ),
    figure(
        "system_answered",
        ("自動応答", "Answered by the system"),
        ("通話料が始まった着信", "calls whose charge began"),
        |f| Value::Calls(f.system_answered),
    ),
    figure(
        "paid_wait_total",
        ("有料の待ち 合計", "Paid waiting, in all"),
        ("自動応答から相談開始または離脱まで", "from our answer until joined or gone"),
        |f| Value::Length(Some(f.paid_wait.total())),
    ),
    figure(
        "paid_wait_mean",
        ("有料の待ち 平均", "Paid waiting, mean"),
        ("合計 ÷ 自動応答", "in all ÷ answered by the system"),
        |f| mean(&f.paid_wait),
    ),
    figure(
        "paid_wait_median",
        ("有料の待ち 中央値", "Paid waiting, median"),
        ("", ""),
        |f| median(&f.paid_wait),
    ),
    figure(
        "caller_mos",
        ("相談者の音質 MOS 中央値", "Caller's voice, MOS, median"),
        ("", ""),
        |f| mos(&f.caller_voice),
    ),
    figure(
        "caller_loss",
        ("相談者の音声損失 中央値", "Caller's voice, loss, median"),
        ("", ""),
        |f| loss(&f.caller_voice),
    ),
    figure(
        "caller_jitter_ms",
        ("相談者の揺らぎ 中央値", "Caller's voice, jitter, median"),
        ("", ""),
        |f| jitter(&f.caller_voice),
    ),
    figure(
        "caller_round_trip_ms",
        ("相談者の往復遅延 中央値", "Caller's voice, round trip, median"),
        ("", ""),
        |f| trip(&f.caller_voice),
    ),
    figure(
        "counselor_mos",
        ("相談員の音質 MOS 中央値", "Counselor's voice, MOS, median"),
        ("", ""),
        |f| mos(&f.counselor_voice),
    ),
    figure(
        "counselor_loss",
        ("相談員の音声損失 中央値", "Counselor's voice, loss, median"),
        ("", ""),
        |f| loss(&f.counselor_voice),
    ),
    figure(
        "counselor_jitter_ms",
        ("相談員の揺らぎ 中央値", "Counselor's voice, jitter, median"),
        ("", ""),
        |f| jitter(&f.counselor_voice),
    ),
    figure(
        "counselor_round_trip_ms",
        ("相談員の往復遅延 中央値", "Counselor's voice, round trip, median"),
        ("", ""),
        |f| trip(&f.counselor_voice),
    ),
];

fn calls(figures: &LineFigures, outcome: Outcome) -> Value {
    Value::Calls(figures.counts.of(outcome))
}

fn mean(spread: &Spread) -> Value {
    Value::Length(spread.mean())
}

fn median(spread: &Spread) -> Value {
    Value::Length(spread.median())
}

fn max(spread: &Spread) -> Value {
    Value::Length(spread.max())
}

fn mos(voice: &Voice) -> Value {
    Value::Number(voice.mos.median())
}

fn loss(voice: &Voice) -> Value {
    Value::Ratio(voice.loss.median())
}

fn jitter(voice: &Voice) -> Value {
    Value::Millis(voice.jitter_ms.median())
}

fn trip(voice: &Voice) -> Value {
    Value::Millis(voice.round_trip_ms.median())
}
