//! The pages of figures, asked as a browser would.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Server;
use crate::call::cdr::{CallId, Cdr, EndReason, EndedBy, Outcome, Presentation};
use crate::call::config::{Extension, LineId, TrunkId};
use crate::config::Console;
use crate::time::Timestamp;

/// A call on Saturday 7 November 2026 in Tokyo.
fn call(nth: usize, outcome: Outcome, extension: &str) -> Cdr {
    let started: Timestamp = "2026-11-07T18:00:00+09:00".parse().unwrap();
    let talk = Duration::from_secs(if outcome == Outcome::Answered { 600 } else { 0 });
    Cdr {
        call: CallId(format!("c{nth}").into()),
        trunk: TrunkId::from("navi"),
        line: Some(LineId::from("demo")),
        started,
        answered: Some(started),
        ended: started + Duration::from_secs(700),
        outcome,
        ended_by: EndedBy::Caller,
        reason: EndReason::Hangup,
        presentation: Presentation::Shown,
        guidance: Duration::from_secs(10),
        wait: Duration::from_secs(30),
        talk,
        paid_wait: Duration::from_secs(40),
        position: Some(1),
        offers: 1,
        counselor: None,
        talks: if talk.is_zero() { vec![] } else { vec![(Extension::from(extension), talk)] },
        recorded: 0,
        test: false,
        legs: vec![],
    }
}

async fn with_calls(calls: Vec<Cdr>) -> Server {
    let server = Server::start(Console::default()).await;
    for cdr in calls {
        server.store.cdr(cdr);
    }
    // Tasks come after the records that were handed over before.
    server.store.run(|_| Ok(())).await.unwrap();
    while server.store.health().pending > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server
}

#[tokio::test]
async fn a_month_is_shown_with_plots_tables_and_definitions() {
    let outcomes = [Outcome::Answered, Outcome::Answered, Outcome::Abandoned];
    let calls = outcomes.into_iter().enumerate().map(|(n, o)| call(n, o, "101"));
    let server = with_calls(calls.collect()).await;
    let (status, html) = server.get("/reports?span=month&date=2026-11-30&line=demo").await;
    assert_eq!(status, 200);
    for part in [
        "2026年11月",
        "66.7 %",
        "応答 ÷ (待ち行列に入った − 短時間放棄)",
        "<svg viewBox",
        "2026-11-07 (土)",
        "20秒を超え60秒以内",
        "/reports?span=month&#38;date=2026-12-01&#38;line=demo",
        "/reports?span=month&#38;date=2026-10-31&#38;line=demo",
    ] {
        assert!(html.contains(part), "{part} in\n{html}");
    }
    assert!(!html.contains("style=\""), "no inline style");
    let (_, year) = server.get("/reports?span=year&date=2027-03-31").await;
    assert!(year.contains("2026年度") && year.contains("月別"), "{year}");
    let (_, day) = server.get("/reports?span=day&date=2026-11-07").await;
    assert!(day.contains("2026年11月7日") && day.contains("18:00"), "{day}");
}

#[tokio::test]
async fn a_period_whose_records_may_be_deleted_says_so_on_every_page_and_in_every_file() {
    let server = with_calls(vec![]).await;
    for path in ["/reports", "/reports/public"] {
        let (_, old) = server.get(&format!("{path}?span=month&date=2019-11-30")).await;
        assert!(old.contains("通話の記録は400日で消えます。"), "{old}");
        let (_, now) = server.get(&format!("{path}?span=month")).await;
        assert!(!now.contains("日で消えます"), "{now}");
        let (_, csv) = server.get(&format!("{path}/csv?span=month&date=2019-11-30")).await;
        assert!(csv.contains("2019-11,,,notice,,kept_from,"), "{csv}");
        assert!(csv.contains("Records of calls are deleted after 400 days."), "{csv}");
        let (_, csv) = server.get(&format!("{path}/csv?span=month")).await;
        assert!(csv.contains("period,line") && !csv.contains("kept_from"), "{csv}");
    }
}

