//! The store on a real file: what is written, what survives, what stays unreadable.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use super::audit::{Entry, Verdict};
use super::*;
use crate::call::cdr::{
    CallId, EndReason, EndedBy, LegFigures, Outcome, Presentation, Quality, Whose,
};
use crate::call::config::{LineId, TrunkId};

/// A folder of its own, removed at the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let id = format!("koebashi-store-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(id);
        drop(fs::remove_dir_all(&path));
        Self(path)
    }

    pub(crate) fn config(&self) -> Config {
        Config { path: self.0.join("state/koebashi.db"), ..Config::default() }
    }

    /// All bytes of all files: database, write-ahead log, shared memory.
    fn bytes(&self) -> Vec<u8> {
        let files = fs::read_dir(self.0.join("state")).unwrap();
        files.flat_map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

/// An answered call with something in every field.
pub(crate) fn answered(call: &str, started: Timestamp) -> Cdr {
    Cdr {
        call: CallId(call.into()),
        trunk: TrunkId::from("navi"),
        line: Some(LineId::from("nijiiro")),
        started,
        answered: Some(started + Duration::from_millis(80)),
        ended: started + secs(3_000),
        outcome: Outcome::Answered,
        ended_by: EndedBy::Caller,
        reason: EndReason::Hangup,
        presentation: Presentation::Withheld,
        guidance: secs(12),
        wait: secs(31),
        talk: secs(2_957),
        paid_wait: secs(43),
        position: Some(2),
        offers: 3,
        counselor: Some(Extension::from("102")),
        talks: vec![(Extension::from("101"), secs(957)), (Extension::from("102"), secs(2_000))],
        recorded: 2,
        test: false,
        legs: vec![
            leg(
                Whose::Caller,
                Quality { received: 150_000, lost: 12, mos: Some(4.25), ..quality() },
            ),
            leg(Whose::Counselor("101".into()), quality()),
            leg(Whose::Supervisor("201".into()), Quality { sent: 77, ..quality() }),
            leg(Whose::Counselor("102".into()), Quality { round_trip_ms: Some(18.5), ..quality() }),
        ],
    }
}

fn leg(whose: Whose, quality: Quality) -> LegFigures {
    LegFigures { whose, quality }
}

fn quality() -> Quality {
    Quality {
        received: 1,
        sent: 2,
        lost: 3,
        lost_at_peer: 4,
        jitter_ms: 0.5,
        jitter_max_ms: 0.75,
        round_trip_ms: None,
        strangers: 5,
        rejected: 6,
        late: 7,
        concealed: 8,
        first_packet_ms: Some(20.5),
        source_differs: true,
        level_dbfs: Some(-27.5),
        one_way: 9,
        unheard: 10,
        mos: None,
        mos_at_peer: Some(3.5),
    }
}

fn rows(config: &Config) -> Vec<Cdr> {
    let mut rows = vec![];
    let reader = Reader::open(&config.path).unwrap();
    reader.cdrs(Timestamp::MIN_UTC, at("2100-01-01T00:00:00Z"), |cdr| rows.push(cdr)).unwrap();
    rows
}

fn until(what: impl Fn() -> bool) {
    let limit = Instant::now() + secs(20);
    while !what() {
        assert!(Instant::now() < limit, "waited in vain");
        std::thread::yield_now();
    }
}

#[test]
fn a_record_comes_back_with_its_start_to_the_minute() {
    let folder = Folder::new("round-trip");
    let (store, _) = Store::open(&folder.config()).unwrap();
    let full = answered("a", at("2026-11-07T09:00:00Z"));
    let bare = Cdr {
        call: CallId("b".into()),
        line: None,
        answered: None,
        outcome: Outcome::Refused,
        reason: EndReason::Rejected(404),
        position: None,
        counselor: None,
        talks: vec![],
        recorded: 0,
        test: true,
        legs: vec![],
        ..answered("b", at("2026-11-07T09:30:00Z"))
    };
    let odd_second = answered("c", at("2026-11-07T10:00:59.9Z"));
    store.cdr(full.clone());
    store.cdr(bare.clone());
    store.cdr(odd_second);
    store.close(secs(10)).unwrap();
    let expected = vec![full, bare, answered("c", at("2026-11-07T10:00:00Z"))];
    assert_eq!(rows(&folder.config()), expected);
}

#[test]
fn what_is_not_finite_and_what_runs_backwards_is_still_written() {
    let folder = Folder::new("odd");
    let (store, _) = Store::open(&folder.config()).unwrap();
    let mut cdr = answered("a", at("2026-11-07T09:00:00Z"));
    cdr.ended = cdr.started - secs(3_600);
    cdr.wait = Duration::MAX;
    cdr.legs[0].quality.jitter_ms = f32::NAN;
    cdr.legs[0].quality.mos = Some(f32::INFINITY);
    cdr.legs[0].quality.received = u64::MAX;
    store.cdr(cdr);
    store.close(secs(10)).unwrap();
    let rows = rows(&folder.config());
    assert_eq!(rows[0].ended, rows[0].started);
    assert_eq!(rows[0].caller_quality().jitter_ms, 0.0);
    assert_eq!(rows[0].caller_quality().mos, None);
}

#[test]
fn a_call_has_one_row_over_a_kill_and_a_second_try() {
    let folder = Folder::new("once");
    let (store, _) = Store::open(&folder.config()).unwrap();
    let cdr = answered("a", at("2026-11-07T09:00:00Z"));
    store.cdr(cdr.clone());
    until(|| store.health().written == 1);
    // The files as a kill would leave them: no close, no checkpoint.
    let copy = Folder::new("once-copy");
    fs::create_dir_all(copy.0.join("state")).unwrap();
    for file in fs::read_dir(folder.0.join("state")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.0.join("state").join(file.file_name())).unwrap();
    }
    let (again, _) = Store::open(&copy.config()).unwrap();
    again.cdr(cdr.clone());
    again.cdr(answered("b", cdr.started));
    again.close(secs(10)).unwrap();
    assert_eq!(again.health().duplicates, 1);
    let calls = rows(&copy.config()).iter().map(|cdr| cdr.call.to_string()).collect::<Vec<_>>();
    assert_eq!(calls, ["a", "b"]);
}

