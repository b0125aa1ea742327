//! The audit trail in Japanese: what stands there in English, said again for a page.
//!
//! Owns a table of sentences. The trail keeps the English ones, and its hashes are over them. A
//! sentence that is not in the table is shown as it is.

use crate::lang::Lang;

/// English with slots, and the Japanese of it, where `{0}` is the first slot. The first that fits
/// is taken. Slots: `{i}` letters without a blank, `{t}` any text, `{w}` something that
/// [`word`] may know, `{s}` a sentence of this table.
#[rustfmt::skip]
const SENTENCES: &[(&str, &str)] = &[
    ("and {i} more refused requests within a minute, the last: {s}",
     "ほかに1分間に{0}件を拒否しました。最後の1件: {1}"),
    ("{s} (call {i} of {i})", "{0}(通話 {1}、内線 {2})"),
    ("{s} (call {i})", "{0}(通話 {1})"),
    ("{s} (of {i})", "{0}(内線 {1})"),
    // The service.
    ("started, version {t}", "サービスを開始しました(バージョン {0})"),
    ("configuration: {t}", "設定についてのお知らせ: {0}"),
    ("told to end: no new calls", "終了の指示を受けました。新しい電話は受けません"),
    ("ended the calls that were left", "残っていた通話を終えました"),
    ("{i}: Auto", "回線 {0} を営業時間どおりに戻しました"),
    ("{i}: Open({t})", "回線 {0} を臨時に開けました"),
    ("{i}: Closed({t})", "回線 {0} を臨時に閉めました"),
    ("recording of call {i}, part {i}: deleted ({w})",
     "通話 {0} の録音({1}番目)を削除しました(理由: {2})"),
    ("checked line {i} before its opening: {w}", "回線 {0} の開始前点検をしました。結果: {1}"),
    ("sent a test notice: {t}", "知らせの試し送りをしました: {0}"),
    // Counselors and supervisors.
    ("ready", "受付可にしました"),
    ("logged out", "ログアウトしました"),
    ("paused", "離席にしました"),
    ("paused: missed rings", "呼び出しに出なかったため離席にしました"),
    ("paused: {t}", "離席にしました(理由: {0})"),
    ("{i} ready", "内線 {0} を受付可にしました"),
    ("{i} logged out", "内線 {0} をログアウトにしました"),
    ("{i} paused", "内線 {0} を離席にしました"),
    ("{i} paused: missed rings", "内線 {0} が呼び出しに出なかったため離席にしました"),
    ("{i} paused: {t}", "内線 {0} を離席にしました(理由: {1})"),
    ("rings {i} to {w}", "内線 {0} を呼び出しています({1}のため)"),
    ("{i} begins to {w}", "内線 {0} が{1}を始めました"),
    ("{i} goes on to {w}", "内線 {0} が{1}に切り替えました"),
    ("{i} supervises no longer: {w}", "内線 {0} のモニター・助言・参加が終わりました({1})"),
    ("denied {w} by {i}: {w}", "内線 {1} の「{0}」を断りました({2})"),
    ("denied {w}: {w}", "「{0}」を断りました({1})"),
    ("asks for help", "支援を求めました"),
    ("rings nobody for help: no supervisor is free",
     "支援要請: 手のあいているスーパーバイザーがいません"),
    ("rings {t} for help", "支援要請で内線 {0} を呼び出しています"),
    ("nobody answered the ring for help", "支援要請の呼び出しにだれも出ませんでした"),
    ("the call for help is cleared", "支援要請を終えました"),
    ("the recording is paused", "録音を一時停止しました"),
    ("the recording goes on", "録音を再開しました"),
    ("has the caller not connected again for a while",
     "この電話の人を、しばらくつながないようにしました"),
    ("has {i} callers connected again", "つながないようにしていた{0}人の制限を解除しました"),
    ("ends the wrap-up", "後処理を終えました"),
    ("extends the wrap-up", "後処理を延長しました"),
    ("says what call {i} was", "通話 {0} の種別を記録しました"),
    // Accounts.
    ("signed in", "サインインしました"),
    ("signed out", "サインアウトしました"),
    ("set the console up", "管理画面の使用を始めました(最初のアカウント)"),
    ("accepted the invitation", "招待を受けてパスワードを決めました"),
    ("changed their password", "自分のパスワードを変えました"),
    ("set a second factor up", "確認コードを設定しました"),
    ("removed their second factor", "確認コードを外しました"),
    ("gave a password that is not theirs, on their own page",
     "自分のページで、違うパスワードを入れました"),
    ("a sign-in as {w} was refused", "{0} としてのサインインを拒否しました"),
    ("a sign-in under an unknown name was refused", "知らない名前でのサインインを拒否しました"),
    ("is not let to choose for another extension", "ほかの内線の状態を変えようとして拒否されました"),
    ("is not let to {t}", "{0} を開こうとして拒否されました(権限がありません)"),
    ("made the account {w}, {w}", "アカウント {0} を作りました(役割: {1})"),
    ("made an invitation for {w}", "{0} への招待を作りました"),
    ("changed the account {w}: {w} {i} → {w} {i}",
     "アカウント {0} を変えました: {1}・内線 {2} → {3}・内線 {4}"),
    ("removed the account {w}", "アカウント {0} を削除しました"),
    // Settings.
    ("changed {i}: {t} → {t}", "設定 {0} を変えました: {1} → {2}"),
    ("changed {i} more keys", "ほかに{0}件の設定を変えました"),
    ("changed the text of the configuration and no key",
     "設定ファイルの文面だけを変えました(設定の値は同じ)"),
    ("found the audit trail cut: entry {i} is gone",
     "監査記録が切り取られたことに気づきました。{0}番目の記録がありません"),
    ("saw that the configuration was changed by hand",
     "設定ファイルが手で書き換えられたことに気づきました"),
    // Prompts.
    ("made version {i} of the prompt {i} ({w})", "音声 {1} の版{0}を作りました({2})"),
    ("put version {i} of the prompt {i} on air", "音声 {1} を版{0}に切り替えました"),
    ("planned version {i} of the prompt {i} for {t}",
     "音声 {1} を版{0}に切り替える予定を入れました({2})"),
    ("took back the plan for version {i} of the prompt {i}",
     "音声 {1} を版{0}に切り替える予定を取り消しました"),
    ("gave up putting version {i} of the prompt {i} on air as planned",
     "音声 {1} を予定どおり版{0}に切り替えられず、あきらめました"),
    ("removed version {i} of the prompt {i}, never on air",
     "一度も流していない音声 {1} の版{0}を削除しました"),
    ("removed the prompt {i}", "音声 {0} を削除しました"),
    ("had the prompt {i} played to {i}", "音声 {0} を内線 {1} で聞きました"),
    ("had version {i} of the prompt {i} played to {i}", "音声 {1} の版{0}を内線 {2} で聞きました"),
    ("had {i} rung to speak the prompt {i}", "音声 {1} を録音するため内線 {0} を呼び出しました"),
    // What was read.
    ("read the audit trail", "監査記録を見ました"),
    ("read the report for the public {i} of {w}", "公表用の統計を見ました({0}、回線 {1})"),
    ("downloaded the report for the public {i} of {w}",
     "公表用の統計をダウンロードしました({0}、回線 {1})"),
    ("read the report {i} of {w}", "統計を見ました({0}、回線 {1})"),
    ("downloaded the report {i} of {w}", "統計をダウンロードしました({0}、回線 {1})"),
    ("read the report for the public {t}", "公表用の統計を見ました({0})"),
    ("downloaded the report for the public {t}", "公表用の統計をダウンロードしました({0})"),
    ("read the report {t}", "統計を見ました({0})"),
    ("downloaded the report {t}", "統計をダウンロードしました({0})"),
    ("brought the carrier's figures of {i}, {i} to {i}, {i} days",
     "回線 {0} の通信事業者の件数を取り込みました({1} から {2}、{3}日分)"),
    ("deleted the carrier's figures of {i} brought at {t}",
     "回線 {0} の通信事業者の件数({1} に取り込んだ分)を削除しました"),
];

