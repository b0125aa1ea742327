//! The transition table of a registration, and claims on what it sends.

use std::fmt::Write as _;

use super::*;

const PASSWORD: &str = "secret";

/// A registration and the carrier that it talks to.
struct Line {
    t0: Instant,
    registration: Registration,
    pacer: Pacer,
    /// What was sent last.
    sent: Option<Message>,
}

impl Line {
    #[expect(clippy::disallowed_methods, reason = "a base to count from")]
    fn new(password: Option<&str>) -> Self {
        let account = Account {
            registrar: "sip:carrier.example".to_owned(),
            aor: "sip:0480000000@carrier.example".to_owned(),
            user: "line1".to_owned(),
            password: password.map(Pii::new),
            contact_user: None,
            contact_at: ([192, 0, 2, 2], 5060).into(),
            transport: Transport::Udp,
            expires: Duration::from_secs(3600),
        };
        let limits = Limits { jitter_percent: 0, ..Limits::default() };
        let t0 = Instant::now();
        let registration = Registration::new(t0, account, limits, Chance::from_number(1));
        Self { t0, registration, pacer: Pacer::default(), sent: None }
    }

    fn at(&self, s: u64) -> Instant {
        self.t0 + Duration::from_secs(s)
    }

    fn poll(&mut self, at_s: u64) -> Option<Message> {
        let now = self.at(at_s);
        let draft = self.registration.poll(now, &mut self.pacer)?;
        self.sent = Some(Message::parse(&draft.print()).unwrap());
        self.sent.clone()
    }

    /// The carrier answers what was sent last with these header lines.
    fn reply(&mut self, at_s: u64, code: u16, lines: &str) {
        let cseq = self.sent.as_ref().map_or(0, |sent| sent.cseq().unwrap().seq);
        let text = format!(
            "SIP/2.0 {code} X\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
             To: <sip:a@b>;tag=2\r\nCall-ID: 1\r\nCSeq: {cseq} REGISTER\r\n{lines}\r\n"
        );
        let response = Message::parse(text.as_bytes()).unwrap();
        let now = self.at(at_s);
        self.registration.on_response(now, Some(&response));
    }

    fn lose(&mut self, at_s: u64) {
        let now = self.at(at_s);
        self.registration.on_response(now, None);
    }

    /// State and what is awaited, with times in seconds.
    fn show(&self) -> String {
        let s = |at: Instant| at.saturating_duration_since(self.t0).as_secs();
        let state = match self.registration.state {
            State::Registered { until } => format!("Registered until {}", s(until)),
            State::Failed { reason } => format!("Failed {reason:?}"),
            other @ (State::Registering | State::Stopped) => format!("{other:?}"),
        };
        let phase = match self.registration.phase {
            Phase::Due(at) => format!("Due {}", s(at)),
            Phase::Leaving(Some(at)) => format!("Leaving {}", s(at)),
            Phase::Leaving(None) => "Leaving asked".to_owned(),
            other @ (Phase::Asking | Phase::Left) => format!("{other:?}"),
        };
        format!("{phase} · {state}")
    }
}

fn challenge(nonce: &str, more: &str) -> String {
    format!("WWW-Authenticate: Digest realm=\"c\", nonce=\"{nonce}\", qop=\"auth\"{more}\r\n")
}

