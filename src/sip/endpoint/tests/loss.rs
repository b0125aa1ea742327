//! Two endpoints and a link between them that loses, doubles or delays one datagram.

use std::collections::BTreeMap;

use super::*;

/// What happens to the datagram of this number, counted over both directions.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Lost(usize),
    Doubled(usize),
    Late(usize),
    /// Each datagram is lost with this many chances in a hundred.
    Often(u64),
}

/// Who ends the call, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// The caller, when it is answered.
    Caller,
    /// The callee, when it is answered.
    Callee,
    /// The caller, while it rings.
    Cancel,
    /// The callee answers in the very moment in which the caller gives up.
    Crossing,
    /// The callee.
    Refuse,
}

struct Pair {
    /// Caller and callee.
    ends: [Endpoint; 2],
    now: Instant,
    policy: Policy,
    /// Datagrams on their way: when, in which order, to whom.
    link: BTreeMap<(Instant, usize), (usize, Bytes)>,
    fault: Option<Fault>,
    chance: Chance,
    /// Datagrams so far.
    count: usize,
    told: [Vec<String>; 2],
    ids: [Option<SessionId>; 2],
}

const DELAY: Duration = Duration::from_millis(20);

impl Pair {
    #[expect(clippy::disallowed_methods, reason = "a base to count from")]
    fn new(policy: Policy, fault: Option<Fault>) -> Self {
        let end = |seed| Endpoint::new(Config::default(), Chance::from_number(seed));
        Self {
            ends: [end(1), end(2)],
            now: Instant::now(),
            policy,
            link: BTreeMap::new(),
            fault,
            chance: Chance::from_number(3),
            count: 0,
            told: [vec![], vec![]],
            ids: [None, None],
        }
    }

    /// The flow as this end sees it.
    fn flow(end: usize) -> Flow {
        let addresses = ["192.0.2.1:5060".parse().unwrap(), "192.0.2.2:5060".parse().unwrap()];
        Flow::new(Transport::Udp, addresses[end], addresses[1 - end])
    }

    fn collect(&mut self) {
        for end in 0..2 {
            while let Some(transmit) = self.ends[end].poll_transmit() {
                let n = self.count;
                self.count += 1;
                let copies: &[Duration] = match self.fault {
                    Some(Fault::Lost(at)) if at == n => &[],
                    Some(Fault::Doubled(at)) if at == n => &[DELAY, DELAY],
                    Some(Fault::Late(at)) if at == n => &[Duration::from_millis(1200)],
                    Some(Fault::Often(percent)) if self.chance.below(100) < percent => &[],
                    Some(_) | None => &[DELAY],
                };
                for delay in copies {
                    let key = (self.now + *delay, self.count * 2 + self.link.len());
                    self.link.insert(key, (1 - end, transmit.bytes.clone()));
                }
            }
            while let Some(event) = self.ends[end].poll_event() {
                if let Event::Invite { session, .. } = event {
                    self.ids[end] = Some(session);
                }
                self.told[end].push(say(&event));
            }
        }
    }

    /// One thing after the other until then.
    fn run(&mut self, duration: Duration) {
        let until = self.now + duration;
        loop {
            self.collect();
            let arrival = self.link.first_key_value().map(|((at, _), _)| *at);
            let timers = self.ends.iter().filter_map(Endpoint::poll_timeout).min();
            let next = [arrival, timers].into_iter().flatten().min().filter(|at| *at <= until);
            let Some(at) = next else { break };
            self.now = self.now.max(at);
            if arrival == Some(at) {
                let (_, (to, bytes)) = self.link.pop_first().unwrap();
                let admit = Admit::Peer(self.policy.clone());
                self.ends[to].handle(self.now, Self::flow(to), &bytes, &admit);
            } else {
                self.ends.iter_mut().for_each(|end| end.handle_timeout(self.now));
            }
        }
        self.now = until;
    }

    fn count(&self, end: usize, what: &str) -> usize {
        self.told[end].iter().filter(|told| told.starts_with(what)).count()
    }

    /// A call from start to end; how many datagrams it took.
    fn call(policy: &Policy, end: End, fault: Option<Fault>) -> usize {
        let mut pair = Self::new(policy.clone(), fault);
        let invite = Invite {
            flow: Self::flow(0),
            uri: "sip:101@192.0.2.2".to_owned(),
            from: "<sip:a@koebashi.local>".to_owned(),
            to: "<sip:101@koebashi.local>".to_owned(),
            headers: vec![],
            sdp: Bytes::from(OFFER),
            policy: policy.clone(),
        };
        let caller = pair.ends[0].invite(pair.now, invite);
        pair.run(secs(8));
        let callee = pair.ids[1].unwrap_or_else(|| panic!("no INVITE came: {end:?} {fault:?}"));
        pair.ends[1].ring(pair.now, callee, 180, None);
        pair.run(secs(8));
        match end {
            End::Refuse => pair.ends[1].refuse(pair.now, callee, 486, &[]),
            End::Cancel => pair.ends[0].hangup(pair.now, caller, None),
            End::Crossing => {
                pair.ends[1].answer(pair.now, callee, Bytes::from(OURS));
                pair.ends[0].hangup(pair.now, caller, None);
            }
            End::Caller | End::Callee => {
                pair.ends[1].answer(pair.now, callee, Bytes::from(OURS));
                pair.run(secs(10));
                let (who, id) = if end == End::Caller { (0, caller) } else { (1, callee) };
                pair.ends[who].hangup(pair.now, id, None);
            }
        }
        pair.run(secs(100));
        pair.check(end, fault);
        pair.count
    }

