//! Who is told to hear whom: what the media plane was told last, as claims put it; and the promise
//! that holds at every moment, that a caller hears no supervisor who does not join.

use std::collections::BTreeMap;

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

    /// How each extension supervises by what was told of it.
    fn watching(&self) -> BTreeMap<String, SupervisionMode> {
        let mut watching = BTreeMap::new();
        for deed in &self.deeds[self.life.deeds_from..] {
            match &deed.what {
                What::Began { supervisor, mode } | What::Switched { supervisor, mode } => {
                    watching.insert(supervisor.to_string(), *mode);
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

    /// A caller hears a supervisor only in `join`, and nobody hears two more than a supervisor does
    /// whose coming was told.
    pub(super) fn check_ears(&self) {
        if self.deeds.is_empty() {
            return;
        }
        let watching = self.watching();
        let extension = |port: &PortId| {
            let rtp = self.peers.get(port)?;
            let phone = self.phones.iter().find(|phone| phone.rtp == *rtp)?;
            phone.account.as_ref().map(|(user, _)| user.clone())
        };
        let is_caller = |port: &PortId| {
            self.peers.get(port).is_some_and(|rtp| rtp.to_string().starts_with("10.0.1."))
        };
        for (hearer, source) in &self.listens {
            let heard = match source {
                Source::Port(of) => std::slice::from_ref(of),
                Source::Mix(of) => of.as_slice(),
                Source::Silence | Source::Play { .. } => &[],
            };
            assert!(!heard.contains(hearer), "somebody hears themselves\n{}", self.story());
            for speaker in heard {
                let mode = extension(speaker).and_then(|e| watching.get(&e));
                let Some(mode) = mode else { continue };
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
