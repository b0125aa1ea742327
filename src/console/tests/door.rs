//! The door, asked as a browser asks: cookies, forms, tokens.

use super::*;
use crate::store::accounts::{self, Account, Role};
use crate::store::audit;

/// Somebody's browser: their cookie, and what their forms carry.
pub(crate) struct Visitor<'a> {
    pub(crate) server: &'a Server,
    pub(crate) cookie: String,
    pub(crate) csrf: String,
}

const PASSWORD: &str = "rainbow over saitama";

impl Server {
    /// Makes an account of this role, named like it, and signs it in.
    pub(crate) async fn visitor(&self, role: Role, extension: Option<&str>) -> Visitor<'_> {
        let account = Account {
            extension: extension.map(Extension::from),
            password: sign_in::password::hash(PASSWORD, [3; 16]),
            ..Account::new(role.name(), role)
        };
        self.store.run(move |conn| accounts::save(conn, &account)).await.unwrap();
        let (code, answer) = self.try_password(role.name(), PASSWORD).await;
        assert_eq!(code, 303, "{answer}");
        let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
        assert!(cookie.contains("; HttpOnly; SameSite=Strict"), "{cookie}");
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let csrf = sign_in::sessions::csrf(cookie.split_once('=').unwrap().1);
        Visitor { server: self, cookie, csrf }
    }

    /// The audit trail, with all that was done so far.
    pub(crate) async fn trail(&self) -> Vec<audit::Entry> {
        while self.store.health().pending > 0 {
            tokio::task::yield_now().await;
        }
        Reader::open(&self.database).unwrap().audit(None, None, 1_000).unwrap()
    }

    pub(crate) async fn try_password(&self, name: &str, password: &str) -> (u16, String) {
        let body = format!("sign_in.name={name}&sign_in.password={password}&sign_in.code=");
        self.form("/sign-in", "", &body).await
    }

    async fn form(&self, path: &str, head: &str, body: &str) -> (u16, String) {
        let length = body.len();
        self.send(&format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{head}\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n\
             {body}"
        ))
        .await
    }
}

impl Visitor<'_> {
    /// Opens a page.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let cookie = &self.cookie;
        self.server
            .send(&format!(
                "GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\
                 Accept: text/html\r\nConnection: close\r\n\r\n"
            ))
            .await
    }

    /// Sends a form of ours.
    pub(crate) async fn post(&self, path: &str, body: &str) -> (u16, String) {
        let head = format!("Cookie: {}\r\n", self.cookie);
        self.server.form(path, &head, &format!("csrf={}&{body}", self.csrf)).await
    }
}

#[tokio::test]
async fn a_form_needs_a_token_of_its_own_session() {
    let server = Server::start(Console::default()).await;
    let operator = server.visitor(Role::Operator, None).await;
    let auditor = server.visitor(Role::Auditor, None).await;
    let head = format!("Cookie: {}\r\n", operator.cookie);
    let new = "name=x&role=auditor&extension=";
    for csrf in ["", "csrf=&", &*format!("csrf={}&", auditor.csrf)] {
        let (code, _) = server.form("/accounts", &head, &format!("{csrf}{new}")).await;
        assert_eq!(code, 403, "{csrf}");
    }
    let (code, page) = operator.post("/accounts", new).await;
    assert!(code == 200 && page.contains("/invitation/"), "{page}");
    for header in [
        "content-security-policy: default-src 'none'; script-src 'self'; style-src 'sh",
        "cache-control: no-store",
    ] {
        assert!(page.contains(header), "{page}");
    }
}

