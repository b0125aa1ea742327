//! Claims on rehearsals: a phone that the console rings to play a prompt, or to record one.

use std::time::Duration;

use koebashi::call::board::CounselorState;
use koebashi::call::config::Extension;
use koebashi::call::deed::{Denial, Request};
use koebashi::call::intention::Intention;
use koebashi::call::piece::{Asker, Finish, Piece, Rehearse};
use koebashi::call::switchboard::Command;
use koebashi::media::{Digit, g711};

use crate::config::BASIC;
use crate::sim::{Answer, PhoneId, World};

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
/// What the phone of 101 says all the time, in µ-law.
const VOICE: u8 = 0x51;

/// 101 and 102 at their phones.
struct Scene {
    world: World,
    a: PhoneId,
    b: PhoneId,
}

impl Scene {
    fn new() -> Self {
        Self::with(BASIC)
    }

    fn with(toml: &str) -> Self {
        let mut world = World::new(toml);
        let a = world.add_counselor("101", VOICE);
        let b = world.add_counselor("102", 0x52);
        for id in [a, b] {
            world.phone(id).answer = Answer::After(500 * MS);
        }
        world.run(S);
        Self { world, a, b }
    }

    fn rehearse(&mut self, ticket: u64, extension: &str, piece: Piece) {
        self.rehearse_for(Asker::Own, ticket, extension, piece);
    }

    fn rehearse_for(&mut self, asker: Asker, ticket: u64, extension: &str, piece: Piece) {
        let extension = Extension::from(extension);
        self.world.command(Command::Rehearse(Rehearse { ticket, extension, asker, piece }));
    }

    fn record(&mut self, longest: Duration) {
        self.rehearse(1, "101", Piece::Record { beep: "goodbye".into(), longest });
        let a = self.a;
        self.world.until("the beep is over", 10 * S, |w| {
            !w.rehearsals.records.is_empty() && w.phones[a.0].is_talking()
        });
    }

    fn finished(&self) -> &[(u64, Finish)] {
        &self.world.rehearsals.finished
    }

    /// Nothing of it is left, and what was spoken was the phone's voice and nothing else.
    #[track_caller]
    fn claim_spoken(&mut self, about: Duration) {
        self.world.run(40 * S);
        assert_eq!(self.finished(), [(1, Finish::Done)], "{}", self.world.story());
        let rehearsals = &self.world.rehearsals;
        assert!(rehearsals.is_ended);
        let expected = g711::decode(koebashi::media::Law::Mu, VOICE);
        let heard = rehearsals.spoken.iter().filter(|sample| **sample == expected).count();
        let wanted = about.as_millis() as usize * 8;
        assert!(heard.abs_diff(wanted) <= 4_000, "{heard} of {wanted} samples");
        self.claim_nothing_left();
    }

    #[track_caller]
    fn claim_nothing_left(&mut self) {
        assert!(!self.world.phones[self.a.0].is_talking());
        assert_eq!(self.world.open_ports(), 0);
        assert!(self.world.board.is_idle());
        assert_eq!(self.world.tapes.broken, [""; 0]);
        assert!(self.world.cdrs.is_empty(), "a rehearsal is no call");
        let states: Vec<_> = self.world.shown.counselors.iter().map(|it| &it.state).collect();
        assert!(states.iter().all(|state| **state == CounselorState::Ready), "{states:?}");
    }
}

#[test]
fn a_prompt_is_played_to_the_phone_that_is_rung_and_then_hung_up_on() {
    let mut scene = Scene::new();
    let since = scene.world.now;
    scene.rehearse(1, "101", Piece::Play("welcome".into()));
    scene
        .world
        .until("it rings", 5 * S, |w| w.shown.counselors[0].state == CounselorState::Ringing);
    scene.world.run(10 * S);
    assert_eq!(scene.finished(), [(1, Finish::Done)], "{}", scene.world.story());
    let heard = scene.world.sounds(scene.a, since);
    assert!(heard.contains(&"welcome".to_owned()), "{heard:?}");
    assert_eq!(scene.world.sounds(scene.b, since), [""; 0]);
    scene.world.run(40 * S);
    scene.claim_nothing_left();
}

#[test]
fn what_is_spoken_after_the_beep_is_recorded_until_the_phone_hangs_up() {
    let mut scene = Scene::new();
    scene.record(60 * S);
    scene.world.run(3 * S);
    let a = scene.a;
    scene.world.with(a, |phone, now| phone.hang_up(now));
    scene.claim_spoken(3 * S);
}

#[test]
fn a_key_or_the_limit_ends_a_recording() {
    let mut scene = Scene::new();
    scene.record(60 * S);
    scene.world.run(2 * S);
    let a = scene.a;
    // Another key is part of nothing and changes nothing.
    for key in ['1', '#'] {
        let event = Digit::from_char(key).unwrap().event();
        scene.world.with(a, |phone, _| phone.press(event, true));
        scene.world.run(500 * MS);
    }
    scene.claim_spoken(2_500 * MS);

    let mut scene = Scene::new();
    scene.record(2 * S);
    scene.claim_spoken(2 * S);
}

