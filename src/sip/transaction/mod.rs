//! The transaction layer: [`Transactions`] runs the transaction machines (`client`, `server`) and
//! addresses what they send (`via`).
//!
//! Does not own the machines: those are `client_invite`, `client_non_invite`, `server_invite` and
//! `server_non_invite`, made of what is in `machine`. Knows nothing of dialogs.

mod client;
mod counts;
mod server;
mod shed;
mod via;

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Instant;

use bytes::Bytes;

use crate::chance::Chance;
use crate::sip::machine::Timer;
use crate::sip::message::{Message, Method};
use crate::sip::{ClientTx, Flow, ServerTx, SessionId, Transmit};
use crate::time::Timers;

pub(crate) use client::{Outcome, What, sequence};
pub use counts::{Counts, Direction};
pub(crate) use server::Known;
pub(crate) use via::{Place, host, is_sips};

use crate::sip::Config;

/// Whom a transaction serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    /// Nobody: its outcome changes nothing.
    Nobody,
    /// The call path, through `Endpoint::request`.
    Outside,
    /// The same, in the name of somebody unknown: what refuses them is not kept, so that they can't
    /// fill anything, and is not much longer than what they sent.
    Stranger,
    /// A session.
    Session(SessionId),
}

/// Which transaction a deadline belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Deadline {
    Server(ServerTx, Timer),
    Client(ClientTx, Timer),
}

/// All transactions, and what they send.
pub(crate) struct Transactions {
    pub(crate) config: Config,
    pub(crate) chance: Chance,
    pub(crate) counts: Counts,
    transmits: VecDeque<Transmit>,
    timers: Timers<Deadline>,
    servers: BTreeMap<ServerTx, server::Server>,
    server_keys: BTreeMap<server::Key, ServerTx>,
    merges: BTreeMap<server::Merge, ServerTx>,
    clients: BTreeMap<ClientTx, client::Client>,
    client_keys: BTreeMap<client::Key, ClientTx>,
    shed: shed::Shed,
    last: u64,
}

impl Transactions {
    pub(crate) fn new(config: Config, chance: Chance) -> Self {
        Self {
            config,
            chance,
            counts: Counts::default(),
            transmits: VecDeque::new(),
            timers: Timers::default(),
            servers: BTreeMap::new(),
            server_keys: BTreeMap::new(),
            merges: BTreeMap::new(),
            clients: BTreeMap::new(),
            client_keys: BTreeMap::new(),
            shed: shed::Shed::default(),
            last: 0,
        }
    }

    /// How many there are, of both kinds.
    pub(crate) fn len(&self) -> usize {
        self.servers.len() + self.clients.len()
    }

    /// Whether new requests have no room.
    pub(crate) fn is_full(&self) -> bool {
        self.len() >= self.config.max_transactions
    }

    /// Whether new calls have no room: what is left is for those that there are.
    pub(crate) fn is_nearly_full(&self) -> bool {
        self.len() >= self.config.max_transactions / 4 * 3
    }

    /// Whether new requests of strangers have no room.
    pub(crate) fn is_half_full(&self) -> bool {
        self.len() >= self.config.max_transactions / 2
    }

    /// The earliest deadline.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next().map(|(at, _)| at)
    }

    /// What goes out next.
    pub(crate) fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// Lets one timer that is due run out. `None`: no timer is due. `Some(None)`: no user needs to
    /// know.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Option<Option<Outcome>> {
        let due = self.timers.pop_due(now)?;
        Some(match due {
            Deadline::Server(tx, timer) => {
                self.step_server(now, tx, server::On::Timer(timer), None);
                None
            }
            Deadline::Client(tx, timer) => self.expire_client(now, tx, timer),
        })
    }

    /// A new number, never used before.
    pub(crate) fn id(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// This number is used already.
    pub(crate) fn skip_id(&mut self, used: u64) {
        self.last = self.last.max(used);
    }

    /// Sends bytes outside any transaction: ACK to a 2xx, and the answer to what can't be read.
    pub(crate) fn transmit(&mut self, flow: Flow, method: &Method, bytes: Bytes) {
        self.counts.message(method, Direction::Out);
        self.transmits.push_back(Transmit { flow, bytes });
    }

    /// Where we are to be reached by those at the other end of `flow`.
    pub(crate) fn place(&self, flow: Flow, advertised: Option<IpAddr>) -> Place {
        Place::new(flow, advertised.or(self.config.advertised))
    }

    /// The connection is gone: what would use it asks for a new one.
    pub(crate) fn forget_connection(&mut self, flow: Flow) {
        for server in self.servers.values_mut().filter(|it| is_same(it.flow, flow)) {
            server.flow.connection = None;
        }
    }
}

/// Whether two flows are one: a connection is known by its number alone.
pub(crate) fn is_same(a: Flow, b: Flow) -> bool {
    a == b || (a.connection.is_some() && a.connection == b.connection)
}

/// Whether a request sent by `flow` waits in vain when `failed` fails: also one that asked for a
/// connection and was not told which it got.
fn is_hit(flow: Flow, failed: Flow) -> bool {
    let has_asked = flow.transport.is_stream() && flow.connection.is_none();
    let is_there = flow.transport == failed.transport
        && flow.remote == failed.remote
        && flow.name == failed.name;
    is_same(flow, failed) || (has_asked && is_there)
}

/// The tag of an address header; empty when it has none.
pub(crate) fn to_tag(message: &Message) -> &str {
    message.to().ok().and_then(|to| to.tag()).unwrap_or("")
}

/// The same of From.
pub(crate) fn from_tag(message: &Message) -> &str {
    message.from().ok().and_then(|from| from.tag()).unwrap_or("")
}
