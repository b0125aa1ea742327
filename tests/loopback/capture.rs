//! What we send is clean in tshark's expert view.
//!
//! A call runs while `tshark` records loopback; afterwards it decodes the file again, with the ports
//! of the test named as SIP, and lists every expert note of severity warning or error on packets
//! that the service sent. A peer's packets are left out by source address and port.

use std::process::Command;
use std::time::Duration;

use super::calls::{caller, sipp_phone};
use super::place::{Place, Process, wait_for};
use super::service::{COUNSELOR, Service, Setup};

const SOON: Duration = Duration::from_secs(12);
const SOUND: Duration = Duration::from_secs(2);

#[test]
fn tshark_has_nothing_to_say_about_what_we_send() {
    let place = Place::new("capture");
    let service = Service::start(&place, &Setup::default());
    let (first, last) = place.media_ports();
    let file = place.dir.join("call.pcapng");
    let sip = service.sip.port();
    let mut record = Command::new("tshark");
    record.args(["-i", "lo", "-q", "-w"]).arg(&file);
    record.args(["-f", &format!("udp port {sip} or udp portrange {first}-{}", last + 1)]);
    let mut recorder = Process::start(&place, "tshark", &mut record);
    wait_for("tshark to record", SOON, || {
        assert!(recorder.is_running(), "tshark can't record: {}", recorder.log());
        (recorder.log().contains("Capturing") && file.exists()).then_some(())
    });
    let (mut phone, _ear) = sipp_phone(&place, &service, "phone", |run| run);
    let (mut caller, voice) = caller(&place, &service, |run| run.talk(Duration::from_secs(9)));
    voice.wait_heard(0, COUNSELOR, SOUND, SOON);
    caller.succeed();
    phone.succeed();
    service.records(1);
    recorder.signal("INT");
    recorder.wait(SOON);

    let ours = format!(
        "(udp.srcport == {sip} or (udp.srcport >= {first} and udp.srcport <= {}))",
        last + 1
    );
    let decode = |filter: &str, fields: &[&str]| {
        let mut command = Command::new("tshark");
        command.args(["-r"]).arg(&file).args(["-d", &format!("udp.port=={sip},sip")]);
        command.args(["-o", "rtp.heuristic_rtp:TRUE", "-Y", filter, "-T", "fields"]);
        command.args(fields.iter().flat_map(|field| ["-e", field]));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    // Otherwise nothing would be proven: tshark has seen our SIP, RTP and RTCP as such.
    for (protocol, least) in [("sip", 10), ("rtp", 100), ("rtcp", 1)] {
        let seen = decode(&format!("{protocol} and {ours}"), &["frame.number"]).lines().count();
        assert!(seen >= least, "tshark saw only {seen} packets of {protocol} from us");
    }
    // 0x00600000 is a warning, 0x00800000 an error.
    let filter = format!("{ours} and _ws.expert.severity >= 0x00600000");
    let notes = decode(&filter, &["frame.number", "_ws.col.Info", "_ws.expert.message"]);
    assert!(notes.is_empty(), "tshark's expert says:\n{notes}");
    let filter = format!("{ours} and (_ws.malformed or icmp)");
    let malformed = decode(&filter, &["frame.number", "_ws.col.Info"]);
    assert!(malformed.is_empty(), "malformed:\n{malformed}");
}
