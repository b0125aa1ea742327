//! What the shipped prompts say of themselves in English, in Japanese: notes to verify, and what
//! tones are.
//!
//! Owns a table. What is not in it is somebody's own text, and shown as it is.

use crate::lang::Lang;

/// English, and the same in Japanese.
#[rustfmt::skip]
const NOTES: &[(&str, &str)] = &[
    ("Check before use: that the purpose of recording is the published one (利用目的)",
     "録音の目的が、公表している利用目的と同じか"),
    ("Check before use: the hours of the line.", "回線の受付時間と合っているか"),
    ("Check before use: the closed range of the line, and the first day after it.",
     "回線の休みの期間と、そのあと最初に受け付ける日が合っているか"),
    ("Check before use: that the number is right and in service, and that its operator agrees.",
     "番号が正しく、いま使われているか。その窓口が案内を承知しているか"),
    ("(one soft tone: 15 minutes left)", "(やわらかい音1回: 残り15分)"),
    ("(two soft tones, falling: 5 minutes left)", "(やわらかい下がる音2回: 残り5分)"),
    ("(three soft tones, falling: 1 minute left)", "(やわらかい下がる音3回: 残り1分)"),
    ("(two soft tones, rising: a supervisor is in the call)",
     "(やわらかい上がる音2回: スーパーバイザーが通話に入りました)"),
    ("(two soft tones, falling: no supervisor is in the call any more)",
     "(やわらかい下がる音2回: スーパーバイザーが通話から出ました)"),
    ("(three quick soft tones: the call for help was sent)",
     "(短くやわらかい音3回: 支援要請を送りました)"),
    ("(soft beep: a caller is being joined)", "(やわらかい短い音: 相談者とつながります)"),
    ("(hold music: arpeggios over eight bars, 32 s, loops)",
     "(保留音: 8小節の分散和音、32秒の繰り返し)"),
];

/// A text of a prompt in the language of a page.
pub(in crate::console::pages) fn said(l: Lang, text: String) -> String {
    match NOTES.iter().find(|(en, _)| l == Lang::Ja && *en == text) {
        Some((_, ja)) => (*ja).to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::prompts::embedded_manifest;

    #[test]
    fn nothing_of_the_shipped_prompts_is_english_on_a_japanese_page() {
        let mut known = 0;
        for (name, entry) in embedded_manifest() {
            for text in entry.check.into_iter().chain([entry.text]).filter(|it| !it.is_empty()) {
                let shown = said(Lang::Ja, text.clone());
                assert!(!shown.starts_with(|c: char| c.is_ascii_alphabetic()), "{name}: {shown}");
                assert!(!shown.is_ascii(), "{name}: {shown}");
                assert_eq!(said(Lang::En, text.clone()), text);
                known += usize::from(shown != text);
            }
        }
        assert_eq!(known, NOTES.len() + 1, "one note stands at two prompts, and none is left over");
    }
}
