//! What the service recorded, and whether it was allowed to: judged by what the caller's phone
//! heard and pressed, not by what the service believes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use koebashi::call::config::Recording as Mode;
use koebashi::call::switchboard::Recording;
use koebashi::media::{Chunk, Command, PortId, Prompt, RecordId, Recorded};
use koebashi::sip::message::Method;

use super::clock::TICK;
use super::phone::Phone;
use super::world::World;

/// Packets of a prompt of the test library.
const WHOLE: usize = 25;

/// One recording.
#[derive(Debug)]
pub(crate) struct Tape {
    /// Its name.
    pub record: RecordId,
    /// The call.
    pub call: String,
    /// Which conversation of the call.
    pub part: u32,
    line: String,
    /// When the media plane was told to record, and whose voices are left and right.
    pub begun: Option<(Instant, SocketAddr, SocketAddr)>,
    ports: Vec<PortId>,
    /// When it was paused (true) and resumed.
    pub pauses: Vec<(Instant, bool)>,
    /// When the media plane was told to stop.
    pub stopped: Option<Instant>,
    /// Whether the writer was told that it is over.
    pub is_ended: bool,
    /// The loudest sample of each frame, left and right.
    pub peaks: Vec<(Instant, [u16; 2])>,
    /// When a port of it was closed before it was stopped.
    closed: Option<Instant>,
}

/// What was recorded, and what must not have been.
#[derive(Debug, Default)]
pub(crate) struct Tapes {
    /// All of them.
    pub all: Vec<Tape>,
    /// What is wrong.
    pub broken: Vec<String>,
    /// When each port was opened.
    opened: BTreeMap<PortId, Instant>,
    /// The same before the process was killed, while the next one opens them again.
    before: BTreeMap<PortId, Instant>,
    /// Where each port's peer is.
    peers: BTreeMap<PortId, SocketAddr>,
    /// Keys that the media plane told of: when, of whom, which.
    keys: Vec<(Instant, PortId, char)>,
}

impl Tapes {
    /// A key by telephone-event or tone.
    pub(crate) fn on_key(&mut self, now: Instant, port: PortId, key: char) {
        self.keys.push((now, port, key));
    }

    /// What the media plane recorded.
    pub(crate) fn on_sound(&mut self, now: Instant, recorded: &Recorded) {
        let Chunk::Frame { left, right } = &recorded.chunk else { return };
        let peak = |side: &[i16]| side.iter().map(|s| s.unsigned_abs()).max().unwrap_or(0);
        let peaks = [peak(left), peak(right)];
        if let Some(tape) = self.find(recorded.record) {
            tape.peaks.push((now, peaks));
        }
    }

    /// The process is gone, and with it what was under way.
    pub(super) fn cut(&mut self, now: Instant) {
        for tape in &mut self.all {
            tape.stopped.get_or_insert(now);
            tape.is_ended = true;
        }
        self.before.append(&mut self.opened);
    }

    /// The next process goes on: all ports that were open are open again.
    pub(super) fn go_on(&mut self) {
        self.before.clear();
    }

    fn find(&mut self, record: RecordId) -> Option<&mut Tape> {
        self.all.iter_mut().rev().find(|tape| tape.record == record)
    }
}

impl World {
    /// What the writer of recordings is told.
    pub(crate) fn on_recording(&mut self, told: Recording) {
        match told {
            Recording::Begin { record, call, part, line, .. } => self.tapes.all.push(Tape {
                record,
                call: call.to_string(),
                part,
                line: line.to_string(),
                begun: None,
                ports: Vec::new(),
                pauses: Vec::new(),
                stopped: None,
                is_ended: false,
                peaks: Vec::new(),
                closed: None,
            }),
            Recording::End { record } => {
                let is_known = self.tapes.find(record).map(|tape| tape.is_ended = true).is_some();
                self.judge_tape(is_known, "the end of nothing");
            }
        }
    }

    /// What the media plane is told.
    pub(crate) fn watch_recording(&mut self, command: &Command) {
        let now = self.now;
        match command {
            Command::Connect { port, peer, .. } => {
                self.tapes.peers.insert(*port, peer.rtp);
            }
            // Of a rehearsal: written nowhere, and its phone knows.
            Command::Record { record, .. } | Command::StopRecord { record }
                if self.rehearsals.records.contains(record) => {}
            Command::Record { record, left, right } => {
                let shards = [record.shard, left.shard, right.shard];
                self.judge_tape(shards == [left.shard; 3], "a recording over two threads");
                let are_open = [left, right].iter().all(|port| self.ports.contains_key(port));
                self.judge_tape(are_open, "a port that is not open is recorded");
                let peers = (self.tapes.peers.get(left), self.tapes.peers.get(right));
                let (Some(one), Some(two)) = (peers.0.copied(), peers.1.copied()) else {
                    return self.judge_tape(false, "nobody is there to be recorded");
                };
                let Some(tape) = self.tapes.find(*record) else {
                    return self.judge_tape(false, "recorded, and nobody writes it down");
                };
                tape.begun = Some((now, one, two));
                tape.ports = vec![*left, *right];
                let line = tape.line.clone();
                let consent = self.consent(&line, *left, one);
                self.judge_tape(consent.is_ok(), consent.err().unwrap_or_default());
            }
            Command::PauseRecord { record, paused } => match self.tapes.find(*record) {
                Some(tape) if tape.stopped.is_none() => tape.pauses.push((now, *paused)),
                Some(_) | None => self.judge_tape(false, "what is not recorded is paused"),
            },
            Command::StopRecord { record } => match self.tapes.find(*record) {
                Some(tape) if tape.stopped.is_none() => tape.stopped = Some(now),
                Some(_) | None => self.judge_tape(false, "what is not recorded is stopped"),
            },
            Command::Close { port } => {
                self.tapes.peers.remove(port);
                for tape in self.tapes.all.iter_mut().filter(|tape| tape.stopped.is_none()) {
                    if tape.ports.contains(port) {
                        tape.closed = Some(now);
                    }
                }
            }
            Command::Open { port, .. } => {
                let since = self.tapes.before.get(port).copied().unwrap_or(now);
                self.tapes.opened.insert(*port, since);
            }
            Command::Listen { .. }
            | Command::Resume { .. }
            | Command::Overlay { .. }
            | Command::Detect { .. }
            | Command::SendDigit { .. } => {}
        }
    }

