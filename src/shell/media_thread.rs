//! The media threads: RTP sockets and the 20 ms tick, beside and independent of the loop.
//!
//! Owns the threads, their queues, and the handle through which the loop talks to them. Each
//! thread runs one [`crate::media::engine::Engine`] (`shard`) on its own sockets ([`backend`]);
//! nothing is shared between threads but counters ([`figures`]), and what an earlier process has
//! left of their ports. Commands go in by a bounded
//! queue, events come out by another; neither side ever waits for the other.

pub mod backend;
pub mod figures;
mod orders;
mod shard;

use std::collections::BTreeMap;
use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use tokio::sync::mpsc;

use crate::chance::Chance;
use crate::media::prompt::Library;
use crate::media::{Command, Config, Event, Io, Priority};
use crate::shell::kept_voices::KeptPorts;
use crate::shell::recorder::Tap;
use backend::priority::{self, Given};
use backend::{Backend, Epoll, Kind, Uring, Wake};
use figures::{Figures, Gauge};
use orders::Orders;
use shard::{Means, Shard};

/// Orders that wait for one thread; the next is refused.
const ORDERS_MAX: usize = 4096;

/// What a thread is told.
enum Order {
    Command(Command),
    /// These, one right after the other: no packet is taken before the last is carried out.
    All(Vec<Command>),
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
    /// other end; what is recorded goes to `recorder`, and without one recordings end at once; a
    /// socket that an earlier process has left in `kept` is taken for one of its address, and what
    /// is to outlive this process goes there too.
    /// Fails when the system refuses a thread, or the backend that `config` insists on.
    pub fn start(
        config: &Config,
        library: &Arc<Library>,
        chance: &mut Chance,
        events: &mpsc::Sender<Event>,
        recorder: Option<&Tap>,
        kept: &KeptPorts,
    ) -> io::Result<MediaHandle> {
        let around = (events, recorder, kept);
        let begin = |kind, chance: &mut Chance| begin(kind, config, library, chance, around);
        let kind = choose(config.io)?;
        match begin(kind, chance) {
            // The test had one ring, many threads have many: the system may have a limit between.
            Err(error) if config.io == Io::Auto && kind == Kind::Uring => {
                tracing::info!(reason = %error, "media goes by epoll, which costs a little more");
                begin(Kind::Epoll, chance)
            }
            begun => begun,
        }
    }
}

/// Starts the threads with this backend, and waits until each has said that it is ready.
fn begin(
    kind: Kind,
    config: &Config,
    library: &Arc<Library>,
    chance: &mut Chance,
    (events, recorder, kept): (&mpsc::Sender<Event>, Option<&Tap>, &KeptPorts),
) -> io::Result<MediaHandle> {
    let count = match config.threads {
        0 => std::thread::available_parallelism().map_or(1, NonZero::get) - 1,
        n => usize::from(n),
    };
    let count = count.clamp(1, usize::from(u8::MAX));
    let mut threads = Threads { threads: vec![] };
    let (ready, readiness) = sync_channel(count);
    for n in 0..count {
        let wake = Wake::new()?;
        let (orders, inbox) = orders::queue(ORDERS_MAX);
        let gauge = Arc::new(Gauge::default());
        let means = Means {
            inbox,
            events: events.clone(),
            config: config.clone(),
            library: Arc::clone(library),
            chance: chance.split(),
            gauge: Arc::clone(&gauge),
            recorder: recorder.cloned(),
            kept: kept.clone(),
        };
        let (ready, on_thread) = (ready.clone(), wake.clone());
        let serve = move || match kind {
            Kind::Uring => serve::<Uring>(&on_thread, means, &ready),
            Kind::Epoll => serve::<Epoll>(&on_thread, means, &ready),
        };
        let join = Builder::new().name(format!("media-{n}")).spawn(serve)?;
        let (is_told, join) = (AtomicBool::new(false), Some(join));
        threads.threads.push(Thread { orders, wake, is_told, gauge, join });
    }
    drop(ready);
    let mut priority = Raised::Off;
    for _ in 0..count {
        // Nothing comes from a thread that has panicked.
        priority = readiness.recv().map_err(io::Error::other)??;
    }
    let backend = kind.name();
    match priority {
        Raised::Off => tracing::info!(threads = count, backend, "media threads run"),
        Raised::To(given) => {
            tracing::info!(threads = count, backend, priority = given.name(), "media threads run");
        }
        Raised::Refused(reason) => tracing::info!(
            threads = count,
            backend,
            priority = %format_args!("none: {reason}"),
            "media threads run; LimitRTPRIO= or CAP_SYS_NICE would put them first"
        ),
    }
    Ok(MediaHandle { kind, threads: Arc::new(threads) })
}

