//! How much of everything there may be, and what is said of more.

use super::*;
use crate::config::sheet::MAX_COMPLAINTS;

#[test]
fn a_national_service_has_thousands_of_counselors() {
    let more = |n| {
        let counselor = |n| {
            let contact = format!("sip:{n}@192.0.2.7:5060");
            format!(
                "[[counselor]]\nextension = \"{n}\"\ncontact = \"{contact}\"\nlines = [\"nijiiro\"]\n"
            )
        };
        GOOD.to_owned() + &(20_001..20_000 + n).map(counselor).collect::<String>()
    };
    assert_eq!(ok(&more(10_000)).call.counselors.len(), 10_000);
    assert_eq!(said(&more(10_001)), "k.toml:7: counselor: 10001 of them; at most 10000\n");
}

#[test]
fn what_is_no_text_or_too_long_is_refused() {
    let dir = std::env::temp_dir().join(format!("koebashi-bytes-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("k.toml"), b"[sip]\n# \xff\n").unwrap();
    let complaint = shown(&load(&dir.join("k.toml")).unwrap_err());
    std::fs::remove_dir_all(&dir).unwrap();
    assert!(complaint.ends_with("k.toml:2: is not UTF-8\n"), "{complaint}");
    let deep = format!("a = {}", "[".repeat(100_000));
    assert!(parse(&deep, "k.toml", Path::new("")).is_err());
    let long = "#".repeat(MAX_FILE + 1);
    assert_eq!(said(&long), "k.toml: has 4194305 bytes; at most 4194304\n");
}

#[test]
fn of_a_thousand_mistakes_the_first_are_told_and_that_there_are_more() {
    let refused = |text: &str| parse(text, "k.toml", Path::new("")).unwrap_err();
    // Three bytes for each counselor who has nothing that one needs; a line for each that is no TOML.
    let all = [format!("counselor = [{}]", "{},".repeat(2_000)), "?\n".repeat(2_000)];
    for text in all {
        let complaints = refused(&text);
        assert_eq!(complaints.len(), MAX_COMPLAINTS + 1);
        let first = complaints[0].to_string();
        assert_eq!(first, "k.toml: more is wrong than the 200 that are listed");
    }
    // What looks wrong does not take the place of what is.
    let odd = (8..=32)
        .map(|bits| format!("[[trunk]]\nid = \"t{bits}\"\npeers = [\"10.0.0.0/{bits}\"]\n"));
    let text = GOOD.to_owned() + &odd.collect::<String>() + "[sip]\nt1 = 500\n";
    let complaints = refused(&text);
    let of = |severity| complaints.iter().filter(|c| c.severity == severity).count();
    assert_eq!(of(Severity::Warning), MAX_COMPLAINTS + 1, "{}", shown(&complaints));
    assert_eq!(of(Severity::Error), 1);
}
