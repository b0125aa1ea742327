//! The world: one switchboard with its media engine, any number of phones, and time.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use koebashi::call::board::{Board, Chooser};
use koebashi::call::cdr::Cdr;
use koebashi::call::config::{Extension, Recording};
use koebashi::call::deed::{Deed, Denial, Request};
use koebashi::call::intention::Intention;
use koebashi::call::switchboard::{Command, Input, Output, Switchboard};
use koebashi::call::voice::Voice;
use koebashi::chance::Chance;
use koebashi::config::Loaded;
use koebashi::media::engine::{Channel, Engine};
use koebashi::media::prompt::{Clip, Library};
use koebashi::media::{self, PortId, Prompt, Quality, Source, g711};
use koebashi::sip::message::Message;
use koebashi::sip::{Flow, Transport};
use koebashi::time::{Now, Timestamp};

use super::clock::TICK;
use super::endings::Endings;
use super::life::Life;
use super::link::Link;
use super::pace::Pace;
use super::phone::{Answer, Phone, PhoneId};
use super::recording::Tapes;
use super::rehearsals::Rehearsals;
use super::reunion::Reunion;
use super::sights::Sights;
use super::terms::Terms;

/// Where the service listens.
pub(crate) const SERVER: &str = "10.0.0.1:5060";

/// A SIP message on the wire.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// When it was sent.
    pub at: Instant,
    /// From.
    pub from: SocketAddr,
    /// To.
    pub to: SocketAddr,
    /// As sent.
    pub bytes: Bytes,
}

impl Sent {
    /// The message, read.
    pub(crate) fn message(&self) -> Message {
        Message::parse(&self.bytes).expect("what is sent can be read")
    }
}

pub(super) enum Parcel {
    Sip {
        from: SocketAddr,
        to: SocketAddr,
        bytes: Bytes,
    },
    Rtp {
        from: SocketAddr,
        to: SocketAddr,
        bytes: Vec<u8>,
    },
    /// The service's end of a connection is gone.
    NoConnection(Flow),
    /// Nothing reaches this address, says the network.
    Refusal {
        of: SocketAddr,
    },
}

/// Everything.
pub(crate) struct World {
    /// The machine under test.
    pub board: Switchboard,
    pub(super) engine: Engine,
    /// Monotonic time now.
    pub now: Instant,
    /// Wall time minus monotonic time since the start; may be stepped.
    pub wall: Timestamp,
    started: Instant,
    /// Phones.
    pub phones: Vec<Phone>,
    /// The links.
    pub link: Link,
    pub(super) parcels: BTreeMap<(Instant, u64), Parcel>,
    parcel_count: u64,
    /// Connections ever made.
    pub(super) connections: u64,
    /// Every SIP message, as sent.
    pub wire: Vec<Sent>,
    /// Records.
    pub cdrs: Vec<Cdr>,
    /// Steps of the calls' logs.
    pub steps: Vec<String>,
    /// What people did.
    pub deeds: Vec<Deed>,
    /// The answer to the last request.
    pub answer: Option<Result<(), Denial>>,
    /// What each open port was last told to hear.
    pub listens: BTreeMap<PortId, Source>,
    /// Every command to the media plane.
    pub commands: Vec<media::Command>,
    /// Where each open port's peer hears.
    pub peers: BTreeMap<PortId, SocketAddr>,
    /// Since when each open port has had a peer.
    pub(super) connected: BTreeMap<PortId, Instant>,
    /// When each leg was sent something.
    pub pace: Pace,
    /// Who was in a call when the process died.
    pub(super) reunion: Reunion,
    /// What holds for a time only.
    pub(super) terms: Terms,
    /// Why calls end.
    pub endings: Endings,
    /// What is seen only where hours go by.
    pub sights: Sights,
    /// Somebody may hear something else than when that was checked last.
    pub(super) is_retuned: bool,
    /// News of voices, and when they came.
    pub voices: Vec<(Instant, Voice)>,
    /// The last board.
    pub shown: Board,
    /// What counselors chose.
    pub intentions: BTreeMap<Extension, Intention>,
    /// Ports that can't be bound, by number.
    pub unbindable: Vec<u16>,
    /// Ports whose media thread hangs when they are closed: the shell answers in its stead.
    pub hung: Vec<PortId>,
    /// Each prompt's sound: the µ-law byte that it consists of.
    pub prompts: BTreeMap<Prompt, u8>,
    /// RTP to addresses where no phone is: when and where to.
    pub strays: Vec<(Instant, SocketAddr)>,
    /// What was recorded.
    pub tapes: Tapes,
    /// What came of rehearsals.
    pub rehearsals: Rehearsals,
    /// Whether each line records.
    pub recordings: BTreeMap<String, Recording>,
    /// Where the open media ports are.
    pub ports: BTreeMap<PortId, SocketAddr>,
    pub(super) next_tick: Instant,
    pending: VecDeque<media::Event>,
    /// What survives the process, and how it ends.
    pub life: Life,
}

