//! What the service costs under load: CPU of a relayed packet, of a played packet and of a call's
//! set-up, memory of a call, delay and loss of the voice; and how each grows with the calls.
//!
//! `cargo bench --bench service -- [--calls 50,200,500,1000,1500] [--quick] [--only PART]`, PART
//! being `bridged`, `played`, `setup`, `watched`, `edited` or `paint`. Prints Markdown. The machine makes the load too: figures
//! hold for the machine and the run, and only beside each other.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its result")]

mod console;
#[expect(dead_code, reason = "the goals of reliability use the rest")]
#[path = "../load/mod.rs"]
mod load;
mod paint;
#[path = "../table.rs"]
mod table;

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use load::Addresses;
use load::callers::{Callers, Habit};
use load::figures::Figures;
use load::phones::Phones;
use load::service::{Cost, Plan, Service};
use load::voice::Voice;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use table::Row;

/// Calls that begin, and end, a second where the set-up itself is not measured.
const RAMP: u32 = 100;
/// Calls a second where it is.
const SETUPS: u32 = 50;
/// The most counselors that a configuration may have, less one that never signs in. Callers beyond
/// them wait and hear music.
const COUNSELORS_MAX: u32 = 9_999;
/// How long calls may take beyond their pace before they count as stuck.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is asked for on the command line.
struct Options {
    calls: Vec<u32>,
    quick: bool,
    only: Option<String>,
}

impl Options {
    fn read() -> io::Result<Self> {
        let mut options = Self { calls: vec![50, 200, 500, 1000, 1500], quick: false, only: None };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--quick" => options.quick = true,
                "--only" => options.only = words.next(),
                "--calls" => {
                    let list = words.next().unwrap_or_default();
                    let counts =
                        list.split(',').map(|n| n.trim().parse().map_err(io::Error::other));
                    options.calls = counts.collect::<io::Result<_>>()?;
                }
                // Cargo says so to every bench.
                "--bench" => {}
                other => return Err(io::Error::other(format!("unknown: {other}"))),
            }
        }
        Ok(options)
    }

    fn wants(&self, part: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == part)
    }

    /// How long a steady state is measured.
    fn window(&self) -> Duration {
        Duration::from_secs(if self.quick { 3 } else { 10 })
    }
}

/// One service with its phones. The voice's thread ends last: the others hold on to it.
struct Run {
    service: Service,
    phones: Phones,
    voice: Voice,
    addresses: Addresses,
}

impl Run {
    fn start(counselors: u32, speaks: bool) -> io::Result<Self> {
        let addresses = Addresses::new();
        let plan = Plan { counselors, ..Plan::default() };
        let program = Path::new(env!("CARGO_BIN_EXE_koebashi"));
        let voice = Voice::start(addresses.trunk, addresses.phones)?;
        let phones = Phones::start(addresses.phones, voice.mouth(), speaks)?;
        let service = Service::start(program, &addresses, &plan)?;
        Ok(Self { service, phones, voice, addresses })
    }

    fn call(&self, habit: Habit) -> io::Result<Callers> {
        let mouth = self.voice.mouth();
        Callers::start(self.addresses.trunk, self.addresses.sip(), habit, mouth)
    }

    /// What the service does and costs while nothing changes.
    fn steady(&self, window: Duration) -> io::Result<Steady> {
        thread::sleep(Duration::from_secs(2));
        let before = self.service.cost()?;
        let began = Instant::now();
        let figures = self.voice.measure(window);
        let took = began.elapsed();
        let (media, rest) = self.service.cost()?.since(&before);
        // The account runs a little longer than the window.
        let share = window.as_secs_f64() / took.as_secs_f64();
        let (media, rest) = (media.mul_f64(share), rest.mul_f64(share));
        Ok(Steady { figures, media, all: media + rest, before })
    }

    /// Waits for `count` of something; says what is missing when it takes too long.
    fn wait(&self, what: &str, count: u32, pace: u32, ask: impl Fn() -> u32) {
        let limit = Duration::from_secs(u64::from(count / pace.max(1))) + PATIENCE;
        let began = Instant::now();
        while ask() < count && began.elapsed() < limit {
            thread::sleep(Duration::from_millis(10));
        }
        if ask() < count {
            eprintln!("only {} of {count} are {what}\n{}", ask(), self.service.log());
        }
    }
}

