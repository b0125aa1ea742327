//! The verdict on the test call, and the words for it.

use std::time::Duration;

use super::{Check, Facts, Id, fine};
use crate::console::opening::check::Verdict::{Bad, Ok as Good, Unknown, Warn};
use crate::console::opening::facts::{Heard, Unheard};

/// A voice is louder than this, in dB below full scale.
const LEVEL_MIN: f32 = -45.0;
/// An answer or a first packet that takes longer is late.
const LATE: Duration = Duration::from_millis(1_500);
/// A longer time without a packet is heard.
const GAP_MAX: Duration = Duration::from_millis(150);

pub(super) fn call(facts: &Facts) -> Check {
    let id = Id::Call;
    let heard = match &facts.call {
        Ok(heard) => heard,
        Err(why) => return no_call(why),
    };
    let measured = measured(heard);
    let (Some(level), Some(first)) = (heard.level, heard.first_packet) else {
        let check = fine(
            id,
            measured,
            "回線の番号にかけると応答しましたが、音がまったく届きませんでした。",
            "The line answered the test call, and no sound came at all.",
        );
        return check.now(
            Bad,
            "相談者にも聞こえないおそれがあります。機器の管理者にすぐ連絡してください。",
            "Callers may hear nothing. Call whoever looks after the service at once.",
        );
    };
    if level < LEVEL_MIN {
        let check = fine(
            id,
            measured,
            "応答しましたが、案内がとても小さいか、無音です。",
            "It answered, but the guidance is silent or very low.",
        );
        return check.now(
            Bad,
            "「音声」のページで、この回線の案内を聞いて確かめてください。",
            "Listen to this line's guidance on the page “Prompts”.",
        );
    }
    if heard.records != 1 {
        let check = fine(
            id,
            measured,
            format!("案内は聞こえましたが、通話の記録が{}件です(1件のはずです)。", heard.records),
            format!("The guidance was heard, but it left {} records, not one.", heard.records),
        );
        return check.now(
            Warn,
            "通話はできます。記録の書き込みの点検もあわせて見てください。",
            "Calls work. See the check of records as well.",
        );
    }
    if heard.answered > LATE || first > LATE || heard.gap > GAP_MAX {
        let check = fine(
            id,
            measured,
            "案内は聞こえましたが、遅れや途切れがあります。",
            "The guidance was heard, but late or with gaps.",
        );
        return check.now(
            Warn,
            "ほかの重い処理が動いていないか、機器の管理者に確かめてもらってください。",
            "Have somebody look whether something else keeps the machine busy.",
        );
    }
    fine(
        id,
        measured,
        "回線の番号にかけて、案内が聞こえました。",
        "The line was called, answered, and the guidance was heard.",
    )
}

fn measured(heard: &Heard) -> String {
    let ms = |length: Duration| format!("{} ms", length.as_millis());
    let level = heard.level.map_or_else(|| "-".to_owned(), |level| format!("{level:.0} dBFS"));
    let first = heard.first_packet.map_or_else(|| "-".to_owned(), ms);
    format!(
        "answer {}, first packet {first}, {} packets, gap {}, {level}, records {}",
        ms(heard.answered),
        heard.packets,
        ms(heard.gap),
        heard.records
    )
}

fn no_call(why: &Unheard) -> Check {
    let (result, ja, en) = match why {
        Unheard::NoSocket => (
            Unknown,
            "UDPで待ち受けていないため、試験通話はできません。",
            "There is no UDP socket to call.",
        ),
        Unheard::NoNumber => {
            (Unknown, "この回線には番号がありません。", "This line has no number of its own.")
        }
        Unheard::Denied(_) => (
            Unknown,
            "通話が多いか、終了の準備中のため、試験通話を控えました。",
            "There are too many calls, or the service is about to end: no test call was made.",
        ),
        Unheard::Busy => {
            (Bad, "サービスが応答しません。", "The service does not answer who asks it.")
        }
        Unheard::System(_) => {
            (Unknown, "試験通話の準備ができませんでした。", "The test call could not be prepared.")
        }
        Unheard::Refused(_) => {
            (Bad, "回線の番号にかけましたが、断られました。", "The line refused the test call.")
        }
        Unheard::Silence => (
            Bad,
            "回線の番号にかけましたが、応答がありません。",
            "The line did not answer the test call in time.",
        ),
    };
    let measured = match why {
        Unheard::Denied(name) => (*name).to_owned(),
        Unheard::System(error) => error.clone(),
        Unheard::Refused(code) => format!("SIP {code}"),
        Unheard::NoSocket | Unheard::NoNumber | Unheard::Busy | Unheard::Silence => "-".to_owned(),
    };
    let check = fine(Id::Call, measured, ja, en);
    match result {
        Bad => check.now(
            Bad,
            "相談者もつながらないおそれがあります。携帯電話から実際にかけて確かめ、つながらなければ機器の管理者に連絡してください。",
            "Callers may not get through either. Call the line from a mobile phone; if that fails, \
             call whoever looks after the service.",
        ),
        Good | Unknown | Warn => check.now(
            Unknown,
            "気になるときは、携帯電話から実際にかけて確かめてください。",
            "If in doubt, call the line from a mobile phone.",
        ),
    }
}
