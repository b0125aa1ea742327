//! From what was found to verdicts, and the words for them: for people who are no engineers.
//!
//! Owns the limits that no key of the configuration names. Pure: the same facts, the same words.

mod call;

use std::time::Duration;

use super::check::{Check, Id, Verdict, Words};
use super::facts::Facts;
use crate::call::board::{CounselorState, TrunkState};
use crate::complaint::Complaint;
use crate::console::complaint::line;
use crate::lang::Lang;
use Verdict::{Bad, Ok as Good, Unknown, Warn};

/// Writing that takes longer is slow.
const SLOW: Duration = Duration::from_millis(1_000);
/// Records that wait: more are too many.
const WAITING_MAX: usize = 500;
/// A clock that was set by less is only kept right.
const SET_MS: i64 = 2_000;
/// Complaints that are said; more are only counted.
const SAID_MAX: usize = 3;

/// Every check, in the order in which people read them.
pub(super) fn judge(facts: &Facts) -> Vec<Check> {
    vec![
        call::call(facts),
        trunk(facts),
        counselors(facts),
        prompts(facts),
        disk(facts),
        database(facts),
        ports(facts),
        clock(facts),
        certificate(facts),
        service(facts),
    ]
}

/// A check without anything to do.
fn fine(id: Id, measured: String, ja: impl Into<String>, en: impl Into<String>) -> Check {
    Check { id, result: Good, what: Words::new(ja, en), todo: Words::default(), measured }
}

impl Check {
    fn now(self, result: Verdict, ja: impl Into<String>, en: impl Into<String>) -> Self {
        Self { result, todo: Words::new(ja, en), ..self }
    }
}

fn trunk(facts: &Facts) -> Check {
    let of = |state| facts.trunks.iter().filter(move |trunk| trunk.state == state);
    let (up, down) = (of(TrunkState::Up).count(), of(TrunkState::Down).count());
    let all = facts.trunks.len();
    let names = |state| of(state).map(|it| it.trunk.to_string()).collect::<Vec<_>>().join(", ");
    let says: Vec<_> = facts.trunks.iter().filter_map(|it| it.reason.clone()).collect();
    let mut measured = format!("{up}/{all}");
    if !says.is_empty() {
        measured += &format!(" ({})", says.join("; "));
    }
    let check = |ja: String, en: String| fine(Id::Trunk, measured.clone(), ja, en);
    if all == 0 {
        let check =
            check("外線が一つも設定されていません。".to_owned(), "There is no trunk.".to_owned());
        return check.now(
            Bad,
            "電話はかかってきません。「設定」のページを確かめてください。",
            "No call can come. See the settings.",
        );
    }
    if down > 0 {
        let down_names = names(TrunkState::Down);
        let check = check(
            format!("つながっていません: {down_names}"),
            format!("Not connected: {down_names}"),
        );
        let result = if down == all { Bad } else { Warn };
        return check.now(
            result,
            "ルーターやインターネット回線の電源と配線を確かめ、直らなければ通信事業者に連絡してください。",
            "Check the router and its cables; if it does not come back, call the carrier.",
        );
    }
    if up < all {
        let assumed = names(TrunkState::Assumed);
        let check = check(
            format!("確かめる手段がありません(未確認): {assumed}"),
            format!("Not proved, nothing asks it: {assumed}"),
        );
        return check.now(
            Unknown,
            "開始前に、携帯電話から一度かけて確かめると安心です。",
            "Call the line once from a mobile phone before it opens.",
        );
    }
    check("つながっています。".to_owned(), "Connected.".to_owned())
}

fn counselors(facts: &Facts) -> Check {
    let count = |is: fn(&CounselorState) -> bool| {
        facts.counselors.iter().filter(|it| is(&it.state)).count()
    };
    let paused = count(|state| matches!(state, CounselorState::Paused(_)));
    let unreachable = count(|state| matches!(state, CounselorState::Unreachable));
    let away = count(|state| matches!(state, CounselorState::Offline));
    let there = facts.counselors.len() - paused - unreachable - away;
    let measured =
        format!("ready {there}, paused {paused}, unreachable {unreachable}, away {away}");
    let check = |ja: String, en: String| fine(Id::Counselors, measured.clone(), ja, en);
    let lost = match unreachable {
        0 => (String::new(), String::new()),
        n => (
            format!("電話につながらない人が{n}人います。"),
            format!(" {n} can't be reached by phone."),
        ),
    };
    match (there, paused, unreachable) {
        (0, 0, _) => check(
            format!("電話を取れる相談員がいません。{}", lost.0),
            format!("Nobody can take a call.{}", lost.1),
        )
        .now(
            Bad,
            "相談員に、電話機の電源を入れ、受付可(*21)にしてもらってください。このまま開くと、相談者は不在の案内を聞きます。",
            "Have counselors switch their phones on and get ready (*21). As it is, callers are \
             told that nobody is there.",
        ),
        (0, n, _) => check(
            format!("{n}人が離席中で、受付可の人がいません。{}", lost.0),
            format!("{n} paused, and nobody ready.{}", lost.1),
        )
        .now(
            Warn,
            "開始までに、受付可(*21)にしてもらってください。",
            "Have them get ready (*21) before the line opens.",
        ),
        (n, _, 0) => check(format!("{n}人が受付できます。"), format!("{n} are ready.")),
        (n, _, _) => check(
            format!("{n}人が受付できます。{}", lost.0),
            format!("{n} are ready.{}", lost.1),
        )
        .now(
            Warn,
            "つながらない人の電話機の電源と通信を確かめてください。",
            "Check the phones that can't be reached.",
        ),
    }
}

