//! One file of the journal: header, boxes, and the key beside it.
//!
//! Owns the bytes. Does not know which file is in use.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use zeroize::Zeroizing;

use super::{Key, Value};
use crate::chance::Chance;

/// What a file begins with; the last character is the version of the form.
const MAGIC: &[u8; 16] = b"koebashi calls 1";
/// Bytes of a record beside key and value.
pub(super) const FRAME: u64 = (LENGTH + KIND + TAG) as u64;
const LENGTH: usize = 4;
const KIND: usize = 3;
const TAG: usize = 16;
/// Longest record that is read: far above what a call needs, far below the machine's memory.
const RECORD_MAX: usize = 1 << 20;
/// Largest file that is read.
const FILE_MAX: u64 = 1 << 30;

/// What a record says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A key has a value.
    Put = 0,
    /// A key is gone.
    Gone = 1,
    /// Everything that was kept when the file was begun is in it.
    Begun = 2,
}

/// A file that is written.
pub(super) struct Log {
    file: File,
    boxes: Boxes,
}

impl Log {
    /// Makes the file and its key.
    pub(super) fn create(
        folder: &Path,
        runtime: &Path,
        number: u64,
        chance: &mut Chance,
    ) -> io::Result<Self> {
        let mut secret = Zeroizing::new([0; 32]);
        chance.fill(&mut *secret);
        let mut key = private_file(&key_path(runtime, number))?;
        key.write_all(&*secret)?;
        let mut file = private_file(&log_path(folder, number))?;
        file.write_all(MAGIC)?;
        Ok(Self { file, boxes: Boxes::new(&secret) })
    }

    /// Appends a record to `out`.
    pub(super) fn seal(&mut self, out: &mut Vec<u8>, key: &[u8], value: Option<&[u8]>) {
        let kind = if value.is_some() { Kind::Put } else { Kind::Gone };
        self.boxes.seal(out, kind, key, value.unwrap_or_default());
    }

    /// Appends the mark that what was kept is complete.
    pub(super) fn seal_begun(&mut self, out: &mut Vec<u8>) {
        self.boxes.seal(out, Kind::Begun, &[], &[]);
    }

    /// Hands `bytes` to the system.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }
}

/// The cipher and the number of the next record.
struct Boxes {
    cipher: Aes256Gcm,
    next: u64,
}

impl Boxes {
    fn new(secret: &[u8; 32]) -> Self {
        Self { cipher: Aes256Gcm::new(secret.into()), next: 0 }
    }

    fn nonce(&mut self) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.next.to_be_bytes());
        self.next += 1;
        nonce
    }

    fn seal(&mut self, out: &mut Vec<u8>, kind: Kind, key: &[u8], value: &[u8]) {
        let length = (KIND + key.len() + value.len() + TAG) as u32;
        let head = length.to_be_bytes();
        out.extend(head);
        let start = out.len();
        out.push(kind as u8);
        out.extend((key.len() as u16).to_be_bytes());
        out.extend(key);
        out.extend(value);
        let nonce = self.nonce();
        let body = (&mut out[start..]).into();
        // Fails for more than 64 GiB only.
        if let Ok(tag) = self.cipher.encrypt_inout_detached(&nonce.into(), &head, body) {
            out.extend(tag);
        }
    }

    /// The record of these bytes; `None`: it is damaged.
    fn open(&mut self, head: [u8; LENGTH], body: &mut [u8]) -> Option<(Kind, Key, Value)> {
        let nonce = self.nonce();
        let (body, tag) = body.split_at_mut_checked(body.len().checked_sub(TAG)?)?;
        let tag: [u8; TAG] = (&*tag).try_into().ok()?;
        self.cipher
            .decrypt_inout_detached(&nonce.into(), &head, (&mut *body).into(), &tag.into())
            .ok()?;
        let (&[kind, high, low], rest) = body.split_first_chunk::<KIND>()?;
        let (key, value) = rest.split_at_checked(u16::from_be_bytes([high, low]).into())?;
        let kind = [Kind::Put, Kind::Gone, Kind::Begun].into_iter().find(|k| *k as u8 == kind)?;
        Some((kind, key.into(), value.into()))
    }
}

/// What a file held.
pub(super) struct Found {
    pub(super) live: BTreeMap<Key, Value>,
    /// Records that could not be read.
    pub(super) damaged: usize,
    /// It holds everything that was kept when it was begun.
    pub(super) is_begun: bool,
}

/// Reads a file as far as it goes.
///
/// # Errors
/// When it, or its key, is not there or none of ours.
pub(super) fn read(folder: &Path, runtime: &Path, number: u64) -> io::Result<Found> {
    let mut secret = Zeroizing::new([0; 32]);
    File::open(key_path(runtime, number))?.read_exact(&mut *secret)?;
    let mut bytes = Vec::new();
    File::open(log_path(folder, number))?.take(FILE_MAX).read_to_end(&mut bytes)?;
    let Some(rest) = bytes.strip_prefix(MAGIC).map(<[u8]>::len) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let start = bytes.len() - rest;
    Ok(unseal(&secret, &mut bytes[start..]))
}

fn unseal(secret: &[u8; 32], mut rest: &mut [u8]) -> Found {
    let mut boxes = Boxes::new(secret);
    let mut found = Found { live: BTreeMap::new(), damaged: 0, is_begun: false };
    while let Some((head, after)) = rest.split_first_chunk_mut::<LENGTH>() {
        let length = u32::from_be_bytes(*head) as usize;
        // A length that can't be leaves no way to the next record.
        if length > RECORD_MAX {
            found.damaged += 1;
            break;
        }
        // Cut off: the process died in this write.
        let Some((body, after)) = after.split_at_mut_checked(length) else { break };
        match boxes.open(*head, body) {
            Some((Kind::Put, key, value)) => drop(found.live.insert(key, value)),
            Some((Kind::Gone, key, _)) => drop(found.live.remove(&key)),
            Some((Kind::Begun, ..)) => found.is_begun = true,
            None => found.damaged += 1,
        }
        rest = after;
    }
    found
}

/// Numbers of the files that are there, in order.
pub(super) fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("calls-")?.parse().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Removes a file and its key; the key first.
pub(super) fn forget(folder: &Path, runtime: &Path, number: u64) -> io::Result<()> {
    for path in [key_path(runtime, number), log_path(folder, number)] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) | Ok(()) => {}
        }
    }
    Ok(())
}

/// Makes a folder that nobody else may enter.
pub(super) fn private_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn log_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("calls-{number}"))
}

fn key_path(runtime: &Path, number: u64) -> PathBuf {
    runtime.join(format!("calls-{number}.key"))
}
