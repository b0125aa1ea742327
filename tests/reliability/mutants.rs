//! Messages with something wrong in them, by the trunk's address and by a phone's.

use std::error::Error;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use koebashi::chance::Chance;

use crate::blast::{Blast, request, socket, stranger};
use crate::flood::{GROWTH_MAX, MIB, Probe, memory};
use crate::goal::{Goal, Measured, Run};
use crate::load::NUMBER;
use crate::load::callers::{Callers, Habit};
use crate::load::service::Plan;
use crate::phone::{PASSWORD, Phone};
use crate::scene::Scene;

/// The rows of this file.
pub(crate) const GOALS: &[Goal] = &[Goal {
    name: "mutants",
    wanted: "10^7 mutated messages: a call completes every second, memory flat, log < 5 MiB",
    peer: "Kamailio answered 17 of 50 probes, logged 130 MB for 10^6",
    is_long_only: false,
    measure: mutated,
}];

/// What parsers fall over.
const TOKENS: &[&[u8]] = &[
    b"\r\n",
    b"\r\n\r\n",
    b"\0",
    b"\xff\xfe",
    b"\"",
    b"<",
    b">",
    b";",
    b",",
    b"@",
    b"%00",
    b"%s%n",
    b"4294967296",
    b"-1",
    b"18446744073709551616",
    b"sip:",
    b"[::1]",
    b"Content-Length: 99999\r\n",
    b"Via: SIP/2.0/UDP a\r\n",
    b"Route: <sip:a;lr>\r\n",
    b"Replaces: a;to-tag=b;from-tag=c\r\n",
    b" SIP/2.0",
    b"m=audio 0 RTP/AVP 255\r\n",
    b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AA\r\n",
    b"\xe7\x9b\xb8",
];
/// Calls that the mutants may begin: of other numbers of theirs there is no end.
const CALLS: u64 = 64;
/// At least one of so many can't be read as SIP at all: they have to arrive.
const SHARE: u64 = 20;
/// How soon the trunk is answered all the while.
const SOON: Duration = Duration::from_millis(50);
/// Longest mutant.
const LENGTH_MAX: usize = 60_000;
const METHODS: [&str; 12] = [
    "INVITE", "ACK", "BYE", "CANCEL", "PRACK", "UPDATE", "INFO", "REFER", "NOTIFY", "OPTIONS",
    "REGISTER", "FOO",
];

/// Everything that is mutated.
struct Mutator {
    chance: Chance,
    torture: Vec<Vec<u8>>,
    service: SocketAddr,
}

impl Mutator {
    fn new(seed: u64, service: SocketAddr) -> io::Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/torture");
        let mut files: Vec<_> =
            fs::read_dir(folder)?.map(|it| it.map(|it| it.path())).collect::<Result<_, _>>()?;
        files.sort();
        let torture = files.iter().map(fs::read).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { chance: Chance::from_number(seed), torture, service })
    }

    fn below(&mut self, limit: usize) -> usize {
        self.chance.below(limit as u64) as usize
    }

    /// A message that is damaged in one to four places, or (one of 16) not at all.
    fn next(&mut self, from: SocketAddr) -> Vec<u8> {
        let mut text = match self.below(3) {
            0 => {
                let at = self.below(self.torture.len());
                self.torture[at].clone()
            }
            _ => self.ours(from).into_bytes(),
        };
        let damages = if self.below(16) == 0 { 0 } else { 1 + self.below(4) };
        for _ in 0..damages {
            self.damage(&mut text);
        }
        text.truncate(LENGTH_MAX);
        text
    }

    fn ours(&mut self, from: SocketAddr) -> String {
        let method = METHODS[self.below(METHODS.len())];
        let n = if method == "INVITE" { self.chance.below(CALLS) } else { self.chance.u64() };
        let text = request(method, from, self.service.ip(), NUMBER, n);
        match self.below(8) {
            0 => text.replace("Expires", "Authorization: Digest username=\"999\", realm=\"koebashi.local\", nonce=\"0\", uri=\"sip:a\", response=\"0\", algorithm=MD5\r\nExpires"),
            // An answer to something that was never asked.
            1 => match text.split_once("\r\n") {
                Some((_, rest)) => format!("SIP/2.0 200 OK\r\n{rest}"),
                None => text,
            },
            _ => text,
        }
    }

    fn damage(&mut self, text: &mut Vec<u8>) {
        let at = self.below(text.len() + 1);
        let end = (at + 1 + self.below(40)).min(text.len());
        match self.below(7) {
            0 if at < text.len() => text[at] ^= 1 << self.below(8),
            1 if at < end => drop(text.drain(at..end)),
            2 if at < end => {
                let part = text[at..end].repeat(1 + self.below(30));
                text.splice(at..at, part);
            }
            3 => text.truncate(at),
            4 => {
                // Two lines change places.
                let mut lines: Vec<Vec<u8>> =
                    text.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
                let (a, b) = (self.below(lines.len()), self.below(lines.len()));
                lines.swap(a, b);
                *text = lines.join(&b'\n');
            }
            _ => {
                let token = TOKENS[self.below(TOKENS.len())];
                text.splice(at..at, token.iter().copied());
            }
        }
    }
}

