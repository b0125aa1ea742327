//! A marked caller goes through every path; afterwards the mark is looked for everywhere.
//!
//! The same name and number stand in every header that a carrier might send, in SDP and in keys.
//! They are found on the trunk's leg, which proves the search, and must be nowhere else: not on the
//! wire to the counselors, in what their phones keep, in a log at any level, the database, the
//! journal, on pages, in answers, streams, figures and files, in the environment, in open files, nor
//! in the process's memory once the call is over.

mod mark;
mod memory;
mod sinks;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use age::x25519::Identity;
use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::baresip::Baresip;
use super::capture::Recorder;
use super::linphone::Linphone;
use super::place::{Place, wait_for};
use super::rtp_peer::RtpPeer;
use super::service::{CALLER, CLOSED, COUNSELOR, DRAINING, Service, Setup, WELCOME, counselor};
use super::sipp::{Run, Sipp, TRUNK};
use super::survival::{kill, replace};
use mark::{E164, NAME, NATIONAL};
use sinks::{Search, files};

const SOON: Duration = Duration::from_secs(15);
const SOUND: Duration = Duration::from_millis(700);
/// What the second counselor says.
const SECOND: u32 = 800;
/// The number of the line that is closed.
const CLOSED_NUMBER: &str = "0570000002";
/// Whoever sends from there is nobody to us.
const STRANGER: &str = "127.0.0.3";

/// Everything that a call can meet: guidance with a key, a recording, a queue, a transfer.
fn setup(temporary: PathBuf, identity: &Identity) -> Setup {
    let tables = "[line.guidance.start]\nplay = [\"welcome\"]\nkeys = { 1 = \"queue\" }\n\
                  timeout = \"1s\"\nrepeats = 0\nnext = \"queue\"\n[line.recording]\nmode = \"on\"";
    let more = format!(
        "[recording]\nrecipients = [\"{}\"]\n[service.log]\nlevel = \"trace\"\n\
         [[line]]\nid = \"closed\"\nnumbers = [\"{CLOSED_NUMBER}\"]\noverride = \"closed\"\n",
        identity.to_public()
    );
    Setup {
        // What a transaction remembers it remembers for 64 times as long.
        sip: "t1 = \"100ms\"".to_owned(),
        tables: tables.to_owned(),
        counselors: counselor("101") + &counselor("102") + &more,
        temporary: Some(temporary),
        ..Setup::default()
    }
}

/// Headers that carriers, gateways and phones send of a caller, each with the mark.
fn headers() -> String {
    let identity = BASE64_STANDARD.encode(format!("{{\"orig\":{{\"tn\":\"{}\"}}}}", &E164[1..]));
    let uui: String = format!("{NAME} {E164}").bytes().map(|byte| format!("{byte:02x}")).collect();
    [
        format!("P-Asserted-Identity: \"{NAME}\" <sip:{E164}@trunk.example;user=phone>"),
        format!("P-Asserted-Identity: <tel:{E164}>"),
        format!("P-Preferred-Identity: \"{NAME}\" <tel:{E164}>"),
        format!("Remote-Party-ID: \"{NAME}\" <sip:{NATIONAL}@trunk.example>;party=calling"),
        format!("Diversion: <sip:{E164}@trunk.example>;reason=unconditional"),
        format!("History-Info: <sip:{E164}@trunk.example>;index=1"),
        format!("Reply-To: \"{NAME}\" <sip:{NATIONAL}@trunk.example>"),
        format!("Call-Info: <http://trunk.example/{NAME}/{NATIONAL}.png>;purpose=icon"),
        format!("Subject: {NAME} {NATIONAL}"),
        format!("Organization: {NAME}"),
        format!("User-Agent: {NAME}/{NATIONAL}"),
        format!("X-Caller: {NAME} {E164}"),
        format!("X-{NAME}: {NATIONAL}"),
        format!("Identity: {identity};info=<https://trunk.example/c>;alg=ES256"),
        format!("User-to-User: {uui};encoding=hex"),
    ]
    .join("\n")
}

