//! How the border types are shown by `Debug`: what they are and whose, never what is in them. SDP
//! may hold keys of SRTP, headers the number of a caller.

use std::fmt;

use crate::sip::{Event, Invite, Transmit};

impl fmt::Debug for Transmit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Transmit");
        shown.field("flow", &self.flow).field("length", &self.bytes.len()).finish()
    }
}

impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invite").field("flow", &self.flow).finish_non_exhaustive()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut show = |name, fields: &[&dyn fmt::Debug]| {
            let mut shown = f.debug_tuple(name);
            fields.iter().for_each(|field| {
                shown.field(field);
            });
            shown.finish()
        };
        match self {
            Self::Invite { session, request, .. } => show("Invite", &[session, request]),
            Self::Progress { session, code, .. } => show("Progress", &[session, code]),
            Self::Answered { session, .. } => show("Answered", &[session]),
            Self::Confirmed { session, early, .. } => show("Confirmed", &[session, early]),
            Self::Offer { session, .. } => show("Offer", &[session]),
            Self::Reoffered { session, result } => {
                show("Reoffered", &[session, &result.as_ref().map(|_| ())])
            }
            Self::Info { session, .. } => show("Info", &[session]),
            Self::Refer { session, tx, .. } => show("Refer", &[session, tx]),
            Self::Probed { session, alive } => show("Probed", &[session, alive]),
            Self::Ended { session, cause } => show("Ended", &[session, cause]),
            Self::Request { tx, request, .. } => show("Request", &[tx, request]),
            Self::Response { tx, response } => show("Response", &[tx, response]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::sip::{Flow, Policy, SessionId, Transport};

    #[test]
    fn keys_are_never_shown() {
        let local = "127.0.0.1:5060".parse().unwrap();
        let flow =
            Flow { transport: Transport::Udp, local, remote: local, connection: None, name: None };
        let sdp = Bytes::from_static(b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0");
        let policy = Policy {
            rel100: true,
            session_expires: Some(Duration::from_secs(90)),
            advertised: None,
            contact_user: String::new(),
        };
        let (uri, from, to) = ("sip:a".to_owned(), "b".to_owned(), "c".to_owned());
        let (headers, body) = (Vec::new(), Some(sdp.clone()));
        let session = SessionId(1);
        let events = [
            Event::Progress { session, code: 183, sdp: body.clone() },
            Event::Answered { session, sdp: body.clone() },
            Event::Confirmed { session, sdp: body.clone(), early: false },
            Event::Offer { session, sdp: body.clone() },
            Event::Reoffered { session, result: Ok(body) },
        ];
        let shown = format!(
            "{events:?} {:?} {:?}",
            Transmit { flow, bytes: sdp.clone() },
            Invite { flow, uri, from, to, headers, sdp, policy },
        );
        assert!(!shown.contains("inline") && !shown.contains("c2Vj"), "{shown}");
        assert!(shown.contains("Reoffered(SessionId(1), Ok(()))"), "{shown}");
    }
}
