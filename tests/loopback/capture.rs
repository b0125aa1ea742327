//! What we send is clean in tshark's expert view.
//!
//! A call runs while `tshark` records loopback; afterwards it decodes the file again, with the ports
//! of the test named as SIP, and lists every expert note, warning and error on packets that the
//! service sent. A peer's packets are left out by source address and port.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::baresip::Baresip;
use super::calls::caller;
use super::place::{Place, Process, wait_for};
use super::service::{COUNSELOR, HOLD, Service, Setup};
use super::sipp::{Run, TRUNK};

const SOON: Duration = Duration::from_secs(12);
const SOUND: Duration = Duration::from_millis(1_500);

/// A request with a header that nobody knows.
const ODD: &[u8] = b"OPTIONS sip:x@127.0.0.1 SIP/2.0\r\n\
    Via: SIP/2.0/UDP 127.0.0.3;branch=z9hG4bK1\r\nFrom: <sip:a@127.0.0.3>;tag=1\r\n\
    To: <sip:x@127.0.0.1>\r\nCall-ID: odd\r\nCSeq: 1 OPTIONS\r\nUnknown-Thing: 1\r\n\r\n";

/// A tshark that records what passes on loopback.
pub(crate) struct Recorder {
    /// Where it is kept.
    pub(crate) file: PathBuf,
    process: Process,
    /// Whose datagrams show how far it is: it says that it records a little before it does, and lags
    /// behind.
    witness: UdpSocket,
    to: SocketAddr,
}

impl Recorder {
    /// Records what the filter lets through into `NAME.pcapng`. It must let through what goes to
    /// the service's SIP socket from the witness's address.
    pub(crate) fn start(
        place: &Place,
        service: &Service,
        name: &str,
        (filter, witness): (&str, &str),
    ) -> Self {
        let file = place.dir.join(format!("{name}.pcapng"));
        let mut record = Command::new("tshark");
        record.args(["-i", "lo", "-q", "-w"]).arg(&file).args(["-f", filter]);
        let process = Process::start(place, &format!("{name}-tshark"), &mut record);
        let witness = UdpSocket::bind((witness, 0)).unwrap();
        let mut recorder = Self { file, process, witness, to: service.sip };
        recorder.until_recorded("begin-of-test");
        recorder
    }

    fn until_recorded(&mut self, marker: &str) {
        wait_for(&format!("tshark to record {marker}"), SOON, || {
            assert!(self.process.is_running(), "tshark can't record: {}", self.process.log());
            self.witness.send_to(marker.as_bytes(), self.to).unwrap();
            let recorded = fs::read(&self.file).ok()?;
            recorded.windows(marker.len()).any(|part| part == marker.as_bytes()).then_some(())
        });
    }

    /// Ends it, when everything up to now is recorded.
    pub(crate) fn end(&mut self) {
        self.until_recorded("end-of-test");
        self.process.signal("INT");
        self.process.wait(SOON);
    }
}

#[test]
fn tshark_has_nothing_to_say_about_what_we_send() {
    let place = Place::new("capture");
    let service = Service::start(&place, &Setup::default());
    let (first, last) = place.media_ports();
    let sip = service.sip.port();
    let filter = format!("udp port {sip} or udp portrange {first}-{}", last + 1);
    let mut recorder = Recorder::start(&place, &service, "call", (&filter, "127.0.0.3"));
    // Something to complain of, so that silence about us means something.
    recorder.witness.send_to(ODD, service.sip).unwrap();
    everything_that_a_call_can_do(&place, &service);
    recorder.end();

    let ours = format!(
        "(udp.srcport == {sip} or (udp.srcport >= {first} and udp.srcport <= {}))",
        last + 1
    );
    let decode = |filter: &str, fields: &[&str]| {
        let mut command = Command::new("tshark");
        command.args(["-r"]).arg(&recorder.file).args(["-d", &format!("udp.port=={sip},sip")]);
        command.args(["-o", "rtp.heuristic_rtp:TRUE", "-Y", filter, "-T", "fields"]);
        command.args(fields.iter().flat_map(|field| ["-e", field]));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    // Otherwise nothing would be proven: tshark has seen our SIP, RTP and RTCP as such.
    for (protocol, least) in [("sip", 15), ("rtp", 100), ("rtcp", 1)] {
        let seen = decode(&format!("{protocol} and {ours}"), &["frame.number"]).lines().count();
        assert!(seen >= least, "tshark saw only {seen} packets of {protocol} from us");
    }
    // 0x00400000 is a note; warnings and errors are above it.
    let notes = |whose: &str| {
        let filter = format!("{whose} and _ws.expert.severity >= 0x00400000");
        decode(&filter, &["frame.number", "_ws.col.Info", "_ws.expert.message"])
    };
    assert!(notes("ip.src == 127.0.0.3").contains("unknown-thing"), "tshark's expert sleeps");
    let notes = notes(&ours);
    assert!(notes.is_empty(), "tshark's expert says:\n{notes}");
    let filter = format!("{ours} and (_ws.malformed or icmp)");
    let malformed = decode(&filter, &["frame.number", "_ws.col.Info"]);
    assert!(malformed.is_empty(), "malformed:\n{malformed}");
}

/// Registration, guidance, bridge, a key passed on, hold, resume, BYE; two refused calls.
fn everything_that_a_call_can_do(place: &Place, service: &Service) {
    let mut phone = Baresip::start(place, service, "101", COUNSELOR);
    let (mut caller, voice) = caller(place, service, |run| run);
    voice.wait_heard(0, COUNSELOR, SOUND, SOON);
    voice.press_event('5');
    phone.command("hold");
    voice.wait_heard(0, HOLD.1, SOUND, SOON);
    let mark = voice.mark();
    phone.command("resume");
    voice.wait_heard(mark, COUNSELOR, SOUND, SOON);
    phone.command("hangup");
    caller.succeed();
    service.wait_counselor("101", "ready");
    let run = |scenario| Run::new(scenario, (TRUNK, place.port()).into(), Some(service.sip));
    let unknown = run("caller_refused").fill("CODE", "404").number("0999999999");
    unknown.start(place, "unknown").succeed();
    let codec = run("caller_refused").fill("CODE", "488").fill("FORMATS", "9");
    codec.fill("ATTRIBUTES", "a=rtpmap:9 G722/8000").start(place, "codec").succeed();
    service.records(3);
}
