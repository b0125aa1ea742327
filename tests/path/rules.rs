use koebashi::call::cdr::Outcome;
use koebashi::sip::header::Name;
use koebashi::sip::message::Method;

use super::{COUNSELOR, MS, S, Talk, basic_talk, only_outcome, requests_to, rings, talk};
use crate::config::basic;
use crate::sim::{Answer, Raw, World, sdp};

fn tags(raw: &Raw, world: &World) -> Vec<String> {
    let responses = raw.received(world).into_iter().filter(|m| m.code().is_some_and(|c| c > 100));
    responses.map(|m| m.to().unwrap().tag().expect("a tag").to_owned()).collect()
}

#[test]
fn rule_01_100_at_once_and_180_within_200_ms_in_every_mode() {
    for mode in ["immediate", "ring", "early_media"] {
        let mut world = World::new(&basic(&format!("answer = \"{mode}\""), "", ""));
        world.add_counselor("101", COUNSELOR);
        let mut raw = Raw::caller(7);
        let dialed = world.now;
        raw.invite(&mut world, "", "10.0.1.7:4000");
        world.run(500 * MS);
        let to: std::net::SocketAddr = raw.at.parse().unwrap();
        let mine: Vec<_> = world.wire.iter().filter(|sent| sent.to == to).collect();
        let at = |code| mine.iter().find(|s| s.message().code() == Some(code)).map(|s| s.at);
        assert_eq!(at(100), Some(dialed), "{mode}");
        assert!(at(180).expect("180") <= dialed + 200 * MS, "{mode}");
    }
}

#[test]
fn rule_01_the_same_to_tag_on_every_response() {
    for mode in ["immediate", "ring", "early_media"] {
        let mut world = World::new(&basic(&format!("answer = \"{mode}\""), "", ""));
        world.add_counselor("101", COUNSELOR);
        let mut raw = Raw::caller(7);
        raw.invite(&mut world, "", "10.0.1.7:4000");
        world.run(8 * S);
        assert!(!raw.responses(&world, &Method::Invite, 200).is_empty(), "{}", world.story());
        raw.ack(&mut world);
        let tags = tags(&raw, &world);
        assert!(tags.len() >= 2 && tags.iter().all(|tag| *tag == tags[0]), "{mode}: {tags:?}");
    }
}

#[test]
fn rule_02_our_bye_carries_the_uris_of_the_invite_byte_for_byte() {
    let mut world = World::new(&basic("", "", ""));
    let mut raw = Raw::caller(7);
    raw.local = "\"山田, T\"  <sip:+81-90%20x;phone-context=a@Carrier.EXAMPLE:5070;user=phone\
                 ;npi=ISDN>;odd=\"1 2\";tag=RaW"
        .to_owned();
    raw.remote = "<sip:0570000000;npdi@10.0.0.1;Transport=UDP>".to_owned();
    raw.invite(&mut world, "", "10.0.1.7:4000");
    world.run(100 * MS);
    let to_of_200 =
        raw.responses(&world, &Method::Invite, 200)[0].text(&Name::To).map(str::to_owned);
    raw.ack(&mut world);
    // Nobody is on duty: after the help message we hang up.
    world.until("our BYE", 5 * S, |w| !raw.requests(w, &Method::Bye).is_empty());
    let bye = raw.requests(&world, &Method::Bye);
    assert_eq!(bye.len(), 1, "{}", world.story());
    assert_eq!(bye[0].text(&Name::To), Some(raw.local.as_str()));
    assert_eq!(bye[0].text(&Name::From).map(str::to_owned), to_of_200);
    assert!(bye[0].text(&Name::From).unwrap().starts_with("<sip:0570000000;npdi@10.0.0.1;"));
    raw.respond(&mut world, &bye[0], "200 OK", "", "");
    assert_eq!(only_outcome(&mut world), Outcome::NoCounselor);
}

#[test]
fn rule_02_media_ports_are_even() {
    let Talk { world, caller, counselor, .. } = basic_talk();
    assert_eq!(world.ports.len(), 2);
    assert!(world.ports.values().all(|at| at.port() % 2 == 0));
    for phone in [caller, counselor] {
        let sdp: Vec<_> = world.to_phone(phone).iter().filter_map(|m| m.sdp()).collect();
        assert!(!sdp.is_empty());
        for sdp in sdp {
            let text = String::from_utf8(sdp.to_vec()).unwrap();
            let port = text.lines().find_map(|line| line.strip_prefix("m=audio ")).unwrap();
            let port: u16 = port.split(' ').next().unwrap().parse().unwrap();
            assert_eq!(port % 2, 0);
        }
    }
}