/// A window in which nothing changed.
struct Steady {
    figures: Figures,
    /// CPU time of the media threads.
    media: Duration,
    /// CPU time of all threads.
    all: Duration,
    /// What stood there when it began.
    before: Cost,
}

/// Microseconds of CPU for each of `count` things.
fn each(time: Duration, count: u64) -> f64 {
    time.as_secs_f64() * 1e6 / count.max(1) as f64
}

fn bridged(options: &Options) -> io::Result<()> {
    println!("## Bridged calls\n");
    println!(
        "| calls | µs CPU a packet: media | in all | media thread busy | kB a call | delay p50 ms | \
         p99 ms | p99.9 ms | loss | altered | generator: late p99 ms | read late p99 ms | paused |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|"
    );
    for calls in &options.calls {
        bridge(options, *calls)?;
    }
    println!();
    Ok(())
}

fn bridge(options: &Options, calls: u32) -> io::Result<()> {
    let joined = calls.min(COUNSELORS_MAX);
    let run = Run::start(joined, true)?;
    thread::sleep(Duration::from_millis(500));
    let idle = run.service.cost()?;
    let callers = run.call(Habit { calls, per_second: RAMP, hold: None, speaks: true })?;
    run.wait("joined", joined, RAMP, || run.phones.talking());
    run.wait("answered", calls, RAMP, || callers.progress().answered.load(Ordering::Relaxed));
    let Steady { figures, media, all, before } = run.steady(options.window())?;
    let relayed: u64 = figures.relayed.iter().sum();
    let Figures { delay, sent_late, read_late, .. } = &figures;
    println!(
        "| {calls} | {:.2} | {:.2} | {:.0} % | {:.1} | {:.3} | {:.3} | {:.3} | {} | {} | {:.2} | \
         {:.2} | {} |",
        each(media, relayed),
        each(all, relayed),
        media.as_secs_f64() / options.window().as_secs_f64() * 100.0,
        memory(&idle, &before, calls),
        delay.quantile(0.5),
        delay.quantile(0.99),
        delay.quantile(0.999),
        loss(&figures),
        figures.altered,
        sent_late.quantile(0.99),
        read_late.quantile(0.99),
        figures.skipped,
    );
    let note = |what: &str, figure, unit, goal| {
        let of = if joined < calls { format!("{joined} of ") } else { String::new() };
        let what = format!("{of}{calls} calls bridged: {what}");
        Row { what: &what, figure, unit, beside: None, goal }.note();
    };
    if Some(&calls) == options.calls.first() {
        note("CPU a packet, media thread", each(media, relayed), "µs", "");
        note("memory a call", memory(&idle, &before, calls), "kB", "≤ 40 kB");
        note("delay of the voice, p50", delay.quantile(0.5), "ms", "≤ 0.12 ms");
        note("delay of the voice, p99", delay.quantile(0.99), "ms", "≤ 0.25 ms");
    }
    if Some(&calls) == options.calls.last() {
        note("packets lost", figures.loss() * 100.0, "%", "0 % at 1,500");
        note("delay of the voice, p99", delay.quantile(0.99), "ms", "≤ 5 ms");
    }
    callers.hang_up(RAMP);
    run.wait("over", calls, RAMP, || callers.progress().ended.load(Ordering::Relaxed));
    tell_failures(&run, &callers);
    Ok(())
}

/// kB of resident memory for each call.
fn memory(idle: &Cost, busy: &Cost, calls: u32) -> f64 {
    busy.memory.saturating_sub(idle.memory) as f64 / 1000.0 / f64::from(calls)
}

fn loss(figures: &Figures) -> String {
    let dropped = match figures.dropped_here {
        0 => String::new(),
        n => format!(" ({n} at the generator)"),
    };
    format!("{:.3} %{dropped}", figures.loss() * 100.0)
}

fn tell_failures(run: &Run, callers: &Callers) {
    let failed = callers.progress().failed.load(Ordering::Relaxed);
    if failed > 0 {
        eprintln!("{failed} calls failed\n{}", run.service.log());
    }
}

