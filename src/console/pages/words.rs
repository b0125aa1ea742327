//! The words that pages have for what the board says: states, outcomes, why something is not done.
//!
//! Owns tables of words, in both languages. Decides nothing.

use chrono::{DateTime, Datelike};
use chrono_tz::Tz;

use crate::call::board::{CounselorState, TrunkState};
use crate::call::cdr::{Outcome, Presentation};
use crate::call::config::SupervisionMode;
use crate::call::deed::Denial;
use crate::lang::Lang;
use crate::time::Timestamp;

/// A counselor's state.
pub(super) fn state(l: Lang, state: &CounselorState) -> &'static str {
    match state {
        CounselorState::Offline => l.t("ログアウト", "Logged out"),
        CounselorState::Unreachable => l.t("電話不通", "Phone unreachable"),
        CounselorState::Paused(_) => l.t("離席", "Paused"),
        CounselorState::Ready => l.t("受付可", "Ready"),
        CounselorState::Ringing => l.t("呼出中", "Ringing"),
        CounselorState::Talking => l.t("相談中", "In a call"),
        CounselorState::WrapUp => l.t("後処理", "Wrap-up"),
    }
}

/// What happened to a call.
pub(super) fn outcome(l: Lang, outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Answered => l.t("応答", "answered"),
        Outcome::Abandoned => l.t("待ち中に切断", "abandoned"),
        Outcome::ShortAbandoned => l.t("すぐに切断", "abandoned at once"),
        Outcome::GuidanceAbandoned => l.t("案内中に切断", "left in the guidance"),
        Outcome::TimedOut => l.t("待ち時間超過", "waited too long"),
        Outcome::Full => l.t("満員", "full"),
        Outcome::NoCounselor => l.t("相談員不在", "nobody on duty"),
        Outcome::Closed => l.t("時間外", "closed"),
        Outcome::Refused => l.t("お断り", "refused"),
        Outcome::Failed => l.t("障害", "failed"),
    }
}

/// How a supervisor takes part.
pub(super) fn mode(l: Lang, mode: SupervisionMode) -> &'static str {
    match mode {
        SupervisionMode::Listen => l.t("モニター", "listens"),
        SupervisionMode::Whisper => l.t("助言", "whispers"),
        SupervisionMode::Join => l.t("参加", "has joined"),
    }
}

/// How a trunk does.
pub(super) fn trunk(l: Lang, state: TrunkState) -> &'static str {
    match state {
        TrunkState::Assumed => l.t("確認なし(正常とみなす)", "not checked (taken as up)"),
        TrunkState::Up => l.t("正常", "up"),
        TrunkState::Down => l.t("不通", "DOWN"),
    }
}

/// What is known of the caller's number, and why no more.
pub(super) fn presentation(l: Lang, presentation: Presentation) -> &'static str {
    match presentation {
        Presentation::Shown => {
            l.t("通知あり(番号は表示も保存もしません)", "sent (never shown or kept here)")
        }
        Presentation::Withheld => {
            l.t("非通知(かけた人が番号を通知していません)", "withheld by the caller")
        }
        Presentation::Payphone => l.t("公衆電話", "a public telephone"),
        Presentation::Unavailable => {
            l.t("表示圏外(番号を通知できない電話網から)", "can't be sent by the caller's network")
        }
        Presentation::Unknown => l.t("不明", "not known"),
    }
}

/// Why something is not done.
pub(super) fn denial(l: Lang, denial: Denial) -> &'static str {
    match denial {
        Denial::NotSupervisor => l.t(
            "この内線はスーパーバイザーとして設定されていません。",
            "This extension is no supervisor's in the configuration.",
        ),
        Denial::ModeOff => {
            l.t("この操作は設定で許可されていません。", "The configuration does not allow it.")
        }
        Denial::UnknownExtension => l.t("その内線はありません。", "There is no such extension."),
        Denial::UnknownCall => l.t("その通話はもう終わりました。", "That call is over."),
        Denial::NotInCall => l.t("いま通話中ではありません。", "There is no call at the moment."),
        Denial::OwnCall => l.t("自分の通話です。", "It is your own call."),
        Denial::Taken => l.t(
            "すでにほかのスーパーバイザーが入っているか、呼び出し中です。",
            "Another supervisor takes part, or is being rung.",
        ),
        Denial::Busy => l.t("あなたの電話が使用中です。", "Your phone is busy."),
        Denial::OnDuty => l.t("その相談員は当番中です。", "That counselor is on duty."),
        Denial::Unreachable => l.t(
            "あなたの電話につながりません。ソフトフォンを確かめてください。",
            "Your phone can't be reached. Please check your softphone.",
        ),
        Denial::NotSupervised => l.t(
            "この通話にスーパーバイザーは入っていません。",
            "No supervisor takes part in this call.",
        ),
        Denial::NoHelpAsked => l.t("支援要請はもう終わっています。", "No help is asked for."),
        Denial::NotRecorded => l.t("この通話は録音されていません。", "Nothing is recorded."),
        Denial::NoPort => l.t(
            "音声を流す空きがありません。少し待ってからお試しください。",
            "No media port is free. Please try again in a moment.",
        ),
        Denial::NoAudio => l.t("電話の音声方式が合いません。", "The phone offers no usable audio."),
        Denial::UnknownMode => l.t("その操作はありません。", "There is no such mode."),
        Denial::UnknownReason => l.t(
            "その離席理由は設定にありません。選び直してください。",
            "There is no such reason any more. Please choose again.",
        ),
        Denial::UnknownLine => l.t("その回線はありません。", "There is no such line."),
        Denial::TestRunning => l.t("点検の通話中です。", "A test call is under way."),
        Denial::NoRoom => l.t(
            "同時に受けられる通話数がいっぱいです。少し待ってからお試しください。",
            "There is no room for a call.",
        ),
        Denial::NoNumber => l.t(
            "番号が通知されていない電話です。次にかけてきても同じ人とは分からないため、制限できません。",
            "The number is withheld: nobody would know this caller again.",
        ),
        Denial::TooManyLimits => l.t(
            "制限中の人数が上限です。いまの制限を解除してからお試しください。",
            "As many callers are limited as may be. Please lift the limits first.",
        ),
        Denial::NotWrappingUp => {
            l.t("後処理はもう終わっています。", "The wrap-up is over already.")
        }
    }
}

/// Nobody has answered a request.
pub(super) fn no_answer(l: Lang) -> &'static str {
    l.t(
        "システムが混み合っています。少し待ってからもう一度お試しください。",
        "The service is busy. Please try again in a moment.",
    )
}

/// A moment on the zone's clock; with its day where that is not today.
pub(super) fn moment(moment: Timestamp, now: Timestamp, zone: Tz) -> String {
    let (local, today) = (moment.with_timezone(&zone), now.with_timezone(&zone));
    let is_today = local.date_naive() == today.date_naive();
    let time = local.format("%H:%M");
    if is_today { time.to_string() } else { format!("{} {time}", day(&local)) }
}

fn day(local: &DateTime<Tz>) -> String {
    format!("{}/{}", local.month(), local.day())
}
