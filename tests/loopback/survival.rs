//! `kill -9`, and a newer program in place of the old, in the middle of calls: `koebashi keep`, real
//! processes, real sockets.

use std::fs;
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use koebashi::chance::Chance;
use koebashi::store::journal::Journal;

use super::attack::Call;
use super::calls::{caller, sipp_phone};
use super::place::{Place, Process, wait_for};
use super::rtp_peer::{Packet, RtpPeer};
use super::service::{CALLER, COUNSELOR, Service, Setup};

const SOON: Duration = Duration::from_secs(12);
const VOICE: Duration = Duration::from_millis(700);
/// How long a service waits for its last calls where that is measured.
const DRAIN: Duration = Duration::from_secs(9);
/// How long a voice may be away on a machine that runs other tests beside this one.
const GAP_MAX: Duration = Duration::from_secs(1);

/// Sends a signal, by its name without `SIG`.
pub(super) fn kill(signal: &str, pid: u32) {
    let order = format!("kill -{signal} {pid}");
    assert!(Command::new("sh").args(["-c", &order]).status().unwrap().success(), "{order}");
}

/// Has the service replaced by what `act` does, and returns when the next one is ready.
pub(super) fn replace(service: &mut Service, act: impl FnOnce(&Service, u32)) {
    let old = service.kept().expect("the service runs");
    act(service, old);
    wait_for("the next process", SOON, || service.kept().filter(|new| *new != old));
    service.wait_ready();
}

/// The longest time without a packet since the mark.
fn longest_gap(packets: &[Packet], mark: usize) -> Duration {
    let since = &packets[mark.saturating_sub(1)..];
    since.windows(2).map(|pair| pair[1].at - pair[0].at).max().unwrap_or_default()
}

/// It is one stream, whatever process it came from: one source, numbers that only go forward, and
/// timestamps with them.
fn assert_one_stream(packets: &[Packet]) {
    for pair in packets.windows(2) {
        let (one, two) = (&pair[0], &pair[1]);
        assert_eq!(one.ssrc, two.ssrc, "another source after {}", one.sequence);
        let steps = two.sequence.wrapping_sub(one.sequence).cast_signed();
        assert!(steps > 0, "sequence {} then {}", one.sequence, two.sequence);
        let samples = two.timestamp.wrapping_sub(one.timestamp).cast_signed();
        assert!(samples > 0, "timestamp {} then {}", one.timestamp, two.timestamp);
    }
}

/// The journal as it is on the disk.
fn journal(place: &Place) -> Journal {
    let (folder, keys) = (place.dir.join("state/calls"), place.dir.join("run"));
    Journal::open(&folder, &keys, Chance::from_number(1)).0
}

/// Ports whose state is in the journal.
fn kept_ports(place: &Place) -> usize {
    journal(place).live().filter(|(key, _)| key.starts_with(b"port/")).count()
}

/// Both talk, the service is replaced, both talk on over the same ports, the caller hangs up.
fn talks_on(name: &str, act: impl FnOnce(&mut Service)) -> [Duration; 2] {
    let place = Place::new(name);
    let mut service = Service::start_by(&place, &Setup::default(), "keep");
    let (mut phone, ear) = sipp_phone(&place, &service, "phone", |run| run);
    let (mut caller, voice) = caller(&place, &service, |run| run.talk(Duration::from_secs(15)));
    voice.wait_heard(0, COUNSELOR, VOICE, SOON);
    ear.wait_heard(0, CALLER, VOICE, SOON);
    let from = |peer: &RtpPeer| peer.packets().last().map(|packet| packet.from);
    let (before, marks) = ([from(&voice), from(&ear)], [voice.mark(), ear.mark()]);
    act(&mut service);
    let now = [voice.mark(), ear.mark()];
    voice.wait_heard(now[0], COUNSELOR, VOICE, SOON);
    ear.wait_heard(now[1], CALLER, VOICE, SOON);
    assert_eq!([from(&voice), from(&ear)], before, "other ports than before");
    assert_eq!(service.counselor_state("101"), "talking");
    let gaps = [(&voice, marks[0]), (&ear, marks[1])];
    let gaps = gaps.map(|(peer, mark)| longest_gap(&peer.packets(), mark));
    assert_eq!(kept_ports(&place), 2);
    caller.succeed();
    phone.succeed();
    let record = service.record();
    assert_eq!((record.outcome.as_str(), record.ended_by.as_str()), ("answered", "caller"));
    for peer in [&voice, &ear] {
        assert_one_stream(&peer.packets());
    }
    wait_for("the ports to be forgotten", SOON, || (kept_ports(&place) == 0).then_some(()));
    // Nothing of a call is kept when its record is written, and its ports are free.
    service.signal("TERM");
    let status = service.wait(SOON);
    assert!(status.success(), "{status}");
    assert_eq!(service.records(1).len(), 1, "one record");
    gaps
}

