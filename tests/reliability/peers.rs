//! Peers that go away without a word.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use koebashi::sip::header::Name;
use koebashi::sip::message::{Message, Method};
use koebashi::sip::print::Draft;
use socket2::SockRef;

use crate::goal::{Goal, Measured, Run};
use crate::load::Addresses;
use crate::load::callers::Habit;
use crate::load::service::Plan;
use crate::load::voice::Side;
use crate::scene::Scene;

/// The rows of this file.
pub(crate) const GOALS: &[Goal] = &[
    Goal {
        name: "phone-dead-ringing",
        wanted: "ICMP, or a reset while it rings: the next counselor is rung ≤ 1 s; silence: at the \
                 ring limit",
        peer: "Asterisk: by its ring timeout",
        is_long_only: false,
        measure: ringing,
    },
    Goal {
        name: "phone-dead-talking",
        wanted: "≤ 8 s: the caller is told and heads the queue",
        peer: "LiveKit 15 s, rtpengine 60 s, FreeSWITCH 300 s: all end the call",
        is_long_only: false,
        measure: talking,
    },
    Goal {
        name: "caller-dead",
        wanted: "freed ≤ 30 s, recorded as lost",
        peer: "LiveKit 15 s, rtpengine 60 s, FreeSWITCH 300 s",
        is_long_only: true,
        measure: lost,
    },
];

/// How long a phone is rung that says nothing more, and in the configuration. The pause between a
/// ring in vain and the next is another setting, and none here.
const RING: Duration = Duration::from_secs(3);
const IN_TURN: &str = "strategy = \"ordered\"\nring_timeout = \"3s\"\nretry = \"0s\"";
/// How long a phone rings before it is reset.
const RINGS: Duration = Duration::from_millis(500);
/// The prompt, which comes first.
const PROMPT: Duration = Duration::from_millis(200);
const SOON: Duration = Duration::from_secs(40);
/// Looking takes time too.
const GRAIN: f64 = 0.3;

type Outcome = Result<Measured, Box<dyn Error>>;

/// Calls in this phase; in any, where it is empty.
fn count(scene: &Scene, phase: &str) -> usize {
    let calls = scene.board()["calls"].as_array().cloned().unwrap_or_default();
    calls.iter().filter(|call| call["phase"] == phase || phase.is_empty()).count()
}

fn state(scene: &Scene, extension: &str) -> String {
    let counselors = scene.board()["counselors"].as_array().cloned().unwrap_or_default();
    let found = counselors.iter().find(|counselor| counselor["extension"] == extension);
    found.map_or_else(String::new, |c| c["state"].as_str().unwrap_or_default().to_owned())
}

/// One calls whose first phone, `contact`, goes away as `go` does, which says since when it is gone:
/// seconds from then until the caller talks with the next one, and whether the board says that the
/// first is unreachable.
fn next_after(
    contact: &str,
    go: impl FnOnce(&Scene) -> io::Result<Instant>,
) -> Result<(f64, bool), Box<dyn Error>> {
    let tables = format!(
        "[[counselor]]\nextension = \"100\"\ncontact = \"{contact}\"\nlines = [\"main\"]\n"
    );
    let tables = tables.leak();
    let scene = Scene::start(&Plan { counselors: 1, queue: IN_TURN, tables, ..Plan::default() })?;
    let callers = scene.call(Habit { calls: 1, per_second: 1, hold: None, speaks: true })?;
    let gone = go(&scene)?;
    scene.wait("the next phone", SOON, || scene.phones.talking() == 1)?;
    let took = gone.elapsed().as_secs_f64();
    let is_known = || state(&scene, "100") == "unreachable";
    let is_known = scene.wait("the board", Duration::from_secs(2), is_known).is_ok();
    callers.hang_up(1);
    match scene.over(&callers, 1, 1)? {
        1 => Ok((took, is_known)),
        _ => Err("the caller was not served".into()),
    }
}

/// A phone's 180 to an INVITE; `None`: this is none, or not all of it.
fn ring(text: &[u8], own: SocketAddr) -> Option<Bytes> {
    let invite = Message::parse(text).ok()?;
    let contact = format!("<sip:100@{own}>");
    let rings = Draft::response(&invite, 180).with(Name::Contact, contact).to_tag("dead");
    (invite.method() == Some(&Method::Invite)).then(|| rings.print())
}

/// Waits until the board says that the phone rings, and nobody else does.
fn wait_ringing(scene: &Scene) -> io::Result<()> {
    scene.wait("the phone to ring", SOON, || state(scene, "100") == "ringing")?;
    match scene.phones.talking() {
        0 => Ok(()),
        _ => Err(io::Error::other("the next phone was rung before the first was gone")),
    }
}

