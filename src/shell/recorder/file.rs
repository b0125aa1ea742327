//! One recording as a file: stereo WAV (8 kHz, 16 bit; left: the caller, right: the counselor),
//! encrypted by age while it is written. Nothing plain touches the disk, and no key to open it is
//! in this process.
//!
//! Owns names, modes and the order of writing. A file that is being written is `NAME.part`; it gets
//! its name when it is whole and on the disk. When the process is killed the `.part` can still be
//! opened up to the last full piece of 64 KiB (two seconds), which is how age cuts a stream.
//!
//! The length of an encrypted stream can't be written into its head afterwards, so that the head
//! says what sox writes into a pipe: "as long as it goes on".

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use age::Encryptor;
use age::stream::StreamWriter;
use age::x25519::Recipient;
use chrono::Datelike;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::call::cdr::CallId;
use crate::store::recording::{Ended, Written};
use crate::time::Timestamp;

/// What a finished file's name ends with.
pub(super) const ENDING: &str = ".wav.age";
/// What follows while it is written.
pub(super) const PART: &str = ".part";

/// Samples a second of each voice.
const RATE: u32 = 8_000;
/// Samples of each voice in a frame.
const FRAME: usize = 160;
/// Bytes of a frame of both.
const FRAME_BYTES: usize = FRAME * 4;
/// The length that says that nobody knows.
const ENDLESS: u32 = 0x7fff_f000;

/// The head of the WAV file.
fn head() -> [u8; 44] {
    let mut head = *b"RIFF....WAVEfmt \x10\0\0\0\x01\0\x02\0........\x04\0\x10\0data....";
    head[4..8].copy_from_slice(&(ENDLESS + 36).to_le_bytes());
    head[24..28].copy_from_slice(&RATE.to_le_bytes());
    head[28..32].copy_from_slice(&(RATE * 4).to_le_bytes());
    head[40..44].copy_from_slice(&ENDLESS.to_le_bytes());
    head
}

/// Where the recording of a conversation lies.
pub(super) fn path(folder: &Path, started: Timestamp, call: &CallId, part: u32) -> PathBuf {
    let month =
        folder.join(format!("{:04}", started.year())).join(format!("{:02}", started.month()));
    let name = if part == 1 { call.to_string() } else { format!("{call}-{part}") };
    month.join(format!("{name}{ENDING}"))
}

/// The same while it is written.
pub(super) fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(PART);
    name.into()
}

/// Makes sure that what happened in the folder outlives a power cut.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// A recording that is being written.
pub(super) struct Tape {
    out: StreamWriter<Hashing>,
    path: PathBuf,
    frames: u64,
    /// A frame as it stands in the file; wiped at the end.
    buffer: Zeroizing<[u8; FRAME_BYTES]>,
}

impl Tape {
    /// Opens the file for these recipients, of whom there must be one at least.
    pub(super) fn create(path: PathBuf, recipients: &[Recipient]) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        if recipients.is_empty() {
            return Err(io::Error::other("nobody could open it"));
        }
        let mut new = OpenOptions::new();
        let file = new.write(true).create_new(true).mode(0o600).open(part_of(&path))?;
        Self::onto(file, path, recipients)
    }

    /// Writes to this file, which gets its name in the end.
    pub(super) fn onto(file: File, path: PathBuf, recipients: &[Recipient]) -> io::Result<Self> {
        let recipients = recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
        let encryptor = Encryptor::with_recipients(recipients).map_err(io::Error::other)?;
        let mut out = encryptor.wrap_output(Hashing { file, hash: Sha256::new(), bytes: 0 })?;
        out.write_all(&head())?;
        Ok(Self { out, path, frames: 0, buffer: Zeroizing::new([0; FRAME_BYTES]) })
    }

    /// 20 ms more.
    pub(super) fn frame(&mut self, left: &[i16; FRAME], right: &[i16; FRAME]) -> io::Result<()> {
        let samples = left.iter().zip(right).flat_map(|(left, right)| [*left, *right]);
        for (bytes, sample) in self.buffer.chunks_exact_mut(2).zip(samples) {
            bytes.copy_from_slice(&sample.to_le_bytes());
        }
        self.out.write_all(&self.buffer[..])?;
        self.frames += 1;
        Ok(())
    }

    /// How much has been recorded.
    pub(super) fn length(&self) -> Duration {
        Duration::from_millis(20) * u32::try_from(self.frames).unwrap_or(u32::MAX)
    }

    /// Finishes the stream, waits until it is on the disk and gives the file its name.
    pub(super) fn finish(self, ended: Ended) -> io::Result<Written> {
        let length = self.length();
        let Hashing { mut file, hash, bytes } = self.out.finish()?;
        file.flush()?;
        file.sync_all()?;
        drop(file);
        fs::rename(part_of(&self.path), &self.path)?;
        sync_folder(&self.path)?;
        Ok(Written { ended, length: Some(length), bytes, sha256: hash.finalize().into() })
    }
}

/// Gives a file that was cut off its name, and says what it came to.
pub(super) fn salvage(path: &Path, ended: Ended) -> io::Result<Written> {
    fs::rename(part_of(path), path)?;
    sync_folder(path)?;
    measure(path, ended)
}

/// What a file came to, by what is on the disk.
pub(super) fn measure(path: &Path, ended: Ended) -> io::Result<Written> {
    let mut hash = Hashing { file: io::sink(), hash: Sha256::new(), bytes: 0 };
    io::copy(&mut File::open(path)?, &mut hash)?;
    Ok(Written { ended, length: None, bytes: hash.bytes, sha256: hash.hash.finalize().into() })
}

/// Counts and hashes what passes.
struct Hashing<W = File> {
    file: W,
    hash: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
