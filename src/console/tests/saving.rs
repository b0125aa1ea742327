//! What operators change, from the form to the file and back.

use std::fs;

use super::*;
use crate::complaint::{Complaint, File};
use crate::console::sign_in::{Person, sessions};
use crate::shell::clock;
use crate::store::Reader;
use crate::store::accounts::{self, Account, Role};

/// A file with comments and an order of its own.
pub(super) const FILE: &str = r#"# Ours.
[service]
max_calls = 200 # the carrier's

[[trunk]]
id = "navi"
peers = ["127.0.0.1"]
[trunk.register]
uri = "sip:127.0.0.1:5390"
user = "0570022282"
password = "carrier-secret-1"

[[line]]
id = "nijiiro"
name = "にじいろ"
numbers = ["0570022282"]
[[line.hours]]
days = ["sat"]
open = "18:00"
intake_end = "21:30"
service_end = "22:00"

[[counselor]]
extension = "101"
name = "相談員A"
password = "phone-secret-1"
lines = ["nijiiro"]
# The end.
"#;

/// A console with a file, and somebody who is signed in.
pub(super) struct Office {
    pub(super) server: Server,
    cookie: String,
    csrf: String,
}

impl Office {
    pub(super) async fn open(role: Role, file: &str) -> Self {
        Self::of(Server::start(Console::default()).await, role, file).await
    }

    async fn of(server: Server, role: Role, file: &str) -> Self {
        let office = Self { server, cookie: String::new(), csrf: String::new() };
        if !file.is_empty() {
            fs::write(office.file(), file).unwrap();
        }
        office.enter("A", role).await
    }

    /// Somebody (else) signs in.
    pub(super) async fn enter(mut self, name: &str, role: Role) -> Self {
        let account = Account::new(name, role);
        let token = format!("token-of-{name}-{}", role.name());
        let session = accounts::Session {
            token: sessions::hash(&token),
            account: name.to_owned(),
            until: clock::now().wall + Duration::from_secs(3_600),
        };
        let store = self.server.store.clone();
        store.run(move |conn| accounts::save(conn, &account)).await.unwrap();
        self.server.desk.admit(&session);
        self.cookie = format!("{}={token}", sessions::COOKIE);
        self.csrf = sessions::csrf(&token);
        self
    }

    pub(super) fn file(&self) -> PathBuf {
        self.server.database.with_file_name("koebashi.toml")
    }

    pub(super) fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    pub(super) async fn page(&self, path: &str) -> (u16, String) {
        let cookie = &self.cookie;
        self.server
            .send(&format!(
                "GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\
                 Connection: close\r\n\r\n"
            ))
            .await
    }

