//! The order of things: sign in, call, welcome, ring, answer, talk, hang up, sign out; each printed
//! as it happens, each with a limit.

use std::io::{Write, stdout};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout_at;

use super::Error;
use super::service::{Service, library};
use super::track;
use super::verdict::Talk;
use super::voice::{CALLER, COUNSELOR, TURN, TURNS};
use crate::call::cdr::{Cdr, Outcome};
use crate::call::switchboard::Step;
use crate::chance::Chance;
use crate::pii::Pii;
use crate::shell::clock;
use crate::shell::phone::audio::{Audio, Recording};
use crate::shell::phone::{News, Phone, Rung};
use crate::sip::Cause;
use crate::sip::sdp::Agreed;

/// How long any one thing may take to happen.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the welcome and the queue may take until the counselor's phone rings.
const GUIDANCE: Duration = Duration::from_secs(10);
/// How long the counselor lets it ring.
const RINGS: Duration = Duration::from_secs(2);
/// From the counselor's answer to the first word, and from the last to the end of the call.
const BREATH: Duration = Duration::from_millis(400);
/// Steps that wait to be printed.
const STEPS_MAX: usize = 256;
/// Number of the caller; nobody's.
const NUMBER: &str = "0000000000";

/// What is said of each turn.
const TURN_WORDS: [(Who, &str); TURNS] = [
    (Who::Caller, "speaks"),
    (Who::Counselor, "speaks"),
    (Who::Caller, "and counselor speak at once"),
];

/// Who does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Service,
    Caller,
    Counselor,
}

/// What happens.
enum Happening {
    Step(Step),
    Caller(News),
    Counselor(News),
}

/// Everybody.
struct Stage {
    started: Instant,
    steps: mpsc::Receiver<Step>,
    interrupt: Signal,
    service: Service,
    caller: Phone,
    counselor: Phone,
}

/// What the two speak into.
struct Sockets {
    caller: UdpSocket,
    counselor: UdpSocket,
}

/// Plays it; the recording goes to `file`.
pub(super) async fn play(file: &Path) -> Result<(), Error> {
    let mut chance = clock::chance().map_err(Error::system("no entropy"))?;
    let library = Arc::new(library()?);
    let welcome = library.clip(&"welcome".into()).map(|clip| clip.pcm().to_vec());
    let (step_sender, steps) = mpsc::channel(STEPS_MAX);
    let on_step = move |step: &Step| {
        // A step that finds no room is not printed.
        let _is_shown = step_sender.try_send(step.clone());
    };
    let started = Instant::now();
    let service = Service::start(library, on_step, &mut chance)?;
    let phone = |chance| Phone::new(service.address, &service.domain, chance);
    let (caller, caller_audio) =
        phone(chance.split()).await.map_err(Error::system("the caller's phone"))?;
    let (counselor, counselor_audio) =
        phone(chance.split()).await.map_err(Error::system("the counselor's phone"))?;
    let interrupt = signal(SignalKind::interrupt()).map_err(Error::system("signals"))?;
    let mut stage = Stage { started, steps, interrupt, service, caller, counselor };
    let sockets = Sockets { caller: caller_audio, counselor: counselor_audio };
    let talk = stage.talk(sockets, welcome.unwrap_or_default(), &mut chance).await;
    let talk = match talk {
        Ok(talk) => talk,
        Err(error) => {
            stage.service.abandon().await;
            return Err(error);
        }
    };
    let cdrs = stage.service.stop().await?;
    say(started, Who::Service, "has ended");
    conclude(&talk, &cdrs, file)
}

