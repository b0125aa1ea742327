//! A text of a configuration as it may be shown: without its secrets.
//!
//! Works line by line on any text, also on one that is no TOML and in comments, so that a secret is
//! not shown because of a slip of the pen elsewhere. What is hidden may be too much.

/// What stands where a secret does.
const HIDDEN: &str = "\"(secret)\"";
/// A key with one of these in its name is secret.
const SECRET: [&str; 6] = ["password", "パスワード", "ha1", "token", "secret", "webhook"];
/// What stands between a key and its value, in TOML or in what people note down in comments.
const BETWEEN: [char; 4] = ['=', ':', '=', ':'];
/// … but for one that names a file.
const NOT: &str = "_file";

/// The lines of a text, as many as [`str::lines`] has, without secrets.
pub fn masked(text: &str) -> Vec<String> {
    let mut within: Option<&str> = None;
    text.lines()
        .map(|line| {
            let mut shown = String::new();
            let mut rest = line;
            if let Some(quotes) = within {
                let Some(end) = rest.find(quotes) else { return HIDDEN.to_owned() };
                // What looked like the beginning of it was none where another one begins here.
                (rest, within) = match secret_value(&rest[..end]) {
                    Some(at) => behind(&rest[at..]),
                    None => (&rest[end + quotes.len()..], None),
                };
                shown.push_str(HIDDEN);
            }
            while let Some(at) = secret_value(rest) {
                shown.push_str(&rest[..at]);
                shown.push_str(HIDDEN);
                (rest, within) = behind(&rest[at..]);
            }
            shown + &without_notes(rest)
        })
        .collect()
}

/// Where in the line the value of a secret key begins.
fn secret_value(line: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(equals) = line[from..].find(BETWEEN).map(|at| from + at) {
        let after = equals + line[equals..].chars().next().map_or(1, char::len_utf8);
        let key = line[..equals].trim_end();
        let word = |c: char| c.is_alphanumeric() || "_-.\"'\\ ".contains(c);
        let start = key.rfind(|c| !word(c)).map_or(0, |at| at + 1);
        let key = key[start..].to_lowercase();
        let last = key.rsplit('.').next().unwrap_or_default().trim_matches(['"', '\'', ' ']);
        // Nobody writes a name with escapes but who has something to hide.
        let is_secret = SECRET.iter().any(|name| last.contains(name)) || last.contains('\\');
        if is_secret && !last.ends_with(NOT) {
            let behind = &line[after..];
            return Some(after + (behind.len() - behind.trim_start().len()));
        }
        from = after;
    }
    None
}

/// A line without what people note down of secrets in no form at all: behind the word in a comment
/// (`# password k7m2q9xw`), and between name and host of an address (`https://u:k7m2q9xw@host`).
fn without_notes(line: &str) -> String {
    let lower = line.to_lowercase();
    // Where small letters are as long as large ones, places in one are places in the other.
    let comment = line.find('#').filter(|_| lower.len() == line.len());
    let word = comment.and_then(|from| {
        let ends =
            SECRET.iter().filter_map(|word| Some(from + lower[from..].find(word)? + word.len()));
        ends.filter(|end| !lower[*end..].starts_with(NOT)).min()
    });
    match word.filter(|end| !line[*end..].trim().is_empty() && !line[*end..].contains(HIDDEN)) {
        Some(end) => format!("{} {HIDDEN}", &line[..end]),
        None => without_logins(line),
    }
}

/// A line in which no address names a password.
fn without_logins(line: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in line.split(' ') {
        let host = word.rfind('@');
        let login = host.and_then(|host| {
            let begin = word[..host].rfind(['/', '"', '\'', ',']).map_or(0, |at| at + 1);
            let login = word[begin..host].strip_prefix("sip:").map_or(begin, |_| begin + 4);
            let colon = login + word[login..host].find(':')?;
            Some((colon + 1, host))
        });
        words.push(match login {
            Some((from, to)) => format!("{}(secret){}", &word[..from], &word[to..]),
            None => word.to_owned(),
        });
    }
    words.join(" ")
}

/// What stands behind a value in its line, and the quotes that end it where it goes on.
fn behind(value: &str) -> (&str, Option<&'static str>) {
    for quotes in ["\"\"\"", "'''"] {
        if let Some(inside) = value.strip_prefix(quotes) {
            return match inside.find(quotes) {
                Some(end) => (&inside[end + quotes.len()..], None),
                None => ("", Some(quotes)),
            };
        }
    }
    let quote = value.chars().next().filter(|c| ['"', '\''].contains(c));
    let Some(quote) = quote else { return ("", None) };
    let mut escaped = false;
    let end = value.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == quote && !escaped;
        escaped = quote == '"' && *c == '\\' && !escaped;
        ends
    });
    (end.map_or("", |(at, _)| &value[at + 1..]), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let shown = |text: &str| masked(text).join("\n");
        for (text, expected) in [
            ("password = \"a # b\\\"c\" # why", "password = \"(secret)\" # why"),
            ("#password = \"x\"", "#password = \"(secret)\""),
            (
                "r = { uri = \"u\", password='x', user = \"y\" }",
                "r = { uri = \"u\", password=\"(secret)\", user = \"y\" }",
            ),
            ("register.password = 5", "register.password = \"(secret)\""),
            ("\"password\" = \"x", "\"password\" = \"(secret)\""),
            ("ha1_sha256=\"x\"", "ha1_sha256=\"(secret)\""),
            ("password_file = \"101.password\"", "password_file = \"101.password\""),
            ("name = \"password\"", "name = \"password\""),
            ("# password: k7m2q9xw", "# password: \"(secret)\""),
            ("# 前のパスワード:k7m2q9xw", "# 前のパスワード:\"(secret)\""),
            ("\"pass\\u0077ord\" = \"x\"", "\"pass\\u0077ord\" = \"(secret)\""),
            ("uri = \"sip:a@b:5060\"", "uri = \"sip:a@b:5060\""),
            ("uri = \"sip:a:k7m2q9xw@b:5060\"", "uri = \"sip:a:(secret)@b:5060\""),
            ("x = \"https://u:k7m2q9xw@h/p\" # y", "x = \"https://u:(secret)@h/p\" # y"),
            ("# password k7m2q9xw", "# password \"(secret)\""),
            (
                "max_calls = 5 # 旧パスワードは k7m2q9xw",
                "max_calls = 5 # 旧パスワード \"(secret)\"",
            ),
            ("# password_file is better", "# password_file is better"),
            ("name = \"a\" # the password", "name = \"a\" # the password"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        let long = shown("password = \"\"\"abc\ndef\nghi\"\"\" # end\nname = \"x\"");
        let hidden = "\"(secret)\"";
        assert_eq!(long, format!("password = {hidden}\n{hidden}\n{hidden} # end\nname = \"x\""));
        let odd = shown("# password = \"\"\"\npassword = \"\"\"\nabc\n\"\"\"\nname = \"x\"");
        assert_eq!(
            odd,
            format!("# password = {hidden}\n{hidden}\n{hidden}\n{hidden}\nname = \"x\"")
        );
    }
}