/// A phone that rings on a stream, which is reset then.
fn reset(scene: &Scene, ear: TcpListener) -> io::Result<Instant> {
    let (mut stream, _) = ear.accept()?;
    stream.set_read_timeout(Some(SOON))?;
    let (mut text, mut room) = (Vec::new(), [0; 4_096]);
    let rings = loop {
        match stream.read(&mut room)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => text.extend_from_slice(&room[..length]),
        }
        if let Some(rings) = ring(&text, ear.local_addr()?) {
            break rings;
        }
    };
    stream.write_all(&rings)?;
    wait_ringing(scene)?;
    thread::sleep(RINGS);
    wait_ringing(scene)?;
    // Without lingering what is closed is reset. Nor can it be called again.
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    drop((stream, ear));
    Ok(Instant::now())
}

/// A phone that rings over UDP, and is gone when it has said so: nothing is sent to it that could
/// come back. Since when it is rung.
fn fall_silent(scene: &Scene, ear: UdpSocket) -> io::Result<Instant> {
    ear.set_read_timeout(Some(SOON))?;
    let mut room = [0; 4_096];
    let rung = loop {
        let (length, from) = ear.recv_from(&mut room)?;
        if let Some(rings) = ring(&room[..length], ear.local_addr()?) {
            ear.send_to(&rings, from)?;
            break Instant::now();
        }
    };
    drop(ear);
    wait_ringing(scene)?;
    Ok(rung)
}

fn ringing(_: &Run) -> Outcome {
    let (absent, is_absent_known) =
        next_after("sip:100@127.0.0.1:9", |_| Ok(Instant::now() + PROMPT))?;
    let ip = Addresses::new().nobody();
    let ear = TcpListener::bind((ip, 0))?;
    let contact = format!("sip:100@{};transport=tcp", ear.local_addr()?);
    let (by_reset, is_reset_known) = next_after(&contact, |scene| reset(scene, ear))?;
    let ear = UdpSocket::bind((ip, 0))?;
    let contact = format!("sip:100@{}", ear.local_addr()?);
    let (by_limit, _) = next_after(&contact, |scene| fall_silent(scene, ear))?;
    let limit = RING.as_secs_f64();
    let figure = format!(
        "nobody there: talking after {absent:.2} s; reset while ringing: {by_reset:.2} s; both \
         known on the board: {}; silent while ringing: {by_limit:.2} s of {limit} s",
        is_absent_known && is_reset_known
    );
    let is_held = absent <= 1.0 + GRAIN
        && by_reset <= 1.0 + GRAIN
        && (limit - GRAIN..=limit + GRAIN).contains(&by_limit)
        && is_absent_known
        && is_reset_known;
    Ok(Measured::new(is_held, figure))
}

fn talking(_: &Run) -> Outcome {
    let calls = 10;
    let mut scene = Scene::start(&Plan { counselors: calls, ..Plan::default() })?;
    // One more waits: those who talked come before them.
    let callers = scene.fill(calls, 1)?;
    let waited = scene.queue();
    scene.switch_phones_off(calls)?;
    let began = Instant::now();
    scene.wait("the callers to be in the queue", SOON, || {
        count(&scene, "queue") == calls as usize + 1
    })?;
    let took = began.elapsed().as_secs_f64();
    let is_last = scene.queue().last() == waited.first();
    callers.hang_up(calls + 1);
    let well = scene.over(&callers, calls + 1, calls)?;
    let figure = format!(
        "{calls} of {calls} wait again after {took:.1} s, before who waited: {is_last}; {well} of \
         {} end as they wish",
        calls + 1
    );
    Ok(Measured::new(took <= 8.0 && is_last && well == calls + 1, figure))
}

fn lost(_: &Run) -> Outcome {
    let calls = 10;
    let plan = Plan { counselors: calls, lost_caller: "30s", ..Plan::default() };
    let scene = Scene::start(&plan)?;
    let callers = scene.talk(calls)?;
    drop(callers);
    (0..calls).for_each(|n| scene.voice.mouth().stop(Side::Caller, n));
    let began = Instant::now();
    scene.wait("the calls to be freed", SOON, || count(&scene, "") == 0)?;
    let took = began.elapsed().as_secs_f64();
    let are_recorded = scene.are_recorded(calls)?;
    let reasons = scene.reasons()?;
    let is_lost = reasons == BTreeMap::from([("caller_lost".to_owned(), calls)]);
    let figure = format!("freed after {took:.1} s, recorded as {reasons:?}");
    Ok(Measured::new(took <= 30.0 + GRAIN && are_recorded && is_lost, figure))
}
