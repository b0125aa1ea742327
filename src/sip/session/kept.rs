//! A session that outlives the process.
//!
//! Owns the way from a session to its kept form and back. What the form means is `sip::kept`'s.

use std::time::Instant;

use super::offer::{Exchange, REOFFER_LIMIT, What};
use super::{Core, Session, Stage, Timer, Unacked, uas};
use crate::sip::dialog::Dialog;
use crate::sip::kept::{self, Unreadable};
use crate::sip::reliable::Receiver;
use crate::sip::session_timer::Agreed;
use crate::sip::transaction::User;
use crate::sip::{ClientTx, SessionId};
use crate::time::Anchor;

impl Session {
    /// What is kept of it; `None`: nothing is left to go on with.
    pub(crate) fn keep(&self, core: &Core, anchor: &Anchor) -> Option<kept::Session> {
        let client = |tx: &ClientTx| core.txs.keep_client(*tx);
        let stage = match &self.stage {
            Stage::Incoming(incoming) => kept::Stage::Incoming(Box::new(incoming.keep(core)?)),
            Stage::Calling(calling) => kept::Stage::Calling(client(&calling.tx)?),
            Stage::Unwanted { tx, .. } | Stage::Cancelling { tx } => {
                kept::Stage::Calling(client(tx)?)
            }
            Stage::Talking => kept::Stage::Talking,
            Stage::Leaving { reason } => kept::Stage::Leaving { reason: reason.clone() },
            Stage::Ending { tx } => kept::Stage::Ending(client(tx)?),
            Stage::Over => return None,
        };
        let at = |timer| core.timers.at(&(self.id, timer)).map(|at| anchor.nanos(at));
        let is_set_up = matches!(self.stage, Stage::Talking | Stage::Leaving { .. });
        let answered = self.invited.filter(|_| is_set_up).and_then(|tx| client(&tx));
        Some(kept::Session {
            id: self.id.0,
            policy: (&self.policy).into(),
            dialog: self.dialog.keep(),
            owner: self.owner,
            stage,
            exchange: self.exchange.keep(core),
            queued: self.queued.as_ref().map(What::keep),
            unacked: self.unacked.as_ref().and_then(|it| {
                Some(kept::Unacked {
                    server: core.txs.keep_server(it.tx)?,
                    seq: it.seq,
                    offered: it.offered,
                    initial: it.initial,
                    until: at(Timer::AckLimit),
                })
            }),
            answered: answered.filter(|client| !client.acks.is_empty()),
            timer: self.timer.map(|it| kept::Timer {
                seconds: it.seconds,
                ours: it.ours,
                refresh: at(Timer::Refresh),
                expire: at(Timer::Expire),
            }),
            min_se: self.min_se,
            updates: self.updates,
            local_sdp: self.local_sdp.clone().map(kept::Text),
            remote_sdp: self.remote_sdp.clone().map(kept::Text),
        })
    }

    /// Goes on with it. What may not have been sent before the end is sent again.
    pub(crate) fn restore(
        core: &mut Core,
        now: Instant,
        anchor: &Anchor,
        kept: kept::Session,
    ) -> Result<Self, Unreadable> {
        let id = SessionId(kept.id);
        core.txs.skip_id(kept.id);
        let (policy, dialog) = (kept.policy.into(), Dialog::restore(kept.dialog));
        let mut session = Self::new(id, policy, dialog, kept.owner, Stage::Over);
        session.min_se = kept.min_se;
        session.updates = kept.updates;
        session.local_sdp = kept.local_sdp.map(|sdp| sdp.0);
        session.remote_sdp = kept.remote_sdp.map(|sdp| sdp.0);
        session.queued = kept.queued.map(What::restore);
        session.restore_stage(core, now, kept.stage)?;
        if let Some(unacked) = kept.unacked {
            session.restore_unacked(core, now, anchor, unacked);
        }
        if let Some(client) = kept.answered {
            session.invited = core.txs.restore_client(now, client, User::Session(id));
        }
        if let Some(exchange) = kept.exchange {
            session.restore_exchange(core, now, exchange);
        }
        if let Some(kept::Timer { seconds, ours, refresh, expire }) = kept.timer {
            session.timer = Some(Agreed { seconds, ours });
            for (timer, at) in [(Timer::Refresh, refresh), (Timer::Expire, expire)] {
                if let Some(at) = at {
                    session.set(core, timer, anchor.instant(at));
                }
            }
        }
        if session.dialog.is_cut_off() {
            session.send_again(core, now + core.txs.config.t1);
        }
        Ok(session)
    }

    fn restore_stage(
        &mut self,
        core: &mut Core,
        now: Instant,
        kept: kept::Stage,
    ) -> Result<(), Unreadable> {
        let user = User::Session(self.id);
        self.stage = match kept {
            kept::Stage::Incoming(incoming) => {
                let incoming = uas::Incoming::restore(core, now, self.id, *incoming);
                Stage::Incoming(Box::new(incoming.ok_or(Unreadable::Without("INVITE"))?))
            }
            kept::Stage::Calling(client) => {
                let heard = client.heard;
                let tx = core.txs.restore_client(now, client, user);
                let tx = tx.ok_or(Unreadable::Without("INVITE"))?;
                if heard {
                    core.txs.cancel(now, tx, None);
                    core.txs.limit(now, tx);
                    Stage::Cancelling { tx }
                } else {
                    Stage::Unwanted { tx, reason: None }
                }
            }
            kept::Stage::Talking => Stage::Talking,
            kept::Stage::Leaving { reason } => Stage::Leaving { reason },
            kept::Stage::Ending(client) => {
                let tx = core.txs.restore_client(now, client, user);
                Stage::Ending { tx: tx.ok_or(Unreadable::Without("BYE"))? }
            }
        };
        Ok(())
    }

    fn restore_unacked(
        &mut self,
        core: &mut Core,
        now: Instant,
        anchor: &Anchor,
        kept: kept::Unacked,
    ) {
        let kept::Unacked { server, seq, offered, initial, until } = kept;
        let Some(tx) = core.txs.restore_server(now, server, User::Session(self.id)) else { return };
        let interval = core.txs.config.t1;
        self.unacked = Some(Unacked { tx, seq, interval, offered, initial });
        self.set(core, Timer::Success, now + interval);
        let limit = now + core.limit();
        let until = until.map_or(limit, |until| anchor.instant(until).min(limit));
        self.set(core, Timer::AckLimit, until);
    }

    fn restore_exchange(&mut self, core: &mut Core, now: Instant, kept: kept::Exchange) {
        let kept::Exchange { what, glares, sent } = kept;
        let what = What::restore(what);
        let Some(client) = sent else {
            self.exchange = Exchange::Waiting { what, glares };
            return self.set(core, Timer::Retry, now);
        };
        let Some(tx) = core.txs.restore_client(now, client, User::Session(self.id)) else { return };
        self.invited = Some(tx);
        self.set(core, Timer::Answer, now + REOFFER_LIMIT);
        self.exchange = Exchange::Sent { tx, what, receiver: Receiver::default(), glares };
    }
}
