//! The program as people start it: exit codes, one line for each mistake, signals.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::{Duration, Instant};

use koebashi::store::audit::Entry;
use koebashi::store::{self, Store};

/// A configuration for the test of that name, in its own folder: a run that failed may have left
/// what a next process would follow.
fn config(test: &str, more: &str) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("koebashi.toml");
    let state = folder.join("state");
    let prompts = Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts");
    let text = format!("[service]\nstate_dir = {state:?}\nprompts_dir = {prompts:?}\n{more}");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn koebashi(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_koebashi")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn check_is_silent_on_standard_error_when_all_is_well() {
    let said = koebashi(&["check", "--config", &config("check_fine", "")]);
    assert!(said.status.success(), "{}", text(&said.stdout));
    assert!(text(&said.stdout).contains("1 lines"), "{}", text(&said.stdout));
    assert_eq!(text(&said.stderr), "");
}

#[test]
fn check_warns_where_nobody_can_call() {
    let more =
        "[[counselor]]\nextension = \"201\"\nrole = \"supervisor\"\npassword = \"p-201-p\"\n";
    let said = text(&koebashi(&["check", "--config", &config("check_lonely", more)]).stdout);
    for none in ["line: there is none", "trunk: there is none", "0 trunks, 0 lines"] {
        assert!(said.contains(none), "{none} in {said}");
    }
}

/// The first block of TOML of a document.
fn pasted(document: &str) -> String {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(document)).unwrap();
    let (_, block) = text.split_once("```toml\n").unwrap();
    block.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_documents_file_for_listening_in_can_be_pasted() {
    let path = config("document_listen", &pasted("docs/supervision.md"));
    let said = text(&koebashi(&["check", "--config", &path]).stdout);
    let fine = format!("{path}: fine: 1 trunks, 1 lines, 2 counselors, ");
    assert!(said.starts_with(&fine) && said.lines().count() == 1, "{said}");
}

#[test]
fn audit_prints_the_trail_and_says_whether_it_is_whole() {
    let path = config("audit", "");
    let database = Path::new(&path).with_file_name("state").join("koebashi.db");
    fs::remove_dir_all(database.parent().unwrap()).ok();
    let (store, _) =
        Store::open(&store::Config { path: database.clone(), ..store::Config::default() }).unwrap();
    for (day, what) in [(27, "begins to listen"), (28, "asks for help")] {
        let at = format!("2026-11-{day}T10:00:00Z").parse().unwrap();
        store.audit(Entry { at, who: "201".to_owned(), what: what.to_owned() });
    }
    store.close(Duration::from_secs(10)).unwrap();
    let audit = |more: &[&str]| koebashi(&[&["audit", "--config", &path], more].concat());
    let (one, two) =
        ("2026-11-27 19:00:00 201: begins to listen\n", "2026-11-28 19:00:00 201: asks for help\n");
    for (more, expected) in [
        (&[][..], format!("{one}{two}")),
        (&["--last", "1"], two.to_owned()),
        (&["--from", "2026-11-28"], two.to_owned()),
        (&["--to", "2026-11-28"], one.to_owned()),
        (&["--verify"], String::new()),
    ] {
        let said = audit(more);
        let out = text(&said.stdout);
        assert!(said.status.success(), "{more:?}");
        assert!(out.starts_with(&format!("{expected}whole: 2 entries, ")), "{more:?}: {out}");
    }
    let database = rusqlite::Connection::open(database).unwrap();
    database.execute("UPDATE audit SET what = 'asks for tea' WHERE n = 2", []).unwrap();
    drop(database);
    let said = audit(&[]);
    assert_eq!(said.status.code(), Some(1));
    assert_eq!(text(&said.stderr), "koebashi: the audit trail is broken at entry 2\n");
}

#[test]
fn check_names_file_line_and_key_of_every_mistake() {
    let path = config("check_bad", "[sip]\nlisten = [\"udp://nowhere\"]\ndomian = \"a\"\n");
    let said = koebashi(&["check", "--config", &path]);
    assert_eq!(said.status.code(), Some(1));
    let out = text(&said.stdout);
    assert!(out.contains(&format!("{path}:5: ")) && out.contains(&format!("{path}:6: ")), "{out}");
    assert!(out.contains("domain"), "{out}");
    assert_eq!(text(&said.stderr).lines().count(), 1);
}

