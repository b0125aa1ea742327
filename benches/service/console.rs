//! What people at the console cost a service that carries calls: viewers of the board, and edits of
//! the configuration, each of which is read and taken over at once.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::load::EXTENSION;
use super::load::callers::Habit;
use super::table::Row;
use super::{Options, RAMP, Run, Steady, tell_failures};

/// Who looks at the board.
const VIEWERS: usize = 200;
/// Calls a second while the configuration is edited.
const PACE: u32 = 20;
/// Counselors whom somebody has paused before the edits.
const PAUSED: u32 = 10;
/// How long all edits may take.
const EDITS_LIMIT: Duration = Duration::from_secs(300);

/// Bridged calls without and with viewers of the board; a call ends every half second.
pub(super) fn watched(options: &Options) -> io::Result<()> {
    println!("## Viewers of the board\n");
    println!("| calls | viewers | % of a core but media | loss |\n|---|---|---|---|");
    let calls = if options.quick { 20 } else { 500 };
    let run = Run::start(calls, true)?;
    let callers = run.call(Habit { calls, per_second: RAMP, hold: None, speaks: true })?;
    run.wait("joined", calls, RAMP, || run.phones.talking());
    callers.hang_up(2);
    let share = |steady: &Steady| {
        (steady.all - steady.media).as_secs_f64() / options.window().as_secs_f64() * 100.0
    };
    let print = |viewers, steady: &Steady| {
        let loss = steady.figures.loss() * 100.0;
        println!("| {calls} | {viewers} | {:.2} | {loss:.3} % |", share(steady));
    };
    let alone = run.steady(options.window())?;
    print(0, &alone);
    let ends = Arc::new(AtomicBool::new(false));
    let viewers: Vec<_> = (0..VIEWERS).map(|_| view(&run, Arc::clone(&ends))).collect();
    let seen = run.steady(options.window())?;
    print(VIEWERS, &seen);
    ends.store(true, Ordering::Relaxed);
    let read = viewers.into_iter().map(|viewer| viewer.join().unwrap_or(0)).min().unwrap_or(0);
    println!("\nThe viewer who read least read {read} bytes.\n");
    let what = format!("{VIEWERS} viewers of the board, {calls} calls: CPU");
    let figure = share(&seen) - share(&alone);
    Row { what: &what, figure, unit: "% of a core", beside: None, goal: "≤ 5 %" }.note();
    let what = format!("{VIEWERS} viewers of the board, {calls} calls: packets lost");
    let figure = seen.figures.loss() * 100.0;
    Row { what: &what, figure, unit: "%", beside: None, goal: "0 %" }.note();
    tell_failures(&run, &callers);
    Ok(())
}

/// Reads the board's stream until told to end; how many bytes came.
fn view(run: &Run, ends: Arc<AtomicBool>) -> thread::JoinHandle<u64> {
    let (console, token) = (run.service.console(), run.service.token());
    thread::spawn(move || {
        let Ok(mut stream) = TcpStream::connect(console) else { return 0 };
        let head = format!("GET /board/events HTTP/1.1\r\n{}\r\n", common(console, &token));
        stream.set_read_timeout(Some(Duration::from_millis(500))).ok();
        if stream.write_all(head.as_bytes()).is_err() {
            return 0;
        }
        let (mut room, mut read) = ([0; 65_536], 0);
        while !ends.load(Ordering::Relaxed) {
            match stream.read(&mut room) {
                Ok(0) => break,
                Ok(length) => read += length as u64,
                Err(_) => {}
            }
        }
        read
    })
}

fn common(console: SocketAddr, token: &str) -> String {
    format!("Host: {console}\r\nAuthorization: Bearer {token}\r\n")
}

