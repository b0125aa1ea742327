//! REFER: a counselor hands the caller on, to a colleague or to another line.
//!
//! Owns who may be reached that way: counselors and lines of the configuration, nobody else.
//! Ringing and joining are the call's.

use super::{Owner, Switchboard, io};
use crate::call::config::{Extension, LineId, Target};
use crate::call::io::Io;
use crate::call::schedule::{self, Opening};
use crate::call::{Cx, Next};
use crate::sip::uri::Uri;
use crate::sip::{self, ServerTx, SessionId};
use crate::time::Now;

/// Where a REFER leads.
enum To {
    Colleague(Extension),
    Line(LineId),
}

/// A counselor's own call to a colleague about the caller.
enum Consult {
    /// The colleague has answered.
    Joined(u64),
    /// The colleague's phone rings.
    Ringing(u64, Extension),
}

impl Switchboard {
    pub(super) fn on_refer(&mut self, now: Now, event: sip::Event) {
        let sip::Event::Refer { session, tx, target, replaces, .. } = event else { return };
        self.unsettle();
        let refused = match self.sessions.get(&session).copied() {
            Some(Owner::Call(key)) => self.refer_of_call(now, key, session, tx, &target, replaces),
            Some(Owner::Internal(key)) => self.refer_of_consult(now, key, session, tx, replaces),
            Some(Owner::Summons(_) | Owner::Rehearsal(_)) | None => Err(403),
        };
        if let Err(code) = refused {
            self.sip.respond_code(now.mono, tx, code);
        }
    }

    /// A counselor hands on the caller. What Replaces names goes before the URI, which may be our
    /// own Contact (RFC 5589 §7). Callers hand on nobody.
    fn refer_of_call(
        &mut self,
        now: Now,
        key: u64,
        session: SessionId,
        tx: ServerTx,
        target: &str,
        replaces: Option<SessionId>,
    ) -> Result<(), u16> {
        let from = self.counselor_of(key, session).ok_or(403_u16)?;
        match replaces.and_then(|named| self.consult(named, &from)) {
            Some(Consult::Joined(internal)) => {
                self.sip.respond_code(now.mono, tx, 202);
                self.hand_over(now, key, session, internal);
                return Ok(());
            }
            // A consultation that nobody has answered yet becomes a blind transfer.
            Some(Consult::Ringing(internal, colleague)) => {
                self.drop_consult(now, internal);
                return self.blind(now, tx, key, &colleague);
            }
            None => {}
        }
        match self.refer_target(key, target).ok_or(404_u16)? {
            To::Colleague(colleague) => self.blind(now, tx, key, &colleague),
            To::Line(line) => {
                if !self.takes_callers(now, key, &line) {
                    return Err(480);
                }
                self.sip.respond_code(now.mono, tx, 202);
                self.hand_to_line(now, key, line);
                Ok(())
            }
        }
    }

    /// Some phones send the REFER in the consultation and name the caller's dialog.
    fn refer_of_consult(
        &mut self,
        now: Now,
        internal: u64,
        session: SessionId,
        tx: ServerTx,
        replaces: Option<SessionId>,
    ) -> Result<(), u16> {
        let named = replaces.ok_or(403_u16)?;
        let Some(Owner::Call(call)) = self.sessions.get(&named).copied() else { return Err(403) };
        let from = self.counselor_of(call, named).ok_or(403_u16)?;
        match self.consult(session, &from) {
            Some(Consult::Joined(_)) => {}
            Some(Consult::Ringing(..)) | None => return Err(403),
        }
        self.sip.respond_code(now.mono, tx, 202);
        self.hand_over(now, call, session, internal);
        Ok(())
    }

    /// Only our own domain's counselors and lines: an outside number is never dialed. Lines are
    /// those of the configuration that the call began with.
    fn refer_target(&self, key: u64, uri: &str) -> Option<To> {
        let Ok(Uri::Sip(uri)) = Uri::parse(uri) else { return None };
        let user = uri.user.as_deref()?;
        let extension = Extension::from(user);
        if self.config.counselors.contains_key(&extension) {
            return Some(To::Colleague(extension));
        }
        let mut lines = self.calls.get(&key)?.config.lines.iter();
        let line =
            lines.find(|(id, line)| &*id.0 == user || line.numbers.iter().any(|n| n == user));
        line.map(|(id, _)| To::Line(id.clone()))
    }