    fn judge_tape(&mut self, is_right: bool, wrong: &str) {
        if !is_right {
            self.tapes.broken.push(wrong.to_owned());
        }
    }

    /// What is wrong with the recordings.
    pub(crate) fn check_tapes(&self, broken: &mut Vec<String>) {
        broken.extend(self.tapes.broken.iter().cloned());
        let outlives = |tape: &&Tape| {
            tape.closed.is_some_and(|closed| tape.stopped.is_none_or(|stopped| stopped > closed))
        };
        let outliving = self.tapes.all.iter().filter(outlives);
        broken.extend(outliving.map(|tape| format!("recorded without its ports: {tape:?}")));
    }

    /// Whether the caller has heard the line's prompt to its end, and agreed where that is asked.
    fn consent(&self, line: &str, port: PortId, caller: SocketAddr) -> Result<(), &'static str> {
        let phone = self.phones.iter().find(|phone| phone.rtp == caller);
        let phone = phone.ok_or("who is recorded has no phone")?;
        let since = self.tapes.opened.get(&port);
        if !phone.is_alive {
            // Nobody there can hear anything, which the service does not know yet.
            return Ok(());
        }
        if self.link.lost.get(&caller).is_some_and(|lost| Some(lost) >= since) {
            // What was heard is not what was said.
            return Ok(());
        }
        let heard = |prompt: &Prompt| {
            let since = *self.tapes.opened.get(&port)?;
            let run = longest_run(phone, *self.prompts.get(prompt)?, since)?;
            (run.2 >= WHOLE).then_some((run.0, run.1))
        };
        match self.recordings.get(line).ok_or("an unknown line is recorded")? {
            Mode::Off => Err("recorded on a line that does not record"),
            Mode::On { prompt } => {
                // Who has agreed on another line knows it.
                let others = self.recordings.values().any(|mode| match mode {
                    Mode::Ask { prompt, timeout } => heard(prompt)
                        .is_some_and(|when| self.has_agreed(phone, port, when, *timeout)),
                    Mode::On { .. } | Mode::Off => false,
                });
                let knows = heard(prompt).is_some() || others;
                knows.then_some(()).ok_or("recorded without having heard the notice")
            }
            Mode::Ask { prompt, timeout } => {
                let when = heard(prompt).ok_or("recorded without having been asked")?;
                let has_agreed = self.has_agreed(phone, port, when, *timeout);
                has_agreed.then_some(()).ok_or("recorded without having agreed")
            }
        }
    }

    /// Whether the answer to a question that was heard from then to then was yes.
    fn has_agreed(
        &self,
        phone: &Phone,
        port: PortId,
        (from, to): (Instant, Instant),
        timeout: Duration,
    ) -> bool {
        let slack = Duration::from_millis(100);
        let keys = self.keys_of(phone, port, from);
        let mut early = keys.iter().filter(|(at, _)| *at <= to);
        // What is keyed at the very end as it is heard comes after the end as it was said.
        let mut late = keys.iter().filter(|(at, _)| *at + 2 * self.link.delay + TICK > to);
        let refused = early.any(|(_, key)| *key != '1');
        !refused && late.next().is_some_and(|(at, key)| *key == '1' && *at <= to + timeout + slack)
    }

    /// The keys that this phone's caller pressed from then on, by whatever means.
    fn keys_of(&self, phone: &Phone, port: PortId, from: Instant) -> Vec<(Instant, char)> {
        let sent = self.wire.iter().filter(|sent| sent.from == phone.sip && sent.at >= from);
        let info = sent.filter(|sent| sent.message().method() == Some(&Method::Info));
        let info = info.filter_map(|sent| {
            let text = String::from_utf8_lossy(&sent.bytes).into_owned();
            let key = text.split_once("Signal=")?.1.trim_start().chars().next()?;
            Some((sent.at, key))
        });
        let of_port = self.tapes.keys.iter().filter(|(at, p, _)| *p == port && *at >= from);
        let mut keys: Vec<_> = of_port.map(|(at, _, key)| (*at, *key)).chain(info).collect();
        keys.sort();
        keys
    }
}

/// From when to when the phone heard this sound for longest in this call, and how many packets of
/// it.
fn longest_run(phone: &Phone, byte: u8, since: Instant) -> Option<(Instant, Instant, usize)> {
    let mut longest: Option<(Instant, Instant, usize)> = None;
    // The voice of a call that the phone has left, and the service has not, may still come.
    let mut runs: BTreeMap<u32, Option<(Instant, Instant, usize)>> = BTreeMap::new();
    let heard = phone.heard.iter().filter(|heard| heard.payload != super::hearing::EVENTS);
    for heard in heard.filter(|heard| heard.at >= since) {
        let run = runs.entry(heard.ssrc).or_default();
        *run = match *run {
            Some((from, _, n)) if heard.byte == byte => Some((from, heard.at, n + 1)),
            None if heard.byte == byte => Some((heard.at, heard.at, 1)),
            Some(_) | None => None,
        };
        if run.map(|run| run.2) > longest.map(|run| run.2) {
            longest = *run;
        }
    }
    longest
}
