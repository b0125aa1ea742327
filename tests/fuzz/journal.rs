//! Readers of what outlives the process: the file of the journal, and the values in it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use bytes::Bytes;
use koebashi::call::journal::Key;
use koebashi::call::switchboard::{Input, Past, Switchboard};
use koebashi::chance::Chance;
use koebashi::config::Loaded;
use koebashi::media::engine::Engine;
use koebashi::media::prompt::Library;
use koebashi::media::{self, Command, Peer, PortId, Source};
use koebashi::store::journal::Journal;
use koebashi::time::{Anchor, Now};

use crate::config as tomls;
use crate::sim::World;

/// What the file begins with, by which the reader knows it.
const MAGIC: &[u8] = b"koebashi calls 1";
const SECRET: [u8; 32] = [7; 32];

/// A folder of this process's own.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let name = format!("koebashi-fuzz-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(folder.join("run")).expect("a folder");
        folder
    })
}

/// The file: as it comes, or as records that were sealed with the right key whatever they say.
/// What could be read is read again after a change to it.
pub(crate) fn journal(bytes: &[u8]) {
    let Some((how, rest)) = bytes.split_first() else { return };
    let mut file = MAGIC.to_vec();
    if how % 2 == 0 {
        file.extend_from_slice(rest);
    } else {
        let pieces = rest.split(|byte| *byte == 0xfe);
        for (n, piece) in pieces.take(16).enumerate() {
            seal(&mut file, n as u64, piece);
        }
        // Cut off at the end, as by a crash.
        file.truncate(file.len() - usize::from(how >> 1).min(file.len() - MAGIC.len()));
    }
    let (state, run) = (folder(), folder().join("run"));
    for old in fs::read_dir(state).expect("the folder").filter_map(Result::ok) {
        if old.path().is_file() {
            fs::remove_file(old.path()).expect("it is ours");
        }
    }
    fs::write(state.join("calls-1"), &file).expect("a file");
    fs::write(run.join("calls-1.key"), SECRET).expect("a file");
    let (mut journal, losses) = Journal::open(state, &run, Chance::from_number(1));
    assert!(losses.files == 0 && losses.records <= rest.len());
    let found = live(&journal);
    assert!(found.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() <= rest.len());
    let change = (Box::from(&b"service"[..]), Some(Bytes::from_static(b"new")));
    journal.apply([change]).expect("it can be written");
    let expected = live(&journal);
    let (again, losses) = Journal::open(state, &run, Chance::from_number(2));
    assert_eq!((live(&again), losses.records), (expected, 0));
}

fn live(journal: &Journal) -> Vec<(Vec<u8>, Bytes)> {
    journal.live().map(|(key, value)| (key.to_vec(), value.clone())).collect()
}

/// A record as the journal seals it: length, contents, tag.
fn seal(file: &mut Vec<u8>, n: u64, contents: &[u8]) {
    let head = (contents.len() as u32 + 16).to_be_bytes();
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&n.to_be_bytes());
    let mut body = contents.to_vec();
    let cipher = Aes256Gcm::new((&SECRET).into());
    let tag = cipher.encrypt_inout_detached(&nonce.into(), &head, body.as_mut_slice().into());
    file.extend_from_slice(&head);
    file.extend_from_slice(&body);
    file.extend_from_slice(&tag.expect("a short record"));
}

/// The configuration, and the journal of a service with a caller who talks and one who waits.
fn before() -> &'static (Loaded, BTreeMap<Key, Bytes>) {
    static BEFORE: OnceLock<(Loaded, BTreeMap<Key, Bytes>)> = OnceLock::new();
    BEFORE.get_or_init(|| {
        let toml = tomls::basic("", "announce_position = \"off\"", "");
        let mut world = World::new(&toml);
        world.add_answering("101", 0x51);
        for n in [1, 2] {
            let caller = world.add_caller(n, 0x20 + n);
            world.dial(caller);
            world.run(Duration::from_secs(4));
        }
        (tomls::load(&toml), world.life.kept.clone())
    })
}

