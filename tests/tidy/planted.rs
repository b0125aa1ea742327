//! Each check is shown files that break its rule, and files that only look as if they did.

use super::source::{Source, without_prose};
use super::{arrows, circles, core, heads, leftovers, lengths, side_by_side, unsafety};

/// How many breaches a check finds in these files, each a path and a text.
fn found(rule: fn(&[Source]) -> Vec<String>, files: &[(&str, &str)]) -> usize {
    let files: Vec<_> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
    rule(&files).len()
}

#[test]
fn arrows_up_sideways_and_in_braces_are_seen() {
    for (path, text) in [
        ("sip/parse.rs", "use crate::call::config::Extension;"),
        ("media/mod.rs", "fn f() { crate::sip::f() }"),
        ("call/queue.rs", "use crate::{time::Now, shell::clock};"),
        ("call/queue.rs", "use crate::{time::{Now, Timers}, media::{self, rtp::Header}};"),
        ("call/queue.rs", "use super::{cdr::Cdr, super::store::Store};"),
        (
            "store/mod.rs",
            "use crate::{\n    call::{\n        cdr::Cdr,\n        queue::Queue,\n    },\n};",
        ),
        ("console/mod.rs", "use crate::shell::sip_socket::Sockets;"),
        ("time.rs", "use super::pii::Pii;"),
        ("pii.rs", "use crate::chance::Chance;"),
        ("chance.rs", "use crate::time::Now;"),
        ("shell/mod.rs", "use crate::config;"),
        ("main.rs", "fn main() { koebashi::sip::f() }"),
        ("other.rs", ""),
    ] {
        let media = [(path, text), ("media/rtp.rs", ""), ("shell/clock.rs", "")];
        assert_eq!(found(arrows, &media), 1, "{path}: {text}");
    }
    for (path, text) in [
        ("sip/parse.rs", "use super::header::Name; use crate::time::Now;"),
        ("call/queue.rs", "use crate::media::{Command, pool::PortPool};"),
        ("call/queue.rs", "// crate::shell is not for us\nconst A: &str = \"crate::shell\";"),
        ("call/queue.rs", "#[cfg(test)]\nmod tests { use crate::store::Store; }"),
        ("config.rs", "use crate::shell::Limits;"),
        ("main.rs", "fn main() { koebashi::cli::run() }"),
    ] {
        let media = [(path, text), ("media/rtp.rs", ""), ("media/pool.rs", "")];
        assert_eq!(found(arrows, &media), 0, "{path}: {text}");
    }
}

#[test]
fn stages_that_know_each_other_are_seen() {
    assert_eq!(found(side_by_side, &[("call/queue.rs", "use super::bridge::Bridge;")]), 1);
    assert_eq!(found(side_by_side, &[("call/queue.rs", "use crate::call::{guidance, trunk};")]), 2);
    assert_eq!(found(side_by_side, &[("call/queue/order.rs", "use crate::call::trunk::A;")]), 1);
    assert_eq!(found(side_by_side, &[("call/queue.rs", "use super::leg::Leg;")]), 0);
    assert_eq!(found(side_by_side, &[("call/mod.rs", "use queue::Queue; use bridge::A;")]), 0);
    assert_eq!(found(side_by_side, &[("sip/sdp.rs", "use super::auth::Guard;")]), 1);
}

#[test]
fn circles_are_seen() {
    let two = [("sip/a.rs", "use super::b::B;"), ("sip/b.rs", "use crate::sip::{a::A};")];
    assert_eq!(found(circles, &two), 2);
    let three = [
        ("sip/a/mod.rs", "use super::b::B;"),
        ("sip/b.rs", "use super::c::C;"),
        ("sip/c.rs", ""),
        ("sip/c/d.rs", "use crate::sip::a::A;"),
    ];
    assert_eq!(found(circles, &three), 3);
    let none = [
        ("sip/a.rs", "use super::b::B; use super::Flow;"),
        ("sip/b.rs", "use super::{Flow, c};"),
        ("sip/c.rs", "use crate::sip::c::d;"),
        ("sip/mod.rs", "use self::a::A; use self::b::B;"),
    ];
    assert_eq!(found(circles, &none), 0);
}

