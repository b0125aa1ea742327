//! The memory that packets are received into and sent from, shared with the kernel.
//!
//! Owns every buffer and who has it: the kernel (offered for receiving, or being sent from), or
//! us, between the report of a packet and its return. A [`Buffer`] is ours and unique: whoever
//! holds it may write. One that is handed to the kernel for sending is known by its number only,
//! until the kernel has reported the end.
#![expect(unsafe_code, reason = "memory that is shared with the kernel has no safe interface")]

use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

use crate::shell::media_thread::backend::address::LENGTH;
use crate::shell::media_thread::backend::control::{self, Told};
use crate::shell::media_thread::backend::{PACKET_MAX, ROOM};

/// Buffers for packets that come; a power of two. When all are taken, packets wait in their
/// sockets.
pub(super) const RECEIVE: u16 = 1024;
/// Buffers for packets of our own.
const OWN: u16 = 1024;
/// The group under which the kernel knows the buffers for receiving.
pub(super) const GROUP: u16 = 0;

/// What the kernel writes before a packet: four numbers (`io_uring_recvmsg_out`), the address, the
/// control messages.
pub(super) const FRONT: usize = NUMBERS + LENGTH + control::LENGTH;
const NUMBERS: usize = 16;
/// From one buffer to the next: whole cache lines, and an odd number of them, so that the heads of
/// all buffers don't fall into the same few sets of the cache.
const STRIDE: usize = (FRONT + PACKET_MAX + ROOM).next_multiple_of(128) + 64;

/// Memory that begins with a page.
#[repr(C, align(4096))]
#[derive(Clone, Copy)]
struct Page([u8; 4096]);

/// Pages whose address the kernel knows.
struct Pages {
    first: *mut Page,
    count: usize,
}

impl Pages {
    fn new(bytes: usize) -> Self {
        let count = bytes.div_ceil(size_of::<Page>());
        let pages = vec![Page([0; 4096]); count].into_boxed_slice();
        Self { first: Box::into_raw(pages).cast(), count }
    }

    fn base(&self) -> *mut u8 {
        self.first.cast()
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: `new` took these pages out of a box of this length, and nobody else gives them
        // back. Whoever drops them has made sure that the kernel does not write to them any more
        // (`Buffers::forget` otherwise).
        drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(self.first, self.count)) });
    }
}

/// A buffer that is ours.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Buffer(u16);

impl Buffer {
    pub(super) fn number(&self) -> u16 {
        self.0
    }
}

/// A packet that lies in a buffer.
pub(super) struct Received<'a> {
    pub(super) from: [u8; LENGTH],
    pub(super) told: Told,
    /// The packet and the room behind it.
    pub(super) bytes: &'a mut [u8],
    pub(super) length: usize,
}

/// All buffers.
pub(super) struct Buffers {
    memory: Pages,
    ring: Pages,
    /// How many buffers have been offered for receiving; the kernel has seen `published`.
    offered: u16,
    published: u16,
    own: Vec<Buffer>,
}

impl Buffers {
    /// All buffers, those for receiving offered. Fails when the kernel knows no rings of buffers.
    pub(super) fn new(submitter: &Submitter<'_>) -> io::Result<Self> {
        let count = usize::from(RECEIVE) + usize::from(OWN);
        let mut buffers = Self {
            memory: Pages::new(count * STRIDE + size_of::<u64>()),
            ring: Pages::new(usize::from(RECEIVE) * size_of::<BufRingEntry>()),
            offered: 0,
            published: 0,
            own: (RECEIVE..RECEIVE + OWN).map(Buffer).collect(),
        };
        let ring = buffers.ring.base() as u64;
        // SAFETY: the address is that of RECEIVE entries, on a page of their own. They live until
        // the ring that they are registered with is closed, or are never given back (`forget`).
        unsafe { submitter.register_buf_ring_with_flags(ring, RECEIVE, GROUP, 0)? };
        (0..RECEIVE).for_each(|n| buffers.give_back(Buffer(n)));
        buffers.publish();
        Ok(buffers)
    }

    /// The buffer that the kernel has just named in a report; it is ours from here on.
    pub(super) fn named(&self, number: u16) -> Option<Buffer> {
        (number < RECEIVE + OWN).then_some(Buffer(number))
    }

