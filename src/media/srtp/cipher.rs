//! The transforms of SRTP: AES in counter mode with HMAC-SHA1 (RFC 3711 §4) and AES-GCM
//! (RFC 7714), and how session keys come from a master key (RFC 3711 §4.3).
//!
//! Works in place on one packet whose place in its stream is known. Which packets are believed, and
//! at what place, is decided in `srtp`.

use aes::Aes128Enc;
use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes128Gcm, KeyInit};
use ctr::Ctr128BE;
use ctr::cipher::{InnerIvInit, StreamCipher, StreamCipherCoreWrapper};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::media::{MasterKey, Suite};

/// Bytes of an AES key.
const KEY: usize = 16;
/// Bytes of a salt; GCM uses the first twelve.
const SALT: usize = 14;
/// Bytes of the nonce of GCM.
const NONCE: usize = 12;
/// Bytes of the key of HMAC-SHA1.
const MAC_KEY: usize = 20;
/// Bytes of the tag of GCM.
const GCM_TAG: usize = 16;
/// Bytes of the word that SRTCP adds: whether it is encrypted, and its index.
const WORD: usize = 4;
/// SRTCP's bit that says that it is encrypted.
const ENCRYPTED: u32 = 1 << 31;

/// What kind of packets a cipher is for: each has keys of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Rtp,
    Rtcp,
}

impl Kind {
    /// The label of the encryption key; those of the authentication key and the salt follow
    /// (RFC 3711 §4.3.1).
    fn label(self) -> u8 {
        match self {
            Self::Rtp => 0,
            Self::Rtcp => 3,
        }
    }
}

/// One direction's session keys for one kind of packets.
pub(super) struct Cipher {
    kind: Kind,
    salt: Zeroizing<[u8; SALT]>,
    transform: Transform,
}

enum Transform {
    /// AES-CM, and HMAC-SHA1 cut to `tag` bytes.
    Counter { aes: Aes128Enc, mac: Hmac<Sha1>, tag: usize },
    /// AES-GCM.
    Gcm(Aes128Gcm),
}

impl Cipher {
    /// `None` when the master key's length is not the suite's.
    pub(super) fn new(suite: Suite, master: &MasterKey, kind: Kind) -> Option<Self> {
        if master.bytes.len() != suite.key_length() {
            return None;
        }
        let (key, salt) = master.bytes.split_at(KEY);
        let mut master_salt = Zeroizing::new([0; SALT]);
        master_salt[..salt.len()].copy_from_slice(salt);
        let label = kind.label();
        let aes = Aes128Enc::new_from_slice(key).ok()?;
        let mut session = Zeroizing::new([0; KEY]);
        derive(&aes, &master_salt, label, &mut *session);
        let mut mac = Zeroizing::new([0; MAC_KEY]);
        derive(&aes, &master_salt, label + 1, &mut *mac);
        let mut session_salt = Zeroizing::new([0; SALT]);
        derive(&aes, &master_salt, label + 2, &mut session_salt[..salt.len()]);
        Self::from_session(suite, kind, &session, &mac, session_salt)
    }

    fn from_session(
        suite: Suite,
        kind: Kind,
        key: &[u8; KEY],
        mac: &[u8; MAC_KEY],
        salt: Zeroizing<[u8; SALT]>,
    ) -> Option<Self> {
        let counter = |tag| -> Option<Transform> {
            let aes = Aes128Enc::new_from_slice(key).ok()?;
            Some(Transform::Counter { aes, mac: Hmac::new_from_slice(mac).ok()?, tag })
        };
        let transform = match (suite, kind) {
            (Suite::AesCm128HmacSha1_32, Kind::Rtp) => counter(4)?,
            (Suite::AesCm128HmacSha1_80 | Suite::AesCm128HmacSha1_32, _) => counter(10)?,
            (Suite::AeadAes128Gcm, _) => Transform::Gcm(Aes128Gcm::new_from_slice(key).ok()?),
        };
        Some(Self { kind, salt, transform })
    }

    fn tag(&self) -> usize {
        match &self.transform {
            Transform::Counter { tag, .. } => *tag,
            Transform::Gcm(_) => GCM_TAG,
        }
    }

    /// Bytes that protection adds.
    pub(super) fn overhead(&self) -> usize {
        match self.kind {
            Kind::Rtp => self.tag(),
            Kind::Rtcp => self.tag() + WORD,
        }
    }

    /// Protects the first `length` bytes of `buffer`, of which `header` stay readable. The new
    /// length, or `None` without room.
    pub(super) fn seal(
        &self,
        buffer: &mut [u8],
        header: usize,
        length: usize,
        (ssrc, index): (u32, u64),
    ) -> Option<usize> {
        let total = length + self.overhead();
        let (packet, added) = buffer.get_mut(..total)?.split_at_mut(length);
        let word = self.word(index);
        let (tag_at, word_at) = self.places();
        if self.kind == Kind::Rtcp {
            added[word_at..][..WORD].copy_from_slice(&word);
        }
        let added_tag = &mut added[tag_at..][..self.tag()];
        match &self.transform {
            Transform::Counter { aes, mac, tag } => {
                keystream(aes, &self.counter(ssrc, index)).apply_keystream(&mut packet[header..]);
                added_tag.copy_from_slice(&authenticate(mac, packet, word)[..*tag]);
            }
            Transform::Gcm(gcm) => {
                let (head, body) = packet.split_at_mut(header);
                let mut room = [0; 8 + WORD];
                let known = self.known(head, word, &mut room);
                let nonce = self.nonce(ssrc, index).into();
                let tag = gcm.encrypt_inout_detached(&nonce, known, body.into()).ok()?;
                added_tag.copy_from_slice(&tag);
            }
        }
        Some(total)
    }