#[test]
fn a_phone_that_nobody_answers_or_that_hangs_up_is_told() {
    let mut scene = Scene::new();
    let a = scene.a;
    scene.world.phone(a).answer = Answer::Never;
    scene.rehearse(1, "101", Piece::Play("welcome".into()));
    scene.world.run(60 * S);
    assert_eq!(scene.finished(), [(1, Finish::Unanswered)], "{}", scene.world.story());
    scene.world.run(40 * S);
    scene.claim_nothing_left();

    let mut scene = Scene::new();
    scene.rehearse(1, "101", Piece::Play("welcome".into()));
    scene.world.until("it is answered", 10 * S, |w| w.phones[a.0].is_talking());
    scene.world.run(100 * MS);
    scene.world.with(a, |phone, now| phone.hang_up(now));
    scene.world.run(40 * S);
    assert_eq!(scene.finished(), [(1, Finish::CutShort)]);
    scene.claim_nothing_left();
}

#[test]
fn nobody_is_rung_who_is_busy_unknown_or_not_there() {
    let mut scene = Scene::new();
    scene.rehearse(1, "101", Piece::Play("welcome".into()));
    scene.rehearse(2, "101", Piece::Play("welcome".into()));
    scene.rehearse(3, "999", Piece::Play("welcome".into()));
    scene.rehearse(4, "0570000000", Piece::Play("welcome".into()));
    scene.world.run(20 * S);
    scene.world.command(Command::Drain);
    scene.rehearse(5, "101", Piece::Play("welcome".into()));
    let denied = |ticket, denial| (ticket, Finish::Denied(denial));
    let mut finished = scene.finished().to_vec();
    finished.sort_by_key(|(ticket, _)| *ticket);
    assert_eq!(
        finished,
        [
            (1, Finish::Done),
            denied(2, Denial::Busy),
            denied(3, Denial::UnknownExtension),
            denied(4, Denial::UnknownExtension),
            denied(5, Denial::Busy),
        ]
    );
}

/// Whoever is ready, in a call or writing notes is rung for their own rehearsals only.
#[test]
fn a_counselor_on_duty_is_not_rung_for_somebody_else() {
    let mut scene = Scene::with(&BASIC.replace("wrap_up = \"0s\"", "wrap_up = \"60s\""));
    let play = || Piece::Play("welcome".into());
    scene.rehearse_for(Asker::Other, 1, "101", play());
    scene.world.run(S);
    let caller = scene.world.add_caller(1, 0x2a);
    scene.world.dial(caller);
    let talks = |w: &World, n: usize| w.shown.counselors[n].state == CounselorState::Talking;
    scene.world.until("somebody talks", 20 * S, |w| talks(w, 0) || talks(w, 1));
    let nth = usize::from(talks(&scene.world, 1));
    let extension = ["101", "102"][nth];
    scene.rehearse_for(Asker::Other, 2, extension, play());
    scene.world.with(caller, |phone, now| phone.hang_up(now));
    scene
        .world
        .until("it is over", 20 * S, |w| w.shown.counselors[nth].state == CounselorState::WrapUp);
    scene.rehearse_for(Asker::Other, 3, extension, play());
    scene.world.run(S);
    let denied = |ticket, denial| (ticket, Finish::Denied(denial));
    let all = [denied(1, Denial::OnDuty), denied(2, Denial::Busy), denied(3, Denial::OnDuty)];
    assert_eq!(scene.finished(), all, "{}", scene.world.story());
    // At a desk of nobody who is on duty it rings.
    for extension in ["101", "102"] {
        let extension = Extension::from(extension);
        scene.world.intend(extension.clone(), Intention::Paused("休憩".to_owned()));
        scene.world.ask(Request::EndWrapUp(extension)).ok();
    }
    scene.rehearse_for(Asker::Other, 4, "101", play());
    scene.world.run(20 * S);
    assert_eq!(scene.finished().last(), Some(&(4, Finish::Done)), "{}", scene.world.story());
}

#[test]
fn a_caller_is_offered_to_somebody_else_and_hears_nothing_of_it() {
    let mut scene = Scene::new();
    scene.record(60 * S);
    let caller = scene.world.add_caller(1, 0x2a);
    scene.world.dial(caller);
    let b = scene.b;
    scene.world.until("102 talks with the caller", 20 * S, |w| {
        w.phones[b.0].is_talking() && w.phones[caller.0].is_talking()
    });
    scene.world.run(2 * S);
    assert_eq!(scene.world.tuned(caller), "voice 1");
    // The service ends: the rehearsal does too, and what was spoken is there.
    scene.world.command(Command::Stop);
    scene.world.run(2 * S);
    assert_eq!(scene.finished(), [(1, Finish::CutShort)]);
    assert!(scene.world.board.is_idle());
    assert_eq!(scene.world.tapes.broken, [""; 0]);
}