/// The most memory that it has while this lasts: until it is warm, and then. The phone stays
/// registered.
fn watch(pid: u32, blast: &Blast, warm: Duration, phone: &mut Phone) -> io::Result<[u64; 2]> {
    let (began, mut registered, mut most) = (Instant::now(), Instant::now(), [0, 0]);
    while blast.is_going() {
        std::thread::sleep(Duration::from_millis(50));
        let (now, _) = memory(pid)?;
        let most = &mut most[usize::from(began.elapsed() >= warm)];
        *most = now.max(*most);
        if registered.elapsed() > Duration::from_secs(100) {
            phone.register()?;
            registered = Instant::now();
        }
    }
    Ok(most)
}

fn mutated(run: &Run) -> Result<Measured, Box<dyn Error>> {
    let (count, pace) = (u64::from(run.count(100_000, 10_000_000)), 10_000);
    let seconds = u32::try_from(count / pace)?;
    let scene = Scene::start(&Plan { counselors: 4, ..Plan::default() })?;
    let (pid, service) = (scene.service.pid(), scene.addresses.sip());
    let mut phone = Phone::new(stranger(205, 1), service, PASSWORD)?;
    if phone.register()? != Some(200) {
        return Err("the phone does not register".into());
    }
    let (by_phone, by_trunk) = (phone.socket.try_clone()?, socket(scene.addresses.trunk)?);
    let (phone_at, trunk_at) = (by_phone.local_addr()?, by_trunk.local_addr()?);
    let mut mutator = Mutator::new(run.seed, service)?;
    let habit = Habit {
        calls: seconds,
        per_second: 1,
        hold: Some(Duration::from_millis(400)),
        speaks: true,
    };
    let (before, _) = memory(pid)?;
    let probe = Probe::start(&scene.addresses)?;
    let callers = Callers::start(scene.addresses.trunk, service, habit, scene.voice.mouth())?;
    let blast = Blast::start(count, pace, move |n| {
        let (socket, from) = if n % 2 == 0 { (&by_trunk, trunk_at) } else { (&by_phone, phone_at) };
        socket.send_to(&mutator.next(from), service).is_ok()
    })?;
    // Tables and buffers are as full as they get when the first of it is over; in the short form,
    // which is over before the first transaction is forgotten, nearly so.
    let warm = Duration::from_secs(u64::from(seconds / run.count(2, 10)));
    let [first, rest] = watch(pid, &blast, warm, &mut phone)?;
    let sent = blast.end()?;
    let (asked, answered, longest) = probe.end()?;
    let progress = callers.progress();
    let count_of =
        |of: &std::sync::atomic::AtomicU32| of.load(std::sync::atomic::Ordering::Relaxed);
    let is_over = || count_of(&progress.ended) + count_of(&progress.failed) >= seconds;
    scene.wait("the calls to end", Duration::from_secs(30), is_over)?;
    let (answered_calls, failed) = (count_of(&progress.answered), count_of(&progress.failed));
    let (after, peak) = memory(pid)?;
    let log = scene.service.log_size();
    let malformed = scene.metric("koebashi_sip_dropped_total{why=\"malformed\"}") as u64;
    let is_held = sent + 100 >= count
        && malformed >= sent / SHARE
        && (longest <= SOON || !run.is_long)
        && answered_calls == seconds
        && failed == 0
        && answered + 1 >= asked
        && peak <= before + GROWTH_MAX
        && rest <= first + first / u64::from(run.count(4, 10))
        && log < 5 * MIB;
    Ok(Measured::new(
        is_held,
        format!(
            "{sent} mutants at {pace}/s, {malformed} of them no SIP at all: {answered_calls} of {seconds} calls (refused: {:?}); \
             trunk's OPTIONS {answered} of {asked} answered, the slowest in {} ms; {} → {} MiB (at \
             most {} in the first {} s, {} then); log {} kB",
            progress.refused(),
            longest.as_millis(),
            before / MIB,
            after / MIB,
            first / MIB,
            warm.as_secs(),
            rest / MIB,
            log / 1000
        ),
    ))
}