#[test]
fn those_who_talk_talk_on_when_the_service_is_killed() {
    let gaps = talks_on("survival-kill", |service| replace(service, |_, pid| kill("KILL", pid)));
    assert!(gaps.into_iter().all(|gap| gap < GAP_MAX), "{gaps:?}");
}

#[test]
fn those_who_talk_talk_on_when_a_newer_program_takes_over() {
    let gaps = talks_on("survival-upgrade", |service| replace(service, |it, _| it.signal("USR2")));
    assert!(gaps.into_iter().all(|gap| gap < GAP_MAX), "{gaps:?}");
}

#[test]
fn those_who_talk_talk_on_when_the_service_is_killed_beside_a_file_that_is_no_good() {
    let gaps = talks_on("survival-file", |service| {
        let text = fs::read_to_string(&service.config).unwrap();
        fs::write(&service.config, format!("{text}\nnonsense = 1\n")).unwrap();
        replace(service, |_, pid| kill("KILL", pid));
    });
    assert!(gaps.into_iter().all(|gap| gap < GAP_MAX), "{gaps:?}");
}

/// Waits until `/ready` says that, or that all is well.
fn wait_said(service: &Service, why: Option<&str>) {
    wait_for(why.unwrap_or("all to be well"), SOON, || {
        let (code, body) = service.get("/ready")?;
        let is_so = why.map_or(code == 200, |why| code == 503 && body.contains(why));
        is_so.then_some(())
    });
}

/// The service is killed, and the next one goes on without something that it says.
fn replace_by_one_without(service: &Service, what: &str) {
    let old = service.kept().expect("the service runs");
    kill("KILL", old);
    wait_for("the next process", SOON, || service.kept().filter(|new| *new != old));
    wait_said(service, Some(what));
    assert!(service.metric("koebashi_configuration_faults") >= 1.0);
    assert!(service.log().contains(what), "{}", service.log());
}

#[test]
fn those_who_talk_talk_on_when_the_service_is_killed_and_can_not_listen_where_it_is_told_to() {
    let gaps = talks_on("survival-listen", |service| {
        let text = fs::read_to_string(&service.config).unwrap();
        // Nobody's address. The running service takes the file over, and this with a restart only.
        let sip = format!("udp://{}", service.sip);
        fs::write(&service.config, text.replace(&sip, "udp://192.0.2.9:5060")).unwrap();
        let reloaded = || service.log().contains("sip.listen has changed").then_some(());
        wait_for("the file to be read", SOON, reloaded);
        replace_by_one_without(service, "cannot listen on udp://192.0.2.9:5060");
        // Read again it is as bad; mended it is none any more.
        service.signal("HUP");
        let twice = || (service.log().matches("cannot listen on").count() > 1).then_some(());
        wait_for("the file to be read again", SOON, twice);
        wait_said(service, Some("cannot listen on"));
        fs::write(&service.config, text).unwrap();
        wait_said(service, None);
        assert!(service.metric("koebashi_configuration_faults") < 1.0);
    });
    assert!(gaps.into_iter().all(|gap| gap < GAP_MAX), "{gaps:?}");
}