    /// A free buffer for a packet of our own.
    pub(super) fn take_own(&mut self) -> Option<Buffer> {
        self.own.pop()
    }

    /// Returns a buffer to where it came from. Those for receiving go out with the next
    /// [`Buffers::publish`].
    pub(super) fn give_back(&mut self, buffer: Buffer) {
        if buffer.0 >= RECEIVE {
            return self.own.push(buffer);
        }
        let address = self.at(&buffer) as u64;
        let place = usize::from(self.offered % RECEIVE);
        // SAFETY: `place` is below RECEIVE, the number of entries behind the pointer. The kernel
        // reads an entry only after the tail has passed it, which is `publish`'s to do, and there
        // are as many entries as buffers: none is written over. The reference ends with the block.
        let entry = unsafe { &mut *self.ring.base().cast::<BufRingEntry>().add(place) };
        entry.set_addr(address);
        entry.set_len((FRONT + PACKET_MAX) as u32);
        entry.set_bid(buffer.0);
        self.offered = self.offered.wrapping_add(1);
    }

    /// Lets the kernel see what has been given back; true when it was anything.
    pub(super) fn publish(&mut self) -> bool {
        if self.offered == self.published {
            return false;
        }
        // SAFETY: the pointer is that of the first entry, in which the kernel's interface keeps the
        // tail, aligned for 16 bits; entries are written (`give_back`) without touching it. Both
        // sides use it atomically.
        let tail = unsafe {
            let first = self.ring.base().cast::<BufRingEntry>();
            AtomicU16::from_ptr(BufRingEntry::tail(first).cast_mut())
        };
        tail.store(self.offered, Ordering::Release);
        self.published = self.offered;
        true
    }

    /// What the kernel wrote into a buffer; `None` when the packet is not whole.
    pub(super) fn received(&mut self, buffer: &Buffer, written: usize) -> Option<Received<'_>> {
        const CUT: u32 = nix::libc::MSG_TRUNC as u32;
        let (front, bytes) = self.bytes(buffer).split_at_mut(FRONT);
        let length = written.checked_sub(FRONT).filter(|length| *length <= PACKET_MAX)?;
        let number = |at: usize| front.get(at..)?.first_chunk().map(|n| u32::from_ne_bytes(*n));
        let (messages, flags) = (number(4)?, number(12)?);
        let from = *front.get(NUMBERS..)?.first_chunk::<LENGTH>()?;
        let told = control::read(front.get(NUMBERS + LENGTH..)?.get(..messages as usize)?);
        (flags & CUT == 0).then_some(Received { from, told, bytes, length })
    }

    /// The buffer's two parts: what stands before a packet, and the packet's place.
    pub(super) fn parts(&mut self, buffer: &Buffer) -> (&mut [u8; FRONT], &mut [u8]) {
        let (front, bytes) = self.bytes(buffer).split_at_mut(FRONT);
        match front.first_chunk_mut() {
            Some(front) => (front, bytes),
            // The split is at this length.
            None => unreachable!(),
        }
    }

    fn bytes(&mut self, buffer: &Buffer) -> &mut [u8] {
        // SAFETY: the buffer lies within the memory (`at`). It is ours: the kernel has reported its
        // end of it and not been given it back, which takes the `Buffer` away. The borrow of `self`
        // keeps a second slice from being made.
        unsafe { std::slice::from_raw_parts_mut(self.at(buffer), FRONT + PACKET_MAX + ROOM) }
    }

    fn at(&self, buffer: &Buffer) -> *mut u8 {
        // SAFETY: numbers are below RECEIVE + OWN (`named`, `new`), and the memory has that many
        // strides.
        unsafe { self.memory.base().add(usize::from(buffer.0) * STRIDE) }
    }

    /// Eight bytes into which the kernel may write what we never read.
    pub(super) fn nowhere(&self) -> *mut u8 {
        // SAFETY: `new` has made the memory eight bytes longer than the buffers.
        unsafe { self.memory.base().add(usize::from(RECEIVE + OWN) * STRIDE) }
    }

    /// Never gives the memory back: the kernel may still write to it.
    pub(super) fn forget(self) {
        std::mem::forget((self.memory, self.ring));
    }
}