/// Words that stand in slots.
const WORDS: &[(&str, &str)] = &[
    // Roles.
    ("operator", "運用担当者"),
    ("supervisor", "スーパーバイザー"),
    ("counselor", "相談員"),
    ("auditor", "監査担当者"),
    // What is asked for.
    ("listen", "モニター"),
    ("whisper", "助言"),
    ("join", "参加"),
    ("supervise", "モニター・助言・参加"),
    ("end", "モニター・助言・参加の終了"),
    ("help", "支援要請"),
    ("help_cleared", "支援要請の取り消し"),
    ("recording", "録音の操作"),
    ("test_call", "試験通話"),
    ("end_wrap_up", "後処理の終了"),
    ("extend_wrap_up", "後処理の延長"),
    ("ready", "受付可"),
    ("pause", "離席"),
    ("log_out", "ログアウト"),
    ("limit", "今夜はつながない"),
    ("lift", "制限の解除"),
    // Why it is not done.
    ("not_a_supervisor", "スーパーバイザーではない"),
    ("mode_not_allowed", "設定で許可されていない"),
    ("unknown_extension", "その内線はない"),
    ("unknown_call", "その通話はない"),
    ("not_in_a_call", "通話中ではない"),
    ("own_call", "自分の通話"),
    ("already_supervised", "ほかのスーパーバイザーがいる"),
    ("supervisor_is_busy", "スーパーバイザーの電話が使用中"),
    ("on_duty", "その相談員は当番中"),
    ("supervisor_is_unreachable", "スーパーバイザーの電話につながらない"),
    ("not_supervised", "スーパーバイザーは入っていない"),
    ("no_help_asked", "支援要請は終わっている"),
    ("not_recorded", "録音されていない"),
    ("number_withheld", "番号が通知されていない"),
    ("too_many_limits", "制限中の人数が上限"),
    ("no_media_port", "音声を流す空きがない"),
    ("no_usable_audio", "電話の音声方式が合わない"),
    ("unknown_mode", "その操作はない"),
    ("unknown_reason", "その離席理由はない"),
    ("not_wrapping_up", "後処理中ではない"),
    ("unknown_line", "その回線はない"),
    ("test_running", "別の点検の通話中"),
    ("no_room", "同時通話数がいっぱい"),
    // Why a supervisor takes part no longer.
    ("hung up", "電話を切った"),
    ("told by the console", "管理画面からの指示"),
    ("the call is over", "通話が終わった"),
    ("the phone was not reached", "電話につながらない"),
    ("the phone has no usable audio", "電話の音声方式が合わない"),
    ("took the call over", "通話を引き継いだ"),
    // How a check came out.
    ("ok", "異常なし"),
    ("unknown", "不明"),
    ("warn", "注意"),
    ("bad", "異常"),
    // How a version was made.
    ("file", "ファイル"),
    ("phone", "電話で録音"),
    // Why a recording is gone.
    ("expired", "保存期間が過ぎた"),
    ("asked", "人の指示"),
    ("missing", "ファイルがなくなっていた"),
];