/// The test library: each prompt half a second of a µ-law byte of its own.
fn library(prompts: &BTreeMap<Prompt, u8>) -> Library {
    let clips = prompts.iter().map(|(name, byte)| {
        let pcm = vec![g711::decode(media::Law::Mu, *byte); 4000];
        (name.clone(), Clip::from_pcm(pcm).expect("a clip of half a second"))
    });
    Library::from_clips(clips)
}

impl World {
    /// A world whose configuration is this TOML.
    pub(crate) fn new(toml: &str) -> Self {
        Self::restarted(toml, BTreeMap::new(), 1)
    }

    /// A world in which counselors have chosen before, with this seed.
    pub(crate) fn restarted(
        toml: &str,
        intentions: BTreeMap<Extension, Intention>,
        seed: u64,
    ) -> Self {
        Self::of(super::super::config::load(toml), toml, intentions, seed)
    }

    /// The same with a configuration that was read before.
    pub(crate) fn of(
        loaded: Loaded,
        toml: &str,
        intentions: BTreeMap<Extension, Intention>,
        seed: u64,
    ) -> Self {
        let call = loaded.call;
        let mut terms = Terms::default();
        terms.configure(&call);
        let mut endings = Endings::default();
        endings.configure(&call);
        let prompts: BTreeMap<_, _> = call.prompt_lengths.keys().cloned().zip(0x90..0xff).collect();
        assert_eq!(prompts.len(), call.prompt_lengths.len(), "each prompt has a sound");
        let library = library(&prompts);
        let lines = call.lines.iter();
        let recordings = lines.map(|(id, l)| (id.to_string(), l.recording.clone())).collect();
        let mut chance = Chance::from_number(seed);
        let started = Instant::now();
        // A Saturday, 19:00 in Tokyo.
        let wall = "2026-11-28T10:00:00Z".parse().expect("a moment");
        let library = Arc::new(library);
        let engine = Engine::new(loaded.media.clone(), Arc::clone(&library), chance.split());
        let now = Now { mono: started, wall };
        let life = Life::new(toml, started, library);
        let config = Arc::new(call);
        let at = Cell::default();
        let past = life.past(&|_| None, &at);
        let (board, problems) =
            Switchboard::restore(config, loaded.sip, &loaded.media, intentions, chance, now, past);
        assert_eq!(problems, []);
        let mut world = Self {
            board,
            engine,
            now: started,
            wall,
            started,
            phones: Vec::new(),
            link: Link::default(),
            parcels: BTreeMap::new(),
            parcel_count: 0,
            connections: 0,
            ports: BTreeMap::new(),
            tapes: Tapes::default(),
            rehearsals: Rehearsals::default(),
            recordings,
            wire: Vec::new(),
            cdrs: Vec::new(),
            steps: Vec::new(),
            deeds: Vec::new(),
            answer: None,
            listens: BTreeMap::new(),
            commands: Vec::new(),
            peers: BTreeMap::new(),
            connected: BTreeMap::new(),
            pace: Pace::default(),
            reunion: Reunion::default(),
            terms,
            endings,
            sights: Sights::default(),
            is_retuned: false,
            voices: Vec::new(),
            shown: Board::default(),
            intentions: BTreeMap::new(),
            unbindable: Vec::new(),
            hung: Vec::new(),
            prompts,
            strays: Vec::new(),
            next_tick: started + TICK,
            pending: VecDeque::new(),
            life,
        };
        world.flush();
        world
    }

    /// Other prompts from now on.
    pub(crate) fn set_library(&mut self, library: Library) {
        self.engine.set_library(Arc::new(library));
    }

    /// When the world began.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// The transport says that this address can't be reached (ICMP).
    pub(crate) fn fail_flow(&mut self, remote: SocketAddr) {
        self.deliver(Parcel::Refusal { of: remote });
        self.flush();
    }

    pub(super) fn clock(&self) -> Now {
        let since = chrono::Duration::from_std(self.now - self.started).expect("a short test");
        Now { mono: self.now, wall: self.wall + since }
    }

