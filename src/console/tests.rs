//! The console on a real socket of loopback, asked as a browser or a scraper would.

mod reports;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

mod saving;
mod settings;

use super::*;
use crate::call::board::*;
use crate::call::cdr::{CallId, Outcome, Presentation, Quality};
use crate::call::config::{Extension, LineId, Override, SupervisionMode, TrunkId};
use crate::call::deed::{Denial, Request, What};
use crate::call::intention::Intention;
use crate::call::voice::Side;
use crate::chance::Chance;
use crate::config::ready;
use crate::media::Recent;
use crate::shell::handle::{Asked, Feed, Handle, channel};
use crate::shell::metrics::Metrics;
use crate::store::{self, Reader, Store};
use crate::time::Timestamp;

mod board;
mod deeds;
mod door;
mod many;
mod matrix;
mod me;
mod opening;
mod prompts;
mod states;
mod trail;
mod trust;

struct Server {
    address: SocketAddr,
    feed: Feed,
    metrics: Metrics,
    store: Store,
    database: PathBuf,
    task: JoinHandle<()>,
    /// What commands on this machine show.
    token: String,
    desk: Arc<Desk>,
    /// Changes what is in force.
    current: watch::Sender<Arc<ready::Ready>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
        drop(std::fs::remove_dir_all(self.database.parent().unwrap()));
    }
}

impl Server {
    /// A console of a service that is ready, but for what the test does to it.
    async fn start(limits: Console) -> Self {
        Self::start_with(limits, |handle| handle).await
    }

    /// … with more for the pages to ask.
    async fn start_with(limits: Console, more: impl FnOnce(Handle) -> Handle) -> Self {
        static NTH: AtomicU32 = AtomicU32::new(0);
        let nth = NTH.fetch_add(1, Ordering::Relaxed);
        let folder = format!("koebashi-console-{}-{nth}", std::process::id());
        let database = std::env::temp_dir().join(folder).join("koebashi.db");
        let config_store = store::Config { path: database.clone(), ..store::Config::default() };
        let (store, _) = Store::open(&config_store).unwrap();
        let metrics = Metrics::default();
        let (feed, handle) = channel(store.clone(), metrics.clone());
        feed.bound(true);
        feed.beat();
        feed.show(board());
        let limits = Console { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), ..limits };
        let listener = bind(&limits).await.unwrap();
        let address = listener.local_addr().unwrap();
        let ready = ready::load(Path::new("there/is/none.toml")).unwrap();
        let (told, current) = watch::channel(Arc::new(ready));
        let chance = Chance::from_number(nth.into());
        let path = database.with_file_name("koebashi.toml");
        let desk = Setup { handle: more(handle), limits, current, chance, path };
        let desk = Desk::open(desk).await.unwrap();
        let token = machine_token(database.parent().unwrap()).unwrap();
        let task = tokio::spawn(serve(listener, Arc::clone(&desk), std::future::pending()));
        Self { address, feed, metrics, store, database, task, token, desk, current: told }
    }

    /// Status and whole answer.
    async fn send(&self, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
        (status.unwrap_or_default(), answer)
    }

    /// A request with a JSON body, answered by a stand-in for the loop: what it was asked, and the
    /// answer.
    async fn ask(
        &mut self,
        request: &str,
        body: &str,
        answer: Result<(), Denial>,
    ) -> (Option<Request>, u16, String) {
        let (length, token) = (body.len(), &self.token);
        let request = format!(
            "{request} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Authorization: Bearer {token}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        let mut asked = None;
        tokio::select! {
            read = stream.read_to_string(&mut text) => { read.unwrap(); }
            request = self.feed.next_asked() => {
                let Asked { request, who, answer: answers } = request.unwrap();
                assert_eq!(&*who, "console", "the machine's own name");
                asked = Some(request);
                answers.send(answer).unwrap();
                stream.read_to_string(&mut text).await.unwrap();
            }
        }
        let status = text.split(' ').nth(1).and_then(|code| code.parse().ok());
        let body = text.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned();
        (asked, status.unwrap_or_default(), body)
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let token = &self.token;
        self.send(&format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
             Connection: close\r\n\r\n"
        ))
        .await
    }

    async fn subscribe(&self) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let token = &self.token;
        let request = format!(
            "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        BufReader::new(stream)
    }
}

