//! What the reader of TOML says when a text is none.
//!
//! The reader has words of its own, in English. Those that operators meet are in the table; what is
//! not in it is shown as the reader says it.

use super::say::Say;
use crate::lang::Lang;

/// The beginning of what the reader says, and how it is said in Japanese.
const WORDS: &[(&str, &str)] = &[
    ("duplicate key", "同じ名前の項目が二度あります。一つ消してください"),
    ("string values must be quoted", "文字の値は \" で囲んでください"),
    ("missing opening quote", "文字の値の始めの \" がありません"),
    ("invalid basic string", "文字の値の終わりの \" がないか、使えない文字があります"),
    ("invalid literal string", "文字の値の終わりの ' がないか、使えない文字があります"),
    ("missing comma between array elements", "一覧の値の間に「,」がありません"),
    ("extra comma in array", "一覧に余分な「,」があります"),
    ("unclosed array table", "見出しの終わりの「]]」がありません"),
    ("unclosed array", "一覧の終わりの「]」がありません"),
    ("unclosed table", "見出しの終わりの「]」がありません"),
    ("unclosed inline table", "{ } の終わりの「}」がありません"),
    ("extra comma in inline table", "{ } の中に余分な「,」があります"),
    ("missing comma between key-value pairs", "{ } の項目の間に「,」がありません"),
    ("missing assignment between key-value pairs", "項目の名前と値の間に「=」がありません"),
    ("key with no value", "項目に「=」と値がありません"),
    ("missing value", "「=」の後に値がありません"),
    ("extra `=`", "「=」が多すぎます"),
    ("extra assignment", "「=」が多すぎます"),
    ("unexpected `=` in array", "一覧の中に「=」は書けません"),
    ("invalid unquoted key", "項目の名前に使えない文字があります"),
    ("unquoted keys cannot be empty", "項目の名前がありません"),
    ("invalid key-value pair", "「名前 = 値」の形になっていません"),
    ("unexpected key or value", "余分な文字があります。一行に一つの項目だけを書いてください"),
    ("unexpected content", "余分な文字があります"),
    ("unexpected leading zero", "数字の前の余分な 0 を消してください"),
    ("`_` may only go between digits", "「_」は数字の間にだけ書けます"),
    ("invalid value", "値の書き方が違います"),
    ("invalid comment character", "注釈に使えない文字があります"),
    ("cannot extend value", "その項目の値には、さらに項目を加えられません"),
    ("cannot recurse further", "かっこの重なりが深すぎます"),
    ("invalid date", "日時の書き方が違います。文字の値なら \" で囲んでください"),
    ("invalid type", "値の種類が違います"),
    ("missing field", "必要な項目がありません"),
    // What is left: which it is, the line shows.
    ("invalid ", "書き方が違うか、使えない文字があります"),
    ("missing ", "足りない文字があります"),
    ("unclosed ", "終わりのかっこがありません"),
    ("unexpected ", "余分な文字があります"),
    ("extra ", "余分な文字があります"),
    ("redundant ", "余分な文字があります"),
];

/// What the reader of TOML says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syntax(pub String);

impl Say for Syntax {
    fn say(&self, l: Lang) -> String {
        let known = WORDS.iter().find(|(begins, _)| self.0.starts_with(begins));
        let ja = known.map_or(self.0.as_str(), |(_, ja)| ja);
        l.t(ja, &self.0).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What operators get wrong in a file, read by the real reader.
    #[test]
    fn slips_of_the_pen_are_told_in_japanese() {
        for text in [
            "a = 1\na = 2",
            "a = b",
            "a = \"b",
            "a = 'b",
            "a = [1 2]",
            "a = [1,, 2]",
            "a = [1",
            "[a",
            "[[a]",
            "a = { b = 1",
            "a = { b = 1 c = 2 }",
            "a 1",
            "a",
            "a =",
            "a = = 1",
            "名前 = 1",
            "= 1",
            "a = 1 b = 2",
            "a = 01",
            "a = 1__0",
            "a = 18:00x",
            "[a]\nb = 1\n[a]\nb = 2",
            "a = 1\na.b = 2",
            "「a」 = 1",
            "a = \u{201c}b\u{201d}",
            "a\u{3000}= 1",
        ] {
            let (_, errors) = toml::de::DeTable::parse_recoverable(text);
            assert!(!errors.is_empty(), "{text:?}");
            for error in &errors {
                let said = Syntax(error.message().to_owned());
                assert_ne!(said.say(Lang::Ja), said.say(Lang::En), "{text:?}");
            }
        }
    }
}