#[tokio::test]
async fn a_period_without_calls_or_that_makes_no_sense_is_told_calmly() {
    let server = with_calls(vec![]).await;
    let (status, html) = server.get("/reports?date=1999-05-05").await;
    assert_eq!(status, 200);
    assert!(html.contains("この期間の通話記録はありません"), "{html}");
    for query in ["date=2026-02-30", "date=99999-01-01", "span=century", "date=%27%3C%3E"] {
        let (status, html) = server.get(&format!("/reports?{query}")).await;
        assert_eq!(status, 200);
        assert!(html.contains("今月の統計を表示しています"), "{query}\n{html}");
        assert_eq!(server.get(&format!("/reports/csv?{query}")).await.0, 400, "{query}");
    }
    // What was typed stays, and is no markup.
    let (_, html) = server.get("/reports?date=%22%3E%3Cb%3E&line=%22%3E%3Cb%3E").await;
    assert!(html.contains("value=\"&#34;&#62;&#60;b&#62;\""), "{html}");
    assert!(!html.contains("\"><b>"), "{html}");
}

#[tokio::test]
async fn the_file_opens_in_a_spreadsheet_and_no_cell_is_a_formula() {
    let server = with_calls(vec![call(0, Outcome::Answered, "=1+1")]).await;
    let (status, csv) = server.get("/reports/csv?span=month&date=2026-11-01").await;
    assert_eq!(status, 200);
    let head = csv.to_lowercase();
    assert!(head.contains("content-disposition: attachment; filename=\"koebashi-2026-11.csv\""));
    assert!(csv.contains("\r\n\r\n\u{feff}period,line,line_name,table,row,key,label,value,unit"));
    assert!(csv.contains("2026-11,*,全回線,counselors,'=1+1,calls,件数,1,calls,"), "{csv}");
    let (_, line) = server.get("/reports/csv?span=month&date=2026-11-01&line=demo").await;
    assert!(line.contains("2026-11,demo,") && !line.contains("2026-11,*,"), "{line}");
}

