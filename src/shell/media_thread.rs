//! The media threads: RTP sockets and the 20 ms tick, beside and independent of the loop.
//!
//! Owns the threads, their queues, and the handle through which the loop talks to them. Each
//! thread runs one [`crate::media::engine::Engine`] (`shard`) on its own sockets (`socket`);
//! nothing is shared between threads. Commands go in by a bounded queue, events come out by
//! another; neither side ever waits for the other.

mod shard;
mod socket;

use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use mio::{Poll, Waker};
use tokio::sync::mpsc;

use crate::chance::Chance;
use crate::media::prompt::Library;
use crate::media::{Command, Config, Event};
use crate::shell::recorder::Tap;
use shard::{Shard, WAKER};

/// Orders that wait for one thread; the next is refused.
const ORDERS_MAX: usize = 4096;

/// What a thread is told.
enum Order {
    Command(Command),
    Library(Arc<Library>),
    Stop,
}

/// Why a command did not reach its thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The thread doesn't keep up, or its queue of events is not emptied.
    #[error("the queue of media thread {0} is full")]
    Full(u8),
    /// There is no such thread.
    #[error("there is no media thread {0}")]
    NoThread(u8),
}

/// Starts the media threads.
#[derive(Debug)]
pub struct MediaThreads;

impl MediaThreads {
    /// Starts `config.threads` threads (0: one a core, less one). Events come out of `events`'
    /// other end; what is recorded goes to `recorder`, and without one recordings end at once.
    /// Fails when the system refuses a thread or a poll.
    pub fn start(
        config: &Config,
        library: &Arc<Library>,
        chance: &mut Chance,
        events: &mpsc::Sender<Event>,
        recorder: Option<&Tap>,
    ) -> io::Result<MediaHandle> {
        let count = match config.threads {
            0 => std::thread::available_parallelism().map_or(1, NonZero::get) - 1,
            n => usize::from(n),
        };
        let mut threads = Threads { threads: vec![] };
        for n in 0..count.clamp(1, usize::from(u8::MAX)) {
            let poll = Poll::new()?;
            let waker = Waker::new(poll.registry(), WAKER)?;
            let (orders, inbox) = sync_channel(ORDERS_MAX);
            let library = Arc::clone(library);
            let (events, recorder) = (events.clone(), recorder.cloned());
            let shard =
                Shard::new(poll, inbox, events, config.clone(), library, chance.split(), recorder);
            let join = Builder::new().name(format!("media-{n}")).spawn(move || shard.run())?;
            threads.threads.push(Thread { orders, waker, join: Some(join) });
        }
        Ok(MediaHandle { threads: Arc::new(threads) })
    }
}

/// How the loop talks to the media threads. When the last copy is dropped the threads end, and the
/// drop waits for them.
#[derive(Clone)]
pub struct MediaHandle {
    threads: Arc<Threads>,
}

struct Threads {
    threads: Vec<Thread>,
}

struct Thread {
    orders: SyncSender<Order>,
    waker: Waker,
    join: Option<JoinHandle<()>>,
}

impl MediaHandle {
    /// How many threads there are: [`crate::media::PortId::shard`] runs below this.
    pub fn shards(&self) -> u8 {
        u8::try_from(self.threads.threads.len()).unwrap_or(u8::MAX)
    }

    /// Gives a command to the thread of its port. Never waits.
    pub fn send(&self, command: Command) -> Result<(), SendError> {
        let shard = shard_of(&command);
        let thread = self.threads.threads.get(usize::from(shard));
        let thread = thread.ok_or(SendError::NoThread(shard))?;
        thread.order(Order::Command(command)).map_err(|Refused| SendError::Full(shard))
    }

    /// Gives all threads another library; what plays already plays on.
    pub fn set_library(&self, library: &Arc<Library>) -> Result<(), SendError> {
        for (n, thread) in self.threads.threads.iter().enumerate() {
            let shard = u8::try_from(n).unwrap_or(u8::MAX);
            let order = Order::Library(Arc::clone(library));
            thread.order(order).map_err(|Refused| SendError::Full(shard))?;
        }
        Ok(())
    }
}

/// The queue is full.
struct Refused;

impl Thread {
    fn order(&self, order: Order) -> Result<(), Refused> {
        self.orders.try_send(order).map_err(|_| Refused)?;
        // A thread that can't be woken looks into its queue at the next tick anyway.
        if let Err(error) = self.waker.wake() {
            tracing::warn!(%error, "a media thread can't be woken");
        }
        Ok(())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        for thread in &mut self.threads {
            // A full queue: the thread also ends when it finds the queue's other end gone, which
            // the waking below makes it look for.
            let stopped = thread.order(Order::Stop).is_ok();
            if let Some(join) = thread.join.take().filter(|_| stopped)
                && join.join().is_err()
            {
                tracing::error!("a media thread had panicked");
            }
        }
    }
}

fn shard_of(command: &Command) -> u8 {
    match command {
        Command::Open { port, .. }
        | Command::Connect { port, .. }
        | Command::Listen { port, .. }
        | Command::Overlay { port, .. }
        | Command::Detect { port, .. }
        | Command::SendDigit { port, .. }
        | Command::Close { port } => port.shard,
        Command::Record { record, .. }
        | Command::PauseRecord { record, .. }
        | Command::StopRecord { record } => record.shard,
    }
}

#[cfg(test)]
mod tests;