/// The first few complaints, a line each, and how many more there are.
fn said(complaints: &[Complaint], l: Lang) -> String {
    let mut said: Vec<_> = complaints.iter().take(SAID_MAX).map(|it| line(l, it)).collect();
    if let Some(more) = complaints.len().checked_sub(SAID_MAX).filter(|more| *more > 0) {
        said.push(format!("(+{more})"));
    }
    said.iter().map(|line| format!("\n{line}")).collect()
}

fn prompts(facts: &Facts) -> Check {
    let id = Id::Prompts;
    match &facts.files {
        Ok(files) if files.warnings.is_empty() => fine(
            id,
            format!("{}", files.prompts),
            format!("設定に誤りはなく、音声は{}個すべてそろっています。", files.prompts),
            format!("The settings are right and all {} prompts are there.", files.prompts),
        ),
        Ok(files) => fine(
            id,
            files.warnings.len().to_string(),
            format!(
                "設定と音声はそろっています。急ぎではない、気になる点が{}件あります。{}",
                files.warnings.len(),
                said(&files.warnings, Lang::Ja)
            ),
            format!(
                "Settings and prompts are there. What looks odd, and is not urgent: {}.{}",
                files.warnings.len(),
                said(&files.warnings, Lang::En)
            ),
        ),
        Err(complaints) => fine(
            id,
            complaints.len().to_string(),
            format!(
                "保存されている設定か音声に誤りがあります。\
                 今は前の設定で動いていますが、再起動すると始まりません。{}",
                said(complaints, Lang::Ja)
            ),
            format!(
                "The settings or prompts on the disk are wrong. The service runs with the last \
                 good ones, but would not start again.{}",
                said(complaints, Lang::En)
            ),
        )
        .now(
            Bad,
            "再起動はせず、「設定」か「音声」のページで直すか、一つ前に戻してください。",
            "Don't restart. Mend it on the pages “Settings” or “Prompts”, or go back one version.",
        ),
    }
}

fn megabytes(bytes: u64) -> u64 {
    bytes / 1_000_000
}

fn disk(facts: &Facts) -> Check {
    let id = Id::Disk;
    let measured = facts.disks.iter().map(|disk| match &disk.room {
        Ok((free, all)) => format!("{} {} / {} MB", disk.key, megabytes(*free), megabytes(*all)),
        Err(error) => format!("{}: {error}", disk.key),
    });
    let measured = measured.collect::<Vec<_>>().join(", ");
    let least = facts.disks.iter().filter_map(|disk| disk.room.as_ref().ok()).map(|it| it.0).min();
    let Some(least) = least.filter(|_| facts.disks.iter().all(|disk| disk.room.is_ok())) else {
        let check = fine(id, measured, "空きを調べられません。", "It can't be told.");
        return check.now(
            Unknown,
            "機器の管理者に確かめてもらってください。",
            "Have somebody look at it.",
        );
    };
    if least >= facts.disk_min {
        return fine(id, measured, "十分な空きがあります。", "There is room enough.");
    }
    let mb = megabytes(least);
    let check = fine(
        id,
        measured,
        format!("空きが{mb} MBしかありません。"),
        format!("Only {mb} MB are free."),
    );
    let result = if least < facts.disk_min / 10 { Bad } else { Warn };
    check.now(
        result,
        "いっぱいになると通話の記録が残せません。機器の管理者に、不要なファイルを片付けてもらってください。",
        "When it is full, records of calls are lost. Have somebody make room.",
    )
}

fn database(facts: &Facts) -> Check {
    let (waiting, lost) = facts.records;
    let (took, error) = match &facts.written {
        Ok(took) => (*took, None),
        Err(error) => (Duration::ZERO, Some(error)),
    };
    let measured = match error {
        Some(error) => error.clone(),
        None => format!("{} ms, waiting {waiting}, lost {lost}", took.as_millis()),
    };
    let check = |ja, en| fine(Id::Database, measured.clone(), ja, en);
    let call = "機器の管理者に連絡してください。電話は受けられます。";
    if error.is_some() {
        return check("記録を書き込めません。", "Records can't be written.").now(
            Bad,
            call,
            "Call whoever looks after the service. Calls are taken all the same.",
        );
    }
    if lost > 0 || waiting > WAITING_MAX || took > SLOW {
        let check = check(
            "記録の書き込みが遅れたか、失われた記録があります。",
            "Writing is slow, or records were lost.",
        );
        return check.now(
            Warn,
            "ディスクの空きも確かめてください。",
            "See the disk space as well.",
        );
    }
    check("書き込めます。", "Records are written.")
}

