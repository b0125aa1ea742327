//! My page: what a counselor sees and does, and what calls were.

use super::board::{parts, talking};
use super::door::Visitor;
use super::*;
use crate::call::cdr::{Cdr, EndReason, EndedBy};
use crate::shell::clock;
use crate::store::accounts::Role;
use crate::store::contact;

/// The record of a call that ended so long ago, in which 101 talked.
fn record(call: &str, ended_before: Duration) -> Cdr {
    let ended = clock::now().wall - ended_before;
    Cdr {
        call: CallId(call.into()),
        trunk: "navi".into(),
        line: Some("nijiiro".into()),
        started: ended - Duration::from_secs(60),
        answered: None,
        ended,
        outcome: Outcome::Answered,
        ended_by: EndedBy::Caller,
        reason: EndReason::Hangup,
        presentation: Presentation::Withheld,
        guidance: Duration::ZERO,
        wait: Duration::ZERO,
        talk: Duration::from_secs(50),
        paid_wait: Duration::ZERO,
        position: Some(1),
        offers: 1,
        counselor: Some("101".into()),
        talks: vec![("101".into(), Duration::from_secs(50))],
        recorded: 0,
        test: false,
        legs: vec![],
    }
}

impl Server {
    async fn kept(&self, record: Cdr) {
        self.store.cdr(record);
        while self.store.health().pending > 0 {
            tokio::task::yield_now().await;
        }
    }

    fn said_of(&self, call: &str) -> Option<String> {
        let reader = Reader::open(&self.database).unwrap();
        let (call, own) = (CallId(call.into()), Extension::from("101"));
        reader.read(|conn| contact::of(conn, &call, &own)).unwrap()
    }
}

#[tokio::test]
async fn a_counselor_sees_their_state_and_call() {
    let server = Server::start(Console::default()).await;
    let mut shown = talking();
    let talk = &mut shown.calls[1];
    talk.counselors = vec!["101".into()];
    shown.counselors[0].state = CounselorState::Talking;
    shown.counselors[1].state = CounselorState::Paused("missed".to_owned());
    shown.counselors[1].intention = Intention::Paused("missed".to_owned());
    shown.counselors[1].chosen_by = Chooser::Missed;
    server.feed.show(shown.clone());
    let counselor = server.visitor(Role::Counselor, Some("101")).await;
    let (code, page) = counselor.get("/me").await;
    assert!(code == 200 && page.len() < 100_000);
    for text in ["相談中", "にじいろ県民相談", "0:42", "非通知", "支援要請中", "録音を再開する"]
    {
        assert!(page.contains(text), "{text}\n{page}");
    }
    assert!(!page.contains("さきほどの通話"));
    let other = server.visitor(Role::Supervisor, Some("102")).await;
    let (_, page) = other.get("/me").await;
    assert!(page.contains("着信に続けて出られなかったため"), "{page}");
    shown.counselors[0].state = CounselorState::Unreachable;
    shown.calls.clear();
    server.feed.show(shown);
    let (_, page) = counselor.get("/me").await;
    assert!(page.contains("⚠ 電話不通") && page.contains("ソフトフォンのアプリが起動"), "{page}");
    let none = server.visitor(Role::Supervisor, None).await;
    let (code, page) = none.get("/me").await;
    assert!(code == 200 && page.contains("内線がありません"), "{page}");
    assert_eq!(none.get("/me/events").await.0, 404);
}

#[tokio::test]
async fn the_stream_tells_a_counselor_of_their_own_changes_only() {
    let config = Console { heartbeat: Duration::from_millis(100), ..Console::default() };
    let server = Server::start(config).await;
    let counselor = server.visitor(Role::Counselor, Some("101")).await;
    let mut stream = counselor.follow("/me/events").await;
    let all = parts(&mut stream).await;
    assert_eq!(all.keys().collect::<Vec<_>>(), ["contact", "mine", "said"]);
    let mut shown = board();
    shown.counselors[1].state = CounselorState::Ready;
    server.feed.show(shown.clone());
    line(&mut stream, ": heartbeat").await;
    shown.counselors[0].state = CounselorState::WrapUp;
    shown.counselors[0].wrap_up_left = Some(Duration::from_secs(90));
    shown.counselors[0].recent = vec![CallId("k7f2".into())];
    shown.calls.clear();
    server.feed.show(shown);
    let some = parts(&mut stream).await;
    let html = |id: &str| some[id]["html"].as_str().unwrap().to_owned();
    assert!(html("mine").contains("data-until="), "{some:?}");
    assert!(html("contact").contains("k7f2 いたずら"), "{some:?}");
}

