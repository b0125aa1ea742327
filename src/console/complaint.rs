//! What is wrong with the configuration, on pages: for people who have never seen the file.
//!
//! Owns where it is wrong in words: by what a page calls the key. What is wrong is said by
//! [`crate::complaint`].

use super::keys;
use crate::complaint::{Complaint, Say as _};
use crate::lang::Lang;

/// What is wrong; of a file that is not the configuration's own, with its name.
pub(super) fn what(l: Lang, complaint: &Complaint) -> String {
    let what = complaint.what.say(l);
    match (&*complaint.key, &*complaint.file, complaint.line) {
        ("", "", _) => what,
        ("", file, Some(line)) => l
            .t(&format!("{file} の{line}行目: {what}"), &format!("{file}:{line}: {what}"))
            .to_owned(),
        ("", file, None) => format!("{file}: {what}"),
        _ => what,
    }
}

/// What is wrong with a key: what the key is called, its name in the file, and that.
pub(super) fn about(l: Lang, key: &str, what: &str) -> String {
    match keys::label(l, key) {
        "" => what.to_owned(),
        label if label == key => format!("{key}: {what}"),
        label => format!("{label} ({key}): {what}"),
    }
}

/// A complaint in one line: what it is about, and what is wrong.
pub(super) fn line(l: Lang, complaint: &Complaint) -> String {
    about(l, &complaint.key, &what(l, complaint))
}

/// All of them, a line each.
pub(super) fn lines(l: Lang, complaints: &[Complaint]) -> String {
    complaints.iter().map(|it| line(l, it)).collect::<Vec<_>>().join("\n")
}

/// All of them, a line each, with the lines of the file as it lies on the disk.
pub(super) fn in_file(l: Lang, complaints: &[Complaint]) -> String {
    let placed = |it: &Complaint| match it.line.filter(|_| !it.key.is_empty()) {
        Some(n) => l.t(&format!("{n}行目: "), &format!("line {n}: ")).to_owned() + &line(l, it),
        None => line(l, it),
    };
    complaints.iter().map(placed).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::complaint::{File, Severity, Syntax, Value};

    #[test]
    fn a_complaint_says_where_in_the_words_of_the_pages() {
        let missing = Complaint::error("k.toml", Some(5), Value::Missing);
        let of = |key: &str| line(Lang::Ja, &Complaint { key: key.to_owned(), ..missing.clone() });
        assert_eq!(
            of("line.x.queue.max_wait"),
            "待ち時間の上限 (line.x.queue.max_wait): 入力が必要です。"
        );
        assert_eq!(of("nowhere"), "nowhere: 入力が必要です。");
        let syntax = File::NotToml(Syntax("unclosed array, expected `]`".to_owned()));
        let syntax = Complaint::error("k.toml", Some(3), syntax);
        assert_eq!(
            line(Lang::Ja, &syntax),
            "k.toml の3行目: 設定ファイルの書き方が違います: 一覧の終わりの「]」がありません"
        );
        assert_eq!(line(Lang::En, &syntax), "k.toml:3: unclosed array, expected `]`");
        let silent = Complaint { severity: Severity::Warning, ..syntax };
        let silent = Complaint { line: None, what: File::SilentAudio.into(), ..silent };
        assert_eq!(line(Lang::En, &silent), "k.toml: empty or silent");
    }
}
