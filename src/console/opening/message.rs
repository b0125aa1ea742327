//! What is told of a run, to people and to machines.
//!
//! Owns the words. Pure. People read them on a phone in the evening: the worst first, each with
//! what to do.

use chrono::SecondsFormat;
use chrono_tz::Tz;
use serde_json::{Value, json};

use super::check::{Check, Run, Verdict};
use crate::config::Notify;
use crate::time::Timestamp;

/// A message, as a mail and as JSON.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Message {
    pub(super) subject: String,
    pub(super) body: String,
    pub(super) json: Value,
}

/// Whether somebody is to be told.
pub(super) fn is_due(notify: Notify, result: Verdict) -> bool {
    match notify {
        Notify::Always => true,
        Notify::Problems => result >= Verdict::Warn,
    }
}

impl Message {
    /// Of a run.
    pub(super) fn of(run: &Run, tz: Tz) -> Self {
        let clock = |at: Timestamp, form| at.with_timezone(&tz).format(form).to_string();
        let opens = run
            .opens
            .or_else(|| run.report.next_open.and_then(|at| Timestamp::from_timestamp(at, 0)));
        let verdict = match run.result() {
            Verdict::Bad => "問題があります",
            Verdict::Warn => "注意があります",
            Verdict::Ok | Verdict::Unknown => "問題ありません",
        };
        let time = opens.map(|at| format!("{} の", clock(at, "%H:%M"))).unwrap_or_default();
        let name = &run.report.name;
        let subject = format!("【声橋】{time}開始前点検: {verdict}({name})");
        let mut body = format!(
            "{name}の開始前点検の結果です。\n\n点検: {}\n",
            clock(run.at, "%m月%d日 %H:%M")
        );
        if let Some(at) = opens {
            body += &format!("次の開始: {}\n", clock(at, "%m月%d日 %H:%M"));
        }
        for (result, title) in
            [(Verdict::Bad, "問題あり"), (Verdict::Warn, "注意"), (Verdict::Unknown, "未確認")]
        {
            for check in run.of(result) {
                body += &format!("\n■ {title}: {}\n{}\n", check.id.title().ja, check.what.ja);
                body += &format!("すること: {}\n", check.todo.ja);
            }
        }
        let fine: Vec<_> = run.of(Verdict::Ok).map(|check| check.id.title().ja).collect();
        if !fine.is_empty() {
            body += &format!("\n問題なし: {}\n", fine.join("、"));
        }
        body += "\nくわしくは、コンソールの「開始前の点検」のページをご覧ください。\n";
        let mut json = form(run);
        json["event"] = "opening_check".into();
        json["text"] = format!("{subject}\n\n{body}").into();
        Self { subject, body, json }
    }

    /// That shows whether messages arrive.
    pub(super) fn test(who: &str) -> Self {
        let subject = "【声橋】お知らせの試し送り".to_owned();
        let body = format!(
            "{who}さんがコンソールから送った、試しのお知らせです。届いていれば、開始前点検の結果も届きます。\n\
             することはありません。\n"
        );
        let text = format!("{subject}\n\n{body}");
        Self { json: json!({ "event": "test", "text": text }), subject, body }
    }
}

/// A run for machines.
pub(in crate::console) fn form(run: &Run) -> Value {
    let moment = |at: Timestamp| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let title = |check: &Check| {
        let mut json = json!(check);
        json["title"] = json!(check.id.title());
        json
    };
    json!({
        "line": &*run.line.0,
        "name": run.report.name,
        "at": moment(run.at),
        "who": run.who,
        "for_opening_at": run.opens.map(moment),
        "result": run.result(),
        "checks": run.report.checks.iter().map(title).collect::<Vec<_>>(),
        "told": run.report.told,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::opening::check::{Id, Report, Words};

    #[test]
    fn a_message_says_the_worst_first_and_what_to_do() {
        let check = |id, result, ja: &str| Check {
            id,
            result,
            what: Words::new(ja, ""),
            todo: Words::new("電源を確かめてください。", ""),
            measured: "0".to_owned(),
        };
        let run = Run {
            id: 1,
            line: "nijiiro".into(),
            at: "2026-11-28T08:45:00Z".parse().unwrap(),
            who: "system".to_owned(),
            opens: Some("2026-11-28T09:00:00Z".parse().unwrap()),
            report: Report {
                name: "にじいろ".to_owned(),
                checks: vec![
                    check(Id::Disk, Verdict::Ok, "空きがあります。"),
                    check(Id::Clock, Verdict::Warn, "ずれています。"),
                    check(Id::Counselors, Verdict::Bad, "いません。"),
                ],
                ..Report::default()
            },
        };
        let message = Message::of(&run, chrono_tz::Asia::Tokyo);
        assert_eq!(message.subject, "【声橋】18:00 の開始前点検: 問題があります(にじいろ)");
        let at = |text: &str| message.body.find(text).unwrap();
        assert!(at("11月28日 17:45") < at("■ 問題あり: 相談員の準備\nいません。\nすること: "));
        assert!(at("■ 問題あり") < at("■ 注意: 時計"));
        assert!(at("■ 注意") < at("問題なし: ディスクの空き"));
        assert_eq!(message.json["result"], "bad");
        assert_eq!(message.json["for_opening_at"], "2026-11-28T09:00:00Z");
        assert!(message.json["text"].as_str().unwrap().starts_with("【声橋】18:00"));
    }

    #[test]
    fn people_are_told_of_problems_or_always() {
        use Verdict::{Bad, Ok, Unknown, Warn};
        let due = |notify| [Ok, Unknown, Warn, Bad].map(|result| is_due(notify, result));
        assert_eq!(due(Notify::Problems), [false, false, true, true]);
        assert_eq!(due(Notify::Always), [true; 4]);
    }
}
