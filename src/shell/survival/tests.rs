use std::thread::sleep;

use rusqlite::Connection;

use super::*;
use crate::config;
use crate::store::tests::{Folder, answered};
use crate::store::{self, Reader};
use crate::time::Timestamp;

const MS: Duration = Duration::from_millis(1);
const SOON: Duration = Duration::from_secs(10);
/// A caller's.
const NUMBER: &str = "09011112222";

/// A state folder, gone with the test.
struct Place {
    folder: Folder,
    config: store::Config,
}

impl Place {
    fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let config = store::Config { queue: 2, spool: 3, ..folder.config() };
        Self { folder, config }
    }

    /// A store whose database somebody else holds, until that connection lets go of it.
    fn locked(&self) -> (Store, Connection) {
        let (store, lock) = (self.store(), Connection::open(&self.config.path).unwrap());
        lock.execute_batch("BEGIN EXCLUSIVE").unwrap();
        (store, lock)
    }

    fn store(&self) -> Store {
        Store::open(&self.config).unwrap().0
    }

    fn journal(&self) -> Journal {
        let state = self.folder.config().path.with_file_name("");
        Journal::open(&state.join("calls"), &state.join("run"), Chance::from_number(1)).0
    }

    /// A process that begins.
    fn begin(&self, store: &Store, configs: Configs) -> (Survival, Option<Found>) {
        let sockets = KeptSockets::none();
        let journal = Some(self.journal());
        let kept = Kept { journal, wait: SOON, is_left: false, sockets, configs };
        Survival::begin(kept, store).unwrap()
    }

    /// What the next process would find.
    fn kept(&self) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.journal().live().map(|(key, value)| (text(key), text(value))).collect()
    }

    /// The calls whose records the database has, and how many legs each has.
    fn records(&self) -> BTreeMap<String, usize> {
        let mut all = BTreeMap::new();
        let (from, to) = (Timestamp::MIN_UTC, Timestamp::MAX_UTC);
        let take = |cdr: Cdr| {
            all.insert(cdr.call.to_string(), cdr.legs.len());
        };
        Reader::open(&self.config.path).unwrap().cdrs(from, to, take).unwrap();
        all
    }
}

fn until(mut is_so: impl FnMut() -> bool) {
    let limit = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < limit, "it never came");
        sleep(MS);
    }
}

fn change(key: &str, value: Option<&str>) -> Change {
    let value = value.map(|text| Value::copy_from_slice(text.as_bytes()));
    Change { key: key.parse().unwrap(), value }
}

/// A call begins and ends.
fn call(survival: &mut Survival, store: &Store, n: u32) {
    let [call, session] = ["call", "session"].map(|kind| format!("{kind}/{n}"));
    survival.keep(vec![change(&call, Some(NUMBER)), change(&session, Some(NUMBER))]);
    survival.hand_in(answered(&format!("c{n}"), chrono::Utc::now()), store);
    survival.keep(vec![change(&call, None), change(&session, None)]);
}

#[test]
fn of_a_call_that_is_over_there_is_the_record_that_waits_and_nothing_else() {
    let place = Place::new("survival-waits");
    let (store, lock) = place.locked();
    let (mut survival, _) = place.begin(&store, Box::new(|_| None));
    (0..20).for_each(|n| call(&mut survival, &store, n));
    survival.beat(Instant::now(), &store);
    let kept = place.kept();
    let shown: Vec<_> = kept.iter().map(|(key, _)| key.as_str()).collect();
    // As many as the store has room for.
    assert_eq!(shown, ["record/c0", "record/c1", "record/c2", "record/c3", "record/c4"]);
    assert!(kept.iter().all(|(_, value)| !value.contains(NUMBER)), "{kept:?}");
    // The process dies before the database can be written.
    drop(survival);
    assert!(store.close(100 * MS).is_err());
    assert!(store.close(SOON).is_err(), "its writer has ended");
    lock.execute_batch("ROLLBACK").unwrap();
    assert_eq!(place.records().len(), 0);
    let store = place.store();
    let (mut survival, _) = place.begin(&store, Box::new(|_| None));
    assert_eq!(place.kept().len(), 5, "they stay until the store has them");
    drop(lock);
    until(|| store.committed() == 5);
    survival.beat(Instant::now(), &store);
    assert_eq!(place.kept(), []);
    let legs = answered("c0", chrono::Utc::now()).legs.len();
    assert_eq!(place.records(), (0..5).map(|n| (format!("c{n}"), legs)).collect());
}

