//! A journal that is damaged, or not ours at all: it costs the calls that are damaged, and never
//! the process.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use koebashi::call::journal::Key;
use koebashi::call::switchboard::{Input, Past, Switchboard};
use koebashi::chance::Chance;
use koebashi::time::{Anchor, Now};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop, prop_oneof};
use proptest::{proptest, test_runner::Config};

use super::{S, Scene};
use crate::config;

/// The journal of a service with a caller who talks, one who waits and a supervisor.
fn journal() -> &'static BTreeMap<Key, Bytes> {
    static JOURNAL: OnceLock<BTreeMap<Key, Bytes>> = OnceLock::new();
    JOURNAL.get_or_init(|| {
        let mut scene = Scene::bridge(config::BASIC);
        let other = scene.world.add_caller(2, 0x22);
        scene.world.dial(other);
        scene.world.run(5 * S);
        scene.world.life.kept.clone()
    })
}

/// Goes on with that, for a while.
fn go_on(kept: BTreeMap<Key, Bytes>) -> (usize, usize) {
    let loaded = config::load(config::BASIC);
    let mono = Instant::now();
    let wall = "2026-11-28T10:00:00Z".parse().expect("a moment");
    let anchor = Anchor { mono, since_boot: Duration::from_secs(6000) };
    let (mut board, problems) = Switchboard::restore(
        Arc::new(loaded.call),
        loaded.sip,
        &loaded.media,
        BTreeMap::new(),
        Chance::from_number(1),
        Now { mono, wall },
        Past { anchor, kept, configs: &|_| None, at: &Cell::default() },
    );
    let calls = board.counts().sessions;
    for _ in 0..200 {
        board.take_changes();
        while board.poll_output().is_some() {}
        let Some((at, _)) = board.poll_timeout() else { break };
        board.handle(Now { mono: at.max(mono), wall }, Input::Timeout);
    }
    (calls, problems.len())
}

#[test]
fn an_undamaged_journal_has_no_problems() {
    let kept = journal().clone();
    let sessions = kept.keys().filter(|key| matches!(key, Key::Session(_))).count();
    let (calls, problems) = go_on(kept);
    assert!(sessions >= 3);
    assert_eq!((calls >= sessions, problems), (true, 0));
}

#[test]
fn damage_costs_one_call() {
    let mut kept = journal().clone();
    let calls: Vec<_> = kept.keys().filter(|key| matches!(key, Key::Call(_))).cloned().collect();
    kept.insert(calls[0].clone(), Bytes::from_static(b"{\"format\":1,\"form\":{}}"));
    assert_eq!(go_on(kept).1, 1);
    let mut kept = journal().clone();
    kept.insert(calls[0].clone(), Bytes::from_static(b"{\"format\":9}"));
    assert_eq!(go_on(kept).1, 1);
}

/// Something done to one value: what, where, by what.
fn damage() -> impl Strategy<Value = (u8, prop::sample::Index, prop::sample::Index, Vec<u8>)> {
    let bytes = prop_oneof![
        vec(any::<u8>(), 0..12),
        prop::sample::select(vec![
            "0",
            "-1",
            "null",
            "\"",
            "}",
            "[]",
            "99999999999999999999",
            "\\u0000"
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    (0..5_u8, any::<prop::sample::Index>(), any::<prop::sample::Index>(), bytes)
}

proptest! {
    #![proptest_config(Config::with_cases(400))]

    #[test]
    fn damage_is_never_the_end(damages in vec(damage(), 1..6)) {
        let mut kept = journal().clone();
        let keys: Vec<Key> = kept.keys().cloned().collect();
        for (what, key, at, bytes) in damages {
            let key = &keys[key.index(keys.len())];
            let mut value = kept.get(key).map(|value| value.to_vec()).unwrap_or_default();
            let place = at.index(value.len() + 1);
            match what {
                0 => value.truncate(place),
                1 => drop(value.splice(place..place, bytes)),
                2 => {
                    let end = (place + bytes.len()).min(value.len());
                    drop(value.splice(place..end, bytes));
                }
                3 => {
                    // A number is another.
                    let digit = value[place.min(value.len())..].iter().position(u8::is_ascii_digit);
                    if let Some(digit) = digit {
                        value[place + digit] = b'0' + bytes.first().map_or(9, |b| b % 10);
                    }
                }
                _ => {
                    // It is another's.
                    value = kept.get(&keys[at.index(keys.len())]).map(|v| v.to_vec()).unwrap_or_default();
                }
            }
            kept.insert(key.clone(), Bytes::from(value));
        }
        go_on(kept);
    }

    #[test]
    fn anything_may_be_in_it(values in vec((0..40_u64, vec(any::<u8>(), 0..60)), 0..12)) {
        let kinds = ["service", "counselor/101", "session/", "phone/", "call/", "internal/"];
        let kept = values.into_iter().filter_map(|(n, value)| {
            let kind = kinds[(n % 6) as usize];
            let key = if kind.ends_with('/') { format!("{kind}{n}") } else { kind.to_owned() };
            Some((key.parse().ok()?, Bytes::from(value)))
        });
        go_on(kept.collect());
    }
}