    /// `kill -9`, and what it takes along: outputs that were not carried out, and the media plane.
    pub(super) fn die(&mut self) {
        let now = self.now;
        self.life.watched = self.watching().into_keys().map(|who| (who, None)).collect();
        let gaps = self.life.disks.gaps.len();
        self.note_dues();
        if !self.life.is_dead() {
            self.part_ways();
            self.pace.die(now);
        }
        self.life.die(now);
        self.forgive();
        self.close_forgotten();
        self.terms.die(now);
        if self.life.disks.gaps.len() > gaps {
            // Who waited behind whom may be lost.
            self.shown.calls.iter_mut().for_each(|call| call.position = None);
        }
        self.life.deeds_from = self.deeds.len();
        while self.board.poll_output().is_some() {}
        self.pending.clear();
        self.engine = self.life.engine();
        self.ports.clear();
        self.listens.clear();
        self.peers.clear();
        self.connected.clear();
        self.hung.clear();
        self.tapes.cut(now);
        self.phones.iter_mut().for_each(|phone| phone.connection = None);
    }

    /// Another process goes on.
    pub(super) fn come_back(&mut self) {
        let now = self.clock();
        self.endings.legs.on_birth(now.mono);
        self.board = self.life.come_back(now, self.intentions.clone());
        self.flush();
        if !self.life.is_dead() {
            self.tapes.go_on();
        }
    }

    /// Adds a phone at this address.
    pub(crate) fn add(&mut self, sip: &str, voice: u8) -> PhoneId {
        let phone = Phone::new(sip.parse().expect("an address"), server(), voice);
        self.phones.push(phone);
        PhoneId(self.phones.len() - 1)
    }

    /// The trunk's caller.
    pub(crate) fn add_caller(&mut self, n: u8, voice: u8) -> PhoneId {
        self.add(&format!("10.0.1.{n}:5060"), voice)
    }

    /// A counselor's phone that registers, and time for it.
    pub(crate) fn add_counselor(&mut self, extension: &str, voice: u8) -> PhoneId {
        let n: u16 = extension.parse().expect("a numeric extension");
        let id = self.add(&format!("10.0.{}.{}:5060", n / 100 + 1, n % 100), voice);
        let now = self.now;
        self.phones[id.0].register(now, extension, &format!("password-{extension}"));
        self.run(Duration::from_millis(200));
        id
    }

    /// A counselor's phone that answers half a second after it rings.
    pub(crate) fn add_answering(&mut self, extension: &str, voice: u8) -> PhoneId {
        let id = self.add_counselor(extension, voice);
        self.phone(id).answer = Answer::After(Duration::from_millis(500));
        id
    }

    /// A phone of the world.
    pub(crate) fn phone(&mut self, id: PhoneId) -> &mut Phone {
        &mut self.phones[id.0]
    }

    /// Lets a phone do something now.
    pub(crate) fn with(&mut self, id: PhoneId, f: impl FnOnce(&mut Phone, Instant)) {
        let now = self.now;
        f(&mut self.phones[id.0], now);
        self.flush();
    }

    /// A caller dials the first line, number shown.
    pub(crate) fn dial(&mut self, id: PhoneId) {
        self.with(id, |phone, now| {
            let from = format!("<sip:{}@carrier.example>", phone.number());
            phone.call(now, "0570000000", &from, &[]);
        });
    }

    /// The media plane says this.
    pub(crate) fn media(&mut self, event: media::Event) {
        self.input(Input::Media(event));
        self.flush();
    }

    /// Gives the switchboard a command.
    pub(crate) fn command(&mut self, command: Command) {
        self.endings.on_command(&command);
        if let Command::Configure(config, _) = &command {
            self.terms.configure(config);
        }
        self.input(Input::Command(command));
        self.flush();
    }

    /// Asks as the console does.
    pub(crate) fn ask(&mut self, request: Request) -> Result<(), Denial> {
        self.command(Command::Request { request, who: "hana".into() });
        let answer = self.answer.take();
        assert!(answer.is_some() || self.life.is_dead(), "a request is answered at once");
        answer.unwrap_or(Err(Denial::Unreachable))
    }

    /// Chooses for a counselor, who is known.
    pub(crate) fn intend(&mut self, extension: Extension, intention: Intention) {
        let by = Chooser::Own;
        assert_eq!(self.ask(Request::Intend { extension, intention, by }), Ok(()));
    }

    /// Sends raw bytes to the service from an address.
    pub(crate) fn send_raw(&mut self, from: &str, bytes: &[u8]) {
        let from = from.parse().expect("an address");
        self.deliver(Parcel::Sip { from, to: server(), bytes: Bytes::copy_from_slice(bytes) });
        self.flush();
    }