#[test]
fn check_speaks_japanese_where_it_is_asked_to() {
    let path = config("check_ja", "[sip]\nlisten = [\"udp://nowhere\"]\ndomian = \"a\"\n");
    let check = |path: &str, lang| koebashi(&["check", "--lang", lang, "--config", path]);
    let said = check(&path, "ja");
    assert_eq!(said.status.code(), Some(1));
    let out = text(&said.stdout);
    let domain = format!("{path}:6: sip.domian: この名前の項目はありません。「domain」");
    assert!(out.contains("アドレスとポートとして読めません") && out.contains(&domain), "{out}");
    let fine = text(&check(&config("check_ja_fine", ""), "ja").stdout);
    assert!(fine.contains(": 誤りはありません: ") && fine.contains("回線 1、"), "{fine}");
    assert_eq!(check(&path, "en").stdout, koebashi(&["check", "--config", &path]).stdout);
    assert_eq!(check(&path, "fr").status.code(), Some(2));
}

#[test]
fn mistakes_are_one_line_and_exit_1() {
    // A port on which nobody listens any more: the default one may be somebody's.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let console = format!("[console]\nlisten = \"{nobody}\"\n");
    let fine = config("mistakes", &console);
    for arguments in [
        &["when", "nobody", "2026-12-26T18:00"][..],
        &["when", "demo", "yesterday"],
        &["report", "--month", "2026-13"],
        &["report", "--format", "pdf"],
        &["secret", "me"],
        &["status"],
    ] {
        let said = koebashi(&[arguments, &["--config", &fine]].concat());
        let error = text(&said.stderr);
        assert_eq!(said.status.code(), Some(1), "{arguments:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{arguments:?}: {error}");
        assert!(error.starts_with("koebashi: "), "{arguments:?}: {error}");
    }
    assert_eq!(koebashi(&["dance"]).status.code(), Some(2));
}

#[test]
fn what_systemd_would_start_at_once_again_takes_its_time_to_fail() {
    let path = config("takes_its_time", "[sip]\nlisten = 5\n");
    let began = Instant::now();
    let said = run(&path).env("INVOCATION_ID", "6d1e").output().unwrap();
    assert!(began.elapsed() >= Duration::from_millis(500), "{:?}", began.elapsed());
    assert_eq!(said.status.code(), Some(1), "{}", text(&said.stderr));
}

#[test]
fn secret_is_new_every_time_and_can_be_pasted() {
    let path = config("secret", "");
    let make = || text(&koebashi(&["secret", "101", "--config", &path]).stdout);
    let (one, two) = (make(), make());
    assert_ne!(one, two);
    let pasted = one.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    let more = format!(
        "[[line]]\nid = \"a\"\nname = \"a\"\nnumbers = [\"0120000001\"]\n\
         [[counselor]]\nextension = \"101\"\nlines = [\"a\"]\n{pasted}\n"
    );
    let said = koebashi(&["check", "--config", &config("secret_pasted", &more)]);
    assert!(said.status.success(), "{}", text(&said.stdout));
}

#[test]
fn prompts_are_listed_imported_and_made() {
    let path = config("prompts", "");
    let folder = Path::new(&path).with_file_name("prompts");
    let written = fs::read_to_string(&path).unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts");
    fs::write(&path, written.replace(shipped.to_str().unwrap(), folder.to_str().unwrap())).unwrap();
    fs::create_dir_all(&folder).unwrap();
    let run = |arguments: &[&str]| {
        let said = koebashi(&[&["prompts"], arguments, &["--config", &path]].concat());
        assert!(said.status.success(), "{arguments:?}: {}", text(&said.stderr));
        text(&said.stdout)
    };
    assert!(run(&["list"]).contains("welcome"));
    let wav = shipped.join("goodbye.wav");
    assert!(run(&["import", wav.to_str().unwrap(), "--name", "mine"]).starts_with("mine: "));
    assert!(folder.join("mine.wav").is_file());
    assert!(run(&["list"]).contains("mine"));
    assert_eq!(run(&["render"]), "0 made\n");
}

/// A port that nobody has at this moment.
pub(crate) fn free_port() -> u16 {
    let (udp, tcp) = (UdpSocket::bind("127.0.0.1:0"), TcpListener::bind("127.0.0.1:0"));
    let (udp, tcp) = (udp.unwrap().local_addr().unwrap(), tcp.unwrap().local_addr().unwrap());
    udp.port().max(tcp.port())
}

