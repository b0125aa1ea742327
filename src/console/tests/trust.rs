//! Who is trusted no longer, who never was, and what two people do at once.

use super::door::Visitor;
use super::*;
use crate::store::accounts::{self, Account, Role};

const PASSWORD: &str = "rainbow over saitama";

impl Visitor<'_> {
    /// Reads a stream of the API with the session's cookie.
    async fn stream(&self, path: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(self.server.address).await.unwrap();
        let cookie = &self.cookie;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\
             Connection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        BufReader::new(stream)
    }
}

/// Reads until the stream ends, which does not show what is new.
async fn ends(path: &str, mut stream: BufReader<TcpStream>) {
    let mut rest = String::new();
    let read = timeout(Duration::from_secs(10), stream.read_to_string(&mut rest)).await;
    read.expect("the stream ends").unwrap();
    assert!(!rest.contains("\"draining\":true"), "{path}: {rest}");
    assert_eq!(rest.contains("event: over"), path == "/board/events", "{path}: {rest}");
}

fn moved() -> Board {
    let mut board = board();
    board.draining = true;
    board
}

#[tokio::test]
async fn streams_end_with_the_session_and_with_the_role() {
    let server = Server::start(Console::default()).await;
    let operator = server.visitor(Role::Operator, None).await;
    for path in ["/api/v1/events", "/board/events"] {
        let supervisor = server.visitor(Role::Supervisor, None).await;
        server.feed.show(board());
        let mut stream = supervisor.stream(path).await;
        line(&mut stream, "data: ").await;
        supervisor.post("/sign-out", "").await;
        server.feed.show(moved());
        ends(path, stream).await;

        // Given another role in the middle of a stream: at once, not within a minute.
        let supervisor = server.visitor(Role::Supervisor, None).await;
        server.feed.show(board());
        let mut stream = supervisor.stream(path).await;
        line(&mut stream, "data: ").await;
        let change = "name=supervisor&role=auditor&extension=";
        assert_eq!(operator.post("/accounts/change", change).await.0, 303);
        server.feed.show(moved());
        ends(path, stream).await;
    }
}

/// Of one account's streams the newest live, and nobody else loses a place.
#[tokio::test]
async fn one_account_takes_few_places_and_its_oldest_stream_makes_room() {
    let limits = Console { subscribers: 3, subscribers_per_account: 2, ..Console::default() };
    let server = Server::start(limits).await;
    for path in ["/api/v1/events", "/board/events"] {
        let supervisor = server.visitor(Role::Supervisor, None).await;
        let operator = server.visitor(Role::Operator, None).await;
        server.feed.show(board());
        let mut first = supervisor.stream(path).await;
        line(&mut first, "data: ").await;
        let mut others = Vec::new();
        for _ in 0..2 {
            let mut stream = supervisor.stream(path).await;
            line(&mut stream, "data: ").await;
            others.push(stream);
        }
        line(&mut first, "event: moved").await;
        let mut rest = String::new();
        let end = timeout(Duration::from_secs(10), first.read_to_string(&mut rest)).await;
        end.expect("the oldest ends").unwrap();
        others.push(operator.stream(path).await);
        for stream in &mut others {
            line(stream, "data: ").await;
        }
        // All are taken now: a third account has to wait.
        let (code, answer) = server.get(path).await;
        assert!(code == 503 && answer.contains("too_many_subscribers"), "{path}: {answer}");
        server.feed.show(moved());
        for stream in &mut others {
            let told = if path == "/board/events" { "event: part" } else { "event: board" };
            line(stream, told).await;
        }
        drop(others);
    }
}

/// Whoever finds a screen guesses no more often there than at the door.
#[tokio::test]
async fn guesses_at_ones_own_password_count_like_those_at_the_door() {
    let server = Server::start(Console::default()).await;
    let auditor = server.visitor(Role::Auditor, None).await;
    let new = "clouds over saitama";
    let change = |old: &str| format!("old={old}&password={new}&again={new}");
    for n in 0..3 {
        auditor.post("/account/password", &change(&format!("wrong{n}"))).await;
        assert!(auditor.get("/account").await.1.contains("パスワードが違います。"));
    }
    for n in 0..2 {
        auditor.post("/account/code/remove", &format!("password=wrong{n}")).await;
        assert!(auditor.get("/account").await.1.contains("パスワードが違います。"));
    }
    auditor.post("/account/password", &change(PASSWORD)).await;
    let page = auditor.get("/account").await.1;
    assert!(page.contains("試行が多すぎます。"), "{page}");
    let (code, _) = server.try_password("auditor", PASSWORD).await;
    assert_eq!(code, 429, "the door counts them too");
    let trail = server.trail().await;
    let told = trail.iter().filter(|it| it.what.contains("gave a password that is not theirs"));
    assert_eq!(told.count(), 5);
    assert_eq!(auditor.get("/audit").await.0, 200, "the old password is still the one");
}

