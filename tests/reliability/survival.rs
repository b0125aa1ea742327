//! Calls that outlive the process: `kill -9` in the middle of them, again and again, and a newer
//! program in place of the old one.
//!
//! A stream is what comes to a peer from one port of the service. It is lost when another source
//! (SSRC) takes its place, or none does; what a peer hears of a restart is the longest time between
//! two packets, 20 ms when nothing happens.

use std::collections::BTreeSet;
use std::error::Error;
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use koebashi::chance::Chance;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::goal::{Goal, Measured, Run};
use crate::load::callers::Habit;
use crate::load::figures::Figures;
use crate::load::manager::Manager;
use crate::load::service::Plan;
use crate::scene::Scene;

/// The rows of this file.
pub(crate) const GOALS: &[Goal] = &[
    Goal {
        name: "kill",
        wanted: "kill -9 at random moments, 100 calls talk, 10 ring, 10 wait: none lost, gap ≤ 100 \
                 ms p50, ≤ 500 ms p99; who rang rings again ≤ 2 s",
        peer: "rtpengine with redis: media back in 80–142 ms; FreeSWITCH 3–5 s",
        is_long_only: false,
        measure: killed,
    },
    Goal {
        name: "kill-locked",
        wanted: "kill -9 while the database is locked: calls go on, gap as above, new ones are \
                 answered, all recorded afterwards",
        peer: "–",
        is_long_only: false,
        measure: killed_beside_a_lock,
    },
    Goal {
        name: "upgrade",
        wanted: "a newer program in place of the old one, 100 calls talk: no packet lost",
        peer: "FreeSWITCH, Asterisk: calls are lost or drained",
        is_long_only: false,
        measure: upgraded,
    },
    Goal {
        name: "systemd",
        wanted: "the shipped unit under a real systemd, 100 calls talk: kill -9 loses none, gap \
                 ≤ 100 ms p50, ≤ 500 ms p99; restart and reload lose no packet; a hang is ended; \
                 stop waits for the calls",
        peer: "–",
        is_long_only: false,
        measure: installed,
    },
    Goal {
        name: "records",
        wanted: "kill -9 while calls come and go: each call that was answered has its one record",
        peer: "Asterisk documents that records are lost",
        is_long_only: false,
        measure: recorded,
    },
];

/// Calls that talk.
const TALKING: u32 = 100;
/// Callers who hear music meanwhile: for whom a phone rings, and who come after them.
const RINGING: u32 = 10;
const WAITING: u32 = 10;
/// All phones and calls of theirs, and what is heard of them while some still wait.
const PHONES: u32 = TALKING + RINGING;
const CALLS: u32 = PHONES + WAITING;
const STREAMS: usize = (2 * TALKING + RINGING + WAITING) as usize;
/// How soon their phones ring again when the service was killed.
const RINGS_AGAIN: Duration = Duration::from_secs(2);
/// Phones ring as long as they may, and so many kills are over well before that: 1.5 s each.
const PATIENT: &str = "ring_timeout = \"5m\"";
const IN_ONE_RING: u32 = 100;
/// How long the next process may take; of one that hangs, `WatchdogSec=` longer.
const SOON: Duration = Duration::from_secs(10);
const HANGS: Duration = Duration::from_secs(10);
/// How soon all is well when nothing is in the way any more.
const WELL_AGAIN: Duration = Duration::from_secs(30);
/// How long it is listened before a process dies, and after the next one is there.
const AROUND: Duration = Duration::from_millis(300);
/// What half of the pauses of a killed service may last, and what all but one in a hundred may. The
/// short form runs beside others' work on whatever machine CI has, and its half is of a few kills:
/// it is given more. What is promised is what the long form holds.
const HALF: Duration = Duration::from_millis(100);
const HALF_IN_SHORT: Duration = Duration::from_millis(250);
const MOST: Duration = Duration::from_millis(500);