fn played(options: &Options) -> io::Result<()> {
    println!("## Played packets: callers who wait and hear music\n");
    println!(
        "| callers | they speak | µs CPU a packet: media | in all | packets a second and caller | \
         kB a call |\n|---|---|---|---|---|---|"
    );
    for calls in &options.calls {
        for speaks in [false, true] {
            let run = Run::start(0, false)?;
            thread::sleep(Duration::from_millis(500));
            let idle = run.service.cost()?;
            let callers =
                run.call(Habit { calls: *calls, per_second: RAMP, hold: None, speaks })?;
            let answered = || callers.progress().answered.load(Ordering::Relaxed);
            run.wait("answered", *calls, RAMP, answered);
            let Steady { figures, media, all, before } = run.steady(options.window())?;
            let packets = figures.played[0];
            println!(
                "| {calls} | {} | {:.2} | {:.2} | {:.2} | {:.1} |",
                if speaks { "yes" } else { "no" },
                each(media, packets),
                each(all, packets),
                packets as f64 / options.window().as_secs_f64() / f64::from(*calls),
                memory(&idle, &before, *calls),
            );
            if !speaks && Some(calls) == options.calls.first() {
                let what = format!("{calls} callers hear music: CPU a packet, media thread");
                let (figure, unit, goal) = (each(media, packets), "µs", "≤ 4 µs");
                Row { what: &what, figure, unit, beside: None, goal }.note();
            }
            tell_failures(&run, &callers);
        }
    }
    println!();
    Ok(())
}

/// Calls that are answered, hear a prompt, wait, are joined and hang up, without any voice.
fn setup(options: &Options) -> io::Result<()> {
    println!("## Set-up: answer, prompt, queue, bridge, BYE at {SETUPS} a second\n");
    println!(
        "| calls | counselors | ms CPU a call | of it media | by thread | failed |\n|---|---|---|---|---|---|"
    );
    let calls = SETUPS * if options.quick { 4 } else { 20 };
    for counselors in [100, 1_000] {
        let run = Run::start(counselors, false)?;
        thread::sleep(Duration::from_millis(500));
        let before = run.service.cost()?;
        let hold = Some(Duration::from_secs(1));
        let callers = run.call(Habit { calls, per_second: SETUPS, hold, speaks: false })?;
        let ended = || callers.progress().ended.load(Ordering::Relaxed);
        run.wait("over", calls, SETUPS, ended);
        thread::sleep(Duration::from_secs(1));
        let after = run.service.cost()?;
        let (media, rest) = after.since(&before);
        let names = after.by_name(&before);
        let mut names: Vec<_> = names.iter().filter(|(_, time)| **time > rest / 50).collect();
        names.sort_by_key(|(_, time)| std::cmp::Reverse(**time));
        let names = names
            .iter()
            .map(|(name, time)| format!("{name} {:.3}", each(**time, u64::from(calls)) / 1000.0));
        println!(
            "| {calls} | {counselors} | {:.3} | {:.3} | {} | {} |",
            each(media + rest, u64::from(calls)) / 1000.0,
            each(media, u64::from(calls)) / 1000.0,
            names.collect::<Vec<_>>().join(", "),
            callers.progress().failed.load(Ordering::Relaxed),
        );
        let what = format!("a call set up and ended, {SETUPS} a second, {counselors} counselors");
        let (figure, goal) = (each(media + rest, u64::from(calls)) / 1000.0, "≤ 0.8 ms CPU");
        Row { what: &what, figure, unit: "ms", beside: None, goal }.note();
        tell_failures(&run, &callers);
    }
    println!();
    Ok(())
}

fn main() -> io::Result<()> {
    let options = Options::read()?;
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    // The service inherits it: four sockets a call.
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    if options.wants("bridged") {
        bridged(&options)?;
    }
    if options.wants("played") {
        played(&options)?;
    }
    if options.wants("setup") {
        setup(&options)?;
    }
    if options.wants("watched") {
        console::watched(&options)?;
    }
    if options.wants("edited") {
        console::edited(&options)?;
    }
    if options.wants("paint") {
        paint::painted(&options)?;
    }
    Ok(())
}