/// Both have looked before either has written: one makes the account, the other is told.
#[tokio::test]
async fn of_two_who_make_one_account_at_once_the_second_is_told() {
    let server = Server::start(Console::default()).await;
    let operator = server.visitor(Role::Operator, None).await;
    let other = server.visitor(Role::Operator, None).await;
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let store = server.store.clone();
    let held = tokio::spawn(async move {
        store.run(move |_| Ok(wait.recv_timeout(Duration::from_secs(5)).is_ok())).await
    });
    let release = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        go.send(()).unwrap();
    };
    let (first, second, ()) = tokio::join!(
        operator.post("/accounts", "name=Hana&role=auditor&extension="),
        other.post("/accounts", "name=hana&role=operator&extension="),
        release,
    );
    assert!(held.await.unwrap().unwrap());
    let answers = [first, second];
    let made = answers.iter().filter(|(code, page)| *code == 200 && page.contains("/invitation/"));
    assert_eq!(made.count(), 1, "{answers:?}");
    assert!(answers.iter().any(|(code, _)| *code == 303));
    let pages = [operator.get("/accounts").await.1, other.get("/accounts").await.1];
    let told = pages.iter().filter(|page| page.contains("ほかの人がたった今作りました"));
    assert_eq!(told.count(), 1, "{pages:?}");
    let all = server.store.run(accounts::all).await.unwrap();
    assert_eq!(all.iter().filter(|it| it.name.to_lowercase() == "hana").count(), 1);
    let trail = server.trail().await;
    assert_eq!(trail.iter().filter(|it| it.what.starts_with("made the account")).count(), 1);
}

#[tokio::test]
async fn another_password_ends_all_other_sessions() {
    let server = Server::start(Console::default()).await;
    let stolen = server.visitor(Role::Auditor, None).await;
    let own = server.visitor(Role::Auditor, None).await;
    let new = "clouds over saitama";
    let change = format!("old={PASSWORD}&password={new}&again={new}");
    assert_eq!(own.post("/account/password", &change).await.0, 303);
    assert_eq!(own.get("/audit").await.0, 200);
    let (code, answer) = stolen.get("/audit").await;
    assert!(code == 303 && answer.contains("/sign-in"), "{answer}");
}

#[tokio::test]
async fn a_second_factor_is_not_replaced_by_whoever_finds_the_screen() {
    let server = Server::start(Console::default()).await;
    let auditor = server.visitor(Role::Auditor, None).await;
    let with = |account: &mut Account| {
        account.totp = Some(vec![7; 20]);
        true
    };
    server.store.run(move |conn| accounts::amend(conn, "auditor", with)).await.unwrap();
    let secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    let body = format!("secret={secret}&code=000000");
    let (_, answer) = auditor.post("/account/code", &body).await;
    assert!(answer.contains("location: /account\r\n"), "{answer}");
    assert!(auditor.get("/account").await.1.contains("確認コードは設定済みです。"));
}

#[tokio::test]
async fn nobody_is_called_like_the_service_itself() {
    let server = Server::start(Console::default()).await;
    let operator = server.visitor(Role::Operator, None).await;
    for name in ["system", "Console", "by hand"] {
        let (code, _) =
            operator.post("/accounts", &format!("name={name}&role=auditor&extension=")).await;
        assert_eq!(code, 303, "{name}");
    }
    let all = server.store.run(accounts::all).await.unwrap();
    assert_eq!(all.iter().map(|it| &*it.name).collect::<Vec<_>>(), ["operator"]);
}

/// What others did to an account meanwhile is not undone by what was read of it before.
#[tokio::test]
async fn an_account_is_changed_as_it_is_and_one_that_is_gone_stays_gone() {
    let server = Server::start(Console::default()).await;
    server.visitor(Role::Auditor, None).await;
    let step =
        |to: i64| move |account: &mut Account| to > std::mem::replace(&mut account.totp_step, to);
    let take = |to| server.store.run(move |conn| accounts::amend(conn, "auditor", step(to)));
    assert!(take(5).await.unwrap());
    assert!(!take(5).await.unwrap(), "a code is good once");
    server.store.run(|conn| accounts::remove(conn, "auditor")).await.unwrap();
    assert!(!take(6).await.unwrap());
    assert_eq!(server.store.run(accounts::all).await.unwrap(), []);
}