fn ports(facts: &Facts) -> Check {
    let id = Id::Ports;
    let Some((free, all)) = facts.ports else {
        let check = fine(id, "-".to_owned(), "空きを調べられません。", "It can't be told.");
        return check.now(Unknown, "そのままで構いません。", "Nothing need be done.");
    };
    let measured = format!("{free} / {all}");
    // Two for a call: the caller's and the counselor's.
    let calls = free / 2;
    let (ja, en) =
        (format!("あと{calls}通話分あります。"), format!("Enough for {calls} calls more."));
    let check = fine(id, measured, ja, en);
    let todo = (
        "ほかのプログラムが同じポートを使っていないか、機器の管理者に確かめてもらってください。",
        "Have somebody look which other program uses the ports of media.ports.",
    );
    match calls {
        0 => check.now(Bad, todo.0, todo.1),
        _ if free * 4 < all => check.now(Warn, todo.0, todo.1),
        _ => check,
    }
}

fn clock(facts: &Facts) -> Check {
    let clock = facts.clock;
    let follows = match clock.is_followed {
        Some(true) => "synchronized",
        Some(false) => "not synchronized",
        None => "synchronization unknown",
    };
    let seconds = clock.set_ms as f64 / 1_000.0;
    let check = |ja: String, en: String| {
        fine(Id::Clock, format!("{follows}, set by {seconds:.1} s"), ja, en)
    };
    let todo = (
        "壁の時計と見比べてください。ずれていると、開始と終了の時刻もずれます。合わないときは機器の管理者に連絡してください。",
        "Compare it with a clock on the wall: where it is wrong, the line opens and closes \
         wrongly. Call whoever looks after the service.",
    );
    if clock.is_behind {
        let text = "時計が、前回の点検より前の時刻を示しています。".to_owned();
        return check(text, "The clock shows a time before the last check.".to_owned())
            .now(Bad, todo.0, todo.1);
    }
    if clock.set_ms >= SET_MS {
        let ja = format!("前回の点検のあと、時計が{seconds:.0}秒動かされました。");
        let en = format!("The clock was set by {seconds:.0} s since the last check.");
        return check(ja, en).now(Warn, todo.0, todo.1);
    }
    match clock.is_followed {
        Some(true) => {
            check("時刻合わせが働いています。".to_owned(), "It follows a time server.".to_owned())
        }
        Some(false) => check(
            "時刻合わせが働いていません。".to_owned(),
            "It follows no time server.".to_owned(),
        )
        .now(Warn, todo.0, todo.1),
        None => check(
            "時計は動かされていません。時刻合わせの状態は確認できません(未確認)。".to_owned(),
            "It was not set. Whether it follows a time server is not known.".to_owned(),
        )
        .now(Unknown, todo.0, todo.1),
    }
}

fn certificate(facts: &Facts) -> Check {
    let id = Id::Certificate;
    let Some(until) = facts.certificate else {
        let none = ("証明書は使っていません。", "No certificate is used.");
        return fine(id, "-".to_owned(), none.0, none.1);
    };
    let left = until - facts.now;
    let days = left.num_days();
    let least = i64::try_from(facts.certificate_min.as_secs()).unwrap_or(i64::MAX);
    let check = |ja: String, en: String| fine(id, format!("{days} d"), ja, en);
    let todo = (
        "証明書の更新を機器の管理者に頼んでください。切れると、暗号化した電話機がつながりません。",
        "Have the certificate renewed: when it ends, encrypted phones can't connect.",
    );
    if left.num_seconds() <= 0 {
        let check = check("証明書の期限が切れています。".to_owned(), "It has expired.".to_owned());
        return check.now(Bad, todo.0, todo.1);
    }
    let check = check(format!("あと{days}日有効です。"), format!("It is good for {days} days."));
    if left.num_seconds() < least { check.now(Warn, todo.0, todo.1) } else { check }
}

fn service(facts: &Facts) -> Check {
    let all = facts.unready.len() + facts.faults.len();
    if all == 0 {
        let id = Id::Service;
        return fine(id, "0".to_owned(), "正常に動いています。", "It runs as it should.");
    }
    let result = if facts.unready.is_empty() { Warn } else { Bad };
    let check = fine(
        Id::Service,
        facts.unready.join("\n"),
        format!("サービスが{all}件の不具合を知らせています。{}", said(&facts.faults, Lang::Ja)),
        format!("The service reports {all} faults.{}", said(&facts.faults, Lang::En)),
    );
    check.now(
        result,
        "機器の管理者に見せてください。",
        "Show this page to whoever looks after the service.",
    )
}

#[cfg(test)]
mod tests;
