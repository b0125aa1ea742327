//! The loop with real sockets, in this process.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use koebashi::call::board::Board;
use koebashi::call::config::Override;
use koebashi::call::switchboard::Command;
use koebashi::chance::Chance;
use koebashi::cli::load::setup;
use koebashi::config::Console;
use koebashi::config::ready::{Ready, load};
use koebashi::console;
use koebashi::shell::Shell;
use koebashi::shell::in_force::InForce;
use koebashi::shell::kept_sockets::KeptSockets;
use koebashi::sip::Transport;
use koebashi::store::Reader;
use koebashi::store::audit::Verdict;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

/// Nothing here takes longer, unless it fails.
const SOON: Duration = Duration::from_secs(20);

/// A folder of its own for each test, with a configuration.
fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    fs::create_dir_all(&folder).unwrap();
    write(&folder, "");
    folder
}

fn write(folder: &Path, more: &str) {
    let state = folder.join("state");
    let prompts = Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts");
    let text = format!("[service]\nstate_dir = {state:?}\nprompts_dir = {prompts:?}\n{more}");
    fs::write(folder.join("koebashi.toml"), text).unwrap();
}

fn start(folder: &Path) -> Shell {
    start_with_current(folder).0
}

/// A service, and the configuration that is in force.
fn start_with_current(folder: &Path) -> (Shell, watch::Receiver<Arc<Ready>>) {
    let path = folder.join("koebashi.toml");
    let mut ready = load(&path).unwrap();
    for (_, address) in &mut ready.loaded.sip.listen {
        address.set_port(0);
    }
    let (setup, current) =
        setup(&mut ready, path, KeptSockets::none(), InForce::nowhere()).unwrap();
    (Shell::start(setup).unwrap(), current)
}