/// One process after another that dies within a second must not gather calls that are over.
#[test]
fn a_call_that_is_over_is_forgotten_without_a_beat() {
    let place = Place::new("survival-settles");
    let (store, _lock) = place.locked();
    let (mut survival, _) = place.begin(&store, Box::new(|_| None));
    call(&mut survival, &store, 0);
    survival.settle(&store);
    let shown = || place.kept().into_iter().map(|(key, _)| key.as_str().to_owned());
    until(|| shown().eq(["record/c0".to_owned()]));
    call(&mut survival, &store, 1);
    survival.settle(&store);
    until(|| shown().eq(["record/c0", "record/c1"].map(str::to_owned)));
}

#[test]
fn a_store_that_is_well_leaves_nothing_in_the_journal() {
    let place = Place::new("survival-well");
    let store = place.store();
    let (mut survival, _) = place.begin(&store, Box::new(|_| None));
    (0..3).for_each(|n| call(&mut survival, &store, n));
    until(|| store.committed() == 3);
    survival.beat(Instant::now(), &store);
    assert_eq!(place.kept(), []);
    call(&mut survival, &store, 3);
    // It waits for what it has been given.
    survival.leave(&store);
    assert_eq!((place.kept().len(), place.records().len()), (0, 4));
}

#[test]
fn whoever_follows_a_drain_drains_where_there_are_calls_and_it_was_not_replaced() {
    let place = Place::new("survival-drains");
    let store = place.store();
    let (mut survival, _) = place.begin(&store, Box::new(|_| None));
    let drains = || {
        let kept = Kept { journal: Some(place.journal()), ..Kept::none() };
        kept.drained_until(clock::anchor().unwrap()).is_some()
    };
    survival.drains(Instant::now() + SOON);
    assert!(!drains(), "there is nothing to wait for");
    survival.keep(vec![change("call/1", Some(NUMBER))]);
    assert!(drains());
    survival.drains_no_more();
    survival.leave(&store);
    assert!(!drains(), "another process is wanted, and is to serve");
}

/// A call that is over and has not been recorded, under a configuration of this version.
fn ended(id: &str, version: u64) -> Value {
    let record = r#"{"started":[1,1],"trunk":"t","end":{"at":[2,2],"outcome":"answered",
        "by":"caller","reason":"hangup"}}"#;
    let form = format!(
        r#"{{"id":"{id}","config":{version},"line":"l","presentation":"shown","record":{record},
        "phase":"ended","consent":"unasked","forwards":70}}"#
    );
    format!(r#"{{"format":1,"form":{form}}}"#).into()
}

#[test]
fn a_panic_on_going_on_costs_the_call_that_it_came_of() {
    let place = Place::new("survival-panic");
    let values = [("call/1", ended("a", 7)), ("call/2", ended("b", 8)), ("call/3", ended("c", 7))];
    let values = values.map(|(key, value)| (Key::from(key.as_bytes()), Some(value)));
    place.journal().apply(values).unwrap();
    let store = place.store();
    let panics = |version| -> Option<Arc<Config>> {
        assert_ne!(version, 7, "as a fault of ours would");
        None
    };
    let (survival, found) = place.begin(&store, Box::new(panics));
    let config::Loaded { call, sip, media, .. } =
        config::parse("", "test.toml", Path::new(".")).unwrap();
    let (call, intentions, chance) = (Arc::new(call), BTreeMap::new(), Chance::from_number(1));
    let mut board = survival.restore(found, Parts { call, sip, media, intentions, chance });
    let mut recorded = Vec::new();
    while let Some(output) = board.poll_output() {
        if let call::switchboard::Output::Cdr(cdr) = output {
            recorded.push(cdr.call.to_string());
        }
    }
    assert_eq!(recorded, ["b"]);
    let kept: Vec<_> = place.kept().into_iter().map(|(key, _)| key).collect();
    assert_eq!(kept, ["call/2"], "what was left out is forgotten");
}
