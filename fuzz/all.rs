//! All targets in one program: `KOEBASHI_TARGET` names the one that libFuzzer drives.
//!
//! Owns nothing but the way there; what each target promises is said in `tests/fuzz`.
#![no_main]

#[path = "../tests/config.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod config;
#[path = "../tests/fuzz/mod.rs"]
mod fuzz;
#[path = "../tests/sim/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the tests use the rest")]
mod sim;

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

fn target() -> fn(&[u8]) {
    static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();
    *TARGET.get_or_init(|| {
        let wanted = std::env::var("KOEBASHI_TARGET").unwrap_or_default();
        let names: Vec<_> = fuzz::TARGETS.iter().map(|(name, _)| *name).collect();
        let found = fuzz::TARGETS.iter().find(|(name, _)| *name == wanted);
        let (_, target) = found.unwrap_or_else(|| panic!("KOEBASHI_TARGET is one of {names:?}"));
        *target
    })
}

fuzz_target!(|bytes: &[u8]| target()(bytes));
