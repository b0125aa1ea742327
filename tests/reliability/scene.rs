//! A service under load: the program, phones that answer, callers, every voice.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use crate::load::Addresses;
use crate::load::callers::{Callers, Habit};
use crate::load::phones::Phones;
use crate::load::service::{Plan, Service};
use crate::load::voice::{Side, Voice};

/// How long calls may take to be set up beyond their pace.
const PATIENCE: Duration = Duration::from_secs(20);
/// Calls that begin a second.
const RAMP: u32 = 50;

/// One service with its phones. The voice's thread ends last: the others hold on to it.
pub(crate) struct Scene {
    pub(crate) service: Service,
    pub(crate) phones: Phones,
    pub(crate) voice: Voice,
    pub(crate) addresses: Addresses,
}

impl Scene {
    /// Starts it.
    pub(crate) fn start(plan: &Plan) -> io::Result<Self> {
        let addresses = Addresses::new();
        let program = Path::new(env!("CARGO_BIN_EXE_koebashi"));
        let voice = Voice::start(addresses.trunk, addresses.phones)?;
        let phones = Phones::start(addresses.phones, voice.mouth(), true)?;
        let service = Service::start(program, &addresses, plan)?;
        Ok(Self { service, phones, voice, addresses })
    }

    /// Has callers call.
    pub(crate) fn call(&self, habit: Habit) -> io::Result<Callers> {
        let (trunk, sip) = (self.addresses.trunk, self.addresses.sip());
        Callers::start(trunk, sip, habit, self.voice.mouth())
    }

    /// Has more callers call, from another address of the trunk. They say nothing.
    pub(crate) fn call_others(&self, habit: Habit) -> io::Result<Callers> {
        Callers::start(self.addresses.others, self.addresses.sip(), habit, self.voice.mouth())
    }

    /// Has so many callers call, and waits until each talks with a counselor.
    pub(crate) fn talk(&self, calls: u32) -> io::Result<Callers> {
        self.fill(calls, 0)
    }

    /// The same with more callers than counselors: those who come last wait and hear music.
    pub(crate) fn fill(&self, talking: u32, waiting: u32) -> io::Result<Callers> {
        let calls = talking + waiting;
        let callers = self.call(Habit { calls, per_second: RAMP, hold: None, speaks: true })?;
        let limit = Duration::from_secs(u64::from(calls / RAMP)) + PATIENCE;
        self.wait("the calls to be joined", limit, || self.phones.talking() == talking)?;
        let is_queue_full = || self.queue().len() == waiting as usize;
        self.wait("the others to wait", limit, is_queue_full).map_err(|error| {
            let (progress, queue) = (callers.progress(), self.queue().len());
            io::Error::other(format!("{queue} wait, {progress:?}: {error}"))
        })?;
        Ok(callers)
    }

    /// The live board.
    pub(crate) fn board(&self) -> Value {
        // Asking costs the service more than telling.
        thread::sleep(Duration::from_millis(50));
        let board = self.service.get("/api/v1/board").map(|(_, body)| body).unwrap_or_default();
        serde_json::from_str(&board).unwrap_or_default()
    }

    /// Those who wait, the first in line first, by the names of their calls.
    pub(crate) fn queue(&self) -> Vec<String> {
        let calls = self.board()["calls"].as_array().cloned().unwrap_or_default();
        let place =
            |call: &Value| Some((call["position"].as_u64()?, call["call"].as_str()?.to_owned()));
        let mut waiting: Vec<_> = calls.iter().filter_map(place).collect();
        waiting.sort_unstable();
        waiting.into_iter().map(|(_, call)| call).collect()
    }

    /// Has every phone vanish: nothing answers any more, and nobody speaks.
    pub(crate) fn switch_phones_off(&mut self, streams: u32) -> io::Result<()> {
        let mouth = self.voice.mouth();
        (0..streams).for_each(|n| mouth.stop(Side::Phone, n));
        // Others that nobody knows, so that the address is free.
        self.phones = Phones::start(self.addresses.nobody(), mouth, false)?;
        Ok(())
    }