    /// A packet from anyone to a media port of the service.
    pub(crate) fn send_rtp(&mut self, from: &str, to: SocketAddr, packet: Vec<u8>) {
        let from = from.parse().expect("an address");
        self.deliver(Parcel::Rtp { from, to, bytes: packet });
        self.flush();
    }

    pub(super) fn input(&mut self, input: Input<'_>) {
        let now = self.clock();
        if !self.life.is_dead() {
            self.board.handle(now, input);
        }
    }

    /// What happened, for a failing test.
    pub(crate) fn story(&self) -> String {
        let wire = self.wire.iter().map(|sent| {
            let first = String::from_utf8_lossy(&sent.bytes);
            let first = first.lines().next().unwrap_or_default().to_owned();
            let ms = (sent.at - self.started).as_millis();
            format!("{ms:>8} ms {} -> {} {first}", sent.from, sent.to)
        });
        let steps = self.steps.iter().cloned();
        wire.chain(steps).chain(self.life.disks.story(self.started)).collect::<Vec<_>>().join("\n")
    }

    pub(super) fn post_voice(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        for delay in self.link.next_voice(self.now, from, to).into_iter().flatten() {
            self.post(delay, Parcel::Rtp { from, to, bytes: bytes.to_vec() });
        }
    }

    pub(super) fn post(&mut self, delay: Duration, parcel: Parcel) {
        self.parcel_count += 1;
        self.parcels.insert((self.now + delay, self.parcel_count), parcel);
    }

    pub(super) fn deliver(&mut self, parcel: Parcel) {
        let now = self.now;
        match parcel {
            Parcel::Sip { from, to, bytes } if to == server() => {
                if self.life.is_dead() {
                    self.link.trouble(now, from, to);
                } else {
                    self.note_ending(from, to, &bytes);
                    self.note_terms(from, to, &bytes);
                }
                if let Some(flow) = self.flow_from(from) {
                    self.input(Input::Sip { flow, bytes: &bytes });
                }
            }
            Parcel::NoConnection(flow) => self.input(Input::FlowFailed(flow)),
            Parcel::Sip { to, bytes, .. } => {
                if let Some(phone) = self.phones.iter_mut().find(|phone| phone.sip == to) {
                    phone.on_sip(now, &bytes);
                }
            }
            Parcel::Refusal { of } => {
                self.endings.on_refused(now, of);
                self.input(Input::FlowFailed(Flow::new(Transport::Udp, server(), of)));
            }
            Parcel::Rtp { from, to, mut bytes } => {
                if let Some(phone) = self.phones.iter_mut().find(|phone| phone.rtp == to) {
                    return phone.on_rtp(now, &bytes);
                }
                let port = self.ports.iter().find(|(_, local)| **local == to).map(|(id, _)| *id);
                match port {
                    Some(_) => self.endings.legs.on_voice(now, to.port(), from.ip()),
                    None => self.strays.push((now, to)),
                }
                let length = bytes.len();
                bytes.resize(2048, 0);
                if let Some(port) = port
                    && let Some(forward) =
                        self.engine.handle_rtp(now, port, from, &mut bytes, length)
                {
                    let bytes = bytes[forward.range.clone()].to_vec();
                    self.pace.sent(now, forward.port, &bytes);
                    let from = self.ports.get(&forward.port).copied().expect("an open port");
                    self.post_voice(from, forward.to, &bytes);
                }
            }
        }
    }

    /// Carries out all that anyone wants done, until nobody wants anything.
    pub(super) fn flush(&mut self) {
        loop {
            let mut is_quiet = true;
            is_quiet &= !self.carry_out();
            while let Some(transmit) = self.engine.poll_transmit() {
                is_quiet = false;
                if let Some(from) = self.ports.get(&transmit.port).copied() {
                    let (to, bytes) = (transmit.to, transmit.bytes().to_vec());
                    if transmit.channel == Channel::Rtp {
                        self.pace.sent(self.now, transmit.port, &bytes);
                        self.post_voice(from, to, &bytes);
                    }
                }
            }
            while let Some(recorded) = self.engine.poll_recorded() {
                self.tapes.on_sound(self.now, &recorded);
                self.rehearsals.on_sound(&recorded);
            }
            while let Some(event) = self.engine.poll_event() {
                if let media::Event::Digit { port, digit } = &event {
                    self.tapes.on_key(self.now, *port, digit.char());
                }
                self.pending.push_back(event);
            }
            while let Some(event) = self.pending.pop_front() {
                is_quiet = false;
                self.input(Input::Media(event));
            }
            for at in 0..self.phones.len() {
                while !self.phones[at].is_held
                    && let Some((to, bytes)) = self.phones[at].poll_transmit()
                {
                    is_quiet = false;
                    let is_cut_off = self.flow_from(self.phones[at].sip).is_none();
                    if self.phones[at].is_alive && !is_cut_off {
                        let from = self.phones[at].sip;
                        self.send(from, to, &bytes);
                    }
                }
            }
            if is_quiet {
                if std::mem::take(&mut self.is_retuned) {
                    self.check_ears();
                }
                return;
            }
        }
    }