/// A sentence of the trail in the language of a page.
pub(super) fn said(l: Lang, english: String) -> String {
    match l {
        Lang::En => english,
        Lang::Ja => japanese(&english).unwrap_or(english),
    }
}

fn japanese(english: &str) -> Option<String> {
    SENTENCES.iter().find_map(|(pattern, ja)| {
        let slots = fill(pattern, english)?;
        let put =
            |text: String, (nth, slot): (usize, &String)| text.replace(&format!("{{{nth}}}"), slot);
        Some(slots.iter().enumerate().fold((*ja).to_owned(), put))
    })
}

/// What stands in the slots, in Japanese where that is known; `None`: the sentence is another.
fn fill(pattern: &str, text: &str) -> Option<Vec<String>> {
    let Some((before, rest)) = pattern.split_once('{') else {
        return (pattern == text).then(Vec::new);
    };
    let text = text.strip_prefix(before)?;
    let (kind, rest) = rest.split_once('}')?;
    let next = rest.split('{').next().unwrap_or_default();
    let ends = if next.is_empty() {
        vec![text.len()]
    } else {
        text.match_indices(next).map(|(at, _)| at).collect()
    };
    ends.into_iter().find_map(|end| {
        let mut slots = vec![slot(kind, &text[..end])?];
        slots.extend(fill(rest, &text[end..])?);
        Some(slots)
    })
}

