//! Sessions that outlive the process: each is killed after what it has kept and before what it
//! wanted to send, which is the worst moment.

use std::collections::BTreeMap;

use super::*;
use crate::time::Anchor;

/// How long the system was up when the test began.
const UPTIME: Duration = Duration::from_secs(777);

/// A bench, and its journal.
struct Life {
    bench: Bench,
    kept: BTreeMap<SessionId, Bytes>,
    began: Instant,
}

impl Life {
    fn new(policy: Policy) -> Self {
        let mut bench = Bench::new(policy);
        let began = bench.now;
        bench.endpoint.keep(Anchor { mono: began, since_boot: UPTIME });
        Self { bench, kept: BTreeMap::new(), began }
    }

    fn keep(&mut self) {
        for (id, value) in self.bench.endpoint.take_changes() {
            match value {
                Some(value) => drop(self.kept.insert(id, value)),
                None => drop(self.kept.remove(&id)),
            }
        }
    }

    /// Killed, before anything more is sent; the next process; what that sends at once.
    fn die(&mut self) -> Vec<Message> {
        self.keep();
        let now = self.bench.now;
        self.bench.endpoint = Endpoint::new(Config::default(), Chance::from_number(2));
        let since_boot = UPTIME + (now - self.began);
        self.bench.endpoint.keep(Anchor { mono: now, since_boot });
        for (id, bytes) in &self.kept {
            assert_eq!(self.bench.endpoint.restore(now, *id, bytes), Ok(()));
        }
        self.bench.sent()
    }
}

fn seq(message: &Message) -> u32 {
    message.cseq().unwrap().seq
}

fn branch(message: &Message) -> String {
    message.via().unwrap().branch().unwrap().to_owned()
}

#[test]
fn the_session_timer_goes_on_at_the_same_deadlines() {
    let wanted = Policy { session_expires: Some(secs(300)), ..policy() };
    let mut life = Life::new(wanted);
    life.bench.answered(&invite("Allow: INVITE, ACK, BYE, UPDATE\r\n"));
    assert!(life.bench.wait(secs(100)).is_empty());
    assert!(life.die().is_empty());
    let sent = life.bench.wait(secs(50));
    assert_eq!(times(&sent, "UPDATE"), [50_000]);
    // Killed again while it is in flight: the same request is sent again, and its answer counts.
    let again = life.die();
    assert_eq!(lines(&again), ["UPDATE"]);
    assert_eq!((seq(&again[0]), branch(&again[0])), (1, branch(&sent[0].1)));
    life.bench.receive(&response(&again[0], 200, "", "", ""));
    let sent = life.bench.wait(secs(150));
    assert_eq!(times(&sent, "UPDATE"), [150_000]);
    assert_eq!(seq(&sent[0].1), 2, "numbers go on");
    // 300 s less 32 s after the last answer, whoever counts.
    let mut life_without = Life::new(policy());
    life_without.bench.answered(&invite("k: timer\r\nx: 300;refresher=uac\r\n"));
    life_without.bench.wait(secs(200));
    life_without.die();
    assert_eq!(times(&life_without.bench.wait(secs(100)), "BYE")[0], 68_000);
}

#[test]
fn a_2xx_without_ack_is_sent_until_its_ack() {
    let mut life = Life::new(policy());
    let session = life.bench.invited(&invite(""));
    life.bench.endpoint.answer(life.bench.now, session, Bytes::from(OURS));
    let again = life.die();
    assert_eq!(lines(&again), ["200 INVITE"]);
    assert_eq!(times(&life.bench.wait(secs(1)), "200 INVITE"), [500]);
    // The INVITE itself comes again: it is known.
    assert!(life.bench.receive(&invite("")).is_empty());
    let tag = tag_of(&again[0]);
    assert!(life.bench.receive(&request("ACK", 1, &tag, "ack", "")).is_empty());
    assert_eq!(life.bench.told(), ["Confirmed"]);
    assert!(life.bench.wait(secs(60)).is_empty());
    let sent = life.bench.receive(&request("BYE", 2, &tag, "bye", ""));
    assert_eq!(
        (lines(&sent), life.bench.told()),
        (vec!["200 BYE".into()], vec!["Ended Bye".into()])
    );
    life.keep();
    assert!(life.kept.is_empty());
}

#[test]
fn an_unanswered_invite_is_cancelled_or_answered() {
    let mut life = Life::new(policy());
    let session = life.bench.invited(&invite(""));
    life.bench.endpoint.ring(life.bench.now, session, 180, None);
    let ringing = life.die();
    assert_eq!(lines(&ringing), ["180 INVITE"]);
    life.bench.endpoint.answer(life.bench.now, session, Bytes::from(OURS));
    let answered = life.bench.sent();
    assert_eq!(lines(&answered), ["200 INVITE"]);
    assert_eq!(tag_of(&answered[0]), tag_of(&ringing[0]));

    let mut life = Life::new(policy());
    let session = life.bench.invited(&invite(""));
    life.bench.endpoint.ring(life.bench.now, session, 180, None);
    life.die();
    let cancel = invite("").replace("INVITE", "CANCEL");
    assert_eq!(lines(&life.bench.receive(&cancel)), ["200 CANCEL", "487 INVITE"]);
    assert_eq!(life.bench.told(), ["Ended Cancelled"]);
}