/// More requests than lie before the loop: each waits its turn, and none is turned away.
#[tokio::test]
async fn whoever_asks_a_lot_takes_nobodys_place() {
    let server = Server::start(Console::default()).await;
    let (mut feed, handle) = channel(server.store.clone(), Metrics::default());
    let asking: Vec<_> = (0..100)
        .map(|_| {
            let handle = handle.clone();
            let request = Request::AskHelp(Extension::from("101"));
            tokio::spawn(async move { handle.ask(request, "hana").await })
        })
        .collect();
    for _ in 0..100 {
        let Asked { answer, .. } = feed.next_asked().await.unwrap();
        answer.send(Ok(())).unwrap();
    }
    for asked in asking {
        assert_eq!(asked.await.unwrap(), Ok(Ok(())));
    }
}

/// Every path that changes something, and who may.
#[tokio::test]
async fn whoever_may_not_change_something_is_not_let_to_it() {
    use Role::{Counselor, Operator, Supervisor};
    let server = Server::start(Console::default()).await;
    let cases: &[(&str, &[Role])] = &[
        ("/accounts", &[Operator]),
        ("/accounts/invite", &[Operator]),
        ("/accounts/change", &[Operator]),
        ("/accounts/remove", &[Operator]),
        ("/api/v1/accounts/invitations", &[Operator]),
        ("/prompts", &[Operator]),
        ("/prompts/welcome/upload", &[Operator]),
        ("/prompts/welcome/speak", &[Operator]),
        ("/prompts/welcome/call", &[Operator]),
        ("/prompts/welcome/remove", &[Operator]),
        ("/prompts/welcome/versions/1/activate", &[Operator]),
        ("/prompts/welcome/versions/1/plan", &[Operator]),
        ("/prompts/welcome/versions/1/unplan", &[Operator]),
        ("/prompts/welcome/versions/1/remove", &[Operator]),
        ("/hours/nijiiro", &[Operator]),
        ("/hours/nijiiro/override", &[Operator, Supervisor]),
        ("/hours/nijiiro%2Foverride", &[Operator]),
        ("/settings/service", &[Operator]),
        ("/settings/line/new", &[Operator]),
        ("/settings/line/nijiiro", &[Operator]),
        ("/settings/line/nijiiro/remove", &[Operator]),
        ("/settings/line/nijiiro/guidance", &[Operator]),
        ("/settings/line/nijiiro/prompts", &[Operator]),
        ("/settings/counselor/101/password", &[Operator]),
        ("/settings/roll-back/1", &[Operator]),
        ("/reports/carrier/import", &[Operator]),
        ("/reports/carrier/remove", &[Operator]),
        ("/opening/run", &[Operator, Supervisor]),
        ("/opening/notice", &[Operator, Supervisor]),
        ("/api/v1/opening", &[Operator, Supervisor]),
        ("/board/act", &[Supervisor]),
        ("/me/act", &[Counselor, Supervisor]),
        ("/me/contact", &[Counselor, Supervisor]),
        ("/api/v1/calls/x/supervise", &[Supervisor]),
        ("/api/v1/calls/x/recording", &[Supervisor]),
        ("/api/v1/calls/x/contact", &[Counselor, Supervisor]),
        ("/api/v1/counselors/101/state", &[Counselor, Supervisor]),
        ("/api/v1/counselors/101/wrap_up", &[Counselor, Supervisor]),
        ("/api/v1/counselors/101/help", &[Counselor, Supervisor]),
    ];
    for role in Role::ALL {
        let visitor = server.visitor(role, Some("101")).await;
        for (path, roles) in cases.iter().filter(|(_, roles)| !roles.contains(&role)) {
            let (code, answer) = visitor.post(path, "").await;
            assert_eq!(code, 403, "{role:?} at {path}, which is for {roles:?}: {answer}");
            assert!(!answer.contains("no_csrf_token"), "{role:?} {path}: refused for the role");
        }
        // What is below a page that one may read changes nothing.
        for path in ["/settings/history", "/settings/history/1", "/audit", "/reports"] {
            let (code, answer) = visitor.post(path, "").await;
            assert!([403, 405].contains(&code), "{role:?} {path}: {answer}");
        }
        if role != Operator {
            let (code, _) = visitor.post("/settings/history/x/remove", "").await;
            assert!([403, 404].contains(&code), "{role:?}");
        }
    }
}
