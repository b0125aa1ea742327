//! The board's page: who sees and does what, and its stream.

use std::collections::BTreeMap;

use super::door::Visitor;
use super::*;
use crate::store::accounts::Role;

impl Visitor<'_> {
    /// What a form of ours is sent as.
    pub(crate) fn form(&self, path: &str, body: &str) -> String {
        let (cookie, csrf) = (&self.cookie, &self.csrf);
        let body = format!("csrf={csrf}&{body}");
        let length = body.len();
        format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        )
    }

    /// Follows a stream.
    pub(crate) async fn follow(&self, path: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(self.server.address).await.unwrap();
        let cookie = &self.cookie;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        BufReader::new(stream)
    }
}

/// The parts of the next event, by their ids.
pub(crate) async fn parts(
    stream: &mut BufReader<TcpStream>,
) -> BTreeMap<String, serde_json::Value> {
    line(stream, "event: part").await;
    let data = line(stream, "data: ").await;
    let list: Vec<serde_json::Value> = serde_json::from_str(&data[6..]).unwrap();
    list.into_iter().map(|part| (part["id"].as_str().unwrap().to_owned(), part)).collect()
}

/// The board of the tests, with a caller in talk.
pub(crate) fn talking() -> Board {
    let mut board = board();
    let mut talk = board.calls[0].clone();
    (talk.call, talk.phase, talk.position) = (CallId("m3x9".into()), PhaseName::Bridge, None);
    (talk.waited, talk.counselors) = (Some(Duration::from_secs(42)), vec!["102".into()]);
    board.calls.push(talk);
    board
}

#[tokio::test]
async fn operators_see_and_supervisors_act() {
    let server = Server::start(Console::default()).await;
    server.feed.show(talking());
    let operator = server.visitor(Role::Operator, None).await;
    let supervisor = server.visitor(Role::Supervisor, Some("201")).await;
    let counselor = server.visitor(Role::Counselor, Some("101")).await;
    assert_eq!(counselor.get("/board").await.0, 403);
    let (_, seen) = operator.get("/board").await;
    let (_, acted) = supervisor.get("/board").await;
    for page in [&seen, &acted] {
        assert!(page.len() < 100_000);
        for text in ["にじいろ県民相談", "支援要請", "相談者に声が届いていません", "録音停止中"]
        {
            assert!(page.contains(text), "{text}\n{page}");
        }
        for text in ["20秒 40 %", "臨時に開けています", "0:42", "/hours/nijiiro/override", "不通"]
        {
            assert!(page.contains(text), "{text}\n{page}");
        }
    }
    assert!(acted.contains("value=\"listen m3x9\"") && !seen.contains("value=\"listen"));
    let (_, wall) = supervisor.get("/board?wall=1").await;
    assert!(!wall.contains("value=\"listen") && !wall.contains("/override"));
    assert_eq!(operator.post("/board/act", "do=pause+101").await.0, 403);
}

/// Not without being asked once more; and a count is all that is shown of it.
#[tokio::test]
async fn a_caller_is_limited_in_two_steps_and_lifted_in_one() {
    let mut server = Server::start(Console::default()).await;
    server.feed.show(Board { limits: 3, ..talking() });
    let (first, second, lift, cookie) = {
        let operator = server.visitor(Role::Operator, None).await;
        let supervisor = server.visitor(Role::Supervisor, Some("201")).await;
        let (_, page) = supervisor.get("/board").await;
        assert!(page.contains("value=\"limit m3x9\"") && page.contains("value=\"lift all\""));
        assert!(page.contains("しばらくつながない人: 3"), "{page}");
        let (_, seen) = operator.get("/board").await;
        assert!(seen.contains("しばらくつながない人: 3") && !seen.contains("value=\"l"), "{seen}");
        assert_eq!(operator.post("/board/act", "do=limit_yes+m3x9").await.0, 403);
        let form = |what: &str| supervisor.form("/board/act", &format!("do={what}"));
        let cookie = supervisor.cookie.clone();
        (form("limit+m3x9"), form("limit_yes+m3x9"), form("lift+all"), cookie)
    };
    let (code, page) = server.send(&first).await;
    assert_eq!(code, 200, "nothing is asked of the loop yet");
    assert!(page.contains("value=\"limit_yes m3x9\"") && page.contains("12時間"), "{page}");
    let call = CallId("m3x9".into());
    for (request, expected, answer, told) in [
        (&second, Request::LimitCaller { call: call.clone() }, Ok(()), "変えました。"),
        (&second, Request::LimitCaller { call }, Err(Denial::NoNumber), "番号が通知されていない"),
        (&lift, Request::LiftLimits, Ok(()), "変えました。"),
    ] {
        let (answered, asked) = tokio::join!(answer_to(server.address, request), async {
            let Asked { request, answer: to, .. } = server.feed.next_asked().await.unwrap();
            to.send(answer).unwrap();
            request
        });
        assert_eq!(asked, expected);
        assert!(answered.starts_with("HTTP/1.1 303"), "{answered}");
        let board = format!(
            "GET /board HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
        );
        let (_, page) = server.send(&board).await;
        assert!(page.contains(told), "{told}: {page}");
    }
}

