//! The documents: what they point to is there.

use std::fs;
use std::path::{Path, PathBuf};

/// README.md and everything in `docs`.
fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    docs.chain([root.join("README.md")]).collect()
}

/// Where a text leads within the repository: file (empty: itself) and heading.
fn links(text: &str) -> Vec<(&str, &str)> {
    let ends = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let ours = ends.map(|(to, _)| to).filter(|to| !to.contains("://"));
    ours.map(|to| to.split_once('#').unwrap_or((to, ""))).collect()
}

/// The names by which the headings of a text are linked to.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let plain = |c: &char| c.is_alphanumeric() || *c == ' ' || *c == '-';
    headings
        .map(|line| line.trim_start_matches('#').trim().to_lowercase())
        .map(|line| line.chars().filter(plain).collect::<String>().replace(' ', "-"))
        .collect()
}

/// What of this leads nowhere, in a text that lies in this folder.
fn dead(text: &str, folder: &Path) -> Vec<String> {
    let is_dead = |(file, heading): &(&str, &str)| {
        let there = match *file {
            "" => Some(text.to_owned()),
            file if heading.is_empty() => return !folder.join(file).exists(),
            file => fs::read_to_string(folder.join(file)).ok(),
        };
        there.is_none_or(|there| !anchors(&there).iter().any(|anchor| anchor == heading))
    };
    links(text).into_iter().filter(is_dead).map(|(file, to)| format!("{file}#{to}")).collect()
}

#[test]
fn no_link_is_dead() {
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        let folder = path.parent().unwrap();
        assert_eq!(dead(&text, folder), [""; 0], "{}", path.display());
    }
}

#[test]
fn a_dead_link_is_seen() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = "# Who can't\n[a](#who-cant) [b](#nobody) [c](README.md) [d](no.md) \
        [e](README.md#try-it) [f](README.md#nowhere) [g](https://example.jp/#x)";
    assert_eq!(dead(text, folder), ["#nobody", "no.md#", "README.md#nowhere"]);
}

#[test]
fn every_document_is_linked_from_the_readme() {
    let documents = documents();
    let readme = fs::read_to_string(documents.last().unwrap()).unwrap();
    for path in &documents[..documents.len() - 1] {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(links(&readme).contains(&(&format!("docs/{name}"), "")), "{name}");
    }
}