/// The marked caller, with this scenario.
fn marked(place: &Place, service: &Service, scenario: &'static str) -> Run {
    let from = format!("\"{NAME}\" <sip:{E164}@trunk.example;user=phone;cpn={NATIONAL}>");
    let call_id = format!("{NAME}-{NATIONAL}-%u-%p@%s");
    Run::new(scenario, (TRUNK, place.port()).into(), Some(service.sip))
        .fill("FROM", &from)
        .fill("USER", E164)
        .fill("EXTRA", &headers())
        .fill("SESSION", &format!("{NAME} {NATIONAL}\ni={NAME} {E164}"))
        .argument("-cid_str", &call_id)
}

/// A marked caller with a voice. `name` begins with "trunk": what SIPp writes down is the trunk's.
fn call(
    place: &Place,
    service: &Service,
    name: &str,
    run: impl FnOnce(Run) -> Run,
) -> (Sipp, RtpPeer) {
    let voice = RtpPeer::new(TRUNK, place.port(), Some(CALLER));
    let made = marked(place, service, "caller").media(voice.address);
    (run(made).start(place, name), voice)
}

/// Presses the number's digits.
fn press_number(voice: &RtpPeer) {
    NATIONAL.chars().for_each(|key| voice.press_event(key));
}

/// A caller of a number that nobody has, and one whose codec nobody speaks.
fn refused(place: &Place, service: &Service) {
    let unknown = marked(place, service, "caller_refused").fill("CODE", "404").number("0999999999");
    let codec = marked(place, service, "caller_refused").fill("CODE", "488").fill("FORMATS", "9");
    let mut codec = codec.fill("ATTRIBUTES", "a=rtpmap:9 G722/8000").start(place, "trunk-codec");
    unknown.start(place, "trunk-unknown").succeed();
    codec.succeed();
}

/// A caller of a line that is closed.
fn turned_away(place: &Place, service: &Service) {
    let (mut caller, voice) = call(place, service, "trunk-closed", |run| run.number(CLOSED_NUMBER));
    voice.wait_heard(0, CLOSED.1, SOUND, SOON);
    caller.succeed();
}

/// Messages with the mark that are none, or none of ours: cut off anywhere, of wrong length, with
/// broken headers; by the trunk and by a stranger; as datagrams and as a stream; and a phone that
/// knows no password.
fn malformed(service: &Service) {
    let whole = format!(
        "INVITE sip:0570000001@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {NAME}.example;branch=z9hG4bK{NAME}\r\n\
         From: \"{NAME}\" <sip:{E164}@trunk.example>;tag={NATIONAL}\r\nTo: <sip:0570000001@{to}>\r\n\
         Call-ID: {NAME}-{NATIONAL}\r\nCSeq: 1 INVITE\r\nX-{NAME}: {NATIONAL}\r\n\
         Content-Length: 4\r\n\r\nv=0\n",
        to = service.sip
    );
    let register =
        whole.replace("INVITE sip:0570000001@", "REGISTER sip:").replace("INVITE", "REGISTER");
    let digest = format!(
        "Authorization: Digest username=\"{NAME}\", realm=\"koebashi.local\", nonce=\"{NATIONAL}\", \
         uri=\"sip:x\", response=\"{NATIONAL}\"\r\nCSeq:"
    );
    let broken = [
        whole.replace("Call-ID", "Kall-ID"),
        whole.replace("1 INVITE", NATIONAL),
        whole.replace("Length: 4", &format!("Length: {NATIONAL}")),
        whole.replace(&format!("<sip:{E164}@"), &format!("<{NAME}://{E164}\x01\u{7f}\u{3042}@")),
        whole.replace("INVITE", &format!("{NAME}{NATIONAL}")),
        whole.replace("\r\nTo:", &format!("\r\n {NATIONAL}\r\n{NAME} : {NATIONAL}\r\nTo:")),
        whole.replace("SIP/2.0\r\nVia", &format!("SIP/{NATIONAL}\r\nVia")),
        format!("{NAME} {NATIONAL}"),
        register.clone(),
        register.replace("CSeq:", &digest),
    ];
    for from in ["127.0.0.2", STRANGER] {
        let socket = UdpSocket::bind((from, 0)).unwrap();
        for message in &broken {
            socket.send_to(message.as_bytes(), service.sip).unwrap();
        }
        for length in (20..whole.len()).step_by(37) {
            socket.send_to(&whole.as_bytes()[..length], service.sip).unwrap();
        }
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        socket.bind(&std::net::SocketAddr::new(from.parse().unwrap(), 0).into()).unwrap();
        socket.connect(&service.sip.into()).unwrap();
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        // It may be closed at any of them.
        for message in &broken {
            stream.write_all(message.as_bytes()).ok();
        }
        stream.read_to_end(&mut vec![]).ok();
    }
}