/// The backend to use. Fails when the one that is asked for does not work.
fn choose(wanted: Io) -> io::Result<Kind> {
    // On a thread of its own: the end of a ring interrupts what its thread waits for.
    let uring = || {
        let test = Builder::new().spawn(backend::test::<Uring>)?.join();
        let test = test.unwrap_or_else(|_| Err(io::Error::other("the test panicked")));
        test.map_err(|error| io::Error::new(error.kind(), format!("io_uring: {error}")))
    };
    match wanted {
        Io::Epoll => Ok(Kind::Epoll),
        Io::Uring => uring().map(|()| Kind::Uring),
        Io::Auto => Ok(match uring() {
            Ok(()) => Kind::Uring,
            Err(error) => {
                tracing::info!(reason = %error, "media goes by epoll, which costs a little more");
                Kind::Epoll
            }
        }),
    }
}

/// What became of a thread's priority.
enum Raised {
    Off,
    To(Given),
    Refused(io::Error),
}

/// One thread, from its beginning to its end.
fn serve<B: Backend>(wake: &Wake, means: Means, ready: &SyncSender<io::Result<Raised>>) {
    let raised = match means.config.priority {
        Priority::Auto => priority::raise().map_or_else(Raised::Refused, Raised::To),
        Priority::Off => Raised::Off,
    };
    let (backend, begun) = match B::new(wake) {
        Ok(backend) => (Some(backend), Ok(raised)),
        Err(error) => (None, Err(error)),
    };
    // Whoever started it waits for this, unless it has given up.
    let is_awaited = ready.send(begun).is_ok();
    if let Some(backend) = backend.filter(|_| is_awaited) {
        Shard::new(backend, means).run();
    }
}

/// How the loop talks to the media threads. When the last copy is dropped the threads end, and the
/// drop waits for them.
#[derive(Clone)]
pub struct MediaHandle {
    kind: Kind,
    threads: Arc<Threads>,
}

struct Threads {
    threads: Vec<Thread>,
}

struct Thread {
    orders: Orders,
    wake: Wake,
    /// It has orders of which it has not been woken.
    is_told: AtomicBool,
    gauge: Arc<Gauge>,
    join: Option<JoinHandle<()>>,
}

impl MediaHandle {
    /// How many threads there are: [`crate::media::PortId::shard`] runs below this.
    pub fn shards(&self) -> u8 {
        u8::try_from(self.threads.threads.len()).unwrap_or(u8::MAX)
    }

    /// How the threads have done since they started, all together.
    pub fn figures(&self) -> Figures {
        let figures = Figures::of(self.threads.threads.iter().map(|thread| &*thread.gauge));
        Figures { backend: Some(self.kind), threads: self.shards(), ..figures }
    }

    /// Gives a command to the thread of its port. Never waits.
    pub fn send(&self, command: Command) -> Result<(), SendError> {
        self.queue(command)?;
        self.wake();
        Ok(())
    }

    /// The same for one of several commands: its thread takes it up after the next [`Self::wake`].
    pub fn queue(&self, command: Command) -> Result<(), SendError> {
        let shard = shard_of(&command);
        let thread = self.threads.threads.get(usize::from(shard));
        let thread = thread.ok_or(SendError::NoThread(shard))?;
        thread.queue(Order::Command(command)).map_err(|Refused| SendError::Full(shard))
    }

    /// Gives all of these to their threads, each of which carries out its share at one go; the
    /// commands that reach no thread.
    pub fn send_all(&self, commands: Vec<Command>) -> Vec<Command> {
        let mut shares: BTreeMap<u8, Vec<Command>> = BTreeMap::new();
        for command in commands {
            shares.entry(shard_of(&command)).or_default().push(command);
        }
        let mut lost = Vec::new();
        for (shard, share) in shares {
            let refused = match self.threads.threads.get(usize::from(shard)) {
                Some(thread) => thread.queue_or_return(Order::All(share)).err(),
                None => Some(Order::All(share)),
            };
            if let Some(Order::All(share)) = refused {
                lost.extend(share);
            }
        }
        self.wake();
        lost
    }

    /// Wakes every thread for which something has been queued.
    pub fn wake(&self) {
        self.threads.threads.iter().for_each(Thread::wake);
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
        self.queue(order)?;
        self.wake();
        Ok(())
    }

    fn queue(&self, order: Order) -> Result<(), Refused> {
        self.queue_or_return(order).map_err(|_| Refused)
    }

    fn queue_or_return(&self, order: Order) -> Result<(), Order> {
        self.orders.give(order)?;
        self.is_told.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn wake(&self) {
        if !self.is_told.swap(false, Ordering::Relaxed) {
            return;
        }
        // A thread that can't be woken looks into its queue at the next tick anyway.
        if let Err(error) = self.wake.wake() {
            tracing::warn!(%error, "a media thread can't be woken");
        }
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
        | Command::Resume { port, .. }
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
