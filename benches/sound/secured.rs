//! SRTP both ways, beside the ciphers alone over the same bytes: what keeping streams, rollover
//! counters and replays apart adds to them.

use std::hint::black_box;

use aes::Aes128Enc;
use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes128Gcm, KeyInit};
use ctr::Ctr128BE;
use ctr::cipher::{InnerIvInit, StreamCipher, StreamCipherCoreWrapper};
use hmac::{Hmac, Mac};
use koebashi::media::srtp::Srtp;
use koebashi::media::{Crypto, MasterKey, Suite};
use sha1::Sha1;

use crate::{Run, Work, timed};

const CIPHERS: &str = "the ciphers alone";
/// A packet of G.711: header and 20 ms.
const HEADER: usize = 12;
const PACKET: usize = HEADER + 160;
/// With the longest tag.
const ROOM: usize = PACKET + 16;

pub(crate) fn works() -> Vec<Work> {
    let suites = [
        (Suite::AesCm128HmacSha1_80, "AES-CM-128, HMAC-SHA1-80"),
        (Suite::AesCm128HmacSha1_32, "AES-CM-128, HMAC-SHA1-32"),
        (Suite::AeadAes128Gcm, "AES-128-GCM"),
    ];
    let works = suites.into_iter().flat_map(|(suite, name)| {
        let bare = || match suite {
            Suite::AesCm128HmacSha1_80 | Suite::AesCm128HmacSha1_32 => counter_and_mac(),
            Suite::AeadAes128Gcm => gcm(),
        };
        [
            Work::new(format!("SRTP protected, {name}"), protect(suite)).beside(CIPHERS, bare()),
            Work::new(format!("SRTP read, {name}"), unprotect(suite)).beside(CIPHERS, bare()),
        ]
    });
    let is_short = |work: &Work| !work.what.ends_with("-32");
    works.map(|work| if is_short(&work) { work.short() } else { work }).collect()
}

/// Keys that are each other's, so that what one sends the other reads.
fn srtp(suite: Suite) -> Srtp {
    let key = || MasterKey { bytes: vec![0x5a; suite.key_length()] };
    Srtp::new(&Crypto { suite, send: key(), receive: key() }).unwrap()
}

fn packet(n: u32) -> [u8; ROOM] {
    let mut packet = [0x55; ROOM];
    packet[..2].copy_from_slice(&[0x80, 0]);
    packet[2..4].copy_from_slice(&(n as u16).to_be_bytes());
    packet[4..8].copy_from_slice(&n.wrapping_mul(160).to_be_bytes());
    packet[8..HEADER].copy_from_slice(&7u32.to_be_bytes());
    packet
}

fn protect(suite: Suite) -> Run {
    let (mut srtp, mut n) = (srtp(suite), 0);
    Box::new(move |count| {
        timed(count, |_| {
            n += 1;
            let mut packet = packet(n);
            assert!(srtp.protect(&mut packet, PACKET).is_some());
            black_box(&packet);
        })
    })
}

fn unprotect(suite: Suite) -> Run {
    let (mut sender, mut receiver, mut sent) = (srtp(suite), srtp(suite), 0);
    Box::new(move |count| {
        let mut protected = || {
            sent += 1;
            let mut packet = packet(sent);
            let length = sender.protect(&mut packet, PACKET).unwrap();
            (packet, length)
        };
        let mut packets: Vec<_> = (0..count).map(|_| protected()).collect();
        timed(count, |n| {
            let (packet, length) = &mut packets[n as usize];
            assert_eq!(receiver.unprotect(&mut packet[..*length]), Some(PACKET));
            black_box(&packet);
        })
    })
}

fn counter_and_mac() -> Run {
    let aes = Aes128Enc::new_from_slice(&[0x5a; 16]).unwrap();
    let mac = <Hmac<Sha1> as KeyInit>::new_from_slice(&[0x5a; 20]).unwrap();
    let mut n = 0;
    Box::new(move |count| {
        timed(count, |_| {
            n += 1;
            let mut packet = packet(n);
            let block = (u128::from(n) << 16).to_be_bytes();
            let core = ctr::CtrCore::inner_iv_init(&aes, (&block).into());
            let mut stream: Ctr128BE<&Aes128Enc> = StreamCipherCoreWrapper::from_core(core);
            stream.apply_keystream(&mut packet[HEADER..PACKET]);
            let tag = mac.clone().chain_update(&packet[..PACKET]).chain_update([0; 4]).finalize();
            packet[PACKET..PACKET + 10].copy_from_slice(&tag.into_bytes()[..10]);
            black_box(&packet);
        })
    })
}

fn gcm() -> Run {
    let gcm = Aes128Gcm::new_from_slice(&[0x5a; 16]).unwrap();
    let mut n = 0;
    Box::new(move |count| {
        timed(count, |_| {
            n += 1;
            let mut packet = packet(n);
            let mut nonce = [0; 12];
            nonce[8..].copy_from_slice(&n.to_be_bytes());
            let (head, rest) = packet.split_at_mut(HEADER);
            let (body, added) = rest.split_at_mut(PACKET - HEADER);
            let tag = gcm.encrypt_inout_detached(&nonce.into(), head, body.into()).unwrap();
            added.copy_from_slice(&tag);
            black_box(&packet);
        })
    })
}