    pub(super) fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: &Bytes) {
        self.wire.push(Sent { at: self.now, from, to, bytes: bytes.clone() });
        if self.link.refuses(self.now, to) {
            self.post(self.link.delay, Parcel::Refusal { of: to });
        }
        for delay in self.link.next(self.now, from, to) {
            self.post(delay, Parcel::Sip { from, to, bytes: bytes.clone() });
        }
    }

    pub(super) fn on_output(&mut self, output: Output) {
        match output {
            Output::Sip(transmit) if transmit.flow.transport.is_stream() => {
                self.send_by(transmit.flow, &transmit.bytes);
            }
            Output::Sip(transmit) => {
                self.note_ending(server(), transmit.flow.remote, &transmit.bytes);
                self.note_terms(server(), transmit.flow.remote, &transmit.bytes);
                self.send(server(), transmit.flow.remote, &transmit.bytes);
            }
            Output::Media(command) => self.on_command(command),
            Output::Cdr(cdr) => self.on_record(*cdr),
            Output::Forget(keys) => self.forget(keys),
            Output::Intention { extension, intention, .. } => self.on_choice(extension, intention),
            Output::Board(board) => {
                self.take_up_watchers(&board);
                self.show(*board);
            }
            Output::Recording(told) => self.on_recording(told),
            Output::Voice(voice) => self.voices.push((self.now, voice)),
            Output::Step(step) => {
                let ms = (self.now - self.started).as_millis();
                self.steps.push(format!("{ms:>8} ms {}: {}", step.call, step.what));
            }
            Output::Deed(deed) => {
                self.deeds.push(deed);
                self.is_retuned = true;
            }
            Output::Answer(answer) => self.answer = Some(answer),
            Output::Rehearsed(news) => self.on_rehearsed(&news),
        }
    }

    /// Has the media plane do something.
    pub(crate) fn on_command(&mut self, command: media::Command) {
        if let media::Command::Open { port, local, .. } = &command {
            if self.unbindable.contains(&local.port()) {
                self.pending.push_back(media::Event::OpenFailed { port: *port });
                return;
            }
            // The next process opens again what there was.
            if self.now > self.life.since {
                self.endings.legs.on_open(self.now, local.port());
            }
            self.ports.insert(*port, *local);
        }
        self.watch_recording(&command);
        self.note_tone(&command);
        self.is_retuned = true;
        if let media::Command::Close { port } = &command {
            if let Some(local) = self.ports.remove(port) {
                self.endings.legs.on_close(local.port());
            }
            self.listens.remove(port);
            self.peers.remove(port);
            self.connected.remove(port);
            self.pace.close(self.now, *port);
            if self.hung.contains(port) {
                let quality = Quality::default();
                self.pending.push_back(media::Event::Closed { port: *port, quality });
            }
        }
        if let media::Command::Listen { port, source } = &command {
            self.listens.insert(*port, source.clone());
            self.note_listen(*port, source);
        }
        if let media::Command::Connect { port, peer, .. } = &command {
            self.peers.insert(*port, peer.rtp);
            self.connected.entry(*port).or_insert(self.now);
            self.pace.connect(self.now, *port, peer);
        }
        self.commands.push(command.clone());
        self.engine.command(self.now, command);
    }

    /// Messages that the service sent to this phone.
    pub(crate) fn to_phone(&self, id: PhoneId) -> Vec<Message> {
        let address = self.phones[id.0].sip;
        self.wire.iter().filter(|sent| sent.to == address).map(Sent::message).collect()
    }

    /// Messages of this phone.
    pub(crate) fn sent_by(&self, id: PhoneId) -> Vec<Message> {
        let address = self.phones[id.0].sip;
        self.wire.iter().filter(|sent| sent.from == address).map(Sent::message).collect()
    }

    /// Media ports that are open now.
    pub(crate) fn open_ports(&self) -> usize {
        self.engine.ports()
    }
}

/// Where the service listens.
pub(crate) fn server() -> SocketAddr {
    SERVER.parse().expect("an address")
}