impl Stage {
    /// The whole call.
    async fn talk(
        &mut self,
        sockets: Sockets,
        welcome: Vec<i16>,
        chance: &mut Chance,
    ) -> Result<Talk, Error> {
        let (tell, cue) = watch::channel(None);
        self.sign_in().await?;
        let began = Instant::now();
        let agreed = self.call().await?;
        let caller = Audio::start(sockets.caller, agreed, CALLER.words(), cue.clone(), chance);
        let agreed = self.ring().await?;
        self.counselor.answer();
        self.say(Who::Counselor, "answers");
        let counselor = Audio::start(sockets.counselor, agreed, COUNSELOR.words(), cue, chance);
        self.until("the joining", PATIENCE, |it| {
            matches!(it, Happening::Counselor(News::Up)).then_some(())
        })
        .await?;
        self.pause(BREATH).await?;
        let cue = Instant::now();
        tell.send_replace(Some(cue));
        for words in TURN_WORDS {
            self.say(words.0, words.1);
            self.pause(TURN).await?;
        }
        self.pause(BREATH).await?;
        self.hang_up().await?;
        drop(tell);
        let (caller, counselor) = (recording(caller).await?, recording(counselor).await?);
        self.sign_out().await?;
        Ok(Talk { caller, counselor, began, cue, welcome })
    }

    async fn sign_in(&mut self) -> Result<(), Error> {
        let Service { address, number, extension, password, domain, .. } = &self.service;
        self.say(Who::Service, &format!("listens on {address}, line {number}"));
        self.say(Who::Counselor, &format!("signs in as {extension}"));
        self.counselor.sign_in(extension, domain, password.clone());
        self.until("the registration", PATIENCE, |it| {
            matches!(it, Happening::Counselor(News::SignedIn)).then_some(())
        })
        .await?;
        self.say(Who::Counselor, "is signed in and ready");
        Ok(())
    }

    /// The caller calls and is answered.
    async fn call(&mut self) -> Result<Agreed, Error> {
        let Service { number, address, .. } = &self.service;
        self.say(Who::Caller, &format!("calls {number} by the trunk"));
        self.caller.call(number, &Pii::new(format!("<sip:{NUMBER}@{}>", address.ip())));
        let agreed = self.until("the answer to the caller", PATIENCE, |it| {
            let Happening::Caller(News::Answered(agreed)) = it else { return None };
            Some(agreed.clone())
        });
        let agreed = agreed.await?;
        self.say(Who::Caller, "is answered, hears the welcome");
        Ok(agreed)
    }

    /// The counselor's phone rings, for a while.
    async fn ring(&mut self) -> Result<Agreed, Error> {
        let rung = self.until("the call to the counselor", GUIDANCE, |it| {
            let Happening::Counselor(News::Rung(rung)) = it else { return None };
            Some(rung.clone())
        });
        let rung = rung.await?;
        if names(&rung, NUMBER) {
            let what = "the counselor's phone was told the caller's number";
            return Err(Error::Unexpected(what.to_owned()));
        }
        self.say(Who::Counselor, &format!("rings; shows {}, no number", rung.shows));
        self.pause(RINGS).await?;
        Ok(rung.agreed)
    }

    async fn hang_up(&mut self) -> Result<(), Error> {
        self.say(Who::Caller, "hangs up");
        self.caller.hang_up();
        self.until("the end of the counselor's call", PATIENCE, |it| {
            matches!(it, Happening::Counselor(News::Ended(Cause::Bye))).then_some(())
        })
        .await?;
        self.say(Who::Counselor, "is hung up");
        Ok(())
    }

    async fn sign_out(&mut self) -> Result<(), Error> {
        self.counselor.sign_out();
        self.until("the end of the registration", PATIENCE, |it| {
            matches!(it, Happening::Counselor(News::SignedOut)).then_some(())
        })
        .await?;
        self.say(Who::Counselor, "is signed out");
        Ok(())
    }