/// The next line with this beginning.
async fn line(stream: &mut BufReader<TcpStream>, beginning: &str) -> String {
    let mut line = String::new();
    loop {
        line.clear();
        let read = timeout(Duration::from_secs(10), stream.read_line(&mut line)).await;
        assert!(read.expect("a line in time").unwrap() > 0, "the stream ended");
        if line.starts_with(beginning) {
            return line;
        }
    }
}

fn board() -> Board {
    let at = "2026-11-07T09:30:00Z".parse::<Timestamp>().unwrap();
    let seconds = Duration::from_secs;
    Board {
        at,
        draining: false,
        limits: 0,
        lines: vec![LineView {
            line: LineId::from("nijiiro"),
            name: "にじいろ県民相談".to_owned(),
            open: true,
            changes_at: Some(at + seconds(3 * 3_600)),
            closes_at: Some(at + seconds(3 * 3_600 + 1_800)),
            over: Override::Open(None),
            waiting: 1,
            longest_wait: seconds(75),
            ready: 1,
            today: vec![(Outcome::Answered, 4), (Outcome::Closed, 0)],
            service_level: ServiceLevel { within: [2, 3, 4], of: 5 },
        }],
        calls: vec![CallView {
            call: CallId("k7f2".into()),
            line: Some(LineId::from("nijiiro")),
            phase: PhaseName::Ringing,
            since: at - seconds(90),
            in_phase: seconds(75),
            waited: None,
            position: Some(1),
            counselors: vec![Extension::from("101")],
            presentation: Presentation::Withheld,
            recording: Some(Tape::Paused),
            supervisor: Some(SupervisorView {
                extension: Extension::from("201"),
                mode: SupervisionMode::Whisper,
                for_: seconds(12),
            }),
            legs: vec![
                LegView {
                    side: Side::Caller,
                    quality: Quality {
                        received: 500,
                        mos: Some(4.376),
                        jitter_ms: 1.234_5,
                        level_dbfs: Some(f32::NEG_INFINITY),
                        ..Quality::default()
                    },
                    recent: Some(Recent { loss: 0.25, jitter_ms: 1.5, mos: 3.126 }),
                    is_one_way: false,
                    is_unheard: true,
                },
                LegView {
                    side: Side::Counselor,
                    quality: Quality::default(),
                    recent: None,
                    is_one_way: true,
                    is_unheard: false,
                },
            ],
        }],
        counselors: vec![
            counselor("101", "相談員A", CounselorState::Ringing),
            counselor("102", "B", CounselorState::Paused("休憩".to_owned())),
        ],
        trunks: vec![TrunkView {
            trunk: TrunkId::from("navi"),
            state: TrunkState::Down,
            reason: Some("registrar does not answer".to_owned()),
        }],
    }
}

fn counselor(extension: &str, name: &str, state: CounselorState) -> CounselorView {
    CounselorView {
        name: name.to_owned(),
        for_: Duration::from_secs(4_000),
        taken: 3,
        lines: vec![LineId::from("nijiiro")],
        help: (extension == "101").then(|| HelpView {
            call: CallId("k7f2".into()),
            for_: Duration::from_secs(65),
            rings: vec![Extension::from("201")],
        }),
        ..CounselorView::of(extension, state)
    }
}