#[tokio::test]
async fn the_api_asks_who_it_is_and_what_they_may() {
    let server = Server::start(Console::default()).await;
    let asked =
        |head: &str| format!("GET /api/v1/board HTTP/1.1\r\n{head}Connection: close\r\n\r\n");
    for head in ["", "Cookie: koebashi=nobody\r\n", "Authorization: Bearer nobody\r\n"] {
        let (code, answer) = server.send(&asked(head)).await;
        assert!(code == 401 && answer.ends_with(r#"{"error":"sign_in"}"#), "{answer}");
    }
    let counselor = server.visitor(Role::Counselor, Some("101")).await;
    let (code, answer) = counselor.get("/api/v1/board").await;
    assert!(code == 403 && answer.ends_with(r#"{"error":"not_allowed"}"#), "{answer}");
    let supervisor = server.visitor(Role::Supervisor, None).await;
    assert_eq!(supervisor.get("/api/v1/board").await.0, 200);
    let (code, _) = supervisor.post("/sign-out", "").await;
    assert_eq!(code, 303);
    assert_eq!(supervisor.get("/api/v1/board").await.0, 401);
    let trail = server.trail().await;
    assert!(trail.iter().any(|it| it.what == "is not let to /api/v1/board"), "{trail:?}");
}

/// Nobody fills the audit trail by asking for what they may not have; what is changed is told.
#[tokio::test]
async fn refused_requests_are_told_one_by_one_only_so_often() {
    let server = Server::start(Console::default()).await;
    let counselor = server.visitor(Role::Counselor, Some("101")).await;
    let operator = server.visitor(Role::Operator, None).await;
    for _ in 0..40 {
        assert_eq!(counselor.get("/api/v1/board").await.0, 403);
    }
    let (code, _) = operator.post("/accounts", "name=x&role=auditor&extension=").await;
    assert_eq!(code, 200);
    let told = |trail: &[audit::Entry], what: &str| {
        trail.iter().filter(|it| it.what.contains(what)).count()
    };
    let trail = server.trail().await;
    assert_eq!(told(&trail, "is not let to /api/v1/board"), 10);
    assert_eq!(told(&trail, "made the account"), 1);
    server.store.close(Duration::from_secs(10)).unwrap();
    let trail = Reader::open(&server.database).unwrap().audit(None, None, 1_000).unwrap();
    assert_eq!(told(&trail, "and 30 more refused requests"), 1);
}

#[tokio::test]
async fn guesses_are_few_and_names_that_nobody_has_are_not_told() {
    let server = Server::start(Console::default()).await;
    let auditor = server.visitor(Role::Auditor, None).await;
    for n in 0..5 {
        assert_eq!(server.try_password("auditor", &format!("wrong{n}")).await.0, 401);
    }
    let (code, page) = server.try_password("auditor", PASSWORD).await;
    assert!(code == 429 && page.contains("auditor"), "{page}");
    assert_eq!(server.try_password("secret typed here", "x").await.0, 401);
    assert_eq!(auditor.get("/audit").await.0, 200);
    let trail = server.trail().await;
    let told = |what: &str| trail.iter().filter(|it| it.what.contains(what)).count();
    assert_eq!(told("a sign-in as \"auditor\" was refused"), 5);
    assert_eq!(told("unknown name"), 1);
    assert_eq!(told("secret"), 0);
}

/// Whoever guesses from somewhere shuts nobody out elsewhere, and fills no audit trail.
#[tokio::test]
async fn guesses_from_elsewhere_shut_nobody_out() {
    let server = Server::start(Console::default()).await;
    let auditor = server.visitor(Role::Auditor, None).await;
    let guess = async |from: &str, password: &str| {
        let body = format!("sign_in.name=auditor&sign_in.password={password}&sign_in.code=");
        server.form("/sign-in", &format!("X-Forwarded-For: {from}\r\n"), &body).await.0
    };
    for _ in 0..5 {
        assert_eq!(guess("192.0.2.66", "wrong").await, 401);
    }
    assert_eq!(guess("192.0.2.66", PASSWORD).await, 429);
    // Neither where nobody has signed in yet, nor where somebody has.
    assert_eq!(guess("192.0.2.1", PASSWORD).await, 303);
    for n in 100..124 {
        assert_eq!(guess(&format!("192.0.2.{n}"), "wrong").await, 401);
    }
    for n in 124..127 {
        let code = guess(&format!("192.0.2.{n}"), "wrong").await;
        assert_eq!(code, if n == 124 { 401 } else { 429 }, "30 from all addresses: {n}");
    }
    assert_eq!(guess("192.0.2.1", PASSWORD).await, 303, "here the account is at home");
    assert_eq!(auditor.get("/audit").await.0, 200, "whoever is signed in goes on");
    let trail = server.trail().await;
    let told = trail.iter().filter(|it| it.what.contains("was refused"));
    assert_eq!(told.count(), 10, "the others as a sum");
}

/// The link of the first start ends with the first operator, not before.
#[tokio::test]
async fn the_first_account_takes_nobodys_name_and_the_link_only_when_it_is_there() {
    let server = Server::start(Console::default()).await;
    let path = server.desk.setup_path().unwrap();
    let invited = Account {
        invitation: Some((vec![7; 32], "2030-01-01T00:00:00Z".parse().unwrap())),
        ..Account::new("Hana", Role::Auditor)
    };
    let kept = invited.clone();
    server.store.run(move |conn| accounts::save(conn, &kept)).await.unwrap();
    let form = |name: &str| format!("name={name}&password={PASSWORD}&again={PASSWORD}");
    let (code, answer) = server.form(&path, "", &form("hana")).await;
    assert!(code == 422 && answer.contains("その名前は使われています。"), "{code} {answer}");
    let all = server.store.run(accounts::all).await.unwrap();
    assert_eq!(all, [invited], "it is as it was");
    assert_eq!(server.desk.setup_path().as_ref(), Some(&path), "the link is good still");
    // Two at once with one link: one of them is the operator.
    let (first, second) = (form("mika"), form("yuki"));
    let (first, second) =
        tokio::join!(server.form(&path, "", &first), server.form(&path, "", &second));
    let mut codes = [first.0, second.0];
    codes.sort_unstable();
    assert_eq!(codes, [303, 404]);
    assert_eq!(server.desk.setup_path(), None);
    let all = server.store.run(accounts::all).await.unwrap();
    assert_eq!(all.iter().filter(|it| it.role == Role::Operator).count(), 1);
}

#[tokio::test]
async fn a_first_account_that_cant_be_written_leaves_the_link() {
    let server = Server::start(Console::default()).await;
    let path = server.desk.setup_path().unwrap();
    server.store.close(Duration::from_secs(10)).unwrap();
    let form = format!("name=mika&password={PASSWORD}&again={PASSWORD}");
    assert_eq!(server.form(&path, "", &form).await.0, 500);
    assert_eq!(server.desk.setup_path(), Some(path));
}

/// An upload of this body, with the cookie of a session that is over, as a browser sends it.
fn upload(path: &str, cookie: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nAccept: text/html\r\n\
         Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
}

/// The body of a form with a line and a file of so many bytes.
fn carrier(bytes: usize) -> String {
    let file = "x".repeat(bytes);
    format!(
        "--b\r\nContent-Disposition: form-data; name=\"line\"\r\n\r\n虹 <b>\r\n\
         --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\n\
         {file}\r\n--b--\r\n"
    )
}

#[tokio::test]
async fn an_upload_after_the_session_keeps_what_was_typed_and_asks_for_the_file() {
    let server = Server::start(Console::default()).await;
    let operator = server.visitor(Role::Operator, None).await;
    operator.post("/sign-out", "").await;
    let old = &operator.csrf;
    let path = format!("/reports/carrier/import?csrf={old}&x=1");
    // More than fits into the sockets: it is read to its end before the answer.
    let (code, page) = server.send(&upload(&path, &operator.cookie, &carrier(8_000_000))).await;
    assert_eq!(code, 401);
    for there in [
        "name=\"sign_in.path\" value=\"/reports/carrier/import?x=1\"",
        "name=\"line\" value=\"虹 &#60;b&#62;\"",
        "name=\"sign_in.file\" value=\"file\"",
        "ファイルは、サインインのあとでもう一度選んでください。",
    ] {
        assert!(page.contains(there), "{there}: {page}");
    }
    assert!(!page.contains(&**old), "{page}");
    let again = serde_urlencoded::to_string([
        ("sign_in.name", "operator"),
        ("sign_in.password", PASSWORD),
        ("sign_in.path", "/reports/carrier/import?x=1"),
        ("sign_in.file", "file"),
        ("line", "虹 <b>"),
    ]);
    let (code, page) = server.form("/sign-in", "", &again.unwrap()).await;
    assert!(code == 200 && page.contains("ファイルは残せませんでした"), "{page}");
    let cookie = page.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    let cookie = cookie.split(';').next().unwrap();
    let csrf = sign_in::sessions::csrf(cookie.split_once('=').unwrap().1);
    let to = format!("/reports/carrier/import?x=1&csrf={csrf}");
    let form = format!("action=\"{}\" enctype=\"multipart/form-data\"", to.replace('&', "&#38;"));
    assert!(page.contains(&form), "{page}");
    assert!(page.contains("type=\"file\" name=\"file\" required"), "{page}");
    // Sent from there it is let in, and judged as ever.
    let (code, answer) = server.send(&upload(&to, cookie, &carrier(10))).await;
    assert!(code == 303 && answer.contains("location: /reports/carrier\r\n"), "{answer}");
}

/// An upload that is refused is answered, not broken off.
#[tokio::test]
async fn an_upload_of_another_screen_is_read_and_refused() {
    let server = Server::start(Console::default()).await;
    let operator = server.visitor(Role::Operator, None).await;
    let auditor = server.visitor(Role::Auditor, None).await;
    let path = format!("/reports/carrier/import?csrf={}", auditor.csrf);
    for visitor in [&operator, &auditor] {
        let (code, page) = server.send(&upload(&path, &visitor.cookie, &carrier(8_000_000))).await;
        assert_eq!(code, 403, "{page}");
        assert!(page.contains("</html>"), "{page}");
    }
}

/// A form whose address carries the token of the session that is over is no reason to refuse it.
#[tokio::test]
async fn what_is_kept_carries_no_old_token() {
    let server = Server::start(Console::default()).await;
    let (code, page) = server.form("/accounts?csrf=OVER1&find=a", "", "csrf=OVER2&name=x").await;
    assert_eq!(code, 401);
    assert!(page.contains("value=\"/accounts?find=a\""), "{page}");
    assert!(!page.contains("OVER"), "{page}");
}

#[tokio::test]
async fn a_second_factor_is_asked_for_where_it_must_be() {
    let limits = Console { totp: vec![Role::Operator], ..Console::default() };
    let server = Server::start(limits).await;
    let operator = server.visitor(Role::Operator, None).await;
    let (code, answer) = operator.get("/accounts").await;
    assert!(code == 303 && answer.contains("location: /account\r\n"), "{answer}");
    assert_eq!(operator.get("/account/code").await.0, 200);
    let (code, _) = operator.get("/audit").await;
    assert_eq!(code, 303);
    // Wrong digits set nothing up.
    let secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    let wrong = format!("secret={secret}&code=000000&password={PASSWORD}");
    assert_eq!(operator.post("/account/code", &wrong).await.0, 422);
    assert_eq!(operator.get("/accounts").await.0, 303);
}
