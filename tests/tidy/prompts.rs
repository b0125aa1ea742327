//! The prompts that are shipped: every entry of `prompts.toml` has its file and every file its
//! entry.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Names that one side has and the other has not.
pub(super) fn breaches() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts");
    let table = fs::read_to_string(folder.join("prompts.toml")).unwrap();
    let files = fs::read_dir(&folder).unwrap().map(|f| f.unwrap().path());
    let files = files.filter(|f| f.extension().is_some_and(|e| e == "wav"));
    let files = files.map(|f| f.file_stem().unwrap().to_str().unwrap().to_owned());
    compare(&table, &files.collect())
}

fn compare(table: &str, files: &BTreeSet<String>) -> Vec<String> {
    let table: toml::Table = table.parse().unwrap();
    let entries: BTreeSet<String> = names(&table);
    let missing = entries.difference(files).map(|n| format!("prompts/{n}.wav is missing"));
    let unknown = files.difference(&entries).map(|n| format!("prompts.toml lacks {n}"));
    missing.chain(unknown).collect()
}

/// The names of the table's entries.
fn names(table: &toml::Table) -> BTreeSet<String> {
    table.iter().filter(|(_, entry)| entry.is_table()).map(|(name, _)| name.clone()).collect()
}

#[test]
fn a_missing_file_and_a_missing_entry_are_seen() {
    let files = ["a", "c"].map(str::to_owned).into();
    assert_eq!(compare("[a]\ntext = \"\"\n[b]\ntext = \"\"", &files).len(), 2);
    assert_eq!(compare("[a]\ntext = \"\"\n[c]\ntext = \"\"", &files), [""; 0]);
}