#[test]
fn rule_02_pcmu_with_a_channel_count_is_pcmu() {
    let mut world = World::new(&basic("", "", ""));
    world.add_counselor("101", COUNSELOR);
    let mut raw = Raw::caller(7);
    let sdp = sdp("10.0.1.7:4000", "sendrecv").replace("PCMU/8000", "PCMU/8000/1");
    raw.send(
        &mut world,
        &Method::Invite,
        "",
        &sdp.replace("RTP/AVP 0", "RTP/AVP 96").replace("rtpmap:0", "rtpmap:96"),
    );
    world.run(S);
    let ok = raw.responses(&world, &Method::Invite, 200);
    let answer = String::from_utf8(ok[0].sdp().expect("an answer").to_vec()).unwrap();
    assert!(answer.contains("RTP/AVP 96"), "{answer}");
}

#[test]
fn rule_03_what_cannot_be_served_is_never_answered() {
    let refuse = basic("anonymous = \"refuse\"", "", "");
    let no_ports = basic("", "", "[media]\nports = \"30000-30002\"");
    let anonymous = "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=raw";
    let video = "v=0\r\no=- 1 1 IN IP4 10.0.1.7\r\ns=-\r\nc=IN IP4 10.0.1.7\r\nt=0 0\r\n\
                 m=audio 4000 RTP/AVP 18\r\na=rtpmap:18 G729/8000\r\n";
    let audio = sdp("10.0.1.7:4000", "sendrecv");
    let cases = [
        (basic("", "", ""), "0570999999", None, audio.as_str(), 404, Outcome::Refused),
        (refuse, "0570000000", Some(anonymous), audio.as_str(), 433, Outcome::Refused),
        (basic("", "", ""), "0570000000", None, video, 488, Outcome::Refused),
        (no_ports, "0570000000", None, audio.as_str(), 503, Outcome::Failed),
    ];
    for (toml, number, from, sdp, code, outcome) in cases {
        let mut world = World::new(&toml);
        world.add_counselor("101", COUNSELOR);
        if code == 503 {
            // The only two ports are taken.
            for n in 1..=2 {
                let other = world.add_caller(n, n);
                world.dial(other);
            }
            world.run(50 * MS);
        }
        let mut raw = Raw::caller(7);
        raw.target = format!("sip:{number}@10.0.0.1");
        raw.remote = format!("<sip:{number}@10.0.0.1>");
        if let Some(from) = from {
            raw.local = from.to_owned();
        }
        raw.send(&mut world, &Method::Invite, "", sdp);
        world.run(5 * S);
        assert_eq!(raw.responses(&world, &Method::Invite, 200).len(), 0, "{code}");
        assert!(!raw.responses(&world, &Method::Invite, code).is_empty(), "{}", world.story());
        let cdr = world.cdrs.first().expect("a record");
        assert_eq!((cdr.outcome, cdr.answered), (outcome, None), "{code}");
    }
}

#[test]
fn rule_03_we_hang_up_at_once_when_our_side_is_done() {
    let Talk { mut world, caller, counselor, .. } = basic_talk();
    world.with(counselor, |phone, now| phone.hang_up(now));
    world.run(11 * MS);
    assert_eq!(requests_to(&world, caller, &Method::Bye).len(), 1);

    // The last word of the last message: the BYE follows within two packets.
    let mut world = World::new(&basic("", "", ""));
    let caller = world.add_caller(1, 1);
    world.dial(caller);
    world.until("the end", 10 * S, |w| w.phones[caller.0].last().ended.is_some());
    let end = world.now;
    let heard = &world.phones[caller.0].heard;
    let last_word = heard.iter().rev().find(|h| h.byte != 0xff).unwrap().at;
    assert!(end - last_word <= 50 * MS, "{:?}", end - last_word);
}

#[test]
fn rule_04_a_packet_every_20_ms_from_answer_to_bye() {
    // Prompts, music, a ring that fails, announcements, a muted caller, a bridge, a muted counselor.
    let toml = basic("", "ring_timeout = \"10s\"\nretry = \"1s\"\nannounce_every = \"15s\"", "");
    let mut world = World::new(&toml);
    let counselor = world.add_counselor("101", COUNSELOR);
    world.phone(counselor).answer = Answer::Never;
    let caller = world.add_caller(1, 0x2a);
    world.phone(caller).voice = None;
    world.dial(caller);
    world.until("the 200", S, |w| w.phones[caller.0].is_talking());
    let answered = world.now + 20 * MS;
    world.until("the first ring", 5 * S, |w| rings(w, counselor) == 1);
    world.phone(counselor).answer = Answer::After(6 * S);
    world.until("both talk", 40 * S, |w| w.phones[counselor.0].is_talking());
    let joined = world.now + 20 * MS;
    world.run(5 * S);
    world.phone(counselor).voice = None;
    world.run(5 * S);
    world.phone(caller).voice = Some(0x2a);
    world.run(5 * S);
    let end = world.now;
    let gap = world.longest_gap(caller, answered, end);
    assert!(gap <= 80 * MS, "the caller heard nothing for {gap:?}");
    let gap = world.longest_gap(counselor, joined, end);
    assert!(gap <= 80 * MS, "the counselor heard nothing for {gap:?}");
    let packets = world.audio(caller, answered).len() as u128;
    let due = (end - answered).as_millis() / 20;
    assert!(packets.abs_diff(due) <= 8, "{packets} packets in the time of {due}");
}