/// Sends a signal by name.
fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
}

#[test]
fn a_folder_of_state_serves_one_service_at_a_time() {
    let first = config("one_service", &ports());
    let written = fs::read_to_string(&first).unwrap();
    let (head, _) = written.split_once("[sip]").unwrap();
    let second = Path::new(&first).with_file_name("second.toml");
    fs::write(&second, format!("{head}{}", ports())).unwrap();
    let second = second.to_str().unwrap();
    let (mut live, _log) = run_until(&first, &["console on"]);
    let refused = koebashi(&["run", "--config", second]);
    let error = text(&refused.stderr);
    assert_eq!((refused.status.code(), error.lines().count()), (Some(1), 1), "{error}");
    let state = Path::new(&first).with_file_name("state");
    let named = format!("koebashi: {}: another koebashi runs", state.display());
    assert!(error.starts_with(&named), "{error}");
    // The live one is asked to delete, at the address where it should be; nobody else may.
    for (path, said) in [(first.as_str(), "no_recording"), (second, "nothing is proved")] {
        let refused = koebashi(&["recordings", "delete", "k7f2", "--config", path]);
        let error = text(&refused.stderr);
        assert!(refused.status.code() == Some(1) && error.contains(said), "{error}");
    }
    // However it ends: what it leaves behind locks nothing.
    signal(&live, "KILL");
    live.wait().unwrap();
    let refused = koebashi(&["recordings", "delete", "k7f2", "--config", second]);
    let error = text(&refused.stderr);
    assert_eq!(error, "koebashi: there is no recording of call k7f2\n");
}

#[test]
fn recordings_of_a_service_elsewhere_are_told_where_to_be_sought() {
    let path = config("elsewhere", "");
    let state = Path::new(&path).with_file_name("state");
    let written = fs::read_to_string(&path).unwrap();
    fs::write(&path, written.replace(&format!("{state:?}"), "\"state\"")).unwrap();
    for action in [&["recordings", "list"][..], &["recordings", "delete", "k7f2"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_koebashi"));
        command.args(action).args(["--config", &path]).current_dir("/");
        let error = text(&command.output().unwrap().stderr);
        assert!(error.starts_with("koebashi: /state/koebashi.db: "), "{error}");
        assert!(error.contains("cd /var/lib/koebashi"), "{error}");
    }
}

/// Sockets of its own.
fn ports() -> String {
    let (sip, console) = (free_port(), free_port());
    format!(
        "[sip]\nlisten = [\"udp://127.0.0.1:{sip}\"]\n[console]\nlisten = \"127.0.0.1:{console}\"\n"
    )
}

type Log = BufReader<ChildStderr>;

/// Reads until all of this is said, in whatever order.
fn read_until(log: &mut Log, wanted: &[&str]) {
    let mut missing = wanted.to_vec();
    while !missing.is_empty() {
        let mut line = String::new();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "no line says {missing:?}");
        missing.retain(|wanted| !line.contains(wanted));
    }
}

/// The service, which keeps what outlives it beside its configuration.
fn run(path: &str) -> Command {
    let folder = Path::new(path).parent().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_koebashi"));
    command.args(["run", "--config", path]).env("RUNTIME_DIRECTORY", folder);
    command
}

/// Runs the service until it says that; what else it says is left in the pipe.
fn run_until(path: &str, wanted: &[&str]) -> (Child, Log) {
    let mut child = run(path).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    read_until(&mut log, wanted);
    (child, log)
}

/// A line of its own.
const LINE: &str = "[[trunk]]\nid = \"navi\"\npeers = [\"192.0.2.1\"]\n[[line]]\nid = \"a\"\n\
    numbers = [\"0570000001\"]\n[[counselor]]\nextension = \"101\"\n\
    password = \"koebashi-101\"\nlines = [\"a\"]\n";