/// The process's memory has nothing of a caller whose call is over, and whose transactions too.
fn forgotten(service: &Service) {
    let pid = service.kept().expect("the service runs");
    memory::wait_forgotten(pid, &[NAME, &E164[1..], NATIONAL]);
}

/// What a whole run leaves behind, in the test's folder.
fn run(place: &Place, search: &mut Search) -> Identity {
    let identity = Identity::generate();
    // Short: a socket's path has to fit in.
    let temporary = std::env::temp_dir().join(format!("koebashi-canary-{}", std::process::id()));
    fs::create_dir_all(&temporary).unwrap();
    let mut service = Service::start_by(place, &setup(temporary.clone(), &identity), "keep");
    let (first, last) = place.block();
    let theirs = format!("host 127.0.0.2 or host {STRANGER}");
    let ours = format!("not ({theirs}) and portrange {first}-{last}");
    let mut trunk = Recorder::start(place, &service, "trunk", (&theirs, STRANGER));
    let mut phones = Recorder::start(place, &service, "phones", (&ours, "127.0.0.1"));

    refused(place, &service);
    malformed(&service);
    turned_away(place, &service);
    let mut one = Baresip::start(place, &service, "101", COUNSELOR);
    let (mut talks, voice) = call(place, &service, "trunk-talks", |run| run);
    voice.wait_heard(0, COUNSELOR, SOUND, SOON);
    press_number(&voice);
    let (mut waits, keys) =
        call(place, &service, "trunk-waits", |run| run.talk(Duration::from_secs(8)));
    keys.wait_heard(0, WELCOME.1, SOUND, SOON);
    press_number(&keys);
    wait_for("a caller to wait", SOON, || {
        (service.metric("koebashi_waiting{line=\"main\"}") >= 1.0).then_some(())
    });
    look_at_the_living(place, &service, search);

    // It is killed; then by a signal that asks for a memory image.
    replace(&mut service, |_, pid| kill("KILL", pid));
    waits.succeed();
    let mut two = Linphone::start(place, &service, "102", SECOND);
    one.command("transfer sip:102@koebashi.local");
    voice.wait_heard(voice.mark(), SECOND, SOUND, SOON);
    replace(&mut service, |_, pid| kill("ABRT", pid));
    voice.wait_heard(voice.mark(), SECOND, SOUND, SOON);
    look_at_the_living(place, &service, search);
    two.command("terminate");
    talks.succeed();
    // Ports don't rest in these tests: whoever speaks on would be taken for the next caller.
    drop((voice, keys));
    let answered = service.records(5);
    assert!(answered.iter().any(|it| it.outcome == "answered"), "{answered:?}");
    forgotten(&service);
    search.console(&service);
    search.commands(&service);

    // One more who talks while the service drains, and one who is turned away.
    one.command("about");
    let (mut talks, voice) = call(place, &service, "trunk-last", |run| run);
    wait_for("a counselor to be heard", SOON, || {
        let heard = voice.pcm();
        let is_heard = |hz| super::tone::heard(&heard, hz) >= SOUND;
        (is_heard(COUNSELOR) || is_heard(SECOND)).then_some(())
    });
    service.signal("TERM");
    wait_for("the service to drain", SOON, || (service.get("/ready")?.0 == 503).then_some(()));
    let (mut late, ear) = call(place, &service, "trunk-late", |run| run);
    ear.wait_heard(0, DRAINING.1, SOUND, SOON);
    late.succeed();
    one.command("hangup");
    two.command("terminate");
    talks.succeed();
    assert!(service.wait(SOON).success());
    drop((one, two));
    trunk.end();
    phones.end();
    search.folder(&temporary, |_| false);
    fs::remove_dir_all(temporary).unwrap();
    identity
}

