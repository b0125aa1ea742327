//! The page before an opening, asked as a browser would. No SIP socket is there: the test call says
//! so, and everything else is real.

use super::*;
use crate::store::accounts::Role;

#[tokio::test]
async fn the_page_says_what_was_found_and_what_to_do() {
    let server = Server::start(Console::default()).await;
    let operator = server.visitor(Role::Operator, None).await;
    let (code, page) = operator.get("/opening").await;
    assert!(code == 200 && page.contains("まだ点検していません"), "{page}");
    assert!(page.contains("開始の 15 分前"), "{page}");
    let (code, answer) = operator.post("/opening/run", "line=nowhere").await;
    assert!(code == 303 && answer.contains("location: /opening"), "{answer}");
    assert!(operator.get("/opening").await.1.contains("その回線はありません"));
    let (code, _) = operator.post("/opening/run", "line=").await;
    assert_eq!(code, 303);
    let (_, page) = operator.get("/opening").await;
    for said in [
        "点検しました。",
        "問題あり</span> <strong>相談員の準備",
        "未確認</span> <strong>試験通話",
        "(operator)",
        "これまでの点検",
    ] {
        assert!(page.contains(said), "{said} in {page}");
    }
    assert!(page.len() < 100_000);
    let trail = server.trail().await;
    let what = "checked line demo before its opening: bad";
    assert!(trail.iter().any(|it| it.who == "operator" && it.what == what), "{trail:?}");
    // In English too, and for machines.
    let english = "Cookie: koebashi_language=en\r\n";
    let cookie = operator.cookie.clone();
    let ask = format!(
        "GET /opening HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n{english}\
         Connection: close\r\n\r\n"
    );
    assert!(server.send(&ask).await.1.contains("Something is wrong"));
    let (code, json) = server.get("/api/v1/opening").await;
    assert!(code == 200 && json.contains(r#""line":"demo""#), "{json}");
    assert!(json.contains(r#""result":"bad""#) && !json.contains("password"), "{json}");
}

#[tokio::test]
async fn it_is_for_operators_and_supervisors() {
    let server = Server::start(Console::default()).await;
    let supervisor = server.visitor(Role::Supervisor, None).await;
    assert_eq!(supervisor.get("/opening").await.0, 200);
    assert_eq!(supervisor.get("/api/v1/opening").await.0, 200);
    for role in [Role::Counselor, Role::Auditor] {
        let visitor = server.visitor(role, Some("101")).await;
        assert_eq!(visitor.get("/opening").await.0, 403);
        assert_eq!(visitor.post("/opening/run", "line=").await.0, 403);
        assert_eq!(visitor.get("/api/v1/opening").await.0, 403);
        assert_eq!(visitor.post("/api/v1/accounts/invitations", "").await.0, 403);
    }
    // Invitations are the operators' alone.
    assert_eq!(supervisor.post("/api/v1/accounts/invitations", "").await.0, 403);
}

#[tokio::test]
async fn a_test_notice_needs_somebody_to_tell() {
    let server = Server::start(Console::default()).await;
    let operator = server.visitor(Role::Operator, None).await;
    let (_, page) = operator.get("/opening").await;
    assert!(page.contains("送り先がありません") && !page.contains("/opening/notice"), "{page}");
    assert_eq!(operator.post("/opening/notice", "").await.0, 303);
    assert!(operator.get("/opening").await.1.contains("送り先が設定されていません"));
}