#[test]
fn whoever_follows_a_crash_goes_on_though_the_file_is_no_good() {
    let ports = ports();
    let path = config("follows_a_crash", &format!("{ports}{LINE}"));
    let good = fs::read_to_string(&path).unwrap();
    let listens = ports.split('"').nth(1).unwrap();
    let bad = format!("{good}\n[sip]\n");
    let (mut child, _log) = run_until(&path, &["console on"]);
    for (left, said) in [(bad.as_str(), "duplicate key"), ("", "is gone or empty")] {
        signal(&child, "KILL");
        child.wait().unwrap();
        fs::write(&path, left).unwrap();
        let (next, mut log) = run_until(&path, &[said, listens, "console on"]);
        // Mended, it is taken over; changed while nobody looked, it is the one to follow.
        fs::write(&path, format!("{good}# Mended.\n")).unwrap();
        signal(&next, "HUP");
        read_until(&mut log, &["taken over"]);
        child = next;
    }
    // Whoever follows an orderly end is told of it instead.
    signal(&child, "TERM");
    assert!(child.wait().unwrap().success());
    fs::write(&path, &bad).unwrap();
    let refused = run(&path).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("duplicate key"), "{}", text(&refused.stderr));
}

#[test]
fn whoever_follows_a_crash_goes_on_though_a_file_of_a_password_is_gone() {
    let line = LINE.replace("password =", "password_file =");
    let mail = "[opening.mail]\nserver = \"127.0.0.1\"\nfrom = \"a@example.com\"\n\
        to = [\"b@example.com\"]\nuser = \"a\"\npassword_file = \"koebashi-101\"\n";
    let path = config("follows_without_password", &format!("{}{line}{mail}", ports()));
    let password = Path::new(&path).with_file_name("koebashi-101");
    let refused = "counselor.101.password_file";
    fs::remove_file(&password).ok();
    let first = run(&path).output().unwrap();
    assert_eq!(first.status.code(), Some(1));
    assert!(text(&first.stderr).contains(refused), "{}", text(&first.stderr));
    fs::write(&password, "koebashi-101").unwrap();
    let (mut child, _log) = run_until(&path, &["console on"]);
    for leave in [|file: &Path| fs::remove_file(file), |file: &Path| fs::write(file, "")] {
        leave(&password).unwrap();
        signal(&child, "KILL");
        child.wait().unwrap();
        let also = "opening.mail.password_file";
        let (next, mut log) = run_until(&path, &[refused, also, "console on"]);
        fs::write(&password, "koebashi-101").unwrap();
        signal(&next, "HUP");
        read_until(&mut log, &["taken over"]);
        child = next;
    }
    signal(&child, "TERM");
    assert!(child.wait().unwrap().success());
}

#[test]
fn whoever_follows_a_crash_listens_where_the_last_one_did_if_nowhere_else() {
    let path = config("follows_elsewhere", &format!("{}{LINE}", ports()));
    let good = fs::read_to_string(&path).unwrap();
    let listens = good.split("udp://").nth(1).unwrap().split('"').next().unwrap();
    let bad = good.replace(listens, "192.0.2.9:5060");
    let refused = "cannot listen on udp://192.0.2.9:5060";
    // Whoever follows nobody says so, and ends.
    fs::write(&path, &bad).unwrap();
    let first = run(&path).output().unwrap();
    assert_eq!(first.status.code(), Some(1));
    assert!(text(&first.stderr).contains(refused), "{}", text(&first.stderr));
    fs::write(&path, &good).unwrap();
    let (mut child, mut _log) = run_until(&path, &["console on"]);
    // Twice: who listens there because of another is followed like any other.
    for _ in 0..2 {
        fs::write(&path, &bad).unwrap();
        signal(&child, "KILL");
        child.wait().unwrap();
        (child, _log) = run_until(&path, &[refused, &format!("udp://{listens}"), "console on"]);
    }
    signal(&child, "TERM");
    assert!(child.wait().unwrap().success());
    assert_eq!(run(&path).output().unwrap().status.code(), Some(1));
}

#[test]
fn signals_reload_drain_and_end_the_service() {
    let path = config("signals", &ports());
    let (mut child, mut log) = run_until(&path, &["console on"]);
    let mut until = |wanted: &str| read_until(&mut log, &[wanted]);
    signal(&child, "HUP");
    until("taken over");
    fs::write(&path, "[sip]\nlisten = 1\n").unwrap();
    signal(&child, "HUP");
    until("the last one stays");
    signal(&child, "TERM");
    until("no new calls");
    until("ended");
    assert!(child.wait().unwrap().success());
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
}