    fn check(&self, end: End, fault: Option<Fault>) {
        let name = format!("{end:?} {fault:?} {:?}", self.told);
        let counts = |what| [self.count(0, what), self.count(1, what)];
        assert_eq!(counts("Invite"), [0, 1], "{name}");
        let confirmed = self.told[1].iter().filter(|it| *it == "Confirmed").count();
        let (answered, ended) = match end {
            End::Caller => ([1, 1], [0, 1]),
            End::Callee => ([1, 1], [1, 0]),
            End::Cancel => ([0, 0], [0, 1]),
            // The BYE may overtake the ACK: then nothing was confirmed.
            End::Crossing => ([0, confirmed.min(1)], [0, 1]),
            End::Refuse => ([0, 0], [1, 0]),
        };
        assert_eq!([self.count(0, "Answered"), confirmed], answered, "{name}");
        assert_eq!(counts("Ended"), ended, "{name}");
        for end in &self.ends {
            let counts = end.counts();
            assert_eq!((counts.sessions, counts.transactions), (0, 0), "{name}");
            assert_eq!(end.poll_timeout(), None, "{name}");
            assert_eq!((counts.malformed, counts.dropped_strangers), (0, 0), "{name}");
        }
    }
}

#[test]
fn any_one_datagram_may_be_lost_doubled_or_late() {
    for rel100 in [false, true] {
        let session_expires = Some(secs(300));
        let policy = Policy { rel100, session_expires, ..policy() };
        for end in [End::Caller, End::Callee, End::Cancel, End::Crossing, End::Refuse] {
            let datagrams = Pair::call(&policy, end, None);
            assert!((5..40).contains(&datagrams), "{end:?}: {datagrams} datagrams");
            for n in 0..datagrams {
                for fault in [Fault::Lost(n), Fault::Doubled(n), Fault::Late(n)] {
                    Pair::call(&policy, end, Some(fault));
                }
            }
        }
    }
}

/// Who wants what in the middle of a call.
fn act(pair: &mut Pair, wish: u64, ids: [SessionId; 2]) {
    let end = (wish & 1) as usize;
    let (endpoint, now, id) = (&mut pair.ends[end], pair.now, ids[end]);
    match wish >> 1 {
        0 => endpoint.reoffer(now, id, Bytes::from(OFFER)),
        1 => endpoint.accept_offer(now, id, Bytes::from(OURS)),
        2 => endpoint.refuse_offer(now, id, 488),
        3 => endpoint.info_digit(now, id, '5'),
        4 => endpoint.probe(now, id, secs(3)),
        5 => endpoint.ring(now, id, 183, Some(Bytes::from(OURS))),
        6 => endpoint.answer(now, id, Bytes::from(OURS)),
        7 => endpoint.notify(now, id, "SIP/2.0 200 OK", false),
        _ => {}
    }
}

#[test]
fn random_calls_over_a_bad_link_end_once_and_leave_nothing() {
    for seed in 0..150 {
        let policy = Policy { rel100: seed % 2 == 0, session_expires: Some(secs(90)), ..policy() };
        let mut pair = Pair::new(policy.clone(), Some(Fault::Often(seed % 4 * 10)));
        pair.chance = Chance::from_number(seed);
        let invite = Invite {
            flow: Pair::flow(0),
            uri: "sip:101@192.0.2.2".to_owned(),
            from: "<sip:a@koebashi.local>".to_owned(),
            to: "<sip:101@koebashi.local>".to_owned(),
            headers: vec![],
            sdp: Bytes::from(OFFER),
            policy,
        };
        let caller = pair.ends[0].invite(pair.now, invite);
        for _ in 0..60 {
            let pause = Duration::from_millis(pair.chance.below(4000));
            pair.run(pause);
            let wish = pair.chance.below(24);
            let callee = pair.ids[1].unwrap_or(SessionId(0));
            act(&mut pair, wish, [caller, callee]);
        }
        let callee = pair.ids[1].unwrap_or(SessionId(0));
        pair.ends[0].hangup(pair.now, caller, None);
        pair.ends[1].hangup(pair.now, callee, None);
        pair.run(secs(300));
        for end in 0..2 {
            let name = format!("seed {seed}: {:?}", pair.told);
            assert!(pair.count(end, "Ended") <= 1, "{name}");
            assert!(pair.count(end, "Answered") <= 1, "{name}");
            assert!(pair.count(end, "Invite") <= end, "{name}");
            let last = pair.told[end].iter().position(|told| told.starts_with("Ended"));
            assert!(last.is_none_or(|at| at + 1 == pair.told[end].len()), "{name}");
            let counts = pair.ends[end].counts();
            assert_eq!((counts.sessions, counts.transactions), (0, 0), "{name}");
            assert_eq!((counts.malformed, counts.dropped_strangers), (0, 0), "{name}");
        }
    }
}