    /// Waits until each of these calls is over, whether it went well or not; how many went well:
    /// the caller hung up, and not the service.
    pub(crate) fn over(&self, callers: &Callers, calls: u32, pace: u32) -> io::Result<u32> {
        let count = |of: &AtomicU32| of.load(Ordering::Acquire);
        let progress = callers.progress();
        let limit = Duration::from_secs(u64::from(calls / pace.max(1))) + PATIENCE;
        let all = || count(&progress.ended) + count(&progress.failed);
        self.wait("the calls to be over", limit, || all() >= calls)
            .map_err(|error| io::Error::other(format!("{progress:?} of {calls}: {error}")))?;
        Ok(count(&progress.ended) - count(&progress.dropped))
    }

    /// A value of `/metrics` by its name with labels, 0 when it is not there.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.service.get("/metrics").map(|(_, text)| text).unwrap_or_default();
        let mut values = text.lines().filter_map(|line| line.strip_prefix(name));
        values.find_map(|rest| rest.trim().parse().ok()).unwrap_or(0.0)
    }

    /// What is said of it at `/ready`; `None`: it is ready.
    pub(crate) fn unready(&self) -> Option<String> {
        let (code, body) = self.service.get("/ready")?;
        (code != 200).then_some(body)
    }

    /// How many records the database has of each outcome.
    pub(crate) fn records(&self) -> Result<BTreeMap<String, u32>, rusqlite::Error> {
        self.count_by("outcome")
    }

    /// How many it has of each reason for which calls ended.
    pub(crate) fn reasons(&self) -> Result<BTreeMap<String, u32>, rusqlite::Error> {
        self.count_by("reason")
    }

    fn count_by(&self, column: &str) -> Result<BTreeMap<String, u32>, rusqlite::Error> {
        let database = self.database()?;
        let sql = format!("SELECT {column}, count(*) FROM cdr GROUP BY {column}");
        let mut statement = database.prepare(&sql)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    }

    /// How long the shortest and the longest of the longest so many conversations were, by their
    /// records.
    pub(crate) fn lengths(&self, of: u32) -> Result<(Duration, Duration), rusqlite::Error> {
        let sql = "SELECT min(talk_ms), max(talk_ms) FROM
            (SELECT talk_ms FROM cdr ORDER BY talk_ms DESC LIMIT ?)";
        let both: (u32, u32) =
            self.database()?.query_row(sql, [of], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok((Duration::from_millis(both.0.into()), Duration::from_millis(both.1.into())))
    }

    /// Waits until there are so many records, and when the call of the last one began: ms since
    /// 1970, by the service's clock.
    pub(crate) fn began(&self, records: u32) -> io::Result<i64> {
        self.wait_recorded(records)?;
        let sql = "SELECT started_ms FROM cdr ORDER BY rowid DESC LIMIT 1";
        let ask = |database: Connection| database.query_row(sql, [], |row| row.get(0));
        self.database().and_then(ask).map_err(io::Error::other)
    }

    /// The database, to be read.
    pub(crate) fn database(&self) -> Result<Connection, rusqlite::Error> {
        let path = self.service.dir().join("state/koebashi.db");
        let database = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        database.busy_timeout(PATIENCE)?;
        Ok(database)
    }

    /// Locks the database, for as long as nobody says ROLLBACK or drops it.
    pub(crate) fn lock_database(&self) -> Result<Connection, rusqlite::Error> {
        let lock = Connection::open(self.service.dir().join("state/koebashi.db"))?;
        lock.execute_batch("BEGIN EXCLUSIVE")?;
        Ok(lock)
    }

    /// Waits until there are so many records; how many there are of each outcome.
    pub(crate) fn wait_recorded(&self, count: u32) -> io::Result<BTreeMap<String, u32>> {
        let all = || self.records().map_or(0, |all| all.values().sum());
        self.wait(&format!("{count} records"), PATIENCE, || all() >= count)?;
        self.records().map_err(io::Error::other)
    }

    /// Waits until there is a record of each of these calls; whether there is one each, and all of
    /// them were answered.
    pub(crate) fn are_recorded(&self, calls: u32) -> io::Result<bool> {
        let all = self.wait_recorded(calls)?;
        Ok(all == BTreeMap::from([("answered".to_owned(), calls)]))
    }

    /// Waits for something.
    ///
    /// # Errors
    /// When it does not come: what was waited for, and the end of the log.
    pub(crate) fn wait(
        &self,
        what: &str,
        limit: Duration,
        ask: impl Fn() -> bool,
    ) -> io::Result<()> {
        let began = Instant::now();
        while !ask() {
            if began.elapsed() > limit {
                let log = self.service.log();
                return Err(io::Error::other(format!("waited {limit:?} for {what}: {log}")));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}
