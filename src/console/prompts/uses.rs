//! Where each prompt is played, in words.
//!
//! Owns the words. Which places there are is the configuration's to say.

use std::collections::BTreeMap;

use crate::call::config::{Config, LineId, Said, Use};
use crate::lang::Lang;
use crate::media::Prompt;

/// A place at which a prompt is played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::console) struct Place {
    /// In words.
    pub(in crate::console) text: String,
    /// Where it is chosen which prompt is played there.
    pub(in crate::console) link: String,
}

/// The places of every prompt that is played anywhere.
pub(in crate::console) fn all(config: &Config, l: Lang) -> BTreeMap<Prompt, Vec<Place>> {
    let mut all: BTreeMap<Prompt, Vec<Place>> = BTreeMap::new();
    for (place, prompt) in config.uses() {
        let place = Place { text: words(config, &place, l), link: link(&place) };
        let places = all.entry(prompt).or_default();
        if !places.contains(&place) {
            places.push(place);
        }
    }
    all
}

fn link(place: &Use) -> String {
    match place {
        Use::Said(_) => "/settings".to_owned(),
        Use::LineSaid(line, _)
        | Use::Node(line, _)
        | Use::Hold(line)
        | Use::Recording(line)
        | Use::Tone(line, _) => format!("/settings/line/{line}"),
    }
}

fn words(config: &Config, place: &Use, l: Lang) -> String {
    let line = |id: &LineId| {
        let name = config.lines.get(id).map_or(&*id.0, |line| &*line.name);
        match l {
            Lang::Ja => format!("「{name}」"),
            Lang::En => format!("{name}: "),
        }
    };
    let of = |id: &LineId, ja: &str, en: &str| format!("{}{}", line(id), l.t(ja, en));
    match place {
        Use::Said(what) => said(*what, l),
        Use::LineSaid(id, what) => format!("{}{}", line(id), said(*what, l)),
        Use::Node(id, node) => of(id, "案内 ", "guidance ") + &node.0,
        Use::Hold(id) => of(id, "待っている間の音楽", "hold music"),
        Use::Recording(id) => of(id, "録音のお知らせ", "notice about recording"),
        Use::Tone(id, left) => {
            let minutes = left.as_secs() / 60;
            match l {
                Lang::Ja => format!("{}終了{minutes}分前の合図(相談員だけに聞こえます)", line(id)),
                Lang::En => {
                    format!("{}tone {minutes} min before the end (counselor only)", line(id))
                }
            }
        }
    }
}

/// When koebashi says it.
pub(in crate::console) fn said(said: Said, l: Lang) -> String {
    let (ja, en) = match said {
        Said::Closed => ("受付時間外", "closed"),
        Said::ClosedYearEnd => ("年末年始の休み", "closed over the turn of the year"),
        Said::Help => ("ほかの相談窓口の案内", "other numbers that help"),
        Said::AllBusy => ("満員のとき", "as many wait as may"),
        Said::NoCounselor => ("相談員がいないとき", "nobody is on duty"),
        Said::Connecting => ("待ち始めるとき", "the wait begins"),
        Said::StillWaiting => ("待っている間", "during the wait"),
        Said::TimedOut => ("待ち時間の限度に達したとき", "waited too long"),
        Said::Position(n) => {
            return match l {
                Lang::Ja => format!("待ち順のお知らせ({n}番目)"),
                Lang::En => format!("place in the queue: {n}"),
            };
        }
        Said::PositionMore => ("待ち順のお知らせ(11番目から)", "place in the queue: over 10"),
        Said::Ask186 => ("番号通知のお願い", "asks to show the number"),
        Said::Fault => ("不具合のとき", "a fault of ours"),
        Said::CounselorLost => ("相談員の電話が切れたとき", "the counselor's phone was lost"),
        Said::NotTonight => ("しばらくつながない人へ", "to a caller not to be connected now"),
        Said::Goodbye => ("終わりのあいさつ", "goodbye"),
        Said::Draining => ("保守のための停止中", "down for maintenance"),
        Said::Ready => ("相談員へ: 受付可", "to a counselor: ready"),
        Said::Paused => ("相談員へ: 離席", "to a counselor: paused"),
        Said::WrapUpEnded => ("相談員へ: 後処理の終了", "to a counselor: wrap-up ended"),
        Said::WrapUpExtended => ("相談員へ: 後処理の延長", "to a counselor: wrap-up extended"),
        Said::LoggedOut => ("相談員へ: ログアウト", "to a counselor: logged out"),
        Said::CodeRefused => ("相談員へ: 使えない番号", "to a counselor: code refused"),
        Said::RecordingPaused => ("相談員へ: 録音の停止", "to a counselor: recording paused"),
        Said::RecordingResumed => ("相談員へ: 録音の再開", "to a counselor: recording goes on"),
        Said::HelpSent => ("相談員へ: 支援の要請", "to a counselor: help was asked for"),
        Said::ToneHelp => ("相談員へ: 支援の要請(音)", "to a counselor: help, as a tone"),
        Said::ToneSupervised => {
            ("相談員へ: スーパーバイザーが入った音", "to a counselor: a supervisor came")
        }
        Said::ToneUnsupervised => {
            ("相談員へ: スーパーバイザーが抜けた音", "to a counselor: the supervisor left")
        }
        Said::Listening => ("スーパーバイザーへ: モニター", "to a supervisor: listening"),
        Said::Whispering => ("スーパーバイザーへ: 助言", "to a supervisor: whispering"),
        Said::Joined => ("スーパーバイザーへ: 参加", "to a supervisor: joined"),
    };
    l.t(ja, en).to_owned()
}