/// A service with a keeper.
fn kept() -> Plan {
    Plan { counselors: TALKING, manager: Manager::Keeper, ..Plan::default() }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Has the service replaced by what `act` does, and waits for the next one.
fn replace(scene: &Scene, act: impl FnOnce(u32) -> io::Result<()>) -> Result<(), Box<dyn Error>> {
    let old = scene.service.kept().ok_or("there is no service")?;
    act(old)?;
    scene.wait("the next process", SOON + HANGS, || {
        scene.service.kept().is_some_and(|new| new != old) && scene.service.is_ready()
    })?;
    Ok(())
}

fn signal(pid: u32, signal: Signal) -> io::Result<()> {
    Ok(kill(Pid::from_raw(pid.cast_signed()), signal)?)
}

/// What peers have heard of restarts.
#[derive(Default)]
struct Hearing {
    /// The longest pause of each stream at each restart, in nanoseconds.
    pauses: Vec<u64>,
    /// Streams that were not there any more, or another's.
    lost: usize,
    /// Packets that peers sent, and those of them that never came out.
    sent: u64,
    vanished: u64,
    /// The generator itself was away, or lost packets.
    is_disturbed: bool,
}

impl Hearing {
    /// Takes what came around one restart.
    fn add(&mut self, figures: &Figures, streams: usize) {
        self.miss(figures, streams);
        self.pauses.extend(figures.streams.values().map(|stream| stream.pause));
        let sent: u64 = figures.sent.iter().sum();
        self.sent += sent;
        self.vanished += sent.saturating_sub(figures.relayed.iter().sum());
        self.is_disturbed |= figures.skipped > 0 || figures.dropped_here > 0;
    }

    /// Counts the streams that should have come and did not.
    fn miss(&mut self, figures: &Figures, streams: usize) {
        let broken = figures.streams.values().filter(|stream| stream.is_another).count();
        self.lost += broken + streams.saturating_sub(figures.streams.len());
    }

    /// The pause that this share of all does not exceed.
    fn pause(&mut self, share: f64) -> Duration {
        self.pauses.sort_unstable();
        let at = (self.pauses.len() as f64 * share).ceil() as usize;
        self.pauses.get(at.max(1) - 1).copied().map_or(Duration::MAX, Duration::from_nanos)
    }

    /// Whether what is heard of kills is as short as promised.
    fn is_short(&mut self, run: &Run) -> bool {
        let half = if run.is_long { HALF } else { HALF_IN_SHORT };
        self.pause(0.5) <= half && self.pause(0.99) <= MOST
    }

    /// What is said of kills: in the short form also what half of them is given there.
    fn gaps(&mut self, run: &Run) -> String {
        let given = match run.is_long {
            true => String::new(),
            false => format!(" (p50 judged at {} ms here)", HALF_IN_SHORT.as_millis()),
        };
        self.words() + &given
    }

    fn words(&mut self) -> String {
        let [half, most, worst] = [0.5, 0.99, 1.0].map(|share| self.pause(share).as_millis());
        let disturbed = if self.is_disturbed { "; the generator itself was late" } else { "" };
        format!("pause p50 {half} ms, p99 {most} ms, longest {worst} ms{disturbed}")
    }
}

/// The database of a service that has done its work.
struct Records {
    /// Records, and those of calls that were answered.
    all: u32,
    answered: u32,
    is_whole: bool,
    /// The calls' names.
    names: BTreeSet<String>,
}

impl Records {
    fn read(scene: &Scene) -> Result<Self, Box<dyn Error>> {
        let database = scene.database()?;
        let ask = |sql: &str| database.query_row(sql, [], |row| row.get(0));
        let check: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        let mut names = database.prepare("SELECT call FROM cdr")?;
        let names = names.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(Self {
            names,
            all: ask("SELECT count(*) FROM cdr")?,
            answered: ask("SELECT count(*) FROM cdr WHERE answered_after_ms IS NOT NULL")?,
            is_whole: check == "ok",
        })
    }

    /// Waits until there are so many, or no more come.
    fn wait(scene: &Scene, count: u32) -> Result<Self, Box<dyn Error>> {
        scene.wait("the records", SOON, || Self::read(scene).is_ok_and(|it| it.all >= count))?;
        // One too many would come now.
        sleep(AROUND);
        Self::read(scene)
    }
}

/// Those for whom a phone rings, the first in line first.
fn ringing(scene: &Scene) -> Vec<String> {
    let calls = scene.board()["calls"].as_array().cloned().unwrap_or_default();
    let rings = calls.iter().filter(|call| call["phase"] == "ringing");
    let rings: BTreeSet<_> = rings.filter_map(|call| call["call"].as_str()).collect();
    scene.queue().into_iter().filter(|call| rings.contains(call.as_str())).collect()
}

/// Kills the service, and waits until each phone that rang rings anew; how long that took, and
/// whether it is for those who came first, in their order.
fn kill_and_ring(scene: &Scene, queue: &[String]) -> Result<(Duration, bool), Box<dyn Error>> {
    let (_, rung) = scene.phones.ringing();
    let mut took = Duration::ZERO;
    replace(scene, |pid| {
        let began = Instant::now();
        signal(pid, Signal::SIGKILL)?;
        scene.wait("the phones to ring again", SOON, || {
            let (now, ever) = scene.phones.ringing();
            now == RINGING && ever >= rung + RINGING
        })?;
        took = began.elapsed();
        Ok(())
    })?;
    let first = &queue[..RINGING as usize];
    let is_same = || ringing(scene) == first && scene.queue() == queue;
    Ok((took, scene.wait("the queue on the board", SOON, is_same).is_ok()))
}

/// What became of callers whose service was killed again and again.
struct Killed {
    /// How late a phone rang again.
    rings_after: Duration,
    is_in_order: bool,
    /// Who talked in the end, calls that ended well, and their records.
    talking: u32,
    ended: u32,
    records: Records,
}

impl Killed {
    /// Kills one service so often; its callers hang up at last.
    fn times(
        kills: u32,
        chance: &mut Chance,
        hearing: &mut Hearing,
    ) -> Result<Self, Box<dyn Error>> {
        let scene = Scene::start(&Plan { counselors: PHONES, queue: PATIENT, ..kept() })?;
        scene.phones.answer_only(TALKING);
        let callers = scene.fill(TALKING, RINGING + WAITING)?;
        scene.wait("the phones to ring", SOON, || scene.phones.ringing().0 == RINGING)?;
        let queue = scene.queue();
        let (mut rings_after, mut is_in_order) = (Duration::ZERO, true);
        for _ in 0..kills {
            scene.voice.begin();
            sleep(AROUND + ms(chance.below(300)));
            let (took, is_kept) = kill_and_ring(&scene, &queue)?;
            rings_after = rings_after.max(took);
            is_in_order &= is_kept;
            sleep(AROUND);
            hearing.add(&scene.voice.end(), STREAMS);
        }
        // Whoever is silent after the last one would be heard no more.
        hearing.miss(&scene.voice.measure(ms(600)), STREAMS);
        scene.phones.pick_up();
        scene.wait("the phones to be answered", SOON, || scene.phones.talking() == PHONES)?;
        let left = &queue[RINGING as usize..];
        is_in_order &= scene.wait("the rest of the queue", SOON, || scene.queue() == left).is_ok();
        let talking = scene.phones.talking();
        callers.hang_up(CALLS);
        let ended = scene.over(&callers, CALLS, CALLS)?;
        let records = Records::wait(&scene, CALLS)?;
        Ok(Self { rings_after, is_in_order, talking, ended, records })
    }

    fn is_well(&self) -> bool {
        let Records { all, answered, is_whole, .. } = self.records;
        self.rings_after <= RINGS_AGAIN
            && self.is_in_order
            && (self.talking, self.ended) == (PHONES, CALLS)
            && (all, answered, is_whole) == (CALLS, CALLS, true)
    }
}

fn killed(run: &Run) -> Result<Measured, Box<dyn Error>> {
    let mut chance = Chance::from_number(run.seed);
    let (mut hearing, kills) = (Hearing::default(), run.count(8, 200));
    let mut services = Vec::new();
    for first in (0..kills).step_by(IN_ONE_RING as usize) {
        let times = IN_ONE_RING.min(kills - first);
        services.push(Killed::times(times, &mut chance, &mut hearing)?);
    }
    let is_held =
        hearing.lost == 0 && hearing.is_short(run) && services.iter().all(Killed::is_well);
    let (lost, words) = (hearing.lost, hearing.gaps(run));
    let rings_after = services.iter().map(|it| it.rings_after).max().unwrap_or_default();
    let is_in_order = services.iter().all(|it| it.is_in_order);
    let order = if is_in_order { "order kept" } else { "another order in the queue" };
    let is_whole = services.iter().all(|it| it.records.is_whole);
    let whole = if is_whole { "" } else { ", the database is damaged" };
    let (records, calls) = (services.iter().map(|it| it.records.all).sum::<u32>(), services.len());
    let figure = format!(
        "{kills} kills: {lost} of {STREAMS} streams lost, {words}; {RINGING} phones ring again \
         within {:.1} s; {order}; {records} records of {} calls{whole}",
        rings_after.as_secs_f64(),
        calls as u32 * CALLS,
    );
    Ok(Measured::new(is_held, figure))
}

fn killed_beside_a_lock(run: &Run) -> Result<Measured, Box<dyn Error>> {
    let (old, new) = (20, 10);
    let scene = Scene::start(&Plan { counselors: old + new, ..kept() })?;
    let callers = scene.talk(old)?;
    let lock = scene.lock_database()?;
    let mut hearing = Hearing::default();
    scene.voice.begin();
    sleep(AROUND);
    let before = scene.service.kept().ok_or("there is no service")?;
    signal(before, Signal::SIGKILL)?;
    scene.wait("the next process", SOON, || {
        scene.service.kept().is_some_and(|after| after != before)
    })?;
    // The console has nothing to say yet, nor is it asked.
    sleep(10 * AROUND);
    hearing.add(&scene.voice.end(), 2 * old as usize);
    let habit = Habit { calls: new, per_second: new, hold: Some(ms(500)), speaks: false };
    let answered = scene.over(&scene.call_others(habit)?, new, new)?;
    lock.execute_batch("ROLLBACK")?;
    scene.wait("the service to be well again", WELL_AGAIN, || scene.service.is_ready())?;
    let talking = scene.phones.talking();
    callers.hang_up(old);
    scene.over(&callers, old, old)?;
    let Records { all, is_whole, .. } = Records::wait(&scene, old + new)?;
    let is_held = hearing.lost == 0
        && hearing.is_short(run)
        && (talking, answered) == (old, new)
        && (all, is_whole) == (old + new, true);
    let (lost, words) = (hearing.lost, hearing.gaps(run));
    let figure = format!(
        "{lost} of {} streams lost, {words}; {answered} of {new} new calls answered; {all} records \
         of {} calls",
        2 * old,
        old + new
    );
    Ok(Measured::new(is_held, figure))
}

/// Has the service of calls that talk replaced so often by what `act` does.
fn replaced(
    scene: &Scene,
    times: u32,
    act: impl Fn(u32) -> io::Result<()>,
) -> Result<Hearing, Box<dyn Error>> {
    let mut hearing = Hearing::default();
    for nth in 1..=times {
        scene.voice.begin();
        sleep(AROUND);
        replace(scene, &act)?;
        sleep(AROUND);
        let figures = scene.voice.end();
        let vanished = hearing.vanished;
        hearing.add(&figures, 2 * TALKING as usize);
        if hearing.vanished > vanished {
            let pause = figures.streams.values().map(|stream| stream.pause / 1_000_000).max();
            eprintln!("{nth}: {} lost, pause {pause:?} ms", hearing.vanished - vanished);
        }
    }
    Ok(hearing)
}

fn upgraded(run: &Run) -> Result<Measured, Box<dyn Error>> {
    let scene = Scene::start(&kept())?;
    let callers = scene.talk(TALKING)?;
    let (keeper, times) = (scene.service.pid(), run.count(3, 50));
    let mut hearing = replaced(&scene, times, |_| signal(keeper, Signal::SIGUSR2))?;
    callers.hang_up(TALKING);
    scene.over(&callers, TALKING, TALKING)?;
    let Hearing { lost, sent, vanished, .. } = hearing;
    let figure = format!(
        "{times} times: {vanished} of {sent} packets and {lost} streams lost, {}",
        hearing.words()
    );
    Ok(Measured::new(vanished == 0 && lost == 0, figure))
}

fn installed(run: &Run) -> Result<Measured, Box<dyn Error>> {
    if let Err(error) = Manager::try_systemd() {
        return Ok(Measured::skipped(format!("no systemd on this machine: {error}")));
    }
    let scene = Scene::start(&Plan { manager: Manager::Systemd, ..kept() })?;
    let callers = scene.talk(TALKING)?;
    let systemd = scene.service.pid();
    let kill = |pid: u32| signal(pid, Signal::SIGKILL);
    let mut killed = replaced(&scene, run.count(4, 50), kill)?;
    let restart = |_| Manager::systemctl(systemd, &["restart"]);
    let mut restarted = replaced(&scene, run.count(3, 50), restart)?;
    scene.voice.begin();
    Manager::systemctl(systemd, &["reload"])?;
    sleep(AROUND);
    restarted.add(&scene.voice.end(), 2 * TALKING as usize);
    if run.is_long {
        replace(&scene, |pid| signal(pid, Signal::SIGSTOP))?;
    }
    Manager::systemctl(systemd, &["stop", "--no-block"])?;
    sleep(AROUND);
    restarted.miss(&scene.voice.measure(ms(600)), 2 * TALKING as usize);
    let talking = scene.phones.talking();
    callers.hang_up(TALKING);
    let ended = scene.over(&callers, TALKING, TALKING)?;
    scene.wait("the service to stop", SOON, || scene.service.kept().is_none())?;
    let Records { all, is_whole, .. } = Records::wait(&scene, TALKING)?;
    let is_held = killed.is_short(run)
        && (killed.lost, restarted.lost, restarted.vanished) == (0, 0, 0)
        && (talking, ended, all, is_whole) == (TALKING, TALKING, TALKING, true);
    let (gaps, pauses) = (killed.gaps(run), restarted.words());
    let figure = format!(
        "killed: {} streams lost, {gaps}; restarted: {} of {} packets and {} streams lost, \
         {pauses}; {all} records of {TALKING} calls",
        killed.lost, restarted.vanished, restarted.sent, restarted.lost,
    );
    Ok(Measured::new(is_held, figure))
}

/// The names of all calls that are on the board.
fn on_board(scene: &Scene) -> Vec<String> {
    let calls = scene.board()["calls"].as_array().cloned().unwrap_or_default();
    calls.iter().filter_map(|call| Some(call["call"].as_str()?.to_owned())).collect()
}

fn recorded(run: &Run) -> Result<Measured, Box<dyn Error>> {
    use std::sync::atomic::Ordering::Relaxed;
    let mut chance = Chance::from_number(run.seed);
    let scene = Scene::start(&kept())?;
    let kills = run.count(8, 1_000);
    // About one second a kill, and some calls after the last.
    let per_second = 20;
    let calls = (kills + 2) * per_second;
    let hold = Some(Duration::from_millis(700));
    let callers = scene.call(Habit { calls, per_second, hold, speaks: false })?;
    let (mut pids, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut look = |time: Duration| {
        let began = Instant::now();
        while began.elapsed() < time {
            seen.extend(on_board(&scene));
        }
    };
    for _ in 0..kills {
        look(ms(300 + chance.below(500)));
        pids.extend(scene.service.kept());
        replace(&scene, |pid| signal(pid, Signal::SIGKILL))?;
    }
    let progress = callers.progress();
    let over = || progress.ended.load(Relaxed) + progress.failed.load(Relaxed);
    let (began, limit) = (Instant::now(), SOON + Duration::from_secs((calls / per_second).into()));
    while over() < calls && began.elapsed() < limit {
        look(ms(100));
    }
    let ended = scene.over(&callers, calls, per_second)?;
    let answered = progress.answered.load(Relaxed);
    let Records { all, answered: recorded, is_whole, names } = Records::wait(&scene, answered)?;
    // As many records as calls could be one that is missing and one that is there twice, under
    // another name: each call that was ever seen has to be among them. Most are.
    let missing = seen.difference(&names).count();
    let is_each = missing == 0 && seen.len() as u32 >= calls / 10 * 9;
    let failed = progress.failed.load(Relaxed);
    let figure = format!(
        "{} kills: {answered} calls answered, {failed} of {calls} not; {recorded} records of \
         answered calls, {all} in all; of {} calls that were seen on the board {missing} are missing",
        pids.len(),
        seen.len(),
    );
    let is_held = (answered, ended, failed) == (calls, calls, 0)
        && (recorded, all) == (answered, calls)
        && is_each
        && is_whole;
    Ok(Measured::new(is_held, figure))
}
