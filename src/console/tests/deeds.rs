//! What is asked of the loop by the API.

use super::*;

#[tokio::test]
async fn what_is_asked_of_the_loop_is_answered_by_it() {
    let mut server = Server::start(Console::default()).await;
    let (call, mode) = (CallId("k7f2".into()), SupervisionMode::Listen);
    let extension = Extension::from("201");
    let calls = "/api/v1/calls/k7f2/supervise";
    let table = [
        (
            format!("POST {calls}"),
            r#"{"extension": "201", "mode": "listen"}"#,
            202,
            Request::Supervise { call: call.clone(), extension, mode },
        ),
        (
            format!("PUT {calls}"),
            r#"{"mode": "join"}"#,
            200,
            Request::Switch { call: call.clone(), mode: SupervisionMode::Join },
        ),
        (format!("DELETE {calls}"), "", 200, Request::EndSupervision { call }),
        (
            "POST /api/v1/counselors/101/help".to_owned(),
            "{}",
            200,
            Request::AskHelp(Extension::from("101")),
        ),
        (
            "DELETE /api/v1/counselors/101/help".to_owned(),
            "",
            200,
            Request::ClearHelp(Extension::from("101")),
        ),
        (
            "POST /api/v1/calls/k7f2/recording".to_owned(),
            r#"{"paused": true}"#,
            200,
            Request::PauseRecording { call: CallId("k7f2".into()), paused: true },
        ),
    ];
    for (request, body, extension) in [
        ("POST", r#"{"extension": "201", "mode": "record"}"#, Some(Extension::from("201"))),
        ("PUT", r#"{"mode": "Listen"}"#, None),
    ] {
        let expected = Request::UnknownMode { call: CallId("k7f2".into()), extension };
        let denied = Err(Denial::UnknownMode);
        let (asked, code, answer) = server.ask(&format!("{request} {calls}"), body, denied).await;
        assert_eq!((asked, code), (Some(expected), 422), "{request}");
        assert_eq!(answer, r#"{"error":"unknown_mode"}"#);
    }
    for (request, body, status, expected) in table {
        let (asked, code, answer) = server.ask(&request, body, Ok(())).await;
        assert_eq!((asked, code, &*answer), (Some(expected), status, "{}"), "{request}");
    }
    let denials = [
        (Denial::UnknownCall, 404, "unknown_call"),
        (Denial::NotSupervisor, 403, "not_a_supervisor"),
        (Denial::Taken, 409, "already_supervised"),
        (Denial::NotRecorded, 409, "not_recorded"),
        (Denial::NotWrappingUp, 409, "not_wrapping_up"),
        (Denial::UnknownReason, 422, "unknown_reason"),
        (Denial::NoPort, 503, "no_media_port"),
    ];
    for (denial, status, name) in denials {
        let body = r#"{"mode": "join"}"#;
        let (_, code, answer) = server.ask(&format!("PUT {calls}"), body, Err(denial)).await;
        assert_eq!((code, answer), (status, format!(r#"{{"error":"{name}"}}"#)));
    }
}

#[tokio::test]
async fn a_limit_is_asked_of_the_loop_and_why_there_is_none_is_said() {
    let mut server = Server::start(Console::default()).await;
    let limit = "POST /api/v1/calls/k7f2/limit";
    let wanted = Request::LimitCaller { call: CallId("k7f2".into()) };
    for (answer, status, text) in [
        (Ok(()), 200, "{}"),
        (Err(Denial::NoNumber), 409, r#"{"error":"number_withheld"}"#),
        (Err(Denial::TooManyLimits), 503, r#"{"error":"too_many_limits"}"#),
    ] {
        let (asked, code, said) = server.ask(limit, "{}", answer).await;
        assert_eq!((asked, code, &*said), (Some(wanted.clone()), status, text));
    }
    let (asked, code, _) = server.ask("DELETE /api/v1/limits", "", Ok(())).await;
    assert_eq!((asked, code), (Some(Request::LiftLimits), 200));
}

#[tokio::test]
async fn what_is_no_request_never_reaches_the_loop() {
    let mut server = Server::start(Console::default()).await;
    let recording = "POST /api/v1/calls/k7f2/recording";
    let calls = "/api/v1/calls/k7f2/supervise";
    let table = [
        (format!("POST {calls}"), "", 400),
        (format!("POST {calls}"), "{}", 422),
        (format!("POST {calls}"), r#"{"extension": 201, "mode": "join"}"#, 422),
        (format!("POST {calls}"), r#"{"extension": "201", "mode": "join", "x": 1}"#, 422),
        (format!("PATCH {calls}"), "{}", 405),
        ("POST /api/v1/counselors/101/help".to_owned(), "", 400),
        (recording.to_owned(), r#"{"paused": 1}"#, 422),
        (recording.to_owned(), r#"{"paused": true, "now": 1}"#, 422),
    ];
    for (request, body, status) in table {
        let (asked, code, answer) = server.ask(&request, body, Ok(())).await;
        assert_eq!((asked, code), (None, status), "{request} {body}");
        assert!(answer.starts_with(r#"{"error":""#), "{answer}");
    }
    let token = server.token.clone();
    // A form of another site's page can't say that it is JSON.
    let form = format!(
        "POST {calls} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: text/plain\r\nContent-Length: 38\r\n\
         Connection: close\r\n\r\n{{\"extension\": \"201\", \"mode\": \"listen\"}}"
    );
    assert_eq!(server.send(&form).await.0, 415);
    let help = format!(
        "POST /api/v1/counselors/101/help HTTP/1.1\r\nAuthorization: Bearer {token}\r\n\
         Connection: close\r\n\r\n"
    );
    assert_eq!(server.send(&help).await.0, 415);
    assert!(server.feed.try_asked().is_none());
}

#[tokio::test]
async fn a_loop_that_answers_nothing_is_said_so() {
    let server = Server::start(Console::default()).await;
    let (feed, handle) = channel(server.store.clone(), Metrics::default());
    drop(feed);
    let asked = handle.ask(Request::AskHelp(Extension::from("101")), "hana").await;
    assert_eq!(asked, Err(crate::shell::handle::Unanswered::Busy));
}
