//! What is kept of SIP over a restart of the process: one [`Session`] and one [`Phone`] each, as
//! JSON that another version of the program can read too.
//!
//! Owns the forms and their reading and printing. Making them from what lives, and what lives from
//! them, is the work of those who own that: `session`, `transaction`, `dialog`, `registrar`.
//!
//! Kept of a session: its dialog (tags, `CSeq` of both sides, routes, target, flow), the session
//! timer with its deadlines, the descriptions that were exchanged last, and of its transactions
//! those that must not be forgotten:
//!
//! * an INVITE that we have not answered, and the last response to it: so that it can be answered,
//!   and that its retransmissions and its CANCEL are understood;
//! * a 2xx of ours without ACK: it is sent again until then;
//! * an INVITE of ours without answer: it is cancelled, and an answer that crosses is acknowledged
//!   and ended; whoever wanted it calls again;
//! * the ACK that a 2xx to our INVITE got: further copies of the 2xx get it again;
//! * a re-INVITE or UPDATE of ours that waits for its answer, and a BYE: sent again as they were.
//!
//! Not kept, because both sides can do without: other requests in flight. One of the peer's comes
//! again and is answered anew (its `CSeq` is not too old), one of ours (INFO, NOTIFY, OPTIONS,
//! PRACK) is not waited for. An offer of the peer's that nobody has answered yet is answered in the
//! step in which it comes, so that there is none. Connections don't outlive the process: a flow is
//! kept without.
//!
//! A session names the caller's number (From). It is written nowhere else than into the journal,
//! which is encrypted; no form has `Debug`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{DefaultHasher, Hasher};
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use serde::de::{self, DeserializeOwned};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{NameId, Transport};

/// What a form is written in. A later one may say more; what it says differently has a higher
/// number.
pub const FORMAT: u32 = 1;

/// No number that is given out one after the other comes to this: larger ones are damage.
pub const ID_MAX: u64 = 1 << 53;

/// Why something kept can't be read. It quotes nothing, because a number may be in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is not what it should be, from this byte on.
    #[error("damaged at byte {0}")]
    Damaged(usize),
    /// A later version of the program wrote it.
    #[error("of format {0}, which is not known")]
    Newer(u32),
    /// It does not make sense.
    #[error("no {0} in it")]
    Without(&'static str),
}

/// The number alone: read first, so that a later format is told from damage.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// Prints a form.
pub fn print<T: Serialize>(form: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(2048);
    let printed = Printed { format: FORMAT, form };
    // Never fails: forms have only text for keys, and a vector takes everything.
    let _done = serde_json::to_writer(&mut out, &printed);
    out
}

/// A form to print, with its format number.
#[derive(Serialize)]
struct Printed<'a, T> {
    format: u32,
    form: &'a T,
}

/// A form that was read, with its format number.
#[derive(Deserialize)]
struct Read<T> {
    form: T,
}

/// Reads a form.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unreadable> {
    let damaged = |error: serde_json::Error| Unreadable::Damaged(error.column());
    let Format { format } = serde_json::from_slice(bytes).map_err(damaged)?;
    if format > FORMAT {
        return Err(Unreadable::Newer(format));
    }
    serde_json::from_slice::<Read<T>>(bytes).map(|read| read.form).map_err(damaged)
}

/// Which of many things have changed since they were kept last: those that were touched, and a
/// print of each as it is known to the journal.
#[derive(Debug)]
pub struct Ledger<K> {
    touched: BTreeSet<K>,
    prints: BTreeMap<K, u64>,
}

impl<K> Default for Ledger<K> {
    fn default() -> Self {
        Self { touched: BTreeSet::new(), prints: BTreeMap::new() }
    }
}

impl<K: Ord + Clone> Ledger<K> {
    /// It may have changed.
    pub fn touch(&mut self, key: K) {
        self.touched.insert(key);
    }

    /// The journal has something of it, which is to be written anew.
    pub fn found(&mut self, key: K) {
        self.prints.insert(key.clone(), 0);
        self.touched.insert(key);
    }

