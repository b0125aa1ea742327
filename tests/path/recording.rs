use std::time::Instant;

use koebashi::call::board;
use koebashi::call::cdr::{CallId, Outcome};
use koebashi::call::deed::{Actor, Denial, Request, What};
use koebashi::call::switchboard::Command;
use koebashi::media::g711;
use koebashi::media::prompt::{Clip, Library};
use koebashi::media::{Law, Prompt};

use super::{CALLER, COUNSELOR, MS, S, only_outcome};
use crate::config::{MISSING, RECIPIENTS, basic};
use crate::sim::{Answer, PhoneId, World};

/// A caller who has dialed a line that records, and two counselors.
struct Scene {
    world: World,
    caller: PhoneId,
    counselor: PhoneId,
    colleague: PhoneId,
}

fn line(mode: &str) -> String {
    format!("[line.recording]\nmode = \"{mode}\"\ntimeout = \"3s\"\n")
}

impl Scene {
    fn new(mode: &str) -> Self {
        Self::with(&line(mode), "strategy = \"ordered\"\nannounce_position = \"off\"")
    }

    fn with(line: &str, queue: &str) -> Self {
        let mut world = World::new(&basic(line, queue, RECIPIENTS));
        let counselor = world.add_counselor("101", COUNSELOR);
        let colleague = world.add_counselor("102", 0x56);
        let caller = world.add_caller(1, CALLER);
        world.dial(caller);
        Self { world, caller, counselor, colleague }
    }

    fn until_hears(&mut self, sound: &str) {
        let caller = self.caller;
        self.world.until(sound, 10 * S, |w| w.hears(caller) == sound);
    }

    fn press(&mut self, event: u8) {
        self.world.with(self.caller, |phone, _| phone.press(event, true));
    }

    fn until_talk(&mut self) {
        self.until_talk_with(self.counselor);
    }

    fn until_talk_with(&mut self, who: PhoneId) {
        let caller = self.caller;
        let voice = format!("voice {}", who.0);
        self.world.until("both talk", 20 * S, |w| w.hears(caller) == voice);
        self.world.run(S);
        self.world.check();
    }

    fn hang_up(&mut self) {
        self.world.with(self.caller, |phone, now| phone.hang_up(now));
        self.world.come_to_rest();
    }

    fn shown(&self) -> Option<board::Tape> {
        self.world.shown.calls.first().and_then(|call| call.recording)
    }

    fn command(&mut self, paused: bool) {
        let call = CallId(self.world.tapes.all[0].call.as_str().into());
        assert_eq!(self.world.ask(Request::PauseRecording { call, paused }), Ok(()));
        self.world.run(S);
    }

    /// The caller talks with the counselor and is not recorded.
    #[track_caller]
    fn claim_unrecorded_talk(mut self) {
        self.until_talk();
        assert_eq!(self.shown(), None);
        self.hang_up();
        assert!(self.world.tapes.all.is_empty(), "{:?}", self.world.tapes.all);
        assert_eq!(only_outcome(&mut self.world), Outcome::Answered);
    }
}

fn times(said: &[String], what: &str) -> usize {
    said.iter().filter(|said| *said == what).count()
}

#[test]
fn a_line_that_does_not_record_asks_and_records_nothing() {
    let mut scene = Scene::new("off");
    scene.until_talk();
    let said = scene.world.said(scene.caller);
    assert!(!said.iter().any(|said| said.starts_with("recording")), "{said:?}");
    scene.claim_unrecorded_talk();
}