#[test]
fn rule_04_silence_never_ends_a_call() {
    let mut talk = basic_talk();
    for phone in [talk.caller, talk.counselor] {
        talk.world.phone(phone).voice = None;
    }
    talk.world.run(1200 * S);
    let Talk { mut world, caller, counselor, since } = talk;
    assert!(world.phones[caller.0].is_talking(), "{}", world.story());
    assert!(world.phones[counselor.0].is_talking(), "{}", world.story());
    for phone in [caller, counselor] {
        let gap = world.longest_gap(phone, since, world.now);
        assert!(gap <= 80 * MS, "silence must be sent: {gap:?}");
    }
    world.phone(caller).voice = Some(0x2a);
    world.run(S);
    assert_eq!(world.hears(counselor), format!("voice {}", caller.0));
}

#[test]
fn rule_05_each_leg_hears_one_stream_from_first_prompt_to_bye() {
    let toml = basic("", "ring_timeout = \"4s\"\nauto_pause_after = 0", "");
    let mut world = World::new(&toml);
    let counselor = world.add_counselor("101", COUNSELOR);
    world.phone(counselor).answer = Answer::After(6 * S);
    let caller = world.add_caller(1, 0x2a);
    world.dial(caller);
    world.run(8 * S);
    world.phone(counselor).answer = Answer::After(S);
    world.until("both talk", 20 * S, |w| w.phones[counselor.0].is_talking());
    world.run(3 * S);
    world.with(counselor, |phone, now| phone.hold(now, true));
    world.run(3 * S);
    assert_eq!(world.hears(caller), "hold");
    world.with(counselor, |phone, now| phone.hold(now, false));
    world.run(3 * S);
    world.phone(counselor).voice = None;
    world.run(S);
    world.phone(counselor).voice = Some(COUNSELOR);
    world.run(S);
    world.phone(caller).press(5, true);
    world.run(2 * S);
    world.claim_one_stream(caller);
    // The counselor held us, and heard nothing meanwhile: its sequence has no hole all the same.
    let heard = &world.phones[counselor.0].heard;
    assert!(heard.windows(2).all(|pair| pair[0].ssrc == pair[1].ssrc));
    assert!(heard.windows(2).all(|p| p[0].sequence.wrapping_add(1) == p[1].sequence));
}

#[test]
fn rule_06_the_caller_is_spoken_to_while_counselors_are_rung() {
    let toml = basic("", "ring_timeout = \"100s\"\nannounce_every = \"15s\"", "");
    let mut world = World::new(&toml);
    let counselor = world.add_counselor("101", COUNSELOR);
    world.phone(counselor).answer = Answer::Never;
    let caller = world.add_caller(1, 0x2a);
    world.dial(caller);
    world.run(34 * S);
    assert_eq!(rings(&world, counselor), 1);
    let expected = ["welcome", "connecting", "position_1", "hold", "still_waiting", "position_1"];
    assert_eq!(world.said(caller)[..6], expected);
    assert_eq!(world.hears(caller), "hold");
    assert!(world.phones[counselor.0].last().ended.is_none(), "it rings on");
}

#[test]
fn rule_06_digits_work_during_every_prompt() {
    let guidance = "[line.guidance]\n\
        start = { play = [\"a\", \"b\"], keys = { \"1\" = \"second\" }, next = \"hangup\" }\n\
        second = { play = [\"c\", \"d\"], keys = { \"2\" = \"queue\" }, next = \"hangup\" }\n";
    for pressed_after in [100, 600] {
        let mut talk = {
            let mut world = World::new(&basic(guidance, "", ""));
            let counselor = world.add_counselor("101", COUNSELOR);
            let caller = world.add_caller(1, 0x2a);
            world.dial(caller);
            world.until("the 200", S, |w| w.phones[caller.0].is_talking());
            world.run(pressed_after * MS);
            world.phone(caller).press(1, true);
            world.until("the second", S, |w| w.said(caller).contains(&"c".to_owned()));
            world.run(pressed_after * MS);
            world.phone(caller).press(2, true);
            world.until("the queue", S, |w| w.said(caller).contains(&"connecting".to_owned()));
            let since = world.now;
            Talk { world, caller, counselor, since }
        };
        talk.world.run(4 * S);
        talk.claim_they_hear_each_other();
    }
    // A digit of the caller's while talking is the counselor's to hear, and no choice.
    let mut talk = talk(
        &basic(guidance, "", "").replace("\"hangup\"", "\"queue\", timeout = \"1s\", repeats = 0"),
    );
    talk.world.phone(talk.caller).press(1, true);
    talk.world.run(2 * S);
    talk.claim_they_hear_each_other();
    let heard = &talk.world.phones[talk.counselor.0].heard;
    assert!(heard.iter().any(|h| h.payload == 101 && h.byte == 1));
}