/// Everything while calls go on: the kept process and its keeper, what is on the disk, the console.
fn look_at_the_living(place: &Place, service: &Service, search: &mut Search) {
    // Here alone it is; that it is found proves that what is forgotten later would be, too.
    match memory::find(service.kept().expect("the service runs"), &[&E164[1..]]) {
        Some(found) => assert!(!found.is_empty(), "not even the live call has a number"),
        None => memory::tell_skipped(),
    }
    search.process(service.pid());
    search.process(service.kept().expect("the service runs"));
    search.folder(&place.dir.join("state"), |_| false);
    search.folder(&place.dir.join("run"), |_| false);
    search.console(service);
}

fn is_trunks(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("trunk"))
}

#[test]
fn the_marked_caller_is_found_on_the_trunk_and_nowhere_else() {
    let place = Place::new("canary");
    let mut search = Search::new();
    let identity = run(&place, &mut search);
    search.folder(&place.dir, is_trunks);
    let recordings: Vec<_> = files(&place.dir.join("state/recordings"))
        .into_iter()
        .filter(|file| file.extension().is_some_and(|ending| ending == "age"))
        .collect();
    for file in &recordings {
        let encrypted = fs::read(file).unwrap();
        let decryptor = age::Decryptor::new(encrypted.as_slice()).unwrap();
        let identity: &dyn age::Identity = &identity;
        let mut wav = vec![];
        // One that was cut off by the crash has no proper end.
        decryptor.decrypt(std::iter::once(identity)).unwrap().read_to_end(&mut wav).ok();
        search.look("an opened recording", &wav);
    }
    assert_eq!(search.hits(), &[] as &[String], "{} hits", search.hits().len());

    // It was there to be found, in every writing that was sent; and what was searched is not empty.
    let mut control = Search::new();
    control.look("trunk", &fs::read(place.dir.join("trunk.pcapng")).unwrap());
    for (text, form) in [
        (NAME, "raw"),
        ("5550190917", "raw"),
        (NAME, "hex"),
        ("5550190917", "hex"),
        ("5550190917", "base64"),
    ] {
        let is_found = |hit: &String| hit.contains(&format!("trunk: {text:?} {form}"));
        assert!(control.hits().iter().any(is_found), "{text} {form}: {:?}", control.hits());
    }
    let phones = fs::read(place.dir.join("phones.pcapng")).unwrap();
    for there in ["INVITE sip:", "REFER ", "Refer-To", "sip:caller-"] {
        let is_there = memchr::memmem::find(&phones, there.as_bytes()).is_some();
        assert!(is_there, "no {there} on the counselors' side");
    }
    for (sink, least) in [
        ("koebashi.log", 20_000),
        ("koebashi.db", 50_000),
        ("calls/", 1_000),
        ("baresip-101", 100_000),
        ("linphone-102/.local/share/linphone", 1_000),
        ("linphone-102/linphone.log", 10_000),
        ("an opened recording", 10_000),
        ("/api/v1/events", 500),
        ("/metrics", 2_000),
        ("command line", 20),
        ("report --format csv", 500),
    ] {
        assert!(search.bytes(sink) >= least, "only {} bytes of {sink}", search.bytes(sink));
    }
    let log = fs::read_to_string(place.dir.join("koebashi.log")).unwrap();
    assert!(log.contains("TRACE") && log.contains("DEBUG"), "the log is not at TRACE");
    // Nor can anybody write to the terminal of whoever reads it.
    let control = log.lines().find(|line| line.chars().any(char::is_control));
    assert_eq!(control, None);
}
