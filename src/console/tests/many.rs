//! Pages of a house that is large: many accounts, a long audit trail.

use super::*;
use crate::shell::clock;
use crate::store::accounts::{self, Account, Role};
use crate::store::audit::{self, Entry};

/// Bytes of a page at most, without its head.
const PAGE_MAX: usize = 90_000;

/// The paths of a page's links that begin so.
fn links(page: &str, beginning: &str) -> Vec<String> {
    let links = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let links = links.map(|link| link.replace("&#38;", "&"));
    links.filter(|link| link.starts_with(beginning)).collect()
}

#[tokio::test]
async fn a_thousand_accounts_are_pages_of_some_and_each_has_its_own() {
    let server = Server::start(Console::default()).await;
    let operator = server.visitor(Role::Operator, None).await;
    let fill = |conn: &rusqlite::Connection| {
        for n in 0..1_000 {
            let name = format!("相談員の名前はこれでちょうど三十二文字になるはず_{n:04} &'");
            let extension = Some(Extension::from(&*format!("{}", 10_000 + n)));
            let account = Account { extension, ..Account::new(name, Role::Counselor) };
            accounts::save(conn, &account)?;
        }
        Ok(())
    };
    server.store.run(fill).await.unwrap();
    let (mut path, mut seen, mut pages) = ("/accounts".to_owned(), BTreeSet::new(), 0);
    loop {
        let (code, page) = operator.get(&path).await;
        assert!(code == 200 && page.len() < PAGE_MAX, "{path}: {code}, {} bytes", page.len());
        seen.extend(links(&page, "/accounts/change?name="));
        pages += 1;
        let next = links(&page, "/accounts?find=&page=").pop().unwrap_or_default();
        if !page.contains("次のページ") {
            break;
        }
        path = next;
    }
    assert_eq!((seen.len(), pages), (1_000, 21));
    let (_, page) = operator.get("/accounts?find=10777").await;
    let found = links(&page, "/accounts/change?name=");
    assert_eq!(found.len(), 1, "{page}");
    let (code, page) = operator.get(&found[0]).await;
    assert!(code == 200 && page.len() < PAGE_MAX, "{} bytes", page.len());
    assert!(page.contains("_0777 &#38;&#39;"), "{page}");
    // The extension of an account may be one that the configuration does not have any more.
    let (code, _) = operator.get("/accounts/change?name=nobody").await;
    assert_eq!(code, 303);
    let (code, answer) = operator.get("/accounts/change?name=operator").await;
    assert!(code == 303 && answer.contains("location: /accounts\r\n"), "not one's own: {answer}");
}

#[tokio::test]
async fn a_long_audit_trail_is_pages_that_are_light_and_leave_nothing_out() {
    let server = Server::start(Console::default()).await;
    let auditor = server.visitor(Role::Auditor, None).await;
    let fill = |conn: &rusqlite::Connection| {
        for n in 0..300 {
            let text = if n % 3 == 0 { "\"".repeat(1_000) } else { "長い記録".repeat(250) };
            let what = format!("deed-{n:04}-{text}");
            let at = clock::now().wall;
            audit::append(conn, &Entry { at, who: "運用 花子".into(), what })?;
        }
        for n in 300..1_500 {
            let what = format!("deed-{n:04}-");
            audit::append(conn, &Entry { at: clock::now().wall, who: "x".into(), what })?;
        }
        Ok(())
    };
    server.store.run(fill).await.unwrap();
    let (mut path, mut seen, mut pages) = ("/audit".to_owned(), Vec::new(), 0);
    loop {
        let (code, page) = auditor.get(&path).await;
        assert!(code == 200 && page.len() <= PAGE_MAX, "{path}: {code}, {} bytes", page.len());
        let deeds = page.split("deed-").skip(1).filter_map(|rest| rest[..4].parse::<u32>().ok());
        seen.extend(deeds);
        pages += 1;
        let older = links(&page, "/audit?from=&to=&before=");
        let Some(older) = older.first() else { break };
        path.clone_from(older);
    }
    assert_eq!(seen, (0..1_500).rev().collect::<Vec<_>>(), "each once, the latest first");
    assert!((15..40).contains(&pages), "{pages}");
    let (code, page) = auditor.get("/audit?from=%22%3E&to=x&before=y").await;
    assert!(code == 200 && page.contains("deed-1499-"), "{page}");
}

/// Rows are weighed as they are read: in Japanese a sentence takes more bytes than it is kept with.
#[tokio::test]
async fn an_audit_trail_of_short_sentences_is_light_in_japanese() {
    let server = Server::start(Console::default()).await;
    let auditor = server.visitor(Role::Auditor, None).await;
    let fill = |conn: &rusqlite::Connection| {
        for n in 0..600 {
            let what = format!("is not let to /settings/history/{n:04}/of/something/that/is/long");
            let (at, who) = (clock::now().wall, "運用担当の花子さんと太郎さん".into());
            audit::append(conn, &Entry { at, who, what })?;
        }
        Ok(())
    };
    server.store.run(fill).await.unwrap();
    let (code, page) = auditor.get("/audit").await;
    assert!(page.contains("/settings/history/0599/of/something/that/is/long を開こう"), "{page}");
    assert!(code == 200 && page.len() <= PAGE_MAX, "{} bytes", page.len());
    assert!(page.contains("もっと古い記録"));
}

/// What was found whole is not read anew with each look; what is new is, and all of it on demand.
#[tokio::test]
async fn the_audit_trail_is_checked_from_where_it_was_whole() {
    let server = Server::start(Console::default()).await;
    let auditor = server.visitor(Role::Auditor, None).await;
    let says = async |path: &str| {
        let (code, page) = auditor.get(path).await;
        assert_eq!(code, 200);
        server.trail().await;
        page
    };
    // That the auditor has signed in is there before it is looked for.
    server.trail().await;
    assert!(says("/audit").await.contains("書き換えや抜けはありません"));
    let change = |conn: &rusqlite::Connection| {
        conn.execute("UPDATE audit SET what = 'nothing' WHERE n = 1", [])
    };
    server.store.run(change).await.unwrap();
    assert!(says("/audit").await.contains("書き換えや抜けはありません"));
    assert!(says("/audit?check=whole").await.contains("1 番目から先が合いません"));
    assert!(says("/audit").await.contains("1 番目から先が合いません"), "it stays said");
    // What is new is read with each look.
    let server = Server::start(Console::default()).await;
    let auditor = server.visitor(Role::Auditor, None).await;
    auditor.get("/audit").await;
    server.trail().await;
    let change = |conn: &rusqlite::Connection| {
        conn.execute("UPDATE audit SET what = 'x' WHERE n = (SELECT max(n) FROM audit)", [])
    };
    server.store.run(change).await.unwrap();
    let (_, page) = auditor.get("/audit").await;
    assert!(page.contains("記録が壊れています"), "{page}");
}
