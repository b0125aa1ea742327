//! Who is told to hear whom: what the media plane was told last, as claims put it; and the promises
//! that hold at every moment, that a caller hears no supervisor who does not join, and talks with
//! one counselor only.

use std::collections::{BTreeMap, BTreeSet};

use koebashi::call::board::Board;
use koebashi::call::config::SupervisionMode;
use koebashi::call::deed::What;
use koebashi::media::{Command, PortId, Source, Then};

use super::phone::PhoneId;
use super::world::World;

impl World {
    /// What the phone's latest leg is to hear: `voice 0`, `mix 0 1`, the name of a prompt, `silence`.
    pub(crate) fn tuned(&self, id: PhoneId) -> String {
        let rtp = self.phones[id.0].rtp;
        let port = self.peers.iter().rev().find(|(_, peer)| **peer == rtp).map(|(port, _)| port);
        let Some(source) = port.and_then(|port| self.listens.get(port)) else {
            return "nothing".to_owned();
        };
        match source {
            Source::Silence => "silence".to_owned(),
            Source::Port(of) => format!("voice {}", self.phone_of(*of)),
            Source::Mix(of) => {
                let mut of: Vec<_> = of.iter().map(|port| self.phone_of(*port)).collect();
                of.sort();
                format!("mix {}", of.join(" "))
            }
            Source::Play { prompts, then, .. } => {
                let said = prompts.iter().map(|prompt| prompt.0.to_string());
                let then = match then {
                    Then::Silence => None,
                    Then::Loop(prompt) => Some(prompt.0.to_string()),
                };
                said.chain(then).collect::<Vec<_>>().join(" ")
            }
        }
    }

    fn phone_of(&self, port: PortId) -> String {
        let rtp = self.peers.get(&port);
        let at = rtp.and_then(|rtp| self.phones.iter().position(|phone| phone.rtp == *rtp));
        at.map_or_else(|| "?".to_owned(), |at| at.to_string())
    }

    /// Prompts that were played over what a phone hears, in order.
    pub(crate) fn overlays(&self, id: PhoneId) -> Vec<String> {
        let mut peers: BTreeMap<PortId, std::net::SocketAddr> = BTreeMap::new();
        let mut heard = Vec::new();
        for command in &self.commands {
            if let Command::Connect { port, peer, .. } = command {
                peers.insert(*port, peer.rtp);
            }
            if let Command::Overlay { port, prompts } = command
                && peers.get(port) == Some(&self.phones[id.0].rtp)
            {
                heard.extend(prompts.iter().map(|prompt| prompt.0.to_string()));
            }
        }
        heard
    }

    /// How each extension supervises by what was told of it; `None`: as before a crash, and the
    /// board has not shown how that was.
    pub(super) fn watching(&self) -> BTreeMap<String, Option<SupervisionMode>> {
        let mut watching = self.life.watched.clone();
        for deed in &self.deeds[self.life.deeds_from..] {
            match &deed.what {
                What::Began { supervisor, mode } | What::Switched { supervisor, mode } => {
                    watching.insert(supervisor.to_string(), Some(*mode));
                }
                What::Ended { supervisor, .. } => {
                    watching.remove(&*supervisor.0);
                }
                What::Summoned { .. }
                | What::Denied { .. }
                | What::HelpAsked
                | What::HelpRung { .. }
                | What::HelpUnanswered
                | What::HelpCleared
                | What::Recording { .. }
                | What::WrapUpEnded
                | What::WrapUpExtended
                | What::Limited
                | What::LimitsLifted(_) => {}
            }
        }
        watching
    }

    /// The first board after a crash shows who goes on supervising, and how.
    pub(super) fn take_up_watchers(&mut self, board: &Board) {
        let watchers = || board.calls.iter().filter_map(|call| call.supervisor.as_ref());
        self.life.watched.retain(|who, mode| {
            let found = watchers().find(|watcher| *watcher.extension.0 == **who);
            *mode = mode.or(found.map(|watcher| watcher.mode));
            found.is_some()
        });
    }

    /// Who talks on this port.
    fn extension_of(&self, port: &PortId) -> Option<String> {
        let rtp = self.peers.get(port)?;
        let phone = self.phones.iter().find(|phone| phone.rtp == *rtp)?;
        phone.account.as_ref().map(|(user, _)| user.clone())
    }

    /// A caller is heard by one counselor and hears one, supervisors not counted.
    pub(super) fn check_bridges(&self, broken: &mut Vec<String>) {
        let watching = self.watching();
        let is_caller = |peer: &std::net::SocketAddr| peer.to_string().starts_with("10.0.1.");
        for (port, peer) in self.peers.iter().filter(|(_, peer)| is_caller(peer)) {
            let counselors = |ports: &mut dyn Iterator<Item = &PortId>| -> BTreeSet<String> {
                let who = |p: &PortId| self.extension_of(p).unwrap_or_else(|| format!("{p:?}"));
                ports.map(who).filter(|who| !watching.contains_key(who)).collect()
            };
            let hearing = self.listens.iter().filter(|(_, source)| heard(source).contains(port));
            let hearers = counselors(&mut hearing.map(|(hearer, _)| hearer));
            let speakers = self.listens.get(port).map(heard).unwrap_or_default();
            let speakers = counselors(&mut speakers.iter());
            if hearers.len() > 1 {
                broken.push(format!("{hearers:?} hear the caller at {peer}"));
            }
            if speakers.len() > 1 {
                broken.push(format!("the caller at {peer} hears {speakers:?}"));
            }
        }
    }

    /// A caller hears a supervisor only in `join`, and nobody hears two more than a supervisor does
    /// whose coming was told.
    pub(super) fn check_ears(&self) {
        let mut broken = Vec::new();
        self.check_bridges(&mut broken);
        self.judge(&broken);
        if self.deeds.is_empty() {
            return;
        }
        let watching = self.watching();
        let is_caller = |port: &PortId| {
            self.peers.get(port).is_some_and(|rtp| rtp.to_string().starts_with("10.0.1."))
        };
        for (hearer, source) in &self.listens {
            let heard = heard(source);
            assert!(!heard.contains(hearer), "somebody hears themselves\n{}", self.story());
            for speaker in heard {
                let mode = self.extension_of(speaker).and_then(|e| watching.get(&e));
                let Some(Some(mode)) = mode else { continue };
                // Who supervises may talk with a colleague on another line of the same phone: the
                // two hear each other, and nobody else.
                let is_aside = self.listens.get(speaker) == Some(&Source::Port(*hearer));
                if is_aside && !is_caller(hearer) {
                    continue;
                }
                let may = match mode {
                    SupervisionMode::Listen => false,
                    SupervisionMode::Whisper => !is_caller(hearer),
                    SupervisionMode::Join => true,
                };
                assert!(may, "a supervisor who is to {} is heard\n{}", mode.name(), self.story());
            }
        }
    }
}

/// Whose voices a source is.
fn heard(source: &Source) -> &[PortId] {
    match source {
        Source::Port(of) => std::slice::from_ref(of),
        Source::Mix(of) => of,
        Source::Silence | Source::Play { .. } => &[],
    }
}
