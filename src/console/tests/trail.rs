//! The page of the audit trail, and requests that no page understands, asked as a browser would.

use rusqlite::Connection;

use super::*;
use crate::store::accounts::Role;

/// A trail whose last entries are taken away has no gap: the writer knows that they were there.
#[tokio::test]
async fn an_end_that_is_cut_off_while_the_service_runs_is_found() {
    let server = Server::start(Console::default()).await;
    let auditor = server.visitor(Role::Auditor, None).await;
    for _ in 0..3 {
        assert_eq!(auditor.get("/audit").await.0, 200);
    }
    server.trail().await;
    let (_, page) = auditor.get("/audit").await;
    assert!(page.contains("書き換えや抜けはありません") && !page.contains("切り取られ"), "{page}");
    let hash = page.split("<code>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let noted = format!("/audit?noted={hash}");
    server.trail().await;
    let (_, page) = auditor.get(&noted).await;
    assert!(page.contains("控えた値は記録にあります") && page.contains("1件です。"), "{page}");
    let (_, page) = auditor.get("/audit?noted=12").await;
    assert!(page.contains("0~9とa~fの64文字"), "{page}");

    let entries = server.trail().await.len();
    let conn = Connection::open(&server.database).unwrap();
    conn.execute("DELETE FROM audit WHERE n > ?1", [i64::try_from(entries).unwrap() - 4]).unwrap();
    for _ in 0..2 {
        let (_, page) = auditor.get(&noted).await;
        assert!(page.contains("記録の終わりが切り取られています。"), "{page}");
        assert!(page.contains(&format!("{entries} 番目の記録がなくなりました。")), "{page}");
        assert!(page.contains("控えた値は記録にありません"), "{page}");
        // It goes on being said when new entries stand where the old ones stood.
        server.trail().await;
    }
    let trail = server.trail().await;
    let told = format!("found the audit trail cut: entry {entries} is gone");
    assert_eq!(trail.iter().filter(|it| it.what == told).count(), 1, "{trail:?}");
}

#[tokio::test]
async fn the_trail_is_read_in_the_language_of_the_page() {
    let server = Server::start(Console::default()).await;
    let auditor = server.visitor(Role::Auditor, None).await;
    auditor.get("/hours").await;
    server.trail().await;
    let (_, page) = auditor.get("/audit").await;
    for said in ["サインインしました", "/hours を開こうとして拒否されました"]
    {
        assert!(page.contains(said), "{said} in {page}");
    }
    assert!(!page.contains("signed in") && !page.contains("is not let"), "{page}");
    // The chain is over what is kept.
    assert!(server.trail().await.iter().any(|it| it.what == "is not let to /hours"));
}

#[tokio::test]
async fn a_request_that_no_page_understands_is_answered_by_a_page() {
    let server = Server::start(Console::default()).await;
    let operator = server.visitor(Role::Operator, None).await;
    for path in [
        "/settings/history/abc",
        "/prompts/welcome/versions/1?with=abc",
        "/audit?from=a&from=b",
        "/accounts/%ff",
    ] {
        let (code, page) = operator.get(path).await;
        assert_eq!(code, 404, "{path}: {page}");
        assert!(
            page.contains("<html lang=\"ja\">") && page.contains("ページはありません"),
            "{page}"
        );
    }
    let form = format!("csrf={}", operator.csrf);
    let cookie = &operator.cookie;
    let length = form.len();
    let send = |accept: &str| {
        format!(
            "POST /accounts/remove HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\
             Accept: {accept}\r\nConnection: close\r\nContent-Length: {length}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\n{form}"
        )
    };
    let (code, page) = server.send(&send("text/html")).await;
    assert!(code == 422 && page.contains("足りないものがあり"), "{page}");
    let (code, text) = server.send(&send("*/*")).await;
    assert!(code == 422 && text.contains("missing field"), "{text}");
}

#[tokio::test]
async fn whoever_may_name_somebody_to_be_told_gets_there() {
    let server = Server::start(Console::default()).await;
    let link = "<a href=\"/settings/opening\">送り先を設定する</a>";
    assert!(server.visitor(Role::Operator, None).await.get("/opening").await.1.contains(link));
    let page = server.visitor(Role::Supervisor, None).await.get("/opening").await.1;
    assert!(!page.contains(link) && page.contains("運用担当者が設定できます"), "{page}");
}
