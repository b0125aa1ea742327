//! One file of the journal: header, boxes, and the key beside it.
//!
//! Owns the bytes. Does not know which file is in use.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use nix::unistd::geteuid;
use zeroize::Zeroizing;

use super::{Change, Key, Value};
use crate::chance::Chance;

/// What a file begins with; the last character is the version of the form.
const MAGIC: &[u8; 16] = b"koebashi calls 1";
/// Bytes of a record beside its changes.
pub(super) const BOX: u64 = (LENGTH + TAG) as u64;
const LENGTH: usize = 4;
const TAG: usize = 16;
/// Bytes of a change beside key and value: kind, length of the key, length of the value.
const HEAD: usize = 1 + 2 + 4;
/// Longest record: the changes of many calls at once, and far below the machine's memory.
const RECORD_MAX: usize = 16 << 20;
/// Largest file that is read.
const FILE_MAX: u64 = 1 << 30;
/// Bytes of the stack that the cipher needs at most.
const STACK: usize = 16_000;

/// Bytes of a change.
pub(super) fn size(key: usize, value: usize) -> u64 {
    (HEAD + key + value) as u64
}

/// What a change says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A key has a value.
    Put = 0,
    /// A key is gone.
    Gone = 1,
    /// Everything that was kept when the file was begun is in it.
    Begun = 2,
}

/// A change as its bytes lie in a record.
type Told<'a> = (Kind, &'a [u8], &'a [u8]);

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

    /// Appends a record to `out`; false: it is too long for one.
    pub(super) fn seal(&mut self, out: &mut Vec<u8>, changes: &[Change]) -> bool {
        let told = changes.iter().map(|(key, value)| {
            let kind = if value.is_some() { Kind::Put } else { Kind::Gone };
            (kind, &**key, value.as_deref().unwrap_or_default())
        });
        let is_sealed = self.boxes.seal(out, told);
        wipe_stack();
        is_sealed
    }

    /// Appends the mark that what was kept is complete.
    pub(super) fn seal_begun(&mut self, out: &mut Vec<u8>) {
        self.boxes.seal(out, std::iter::once((Kind::Begun, &[][..], &[][..])));
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

    fn seal<'a>(&mut self, out: &mut Vec<u8>, changes: impl Iterator<Item = Told<'a>>) -> bool {
        let begin = out.len();
        out.extend([0; LENGTH]);
        let start = out.len();
        for (kind, key, value) in changes {
            out.push(kind as u8);
            out.extend((key.len() as u16).to_be_bytes());
            out.extend((value.len() as u32).to_be_bytes());
            out.extend(key);
            out.extend(value);
        }
        let length = out.len() - start + TAG;
        if length > RECORD_MAX {
            out.truncate(begin);
            return false;
        }
        let head = (length as u32).to_be_bytes();
        out[begin..start].copy_from_slice(&head);
        let nonce = self.nonce();
        let body = (&mut out[start..]).into();
        // Fails for more than 64 GiB only.
        let tag = self.cipher.encrypt_inout_detached(&nonce.into(), &head, body);
        tag.map(|tag| out.extend(tag)).is_ok()
    }

    /// The changes of this record; `None`: it is damaged.
    fn open<'a>(&mut self, head: [u8; LENGTH], body: &'a mut [u8]) -> Option<Vec<Told<'a>>> {
        let nonce = self.nonce();
        let (body, tag) = body.split_at_mut_checked(body.len().checked_sub(TAG)?)?;
        let tag: [u8; TAG] = (&*tag).try_into().ok()?;
        self.cipher
            .decrypt_inout_detached(&nonce.into(), &head, (&mut *body).into(), &tag.into())
            .ok()?;
        let mut rest = &*body;
        let mut changes = Vec::new();
        while let Some((&[kind, k1, k2, v1, v2, v3, v4], after)) = rest.split_first_chunk::<HEAD>()
        {
            let (key, after) = after.split_at_checked(u16::from_be_bytes([k1, k2]).into())?;
            let length = u32::from_be_bytes([v1, v2, v3, v4]);
            let (value, after) = after.split_at_checked(length.try_into().ok()?)?;
            let kinds = [Kind::Put, Kind::Gone, Kind::Begun];
            let kind = kinds.into_iter().find(|known| *known as u8 == kind)?;
            changes.push((kind, key, value));
            rest = after;
        }
        rest.is_empty().then_some(changes)
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
    let found = unseal(&secret, &mut bytes[start..]);
    wipe_stack();
    Ok(found)
}

/// The cipher works on copies of some hundred bytes in its own frames, and leaves what they held:
/// a caller's number, until the thread happens to need as much of its stack again.
#[inline(never)]
fn wipe_stack() {
    let mut used = [0_u8; STACK];
    black_box(&mut used);
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
        let Some(changes) = boxes.open(*head, body) else {
            found.damaged += 1;
            rest = after;
            continue;
        };
        for (kind, key, value) in changes {
            match kind {
                Kind::Put => drop(found.live.insert(key.into(), Value::copy_from_slice(value))),
                Kind::Gone => drop(found.live.remove(key)),
                Kind::Begun => found.is_begun = true,
            }
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
        let number: Option<u64> =
            name.to_str().and_then(|name| name.strip_prefix("calls-")?.parse().ok());
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

/// Makes a folder that nobody else may enter. One that is there must be nobody else's.
pub(super) fn private_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let found = fs::metadata(folder)?;
    if found.uid() != geteuid().as_raw() || found.mode() & 0o022 != 0 {
        let what = format!("{}: somebody else can write into it", folder.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    }
    Ok(())
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
