//! What it costs to let many people watch the board: 500 calls, 200 viewers, a call that comes or
//! goes every second. The viewers are another process, so that only the service is counted.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "this is a benchmark")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use koebashi::call::board::{Board, CallView, Chooser, CounselorState, CounselorView, PhaseName};
use koebashi::call::cdr::{CallId, Presentation};
use koebashi::call::intention::Intention;
use koebashi::chance::Chance;
use koebashi::config::{Console, ready};
use koebashi::console::{Desk, Setup, bind, machine_token, serve};
use koebashi::shell::clock;
use koebashi::shell::handle::{Feed, channel};
use koebashi::shell::metrics::Metrics;
use koebashi::store::{self, Store};
use koebashi::time::Timestamp;
use tokio::sync::watch;
use tokio::time::sleep;

const CALLS: usize = 500;
const VIEWERS: usize = 200;
/// How often the service draws its board while something happens.
const DRAWN_EVERY: Duration = Duration::from_millis(250);
/// Seconds that each part lasts, unless a number says otherwise.
const LASTS: u64 = 10;
/// Set for the process that watches: where, and with which token.
const WATCH: &str = "KOEBASHI_BENCH_WATCH";

/// Bytes that all viewers have read.
static READ: AtomicUsize = AtomicUsize::new(0);

fn main() {
    if let Ok(watch) = std::env::var(WATCH) {
        return view(&watch);
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(measure());
}

async fn measure() {
    let folder = std::env::temp_dir().join(format!("koebashi-bench-{}", std::process::id()));
    let path = folder.join("koebashi.db");
    let (store, _) = Store::open(&store::Config { path, ..store::Config::default() }).unwrap();
    let (feed, handle) = channel(store, Metrics::default());
    let limits = Console { listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..Console::default() };
    let listener = bind(&limits).await.unwrap();
    let address = listener.local_addr().unwrap();
    let current = Arc::new(ready::load(&PathBuf::from("there/is/none.toml")).unwrap());
    let (_sender, current) = watch::channel(current);
    let chance = Chance::from_number(1);
    let desk =
        Desk::open(Setup { handle, limits, current, path: PathBuf::new(), chance }).await.unwrap();
    let token = machine_token(&folder).unwrap();
    tokio::spawn(serve(listener, desk, std::future::pending()));
    let alone = cost(&feed).await;
    let mut viewers = Command::new(std::env::current_exe().unwrap())
        .env(WATCH, format!("{address} {token}"))
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    sleep(Duration::from_secs(3)).await;
    let watched = cost(&feed).await;
    drop(viewers.stdin.take());
    viewers.wait().unwrap();
    println!("{CALLS} calls, nobody watches: {:.2} % of a core", alone * 100.0);
    println!("{CALLS} calls, {VIEWERS} viewers: {:.2} % of a core", watched * 100.0);
    drop(std::fs::remove_dir_all(folder));
}

/// The share of a core that this process takes while boards are shown.
async fn cost(feed: &Feed) -> f64 {
    let (began, before) = (Instant::now(), cpu());
    let base = clock::now().wall;
    let mut nth = 0;
    let lasts = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(LASTS);
    while began.elapsed() < Duration::from_secs(lasts) {
        feed.show(board(base, nth / 4));
        nth += 1;
        sleep(DRAWN_EVERY).await;
    }
    (cpu() - before) / began.elapsed().as_secs_f64()
}

/// Seconds of processor time so far.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let ticks = stat.rsplit_once(')').unwrap().1.split_whitespace().skip(11).take(2);
    ticks.map(|it| it.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

/// The oldest call has gone, and a new one come, since the board before.
fn board(base: Timestamp, nth: usize) -> Board {
    let at = base + Duration::from_secs(nth as u64);
    let began = |n: usize| Duration::from_secs((nth + CALLS - n) as u64);
    let call = |n: usize| CallView {
        call: CallId(format!("call{n:06}").into()),
        line: None,
        phase: PhaseName::Bridge,
        since: at - began(n),
        in_phase: began(n),
        waited: Some(Duration::from_secs(20)),
        position: None,
        counselors: vec![format!("{}", 1_000 + n % CALLS).as_str().into()],
        presentation: Presentation::Withheld,
        recording: None,
        supervisor: None,
        legs: vec![],
    };
    let counselor = |n: usize| CounselorView {
        extension: format!("{}", 1_000 + n).as_str().into(),
        name: "相談員".to_owned(),
        state: CounselorState::Talking,
        for_: Duration::from_secs((nth % 7) as u64),
        intention: Intention::Ready,
        chosen_by: Chooser::Own,
        wrap_up_left: None,
        missed: 0,
        taken: (nth + n) as u32 / 60,
        recent: vec![],
        lines: vec![],
        help: None,
    };
    Board {
        at,
        calls: (nth..nth + CALLS).map(call).collect(),
        counselors: (0..CALLS).map(counselor).collect(),
        ..Board::default()
    }
}

/// Watches until nobody holds the other end of the standard input.
fn view(watch: &str) {
    let (address, token) = watch.split_once(' ').unwrap();
    for _ in 0..VIEWERS {
        let mut stream = TcpStream::connect(address).unwrap();
        let request = format!(
            "GET /board/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        std::thread::spawn(move || {
            let mut bytes = vec![0; 65_536];
            while let Ok(n @ 1..) = stream.read(&mut bytes) {
                READ.fetch_add(n, Ordering::Relaxed);
            }
        });
    }
    let mut end = String::new();
    std::io::stdin().read_to_string(&mut end).unwrap();
    println!("a viewer got {} kB", READ.load(Ordering::Relaxed) / VIEWERS / 1_000);
}
