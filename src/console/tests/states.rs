//! What counselors choose through the API: for whom they may, and what the loop is asked.

use super::door::Visitor;
use super::*;
use crate::store::accounts::Role;

const STATES: &str = "/api/v1/counselors/101";

impl Visitor<'_> {
    /// Sends JSON, as a script of ours does.
    pub(crate) fn json(&self, path: &str, body: &str) -> String {
        let (cookie, csrf, length) = (&self.cookie, &self.csrf, body.len());
        format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nX-CSRF-Token: {csrf}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        )
    }
}

impl Server {
    /// Sends a request and stands in for the loop while it is answered: what that was asked, by
    /// whom, and the answer.
    pub(crate) async fn answering(
        &mut self,
        request: &str,
        answer: Result<(), Denial>,
    ) -> (Option<(Request, String)>, u16, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let (mut text, mut asked) = (String::new(), None);
        tokio::select! {
            read = stream.read_to_string(&mut text) => { read.unwrap(); }
            request = self.feed.next_asked() => {
                let Asked { request, who, answer: answers } = request.unwrap();
                asked = Some((request, who.to_string()));
                answers.send(answer).unwrap();
                stream.read_to_string(&mut text).await.unwrap();
            }
        }
        let status = text.split(' ').nth(1).and_then(|code| code.parse().ok());
        (asked, status.unwrap_or_default(), text)
    }
}

#[tokio::test]
async fn whoever_may_is_asked_for_in_their_name() {
    let mut server = Server::start(Console::default()).await;
    let [own, other] = ["101", "102"].map(|it| format!("/api/v1/counselors/{it}"));
    let intend = |extension: &str, intention, by| Request::Intend {
        extension: extension.into(),
        intention,
        by,
    };
    let paused = || Intention::Paused("休憩".to_owned());
    let pause = r#"{"state": "paused", "reason": "休憩"}"#;
    let counselor = server.visitor(Role::Counselor, Some("101")).await;
    let supervisor = server.visitor(Role::Supervisor, Some("201")).await;
    let table = [
        (
            counselor.json(&format!("{own}/state"), pause),
            Some((intend("101", paused(), Chooser::Own), "counselor")),
        ),
        (
            counselor.json(&format!("{own}/wrap_up"), r#"{"do": "extend"}"#),
            Some((Request::ExtendWrapUp("101".into()), "counselor")),
        ),
        (
            counselor.json(&format!("{own}/help"), "{}"),
            Some((Request::AskHelp("101".into()), "counselor")),
        ),
        (counselor.json(&format!("{other}/state"), pause), None),
        (counselor.json(&format!("{other}/wrap_up"), r#"{"do": "end"}"#), None),
        (counselor.json(&format!("{other}/help"), "{}"), None),
        (
            supervisor.json(&format!("{other}/state"), pause),
            Some((intend("102", paused(), Chooser::Other), "supervisor")),
        ),
        (
            supervisor.json(&format!("{other}/state"), r#"{"state": "offline"}"#),
            Some((intend("102", Intention::LoggedOut, Chooser::Other), "supervisor")),
        ),
        (
            supervisor.json(&format!("{own}/wrap_up"), r#"{"do": "end"}"#),
            Some((Request::EndWrapUp("101".into()), "supervisor")),
        ),
    ];
    for (request, expected) in table {
        let (asked, code, answer) = server.answering(&request, Ok(())).await;
        let expected = expected.map(|(request, who)| (request, who.to_owned()));
        assert_eq!(asked, expected, "{request}");
        match asked {
            Some(_) => assert_eq!(code, 200),
            None => assert!(code == 403 && answer.contains("not_your_extension"), "{answer}"),
        }
    }
    let trail = server.trail().await;
    let told = trail.iter().filter(|it| it.what.contains("another extension")).count();
    assert_eq!(told, 3, "{trail:?}");
}

#[tokio::test]
async fn what_there_is_not_can_t_be_chosen() {
    let mut server = Server::start(Console::default()).await;
    let supervisor = server.visitor(Role::Supervisor, None).await;
    let requests = [
        ("state", r#"{"state": "talking"}"#),
        ("state", r#"{"reason": "休憩"}"#),
        ("state", r#"{"state": "ready", "now": true}"#),
        ("wrap_up", r#"{"do": "stop"}"#),
    ];
    let requests = requests.map(|(path, body)| supervisor.json(&format!("{STATES}/{path}"), body));
    let wrap_up = supervisor.json(&format!("{STATES}/wrap_up"), r#"{"do": "end"}"#);
    for request in requests {
        let (asked, code, _) = server.answering(&request, Ok(())).await;
        assert_eq!((asked, code), (None, 422), "{request}");
    }
    let (_, code, answer) = server.answering(&wrap_up, Err(Denial::NotWrappingUp)).await;
    assert!(code == 409 && answer.contains("not_wrapping_up"), "{answer}");
}