#[tokio::test]
async fn each_path_answers_and_the_rest_is_404() {
    let server = Server::start(Console::default()).await;
    let (code, live) = server.get("/live").await;
    assert!(code == 200 && live.ends_with(r#"{"live":true}"#), "{live}");
    let (code, ready) = server.get("/ready").await;
    assert!(code == 200 && ready.ends_with(r#"{"ready":true,"reasons":[]}"#), "{ready}");
    let (code, metrics) = server.get("/metrics").await;
    assert_eq!(code, 200);
    assert!(metrics.contains("text/plain; version=0.0.4"));
    assert!(metrics.contains("koebashi_waiting{line=\"nijiiro\"} 1"), "{metrics}");
    assert!(metrics.contains("koebashi_counselors{state=\"paused\"} 1"));
    let (code, board) = server.get("/api/v1/board").await;
    assert_eq!(code, 200);
    assert!(board.contains("content-type: application/json"), "{board}");
    for path in ["/nothing", "/api/v1/", "/api/v1/board/x", "/%00", "/metrics/../x"] {
        let (code, answer) = server.get(path).await;
        assert_eq!(code, 404, "{path}");
        assert!(answer.ends_with(r#"{"error":"not_found"}"#), "{answer}");
    }
    let (code, _) = server.send("POST /live HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    assert_eq!(code, 405);
    for answer in [&live, &ready, &metrics, &board] {
        assert!(answer.contains("cache-control: no-store"), "{answer}");
    }
}

#[tokio::test]
async fn a_service_that_should_get_no_calls_says_why() {
    let server = Server::start(Console::default()).await;
    server.feed.bound(false);
    let (code, answer) = server.get("/ready").await;
    assert!(code == 503 && answer.contains("SIP is not bound"), "{answer}");
    server.feed.bound(true);
    server.feed.show(Board { draining: true, ..board() });
    let (code, answer) = server.get("/ready").await;
    assert!(code == 503 && answer.contains(r#"["draining"]"#), "{answer}");
    server.feed.show(board());
    server.store.close(Duration::from_secs(10)).unwrap();
    let (code, answer) = server.get("/ready").await;
    assert!(code == 503 && answer.contains("store: "), "{answer}");
    assert_eq!(server.get("/live").await.0, 200);
}

#[tokio::test]
async fn a_loop_that_never_went_round_is_not_live() {
    let store = Server::start(Console::default()).await;
    let (_feed, handle) = channel(store.store.clone(), Metrics::default());
    assert!(!handle.is_live());
    assert!(handle.unready().contains(&"the loop does not beat".to_owned()));
}

#[tokio::test]
async fn subscribers_get_the_board_at_once_and_when_it_changes() {
    let config = Console { heartbeat: Duration::from_millis(50), ..Console::default() };
    let server = Server::start(config).await;
    let mut stream = server.subscribe().await;
    assert!(line(&mut stream, "HTTP/").await.contains("200"));
    assert!(line(&mut stream, "content-type").await.contains("text/event-stream"));
    line(&mut stream, "event: board").await;
    let first = line(&mut stream, "data: ").await;
    assert_eq!(status::parse(&first[6..]).unwrap(), view::Board::from(&board()));
    line(&mut stream, ": heartbeat").await;
    server.feed.show(Board { draining: true, ..board() });
    assert!(status::parse(&line(&mut stream, "data: ").await[6..]).unwrap().draining);
}

#[tokio::test]
async fn subscribers_are_told_once_of_each_call_for_help() {
    let server = Server::start(Console::default()).await;
    let mut stream = server.subscribe().await;
    let asks = |call: &str| {
        let mut board = board();
        board.counselors[0].help.as_mut().unwrap().call = CallId(call.into());
        board
    };
    line(&mut stream, "event: help").await;
    let told = line(&mut stream, "data: ").await;
    let expected =
        r#"{"counselor":"101","call":"k7f2","since":"2026-11-07T09:28:55Z","rings":["201"]}"#;
    assert_eq!(told.trim_end(), format!("data: {expected}"));
    let mut events = Vec::new();
    for (board, expected) in [
        (board(), &["board", "board"][..]),
        (asks("k7f3"), &["help", "board"]),
        (Board { counselors: vec![], ..board() }, &["board"]),
        (board(), &["help", "board"]),
    ] {
        server.feed.show(board);
        for expected in expected {
            let event = line(&mut stream, "event: ").await;
            events.push((event.trim_end().to_owned(), format!("event: {expected}")));
        }
    }
    events.iter().for_each(|(event, expected)| assert_eq!(event, expected, "{events:?}"));
}

#[tokio::test]
async fn subscribers_are_limited_and_a_place_is_free_again() {
    let server = Server::start(Console { subscribers: 2, ..Console::default() }).await;
    let mut first = server.subscribe().await;
    let mut second = server.subscribe().await;
    line(&mut first, "data: ").await;
    line(&mut second, "data: ").await;
    let (code, answer) = server.get("/api/v1/events").await;
    assert!(code == 503 && answer.contains("too_many_subscribers"));
    drop(first);
    let mut third = loop {
        let mut stream = server.subscribe().await;
        if line(&mut stream, "HTTP/").await.contains("200") {
            break stream;
        }
    };
    line(&mut third, "data: ").await;
}

#[tokio::test]
async fn requests_have_limits() {
    let config = Console {
        connections: 3,
        header_timeout: Duration::from_millis(200),
        ..Console::default()
    };
    let server = Server::start(config).await;
    let body = "GET /live HTTP/1.1\r\nContent-Length: 65537\r\nConnection: close\r\n\r\n";
    assert_eq!(server.send(body).await.0, 413);
    let body = "GET /live HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    assert_eq!(server.send(body).await.0, 413);
    let head = format!("GET /live HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    assert_eq!(server.send(&head).await.0, 431);
    let head = format!("GET /live HTTP/1.1\r\n{}\r\n", "X: x\r\n".repeat(100));
    assert_eq!(server.send(&head).await.0, 431);
    // A head that never ends is given up, and so is a connection that never begins.
    assert_eq!(server.send("GET /live HTTP/1.1\r\nX: ").await.0, 0);
    assert_eq!(server.send("").await.0, 0);
    assert_eq!(server.get("/live").await.0, 200);
}

#[tokio::test]
async fn a_connection_too_many_is_closed_and_the_others_go_on() {
    let server = Server::start(Console { connections: 2, ..Console::default() }).await;
    let mut first = server.subscribe().await;
    let mut second = server.subscribe().await;
    line(&mut first, "data: ").await;
    line(&mut second, "data: ").await;
    let mut third = TcpStream::connect(server.address).await.unwrap();
    let mut nothing = vec![];
    let read = timeout(Duration::from_secs(10), third.read_to_end(&mut nothing)).await;
    assert!(read.unwrap().is_err() || nothing.is_empty());
    server.feed.show(Board { draining: true, ..board() });
    line(&mut first, "data: ").await;
}

#[tokio::test]
async fn status_reads_the_board_back_and_prints_it() {
    let server = Server::start(Console::default()).await;
    let json = status::fetch(server.address, &server.token).await.unwrap();
    let view = status::parse(&json).unwrap();
    assert_eq!(view, view::Board::from(&board()));
    insta::assert_snapshot!(status::print_board(&view, chrono_tz::Asia::Tokyo));
}

#[tokio::test]
async fn status_says_who_does_not_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stranger = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort").await.unwrap();
        let mut request = vec![0; 1_024];
        let _read = stream.read(&mut request).await.unwrap();
    });
    let error = status::fetch(address, "").await.unwrap_err().to_string();
    assert!(error.contains("5 of 9 bytes came"), "{error}");
    stranger.await.unwrap();
    let error = status::fetch(address, "").await.unwrap_err().to_string();
    assert!(error.contains(&address.to_string()) && error.contains("running?"), "{error}");
}

/// Nothing that could tell who called may get a field or a label: a new one is to be weighed and
/// added here.
#[tokio::test]
async fn fields_and_labels_are_those_allowed() {
    let server = Server::start(Console::default()).await;
    let json = status::fetch(server.address, &server.token).await.unwrap();
    let mut fields = BTreeSet::new();
    names(&serde_json::from_str(&json).unwrap(), &mut fields);
    let allowed = "answered at call calls changes_at chosen chosen_by closed closes_at concealed counselors draining \
        extension first_packet_ms for_seconds help_rings help_seconds in_phase_seconds jitter_max_ms jitter_ms \
        late legs level_dbfs limits line lines longest_wait_seconds lost lost_at_peer missed \
        mode mos mos_at_peer name of one_way one_way_count open override override_until pause_reason phase position \
        presentation ready reason received recent_jitter_ms recent_loss recent_mos recording rejected round_trip_ms sent service_level side \
        since source_differs state strangers supervisor taken today trunk trunks \
        unheard unheard_count waited_seconds waiting within_180 within_20 within_60 \
        wrap_up_left_seconds";
    assert_eq!(fields.iter().map(String::as_str).collect::<Vec<_>>().join(" "), allowed);
    server.metrics.deed(&What::HelpAsked);
    let (_, metrics) = server.get("/metrics").await;
    let labels = metrics.split(['{', ',']).filter_map(|part| part.split_once("=\""));
    let labels = labels.map(|(name, _)| name).collect::<BTreeSet<_>>();
    let allowed = ["act", "ended", "le", "line", "of", "outcome", "phase", "side", "state"];
    assert_eq!(labels.into_iter().collect::<Vec<_>>(), allowed);
}

/// Every name of every object within.
fn names(json: &serde_json::Value, into: &mut BTreeSet<String>) {
    let fields = json.as_object().into_iter().flatten();
    for (name, value) in fields {
        into.insert(name.clone());
        names(value, into);
    }
    json.as_array().into_iter().flatten().for_each(|value| names(value, into));
}