#[tokio::test]
async fn what_a_counselor_does_is_asked_for_their_own_extension() {
    let mut server = Server::start(Console::default()).await;
    let mut shown = talking();
    shown.calls[1].counselors = vec!["101".into()];
    server.feed.show(shown);
    let counselor = server.visitor(Role::Counselor, Some("101")).await;
    let own = || Extension::from("101");
    let intend = |intention| Request::Intend { extension: own(), intention, by: Chooser::Own };
    let tape = |paused| Request::PauseRecording { call: CallId("m3x9".into()), paused };
    let table = [
        ("do=ready", intend(Intention::Ready)),
        ("do=pause+", intend(Intention::Paused(String::new()))),
        ("do=pause+%E4%BC%91%E6%86%A9", intend(Intention::Paused("休憩".to_owned()))),
        ("do=out", intend(Intention::LoggedOut)),
        ("do=end", Request::EndWrapUp(own())),
        ("do=extend", Request::ExtendWrapUp(own())),
        ("do=help", Request::AskHelp(own())),
        ("do=unhelp", Request::ClearHelp(own())),
        ("do=stop", tape(true)),
        ("do=go_on", tape(false)),
    ];
    let table = table.map(|(body, expected)| (counselor.form("/me/act", body), expected));
    let nonsense = counselor.form("/me/act", "do=fly");
    for (request, expected) in table {
        let (asked, code, _) = server.answering(&request, Err(Denial::NotInCall)).await;
        assert_eq!(asked, Some((expected, "counselor".to_owned())), "{request}");
        assert_eq!(code, 303);
    }
    assert_eq!(server.answering(&nonsense, Ok(())).await.0, None);
    server.feed.show(board());
    let counselor = server.visitor(Role::Counselor, Some("101")).await;
    let late = counselor.form("/me/act", "do=stop");
    assert_eq!(server.answering(&late, Ok(())).await.0, None, "the call has just ended");
}

#[tokio::test]
async fn what_a_call_was_is_said_by_who_talked_until_the_day_is_over() {
    let mut server = Server::start(Console::default()).await;
    let mut shown = board();
    shown.counselors[0].recent = vec![CallId("just".into())];
    shown.calls.clear();
    server.feed.show(shown);
    server.kept(record("fresh", Duration::from_secs(5))).await;
    server.kept(record("old", Duration::from_secs(3 * 86_400))).await;
    let counselor = server.visitor(Role::Counselor, Some("101")).await;
    let other = server.visitor(Role::Supervisor, Some("102")).await;
    let set = |visitor: &Visitor<'_>, call: &str, kind: &str| {
        let body = format!(r#"{{"type": "{kind}"}}"#);
        visitor.json(&format!("/api/v1/calls/{call}/contact"), &body)
    };
    let table = [
        (set(&counselor, "fresh", "無言"), 200, ""),
        (set(&counselor, "fresh", "相談"), 200, ""),
        (set(&counselor, "just", "間違い"), 200, ""),
        (set(&counselor, "old", "無言"), 409, "too_late"),
        (set(&counselor, "none", "無言"), 404, "unknown_call"),
        (set(&counselor, "fresh", "雑談"), 422, "unknown_type"),
        (set(&other, "fresh", "無言"), 404, "unknown_call"),
    ];
    let page = counselor.form("/me/contact", "said=fresh+%E9%96%93%E9%81%95%E3%81%84");
    for (request, status, wrong) in table {
        let (_, code, answer) = server.answering(&request, Ok(())).await;
        assert!(code == status && answer.contains(wrong), "{request}\n{answer}");
    }
    let said = ["fresh", "just", "old"].map(|call| server.said_of(call));
    assert_eq!(said, [Some("相談".to_owned()), Some("間違い".to_owned()), None]);
    let (_, code, _) = server.answering(&page, Ok(())).await;
    assert_eq!((code, server.said_of("fresh").as_deref()), (303, Some("間違い")));
    let none = set(&server.visitor(Role::Supervisor, None).await, "fresh", "無言");
    let (_, code, answer) = server.answering(&none, Ok(())).await;
    assert!(code == 403 && answer.contains("no_extension"), "{answer}");
    let counselor = server.visitor(Role::Counselor, Some("101")).await;
    let (_, page) = counselor.get("/me").await;
    assert!(page.contains("<option selected>間違い</option>"), "{page}");
    assert!(page.contains("value=\"just 無言\""), "{page}");
}
