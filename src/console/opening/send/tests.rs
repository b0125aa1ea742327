use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Instant;

use super::*;
use crate::config::Notify;

const MS: Duration = Duration::from_millis(1);
const QUICK: Patience = Patience { limit: Duration::from_millis(1_500), pauses: &[MS, MS] };

/// A server for `count` connections, each served by `serve`; what it returns comes by the channel.
fn server(
    count: usize,
    serve: impl Fn(usize, TcpStream) -> String + Send + 'static,
) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = sync_channel(count);
    thread::spawn(move || {
        for nth in 0..count {
            let (stream, _) = listener.accept().unwrap();
            tell.send(serve(nth, stream)).unwrap();
        }
    });
    (address, told)
}

/// Reads one HTTP request and gives this answer.
fn http(stream: TcpStream, answer: &str) -> String {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") {
        let mut line = String::new();
        assert!(reader.read_line(&mut line).unwrap() > 0);
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head += &line;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let mut stream = reader.into_inner();
    stream.write_all(answer.as_bytes()).unwrap();
    format!("{head}{}", String::from_utf8(body).unwrap())
}

/// Speaks SMTP by a table: the beginning of a command, and the answer. The mail's text is returned.
fn smtp_by(stream: TcpStream, script: &[(&str, &str)]) -> String {
    let mut out = stream.try_clone().unwrap();
    out.write_all(b"220 mail.test\r\n").unwrap();
    let (mut mail, mut is_mail) = (String::new(), false);
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { break };
        if is_mail && line != "." {
            mail += &format!("{line}\n");
            continue;
        }
        let answer = script.iter().find(|(begins, _)| line.starts_with(begins));
        let answer = answer.map_or("500 what\r\n", |(_, answer)| answer);
        is_mail = line == "DATA";
        if out.write_all(answer.as_bytes()).is_err() || line == "QUIT" {
            break;
        }
    }
    mail
}

const GOOD: &[(&str, &str)] = &[
    ("EHLO", "250-mail.test\r\n250 AUTH PLAIN\r\n"),
    ("AUTH PLAIN AHVzZXIAcGFzcw==", "235 well\r\n"),
    ("AUTH", "535 wrong\r\n"),
    ("MAIL FROM", "250 well\r\n"),
    ("RCPT TO", "250 well\r\n"),
    ("DATA", "354 go on\r\n"),
    (".", "250 taken\r\n"),
    ("QUIT", "221 bye\r\n"),
    ("NOOP", "250 well\r\n"),
    ("RSET", "250 well\r\n"),
];

fn opening(webhook: Option<String>, mail: Option<Mail>) -> Opening {
    Opening {
        before: None,
        disk_min: 0,
        certificate_min: Duration::ZERO,
        notify: Notify::Always,
        webhook: webhook.map(Pii::new),
        mail,
    }
}

fn mail(address: SocketAddr, tls: MailTls, password: &str) -> Mail {
    Mail {
        server: address.ip().to_string(),
        port: address.port(),
        tls,
        from: "声橋 <koebashi@example.jp>".parse().unwrap(),
        to: vec!["a@example.jp".parse().unwrap(), "b@example.jp".parse().unwrap()],
        login: Some(("user".to_owned(), Pii::new(password))),
    }
}

async fn told(config: &Opening) -> Vec<Told> {
    tell(config, &Message::test("青木"), QUICK, &Arc::new(Semaphore::new(4))).await
}

#[tokio::test]
async fn a_webhook_gets_json() {
    let (address, got) = server(1, |_, stream| http(stream, "HTTP/1.1 204 X\r\n\r\n"));
    let told = told(&opening(Some(format!("http://{address}/hook?secret=1")), None)).await;
    assert!(told.len() == 1 && told[0].done, "{told:?}");
    let got = got.recv().unwrap();
    assert!(got.starts_with("POST /hook?secret=1 HTTP/1.1"), "{got}");
    assert!(got.to_lowercase().contains("content-type: application/json"), "{got}");
    assert!(got.ends_with('}') && got.contains("\"event\":\"test\""), "{got}");
}

