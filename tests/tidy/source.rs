//! The source files as the checks read them: without comments, texts and unit tests, and with
//! their imports resolved to whole paths.

use std::fs;
use std::path::Path;

/// One file of `src/`.
pub(super) struct Source {
    /// Path below `src/`, with `/`.
    pub path: String,
    /// Where it stands in the crate: `["call", "queue"]` for `call/queue.rs` and
    /// `call/queue/mod.rs`; empty for `lib.rs`; `["main"]` for `main.rs`.
    pub module: Vec<String>,
    /// The whole text.
    pub text: String,
    /// The text without comments, contents of literals, and unit tests; line by line as it was.
    pub code: String,
}

impl Source {
    /// The file at `path` below `src/` with this text.
    pub(super) fn new(path: &str, text: &str) -> Self {
        let stem = path.strip_suffix(".rs").unwrap_or(path);
        let stem = stem.strip_suffix("/mod").unwrap_or(stem);
        let module = stem.split('/').filter(|m| *m != "lib").map(str::to_owned).collect();
        let code = without_unit_tests(&without_prose(text));
        Self { path: path.to_owned(), module, text: text.to_owned(), code }
    }

    /// The top module that the file belongs to.
    pub(super) fn top(&self) -> &str {
        self.module.first().map_or("lib", String::as_str)
    }

    /// Whether the file is a part of the state machines' tests or fixtures.
    fn is_test(&self) -> bool {
        self.module.iter().any(|m| m == "tests" || m.ends_with("_tests"))
    }

    /// Every path into this crate that the code names, from the crate's root.
    pub(super) fn imports(&self) -> Vec<Vec<String>> {
        let mut found = Vec::new();
        for (at, root) in roots(&self.code) {
            let mut base = match root {
                "super" => self.module[..self.module.len().saturating_sub(1)].to_vec(),
                "self" => self.module.clone(),
                _ => Vec::new(),
            };
            expand(self.code[at + root.len()..].trim_start(), &mut base, &mut found);
        }
        found
    }

    /// Whether the code has this name or path, as a whole word.
    pub(super) fn names(&self, word: &str) -> bool {
        positions(&self.code, word).next().is_some()
    }
}

/// Every file of `src/` that is no test, in order of their paths.
pub(super) fn all() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut dirs = vec![root.clone()];
    let mut sources = vec![];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let below = path.strip_prefix(&root).unwrap().to_str().unwrap();
                sources.push(Source::new(below, &fs::read_to_string(&path).unwrap()));
            }
        }
    }
    sources.retain(|s| !s.is_test());
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where `word` stands in `code` as a whole word.
fn positions<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = code[..*at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        let edge = |c: Option<char>| c.is_none_or(|c| !is_name(c));
        (edge(before) || !word.starts_with(is_name)) && (edge(after) || !word.ends_with(is_name))
    })
}

/// Where paths into this crate begin.
fn roots(code: &str) -> Vec<(usize, &'static str)> {
    let mut found = vec![];
    for root in ["crate", "koebashi", "super", "self"] {
        found.extend(
            positions(code, root)
                .filter(|at| code[at + root.len()..].trim_start().starts_with("::"))
                .filter(|at| !code[..*at].trim_end().ends_with("::"))
                .map(|at| (at, root)),
        );
    }
    found
}

/// Follows `::a::{b, c::d}` from `base`, to any depth. Returns what comes after.
fn expand<'a>(rest: &'a str, base: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> &'a str {
    let Some(rest) = rest.strip_prefix("::").map(str::trim_start) else {
        found.push(base.clone());
        return rest;
    };
    if let Some(group) = rest.strip_prefix('{') {
        let mut rest = group.trim_start();
        while !rest.is_empty() && !rest.starts_with('}') {
            rest = element(rest, base, found);
            // `as name` and the comma.
            let end = rest.find([',', '}']).unwrap_or(rest.len());
            rest = rest[end..].trim_start_matches(',').trim_start();
        }
        return rest.strip_prefix('}').unwrap_or(rest);
    }
    element(rest, base, found)
}

/// One name and what follows it.
fn element<'a>(text: &'a str, base: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> &'a str {
    let end = text.find(|c| !is_name(c)).unwrap_or(text.len());
    if end == 0 {
        found.push(base.clone());
        return text.get(1..).unwrap_or("");
    }
    let depth = base.len();
    if &text[..end] == "super" {
        let mut up = base[..depth.saturating_sub(1)].to_vec();
        return expand(text[end..].trim_start(), &mut up, found);
    }
    if &text[..end] != "self" {
        base.push(text[..end].to_owned());
    }
    let rest = expand(text[end..].trim_start(), base, found);
    base.truncate(depth);
    rest
}

/// Blanks comments and the contents of texts and characters; lines stay where they are.
pub(super) fn without_prose(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (keep, len) = match c {
            '/' if rest.starts_with("//") => (0, rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => (0, block_comment(rest)),
            '"' => (0, quoted(rest)),
            'r' if !code.ends_with(is_name) || code.ends_with('b') => match raw(rest) {
                Some(len) => (0, len),
                None => (1, 1),
            },
            '\'' => match character(rest) {
                Some(len) => (0, len),
                None => (1, 1),
            },
            _ => (c.len_utf8(), c.len_utf8()),
        };
        code.push_str(&rest[..keep]);
        code.extend(rest[keep..len].chars().map(|c| if c == '\n' { c } else { ' ' }));
        rest = &rest[len..];
    }
    code
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn raw(text: &str) -> Option<usize> {
    let hashes = text[1..].len() - text[1..].trim_start_matches('#').len();
    let open = 1 + hashes;
    text[open..].starts_with('"').then(|| {
        let end = format!("\"{}", "#".repeat(hashes));
        text[open + 1..].find(&end).map_or(text.len(), |at| open + 1 + at + end.len())
    })
}

/// The length of a character literal; `None` for a lifetime.
fn character(text: &str) -> Option<usize> {
    let mut chars = text.char_indices().skip(1);
    let (_, first) = chars.next()?;
    if first == '\\' {
        chars.next();
        return chars.find(|(_, c)| *c == '\'').map(|(at, _)| at + 1);
    }
    chars.next().filter(|(_, c)| *c == '\'').map(|(at, _)| at + 1)
}

/// Blanks every item under `#[cfg(test)]`.
fn without_unit_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        kept.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = item(rest);
        kept.extend(rest[..end].chars().filter(|c| *c == '\n'));
        rest = &rest[end..];
    }
    kept + rest
}

/// The length of the item at the head of `code`: up to its `;`, or to the end of its braces.
fn item(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code.char_indices() {
        match c {
            ';' if depth == 0 => return at + 1,
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}