#[test]
fn what_was_rung_is_taken_back() {
    let mut life = Life::new(policy());
    let (_, invite) = life.bench.call(policy());
    life.bench.receive(&response(&invite, 180, "t", "", ""));
    assert_eq!(lines(&life.die()), ["CANCEL"]);
    // An answer that crosses is acknowledged and ended.
    let sent = life.bench.receive(&response(&invite, 200, "t", "", OFFER));
    assert_eq!(lines(&sent), ["ACK", "BYE"]);
    // The BYE may not have got out: the phone has its ACK, and would talk with nobody for ever.
    let again = life.die();
    assert_eq!((lines(&again), branch(&again[0])), (vec!["BYE".into()], branch(&sent[1])));
    life.bench.receive(&response(&again[0], 200, "", "", ""));
    life.keep();
    assert!(life.kept.is_empty());

    // Nobody has said anything: CANCEL may not go yet.
    let mut life = Life::new(policy());
    let (_, invite) = life.bench.call(policy());
    let again = life.die();
    assert_eq!((lines(&again), branch(&again[0])), (vec!["INVITE".into()], branch(&invite)));
    let sent = life.bench.receive(&response(&invite, 180, "t", "", ""));
    assert_eq!(lines(&sent), ["CANCEL"]);
    life.bench.receive(&response(&invite, 487, "t", "", ""));
    life.keep();
    assert!(life.kept.is_empty());
}

#[test]
fn a_2xx_that_comes_again_gets_its_ack_again() {
    let mut life = Life::new(policy());
    let (session, invite) = life.bench.connected(policy(), "");
    assert_eq!(lines(&life.die()), ["ACK"]);
    let sent = life.bench.receive(&response(&invite, 200, "t", "", OFFER));
    assert_eq!((lines(&sent), seq(&sent[0])), (vec!["ACK".into()], 1));
    assert!(life.bench.told().is_empty());
    life.bench.endpoint.hangup(life.bench.now, session, None);
    let bye = life.bench.sent();
    assert_eq!((lines(&bye), seq(&bye[0])), (vec!["BYE".into()], 2));
    // Killed again: the same BYE.
    let again = life.die();
    assert_eq!((lines(&again), branch(&again[0])), (vec!["BYE".into()], branch(&bye[0])));
    life.bench.receive(&response(&again[0], 200, "", "", ""));
    life.keep();
    assert!(life.kept.is_empty());
}

#[test]
fn the_answer_to_a_reinvite_is_acknowledged() {
    let mut life = Life::new(policy());
    let (session, _) = life.bench.connected(policy(), "");
    life.bench.endpoint.reoffer(life.bench.now, session, Bytes::from(OURS));
    let reinvite = life.bench.sent();
    let again = life.die();
    assert_eq!((lines(&again), branch(&again[0])), (vec!["INVITE".into()], branch(&reinvite[0])));
    let sent = life.bench.receive(&response(&again[0], 200, "t", "", OFFER));
    assert_eq!((lines(&sent), seq(&sent[0])), (vec!["ACK".into()], 2));
    assert_eq!(life.bench.told(), ["Reoffered sdp"]);
}

#[test]
fn nothing_is_written_that_has_not_changed() {
    let mut life = Life::new(policy());
    let (session, _) = life.bench.answered(&invite(""));
    assert_eq!(life.bench.endpoint.take_changes().len(), 1);
    // It is asked and answers, which tells nothing new but our number.
    life.bench.endpoint.probe(life.bench.now, session, secs(4));
    assert_eq!(life.bench.endpoint.take_changes().len(), 1);
    let probe = life.bench.sent();
    life.bench.receive(&response(&probe[0], 200, "", "", ""));
    assert!(life.bench.endpoint.take_changes().is_empty());
}

#[test]
fn damage_is_told_and_forgotten() {
    let mut life = Life::new(policy());
    let (session, _) = life.bench.answered(&invite(""));
    life.keep();
    let good = life.kept[&session].clone();
    let now = life.bench.now;
    for bytes in [&good[..good.len() / 2], b"", b"{}", b"{\"format\":2}"] {
        let mut endpoint = Endpoint::new(Config::default(), Chance::from_number(3));
        endpoint.keep(Anchor { mono: now, since_boot: UPTIME });
        assert!(endpoint.restore(now, session, bytes).is_err());
        assert_eq!(endpoint.sessions().count(), 0);
        assert_eq!(endpoint.poll_timeout(), None);
        // The journal forgets it.
        assert_eq!(endpoint.take_changes(), [(session, None)]);
    }
}
