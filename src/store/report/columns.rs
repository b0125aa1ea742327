//! Text tables whose columns meet on a terminal, Japanese or not.
//!
//! Owns display width (a character beyond ASCII takes two columns, which holds for what we print)
//! and the table. Control characters are left out: a name can't move the cursor.

/// Columns that a text takes.
pub fn width(text: &str) -> usize {
    text.chars().map(|c| if c.is_control() { 0 } else { 1 + usize::from(!c.is_ascii()) }).sum()
}

/// The text with blanks behind it, up to `columns`.
pub fn pad(text: &str, columns: usize) -> String {
    let blanks = columns.saturating_sub(width(text));
    text.chars().filter(|c| !c.is_control()).chain(std::iter::repeat_n(' ', blanks)).collect()
}

/// Rows (the first is the head) with aligned columns, each line indented by two.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widest = |n: usize| rows.iter().filter_map(|row| Some(width(row.get(n)?))).max();
    let widths = (0..columns).map(|n| widest(n).unwrap_or_default()).collect::<Vec<_>>();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| pad(cell, *width));
        format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_meet_under_wide_characters() {
        let row = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        let text = table(&[row("名前", "件"), row("相談員A", "1"), row("\u{1b}[2Jx", "23")]);
        assert_eq!(text, "  名前     件\n  相談員A  1\n  [2Jx     23\n");
    }
}