    /// What has changed since it was asked last; `None`: it is gone.
    pub fn take(&mut self, value: impl Fn(&K) -> Option<Vec<u8>>) -> Vec<(K, Option<Bytes>)> {
        let mut changed = Vec::new();
        for key in std::mem::take(&mut self.touched) {
            match value(&key) {
                Some(bytes) => {
                    let mut hasher = DefaultHasher::new();
                    hasher.write(&bytes);
                    let print = hasher.finish();
                    if self.prints.insert(key.clone(), print) != Some(print) {
                        changed.push((key, Some(Bytes::from(bytes))));
                    }
                }
                None if self.prints.remove(&key).is_some() => changed.push((key, None)),
                None => {}
            }
        }
        changed
    }
}

/// Bytes that are text nearly always, and are written as that then.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(pub Bytes);

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match str::from_utf8(&self.0) {
            Ok(text) => to.serialize_str(text),
            Err(_) => to.collect_seq(self.0.iter()),
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either<'a> {
            Text(#[serde(borrow)] Cow<'a, str>),
            Bytes(Vec<u8>),
        }
        Ok(Self(match Either::deserialize(from)? {
            Either::Text(text) => Bytes::from(text.into_owned()),
            Either::Bytes(bytes) => Bytes::from(bytes),
        }))
    }
}

/// A flow, without its connection.
#[derive(Clone, Serialize, Deserialize)]
pub struct Flow {
    #[serde(with = "by")]
    by: Transport,
    local: SocketAddr,
    remote: SocketAddr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<u32>,
}

mod by {
    use super::{Deserialize, Deserializer, Serializer, Transport, de};

    pub(super) fn serialize<S: Serializer>(it: &Transport, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(it.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Transport, D::Error> {
        let name = String::deserialize(from)?;
        let all = [Transport::Udp, Transport::Tcp, Transport::Tls];
        all.into_iter().find(|it| it.name() == name).ok_or_else(|| de::Error::custom("transport"))
    }
}

impl From<super::Flow> for Flow {
    fn from(flow: super::Flow) -> Self {
        let super::Flow { transport: by, local, remote, connection: _, name } = flow;
        Self { by, local, remote, name: name.map(|name| name.0) }
    }
}

impl From<Flow> for super::Flow {
    fn from(flow: Flow) -> Self {
        let Flow { by, local, remote, name } = flow;
        Self { name: name.map(NameId), ..Self::new(by, local, remote) }
    }
}

/// How the peer is dealt with.
#[derive(Serialize, Deserialize)]
pub(crate) struct Policy {
    pub(crate) rel100: bool,
    /// In seconds.
    #[serde(default)]
    pub(crate) session_expires: Option<u64>,
    #[serde(default)]
    pub(crate) advertised: Option<IpAddr>,
    pub(crate) contact_user: String,
}

impl From<&super::Policy> for Policy {
    fn from(policy: &super::Policy) -> Self {
        Self {
            rel100: policy.rel100,
            session_expires: policy.session_expires.map(|it| it.as_secs()),
            advertised: policy.advertised,
            contact_user: policy.contact_user.clone(),
        }
    }
}

impl From<Policy> for super::Policy {
    fn from(policy: Policy) -> Self {
        Self {
            rel100: policy.rel100,
            session_expires: policy.session_expires.map(std::time::Duration::from_secs),
            advertised: policy.advertised,
            contact_user: policy.contact_user,
        }
    }
}

/// A dialog.
#[derive(Serialize, Deserialize)]
pub(crate) struct Dialog {
    pub(crate) call_id: String,
    /// With its tag.
    pub(crate) local: String,
    pub(crate) remote: String,
    pub(crate) local_tag: String,
    pub(crate) remote_tag: String,
    pub(crate) local_seq: u32,
    #[serde(default)]
    pub(crate) remote_seq: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) routes: Vec<String>,
    pub(crate) target: String,
    #[serde(default)]
    pub(crate) is_secure: bool,
    pub(crate) flow: Flow,
    /// The far end of the connection that was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lost: Option<SocketAddr>,
}

/// A request of ours that waits for an answer, or for more copies of the one that it got.
#[derive(Serialize, Deserialize)]
pub(crate) struct Client {
    pub(crate) request: Text,
    pub(crate) flow: Flow,
    /// A provisional response has come.
    #[serde(default)]
    pub(crate) heard: bool,
    /// The ACKs that its 2xx got.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) acks: Vec<Ack>,
}

/// The ACK that a 2xx with this tag got.
#[derive(Serialize, Deserialize)]
pub(crate) struct Ack {
    pub(crate) tag: String,
    pub(crate) flow: Flow,
    pub(crate) ack: Text,
}

/// An INVITE of the peer's that has no final response, or a 2xx without ACK.
#[derive(Serialize, Deserialize)]
pub(crate) struct Server {
    pub(crate) request: Text,
    pub(crate) source: Flow,
    /// Ours.
    pub(crate) tag: String,
    /// The latest response.
    #[serde(default)]
    pub(crate) last: Option<Text>,
    /// It is a 2xx.
    #[serde(default)]
    pub(crate) accepted: bool,
}

/// A provisional response: code and SDP.
pub(crate) type Ring = (u16, Option<Text>);

/// An INVITE that we have not answered.
#[derive(Serialize, Deserialize)]
pub(crate) struct Incoming {
    pub(crate) server: Server,
    #[serde(default)]
    pub(crate) offerless: bool,
    pub(crate) reliability: Reliability,
    /// RSeq: of the response that waits for PRACK, or of the next one.
    pub(crate) rseq: u32,
    #[serde(default)]
    pub(crate) waiting: bool,
    pub(crate) early: Early,
    #[serde(default)]
    pub(crate) ring: Option<Ring>,
    #[serde(default)]
    pub(crate) next: Option<Ring>,
    #[serde(default)]
    pub(crate) answer: Option<Text>,
    #[serde(default)]
    pub(crate) confirmed: bool,
}

/// Whether provisional responses are sent reliably.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reliability {
    Off,
    Supported,
    Required,
}

