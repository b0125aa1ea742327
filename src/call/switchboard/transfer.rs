//! REFER: a counselor hands the caller on, to a colleague or to another line.
//!
//! Owns who may be reached that way: counselors and lines of the configuration, nobody else.
//! Ringing and joining are the call's.

use super::{Owner, Phase, Switchboard, io};
use crate::call::config::{Extension, LineId, Target};
use crate::call::io::Io;
use crate::call::{Cx, Next};
use crate::sip::uri::Uri;
use crate::sip::{self, ServerTx, SessionId};
use crate::time::Now;

/// Where a REFER leads.
enum To {
    Colleague(Extension),
    Line(LineId),
}

impl Switchboard {
    pub(super) fn on_refer(&mut self, now: Now, event: sip::Event) {
        let sip::Event::Refer { session, tx, target, replaces, attended } = event else { return };
        self.is_dirty = true;
        let to = self.refer_target(&target);
        let owner = self.sessions.get(&session).copied();
        let code = match (owner, to) {
            (_, None) => 404,
            (Some(Owner::Call(key)), Some(to)) if self.is_counselor_leg(key, session) => {
                let consult = replaces.and_then(|s| self.joined_consult(s));
                match (to, consult) {
                    (To::Colleague(_), Some(internal)) => {
                        self.sip.respond_code(now.mono, tx, 202);
                        return self.hand_over(now, key, session, internal);
                    }
                    (To::Colleague(extension), None) => {
                        // A consultation that nobody has answered yet becomes a blind transfer.
                        if let (Some(other), true) = (replaces, attended) {
                            self.drop_consult(now, other);
                        }
                        return self.blind(now, tx, key, &extension);
                    }
                    (To::Line(line), _) => {
                        self.sip.respond_code(now.mono, tx, 202);
                        return self.hand_to_line(now, key, line);
                    }
                }
            }
            (Some(Owner::Internal(key)), Some(_)) => {
                match replaces.map(|s| (s, self.sessions.get(&s))) {
                    // Some phones send the REFER in the consultation and name the caller's dialog.
                    Some((other, Some(Owner::Call(call)))) => {
                        let call = *call;
                        self.sip.respond_code(now.mono, tx, 202);
                        return self.hand_over(now, call, other, key);
                    }
                    Some(_) | None => 403,
                }
            }
            (Some(Owner::Call(_)) | None, Some(_)) => 403,
        };
        self.sip.respond_code(now.mono, tx, code);
    }

    /// Only our own domain's counselors and lines: an outside number is never dialed.
    fn refer_target(&self, uri: &str) -> Option<To> {
        let Ok(Uri::Sip(uri)) = Uri::parse(uri) else { return None };
        let user = uri.user.as_deref()?;
        let extension = Extension::from(user);
        if self.config.counselors.contains_key(&extension) {
            return Some(To::Colleague(extension));
        }
        let mut lines = self.config.lines.iter();
        let line =
            lines.find(|(id, line)| &*id.0 == user || line.numbers.iter().any(|n| n == user));
        line.map(|(id, _)| To::Line(id.clone()))
    }

    fn is_counselor_leg(&self, key: u64, session: SessionId) -> bool {
        self.calls.get(&key).is_some_and(
            |call| {
                matches!(&call.phase, Phase::Bridge(b) if b.leg.is(session) && !b.is_transferring())
            }
        )
    }

    /// The internal call of that session, if a colleague has answered it.
    fn joined_consult(&self, session: SessionId) -> Option<u64> {
        match self.sessions.get(&session)? {
            Owner::Internal(key) => {
                self.internals.get(key).filter(|internal| internal.is_joined()).map(|_| *key)
            }
            Owner::Call(_) => None,
        }
    }

    fn drop_consult(&mut self, now: Now, session: SessionId) {
        if let Some(owner @ Owner::Internal(_)) = self.sessions.get(&session).copied() {
            self.with_owner(now, owner, |owned, io| {
                if let super::Owned::Internal(internal) = owned {
                    internal.end(io);
                }
            });
        }
    }

    /// Rings a colleague while the caller hears music.
    fn blind(&mut self, now: Now, tx: ServerTx, key: u64, extension: &Extension) {
        let is_free = !self.activities().contains_key(extension);
        let candidates = self.candidates(now, key, extension);
        if !is_free || candidates.is_empty() {
            return self.sip.respond_code(now.mono, tx, if is_free { 480 } else { 486 });
        }
        self.sip.respond_code(now.mono, tx, 202);
        self.with_owner(now, Owner::Call(key), |owned, io| {
            if let super::Owned::Call(call) = owned {
                call.record.offers += 1;
                io.step(&call.id, format!("transfer: rings {extension}"));
                call.in_bridge(io, |bridge, cx| {
                    bridge.transfer(cx, candidates);
                    Next::Stay
                });
            }
        });
    }

    /// The caller goes into a line's queue, at its end.
    fn hand_to_line(&mut self, now: Now, key: u64, line: LineId) {
        self.with_owner(now, Owner::Call(key), |owned, io| {
            if let super::Owned::Call(call) = owned {
                io.step(&call.id, format!("transfer: to line {line}"));
                call.in_bridge(io, |bridge, cx: &mut Cx<'_, '_>| {
                    bridge.notify(cx.io, "SIP/2.0 200 OK", true);
                    Next::Stay
                });
                call.move_to(line);
                call.go(io, Next::to(Target::Queue));
            }
        });
    }

    /// The caller is joined with the colleague whom the counselor has consulted.
    fn hand_over(&mut self, now: Now, key: u64, session: SessionId, internal: u64) {
        let mut of_internal: Io<'_> = io!(self, now, Owner::Internal(internal));
        let Some(consult) = self.internals.get_mut(&internal) else { return };
        let Some((extension, leg)) = consult.give_up_colleague(&mut of_internal) else { return };
        self.with_owner(now, Owner::Internal(internal), |_, _| {});
        self.with_owner(now, Owner::Call(key), |owned, io| {
            let super::Owned::Call(call) = owned else { return };
            leg.adopt(io);
            io.sip.notify(io.now.mono, session, "SIP/2.0 200 OK", true);
            io.step(&call.id, format!("transfer: taken over by {extension}"));
            call.go(io, Next::Join(extension, Box::new(leg)));
        });
    }
}
