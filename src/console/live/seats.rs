//! Places for readers of streams: so many in all, and so many of one account.
//!
//! Owns who has which. Whoever takes one place too many for their account gets that of the
//! account's oldest stream, which ends: the page that was opened last is the one that is looked at.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::response::sse::Event;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::config::Console;
use crate::console::sign_in::{From, Person};

/// Whose places are counted together: an account's, or a command's that shows the machine's token,
/// by where it comes from.
type Holder = (String, Option<IpAddr>);

/// Places for readers.
#[derive(Clone)]
pub(in crate::console) struct Seats {
    free: Arc<Semaphore>,
    each: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    count: u64,
    /// The oldest first.
    places: BTreeMap<Holder, VecDeque<Place>>,
}

struct Place {
    n: u64,
    permit: OwnedSemaphorePermit,
    /// Dropped when somebody else gets the place.
    _keeps: oneshot::Sender<()>,
}

impl Seats {
    /// As many as the configuration says.
    pub(in crate::console) fn new(limits: &Console) -> Self {
        Self {
            free: Arc::new(Semaphore::new(limits.subscribers)),
            each: limits.subscribers_per_account,
            taken: Arc::default(),
        }
    }

    /// A place; `None`: all are taken, and none of them by this account's own streams.
    pub(in crate::console) fn take(&self, person: &Person, from: From) -> Option<Seat> {
        let holder = (person.name.clone(), person.is_machine().then_some(from.0));
        let mut taken = self.lock();
        let own = taken.places.get_mut(&holder);
        let oldest = own.filter(|own| own.len() >= self.each).and_then(VecDeque::pop_front);
        let permit = match oldest {
            Some(Place { permit, .. }) => permit,
            None => Arc::clone(&self.free).try_acquire_owned().ok()?,
        };
        taken.count += 1;
        let n = taken.count;
        let (keeps, moved) = oneshot::channel();
        let place = Place { n, permit, _keeps: keeps };
        taken.places.entry(holder.clone()).or_default().push_back(place);
        drop(taken);
        Some(Seat { seats: self.clone(), holder, n, moved })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reader's place, free again when this is dropped.
pub(in crate::console) struct Seat {
    seats: Seats,
    holder: Holder,
    n: u64,
    moved: oneshot::Receiver<()>,
}

impl Seat {
    /// What `work` gives; `None`, and to be asked no more: a newer stream of the same account has
    /// got the place.
    pub(in crate::console) async fn until<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            // Nothing is ever sent: the other end goes.
            _ = &mut self.moved => None,
        }
    }
}

/// The last event of a stream whose place a newer one has got.
pub(in crate::console) fn moved() -> Event {
    Event::default().event("moved").data("-")
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        let Some(own) = taken.places.get_mut(&self.holder) else { return };
        own.retain(|place| place.n != self.n);
        if own.is_empty() {
            taken.places.remove(&self.holder);
        }
    }
}