    pub(super) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
        let own = [("csrf", self.csrf.as_str())];
        let body = serde_urlencoded::to_string([&own[..], fields].concat()).unwrap();
        let (cookie, length) = (&self.cookie, body.len());
        self.server
            .send(&format!(
                "POST {path} HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n\
                 Cookie: {cookie}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                 Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            ))
            .await
    }

    /// The audit trail, once this is in it.
    pub(super) async fn audit(&self, until: &str) -> String {
        for _ in 0..200 {
            let reader = Reader::open(&self.server.database).unwrap();
            let entries = reader.audit(None, None, 1_000).unwrap().into_iter();
            let lines = entries.map(|entry| format!("{}: {}\n", entry.who, entry.what));
            let trail: String = lines.collect();
            if trail.contains(until) {
                return trail;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{until:?} is not on the audit trail");
    }
}

/// The value of a hidden field.
pub(super) fn hidden(html: &str, name: &str) -> String {
    let start = format!("name=\"{name}\" value=\"");
    let at = html.find(&start).unwrap_or_else(|| panic!("no {name} in {html}")) + start.len();
    html[at..].split('"').next().unwrap().to_owned()
}

/// The form of hours as it is, but for the end of intake.
fn hours<'a>(base: &'a str, intake_end: &'a str, step: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("base", base),
        ("rows", "3"),
        ("days.1", "sat"),
        ("open.1", "18:00"),
        ("intake_end.1", intake_end),
        ("service_end.1", "22:00"),
        ("step", step),
    ]
}

#[tokio::test]
async fn hours_are_looked_at_and_then_saved() {
    let office = Office::open(Role::Operator, FILE).await;
    let (code, page) = office.page("/hours").await;
    assert!(code == 200 && page.contains("action=\"/hours/nijiiro\""), "{page}");
    let (code, page) = office.page("/hours/nijiiro?year=2027&at=2026-12-26T18:30").await;
    assert!(code == 200 && page.len() < 100_000, "{code} {}", page.len());
    assert!(page.contains("受付中: 新しい電話は 2026-12-26 (土) 21:30 まで"), "{page}");
    assert!(page.contains("振替") && page.contains("2027年のカレンダー"), "{page}");
    let base = hidden(&page, "base");
    let (code, look) = office.post("/hours/nijiiro", &hours(&base, "21:15", "look")).await;
    assert!(code == 200 && look.contains("line.nijiiro.hours.1.intake_end"), "{look}");
    assert!(look.contains("<ins>+ intake_end = &#34;21:15&#34;</ins>"), "{look}");
    assert_eq!(office.text(), FILE);
    let (code, _) = office.post("/hours/nijiiro", &hours(&base, "21:15", "save")).await;
    assert_eq!(code, 303);
    assert_eq!(office.text(), FILE.replace("21:30", "21:15"));
    office.audit("A: changed line.nijiiro.hours.1.intake_end: 21:30 → 21:15").await;
}

#[tokio::test]
async fn what_is_wrong_is_said_and_what_was_typed_stays() {
    let office = Office::open(Role::Operator, FILE).await;
    let (_, page) = office.page("/hours/nijiiro").await;
    let base = hidden(&page, "base");
    let (code, page) = office.post("/hours/nijiiro", &hours(&base, "22:30", "save")).await;
    assert!(code == 422 && page.contains("相談の終わりより後"), "{page}");
    assert!(page.contains("value=\"22:30\""), "{page}");
    let (code, page) = office.post("/hours/nijiiro", &hours(&base, "<b>", "save")).await;
    assert!(code == 422 && page.contains("value=\"&#60;b&#62;\""), "{page}");
    // A line without hours is always open, which nobody means by clearing a row.
    let none = [("base", base.as_str()), ("rows", "3"), ("step", "look")];
    let (code, page) = office.post("/hours/nijiiro", &none).await;
    assert!(code == 422 && page.contains("いつでも受け付ける"), "{page}");
    assert_eq!(office.text(), FILE);
    assert_eq!(office.page("/hours/nobody").await.0, 404);
}

#[tokio::test]
async fn the_second_of_two_who_save_sees_what_the_first_changed() {
    let office = Office::open(Role::Operator, FILE).await;
    let (_, page) = office.page("/hours/nijiiro").await;
    let base = hidden(&page, "base");
    // Somebody else changes another key by hand.
    let theirs = FILE.replace("max_calls = 200", "max_calls = 300");
    fs::write(office.file(), &theirs).unwrap();
    let (code, look) = office.post("/hours/nijiiro", &hours(&base, "21:15", "save")).await;
    assert_eq!(code, 200);
    assert!(look.contains("<ins>+ max_calls = 300 # the carrier&#39;s</ins>"), "{look}");
    assert_eq!(office.text(), theirs);
    let onto = hidden(&look, "onto");
    let mut fields = hours(&base, "21:15", "save");
    fields.push(("onto", onto.as_str()));
    let (code, _) = office.post("/hours/nijiiro", &fields).await;
    assert_eq!(code, 303);
    assert_eq!(office.text(), theirs.replace("21:30", "21:15"));
    // The same key: it is not saved over, and the form comes again with what was typed.
    let (code, look) = office.post("/hours/nijiiro", &hours(&base, "21:20", "save")).await;
    assert_eq!(code, 200);
    assert!(look.contains("<code>line.nijiiro.hours</code>"), "{look}");
    assert!(!look.contains("value=\"save\""), "{look}");
    assert!(office.text().contains("21:15"));
    let again = hidden(&look, "base");
    let (_, page) = office.post("/hours/nijiiro", &hours(&again, "21:20", "edit")).await;
    assert!(page.contains("value=\"21:20\"") && hidden(&page, "base") == again, "{page}");
    let (code, _) = office.post("/hours/nijiiro", &hours(&again, "21:20", "save")).await;
    assert_eq!((code, office.text()), (303, theirs.replace("21:30", "21:20")));
}

#[tokio::test]
async fn a_person_opens_and_closes_in_one_step() {
    let office = Office::open(Role::Supervisor, FILE).await;
    assert_eq!(office.page("/hours/nijiiro").await.0, 403);
    let path = "/hours/nijiiro/override";
    let closed = [("override", "closed"), ("until", "2099-12-26T21:00"), ("back", "/board")];
    let (code, answer) = office.post(path, &closed).await;
    assert!(code == 303 && answer.contains("location: /board\r\n"), "{answer}");
    let added = "override = \"closed\"\noverride_until = \"2099-12-26T21:00\"\n";
    let numbers = "numbers = [\"0570022282\"]\n";
    assert_eq!(office.text(), FILE.replace(numbers, &format!("{numbers}{added}")));
    for (over, until) in [("maybe", ""), ("open", "2020-01-01T00:00"), ("open", "soon")] {
        let (code, _) = office.post(path, &[("override", over), ("until", until)]).await;
        assert_eq!(code, 303);
        assert!(office.text().contains(added), "{over} {until}");
    }
    let auto = [("override", "auto"), ("back", "https://evil.example/")];
    let (code, answer) = office.post(path, &auto).await;
    assert!(code == 303 && answer.contains("location: /board\r\n"), "{answer}");
    assert_eq!(office.text(), FILE);
    assert_eq!(office.post("/hours/nobody/override", &auto).await.0, 404);
}

#[tokio::test]
async fn the_demo_is_written_out_before_it_is_changed() {
    let office = Office::open(Role::Operator, "").await;
    let closed = [("override", "closed")];
    assert_eq!(office.post("/hours/demo/override", &closed).await.0, 303);
    let text = office.text();
    assert!(text.starts_with("# The configuration of koebashi."), "{text}");
    assert!(text.contains("[[trunk]]\nid = \"demo\"") && text.contains("override = \"closed\""));
}

/// What the service does not take is not left behind: where there was no file, there is none.
#[tokio::test]
async fn a_first_save_that_the_service_refuses_leaves_no_file() {
    let (reloads, mut asked) = tokio::sync::mpsc::channel::<crate::shell::handle::Reload>(1);
    let refusing = tokio::spawn(async move {
        while let Some(answer) = asked.recv().await {
            let refusal = Complaint::error("k.toml", None, File::NoKey);
            drop(answer.send(Err(vec![refusal])));
        }
    });
    let more = move |handle: Handle| handle.with_reloads(reloads);
    let server = Server::start_with(Console::default(), more).await;
    let office = Office::of(server, Role::Operator, "").await;
    let files = || -> Vec<_> {
        let folder = fs::read_dir(office.file().parent().unwrap()).unwrap();
        let names = folder.map(|it| it.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.contains("toml")).collect()
    };
    office.post("/hours/demo/override", &[("override", "closed")]).await;
    let (_, page) = office.page("/hours/demo").await;
    assert!(page.contains("not today"), "{page}");
    assert_eq!(files(), [""; 0]);
    // Where there was one, it is what it was.
    fs::write(office.file(), FILE).unwrap();
    office.post("/hours/nijiiro/override", &[("override", "closed")]).await;
    let (_, page) = office.page("/hours/nijiiro").await;
    assert!(page.contains("not today"), "{page}");
    assert_eq!(office.text(), FILE);
    assert_eq!(files(), ["koebashi.toml"]);
    refusing.abort();
}

#[tokio::test]
async fn a_file_that_is_broken_by_hand_is_not_saved_over() {
    let office = Office::open(Role::Operator, "[service").await;
    let (code, page) = office.page("/hours").await;
    assert!(code == 409 && page.contains("/settings/history"), "{page}");
    let said = "の1行目: 設定ファイルの書き方が違います: 見出しの終わりの「]」がありません";
    assert!(page.contains(said), "{page}");
    assert_eq!(office.post("/hours/x/override", &[("override", "open")]).await.0, 409);
    assert_eq!(office.text(), "[service");
}

/// Nobody is let in by it who is not.
#[tokio::test]
async fn a_person_is_known_by_their_cookie() {
    let office = Office::open(Role::Operator, FILE).await;
    let person: Option<Person> = office.server.desk.person("token-of-A-operator").await;
    assert_eq!(person.unwrap().name, "A");
    assert!(office.server.desk.person("token-of-A-auditor").await.is_none());
}