fn slot(kind: &str, text: &str) -> Option<String> {
    match kind {
        "i" => (!text.is_empty() && !text.contains(' ')).then(|| text.to_owned()),
        "s" => japanese(text),
        "w" => Some(word(text).to_owned()),
        _ => Some(text.to_owned()),
    }
}

/// A word in Japanese; a name between quotes without its quotes.
fn word(text: &str) -> &str {
    if let Some(name) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        return name;
    }
    WORDS.iter().find(|(en, _)| *en == text).map_or(text, |(_, ja)| *ja)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    /// Calls that write into the trail or hand on what is to be written, by file; `*`: any file.
    const WRITERS: &[(&str, &str)] = &[
        ("*", ".audit("),
        ("*", ".audit_of("),
        ("*", ".audit_refusal("),
        ("*", "news::entry("),
        ("src/console/pages/account.rs", "save("),
        ("src/console/pages/sign_in.rs", "begin("),
    ];
    /// Statements that make a sentence.
    const MADE: &[&str] = &["let deed = ", "let what = ", "let started = "];
    /// Functions and files of which every text is such a sentence, or a part of one.
    const ALL: &[(&str, &str, &str)] = &[
        ("src/shell/news.rs", "pub(super) fn intention(", "/// Who stands in"),
        ("src/shell/news.rs", "let what = match &deed.what {", "entry(&name("),
        ("src/shell/news.rs", "pub(super) fn command(", "#[cfg(test)]"),
        ("src/console/pages/sign_in.rs", "async fn refused(", "/// A cookie"),
        ("src/store/refusals.rs", "fn sums(", "#[cfg(test)]"),
        ("src/store/recording.rs", "let what = format!(", "audit::append"),
    ];
    /// Texts found there that are no sentences by themselves.
    const PARTS: &[&str] =
        &["system", "operator", "-", ", ", " by {whom}", "{} of {line:?}", "CARGO_PKG_VERSION"];

    /// Every file of the program, by its path.
    fn sources() -> Vec<(PathBuf, String)> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let (mut folders, mut found) = (vec![root.join("src")], Vec::new());
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()) {
                let is_test = path.file_stem().is_some_and(|it| it == "tests");
                if path.is_dir() && !is_test {
                    folders.push(path);
                } else if path.extension().is_some_and(|it| it == "rs") && !is_test {
                    let text = fs::read_to_string(&path).unwrap();
                    found.push((path.strip_prefix(root).unwrap().to_owned(), text));
                }
            }
        }
        found
    }

    /// The texts between quotes of a piece of Rust.
    fn literals(code: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut rest = code;
        while let Some((_, after)) = rest.split_once('"') {
            let mut end = 0;
            while !after[end..].starts_with('"') {
                end += if after[end..].starts_with('\\') { 2 } else { 1 };
                while !after.is_char_boundary(end) {
                    end += 1;
                }
            }
            found.push(after[..end].to_owned());
            rest = &after[end + 1..];
        }
        found
    }

    /// What stands between brackets that have just been opened.
    fn arguments(code: &str) -> &str {
        let mut open = 1;
        let mut is_text = false;
        for (at, letter) in code.char_indices() {
            match letter {
                '"' => is_text = !is_text,
                '(' | '{' | '[' if !is_text => open += 1,
                ')' | '}' | ']' if !is_text => open -= 1,
                _ => {}
            }
            if open == 0 || (open == 1 && letter == ';') {
                return &code[..at];
            }
        }
        code
    }

    /// Every sentence that the source can write, with `x1` in its slots.
    fn sentences() -> Vec<String> {
        let mut found = Vec::new();
        for (path, code) in sources() {
            let code = code.split("#[cfg(test)]").next().unwrap_or_default();
            let is_here = |file: &str| file == "*" || Path::new(file) == path;
            let writers = WRITERS.iter().filter(|(file, _)| is_here(file));
            for (_, writer) in writers {
                for (at, _) in code.match_indices(writer) {
                    found.extend(literals(arguments(&code[at + writer.len()..])));
                }
            }
            let writes = code.contains(".audit(") || code.contains(".audit_of(");
            for made in MADE.iter().filter(|_| writes) {
                let made = code.match_indices(made).map(|(at, _)| &code[at + made.len()..]);
                // What a page says to whoever asked is no sentence of the trail.
                for made in made.filter(|it| !it.starts_with("l.t(") && !it.starts_with("view.t("))
                {
                    found.extend(literals(arguments(made)));
                }
            }
            for (_, from, to) in ALL.iter().filter(|(file, ..)| is_here(file)) {
                let (_, part) = code.split_once(from).unwrap_or_else(|| panic!("{from} is gone"));
                found.extend(literals(part.split(to).next().unwrap_or_default()));
            }
        }
        found
    }

    /// A sentence with something in its slots.
    fn example(literal: &str, with: &str) -> String {
        let mut parts = literal.split('{');
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (_, rest) = part.split_once('}').unwrap_or_default();
            text = text + with + rest;
        }
        text
    }

    #[test]
    fn every_sentence_that_is_written_has_its_japanese() {
        let all = sentences();
        assert!(all.len() > 70, "{}", all.len());
        let mut missing = Vec::new();
        for literal in all.iter().filter(|it| !PARTS.contains(&&***it)) {
            let fillings = ["x1", "1", "ready", "Auto"];
            let said = |with: &&str| Some(japanese(&example(literal, with))?.replace(*with, ""));
            let found = fillings.iter().find_map(said);
            let Some(found) = found else {
                missing.push(literal);
                continue;
            };
            let is_english = found.split(|c: char| !c.is_ascii_alphabetic()).any(|w| w.len() > 2);
            assert!(!is_english, "{literal:?}: {found}");
        }
        assert!(missing.is_empty(), "no Japanese for {missing:#?}");
    }

    #[test]
    fn every_word_that_is_written_has_its_japanese() {
        for (file, from, to) in [
            ("src/call/deed.rs", "pub fn words(", "/// Why something is not done"),
            ("src/call/deed.rs", "pub fn name(", "/// What somebody asks"),
            ("src/call/switchboard/supervise.rs", "fn subject(", "\n}\n"),
            ("src/console/opening/check.rs", "fn name(", "/// The same in both"),
            ("src/store/recording.rs", "Why {", "/// What a recording came"),
            ("src/store/accounts.rs", "pub fn name(", "/// The role of"),
        ] {
            let all = sources();
            let (_, code) = all.iter().find(|(path, _)| path == Path::new(file)).unwrap();
            let (_, part) = code.split_once(from).unwrap();
            let found = literals(part.split(to).next().unwrap());
            assert!(found.len() > 2, "{file}: {found:?}");
            for text in found {
                assert_ne!(word(&text), text, "{file}");
            }
        }
    }

    #[test]
    fn what_was_done_is_said_in_japanese_and_the_rest_as_it_is() {
        for (english, ja) in [
            ("made an invitation for \"co2\"", "co2 への招待を作りました"),
            ("made the account \"co2\", counselor", "アカウント co2 を作りました(役割: 相談員)"),
            ("is not let to /hours", "/hours を開こうとして拒否されました(権限がありません)"),
            ("changed a.b: x → y: z", "設定 a.b を変えました: x → y: z"),
            (
                "201 begins to whisper (call k7f2 of 101)",
                "内線 201 が助言を始めました(通話 k7f2、内線 101)",
            ),
            (
                "and 97 more refused requests within a minute, the last: is not let to /x",
                "ほかに1分間に97件を拒否しました。最後の1件: \
                 /x を開こうとして拒否されました(権限がありません)",
            ),
            ("paused: 休憩", "離席にしました(理由: 休憩)"),
            ("101 paused: missed rings", "内線 101 が呼び出しに出なかったため離席にしました"),
            ("something of another version", "something of another version"),
            ("something (of 101)", "something (of 101)"),
        ] {
            assert_eq!(said(Lang::Ja, english.to_owned()), ja);
            assert_eq!(said(Lang::En, english.to_owned()), english);
        }
    }
}
