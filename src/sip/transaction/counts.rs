//! What the stack counts.

use std::collections::BTreeMap;

use crate::sip::message::Method;

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// To us.
    In,
    /// From us.
    Out,
}

/// Counters since the start, and how much there is at the moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Transactions that exist.
    pub transactions: usize,
    /// Sessions that exist, those that are just ending included.
    pub sessions: usize,
    /// Messages that could not be understood.
    pub malformed: u64,
    /// Requests of unknown peers that got no answer.
    pub dropped_strangers: u64,
    /// Responses and ACKs that belong to nothing.
    pub unmatched: u64,
    /// Requests dropped because there were too many transactions.
    pub overloaded: u64,
    /// New calls refused because we were behind, or had nearly too many transactions.
    pub shed: u64,
    /// Messages of strangers that were not looked at, since there were too many.
    pub flooded: u64,
    /// Answers to strangers that would have been much longer than what they sent.
    pub amplifying: u64,
    /// Messages by method (of a response: that of its request) and direction, retransmissions
    /// included. Methods that we don't know count together as `Other("other")`.
    pub messages: BTreeMap<(Method, Direction), u64>,
}

impl Counts {
    /// Counts a message.
    pub(crate) fn message(&mut self, method: &Method, direction: Direction) {
        let method = match method {
            Method::Other(_) => Method::Other("other".into()),
            known @ (Method::Invite
            | Method::Ack
            | Method::Bye
            | Method::Cancel
            | Method::Register
            | Method::Options
            | Method::Prack
            | Method::Update
            | Method::Info
            | Method::Refer
            | Method::Notify
            | Method::Subscribe
            | Method::Message
            | Method::Publish) => known.clone(),
        };
        *self.messages.entry((method, direction)).or_default() += 1;
    }
}
