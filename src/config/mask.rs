//! A text of a configuration as it may be shown: without its secrets.
//!
//! Works line by line on any text, also on one that is no TOML and in comments, so that a secret is
//! not shown because of a slip of the pen elsewhere. What is hidden may be too much.

/// What stands where a secret does.
const HIDDEN: &str = "\"(secret)\"";
/// A key with one of these in its name is secret.
const SECRET: [&str; 5] = ["password", "ha1", "token", "secret", "webhook"];
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
                (rest, within) = (&rest[end + quotes.len()..], None);
                shown.push_str(HIDDEN);
            }
            while let Some(at) = secret_value(rest) {
                shown.push_str(&rest[..at]);
                shown.push_str(HIDDEN);
                (rest, within) = behind(&rest[at..]);
            }
            shown + rest
        })
        .collect()
}

/// Where in the line the value of a secret key begins.
fn secret_value(line: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(equals) = line[from..].find('=').map(|at| from + at) {
        let key = line[..equals].trim_end();
        let word = |c: char| c.is_alphanumeric() || "_-.\"'\\ ".contains(c);
        let start = key.rfind(|c| !word(c)).map_or(0, |at| at + 1);
        let key = key[start..].to_lowercase();
        let last = key.rsplit('.').next().unwrap_or_default().trim_matches(['"', '\'', ' ']);
        if SECRET.iter().any(|name| last.contains(name)) && !last.ends_with(NOT) {
            let behind = &line[equals + 1..];
            return Some(equals + 1 + (behind.len() - behind.trim_start().len()));
        }
        from = equals + 1;
    }
    None
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
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        let long = shown("password = \"\"\"abc\ndef\nghi\"\"\" # end\nname = \"x\"");
        let hidden = "\"(secret)\"";
        assert_eq!(long, format!("password = {hidden}\n{hidden}\n{hidden} # end\nname = \"x\""));
    }
}
