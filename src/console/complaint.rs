//! What `check` complains about, for people who have never seen the file.
//!
//! Owns taking `file:line: key: what` apart, and the Japanese of what is said most. What is not in
//! the table is shown as it is.

use std::path::Path;

use super::ui::Lang;
use super::{keys, save};

/// What is said (a part of it) and how a page says it; `*` takes what was quoted in it.
const WORDS: &[(&str, &str)] = &[
    (
        "is no duration",
        "時間の長さの書き方が違います。数字と単位(ms・s・m・h・d)で書きます。例: 20s、5m",
    ),
    ("is too short:", "短すぎます"),
    ("is too long:", "長すぎます"),
    ("is too small:", "小さすぎます"),
    ("is too large:", "大きすぎます"),
    ("is out of bounds", "範囲の外です"),
    ("is no time of day", "時刻は 18:00 のように書きます"),
    ("is no date with time", "日時は 2026-12-26T21:00 のように書きます"),
    ("is no date", "日付は 2026-12-26 のように書きます"),
    ("is no range of days", "期間は 12-29 から 01-03 のように、月-日で書きます"),
    ("names no day", "曜日を一つ以上選んでください"),
    ("is after service_end", "受付の終わりが、相談の終わりより後になっています"),
    ("overlaps with another window", "ほかの時間帯と重なっています"),
    ("is missing", "入力が必要です"),
    ("is there twice", "同じものが二度書かれています"),
    ("belongs to line", "その番号は、ほかの回線で使われています"),
    ("belongs to trunk", "その相手は、ほかのトランクで使われています"),
    ("there already is one", "同じ番号・IDのものがすでにあります"),
    ("is no number", "電話番号は数字で書きます。例: 0570022282"),
    ("is no extension", "内線は2~8桁の数字です"),
    ("is a number of line", "その番号は回線の番号として使われています"),
    ("begins like the code", "特番と同じ数字で始まっています"),
    ("begins like", "ほかの特番と同じ始まりなので、区別できません"),
    ("is no code", "特番は 0~9・*・# の2~8文字です"),
    ("is no id", "IDは半角の英小文字・数字・_・- で、1~32文字です"),
    ("is no prompt's name", "音声の名前は半角の英数字・_・- です"),
    ("there is no prompt", "その名前の音声がありません"),
    ("there is no line", "その回線がありません"),
    ("there is no node", "その案内がありません"),
    ("has no node \"start\"", "最初の案内(start)がありません"),
    ("goes round for ever", "キーを押さない人が、同じ案内を永久に繰り返します"),
    ("no caller ever gets to this node", "この案内には、だれも到達しません"),
    ("no counselor takes this line's calls", "この回線を受ける相談員がいません"),
    ("no caller ever gets in", "番号がなく、ほかの回線からも来ないので、だれもかけられません"),
    ("the queue can't lead to itself", "待ち行列から同じ待ち行列へは進めません"),
    ("is longer than max_wait and could never end", "最大の待ち時間より長くはできません"),
    (
        "until the queue or the first choice; callers give up",
        "案内が20秒を超えています。切ってしまう人が増えます",
    ),
    ("can't be the name of a node", "queue・help・hangup・line は案内の名前に使えません"),
    (
        "timeout and repeats mean nothing without keys",
        "キーがないので、待ち時間と繰り返しは使われません",
    ),
    ("is no IP address", "IPアドレスの書き方が違います"),
    ("is neither an address nor a network", "IPアドレスかネットワーク(192.0.2.0/24)で書きます"),
    ("is no socket address", "アドレスとポートは 127.0.0.1:8080 のように書きます"),
    ("is no time zone", "その名前のタイムゾーンはありません"),
    ("is not known", "選べる値ではありません"),
    ("is empty", "空にはできません"),
    ("characters; at most", "長すぎます"),
    ("has a control character in it", "改行などの制御文字は使えません"),
    ("is a placeholder, good on loopback only", "見本のパスワードは使えません"),
    ("is shorter than 8 characters", "8文字以上にしてください"),
    ("has no password, password_file, ha1 or fixed contact", "電話機のパスワードがありません"),
    ("needs recording.recipients", "録音を開ける人の鍵(録音の設定)が先に必要です"),
    ("needs answer = \"immediate\"", "録音するには、すぐに応答する設定が必要です"),
    ("tells callers that they are not recorded", "「録音しない」と案内していますが、録音されます"),
    ("no peers and no register", "相手のアドレスも登録もないので、電話が来ません"),
    ("everyone may send calls", "だれからでも電話を送れる設定です"),
    ("means nothing while override is \"auto\"", "「時間どおり」のときは、期限に意味がありません"),
    ("is refused unless all of SIP is on loopback", "見本のパスワードは使えません"),
    ("the demo line opens on loopback only", "見本の回線は、この機器の中だけで使えます"),
    ("is gone or empty", "設定ファイルが空か、ありません"),
    (
        "is written in a form that has to be changed by hand",
        "ファイルでの書き方のため、この画面では変えられません",
    ),
    (
        "is not loopback, and passwords go over it in clear",
        "暗号化されない通信で画面を公開します。TLSの中継を置いてください",
    ),
    ("fewer than service.max_calls", "同時通話数に対してポートが足りません"),
    ("must be a whole number", "整数で書きます"),
    (
        save::BY_HAND_ONLY,
        "機器の中の場所やプログラムを表すので、この画面では変えられません。設定ファイルを直接編集してください",
    ),
];

