//! stub
#![allow(missing_docs, unused_variables, clippy::todo)]
use super::header::Name;
use super::print::Draft;
use super::*;
use crate::chance::Chance;
use std::time::{Duration, Instant};
#[derive(Default)]
pub struct Counts;
pub struct Endpoint;
impl Endpoint {
    pub fn new(config: Config, chance: Chance) -> Self {
        todo!()
    }
    pub fn set_config(&mut self, c: Config) {}
    pub fn handle(&mut self, now: Instant, flow: Flow, bytes: &[u8], admit: &Admit) {}
    pub fn flow_failed(&mut self, now: Instant, flow: Flow) {}
    pub fn handle_timeout(&mut self, now: Instant) {}
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        None
    }
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }
    pub fn invite(&mut self, now: Instant, i: Invite) -> SessionId {
        todo!()
    }
    pub fn ring(&mut self, now: Instant, s: SessionId, code: u16, sdp: Option<Bytes>) {}
    pub fn answer(&mut self, now: Instant, s: SessionId, sdp: Bytes) {}
    pub fn refuse(&mut self, now: Instant, s: SessionId, code: u16, headers: &[(Name, String)]) {}
    pub fn hangup(&mut self, now: Instant, s: SessionId, reason: Option<&str>) {}
    pub fn accept_offer(&mut self, now: Instant, s: SessionId, sdp: Bytes) {}
    pub fn refuse_offer(&mut self, now: Instant, s: SessionId, code: u16) {}
    pub fn probe(&mut self, now: Instant, s: SessionId, limit: Duration) {}
    pub fn notify(&mut self, now: Instant, s: SessionId, sipfrag: &str, last: bool) {}
    pub fn respond(&mut self, now: Instant, t: ServerTx, d: Draft) {}
    pub fn request(&mut self, now: Instant, f: Flow, d: Draft) -> ClientTx {
        todo!()
    }
    pub fn request_of(&self, t: ServerTx) -> Option<Message> {
        None
    }
    pub fn counts(&self) -> &Counts {
        todo!()
    }
}
