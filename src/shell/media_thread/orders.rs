//! The queue in which a media thread finds its orders.
//!
//! Owns the queue and its two ends, of which neither waits for the other, nor spins: a media thread
//! that comes before all others and waits for a loop that was interrupted while it wrote would keep
//! it from ever writing on, where both have the same processor.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use super::Order;

struct Queue {
    orders: VecDeque<Order>,
    /// There is no sender any more.
    is_over: bool,
}

/// The loop's end. When it is dropped the thread ends, after what is left.
pub(super) struct Orders {
    queue: Arc<Mutex<Queue>>,
    max: usize,
}

/// The thread's end.
pub(super) struct Inbox(Arc<Mutex<Queue>>);

/// What is in the inbox.
pub(super) enum Found {
    One(Order),
    Nothing,
    /// Somebody writes just now: it is to be looked at again in a moment.
    Busy,
    /// Nothing, and nothing will come.
    Over,
}

/// A queue for so many orders.
pub(super) fn queue(max: usize) -> (Orders, Inbox) {
    let queue = Arc::new(Mutex::new(Queue { orders: VecDeque::new(), is_over: false }));
    (Orders { queue: Arc::clone(&queue), max }, Inbox(queue))
}

impl Orders {
    /// Puts an order in. It comes back when the queue is full.
    pub(super) fn give(&self, order: Order) -> Result<(), Order> {
        let mut queue = self.lock();
        if queue.orders.len() >= self.max {
            return Err(order);
        }
        queue.orders.push_back(order);
        Ok(())
    }

    /// Held for moments. A panic leaves the queue whole.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Orders {
    fn drop(&mut self) {
        self.lock().is_over = true;
    }
}

impl Inbox {
    /// Takes the next order, without ever waiting.
    pub(super) fn take(&self) -> Found {
        let mut queue = match self.0.try_lock() {
            Ok(queue) => queue,
            Err(TryLockError::Poisoned(queue)) => queue.into_inner(),
            Err(TryLockError::WouldBlock) => return Found::Busy,
        };
        match queue.orders.pop_front() {
            Some(order) => Found::One(order),
            None if queue.is_over => Found::Over,
            None => Found::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_come_out_as_they_went_in_and_then_the_end() {
        let (orders, inbox) = queue(2);
        assert!(matches!(inbox.take(), Found::Nothing));
        assert!(orders.give(Order::All(vec![])).is_ok());
        assert!(orders.give(Order::Stop).is_ok());
        assert!(matches!(orders.give(Order::Stop), Err(Order::Stop)), "it is full");
        assert!(matches!(inbox.take(), Found::One(Order::All(_))));
        drop(orders);
        assert!(matches!(inbox.take(), Found::One(Order::Stop)), "what is left is carried out");
        assert!(matches!(inbox.take(), Found::Over));
    }

    #[test]
    fn whoever_is_interrupted_while_they_write_is_not_waited_for() {
        let (orders, inbox) = queue(2);
        let writes = orders.lock();
        assert!(matches!(inbox.take(), Found::Busy));
        drop(writes);
        assert!(matches!(inbox.take(), Found::Nothing));
    }
}
