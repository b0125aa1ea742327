//! The loop with real sockets, in this process.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use koebashi::call::board::Board;
use koebashi::call::switchboard::Command;
use koebashi::cli::load::setup;
use koebashi::config::ready::load;
use koebashi::shell::Shell;
use koebashi::sip::Transport;
use koebashi::store::Reader;
use koebashi::store::audit::Verdict;
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
    let path = folder.join("koebashi.toml");
    let mut ready = load(&path).unwrap();
    for (_, address) in &mut ready.loaded.sip.listen {
        address.set_port(0);
    }
    Shell::start(setup(&ready, path).unwrap().0).unwrap()
}

/// Waits for a board that is as it should be.
async fn board(shell: &mut tokio::sync::watch::Receiver<std::sync::Arc<Board>>, lines: usize) {
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
    let is_demo = |board: &std::sync::Arc<Board>| &*board.lines[0].line.0 != "ours";
    assert!(timeout(Duration::from_secs(4), boards.wait_for(is_demo)).await.is_err());
    fs::remove_file(&path).unwrap();
    assert!(timeout(Duration::from_secs(4), boards.wait_for(is_demo)).await.is_err());
    write(&folder, &format!("{OURS}{}", OURS.replace("ours", "two").replace("001", "002")));
    board(&mut boards, 2).await;
    commands.send(Command::Drain).await.unwrap();
    timeout(SOON, running).await.unwrap().unwrap().unwrap();
}