#[test]
fn who_hears_the_notice_to_its_end_is_recorded_from_joining_to_parting() {
    let mut scene = Scene::new("on");
    scene.until_talk();
    let world = &scene.world;
    let said = world.said(scene.caller);
    assert_eq!(said[..3], ["welcome", "recording_notice", "connecting"], "{}", world.story());
    let [tape] = world.tapes.all.as_slice() else { panic!("{:?}", world.tapes.all) };
    let phones = [scene.caller, scene.counselor].map(|id| world.phones[id.0].rtp);
    let (begun, left, right) = tape.begun.unwrap();
    assert_eq!([left, right], phones, "the caller is on the left");
    let answered = world.audio(scene.caller, world.started());
    let voice = answered.iter().find(|heard| heard.byte == COUNSELOR).unwrap();
    assert!(voice.at - begun < 100 * MS, "recorded from the first word");
    assert_eq!((tape.part, scene.shown()), (1, Some(board::Tape::Runs)));
    let since = world.now;
    scene.hang_up();
    let tape = &scene.world.tapes.all[0];
    assert!(tape.stopped.unwrap() - since < 100 * MS && tape.is_ended);
    assert_eq!(tape.call, scene.world.cdrs[0].call.to_string());
    assert_eq!(scene.world.cdrs[0].recorded, 1);
}

#[test]
fn the_notice_comes_before_the_queue_and_costs_no_place_in_it() {
    let mut scene = Scene::new("on");
    scene.until_hears("recording_notice");
    assert_eq!(scene.world.shown.lines[0].waiting, 0);
    assert_eq!(super::rings(&scene.world, scene.counselor), 0);
    scene.until_talk();
    scene.hang_up();
    let cdr = &scene.world.cdrs[0];
    assert!(cdr.guidance > 980 * MS && cdr.guidance < 1020 * MS, "both prompts: {cdr:?}");
}

#[test]
fn who_hangs_up_during_the_prompt_is_not_recorded() {
    for mode in ["on", "ask"] {
        let mut scene = Scene::new(mode);
        let prompt = if mode == "on" { "recording_notice" } else { "recording_ask" };
        scene.until_hears(prompt);
        scene.hang_up();
        assert!(scene.world.tapes.all.is_empty());
        assert_eq!(only_outcome(&mut scene.world), Outcome::GuidanceAbandoned);
    }
}

#[test]
fn a_prompt_that_is_not_there_means_no_recording_and_a_talk_all_the_same() {
    for mode in ["on", "ask"] {
        let line = format!("{}prompt = \"{MISSING}\"\n", line(mode));
        Scene::with(&line, "").claim_unrecorded_talk();
    }
}

/// A library in which a prompt is no longer what the call's configuration believes.
fn library(world: &World, except: &str, samples: usize) -> Library {
    let clips = world.prompts.iter().filter_map(|(name, byte)| {
        let samples = if &*name.0 == except { samples } else { 4000 };
        let pcm = vec![g711::decode(Law::Mu, *byte); samples];
        (samples > 0).then(|| (name.clone(), Clip::from_pcm(pcm).unwrap()))
    });
    Library::from_clips(clips.collect::<Vec<(Prompt, Clip)>>())
}

#[test]
fn a_prompt_that_was_taken_away_or_cut_meanwhile_counts_for_nothing() {
    for mode in ["on", "ask"] {
        for samples in [0, 800, 3000] {
            let mut scene = Scene::new(mode);
            scene.until_hears("welcome");
            let prompt = if mode == "on" { "recording_notice" } else { "recording_ask" };
            let cut = library(&scene.world, prompt, samples);
            scene.world.set_library(cut);
            scene.world.run(S);
            scene.press(1);
            scene.claim_unrecorded_talk();
        }
    }
}

#[test]
fn who_holds_us_during_the_prompt_is_not_recorded() {
    for mode in ["on", "ask"] {
        for hold_for in [100 * MS, 2 * S] {
            let mut scene = Scene::new(mode);
            let prompt = if mode == "on" { "recording_notice" } else { "recording_ask" };
            scene.until_hears(prompt);
            scene.world.run(100 * MS);
            scene.world.with(scene.caller, |phone, now| phone.hold(now, true));
            scene.world.run(hold_for);
            scene.world.with(scene.caller, |phone, now| phone.hold(now, false));
            scene.world.run(500 * MS);
            scene.press(1);
            scene.claim_unrecorded_talk();
        }
    }
}

#[test]
fn one_agrees_after_the_question() {
    for wait in [600 * MS, 3 * S] {
        let mut scene = Scene::new("ask");
        scene.until_hears("recording_ask");
        scene.world.run(wait);
        scene.press(1);
        scene.until_talk();
        assert_eq!(scene.shown(), Some(board::Tape::Runs), "{}", scene.world.story());
        assert_eq!(times(&scene.world.said(scene.caller), "recording_ask"), 1);
        scene.hang_up();
        assert_eq!(scene.world.tapes.all.len(), 1);
    }
}