/// Waits for a board that is as it should be.
async fn board(shell: &mut watch::Receiver<Arc<Board>>, lines: usize) {
    timeout(SOON, shell.wait_for(|board| board.lines.len() == lines)).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_answers_a_trunk_and_ends_when_told() {
    let shell = start(&folder("answers_and_ends"));
    let (transport, address): (Transport, SocketAddr) = shell.listening()[0];
    assert_eq!(transport, Transport::Udp);
    let (commands, handle) = (shell.commands(), shell.handle());
    let running = tokio::spawn(shell.run());
    let answer = tokio::task::spawn_blocking(move || {
        let trunk = UdpSocket::bind("127.0.0.1:0").unwrap();
        trunk.set_read_timeout(Some(SOON)).unwrap();
        let own = trunk.local_addr().unwrap();
        let options = format!(
            "OPTIONS sip:koebashi.local SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK1\r\n\
             From: <sip:trunk@127.0.0.1>;tag=1\r\nTo: <sip:koebashi.local>\r\nCall-ID: 1\r\n\
             CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        );
        trunk.send_to(options.as_bytes(), address).unwrap();
        let mut answer = vec![0; 2_000];
        let len = trunk.recv(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..len]).into_owned()
    });
    let answer = answer.await.unwrap();
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    assert!(handle.is_live());
    commands.send(Command::Drain).await.unwrap();
    timeout(SOON, running).await.unwrap().unwrap().unwrap();
}

/// An evening goes on after a restart: the board does not count from zero.
#[tokio::test(flavor = "multi_thread")]
async fn the_board_knows_the_calls_of_today_after_a_restart() {
    let folder = folder("calls_of_today");
    // Makes the database.
    let shell = start(&folder);
    let commands = shell.commands();
    let running = tokio::spawn(shell.run());
    commands.send(Command::Drain).await.unwrap();
    timeout(SOON, running).await.unwrap().unwrap().unwrap();
    let conn = rusqlite::Connection::open(folder.join("state/koebashi.db")).unwrap();
    let now = chrono::Utc::now().timestamp_millis();
    let calls = [
        ("a", now - 2_000, "answered", 5_000, 0),
        ("b", now - 2_000, "abandoned", 90_000, 0),
        ("c", now - 2_000, "answered", 1_000, 1),
        ("d", now - 25 * 3_600_000, "answered", 1_000, 0),
    ];
    for (call, started, outcome, wait, test) in calls {
        conn.execute(
            "INSERT INTO cdr (call, trunk, line, started_ms, lasted_ms, outcome, ended_by, reason, \
             presentation, guidance_ms, wait_ms, talk_ms, paid_wait_ms, offers, test) VALUES \
             (?1, 'demo', 'demo', ?2, 1000, ?3, 'caller', 'hangup', 'shown', 0, ?4, 0, 0, 0, ?5)",
            (call, started, outcome, wait, test),
        )
        .unwrap();
    }
    drop(conn);
    let shell = start(&folder);
    let (commands, mut boards) = (shell.commands(), shell.handle().board());
    let running = tokio::spawn(shell.run());
    board(&mut boards, 1).await;
    let board = boards.borrow().clone();
    let line = &board.lines[0];
    let today: Vec<_> = line.today.iter().map(|(what, n)| (what.name(), *n)).collect();
    assert_eq!(today, [("answered", 1), ("abandoned", 1)]);
    assert_eq!((line.service_level.of, line.service_level.within[0]), (2, 1));
    commands.send(Command::Drain).await.unwrap();
    timeout(SOON, running).await.unwrap().unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_taken_over_and_a_bad_one_is_not() {
    const LINE: &str = "[[line]]\nid = \"ID\"\nname = \"ID\"\nnumbers = [\"NUMBER\"]\n";
    const COUNSELOR: &str = "[[counselor]]\nextension = \"101\"\npassword = \"a good password\"\nlines = [\"a\", \"b\"]\n";
    let line = |id, number| LINE.replace("ID", id).replace("NUMBER", number);
    let folder = folder("taken_over");
    let shell = start(&folder);
    let (commands, mut boards) = (shell.commands(), shell.handle().board());
    let running = tokio::spawn(shell.run());
    board(&mut boards, 1).await;
    let two = format!("{}{}{COUNSELOR}", line("a", "0120000001"), line("b", "0120000002"));
    write(&folder, &two);
    board(&mut boards, 2).await;
    write(&folder, &format!("{two}{}", line("b", "0120000003")));
    let changed = timeout(Duration::from_secs(4), boards.wait_for(|b| b.lines.len() != 2));
    assert!(changed.await.is_err());
    write(&folder, "");
    board(&mut boards, 1).await;
    commands.send(Command::Drain).await.unwrap();
    timeout(SOON, running).await.unwrap().unwrap().unwrap();
    // Start, end and each changed key are on the audit trail.
    let trail = Reader::open(&folder.join("state/koebashi.db")).unwrap();
    match trail.verify_audit().unwrap() {
        Verdict::Intact { entries, .. } => assert!(entries > 6, "{entries}"),
        Verdict::Broken { at } => panic!("{at}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_console_saves_is_in_force_when_it_answers() {
    const OURS: &str =
        "# Ours.\n[[line]]\nid = \"ours\" # the only one\nnumbers = [\"0120000001\"]\n";
    let folder = folder("console_saves");
    write(&folder, OURS);
    let before = fs::read_to_string(folder.join("koebashi.toml")).unwrap();
    let (shell, current) = start_with_current(&folder);
    let (commands, handle) = (shell.commands(), shell.handle());
    let mut boards = handle.board();
    let running = tokio::spawn(shell.run());
    let limits = Console { listen: "127.0.0.1:0".parse().unwrap(), ..Console::default() };
    let listener = console::bind(&limits).await.unwrap();
    let address = listener.local_addr().unwrap();
    let path = folder.join("koebashi.toml");
    let chance = Chance::from_number(7);
    let setup = console::Setup { handle, limits, current: current.clone(), chance, path };
    let desk = console::Desk::open(setup).await.unwrap();
    let serving = tokio::spawn(console::serve(listener, desk, std::future::pending()));
    let token = console::machine_token(&folder.join("state")).unwrap();
    let switch = async |form: &str| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "POST /hours/ours/override HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{form}",
            form.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
    };
    switch("override=closed&until=2099-12-26T21:00").await;
    let over = current.borrow().loaded.call.lines[&"ours".into()].schedule.over;
    assert!(matches!(over, Override::Closed(Some(_))), "{over:?}");
    let is_closed = |board: &Arc<Board>| !board.lines[0].open;
    timeout(SOON, boards.wait_for(is_closed)).await.unwrap().unwrap();
    switch("override=auto").await;
    timeout(SOON, boards.wait_for(|board| board.lines[0].open)).await.unwrap().unwrap();
    assert_eq!(fs::read_to_string(folder.join("koebashi.toml")).unwrap(), before);
    serving.abort();
    commands.send(Command::Drain).await.unwrap();
    timeout(SOON, running).await.unwrap().unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_vanishes_or_is_emptied_does_not_open_the_demo() {
    const OURS: &str = "[[line]]\nid = \"ours\"\nnumbers = [\"0120000001\"]\n";
    let folder = folder("vanishes");
    write(&folder, OURS);
    let shell = start(&folder);
    let (commands, mut boards) = (shell.commands(), shell.handle().board());
    let running = tokio::spawn(shell.run());
    board(&mut boards, 1).await;
    let path = folder.join("koebashi.toml");
    fs::write(&path, "\n").unwrap();
    let is_demo = |board: &Arc<Board>| &*board.lines[0].line.0 != "ours";
    assert!(timeout(Duration::from_secs(4), boards.wait_for(is_demo)).await.is_err());
    fs::remove_file(&path).unwrap();
    assert!(timeout(Duration::from_secs(4), boards.wait_for(is_demo)).await.is_err());
    write(&folder, &format!("{OURS}{}", OURS.replace("ours", "two").replace("001", "002")));
    board(&mut boards, 2).await;
    commands.send(Command::Drain).await.unwrap();
    timeout(SOON, running).await.unwrap().unwrap().unwrap();
}