#[test]
fn intentions_survive_a_restart_and_the_last_one_counts() {
    let folder = Folder::new("intentions");
    let (store, loaded) = Store::open(&folder.config()).unwrap();
    assert!(loaded.is_empty());
    let [a, b, c] = ["101", "102", "103"].map(Extension::from);
    store.intention(a.clone(), Intention::Paused("休憩".to_owned()));
    store.intention(b.clone(), Intention::Ready);
    store.intention(c.clone(), Intention::Ready);
    store.intention(c.clone(), Intention::LoggedOut);
    store.close(secs(10)).unwrap();
    let (_, loaded) = Store::open(&folder.config()).unwrap();
    let paused = Intention::Paused("休憩".to_owned());
    let expected = [(a, paused), (b, Intention::Ready), (c, Intention::LoggedOut)];
    assert_eq!(loaded, BTreeMap::from(expected));
}

#[test]
fn files_are_for_the_owner_only() {
    let folder = Folder::new("modes");
    let (store, _) = Store::open(&folder.config()).unwrap();
    store.cdr(answered("a", at("2026-11-07T09:00:00Z")));
    until(|| store.health().written == 1);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.0.join("state")), 0o700);
    let files = fs::read_dir(folder.0.join("state")).unwrap();
    let files = files.map(|file| mode(&file.unwrap().path())).collect::<Vec<_>>();
    assert!(files.len() >= 2 && files.iter().all(|mode| *mode == 0o600), "{files:?}");
    store.close(secs(10)).unwrap();
    // A file that came with a looser mode is tightened.
    let path = folder.config().path;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    drop(Store::open(&folder.config()).unwrap());
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn deleted_records_are_unreadable_in_every_file() {
    let folder = Folder::new("deleted");
    let config = folder.config();
    let marker = |n: usize| format!("marker-{n:03}-zq7canary");
    let found = || folder.bytes().windows(9).filter(|w| w == b"zq7canary").count();
    let (store, _) = Store::open(&Config { cdr_days: 500, ..config.clone() }).unwrap();
    let old = chrono::Utc::now() - chrono::TimeDelta::days(401);
    for n in 0..200 {
        store.cdr(answered(&marker(n), old));
    }
    store.cdr(answered("young", chrono::Utc::now()));
    until(|| store.health().written == 201);
    assert!(found() >= 200, "the search must find them before");
    // The log would keep them after the deletion: it is emptied although the store stays open.
    let log = folder.0.join("state/koebashi.db-wal");
    until(|| fs::metadata(&log).unwrap().len() == 0);
    store.close(secs(10)).unwrap();
    assert_eq!(rows(&config).len(), 201);
    assert!(found() >= 200);

    let (store, _) = Store::open(&config).unwrap();
    until(|| found() == 0);
    store.close(secs(10)).unwrap();
    assert_eq!(found(), 0);
    assert_eq!(rows(&config).len(), 1);
}