    /// Lets things happen for a while.
    async fn pause(&mut self, length: Duration) -> Result<(), Error> {
        match self.until("", length, |_| None::<()>).await {
            Ok(()) | Err(Error::Late(..)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Lets things happen until the one that `pick` knows.
    async fn until<T>(
        &mut self,
        what: &'static str,
        limit: Duration,
        mut pick: impl FnMut(&Happening) -> Option<T>,
    ) -> Result<T, Error> {
        let end = Instant::now() + limit;
        loop {
            let happening = timeout_at(end.into(), self.happens()).await;
            let happening = happening.map_err(|_| Error::Late(what, limit))??;
            if let Happening::Step(step) = &happening {
                self.say(Who::Service, &step.what);
            }
            if let Some(picked) = pick(&happening) {
                return Ok(picked);
            }
            if let Some(fault) = fault(&happening) {
                return Err(Error::Unexpected(fault));
            }
        }
    }

    /// What happens next.
    async fn happens(&mut self) -> Result<Happening, Error> {
        tokio::select! {
            biased;
            Some(step) = self.steps.recv() => Ok(Happening::Step(step)),
            news = self.caller.next() => {
                news.map(Happening::Caller).map_err(Error::system("the caller's phone"))
            }
            news = self.counselor.next() => {
                news.map(Happening::Counselor).map_err(Error::system("the counselor's phone"))
            }
            error = self.service.ended() => Err(error),
            _ = self.interrupt.recv() => Err(Error::Interrupted),
        }
    }

    fn say(&self, who: Who, what: &str) {
        say(self.started, who, what);
    }
}

/// What must not happen while something else is waited for.
fn fault(happening: &Happening) -> Option<String> {
    let (who, news) = match happening {
        Happening::Caller(news) => ("caller", news),
        Happening::Counselor(news) => ("counselor", news),
        Happening::Step(_) => return None,
    };
    match news {
        News::Ended(cause) => Some(format!("the {who}'s call ended too early: {cause:?}")),
        News::NotSignedIn(why) => Some(format!("the {who} can't sign in: {why:?}")),
        News::SignedIn | News::SignedOut | News::Answered(_) | News::Rung(_) | News::Up => None,
    }
}

/// Prints a step. Who does not want to read it any more does not stop the call.
fn say(started: Instant, who: Who, what: &str) {
    let at = started.elapsed().as_secs_f64();
    let who = match who {
        Who::Service => "service",
        Who::Caller => "caller",
        Who::Counselor => "counselor",
    };
    print(&format!("{at:7.2} s  {who:<10} {what}"));
}

fn print(line: &str) {
    let _read = writeln!(stdout(), "{line}");
}

/// Whether the number is anywhere in what the phone was told.
fn names(rung: &Rung, number: &str) -> bool {
    let has = |text: &[u8]| text.windows(number.len()).any(|part| part == number.as_bytes());
    let mut lines = rung.request.lines();
    lines.any(|(name, value)| has(name) || has(value)) || has(rung.request.body())
}

async fn recording(side: JoinHandle<std::io::Result<Recording>>) -> Result<Recording, Error> {
    let recording = side.await.map_err(|_| Error::Unexpected("a voice has broken".to_owned()))?;
    recording.map_err(Error::system("a voice"))
}

/// The record, the recording, the verdict.
fn conclude(talk: &Talk, cdrs: &[Cdr], file: &Path) -> Result<(), Error> {
    let verdict = talk.judge();
    let written = track::write(file, &verdict.left, &verdict.right);
    written.map_err(Error::system("demo.wav"))?;
    let [cdr] = cdrs else {
        return Err(Error::Unexpected(format!("{} records of one call", cdrs.len())));
    };
    print("");
    print(&record(cdr));
    print("");
    verdict.table.iter().for_each(|line| print(line));
    print("");
    if cdr.outcome != Outcome::Answered {
        return Err(Error::Unexpected(format!("the record says: {}", cdr.outcome.name())));
    }
    if let Some(fault) = verdict.fault {
        return Err(Error::Unexpected(fault));
    }
    print("both voices crossed");
    print(&format!(
        "{}: left what the caller heard, right what the counselor heard",
        file.display()
    ));
    Ok(())
}

/// A record in one line.
fn record(cdr: &Cdr) -> String {
    let s = |length: Duration| format!("{:.1} s", length.as_secs_f64());
    let mos = |mos: Option<f32>| mos.map_or_else(|| "-".to_owned(), |mos| format!("{mos:.1}"));
    format!(
        "record: {}, ended by the {} ({}); guidance {}, wait {}, talk {} with {}; \
         MOS of caller {}, of counselor {}",
        cdr.outcome.name(),
        format!("{:?}", cdr.ended_by).to_lowercase(),
        format!("{:?}", cdr.reason).to_lowercase(),
        s(cdr.guidance),
        s(cdr.wait),
        s(cdr.talk),
        cdr.counselor.as_ref().map_or_else(|| "nobody".to_owned(), ToString::to_string),
        mos(cdr.caller_quality().mos),
        mos(cdr.counselor_qualities().last().and_then(|quality| quality.mos)),
    )
}
