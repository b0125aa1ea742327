//! What differs between two texts of the configuration, as lines for a page, without secrets.

use std::time::Duration;

use similar::{ChangeTag, TextDiff};

use crate::config::masked;

/// Lines around a change that are shown with it.
const AROUND: usize = 2;
/// Lines that are shown at most.
const MOST: usize = 400;

/// How long the shortest comparison is looked for; after it any will do. What takes longer would
/// keep a thread that others wait for.
const PATIENCE: Duration = Duration::from_millis(200);

/// A line of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::console) struct Line {
    /// `+`, `-`, a blank, or `…` between two places.
    pub(in crate::console) mark: char,
    /// What it says.
    pub(in crate::console) text: String,
}

impl Line {
    pub(in crate::console) fn is_new(&self) -> bool {
        self.mark == '+'
    }

    pub(in crate::console) fn is_old(&self) -> bool {
        self.mark == '-'
    }
}

/// How one text becomes the other; secrets are hidden, and that they changed shows.
pub(in crate::console) fn lines(old: &str, new: &str) -> Vec<Line> {
    let (was, is) = (masked(old), masked(new));
    let diff = TextDiff::configure().timeout(PATIENCE).diff_lines(old, new);
    let mut lines = Vec::new();
    for (nth, group) in diff.grouped_ops(AROUND).iter().enumerate() {
        if nth > 0 {
            lines.push(Line { mark: '…', text: String::new() });
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let (mark, line) = match change.tag() {
                ChangeTag::Equal => (' ', change.old_index().and_then(|n| was.get(n))),
                ChangeTag::Delete => ('-', change.old_index().and_then(|n| was.get(n))),
                ChangeTag::Insert => ('+', change.new_index().and_then(|n| is.get(n))),
            };
            lines.push(Line { mark, text: line.cloned().unwrap_or_default() });
        }
    }
    let more = lines.len().saturating_sub(MOST);
    if more > 0 {
        lines.truncate(MOST);
        lines.push(Line { mark: '…', text: format!("+{more}") });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_changed_shows_as_a_change_alone() {
        let old = "name = \"A\"\nha1 = \"11\"\n";
        let shown: Vec<_> = lines(old, &old.replace("11", "22"))
            .into_iter()
            .map(|line| format!("{}{}", line.mark, line.text))
            .collect();
        assert_eq!(shown, [" name = \"A\"", "-ha1 = \"(secret)\"", "+ha1 = \"(secret)\""]);
        assert_eq!(lines(old, old), []);
    }

    #[test]
    fn texts_with_nothing_in_common_are_compared_in_time() {
        let text = |odd: u32| (0..60_000).map(|n| format!("{}\n", 2 * n + odd)).collect::<String>();
        let begun = std::time::Instant::now();
        let shown = lines(&text(0), &text(1));
        assert_eq!(shown.len(), MOST + 1);
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }
}