/// The answer to a request, while something else is done with the server.
async fn answer_to(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn what_the_checks_before_opening_said_stands_on_it_and_changes_by_itself() {
    let server = Server::start(Console::default()).await;
    let operator = server.visitor(Role::Operator, None).await;
    let supervisor = server.visitor(Role::Supervisor, Some("201")).await;
    assert!(!supervisor.get("/board").await.1.contains("開始前の点検</a> "));
    let mut stream = supervisor.follow("/board/events").await;
    assert_eq!(parts(&mut stream).await["opening"]["html"], "");
    assert_eq!(operator.post("/opening/run", "line=").await.0, 303);
    // With the service's next look at itself.
    let mut later = board();
    later.at += Duration::from_secs(1);
    server.feed.show(later);
    let some = parts(&mut stream).await;
    let told = some["opening"]["html"].as_str().unwrap();
    assert!(told.contains("問題があります") && told.contains("相談員の準備"), "{told}");
    for visitor in [&operator, &supervisor] {
        let (_, page) = visitor.get("/board").await;
        assert!(page.contains("開始前の点検</a> ") && page.contains("相談員の準備"), "{page}");
    }
}

#[tokio::test]
async fn what_a_supervisor_does_is_asked_in_their_name_and_told_in_words() {
    let mut server = Server::start(Console::default()).await;
    server.feed.show(talking());
    let supervisor = server.visitor(Role::Supervisor, Some("201")).await;
    let call = CallId("m3x9".into());
    let intend =
        |intention| Request::Intend { extension: "101".into(), intention, by: Chooser::Other };
    let table = [
        (
            "do=listen+k7f9",
            Request::Supervise {
                call: CallId("k7f9".into()),
                extension: "201".into(),
                mode: SupervisionMode::Listen,
            },
            Ok(()),
        ),
        // They are in this one already.
        (
            "do=join+m3x9",
            Request::Switch { call: call.clone(), mode: SupervisionMode::Join },
            Ok(()),
        ),
        ("do=end+m3x9", Request::EndSupervision { call }, Err(Denial::NotSupervised)),
        ("do=ready+101", intend(Intention::Ready), Ok(())),
        (
            "do=pause+101&reason=%E4%BC%91%E6%86%A9",
            intend(Intention::Paused("休憩".to_owned())),
            Ok(()),
        ),
        ("do=out+101", intend(Intention::LoggedOut), Err(Denial::UnknownExtension)),
        ("do=clear+101", Request::ClearHelp("101".into()), Err(Denial::NoHelpAsked)),
    ];
    let table = table
        .map(|(body, expected, answer)| (supervisor.form("/board/act", body), expected, answer));
    let nonsense = supervisor.form("/board/act", "do=fire+101");
    for (request, expected, answer) in table {
        let (asked, code, text) = server.answering(&request, answer).await;
        assert_eq!(asked, Some((expected, "supervisor".to_owned())), "{request}");
        assert!(code == 303 && text.contains("location: /board\r\n"), "{text}");
    }
    let (asked, code, _) = server.answering(&nonsense, Ok(())).await;
    assert_eq!((asked, code), (None, 303));
}

#[tokio::test]
async fn without_an_extension_nobody_is_rung() {
    let mut server = Server::start(Console::default()).await;
    let supervisor = server.visitor(Role::Supervisor, None).await;
    let request = supervisor.form("/board/act", "do=listen+k7f2");
    let (asked, code, _) = server.answering(&request, Ok(())).await;
    assert_eq!((asked, code), (None, 303));
}

#[tokio::test]
async fn a_viewer_gets_what_has_changed_and_nothing_while_nothing_does() {
    let config = Console { heartbeat: Duration::from_millis(100), ..Console::default() };
    let server = Server::start(config).await;
    let supervisor = server.visitor(Role::Supervisor, Some("201")).await;
    let mut stream = supervisor.follow("/board/events").await;
    line(&mut stream, "event: now").await;
    let all = parts(&mut stream).await;
    assert_eq!(all.len(), 12);
    assert_eq!(all["waits"]["keys"], serde_json::json!(["k7f2"]));
    // The same a second later, with lengths that have grown: nothing to tell.
    let mut later = board();
    let second = Duration::from_secs(1);
    later.at += second;
    later.lines[0].longest_wait += second;
    later.calls[0].in_phase += second;
    later.counselors.iter_mut().for_each(|it| {
        it.for_ += second;
        it.help.iter_mut().for_each(|help| help.for_ += second);
    });
    server.feed.show(later);
    line(&mut stream, ": heartbeat").await;
    server.feed.show(talking());
    let some = parts(&mut stream).await;
    let ids: Vec<_> = some.keys().map(String::as_str).collect();
    assert_eq!(ids, ["summary", "talks", "talks-more"]);
    let rows = some["talks"]["rows"].as_object().unwrap();
    assert!(rows["m3x9"].as_str().unwrap().contains("listen m3x9"), "{rows:?}");
}

#[tokio::test]
async fn a_stream_ends_with_its_session() {
    let server = Server::start(Console::default()).await;
    let supervisor = server.visitor(Role::Supervisor, Some("201")).await;
    let mut stream = supervisor.follow("/board/events").await;
    parts(&mut stream).await;
    assert_eq!(supervisor.post("/sign-out", "").await.0, 303);
    server.feed.show(talking());
    line(&mut stream, "event: over").await;
    // The last chunk.
    assert_eq!(line(&mut stream, "0").await, "0\r\n");
}

#[tokio::test]
async fn places_for_viewers_are_limited() {
    let server = Server::start(Console { subscribers: 1, ..Console::default() }).await;
    let operator = server.visitor(Role::Operator, None).await;
    let mut first = operator.follow("/board/events").await;
    parts(&mut first).await;
    let (code, answer) = operator.get("/board/events").await;
    assert!(code == 503 && answer.contains("too_many_subscribers"), "{answer}");
}
