//! Claims on the checks before an opening, on the real program: the test call over real sockets, by
//! hand and by itself, who is told, and links for those who are locked out.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chrono::{Timelike, Utc};
use koebashi::call::cdr::Cdr;
use koebashi::store::Reader;
use koebashi::time::Timestamp;
use serde_json::Value;

/// How long anything may take to happen.
const LIMIT: Duration = Duration::from_secs(40);

/// A running program in a folder of its own.
struct Service {
    child: Child,
    path: String,
    folder: PathBuf,
    console: u16,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn free_port() -> u16 {
    let (udp, tcp) = (UdpSocket::bind("127.0.0.1:0"), TcpListener::bind("127.0.0.1:0"));
    let (udp, tcp) = (udp.unwrap().local_addr().unwrap(), tcp.unwrap().local_addr().unwrap());
    udp.port().max(tcp.port())
}

impl Service {
    /// With these keys of the line, which are its last, and these sections before it.
    fn start(test: &str, sections: &str, line: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
        fs::remove_dir_all(&folder).ok();
        fs::create_dir_all(&folder).unwrap();
        let (sip, console, media) = (free_port(), free_port(), free_port() & !1);
        let prompts = Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts");
        let (state, from) = (folder.join("state"), media.clamp(20_000, 59_000) & !1);
        let to = from + 38;
        let text = format!(
            "[service]\nmax_calls = 4\nstate_dir = {state:?}\nprompts_dir = {prompts:?}\n\
             [sip]\nlisten = [\"udp://127.0.0.1:{sip}\"]\n\
             [console]\nlisten = \"127.0.0.1:{console}\"\n\
             [media]\nports = \"{from}-{to}\"\n{sections}\n\
             [[trunk]]\nid = \"navi\"\npeers = [\"127.0.0.9\"]\n\
             [[counselor]]\nextension = \"101\"\npassword = \"password-101\"\nlines = [\"main\"]\n\
             [[line]]\nid = \"main\"\nname = \"相談\"\nnumbers = [\"0570000001\"]\n{line}"
        );
        let path = folder.join("koebashi.toml");
        fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap().to_owned();
        let mut child = Command::new(env!("CARGO_BIN_EXE_koebashi"))
            .args(["run", "--config", &path])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(log.any(|line| line.unwrap().contains("console on")));
        // Whoever does not read a pipe lets its writer hang.
        std::thread::spawn(move || log.for_each(drop));
        Self { child, path, folder, console }
    }

    /// Exit code, what it says, and what it complains of.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let said = Command::new(env!("CARGO_BIN_EXE_koebashi"))
            .args(arguments)
            .args(["--config", &self.path])
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (said.status.code().unwrap(), text(&said.stdout), text(&said.stderr))
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.console)).unwrap();
        let ask = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(ask.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn records(&self) -> Vec<Cdr> {
        let reader = Reader::open(&self.folder.join("state").join("koebashi.db")).unwrap();
        let (mut cdrs, all) = (Vec::new(), Timestamp::MIN_UTC..Timestamp::MAX_UTC);
        reader.cdrs(all.start.max(Timestamp::UNIX_EPOCH), all.end, |cdr| cdrs.push(cdr)).unwrap();
        cdrs
    }
}

fn check<'a>(run: &'a Value, id: &str) -> &'a Value {
    let checks = run["checks"].as_array().unwrap();
    checks.iter().find(|check| check["id"] == id).unwrap()
}

#[test]
fn a_test_call_by_hand_hears_a_closed_line_and_is_nobodys_call() {
    let service = Service::start("opening_by_hand", "", "override = \"closed\"\n");
    let (code, said, error) = service.run(&["opening", "main", "--json"]);
    assert_eq!(code, 1, "nobody is there: {error}");
    let answer: Value = serde_json::from_str(&said).unwrap();
    let run = &answer["runs"][0];
    assert_eq!(check(run, "call")["result"], "ok", "{}", check(run, "call"));
    assert_eq!(check(run, "counselors")["result"], "bad");
    assert_eq!(check(run, "trunk")["result"], "unknown");
    for well in ["prompts", "database", "ports", "certificate", "service"] {
        assert_eq!(check(run, well)["result"], "ok", "{}", check(run, well));
    }
    let records = service.records();
    assert_eq!(records.iter().map(|cdr| (cdr.test, cdr.offers)).collect::<Vec<_>>(), [(true, 0)]);
    assert!(records[0].caller_quality().sent > 50, "{records:?}");
    let metrics = service.get("/metrics");
    assert!(
        metrics.contains("koebashi_opening_check{line=\"main\",check=\"call\"} 1"),
        "{metrics}"
    );
    assert!(metrics.contains("koebashi_opening_check{line=\"main\",check=\"counselors\"} 0"));
    assert!(metrics.contains("koebashi_opening_last_run_timestamp_seconds{line=\"main\"} "));
    assert!(
        metrics.contains("koebashi_calls_total{line=\"main\",outcome=\"guidance_abandoned\"} 0")
    );
    let (_, last, _) = service.run(&["opening", "--last"]);
    assert!(last.contains("○ call: ") && last.contains("【問題】 counselors: "), "{last}");
    let (code, _, error) = service.run(&["opening", "nowhere"]);
    assert!(code == 1 && error.contains("unknown_line"), "{error}");
}

