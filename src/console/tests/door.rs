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
    operator.post("/account/code", &format!("secret={secret}&code=000000")).await;
    assert_eq!(operator.get("/accounts").await.0, 303);
}