#[tokio::test]
async fn a_webhook_is_tried_again_and_not_for_ever() {
    let (address, got) = server(3, |nth, stream| {
        let failed = "HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n";
        http(stream, if nth < 2 { failed } else { "HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n" })
    });
    let config = opening(Some(format!("http://{address}/hook")), None);
    assert!(told(&config).await[0].done);
    assert_eq!(got.iter().count(), 3);

    let (address, got) =
        server(3, |_, stream| http(stream, "HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n"));
    let told = told(&opening(Some(format!("http://{address}/s3cret")), None)).await;
    assert!(!told[0].done && told[0].what.en.contains("404"), "{told:?}");
    assert!(told[0].what.en.contains("3 tries"), "{told:?}");
    assert!(!format!("{told:?}").contains("s3cret"), "the address is never said");
    assert_eq!(got.iter().count(), 3);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (elsewhere, other) = server(1, |_, stream| http(stream, "HTTP/1.1 200 X\r\n\r\n"));
    let (address, _got) = server(3, move |_, stream| {
        let to = format!("HTTP/1.1 302 X\r\nLocation: http://{elsewhere}/\r\n\r\n");
        http(stream, &to)
    });
    let told = told(&opening(Some(format!("http://{address}/")), None)).await;
    assert!(!told[0].done && told[0].what.en.contains("302"), "{told:?}");
    assert!(other.try_recv().is_err(), "nobody came there");
}

#[tokio::test]
async fn who_hangs_or_is_not_there_is_given_up() {
    // The system takes the connections, and nobody ever answers.
    let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = hanging.local_addr().unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let begun = Instant::now();
    let config =
        opening(Some(format!("http://{address}/")), Some(mail(address, MailTls::None, "pass")));
    let told_of = told(&config).await;
    assert!(told_of.iter().all(|told| !told.done), "{told_of:?}");
    assert!(told_of.iter().all(|told| told.what.en.contains("in time")), "{told_of:?}");
    assert!(begun.elapsed() < Duration::from_secs(30));
    let config =
        opening(Some(format!("http://{nobody}/")), Some(mail(nobody, MailTls::None, "pass")));
    let told_of = told(&config).await;
    assert!(told_of.iter().all(|told| !told.done), "{told_of:?}");
    assert!(told_of.iter().all(|told| told.what.en.contains("reached")), "{told_of:?}");
}

#[tokio::test]
async fn a_mail_is_taken_in_japanese() {
    let (address, got) = server(1, |_, stream| smtp_by(stream, GOOD));
    let told = told(&opening(None, Some(mail(address, MailTls::None, "pass")))).await;
    assert!(told.len() == 1 && told[0].done, "{told:?}");
    let mail = got.recv().unwrap();
    assert!(mail.contains("a@example.jp") && mail.contains("b@example.jp"), "{mail}");
    assert!(mail.contains("Subject: =?utf-8?b?"), "{mail}");
    assert!(mail.contains("Content-Type: text/plain; charset=utf-8"), "{mail}");
    assert!(mail.contains("Date: "), "{mail}");
}

#[tokio::test]
async fn a_mail_server_refuses_in_words_without_secrets() {
    let (address, _got) = server(3, |_, stream| smtp_by(stream, GOOD));
    let told_of = told(&opening(None, Some(mail(address, MailTls::None, "s3cret")))).await;
    assert!(!told_of[0].done && told_of[0].what.en.contains("(535)"), "{told_of:?}");
    assert!(!format!("{told_of:?}").contains("s3cret"));
    // No STARTTLS is offered: nothing is sent in clear.
    let (address, got) = server(3, |_, stream| smtp_by(stream, GOOD));
    let told_of = told(&opening(None, Some(mail(address, MailTls::StartTls, "pass")))).await;
    assert!(!told_of[0].done, "{told_of:?}");
    assert!(got.iter().all(|mail| mail.is_empty()));
    // Another one wants TLS from the first byte, and gets no such thing.
    let (address, _got) = server(3, |_, stream| smtp_by(stream, GOOD));
    let told_of = told(&opening(None, Some(mail(address, MailTls::Tls, "pass")))).await;
    assert!(!told_of[0].done, "{told_of:?}");
}

#[tokio::test]
async fn threads_that_hang_keep_their_places_and_no_more_are_begun() {
    let places = Arc::new(Semaphore::new(1));
    let held = Arc::clone(&places).try_acquire_owned().unwrap();
    let config = opening(Some("http://127.0.0.1:9/".to_owned()), None);
    let told = tell(&config, &Message::test("青木"), QUICK, &places).await;
    assert!(!told[0].done && told[0].what.en.contains("still being sent"), "{told:?}");
    drop(held);
}