#[test]
fn who_is_locked_out_gets_a_link() {
    let mut service = Service::start("opening_invite", "", "");
    let (code, said, error) = service.run(&["invite", "aoki", "--role", "operator"]);
    assert_eq!(code, 0, "{error}");
    let link = said.lines().next().unwrap();
    let path = link.strip_prefix(&format!("http://127.0.0.1:{}", service.console)).unwrap();
    assert!(service.get(path).starts_with("HTTP/1.1 200"));
    let (code, again, _) = service.run(&["invite", "aoki"]);
    assert!(code == 0 && again.contains("aoki (operator)"), "{again}");
    assert!(service.get(path).starts_with("HTTP/1.1 404"), "only the last link is good");
    for (arguments, said) in [
        (&["invite", "baba"][..], "say which --role"),
        (&["invite", "baba", "--role", "boss"], "operator, supervisor, counselor or auditor"),
        (&["invite", "baba", "--role", "counselor"], "--extension 101"),
        (&["invite", "baba", "--role", "counselor", "--extension", "999"], "no such extension"),
        (&["invite", "a/b", "--role", "auditor"], "1 to 32 letters"),
    ] {
        let (code, _, error) = service.run(arguments);
        assert!(code == 1 && error.contains(said), "{arguments:?}: {error}");
    }
    let (_, audit, _) = service.run(&["audit"]);
    assert!(audit.contains("console: made an invitation for \"aoki\""), "{audit}");
    service.child.kill().unwrap();
    service.child.wait().unwrap();
    let (code, _, error) = service.run(&["invite", "aoki"]);
    assert!(code == 1 && error.contains("systemctl start koebashi"), "{error}");
}

#[test]
fn a_line_that_opens_soon_is_checked_once_by_itself_and_somebody_is_told() {
    let hook = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = hook.local_addr().unwrap();
    let sections = format!("[opening]\nbefore = \"1h\"\nwebhook = \"http://{address}/hook\"\n");
    // In 40 minutes, on the clock of Tokyo.
    let open = (Utc::now() + chrono::Duration::minutes(9 * 60 + 40)).time();
    let end = open.overflowing_add_signed(chrono::Duration::hours(1)).0;
    let clock = |time: chrono::NaiveTime| format!("{:02}:{:02}", time.hour(), time.minute());
    let (open, end) = (clock(open), clock(end));
    let line = format!(
        "[[line.hours]]\ndays = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\", \"sun\"]\n\
         open = \"{open}\"\nintake_end = \"{end}\"\nservice_end = \"{end}\"\n"
    );
    let service = Service::start("opening_by_itself", &sections, &line);
    let (stream, _) = hook.accept().unwrap();
    let mut reader = BufReader::new(stream);
    let (mut length, mut line) = (0, String::new());
    while line != "\r\n" {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0);
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    reader.into_inner().write_all(b"HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n").unwrap();
    let told: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&told["event"], &told["result"]), (&"opening_check".into(), &"bad".into()));
    assert_eq!(check(&told, "call")["result"], "ok", "{told}");
    let text = told["text"].as_str().unwrap();
    assert!(text.starts_with(&format!("【声橋】{open} の開始前点検: 問題があります")), "{text}");
    // How it came out is shown; and the same opening is not checked again.
    let started = Instant::now();
    loop {
        let (_, last, _) = service.run(&["opening", "--last", "--json"]);
        let last: Value = serde_json::from_str(&last).unwrap();
        if last["runs"][0]["told"][0]["done"] == true {
            assert_eq!(last["runs"][0]["who"], "system");
            break;
        }
        assert!(started.elapsed() < LIMIT, "{last}");
        std::thread::sleep(Duration::from_millis(100));
    }
    std::thread::sleep(Duration::from_secs(7));
    assert_eq!(service.records().len(), 1);
}