#[test]
fn those_who_talk_talk_on_when_the_service_is_killed_beside_prompts_that_are_no_good() {
    let gaps = talks_on("survival-prompts", |service| {
        let prompts = service.config.with_file_name("prompts");
        let (bad, gone) = (prompts.join("welcome.wav"), prompts.join("own.wav"));
        let good = fs::read(&bad).unwrap();
        let text = fs::read_to_string(&service.config).unwrap();
        // One that nothing shipped has the name of.
        fs::write(&gone, &good).unwrap();
        fs::write(&service.config, text.replace("[\"welcome\"]", "[\"welcome\", \"own\"]"))
            .unwrap();
        let reloaded = || service.log().contains("guidance.start.play has changed").then_some(());
        wait_for("the file to be read", SOON, reloaded);
        fs::write(&bad, "half a fi").unwrap();
        fs::remove_file(&gone).unwrap();
        wait_for("the prompts to be refused", SOON, || {
            service.log().contains("the last one stays").then_some(())
        });
        replace_by_one_without(service, "welcome.wav");
        wait_said(service, Some("own"));
        fs::write(&bad, &good).unwrap();
        fs::write(&gone, &good).unwrap();
        wait_said(service, None);
        assert!(service.metric("koebashi_configuration_faults") < 1.0);
    });
    assert!(gaps.into_iter().all(|gap| gap < GAP_MAX), "{gaps:?}");
}

#[test]
fn those_who_talk_talk_on_when_the_service_is_killed_beside_a_database_that_can_not_be_used() {
    let gaps = talks_on("survival-database", |service| {
        let database = service.config.with_file_name("state").join("koebashi.db");
        let database = rusqlite::Connection::open(database).unwrap();
        database.busy_timeout(SOON).unwrap();
        let known: i64 =
            database.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        // As a later program would leave it.
        database.pragma_update(None, "user_version", 99).unwrap();
        let old = service.kept().expect("the service runs");
        kill("KILL", old);
        wait_for("the next process", SOON, || service.kept().filter(|new| *new != old));
        let words = ["is of version 99", "goes on with what the last run has left"];
        let has_begun = || words.iter().all(|it| service.log().contains(it)).then_some(());
        wait_for("it to begin all the same", SOON, has_begun);
        database.pragma_update(None, "user_version", known).unwrap();
        wait_said(service, None);
    });
    assert!(gaps.into_iter().all(|gap| gap < GAP_MAX), "{gaps:?}");
}

/// The keys are the same, and no place of a stream is used twice: the peers' own SRTP would refuse
/// it, and what it can't read is not heard.
#[test]
fn those_who_talk_encrypted_talk_on_when_the_service_is_killed_twice() {
    let place = Place::new("survival-secure");
    let mut call = Call::begin(&place, true, "keep");
    call.service.wait_counselor("101", "talking");
    call.voice.speak();
    call.ear.speak();
    call.assert_both_heard();
    for _ in 0..2 {
        replace(&mut call.service, |_, pid| kill("KILL", pid));
        call.assert_both_heard();
        assert_eq!(call.service.counselor_state("101"), "talking");
    }
    for peer in [&call.voice, &call.ear] {
        assert_one_stream(&peer.packets());
    }
    call.caller.succeed();
    call.phone.succeed();
    assert_eq!(call.service.record().outcome, "answered");
    wait_for("the ports to be forgotten", SOON, || (kept_ports(&place) == 0).then_some(()));
}

/// Waits until it takes no new calls, and says so.
fn wait_draining(service: &Service) {
    wait_for("the drain", SOON, || {
        let (code, body) = service.get("/ready")?;
        (code == 503 && body.contains("draining")).then_some(())
    });
}