#[test]
fn one_during_the_question_agrees_to_nothing() {
    for wait in [MS, 50 * MS, 200 * MS, 350 * MS] {
        let mut scene = Scene::new("ask");
        scene.until_hears("recording_ask");
        scene.world.run(wait);
        scene.press(1);
        scene.claim_unrecorded_talk();
    }
}

#[test]
fn one_that_was_meant_for_the_menu_is_no_yes() {
    let mut scene = Scene::new("ask");
    scene.until_hears("recording_ask");
    let caller = scene.caller;
    // Pressed twice, 250 ms apart: the second comes into the question's first quarter second.
    for _ in 0..2 {
        scene.world.with(caller, |phone, now| phone.press_by_info(now, '1'));
        scene.world.run(120 * MS);
    }
    scene.claim_unrecorded_talk();
}

#[test]
fn one_during_the_question_does_not_stop_one_after_it() {
    let mut scene = Scene::new("ask");
    scene.until_hears("recording_ask");
    scene.press(1);
    scene.world.run(700 * MS);
    scene.press(1);
    scene.until_talk();
    assert_eq!(scene.shown(), Some(board::Tape::Runs), "{}", scene.world.story());
}

#[test]
fn one_agrees_by_info_too() {
    let mut scene = Scene::new("ask");
    scene.until_hears("recording_ask");
    scene.world.run(600 * MS);
    scene.world.with(scene.caller, |phone, now| phone.press_by_info(now, '1'));
    scene.until_talk();
    assert_eq!(scene.shown(), Some(board::Tape::Runs));
}

#[test]
fn any_other_key_or_none_refuses_and_the_call_goes_on() {
    for keys in [&[][..], &[2], &[5], &[11], &[1, 2], &[2, 1]] {
        for wait in [100 * MS, 700 * MS] {
            if wait > 500 * MS && keys == [1, 2] {
                continue; // that is a yes
            }
            let mut scene = Scene::new("ask");
            scene.until_hears("recording_ask");
            scene.world.run(wait);
            for key in keys {
                scene.press(*key);
                scene.world.run(140 * MS);
            }
            scene.claim_unrecorded_talk();
        }
    }
}

#[test]
fn a_no_is_taken_at_once() {
    let mut scene = Scene::new("ask");
    scene.until_hears("recording_ask");
    scene.press(2);
    scene.until_hears("connecting");
    let byte = scene.world.prompts[&Prompt::from("recording_ask")];
    let audio = scene.world.audio(scene.caller, scene.world.started());
    let packets = audio.iter().filter(|heard| heard.byte == byte).count();
    assert!(packets <= 12, "{packets}");
}

#[test]
fn a_yes_that_comes_too_late_is_none() {
    let mut scene = Scene::new("ask");
    scene.until_hears("recording_ask");
    scene.world.run(3600 * MS);
    scene.press(1);
    scene.claim_unrecorded_talk();
}

#[test]
fn who_can_not_be_served_is_not_asked() {
    let toml = basic(&line("on"), "max_callers = 0", RECIPIENTS);
    let mut world = World::new(&toml.replace("play = [\"welcome\"]", "play = []"));
    world.add_counselor("101", COUNSELOR);
    let caller = world.add_caller(1, CALLER);
    world.dial(caller);
    world.run(10 * S);
    let said = world.said(caller);
    assert!(!said.contains(&"recording_notice".to_owned()), "{said:?}");
    assert_eq!(only_outcome(&mut world), Outcome::Full);
}

