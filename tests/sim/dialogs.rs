//! A phone's dialogs as they are seen on the wire, so that a script can send what the stack has no verb
//! for (REFER), in a dialog that the stack goes on using.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

use bytes::Bytes;
use koebashi::sip::SessionId;
use koebashi::sip::header::Name;
use koebashi::sip::message::{Message, Method};

/// One dialog, from the phone's side.
#[derive(Clone, Debug, Default)]
struct Dialog {
    ours: String,
    theirs: String,
    target: String,
    /// `CSeq` of the stack's latest request.
    seq: u32,
    /// The stack's `CSeq` after which each request of the script was sent.
    scripted: Vec<u32>,
}

impl Dialog {
    /// What the stack's sequence number is on the wire: the script's requests come in between.
    fn shifted(&self, seq: u32) -> u32 {
        seq + self.scripted.iter().filter(|after| **after < seq).count() as u32
    }

    /// The stack's number of one on the wire; `None`: the script's.
    fn unshifted(&self, wire: u32) -> Option<u32> {
        let most = self.scripted.len() as u32;
        (0..=most).filter_map(|n| wire.checked_sub(n)).find(|seq| self.shifted(*seq) == wire)
    }
}

/// All dialogs of a phone, by Call-ID.
#[derive(Default)]
pub(crate) struct Dialogs {
    known: BTreeMap<String, Dialog>,
    /// Call-IDs of the phone's sessions.
    sessions: BTreeMap<SessionId, String>,
    /// A session that was just begun: the next new INVITE is its own.
    begun: Vec<SessionId>,
    /// What the script wants sent.
    pub outbox: Vec<Bytes>,
    /// Final codes of the script's requests, in order.
    pub codes: Vec<u16>,
    /// The latest challenge to an INVITE.
    pub challenge: Option<String>,
    branches: u32,
}

impl Dialogs {
    /// The phone calls: the next INVITE is this session's.
    pub(crate) fn begun(&mut self, session: SessionId) {
        self.begun.push(session);
    }

    /// The session of this dialog.
    pub(crate) fn session_of(&self, call_id: &str) -> Option<SessionId> {
        let mut all = self.sessions.iter();
        all.find(|(_, known)| *known == call_id).map(|(session, _)| *session)
    }

    /// The phone is switched on again.
    pub(crate) fn forget(&mut self) {
        *self = Self { branches: self.branches, ..Self::default() };
    }

    /// The phone is called.
    pub(crate) fn rung(&mut self, session: SessionId, invite: &Message) {
        self.sessions.insert(session, invite.call_id().expect("a Call-ID").to_owned());
    }

    /// Notes what the stack sends; its `CSeq` makes room for the script's.
    pub(crate) fn outgoing(&mut self, bytes: &Bytes) -> Bytes {
        let message = Message::parse(bytes).expect("what a phone sends can be read");
        let (call_id, from, to) = named(&message);
        if message.is_request() {
            let is_new = message.method() == Some(&Method::Invite) && !to.contains(";tag=");
            if is_new && !self.sessions.values().any(|known| *known == call_id) {
                let session = self.begun.remove(0);
                self.sessions.insert(session, call_id.clone());
            }
            let dialog = self.known.entry(call_id).or_default();
            (dialog.ours, dialog.theirs) = (from, to);
            let cseq = message.cseq().expect("a CSeq");
            dialog.seq = dialog.seq.max(cseq.seq);
            return renumbered(bytes, &message, dialog.shifted(cseq.seq));
        }
        if to.contains(";tag=") {
            let dialog = self.known.entry(call_id).or_default();
            (dialog.ours, dialog.theirs) = (to, from);
        }
        bytes.clone()
    }

    /// Notes what has come; `None`: it answers the script's request, not the stack's.
    pub(crate) fn incoming(&mut self, bytes: &[u8]) -> Option<Bytes> {
        let bytes = Bytes::copy_from_slice(bytes);
        let Ok(message) = Message::parse(&bytes) else { return Some(bytes) };
        let (call_id, _, to) = named(&message);
        let cseq = message.cseq().expect("a CSeq");
        let dialog = self.known.entry(call_id).or_default();
        if let Some(contact) = message.text(&Name::Contact)
            && cseq.method == Method::Invite
        {
            let uri = contact.trim_start_matches('<').split('>').next().unwrap_or(contact);
            uri.clone_into(&mut dialog.target);
        }
        let Some(code) = message.code() else { return Some(bytes) };
        if cseq.method == Method::Invite && code == 401 {
            self.challenge = message.text(&Name::WwwAuthenticate).map(str::to_owned);
        }
        if cseq.method == Method::Invite && (101..300).contains(&code) {
            dialog.theirs = to;
        }
        match dialog.unshifted(cseq.seq) {
            Some(seq) => Some(renumbered(&bytes, &message, seq)),
            None => {
                self.codes.extend((code >= 200).then_some(code));
                None
            }
        }
    }

    /// Sends a request in a session's dialog.
    pub(crate) fn request(
        &mut self,
        session: SessionId,
        me: SocketAddr,
        method: &str,
        headers: &[(&str, &str)],
    ) {
        let call_id = self.sessions.get(&session).expect("the session was on the wire").clone();
        let dialog = self.known.get_mut(&call_id).expect("the dialog was on the wire");
        let seq = dialog.shifted(dialog.seq + 1);
        dialog.scripted.push(dialog.seq);
        self.branches += 1;
        let Dialog { ours, theirs, target, .. } = dialog;
        let mut text = format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {me};branch=z9hG4bKscript{}{seq}\r\n\
             Max-Forwards: 70\r\nFrom: {ours}\r\nTo: {theirs}\r\nCall-ID: {call_id}\r\n\
             CSeq: {seq} {method}\r\nContact: <sip:{me}>\r\n",
            self.branches
        );
        for (name, value) in headers {
            write!(text, "{name}: {value}\r\n").expect("a string takes it");
        }
        text += "Content-Length: 0\r\n\r\n";
        self.outbox.push(Bytes::from(text));
    }

    /// What names a session's dialog in Refer-To (RFC 3891 §3, RFC 3515 §2.1), escaped.
    pub(crate) fn replaces(&self, session: SessionId) -> String {
        let call_id = self.sessions.get(&session).expect("the session was on the wire");
        let dialog = self.known.get(call_id).expect("the dialog was on the wire");
        let tag = |value: &str| value.split(";tag=").nth(1).expect("a tag").to_owned();
        let (to, from) = (tag(&dialog.theirs), tag(&dialog.ours));
        format!("Replaces={call_id}%3Bto-tag%3D{to}%3Bfrom-tag%3D{from}")
    }
}

fn named(message: &Message) -> (String, String, String) {
    let text = |name: &Name| message.text(name).unwrap_or_default().to_owned();
    (text(&Name::CallId), text(&Name::From), text(&Name::To))
}

fn renumbered(bytes: &Bytes, message: &Message, seq: u32) -> Bytes {
    let cseq = message.cseq().expect("a CSeq");
    if cseq.seq == seq {
        return bytes.clone();
    }
    let text = String::from_utf8(bytes.to_vec()).expect("what the stack sends is text");
    let (old, new) = (format!("CSeq: {} ", cseq.seq), format!("CSeq: {seq} "));
    Bytes::from(text.replacen(&old, &new, 1))
}