/// Takes a complaint apart: the key and what is wrong with it. The key is empty where there is
/// none.
pub(super) fn parts<'c>(path: &Path, complaint: &'c str) -> (&'c str, &'c str) {
    let file = path.display().to_string();
    let rest = complaint.strip_prefix(file.as_str()).unwrap_or(complaint);
    let numbered = rest.strip_prefix(':').and_then(|rest| {
        let (line, rest) = rest.split_once(':')?;
        line.bytes().all(|byte| byte.is_ascii_digit()).then_some(rest)
    });
    let rest = numbered.unwrap_or(rest).trim_start_matches(':').trim_start();
    let rest = rest.strip_prefix("warning: ").unwrap_or(rest);
    match rest.split_once(": ") {
        Some((key, what)) if !key.contains([' ', '"']) => (key, what),
        _ => ("", rest),
    }
}

/// What is wrong, in the page's language.
pub(super) fn words(l: Lang, what: &str) -> String {
    let found = WORDS.iter().find(|(part, _)| what.contains(part));
    match (l, found) {
        (Lang::Ja, Some((_, ja))) => format!("{ja}({what})"),
        _ => what.to_owned(),
    }
}

/// A complaint in one line: what it is about, and what is wrong.
pub(super) fn line(l: Lang, path: &Path, complaint: &str) -> String {
    let (key, what) = parts(path, complaint);
    match key {
        "" => words(l, what),
        key => format!("{} ({key}): {}", keys::label(l, key), words(l, what)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_is_taken_apart() {
        let of = |text| parts(Path::new("a/k.toml"), text);
        assert_eq!(of("a/k.toml:5: line.x.name: is empty"), ("line.x.name", "is empty"));
        assert_eq!(of("a/k.toml:5: warning: line.x: y: z"), ("line.x", "y: z"));
        assert_eq!(of("a/k.toml: is not there"), ("", "is not there"));
        assert_eq!(of("a/k.toml:3: \"x\" is: bad"), ("", "\"x\" is: bad"));
        assert_eq!(of("something else"), ("", "something else"));
    }

    #[test]
    fn what_is_said_most_is_said_in_japanese() {
        assert!(words(Lang::Ja, "\"5x\" is no duration: write …").starts_with("時間の長さ"));
        assert_eq!(words(Lang::En, "is missing"), "is missing");
        assert_eq!(words(Lang::Ja, "never heard of"), "never heard of");
    }
}