#[test]
fn what_people_do_never_takes_the_last_places_from_calls() {
    let folder = Folder::new("places");
    let config = Config { queue: 2, spool: 4, ..folder.config() };
    let (store, _) = Store::open(&config).unwrap();
    let entry = || Entry { at: at("2026-11-07T09:00:00Z"), who: "x".into(), what: "y".into() };
    store.audit(entry());
    until(|| store.health().written == 1);
    let other = Connection::open(&config.path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    (0..20).for_each(|_| store.audit(entry()));
    assert_eq!(store.health().pending, 4);
    store.cdr(answered("a", at("2026-11-07T09:00:00Z")));
    store.cdr(answered("b", at("2026-11-07T09:00:00Z")));
    assert_eq!(store.health().pending, 6);
    other.execute_batch("ROLLBACK").unwrap();
    until(|| store.health().written == 7);
    store.close(secs(10)).unwrap();
    assert_eq!(rows(&config).len(), 2);
}

#[test]
fn a_locked_database_fills_the_spool_and_is_written_later() {
    let folder = Folder::new("locked");
    let config = Config { queue: 2, spool: 3, ..folder.config() };
    let (store, _) = Store::open(&config).unwrap();
    store.audit(Entry { at: at("2026-11-07T09:00:00Z"), who: "x".into(), what: "y".into() });
    until(|| store.health().written == 1);
    let other = Connection::open(&config.path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let before = Instant::now();
    for n in 0..7 {
        store.cdr(answered(&n.to_string(), at("2026-11-07T09:00:00Z")));
    }
    assert!(before.elapsed() < Duration::from_millis(200), "the call path waited");
    until(|| store.health().fault.is_some());
    let health = store.health();
    assert_eq!((health.pending, health.spooled, health.dropped), (5, 3, 2));
    assert!(health.fault.unwrap().contains("locked"));
    other.execute_batch("ROLLBACK").unwrap();
    until(|| store.health().written == 6);
    until(|| store.health().fault.is_none());
    assert_eq!(store.health().pending, 0);
    store.close(secs(10)).unwrap();
    assert_eq!(rows(&config).len(), 5);
}

#[test]
fn a_service_begins_beside_a_locked_database_and_its_records_are_written_later() {
    let folder = Folder::new("begins-locked");
    let config = folder.config();
    let (store, _) = Store::open(&config).unwrap();
    store.audit(Entry { at: at("2026-11-07T09:00:00Z"), who: "x".into(), what: "y".into() });
    store.close(secs(10)).unwrap();
    let other = Connection::open(&config.path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    assert!(Store::open(&config).unwrap_err().to_string().contains("locked"));
    let (store, intentions) = Store::open_or_wait(&config, false).unwrap();
    assert!(intentions.is_empty());
    assert!(store.health().fault.unwrap().contains("locked"));
    store.cdr(answered("a", at("2026-11-07T09:00:00Z")));
    store.audit(Entry { at: at("2026-11-07T09:01:00Z"), who: "x".into(), what: "z".into() });
    other.execute_batch("ROLLBACK").unwrap();
    until(|| store.health().written == 2 && store.health().fault.is_none());
    store.close(secs(10)).unwrap();
    assert_eq!(rows(&config).len(), 1);
    // The trail goes on where it ended.
    let intact = Reader::open(&config.path).unwrap().verify_audit().unwrap();
    assert!(matches!(intact, Verdict::Intact { entries: 2, .. }), "{intact:?}");
    // What does not end by itself is an error for a service too, unless calls wait for it.
    let conn = Connection::open(&config.path).unwrap();
    let known: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    conn.pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(Store::open_or_wait(&config, false), Err(Error::Version { found: 99, .. })));
    let (store, _) = Store::open_or_wait(&config, true).unwrap();
    assert!(store.health().fault.unwrap().contains("version 99"));
    store.cdr(answered("b", at("2026-11-07T09:02:00Z")));
    conn.pragma_update(None, "user_version", known).unwrap();
    until(|| store.health().written == 1 && store.health().fault.is_none());
}

#[test]
fn records_are_not_written_to_a_file_that_is_gone() {
    let folder = Folder::new("unlinked");
    let config = folder.config();
    let (store, _) = Store::open(&config).unwrap();
    store.cdr(answered("1", at("2026-11-07T09:00:00Z")));
    until(|| store.health().written == 1);
    for file in fs::read_dir(config.path.parent().unwrap()).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    store.cdr(answered("2", at("2026-11-07T09:05:00Z")));
    store.close(secs(10)).unwrap();
    assert_eq!(rows(&config).len(), 1);
}

#[test]
fn a_database_that_refuses_is_tried_again_on_a_new_connection() {
    let folder = Folder::new("refuses");
    let config = folder.config();
    let (store, _) = Store::open(&config).unwrap();
    let other = Connection::open(&config.path).unwrap();
    other.execute_batch("ALTER TABLE cdr RENAME TO away").unwrap();
    store.cdr(answered("a", at("2026-11-07T09:00:00Z")));
    until(|| store.health().fault.is_some_and(|fault| fault.contains("no such table")));
    other.execute_batch("ALTER TABLE away RENAME TO cdr").unwrap();
    until(|| store.health().written == 1);
    store.close(secs(10)).unwrap();
    assert_eq!(rows(&config).len(), 1);
}

#[test]
fn closing_has_a_limit() {
    let folder = Folder::new("limit");
    let (store, _) = Store::open(&folder.config()).unwrap();
    let other = Connection::open(folder.config().path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    store.cdr(answered("a", at("2026-11-07T09:00:00Z")));
    let before = Instant::now();
    assert!(matches!(store.close(Duration::from_millis(300)), Err(Error::Unwritten(1))));
    assert!(before.elapsed() < secs(5));
}

#[test]
fn a_database_that_is_gone_or_foreign_is_an_error_and_no_panic() {
    let folder = Folder::new("errors");
    let config = folder.config();
    assert!(Reader::open(&config.path).is_err());
    drop(Store::open(&config).unwrap());
    let conn = Connection::open(&config.path).unwrap();
    conn.pragma_update(None, "user_version", 99).unwrap();
    drop(conn);
    assert!(matches!(Store::open(&config), Err(Error::Version { found: 99, .. })));
    fs::write(&config.path, b"this is no database, but it is long enough to be read as one....")
        .unwrap();
    let error = Store::open(&config).unwrap_err().to_string();
    assert!(error.contains("koebashi.db"), "{error}");
    let in_the_way = folder.0.join("file");
    fs::write(&in_the_way, b"").unwrap();
    let config = Config { path: in_the_way.join("koebashi.db"), ..Config::default() };
    assert!(matches!(Store::open(&config), Err(Error::File { .. })));
}

#[test]
fn tampering_with_the_audit_trail_is_found() {
    let folder = Folder::new("audit");
    let config = folder.config();
    let (store, _) = Store::open(&config).unwrap();
    for n in 0..5 {
        let at = at("2026-11-07T09:00:00Z") + secs(n);
        store.audit(Entry { at, who: "supervisor".into(), what: format!("deed {n}") });
    }
    store.close(secs(10)).unwrap();
    let verdict = || Reader::open(&config.path).unwrap().verify_audit().unwrap();
    assert!(matches!(verdict(), Verdict::Intact { entries: 5, .. }));
    let conn = Connection::open(&config.path).unwrap();
    let check = |change: &str, undo: &str, at: i64| {
        conn.execute_batch(change).unwrap();
        assert_eq!(verdict(), Verdict::Broken { at }, "{change}");
        conn.execute_batch(undo).unwrap();
        assert!(matches!(verdict(), Verdict::Intact { entries: 5, .. }), "{undo}");
    };
    check(
        "UPDATE audit SET what = 'nothing' WHERE n = 3",
        "UPDATE audit SET what = 'deed 2' WHERE n = 3",
        3,
    );
    check(
        "UPDATE audit SET who = 'supervisord', what = 'eed 4' WHERE n = 5",
        "UPDATE audit SET who = 'supervisor', what = 'deed 4' WHERE n = 5",
        5,
    );
    check(
        "CREATE TEMP TABLE kept AS SELECT * FROM audit WHERE n = 2; DELETE FROM audit WHERE n = 2",
        "INSERT INTO audit SELECT * FROM kept; DROP TABLE kept",
        2,
    );
    check(
        "UPDATE audit SET at_ms = at_ms + 1 WHERE n = 1",
        "UPDATE audit SET at_ms = at_ms - 1 WHERE n = 1",
        1,
    );
}

#[test]
fn retention_takes_what_is_old_and_keeps_the_chain_whole() {
    let folder = Folder::new("retention");
    let config = folder.config();
    let mut conn = migrate::open(&config.path).unwrap();
    let now = at("2030-01-01T00:00:00Z");
    let days = chrono::TimeDelta::days;
    for (n, age) in [1_096, 1_095, 401, 400, 1].into_iter().enumerate() {
        cdr::insert(&conn, &answered(&n.to_string(), now - days(age))).unwrap();
        let entry = Entry { at: now - days(age), who: "x".into(), what: n.to_string() };
        audit::append(&conn, &entry).unwrap();
    }
    assert_eq!(retention::sweep(&mut conn, &config, now).unwrap(), 3 + 1);
    assert_eq!(retention::sweep(&mut conn, &config, now).unwrap(), 0);
    let left = |table| {
        conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0))
    };
    assert_eq!(left("cdr").unwrap(), 2);
    assert_eq!(left("cdr_talk").unwrap(), 4);
    assert_eq!(left("cdr_leg").unwrap(), 8);
    assert!(matches!(audit::verify(&conn).unwrap(), Verdict::Intact { entries: 4, .. }));
    // Everything goes, and the chain goes on from its anchor.
    retention::sweep(&mut conn, &config, now + days(2_000)).unwrap();
    audit::append(&conn, &Entry { at: now, who: "x".into(), what: "y".into() }).unwrap();
    assert!(matches!(audit::verify(&conn).unwrap(), Verdict::Intact { entries: 1, .. }));
    conn.execute("UPDATE audit_anchor SET n = n + 1", []).unwrap();
    assert!(matches!(audit::verify(&conn).unwrap(), Verdict::Broken { .. }));
}