/// Values: the first byte says of which key, or (0) what another process left of a voice; the second
/// whether the rest is the value or edits of what is there. Goes on with it; it costs that call at
/// most.
pub(crate) fn kept(bytes: &[u8]) {
    let Some(([which, how], rest)) = bytes.split_first_chunk::<2>() else { return };
    let value = |old: &[u8]| if how % 2 == 0 { rest.to_vec() } else { edited(old, rest) };
    let (loaded, kept) = before();
    let mut kept = kept.clone();
    let keys: Vec<Key> = kept.keys().cloned().collect();
    let key = match usize::from(*which) {
        0 => return resume(&value(voice())),
        which => keys[which % keys.len()].clone(),
    };
    let changed = value(&kept[&key]);
    kept.insert(key, changed.into());
    let mono = Instant::now();
    let wall = "2026-11-28T10:00:00Z".parse().expect("a moment");
    let anchor = Anchor { mono, since_boot: Duration::from_secs(6000) };
    let (mut board, problems) = Switchboard::restore(
        Arc::new(loaded.call.clone()),
        loaded.sip.clone(),
        &loaded.media,
        BTreeMap::new(),
        Chance::from_number(1),
        Now { mono, wall },
        Past { anchor, kept, configs: &|_| None, at: &Cell::default() },
    );
    // It and what is built on it.
    assert!(problems.len() <= 3, "{problems:?}");
    assert!(board.counts().sessions <= keys.len());
    for _ in 0..100 {
        board.take_changes();
        while board.poll_output().is_some() {}
        let Some((at, _)) = board.poll_timeout() else { break };
        board.handle(Now { mono: at.max(mono), wall }, Input::Timeout);
    }
}

/// Changes at some places: two bytes where, one how much goes, one how much comes, and what.
fn edited(old: &[u8], mut edits: &[u8]) -> Vec<u8> {
    let mut value = old.to_vec();
    while let Some(([high, low, gone, come], rest)) = edits.split_first_chunk::<4>() {
        let at = usize::from(u16::from_be_bytes([*high, *low])) % (value.len() + 1);
        let end = (at + usize::from(*gone)).min(value.len());
        let (new, rest) = rest.split_at(usize::from(*come).min(rest.len()));
        value.splice(at..end, new.iter().copied());
        edits = rest;
    }
    value
}

const PORT: PortId = PortId { shard: 0, n: 1 };

/// An engine that keeps, with a port that hears nothing yet.
fn engine(now: Instant) -> Engine {
    let library = Arc::new(Library::from_clips([]));
    let mut engine = Engine::new(media::Config::default(), library, Chance::from_number(1));
    engine.keep(Anchor { mono: now, since_boot: Duration::from_secs(6000) });
    let local = ([10, 0, 0, 1], 30_000).into();
    engine.command(now, Command::Open { port: PORT, local, dscp: 46 });
    engine
}

/// What an engine leaves of a voice that has been heard for a while.
fn voice() -> &'static [u8] {
    static VOICE: OnceLock<Vec<u8>> = OnceLock::new();
    VOICE.get_or_init(|| {
        let now = Instant::now();
        let mut engine = engine(now);
        let rtp = ([10, 0, 1, 1], 4000).into();
        engine.command(now, Command::Connect { port: PORT, peer: Peer::plain(rtp), crypto: None });
        engine.command(now, Command::Listen { port: PORT, source: Source::Silence });
        let mut last = None;
        for n in 0..400_u16 {
            let at = now + Duration::from_millis(20 * u64::from(n));
            let mut packet = vec![0xd5; 2048];
            packet[..2].copy_from_slice(&[0x80, 0]);
            packet[2..4].copy_from_slice(&n.to_be_bytes());
            packet[4..8].copy_from_slice(&(160 * u32::from(n)).to_be_bytes());
            engine.handle_rtp(at, PORT, rtp, &mut packet, 172);
            engine.tick(at);
            while engine.poll_transmit().is_some() {}
            while let Some(kept) = engine.poll_kept() {
                last = Some(kept.state);
            }
        }
        last.expect("a state within seconds").to_vec()
    })
}

/// The state of a port, which goes on or begins anew.
fn resume(state: &[u8]) {
    let now = Instant::now();
    let mut engine = engine(now);
    let rtp = ([10, 0, 1, 1], 4000).into();
    engine.command(now, Command::Resume { port: PORT, state: Bytes::copy_from_slice(state) });
    engine.command(now, Command::Connect { port: PORT, peer: Peer::plain(rtp), crypto: None });
    engine.command(now, Command::Listen { port: PORT, source: Source::Silence });
    for tick in 0..8 {
        engine.tick(now + Duration::from_millis(20 * tick));
        let mut packets = 0;
        while engine.poll_transmit().is_some() {
            packets += 1;
        }
        assert!(packets <= 4, "{packets} packets in 20 ms");
        while engine.poll_event().is_some() {}
        while engine.poll_kept().is_some() {}
    }
    assert_eq!(engine.ports(), 1);
}
