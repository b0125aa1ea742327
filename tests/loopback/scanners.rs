//! The scanners of sipvicious against the real program: they find no service, no extension and no
//! password, though the password is on their list, and the phone registers afterwards.
//!
//! A scanner that is broken finds nothing either: each is let loose first on a registrar of the
//! test's own that tells everybody everything, and has to find it all.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use koebashi::chance::Chance;
use koebashi::pii::Pii;
use koebashi::sip::auth::{Asked, Challenge, answer};

use super::place::{Place, Process};
use super::service::{Service, Setup};
use super::sipp::Run;

/// How long one scan may take.
const LIMIT: Duration = Duration::from_secs(60);
/// The extension's password, and the list that it is on.
const SECRET: &str = "10000060";
const LIST: &str = "10000000-10000120";
/// From where it is scanned.
const SCANNER: &str = "127.0.0.3";
/// How long the talkative one waits for the next request.
const GRAIN: Duration = Duration::from_millis(20);
const CHALLENGE: &str = "Digest realm=\"talkative\", nonce=\"1\", algorithm=MD5";

/// A registrar as scanners wish for: it answers whatever comes, says of each extension whether it
/// is there, and lets everybody guess.
struct Talkative {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Talkative {
    fn start(place: &Place) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, place.port())).unwrap();
        socket.set_read_timeout(Some(GRAIN)).unwrap();
        let (address, stop) = (socket.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let ending = Arc::clone(&stop);
        let run = move || {
            let mut room = [0; 4_096];
            while !ending.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut room) else { continue };
                let request = String::from_utf8_lossy(&room[..length]);
                if let Some(response) = respond(&request) {
                    socket.send_to(response.as_bytes(), from).unwrap();
                }
            }
        };
        Self { address, stop, thread: Some(thread::spawn(run)) }
    }
}

impl Drop for Talkative {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// What the talkative one answers; `None`: it is nothing to be answered.
fn respond(request: &str) -> Option<String> {
    let method = request.split(' ').next().filter(|method| *method != "ACK")?;
    let header = |name: &str| request.lines().find(|line| line.starts_with(name));
    let user = header("To:")?.split_once("sip:")?.1.split('@').next()?;
    let (status, more) = match (method, user) {
        ("OPTIONS", "100" | "101" | "1001") => ("200 OK", "User-Agent: talkative\r\n".to_owned()),
        (_, "101" | "1001") => match header("Authorization:").map(is_right) {
            Some(true) => ("200 OK", String::new()),
            Some(false) | None => {
                ("401 Unauthorized", format!("WWW-Authenticate: {CHALLENGE}\r\n"))
            }
        },
        _ => ("404 Not Found", String::new()),
    };
    let [via, from, to, id, cseq] =
        ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].map(|name| header(name).unwrap_or_default());
    Some(format!(
        "SIP/2.0 {status}\r\n{via}\r\n{from}\r\n{to};tag=1\r\n{id}\r\n{cseq}\r\n{more}\
         Content-Length: 0\r\n\r\n"
    ))
}

/// Whether this proves the password.
fn is_right(authorization: &str) -> bool {
    let field = |text: &str, name: &str| {
        let (_, rest) = text.split_once(&format!("{name}=\""))?;
        rest.split('"').next().map(str::to_owned)
    };
    let challenge = Challenge::parse_all(CHALLENGE.as_bytes()).unwrap().remove(0);
    let uri = field(authorization, "uri").unwrap_or_default();
    let password = Pii::new(SECRET.to_owned());
    let asked = Asked { method: "REGISTER", uri: &uri, user: "101", password: &password, count: 1 };
    let right = answer(&challenge, &asked, &mut Chance::from_number(1));
    field(authorization, "response").is_some_and(|it| field(&right, "response") == Some(it))
}

/// What a scanner prints, which has come to its end.
fn scan(place: &Place, name: &str, program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    // A scan that is kept could be gone on with by another.
    command.args(["-b", SCANNER]).args(arguments).env("HOME", &place.dir);
    let mut process = Process::start(place, name, &mut command);
    let status = process.wait(LIMIT);
    let told = process.log();
    assert!(status.success(), "{name}: {status}: {told}");
    // It ends well whatever happens to it.
    assert!(!told.contains("xception") && !told.contains("Traceback"), "{name}: {told}");
    told
}

/// What all scanners together find at an address.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    is_there: bool,
    /// By which methods the extension is told from those that are not there.
    extension_by: Vec<&'static str>,
    has_password: bool,
}

/// Lets all of them loose. Each says in the end what it has found, or that it has found nothing.
fn scan_all(place: &Place, name: &str, at: SocketAddr) -> Found {
    let (host, port) = (at.ip().to_string(), at.port().to_string());
    let is_told = |table: &str, what: &str| {
        let is_told = table.lines().any(|line| line.contains('|') && line.contains(what));
        assert!(is_told || table.contains("found nothing"), "{name}: {table}");
        is_told
    };
    let map = scan(place, &format!("{name}-svmap"), "svmap", &["-p", &port, &host]);
    let mut found = Found { is_there: is_told(&map, &at.to_string()), ..Found::default() };
    for method in ["REGISTER", "OPTIONS", "INVITE"] {
        let arguments = ["-m", method, "-e", "1000-1020", "-p", &port, &host];
        let war = scan(place, &format!("{name}-svwar-{method}"), "svwar", &arguments);
        if is_told(&war, "1001") {
            found.extension_by.push(method);
        }
    }
    let arguments = ["-u", "101", "-r", LIST, "-p", &port, &host];
    let crack = scan(place, &format!("{name}-svcrack"), "svcrack", &arguments);
    found.has_password = is_told(&crack, SECRET);
    found
}

#[test]
fn scanners_find_nothing_and_lock_nobody_out() {
    let place = Place::new("scanners");
    let extension = |extension: &str, password: &str| {
        format!(
            "[[counselor]]\nextension = \"{extension}\"\npassword = \"{password}\"\n\
             lines = [\"main\"]\n"
        )
    };
    let counselors = extension("101", SECRET) + &extension("1001", "another-secret");
    let service = Service::start(&place, &Setup { counselors, ..Setup::default() });
    let talkative = Talkative::start(&place);
    let everything = Found {
        is_there: true,
        extension_by: vec!["REGISTER", "OPTIONS", "INVITE"],
        has_password: true,
    };
    assert_eq!(scan_all(&place, "talkative", talkative.address), everything);
    assert_eq!(scan_all(&place, "service", service.sip), Found::default());
    // The phone comes from another address, and its password is not in question.
    let local = (Ipv4Addr::new(127, 0, 0, 4), place.port()).into();
    let register = Run::new("register", local, Some(service.sip));
    let register = register.fill("EXTENSION", "101").fill("PASSWORD", SECRET);
    register.start(&place, "register").succeed();
    service.wait_counselor("101", "ready");
}