    /// Whose session this is, if it is that of the counselor who talks in the call, and no transfer
    /// is under way.
    fn counselor_of(&self, key: u64, session: SessionId) -> Option<Extension> {
        let bridge = self.bridge(key)?;
        let is_theirs = bridge.leg.is(session) && !bridge.is_transferring();
        is_theirs.then(|| bridge.extension.clone())
    }

    /// The consultation of that session, if `from` made it.
    fn consult(&self, session: SessionId, from: &Extension) -> Option<Consult> {
        let Owner::Internal(key) = *self.sessions.get(&session)? else { return None };
        let internal = self.internals.get(&key).filter(|i| i.is_by(from, session))?;
        if internal.is_joined() {
            return Some(Consult::Joined(key));
        }
        internal.rings().map(|colleague| Consult::Ringing(key, colleague))
    }

    fn drop_consult(&mut self, now: Now, internal: u64) {
        self.with_owner(now, Owner::Internal(internal), |owned, io| {
            if let super::Owned::Internal(internal) = owned {
                internal.end(io);
            }
        });
    }

    /// Rings a colleague while the caller hears music.
    fn blind(
        &mut self,
        now: Now,
        tx: ServerTx,
        key: u64,
        extension: &Extension,
    ) -> Result<(), u16> {
        if self.activities().contains_key(extension) {
            return Err(486);
        }
        let candidates = self.candidates(now, key, extension);
        if candidates.is_empty() {
            return Err(480);
        }
        self.sip.respond_code(now.mono, tx, 202);
        self.with_owner(now, Owner::Call(key), |owned, io| {
            if let super::Owned::Call(call) = owned {
                call.record.offers += 1;
                io.step(&call.id, format!("transfer: rings {extension}"));
                call.in_bridge(io, |bridge, cx| bridge.transfer(cx, candidates));
            }
        });
        Ok(())
    }

    /// Whether a caller who is handed to the line can be served there. Where not, the counselor
    /// keeps them: they would only be told so, and be alone. While the service goes on, callers may
    /// come from colleagues though the intake is over.
    fn takes_callers(&self, now: Now, key: u64, id: &LineId) -> bool {
        let Some(in_force) = self.config.lines.get(id) else { return false };
        // The call keeps the limits that it began with; whether a line is open is today's.
        let its_own = self.calls.get(&key).and_then(|call| call.config.lines.get(id));
        let Some(line) = its_own else { return false };
        let opening = schedule::at(&in_force.schedule, self.config.timezone, now.wall);
        let is_staffed = self.on_duty.get(id).is_some_and(|count| *count > 0);
        let is_served = is_staffed || !line.queue.max_wait_no_counselor.is_zero();
        !matches!(opening, Opening::Closed { .. })
            && is_served
            && self.queues.waiting(id) < line.queue.max_callers
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

    /// The caller is joined with the colleague whom the counselor has consulted. `session`: where
    /// the REFER came, which hears the outcome before it is ended.
    fn hand_over(&mut self, now: Now, key: u64, session: SessionId, internal: u64) {
        self.sip.notify(now.mono, session, "SIP/2.0 200 OK", true);
        let mut of_internal: Io<'_> = io!(self, now, Owner::Internal(internal));
        let Some(consult) = self.internals.get_mut(&internal) else { return };
        let Some((extension, leg)) = consult.give_up_colleague(&mut of_internal) else { return };
        self.with_owner(now, Owner::Internal(internal), |_, _| {});
        self.with_owner(now, Owner::Call(key), |owned, io| {
            let super::Owned::Call(call) = owned else { return };
            leg.adopt(io);
            io.step(&call.id, format!("transfer: taken over by {extension}"));
            call.go(io, Next::Join(extension, Box::new(leg)));
        });
    }
}
