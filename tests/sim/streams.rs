//! Phones behind a connection (TCP), which breaks with the process, by itself, or when a test says
//! so. A phone that is told to connects again, by another port, and registers. Nobody can connect
//! to a phone.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use koebashi::call::switchboard::Input;
use koebashi::sip::{ConnectionId, Flow, Transport};

use super::phone::{Phone, PhoneId};
use super::world::{Parcel, World, server};

/// How soon the service learns that nobody can be connected to.
const REFUSED_AFTER: Duration = Duration::from_millis(1);

/// The connection as the service sees it; `None`: the phone has none.
fn flow(phone: &Phone) -> Option<Flow> {
    let connection = phone.connection?;
    let port = 20_000 + u16::try_from(connection.0).expect("few connections");
    let remote = SocketAddr::new(phone.sip.ip(), port);
    let connection = Some(connection);
    Some(Flow { connection, ..Flow::new(Transport::Tcp, server(), remote) })
}

impl World {
    /// A counselor's phone that connects and registers, and time for it.
    pub(crate) fn add_counselor_by_tcp(&mut self, extension: &str, voice: u8) -> PhoneId {
        let n: u16 = extension.parse().expect("a numeric extension");
        let id = self.add(&format!("10.0.{}.{}:5060", n / 100 + 1, n % 100), voice);
        self.phones[id.0].transport = Transport::Tcp;
        self.connect(id, extension);
        id
    }

    /// A phone connects, registers as `extension`, and there is time for it.
    pub(crate) fn connect(&mut self, id: PhoneId, extension: &str) {
        self.connections += 1;
        let (now, connection) = (self.now, ConnectionId(self.connections));
        self.phones[id.0].connection = Some(connection);
        self.phones[id.0].register(now, extension, &format!("password-{extension}"));
        self.run(Duration::from_millis(200));
    }

    /// A phone's connection breaks, and both ends notice.
    pub(crate) fn disconnect(&mut self, id: PhoneId) {
        let flow = flow(&self.phones[id.0]);
        self.phones[id.0].connection = None;
        if let Some(flow) = flow {
            self.input(Input::FlowFailed(flow));
            self.flush();
        }
    }

    /// Where a message of `from` comes by; `None`: it does not arrive.
    pub(super) fn flow_from(&self, from: SocketAddr) -> Option<Flow> {
        match self.phones.iter().find(|it| it.sip == from && it.transport.is_stream()) {
            Some(phone) => flow(phone),
            None => Some(Flow::new(Transport::Udp, server(), from)),
        }
    }

    /// Sends by a connection, where it is there.
    pub(super) fn send_by(&mut self, by: Flow, bytes: &Bytes) {
        let is_it = |open: Flow| match by.connection {
            Some(connection) => open.connection == Some(connection),
            None => open.remote == by.remote,
        };
        let phone = self.phones.iter().find(|phone| flow(phone).is_some_and(is_it));
        match phone.map(|phone| phone.sip) {
            Some(to) => {
                self.note_ending(server(), to, bytes);
                self.note_terms(server(), to, bytes);
                self.send(server(), to, bytes);
            }
            None => self.post(REFUSED_AFTER, Parcel::NoConnection(by)),
        }
    }
}