/// How far offer and answer have come before the final response.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Early {
    Open,
    Sent,
    Settled,
}

/// Where a session is.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    Incoming(Box<Incoming>),
    /// Our INVITE, wanted or not: nobody waits for it any more when this is read.
    Calling(Client),
    Talking,
    Leaving {
        #[serde(default)]
        reason: Option<String>,
    },
    /// Our BYE.
    Ending(Client),
}

/// A 2xx of ours without ACK.
#[derive(Serialize, Deserialize)]
pub(crate) struct Unacked {
    pub(crate) server: Server,
    pub(crate) seq: u32,
    #[serde(default)]
    pub(crate) offered: bool,
    #[serde(default)]
    pub(crate) initial: bool,
    /// When we give up.
    #[serde(default)]
    pub(crate) until: Option<u64>,
}

/// What we want of the peer.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    Offer(Text),
    Refresh,
}

/// An offer or refresh of ours that is under way.
#[derive(Serialize, Deserialize)]
pub(crate) struct Exchange {
    pub(crate) what: What,
    #[serde(default)]
    pub(crate) glares: u8,
    /// `None`: it met the peer's, and waits to be sent again.
    #[serde(default)]
    pub(crate) sent: Option<Client>,
}

/// The session timer.
#[derive(Serialize, Deserialize)]
pub(crate) struct Timer {
    pub(crate) seconds: u32,
    /// Refreshing is our duty.
    pub(crate) ours: bool,
    #[serde(default)]
    pub(crate) refresh: Option<u64>,
    #[serde(default)]
    pub(crate) expire: Option<u64>,
}

/// A session.
#[derive(Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) id: u64,
    pub(crate) policy: Policy,
    pub(crate) dialog: Dialog,
    /// The Call-ID is ours.
    #[serde(default)]
    pub(crate) owner: bool,
    pub(crate) stage: Stage,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) exchange: Option<Exchange>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) queued: Option<What>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unacked: Option<Unacked>,
    /// Our latest INVITE that was answered, for its ACK.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) answered: Option<Client>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) timer: Option<Timer>,
    #[serde(default)]
    pub(crate) min_se: u32,
    #[serde(default)]
    pub(crate) updates: bool,
    #[serde(default)]
    pub(crate) local_sdp: Option<Text>,
    #[serde(default)]
    pub(crate) remote_sdp: Option<Text>,
}

/// A registration of a phone.
#[derive(Serialize, Deserialize)]
pub(crate) struct Phone {
    pub(crate) user: String,
    pub(crate) uri: String,
    pub(crate) flow: Flow,
    pub(crate) expires: u64,
    #[serde(default)]
    pub(crate) instance: Option<String>,
    #[serde(default)]
    pub(crate) reg_id: Option<u32>,
    pub(crate) call_id: String,
    pub(crate) cseq: u32,
    #[serde(default)]
    pub(crate) user_agent: String,
    /// Questions in a row that it did not answer.
    #[serde(default)]
    pub(crate) missed: u32,
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}