#[tokio::test]
async fn who_is_on_duty_is_written_down() {
    let server = with_calls(vec![]).await;
    let Server { task, store, .. } = &server;
    // The picture of the tests has 101 ringing and 102 paused; the watch writes when it ends.
    let seen = async {
        loop {
            let states = store
                .run(|conn| {
                    let mut query = conn.prepare("SELECT state FROM duty ORDER BY extension")?;
                    query.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()
                })
                .await
                .unwrap();
            if !states.is_empty() {
                return states;
            }
            task.abort();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    server.feed.show(super::board());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(
        tokio::time::timeout(Duration::from_secs(10), seen).await.unwrap(),
        ["ringing", "paused"]
    );
}

#[tokio::test]
async fn what_is_published_names_no_counselor_and_no_small_count() {
    use Outcome::{Abandoned, Answered, Closed};
    let outcomes = [vec![Answered; 12], vec![Abandoned; 7], vec![Closed; 6]].concat();
    let calls = outcomes.into_iter().enumerate().map(|(n, o)| call(n, o, "9101"));
    let server = with_calls(calls.collect()).await;
    let (status, html) = server.get("/reports/public?span=month&date=2026-11-30").await;
    assert_eq!(status, 200);
    assert!(html.contains("5未満") && html.contains("63.2 %"), "{html}");
    assert!(!html.contains("9101"), "{html}");
    let (_, csv) = server.get("/reports/public/csv?span=month&date=2026-11-30").await;
    assert!(csv.contains("2026-11,demo,Demo,summary,,failed,当方の障害,5未満,,"), "{csv}");
    assert!(!csv.contains("9101") && !csv.contains(",*,"), "{csv}");
    // There is none of a single day.
    let (_, day) = server.get("/reports/public?span=day&date=2026-11-07").await;
    assert!(day.contains("<h2>2026年11月</h2>"), "{day}");
    let (_, empty) = server.get("/reports/public?span=year&date=2001-01-01").await;
    assert!(empty.contains("この期間の通話記録はありません"), "{empty}");
}

/// Brings a file in a form of the browser's.
async fn bring(server: &Server, line: &str, file: &[u8]) -> u16 {
    let mut body = format!(
        "--b\r\nContent-Disposition: form-data; name=\"line\"\r\n\r\n{line}\r\n\
         --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"../x.csv\"\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(file);
    body.extend_from_slice(b"\r\n--b--\r\n");
    let head = format!(
        "POST /reports/carrier/import HTTP/1.1\r\nHost: localhost\r\n\
         Authorization: Bearer {}\r\nContent-Type: multipart/form-data; boundary=b\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        server.token,
        body.len()
    );
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap()
}

#[tokio::test]
async fn a_carriers_file_gives_the_connection_rate_and_can_be_replaced_and_deleted() {
    let calls = (0..4).map(|n| call(n, Outcome::Answered, "101"));
    let server = with_calls(calls.collect()).await;
    let report = "/reports?span=month&date=2026-11-30";
    let first = "日付,時間帯,呼数,接続数\n2026-11-07,18:00,10,8\n2026-11-14,18:00,5,5\n";
    assert_eq!(bring(&server, "demo", first.as_bytes()).await, 303);
    let (_, page) = server.get("/reports/carrier").await;
    assert!(page.contains("2026-11-07 から 2026-11-14 まで、2日分、発信 15 件"), "{page}");
    assert!(server.get(report).await.1.contains("26.7 %"));
    // The same day again takes the place of what was there.
    let again = "日付,呼数,接続数\n2026-11-07,11,8\n";
    assert_eq!(bring(&server, "demo", again.as_bytes()).await, 303);
    let (_, page) = server.get(report).await;
    assert!(page.contains("25.0 %"), "{page}");
    let (_, page) = server.get("/reports/carrier").await;
    let at = |n| page.split("name=\"at\" value=\"").nth(n).unwrap().split('"').next().unwrap();
    assert_eq!(page.matches("name=\"at\"").count(), 2, "{page}");
    let body = format!("line=demo&at={}", at(1));
    let request = format!(
        "POST /reports/carrier/remove HTTP/1.1\r\nHost: localhost\r\n\
         Authorization: Bearer {}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        server.token,
        body.len()
    );
    assert_eq!(server.send(&request).await.0, 303);
    let (_, page) = server.get("/reports/carrier").await;
    assert!(page.contains("削除しました") && page.matches("name=\"at\"").count() == 1, "{page}");
}

#[tokio::test]
async fn a_file_that_is_no_good_is_told_in_words_and_nothing_is_kept() {
    let server = with_calls(vec![]).await;
    let bomb = vec![b'\n'; 3_000_000];
    let files: [(&str, &[u8], &str); 6] = [
        (
            "demo",
            "date,calls,connected\n2026-11-07,1,1,09012345678\n".as_bytes(),
            "2行目に電話番号",
        ),
        ("demo", b"PK\x03\x04\x00\xff\xfe", "CSVとして読めません"),
        ("demo", "日,件\n".as_bytes(), "「発信件数」の列が見つかりません"),
        ("demo", b"", "ファイルを選んでください"),
        ("nowhere", "date,calls,connected\n2026-11-07,1,1\n".as_bytes(), "回線を選んで"),
        ("demo", &bomb, "ファイルが大きすぎます"),
    ];
    for (line, file, said) in files {
        assert_eq!(bring(&server, line, file).await, 303, "{said}");
        let (_, page) = server.get("/reports/carrier").await;
        assert!(page.contains(said) && page.contains("まだありません"), "{said}\n{page}");
    }
}

#[tokio::test]
async fn the_number_of_counselors_is_worked_out_and_assumptions_are_told() {
    let server = with_calls(vec![]).await;
    let (status, html) = server.get("/reports/staffing").await;
    assert_eq!(status, 200);
    assert!(html.contains("履歴がまだ少ないため、仮の値で計算しています"), "{html}");
    assert!(html.contains("80 % の人が 180 秒以内につながるには、相談員が"), "{html}");
    let (_, html) = server.get("/reports/staffing?wait=20&share=95&calls=5&talk=20").await;
    assert!(html.contains("95 % の人が 20 秒以内") && html.contains("25.0 分"), "{html}");
    for query in ["wait=-1", "share=0", "share=1e9", "calls=NaN", "talk=x", "calls=inf"] {
        let (status, html) = server.get(&format!("/reports/staffing?{query}")).await;
        assert_eq!(status, 200);
        assert!(html.contains("正しくありません。既定値で計算しました"), "{query}\n{html}");
    }
}
