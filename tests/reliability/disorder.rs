//! A network that is late and out of order, by a seed: what is sent to SIP ports goes through a
//! queue of the kernel's (NFQUEUE), and leaves it when chance says.
//!
//! Owns the rule and the thread that lets go. To be started in a namespace of its own.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use koebashi::chance::Chance;
use nfq::{Message, Queue, Verdict};

use crate::apart::{queue, unqueue};

/// The kernel's number of the queue; namespaces have their own.
const NUMBER: u16 = 7;
/// How often it is looked at.
const GRAIN: Duration = Duration::from_millis(1);
/// Milliseconds that any datagram may be late, and those of whom others overtake it.
const JITTER: u64 = 80;
const OVERTAKEN: u64 = 200;
/// Percent that are overtaken.
const SHARE: u64 = 10;

/// The network is in disorder as long as this lives.
pub(crate) struct Disorder {
    stop: Arc<AtomicBool>,
    seen: Arc<Seen>,
    thread: Option<JoinHandle<()>>,
}

/// What the network has done.
#[derive(Debug, Default)]
struct Seen {
    /// Datagrams that were let go, and those of them that a later one had overtaken.
    all: AtomicU64,
    overtaken: AtomicU64,
}

impl Disorder {
    /// Begins it.
    pub(crate) fn begin(seed: u64) -> Result<Self, Box<dyn Error>> {
        queue("5060", NUMBER)?;
        let mut kernel = Queue::open()?;
        kernel.bind(NUMBER)?;
        kernel.set_nonblocking(true);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let chance = Chance::from_number(seed);
        let seen = Arc::<Seen>::default();
        let seeing = Arc::clone(&seen);
        let hold = move || hold(kernel, chance, &stopped, &seeing);
        let thread = thread::Builder::new().name("disorder".to_owned()).spawn(hold)?;
        Ok(Self { stop, seen, thread: Some(thread) })
    }

    /// How many datagrams it has let go, and how many of them came after a later one.
    pub(crate) fn seen(&self) -> (u64, u64) {
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        (count(&self.seen.all), count(&self.seen.overtaken))
    }
}

impl Drop for Disorder {
    fn drop(&mut self) {
        unqueue().ok();
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// Lets go of each datagram when it is due.
fn hold(mut queue: Queue, mut chance: Chance, stop: &AtomicBool, seen: &Seen) {
    let mut held = BTreeMap::<(Instant, u64), Message>::new();
    let (mut count, mut latest) = (0, 0);
    while !stop.load(Ordering::Relaxed) || !held.is_empty() {
        let now = Instant::now();
        while let Ok(message) = queue.recv() {
            let extra = if chance.below(100) < SHARE { OVERTAKEN } else { 0 };
            let late = Duration::from_millis(chance.below(JITTER) + extra);
            held.insert((now + late, count), message);
            count += 1;
        }
        let later = held.split_off(&(now, u64::MAX));
        for ((_, n), mut message) in std::mem::replace(&mut held, later) {
            seen.all.fetch_add(1, Ordering::Relaxed);
            seen.overtaken.fetch_add(u64::from(n < latest), Ordering::Relaxed);
            latest = latest.max(n);
            message.set_verdict(Verdict::Accept);
            queue.verdict(message).ok();
        }
        thread::sleep(GRAIN);
    }
}