#[test]
fn unsafe_elsewhere_is_seen() {
    for text in ["fn f() { unsafe { g() } }", "#![expect(unsafe_code)]\n", "unsafe fn f() {}"] {
        assert_eq!(found(unsafety, &[("shell/media_thread/shard.rs", text)]), 1, "{text}");
        for place in ["shell/media_thread/backend/epoll.rs", "shell/fds.rs"] {
            assert_eq!(found(unsafety, &[(place, text)]), 0, "{text}");
        }
    }
    let only_looks_so = "// unsafe\nconst A: &str = \"unsafe\"; fn unsafety() {}";
    assert_eq!(found(unsafety, &[("sip/uri.rs", only_looks_so)]), 0);
}

#[test]
fn io_in_the_core_is_seen() {
    for text in [
        "let now = Instant::now();",
        "let now = std::time::SystemTime::now();",
        "chrono::Utc::now()",
        "since.elapsed()",
        "std::thread::spawn(f)",
        "use tokio::time;",
        "std::fs::read(path)",
        "let lock = Mutex::new(1);",
        "async fn f() {}",
        "#[derive(serde::Serialize)]",
        "for (k, v) in &HashMap::new() {}",
    ] {
        assert_ne!(found(core, &[("call/queue.rs", text)]), 0, "{text}");
        assert_eq!(found(core, &[("shell/mod.rs", text)]), 0, "{text}");
    }
    for text in
        ["// Instant::now", "let mutex_free = await_ack;", "#[cfg(test)]\nmod tests { tokio }"]
    {
        assert_eq!(found(core, &[("call/queue.rs", text)]), 0, "{text}");
    }
}

#[test]
fn leftovers_are_seen() {
    for text in [
        "use super::super::time;",
        "fn f() { todo!() }",
        "let (a, b) = mpsc::unbounded_channel();",
        "let (a, b) = std::sync::mpsc::channel();",
        "#[allow(dead_code)]",
        "// let x = 1;",
        "    // if x {",
        "// use crate::a::b",
        "let x = 1; // FIXME",
        "// TODO: more",
        "const A: &str = \"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890\";",
    ] {
        assert_eq!(found(leftovers, &[("call/queue.rs", text)]), 1, "{text}");
    }
    for text in [
        "/// let x = 1;",
        "// Use it while it lasts.",
        "let url = \"sip://a\";",
        "#[expect(dead_code, reason = \"shown\")]",
        "let (a, b) = mpsc::channel(8);",
    ] {
        assert_eq!(found(leftovers, &[("call/queue.rs", text)]), 0, "{text}");
    }
}

#[test]
fn long_files_and_silent_files_are_seen() {
    let line = "let x = 1;\n";
    assert_eq!(found(lengths, &[("call/queue.rs", &line.repeat(601))]), 1);
    let with_prose = format!("{}{}", line.repeat(600), "// why\n\n".repeat(100));
    assert_eq!(found(lengths, &[("call/queue.rs", &with_prose)]), 0);
    let with_tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", line.repeat(700));
    assert_eq!(found(lengths, &[("call/queue.rs", &with_tests)]), 0);
    assert_eq!(found(heads, &[("call/queue.rs", "use super::a;")]), 1);
    assert_eq!(found(heads, &[("call/queue.rs", "//! The queue.\n")]), 0);
}

#[test]
fn prose_is_told_from_code() {
    for (text, code) in [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ d */ e", "a                   e"),
        (r#"f("a\"b", 'x', '\'', b'"') g"#, "f(      ,    ,     , b   ) g"),
        ("r\"a\\\" br#\"b\"c\"# d", "      b         d"),
        ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
        ("\"a\nb\" c", "  \n   c"),
        ("for r in rows", "for r in rows"),
    ] {
        assert_eq!(without_prose(text), code, "{text}");
    }
}