type Row = (&'static str, fn() -> Line);
type Event = (&'static str, fn(&mut Line));

/// How each row of the table comes about; all end before second 100.
const ROWS: &[Row] = &[
    ("first due", || Line::new(Some(PASSWORD))),
    ("first asked", || {
        let mut line = Line::new(Some(PASSWORD));
        line.poll(0);
        line
    }),
    ("challenge answered", || {
        let mut line = Line::new(Some(PASSWORD));
        line.poll(0);
        line.reply(0, 401, &challenge("n1", ""));
        line.poll(1);
        line
    }),
    ("registered", registered),
    ("refresh asked", || {
        let mut line = registered();
        line.registration.renew(line.at(50));
        line.poll(50);
        line
    }),
    ("failed", || {
        let mut line = Line::new(Some(PASSWORD));
        line.poll(0);
        line.lose(32);
        line
    }),
    ("leaving due", || {
        let mut line = registered();
        line.registration.stop(line.at(50));
        line
    }),
    ("leaving asked", leaving),
    ("left", || {
        let mut line = leaving();
        line.reply(50, 200, "");
        line
    }),
];

fn registered() -> Line {
    let mut line = Line::new(Some(PASSWORD));
    line.poll(0);
    line.reply(0, 401, &challenge("n1", ""));
    line.poll(1);
    line.reply(1, 200, "Expires: 600\r\n");
    line
}

fn leaving() -> Line {
    let mut line = registered();
    line.registration.stop(line.at(50));
    line.poll(50);
    line
}

const EVENTS: &[Event] = &[
    ("poll", |line| drop(line.poll(100))),
    ("200", |line| line.reply(100, 200, "Expires: 600\r\n")),
    ("200 for 0 s", |line| line.reply(100, 200, "Expires: 0\r\n")),
    ("401 new nonce", |line| line.reply(100, 401, &challenge("n2", ""))),
    ("401 same nonce", |line| line.reply(100, 401, &challenge("n1", ""))),
    ("401 stale", |line| line.reply(100, 401, &challenge("n2", ", stale=true"))),
    ("401 stale same", |line| line.reply(100, 401, &challenge("n1", ", stale=true"))),
    ("401 unknown", |line| line.reply(100, 401, &challenge("n2", ", algorithm=X"))),
    ("423 7200", |line| line.reply(100, 423, "Min-Expires: 7200\r\n")),
    ("423 60", |line| line.reply(100, 423, "Min-Expires: 60\r\n")),
    ("423", |line| line.reply(100, 423, "")),
    ("403", |line| line.reply(100, 403, "")),
    ("503", |line| line.reply(100, 503, "")),
    ("503 after 60", |line| line.reply(100, 503, "Retry-After: 60 (busy)\r\n")),
    ("no answer", |line| line.lose(100)),
    ("renew", |line| line.registration.renew(line.at(100))),
    ("stop", |line| line.registration.stop(line.at(100))),
];

#[test]
fn transitions() {
    let mut table = String::new();
    for (row, build) in ROWS {
        writeln!(table, "{row}: {}", build().show()).unwrap();
        for (event, apply) in EVENTS {
            let mut line = build();
            let before = line.show();
            apply(&mut line);
            let after = line.show();
            let after = if after == before { "–" } else { &after };
            writeln!(table, "  {event:<15} {after}").unwrap();
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn what_is_sent() {
    let mut line = Line::new(Some(PASSWORD));
    let mut all = String::new();
    let mut keep = |message: Option<Message>| {
        let message = message.unwrap();
        writeln!(all, "REGISTER {}", message.uri().unwrap()).unwrap();
        for (name, value) in message.lines() {
            let (name, value) = (str::from_utf8(name).unwrap(), str::from_utf8(value).unwrap());
            writeln!(all, "  {name}: {value}").unwrap();
        }
    };
    keep(line.poll(0));
    line.reply(0, 407, &challenge("n1", ", algorithm=SHA-256").replace("WWW", "Proxy"));
    keep(line.poll(1));
    line.reply(1, 200, "Contact: <sip:other@h>;expires=9, <sip:x@y>;expires=8\r\nExpires: 600\r\n");
    assert_eq!(line.show(), "Due 301 · Registered until 601");
    keep(line.poll(301));
    line.reply(301, 423, "Min-Expires: 7200\r\n");
    keep(line.poll(302));
    line.registration.stop(line.at(303));
    keep(line.poll(303));
    insta::assert_snapshot!(all);
}

#[test]
fn the_grant_is_read_from_our_contact() {
    let granted = |contact_user: &str, lines: &str| {
        let mut line = Line::new(None);
        line.registration.contact_user = contact_user.to_owned();
        line.poll(0);
        line.reply(0, 200, lines);
        line.show()
    };
    let two = "Contact: <sip:a@h>;expires=100, <sip:b@h>;expires=200\r\nExpires: 300\r\n";
    assert_eq!(granted("b", two), "Due 100 · Registered until 200");
    assert_eq!(granted("c", two), "Due 150 · Registered until 300");
    let one = "Contact: <sip:a@h>;expires=100\r\nExpires: 300\r\n";
    assert_eq!(granted("c", one), "Due 50 · Registered until 100");
    assert_eq!(granted("c", "Contact: <sip:a@h>\r\n"), "Due 1800 · Registered until 3600");
    assert_eq!(granted("c", "Contact: *, <\r\n"), "Due 1800 · Registered until 3600");
    assert_eq!(granted("c", "Expires: 6\r\n"), "Due 5 · Registered until 6");
    let huge = "Expires: 99999999999999999999\r\n";
    assert_eq!(granted("c", huge), "Due 43200 · Registered until 86400");
}

#[test]
fn routes_and_numbers_are_kept() {
    let mut line = Line::new(None);
    line.poll(0);
    line.reply(
        0,
        200,
        "Path: <sip:p1;lr>, <sip:p2;lr>\r\nService-Route: <sip:s1;lr>\r\n\
         P-Associated-URI: <sip:0480000000@c>, <sip:0480000001@c>\r\n",
    );
    assert_eq!(line.registration.route(), ["<sip:p1;lr>", "<sip:p2;lr>", "<sip:s1;lr>"]);
    assert_eq!(line.registration.associated().len(), 2);
}

#[test]
fn a_refresh_answers_the_known_nonce_at_once_and_a_stale_one_once_more() {
    let mut line = registered();
    let refresh = line.poll(400).unwrap();
    let count = |message: &Message| {
        let value = message.text(&Name::Authorization).unwrap().to_owned();
        crate::sip::auth::Credentials::parse(value.as_bytes()).unwrap().count
    };
    assert_eq!(count(&refresh), Some(2));
    line.reply(400, 401, &challenge("n2", ", stale=true"));
    assert_eq!(count(&line.poll(401).unwrap()), Some(1));
    line.reply(401, 200, "");
    assert_eq!(count(&line.poll(4000).unwrap()), Some(2));
    // A carrier that takes every nonce once, and gives out the same again.
    line.reply(4000, 401, &challenge("n2", ""));
    assert_eq!(count(&line.poll(4001).unwrap()), Some(1));
}

#[test]
fn a_carrier_that_always_challenges_is_not_answered_for_ever() {
    let mut line = Line::new(Some(PASSWORD));
    let mut sent = 0;
    for n in 0..100 {
        if line.poll(n).is_some() {
            sent += 1;
            line.reply(n, 401, &challenge(&format!("n{n}"), ", stale=true"));
        }
    }
    assert_eq!(sent, 4);
    assert_eq!(line.registration.state(), State::Failed { reason: Reason::TooManyTries });
}

#[test]
fn retries_grow_apart_up_to_their_limit() {
    let mut line = Line::new(None);
    let (mut now, mut pauses) = (0, Vec::new());
    for _ in 0..10 {
        assert!(line.poll(now).is_some());
        line.lose(now);
        let next = line.registration.poll_timeout().unwrap().duration_since(line.t0).as_secs();
        pauses.push(next - now);
        now = next;
    }
    assert_eq!(pauses, [4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
    line.poll(now);
    line.reply(now, 200, "");
    now += 1800;
    line.poll(now);
    line.lose(now);
    assert_eq!(line.registration.poll_timeout(), Some(line.at(now + 4)), "success resets it");
}

#[test]
fn jitter_only_adds() {
    let mut line = Line::new(None);
    line.registration.limits.jitter_percent = 25;
    for _ in 0..100 {
        line.registration.failures = 0;
        line.registration.phase = Phase::Asking;
        line.lose(0);
        let next = line.registration.poll_timeout().unwrap();
        assert!((line.at(4)..=line.at(5)).contains(&next));
    }
}

#[test]
fn a_grant_outlives_lost_answers_but_not_its_end() {
    let mut line = registered();
    line.poll(301);
    line.lose(333);
    assert_eq!(line.show(), "Due 337 · Registered until 601");
    line.poll(337);
    assert_eq!(line.registration.poll_timeout(), Some(line.at(601)));
    assert!(line.poll(601).is_none());
    assert_eq!(line.registration.state(), State::Failed { reason: Reason::NoAnswer });
}

#[test]
fn without_a_password_a_challenge_is_the_end() {
    let mut line = Line::new(None);
    line.poll(0);
    line.reply(0, 401, &challenge("n1", ""));
    assert_eq!(line.show(), "Due 600 · Failed NoPassword");
}

#[test]
fn all_registrations_together_keep_the_pace() {
    let mut lines: Vec<_> = (0..5).map(|_| Line::new(None)).collect();
    let (mut pacer, t0) = (Pacer::default(), lines[0].t0);
    let mut sent = Vec::new();
    for ms in (0..8000).step_by(100) {
        let now = t0 + Duration::from_millis(ms);
        for line in &mut lines {
            line.registration.renew(now.min(line.registration.poll_timeout().unwrap_or(now)));
            if line.registration.poll(now, &mut pacer).is_some() {
                sent.push(ms);
            }
        }
    }
    assert_eq!(sent, [0, 1000, 2000, 3000, 4000]);
}

#[test]
fn the_contact_user_stays_and_answers_to_others_are_ignored() {
    let mut line = registered();
    let user = line.registration.contact_user().to_owned();
    assert_eq!(user.len(), 20);
    line.poll(301);
    line.sent = None;
    line.reply(301, 403, "");
    assert_eq!(line.show(), "Asking · Registered until 601");
    assert_eq!(line.registration.contact_user(), user);
}