#[test]
fn those_who_talk_talk_on_when_the_service_is_killed_while_it_drains() {
    let place = Place::new("survival-drain");
    let mut service = Service::start_by(&place, &Setup::default(), "keep");
    let (mut phone, ear) = sipp_phone(&place, &service, "phone", |run| run);
    let (mut caller, voice) = caller(&place, &service, |run| run.talk(Duration::from_secs(12)));
    voice.wait_heard(0, COUNSELOR, VOICE, SOON);
    service.signal("TERM");
    wait_draining(&service);
    let old = service.kept().expect("the service drains");
    kill("KILL", old);
    wait_for("the next process", SOON, || service.kept().filter(|new| *new != old));
    wait_draining(&service);
    let now = [voice.mark(), ear.mark()];
    voice.wait_heard(now[0], COUNSELOR, VOICE, SOON);
    ear.wait_heard(now[1], CALLER, VOICE, SOON);
    caller.succeed();
    phone.succeed();
    let status = service.wait(SOON);
    assert!(status.success(), "{status}");
    let record = service.record();
    assert_eq!((record.outcome.as_str(), record.ended_by.as_str()), ("answered", "caller"));
}

/// Two talk for longer than a service waits that is told to end. It is killed while it waits, and
/// followed as `follow` has it. How long after the order the last one has ended.
fn ends_after(name: &str, command: &str, follow: fn(&Place, &mut Service)) -> Duration {
    let place = Place::new(name);
    let mut service = Service::start_by(&place, &Setup::default(), command);
    let (_phone, ear) = sipp_phone(&place, &service, "phone", |run| run);
    let (_caller, voice) = caller(&place, &service, |run| run.talk(Duration::from_secs(60)));
    voice.wait_heard(0, COUNSELOR, VOICE, SOON);
    ear.wait_heard(0, CALLER, VOICE, SOON);
    let text = fs::read_to_string(&service.config).unwrap();
    let drain = format!("[service]\ndrain = \"{}s\"", DRAIN.as_secs());
    fs::write(&service.config, text.replace("[service]", &drain)).unwrap();
    let reloaded = || service.log().contains("service.drain has changed").then_some(());
    wait_for("the file to be read", SOON, reloaded);
    service.signal("TERM");
    let told = Instant::now();
    wait_draining(&service);
    std::thread::sleep(DRAIN / 2);
    follow(&place, &mut service);
    wait_draining(&service);
    let now = [voice.mark(), ear.mark()];
    voice.wait_heard(now[0], COUNSELOR, VOICE, SOON);
    ear.wait_heard(now[1], CALLER, VOICE, SOON);
    let status = service.wait(SOON);
    assert!(status.success(), "{status}");
    let took = told.elapsed();
    let record = service.record();
    assert_eq!((record.outcome.as_str(), record.ended_by.as_str()), ("answered", "system"));
    // What is over is remembered by nobody.
    service.follow(&place);
    service.wait_ready();
    took
}

/// It waits no longer than it was to.
#[test]
fn a_kept_service_that_is_killed_while_it_drains_ends_when_it_was_to() {
    let took = ends_after("survival-drain-kept", "keep", |_, service| {
        let old = service.kept().expect("the service drains");
        kill("KILL", old);
        wait_for("the next process", SOON, || service.kept().filter(|new| *new != old));
    });
    assert!(took >= DRAIN && took < DRAIN + DRAIN / 3, "{took:?}");
}

/// Where nobody but itself remembers what it was told.
#[test]
fn a_service_that_is_killed_while_it_drains_drains_on() {
    let took = ends_after("survival-drain-alone", "run", |place, service| {
        service.signal("KILL");
        service.follow(place);
    });
    assert!(took >= DRAIN && took < DRAIN + DRAIN / 3, "{took:?}");
}