#[test]
fn a_queue_that_fills_up_during_the_question_turns_away_and_records_nobody() {
    let queue = "max_callers = 1\nannounce_position = \"off\"";
    let mut scene = Scene::with(&line("on"), queue);
    scene.world.phone(scene.counselor).answer = Answer::Never;
    scene.world.phone(scene.colleague).answer = Answer::Never;
    let second = scene.world.add_caller(2, 0x2b);
    scene.world.run(100 * MS);
    scene.world.dial(second);
    scene.until_hears("recording_notice");
    scene.world.until("all busy", 10 * S, |w| w.hears(second) == "all_busy");
    assert!(scene.world.said(second).contains(&"recording_notice".to_owned()));
    scene.world.run(20 * S);
    scene.hang_up();
    assert!(scene.world.tapes.all.is_empty());
    let mut outcomes: Vec<_> = scene.world.cdrs.iter().map(|cdr| cdr.outcome).collect();
    outcomes.sort();
    assert_eq!(outcomes, [Outcome::Abandoned, Outcome::Full]);
}

#[test]
fn a_transfer_begins_another_part_without_another_question() {
    let mut scene = Scene::new("ask");
    scene.until_hears("recording_ask");
    scene.world.run(600 * MS);
    scene.press(1);
    scene.until_talk();
    let session = scene.world.phones[scene.counselor.0].last().session;
    scene.world.with(scene.counselor, |phone, _| {
        phone.refer(session, "<sip:102@koebashi.local>");
    });
    scene.until_talk_with(scene.colleague);
    let said = scene.world.said(scene.caller);
    assert_eq!(times(&said, "recording_ask"), 1, "{said:?}");
    assert_eq!(scene.shown(), Some(board::Tape::Runs));
    scene.hang_up();
    let tapes = &scene.world.tapes.all;
    assert_eq!(tapes.iter().map(|tape| tape.part).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(tapes[0].call, tapes[1].call);
    let second = tapes[1].begun.unwrap();
    assert!(tapes[0].stopped.unwrap() <= second.0, "never two at once");
    assert_eq!(second.2, scene.world.phones[scene.colleague.0].rtp);
    assert_eq!(scene.world.cdrs[0].recorded, 2);
}

#[test]
fn a_lost_counselor_ends_the_part_and_the_next_one_begins_another() {
    for agrees in [true, false] {
        let mut scene = Scene::new("ask");
        scene.until_hears("recording_ask");
        scene.world.run(600 * MS);
        scene.press(if agrees { 1 } else { 2 });
        scene.until_talk();
        scene.world.phone(scene.counselor).is_alive = false;
        scene.world.phone(scene.counselor).voice = None;
        scene.until_talk_with(scene.colleague);
        let said = scene.world.said(scene.caller);
        assert_eq!(times(&said, "recording_ask"), 1, "{said:?}");
        scene.hang_up();
        let parts: Vec<_> = scene.world.tapes.all.iter().map(|tape| tape.part).collect();
        assert_eq!(parts, if agrees { vec![1, 2] } else { vec![] });
    }
}

#[test]
fn a_pause_is_shown_and_said_to_the_counselor_alone_and_lasts_over_a_transfer() {
    let mut scene = Scene::new("on");
    scene.until_talk();
    scene.command(true);
    assert_eq!(scene.shown(), Some(board::Tape::Paused));
    assert!(scene.world.said(scene.counselor).contains(&"recording_paused".to_owned()));
    scene.command(true);
    assert_eq!(times(&scene.world.said(scene.counselor), "recording_paused"), 1);
    let session = scene.world.phones[scene.counselor.0].last().session;
    scene.world.with(scene.counselor, |phone, _| {
        phone.refer(session, "<sip:102@koebashi.local>");
    });
    scene.until_talk_with(scene.colleague);
    assert_eq!(scene.shown(), Some(board::Tape::Paused));
    scene.command(false);
    assert_eq!(scene.shown(), Some(board::Tape::Runs));
    assert!(scene.world.said(scene.colleague).contains(&"recording_resumed".to_owned()));
    let said = scene.world.said(scene.caller);
    assert!(!said.iter().any(|s| s.ends_with("paused") || s.ends_with("resumed")), "{said:?}");
    scene.hang_up();
    let pauses = scene
        .world
        .tapes
        .all
        .iter()
        .map(|tape| tape.pauses.iter().map(|(_, paused)| *paused).collect::<Vec<_>>());
    assert_eq!(pauses.collect::<Vec<_>>(), [vec![true], vec![true, false]]);
    let second = &scene.world.tapes.all[1];
    assert_eq!(second.pauses[0].0, second.begun.unwrap().0, "not a word before the pause");
}

#[test]
fn the_counselor_pauses_and_resumes_by_the_code_and_the_audit_knows_who() {
    let mut scene = Scene::new("on");
    scene.until_talk();
    let code = |scene: &mut Scene| {
        for key in [10, 7] {
            scene.world.with(scene.counselor, |phone, _| phone.press(key, true));
            scene.world.run(500 * MS);
        }
    };
    code(&mut scene);
    assert_eq!(scene.shown(), Some(board::Tape::Paused), "{}", scene.world.story());
    code(&mut scene);
    assert_eq!(scene.shown(), Some(board::Tape::Runs));
    scene.command(true);
    let told: Vec<_> = scene.world.deeds.iter().map(|d| (d.who.clone(), d.what.clone())).collect();
    let (own, paused) = (Actor::Extension("101".into()), |paused| What::Recording { paused });
    let expected = [
        (own.clone(), paused(true)),
        (own, paused(false)),
        (Actor::Person("hana".into()), paused(true)),
    ];
    assert_eq!(told, expected);
    let heard =
        scene.world.phones[scene.caller.0].heard.iter().filter(|heard| heard.payload == 101);
    assert_eq!(heard.count(), 0, "the code is not the caller's");
}

/// How loud each side of the first tape was between two moments: silent, heard, or both by turns.
fn sides(world: &World, from: Instant, to: Instant) -> [&'static str; 2] {
    let frames = world.tapes.all[0].peaks.iter().filter(|(at, _)| *at >= from && *at < to);
    let frames: Vec<_> = frames.map(|(_, peaks)| *peaks).collect();
    assert!(frames.len() > 40, "the tape goes on: {}", frames.len());
    [0, 1].map(|side| match frames.iter().filter(|peaks| peaks[side] > 100).count() {
        0 if frames.iter().all(|peaks| peaks[side] == 0) => "silent",
        n if n == frames.len() => "heard",
        _ => "both",
    })
}

#[test]
fn a_caller_who_hears_music_is_not_recorded() {
    let (silent, heard) = (["silent"; 2], ["heard"; 2]);
    // The counselor's phone holds; the caller's does; a transfer rings.
    for case in 0..3 {
        let mut scene = Scene::new("on");
        scene.until_talk();
        scene.world.run(2 * S);
        let began = scene.world.now;
        assert_eq!(sides(&scene.world, began - S, began), heard);
        let holder = if case == 1 { scene.caller } else { scene.counselor };
        if case == 2 {
            scene.world.phone(scene.colleague).answer = Answer::Never;
            let session = scene.world.phones[scene.counselor.0].last().session;
            scene.world.with(scene.counselor, |phone, _| {
                phone.refer(session, "<sip:102@koebashi.local>");
            });
        } else {
            scene.world.with(holder, |phone, now| phone.hold(now, true));
        }
        scene.world.run(8 * S);
        let since = began + 500 * MS;
        assert_eq!(sides(&scene.world, since, began + 8 * S), silent, "{case}");
        if case < 2 {
            scene.world.with(holder, |phone, now| phone.hold(now, false));
            scene.world.run(2 * S);
            let now = scene.world.now;
            assert_eq!(sides(&scene.world, now - S, now), heard, "{case}");
        }
        scene.hang_up();
    }
}

#[test]
fn a_recording_resumed_while_nobody_talks_is_a_deed_too() {
    let mut scene = Scene::new("on");
    scene.until_talk();
    scene.command(true);
    // The counselor's phone is lost, and nobody else answers: the caller waits.
    scene.world.phone(scene.colleague).answer = Answer::Never;
    scene.world.phone(scene.counselor).is_alive = false;
    scene.world.phone(scene.counselor).voice = None;
    let caller = scene.caller;
    scene.world.until("the queue", 60 * S, |w| w.hears(caller) == "hold");
    scene.world.deeds.clear();
    scene.command(false);
    let [deed] = scene.world.deeds.as_slice() else { panic!("{:?}", scene.world.deeds) };
    assert_eq!(
        (&deed.who, &deed.what),
        (&Actor::Person("hana".into()), &What::Recording { paused: false })
    );
    assert_eq!(
        deed.call.as_ref().map(ToString::to_string),
        Some(scene.world.tapes.all[0].call.clone())
    );
    assert_eq!(deed.counselor, None);
}

#[test]
fn the_code_is_refused_in_a_call_that_is_not_recorded() {
    let mut scene = Scene::new("off");
    scene.until_talk();
    for key in [10, 7] {
        scene.world.with(scene.counselor, |phone, _| phone.press(key, true));
        scene.world.run(S);
    }
    assert!(scene.world.said(scene.counselor).contains(&"code_refused".to_owned()));
    scene.claim_unrecorded_talk();
}

#[test]
fn who_is_not_recorded_can_not_be_by_resuming() {
    let mut scene = Scene::new("ask");
    scene.until_talk();
    let call = scene.world.shown.calls[0].call.clone();
    for paused in [false, true, false] {
        let request = Request::PauseRecording { call: call.clone(), paused };
        assert_eq!(scene.world.ask(request), Err(Denial::NotRecorded));
        scene.world.run(S);
    }
    scene.claim_unrecorded_talk();
}

#[test]
fn a_recording_that_can_not_be_written_ends_and_the_talk_goes_on() {
    let mut scene = Scene::new("on");
    scene.until_talk();
    let record = scene.world.tapes.all[0].record;
    scene.world.command(Command::RecordingLost(record));
    scene.world.command(Command::RecordingLost(record));
    scene.world.run(S);
    assert_eq!(scene.shown(), None);
    assert!(scene.world.tapes.all[0].stopped.is_some());
    let heard = scene.world.hears(scene.caller);
    assert_eq!(heard, format!("voice {}", scene.counselor.0));
    scene.hang_up();
    assert_eq!(only_outcome(&mut scene.world), Outcome::Answered);
}

/// Lines `main` and `other`, which record in these ways; 101 takes both.
fn two_lines(main: &str, other: &str) -> World {
    let more = format!(
        "[[line]]\nid = \"other\"\nname = \"別\"\nnumbers = [\"0570000001\"]\n{}\
         [line.queue]\nwrap_up = \"0s\"\n{RECIPIENTS}",
        line(other)
    );
    let toml = basic(&line(main), "announce_position = \"off\"", &more);
    let toml = toml.replacen("lines = [\"main\"]", "lines = [\"main\", \"other\"]", 1);
    World::new(&toml)
}

#[test]
fn another_line_asks_only_for_what_is_not_known_yet() {
    // What the caller hears in the second line's way in, and whether that talk is recorded.
    let cases = [
        ("on", "on", None, true),
        ("off", "on", Some("recording_notice"), true),
        ("on", "off", None, false),
        ("on", "ask", Some("recording_ask"), false),
        ("ask", "on", None, false),
    ];
    for (main, other, prompt, is_recorded) in cases {
        let mut world = two_lines(main, other);
        let counselor = world.add_counselor("101", COUNSELOR);
        let caller = world.add_caller(1, CALLER);
        world.dial(caller);
        world.until("both talk", 20 * S, |w| w.hears(caller) == "voice 0");
        world.run(S);
        let since = world.now;
        let parts = world.tapes.all.len();
        let session = world.phones[counselor.0].last().session;
        world.with(counselor, |phone, _| phone.refer(session, "<sip:other@koebashi.local>"));
        world.until("the way in", 5 * S, |w| w.hears(caller) != "voice 0");
        world.until("both talk again", 20 * S, |w| w.hears(caller) == "voice 0");
        world.run(S);
        let said = world.sounds(caller, since);
        let heard = said.iter().find(|said| said.starts_with("recording"));
        assert_eq!(heard.map(String::as_str), prompt, "{main}, {other}: {said:?}");
        let more = world.tapes.all.len() - parts;
        assert_eq!(more, usize::from(is_recorded), "{main}, {other}: {}", world.story());
        world.with(caller, |phone, now| phone.hang_up(now));
        world.come_to_rest();
    }
}