/// Sends something to the console, and returns the whole answer.
fn send(run: &Run, head: &str, form: &str, body: &str) -> io::Result<String> {
    let console = run.service.console();
    let mut stream = TcpStream::connect(console)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let (common, length) = (common(console, &run.service.token()), body.len());
    write!(
        stream,
        "{head} HTTP/1.1\r\n{common}Connection: close\r\nContent-Type: {form}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// What somebody changes: where, what the form sends, and what the file then says, or no longer.
struct Edit {
    path: &'static str,
    form: String,
    says: (String, bool),
}

impl Edit {
    /// The kinds in turn: a hand on the hours, a closed day, a limit of the queue. Each differs from
    /// the one of its kind before.
    fn nth(nth: u32) -> Self {
        let round = nth / 3;
        match nth % 3 {
            0 => {
                let opens = round.is_multiple_of(2);
                let chosen = if opens { "open" } else { "auto" };
                Self {
                    path: "/hours/main/override",
                    form: format!("override={chosen}&until=&back=/board"),
                    says: ("override = \"open\"".to_owned(), opens),
                }
            }
            1 => {
                let day = format!("20{}-01-{:02}", 40 + round % 60, 1 + round % 28);
                let form = format!("step=save&rows=0&always=on&date={day}");
                Self { path: "/hours/main", form, says: (day, true) }
            }
            _ => {
                let limit = 4_000 + round % 1_000;
                let form = format!("step=save&line.main.queue.max_callers={limit}");
                let says = (format!("max_callers = {limit}"), true);
                Self { path: "/settings/line/main", form, says }
            }
        }
    }

    /// Does it, as somebody who has the page open, and says how long saving took; `None`: the file
    /// does not say it now, whatever the answer was.
    fn make(&self, run: &Run) -> io::Result<Option<Duration>> {
        const FORM: &str = "application/x-www-form-urlencoded";
        let mut form = self.form.clone();
        if form.contains("step=save") {
            let page = send(run, &format!("GET {}", self.path), FORM, "")?;
            let field = page.split_once(r#"name="base" value=""#).map_or("", |(_, rest)| rest);
            form += &format!("&base={}", field.split('"').next().unwrap_or_default());
        }
        let asked = Instant::now();
        send(run, &format!("POST {}", self.path), FORM, &form)?;
        let took = asked.elapsed();
        let (text, is_there) = &self.says;
        Ok((run.service.configuration().contains(text) == *is_there).then_some(took))
    }
}

/// Edits and reloads while calls come and go: how long each takes, what fails, who is still paused.
pub(super) fn edited(options: &Options) -> io::Result<()> {
    println!("## Edits by the console at {PACE} calls a second\n");
    let edits = if options.quick { 10 } else { 1_000 };
    let run = Run::start(100, false)?;
    let json = "application/json";
    for n in EXTENSION..EXTENSION + PAUSED {
        let what = format!("POST /api/v1/counselors/{n}/state");
        send(&run, &what, json, r#"{"state": "paused", "reason": "休憩"}"#)?;
    }
    let calls = PACE * EDITS_LIMIT.as_secs() as u32;
    let hold = Some(Duration::from_secs(1));
    let callers = run.call(Habit { calls, per_second: PACE, hold, speaks: false })?;
    let (began, mut took, mut unsaved) = (Instant::now(), vec![], 0);
    for nth in 0..edits {
        match Edit::nth(nth).make(&run)? {
            Some(time) => took.push(time),
            None => unsaved += 1,
        }
        if began.elapsed() > EDITS_LIMIT {
            break;
        }
    }
    let whole = began.elapsed();
    thread::sleep(Duration::from_secs(2));
    let board = send(&run, "GET /api/v1/board", json, "")?;
    let paused = board.matches(r#""state":"paused""#).count();
    let metrics = send(&run, "GET /metrics", json, "")?;
    let lost = metrics.lines().filter(|line| {
        line.starts_with("koebashi_calls_total")
            && line.contains("\"failed\"")
            && !line.ends_with(" 0")
    });
    took.sort();
    let middle = took.get(took.len() / 2).copied().unwrap_or_default();
    let longest = took.last().copied().unwrap_or_default();
    let progress = callers.progress();
    println!(
        "| saved | not saved | s in all | s each: median | longest | calls answered | failed | \
         failed by the service | paused before | after |\n|---|---|---|---|---|---|---|---|---|---|\n\
         | {} | {unsaved} | {:.0} | {:.3} | {:.3} | {} | {} | {} | {PAUSED} | {paused} |\n",
        took.len(),
        whole.as_secs_f64(),
        middle.as_secs_f64(),
        longest.as_secs_f64(),
        progress.answered.load(Ordering::Relaxed),
        progress.failed.load(Ordering::Relaxed),
        lost.count(),
    );
    let what = format!("{edits} edits at {PACE} calls a second: save to effect, median");
    let figure = middle.as_secs_f64();
    Row { what: &what, figure, unit: "s", beside: None, goal: "≤ 1 s" }.note();
    let what = format!("{edits} edits at {PACE} calls a second: not saved");
    Row { what: &what, figure: f64::from(unsaved), unit: "", beside: None, goal: "0" }.note();
    let what = format!("{edits} edits at {PACE} calls a second: calls failed");
    let figure = f64::from(progress.failed.load(Ordering::Relaxed));
    Row { what: &what, figure, unit: "", beside: None, goal: "0" }.note();
    tell_failures(&run, &callers);
    Ok(())
}