    /// Checks and reads a packet of which `header` bytes are readable. Its length without what
    /// protection added; `None`, and nothing changed, when it is not authentic.
    pub(super) fn open(
        &self,
        packet: &mut [u8],
        header: usize,
        (ssrc, index): (u32, u64),
    ) -> Option<usize> {
        let length = packet.len().checked_sub(self.overhead()).filter(|it| *it >= header)?;
        let (packet, added) = packet.split_at_mut(length);
        let word = self.word(index);
        let (tag_at, _) = self.places();
        let theirs = &added[tag_at..][..self.tag()];
        match &self.transform {
            Transform::Counter { aes, mac, tag } => {
                let ours = authenticate(mac, packet, word);
                if !bool::from(ours[..*tag].ct_eq(theirs)) {
                    return None;
                }
                keystream(aes, &self.counter(ssrc, index)).apply_keystream(&mut packet[header..]);
            }
            Transform::Gcm(gcm) => {
                let (head, body) = packet.split_at_mut(header);
                let mut room = [0; 8 + WORD];
                let known = self.known(head, word, &mut room);
                let nonce = self.nonce(ssrc, index).into();
                let tag = theirs.try_into().ok()?;
                gcm.decrypt_inout_detached(&nonce, known, body.into(), tag).ok()?;
            }
        }
        Some(length)
    }

    /// The index that an SRTCP packet states. `None` when it is cut short or says that it is not
    /// encrypted: SDES can ask for that (`UNENCRYPTED_SRTCP`), and we never agree.
    pub(super) fn stated(&self, packet: &[u8]) -> Option<u64> {
        let start = packet.len().checked_sub(self.overhead())? + self.places().1;
        let word: [u8; WORD] = packet.get(start..start + WORD)?.try_into().ok()?;
        let word = u32::from_be_bytes(word);
        (word & ENCRYPTED != 0).then_some(u64::from(word & !ENCRYPTED))
    }

    /// Where the tag and SRTCP's word lie in what protection adds: the word precedes the tag of
    /// HMAC (RFC 3711 §3.4) and follows that of GCM (RFC 7714 §9.2).
    fn places(&self) -> (usize, usize) {
        match (self.kind, &self.transform) {
            (Kind::Rtp, _) => (0, 0),
            (Kind::Rtcp, Transform::Counter { .. }) => (WORD, 0),
            (Kind::Rtcp, Transform::Gcm(_)) => (0, GCM_TAG),
        }
    }

    /// What is authenticated besides the packet: the rollover counter, or SRTCP's word.
    fn word(&self, index: u64) -> [u8; WORD] {
        match self.kind {
            Kind::Rtp => ((index >> 16) as u32).to_be_bytes(),
            Kind::Rtcp => (index as u32 | ENCRYPTED).to_be_bytes(),
        }
    }

    /// What GCM authenticates without encrypting it (RFC 7714 §8.2, §9.2).
    fn known<'a>(
        &self,
        head: &'a [u8],
        word: [u8; WORD],
        room: &'a mut [u8; 8 + WORD],
    ) -> &'a [u8] {
        match self.kind {
            Kind::Rtp => head,
            Kind::Rtcp => {
                let (start, end) = room.split_at_mut(8);
                start.copy_from_slice(head);
                end.copy_from_slice(&word);
                room
            }
        }
    }

    /// The first counter block of a packet (RFC 3711 §4.1.1).
    fn counter(&self, ssrc: u32, index: u64) -> [u8; 16] {
        let mut block = [0; 16];
        block[..SALT].copy_from_slice(&*self.salt);
        mix(&mut block[4..14], ssrc, index);
        block
    }

    /// The nonce of a packet (RFC 7714 §8.1, §9.1).
    fn nonce(&self, ssrc: u32, index: u64) -> [u8; NONCE] {
        let mut nonce = [0; NONCE];
        nonce.copy_from_slice(&self.salt[..NONCE]);
        mix(&mut nonce[2..12], ssrc, index);
        nonce
    }
}

/// Adds the stream and the 48 bits of the place in it.
fn mix(salt: &mut [u8], ssrc: u32, index: u64) {
    let place = ssrc.to_be_bytes().into_iter().chain(index.to_be_bytes().into_iter().skip(2));
    salt.iter_mut().zip(place).for_each(|(byte, other)| *byte ^= other);
}

fn keystream<'a>(aes: &'a Aes128Enc, block: &[u8; 16]) -> Ctr128BE<&'a Aes128Enc> {
    let core = ctr::CtrCore::inner_iv_init(aes, block.into());
    StreamCipherCoreWrapper::from_core(core)
}

fn authenticate(mac: &Hmac<Sha1>, packet: &[u8], word: [u8; WORD]) -> [u8; 20] {
    let mac = mac.clone().chain_update(packet).chain_update(word);
    mac.finalize().into_bytes().into()
}

/// The key of a label (RFC 3711 §4.3.3; the derivation rate is always 0).
fn derive(master: &Aes128Enc, salt: &[u8; SALT], label: u8, out: &mut [u8]) {
    let mut block = [0; 16];
    block[..SALT].copy_from_slice(salt);
    block[7] ^= label;
    out.fill(0);
    keystream(master, &block).apply_keystream(out);
}

#[cfg(test)]
mod tests;