/// What the journal has of calls, by the kind of its keys, and whether a number is in any of it.
fn kept_of_calls(place: &Place, number: &str) -> (usize, usize, bool) {
    let journal = journal(place);
    let count = |kind: &[u8]| journal.live().filter(|(key, _)| key.starts_with(kind)).count();
    let text = |value: &[u8]| String::from_utf8_lossy(value).contains(number);
    // A session answers what comes late for half a minute.
    let mut others = journal.live().filter(|(key, _)| !key.starts_with(b"session/"));
    (count(b"call/"), count(b"record/"), others.any(|(_, value)| text(value)))
}

#[test]
fn a_record_that_the_database_did_not_take_outlives_the_process_without_its_call() {
    let place = Place::new("survival-locked");
    let mut service = Service::start_by(&place, &Setup::default(), "keep");
    let (mut phone, _ear) = sipp_phone(&place, &service, "phone", |run| run);
    let database = rusqlite::Connection::open(place.dir.join("state/koebashi.db")).unwrap();
    database.busy_timeout(SOON).unwrap();
    database.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let (mut caller, voice) = caller(&place, &service, |run| run.talk(Duration::from_secs(4)));
    voice.wait_heard(0, COUNSELOR, VOICE, SOON);
    assert_eq!(kept_of_calls(&place, "312345678"), (1, 0, true));
    caller.succeed();
    phone.succeed();
    wait_for("the call to be forgotten", SOON, || {
        (kept_of_calls(&place, "312345678") == (0, 1, false)).then_some(())
    });
    replace(&mut service, |_, pid| {
        kill("KILL", pid);
        database.execute_batch("ROLLBACK").unwrap();
    });
    let record = service.record();
    assert_eq!((record.outcome.as_str(), record.ended_by.as_str()), ("answered", "caller"));
    assert!(service.figure("received") > 0, "the figures of its voices too");
    wait_for("the record to be forgotten", SOON, || {
        (kept_of_calls(&place, "312345678") == (0, 0, false)).then_some(())
    });
}

#[test]
fn nobody_is_told_that_nobody_is_there() {
    let place = Place::new("survival-sockets");
    let mut service = Service::start_by(&place, &Setup::default(), "keep");
    let asker = UdpSocket::bind((Ipv4Addr::LOCALHOST, place.port())).unwrap();
    asker.connect(service.sip).unwrap();
    asker.set_read_timeout(Some(SOON)).unwrap();
    let own = asker.local_addr().unwrap();
    let old = service.kept().unwrap();
    kill("STOP", service.pid());
    kill("KILL", old);
    // The keeper is held: there is no service now. Its sockets take everything all the same.
    let options = format!(
        "OPTIONS sip:koebashi.local SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK1\r\n\
         From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:koebashi.local>\r\nCall-ID: 1\r\n\
         CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    );
    for _ in 0..5 {
        asker.send(options.as_bytes()).expect("no ICMP error came back");
        std::thread::sleep(Duration::from_millis(50));
    }
    let stream = TcpStream::connect_timeout(&service.sip, SOON).expect("the stream waits");
    kill("CONT", service.pid());
    service.wait_ready();
    drop(stream);
    assert_ne!(service.kept(), Some(old));
    // It may be that a stranger is not answered; then nothing comes, but no error either.
    let began = Instant::now();
    asker.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    if let Err(error) = asker.recv(&mut [0; 2_000]) {
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "after {:?}", began.elapsed());
    }
}

#[test]
fn the_keeper_ends_with_a_service_that_ends_or_can_not_begin() {
    let place = Place::new("survival-end");
    let mut service = Service::start_by(&place, &Setup::default(), "keep");
    service.signal("TERM");
    let status = service.wait(SOON);
    assert!(status.success(), "{status}");
    let config = place.file("bad.toml", "nonsense = 1\n");
    let mut command = Command::new(env!("CARGO_BIN_EXE_koebashi"));
    command.args(["keep", "--config"]).arg(&config);
    let mut process = Process::start(&place, "bad", &mut command);
    let status = process.wait(SOON);
    assert_eq!(status.code(), Some(1));
    assert!(process.log().contains("nonsense"), "{}", process.log());
}
