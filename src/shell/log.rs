//! Log lines to standard error, as text or JSON, one for each step of a call.
//!
//! Owns how they are written: by a thread of its own behind a bounded queue, so that a pipe that
//! nobody reads holds no call up; lines that find no room are lost and counted. What is logged is
//! everybody's own: a step of a call at INFO with the field `call`, never a number, never a message
//! of a peer, never a secret, at any level.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{Directive, LevelFilter};
use tracing_subscriber::fmt::MakeWriter;

use super::LogFormat;

/// Lines that wait to be written.
const LINES_MAX: usize = 4_096;
/// The variable that sets levels module by module, in place of the configuration's one.
const VARIABLE: &str = "KOEBASHI_LOG";

/// Keeps the writer; dropping it writes what waits.
#[derive(Debug)]
pub struct Log {
    queue: Queue,
    thread: Option<JoinHandle<()>>,
}

/// Where lines are put.
#[derive(Clone, Debug)]
struct Queue {
    lines: Arc<Mutex<Option<SyncSender<Vec<u8>>>>>,
    lost: Arc<AtomicU64>,
}

/// One line on its way; it is queued when dropped.
struct Line {
    queue: Queue,
    bytes: Vec<u8>,
}

/// Starts logging `level` and what is graver. The variable `KOEBASHI_LOG`, where it is set, decides
/// instead (`warn,koebashi::sip=debug`).
///
/// # Errors
/// When the process logs already, or no thread can be had.
pub fn start(format: LogFormat, level: Level) -> io::Result<Log> {
    let (sender, lines) = sync_channel(LINES_MAX);
    let lost = Arc::new(AtomicU64::new(0));
    let queue = Queue { lines: Arc::new(Mutex::new(Some(sender))), lost: Arc::clone(&lost) };
    let thread = Builder::new().name("log".to_owned()).spawn(move || write(&lines, &lost))?;
    let filter = EnvFilter::builder()
        .with_default_directive(Directive::from(LevelFilter::from_level(level)))
        .with_env_var(VARIABLE)
        .from_env_lossy();
    // What a file of somebody's has in it is told to them, not to the log.
    let filter = match "symphonia=off".parse() {
        Ok(quiet) => filter.add_directive(quiet),
        Err(_) => filter,
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(queue.clone());
    match format {
        LogFormat::Text => subscriber.with_target(false).try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    }
    .map_err(io::Error::other)?;
    // So that whoever asked for everything sees that they have it.
    tracing::trace!("everything is logged");
    Ok(Log { queue, thread: Some(thread) })
}

/// Writes lines until the queue is closed.
fn write(lines: &Receiver<Vec<u8>>, lost: &AtomicU64) {
    let mut out = io::stderr();
    while let Ok(line) = lines.recv() {
        let missing = lost.swap(0, Relaxed);
        let said = out.write_all(&line).and_then(|()| match missing {
            0 => Ok(()),
            n => writeln!(out, "{n} log lines lost: nobody read them in time"),
        });
        if said.is_err() {
            lost.fetch_add(missing + 1, Relaxed);
        }
    }
}

impl Queue {
    /// Nothing is inconsistent after a panic of another holder.
    fn put(&self, line: Vec<u8>) {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.as_ref().is_none_or(|lines| lines.try_send(line).is_err()) {
            self.lost.fetch_add(1, Relaxed);
        }
    }
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { queue: self.clone(), bytes: Vec::with_capacity(200) }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.queue.put(std::mem::take(&mut self.bytes));
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        drop(self.queue.lines.lock().unwrap_or_else(PoisonError::into_inner).take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            self.queue.lost.fetch_add(1, Relaxed);
        }
    }
}
