use proptest::prelude::*;

use super::*;
use crate::sip::message::Message;

const SHORT: &str = "OPTIONS sip:a SIP/2.0\r\nVia: x\r\nContent-Length : 5\r\n\r\nhello";
const EMPTY: &str = "SIP/2.0 200 OK\r\nl:\r\n 0\r\n\r\n";

fn frames(limits: Limits, pieces: &[&[u8]]) -> Vec<Result<Frame, FrameError>> {
    let mut framer = Framer::new(limits);
    let mut out = Vec::new();
    for piece in pieces {
        framer.push(piece);
        out.extend(framer.by_ref());
    }
    out
}

fn whole(text: &str) -> Vec<Result<Frame, FrameError>> {
    frames(Limits::default(), &[text.as_bytes()])
}

fn message(text: &str) -> Result<Frame, FrameError> {
    Ok(Frame::Message(Bytes::copy_from_slice(text.as_bytes())))
}

#[test]
fn same_frames_for_every_split() {
    let stream = format!("{SHORT}\r\n{EMPTY}\r\n\r\n\r\n\r\n\r\n{SHORT}{SHORT}");
    let expected = [
        message(SHORT),
        Ok(Frame::Pong),
        message(EMPTY),
        Ok(Frame::Ping),
        Ok(Frame::Ping),
        Ok(Frame::Pong),
        message(SHORT),
        message(SHORT),
    ];
    let bytes = stream.as_bytes();
    for i in 0..bytes.len() {
        assert_eq!(frames(Limits::default(), &[&bytes[..i], &bytes[i..]]), expected, "at {i}");
    }
    let single: Vec<_> = bytes.chunks(1).collect();
    assert_eq!(frames(Limits::default(), &single), expected);
}

#[test]
fn keep_alives() {
    assert_eq!(whole("\r\n\r\n"), [Ok(Frame::Ping)]);
    assert_eq!(whole("\r\n"), []);
    assert_eq!(whole("\r\n\r\n\r\n\r\n"), [Ok(Frame::Ping), Ok(Frame::Ping)]);
    assert_eq!(frames(Limits::default(), &[b"\r", b"\n\r", b"\n"]), [Ok(Frame::Ping)]);
}

#[test]
fn lengths_on_a_stream() {
    let cases = [
        ("Content-Length: 5", None),
        ("Content-Length: 05", None),
        ("l: 5\r\nContent-Length: 5", None),
        ("Content-Length: -1", Some(ParseError::ContentLength)),
        ("Content-Length: +5", Some(ParseError::ContentLength)),
        ("Content-Length: 5,5", Some(ParseError::ContentLength)),
        ("Content-Length: 5 5", Some(ParseError::ContentLength)),
        ("Content-Length: ", Some(ParseError::ContentLength)),
        ("Content-Length: 0x5", Some(ParseError::ContentLength)),
        ("Content-Length: 5\r\nl: 6", Some(ParseError::ContentLength)),
        ("Content-Length: 4294967328", Some(ParseError::TooLarge { limit: 65_535 })),
        ("Content-Length: 9223372036854775808", Some(ParseError::TooLarge { limit: 65_535 })),
        ("Content-Length: 18446744073709551616", Some(ParseError::TooLarge { limit: 65_535 })),
        ("Content-Len: 5", Some(ParseError::NoContentLength)),
    ];
    for (line, error) in cases {
        let text = format!("OPTIONS sip:a SIP/2.0\r\n{line}\r\n\r\nhello");
        let expected = error.map_or_else(|| message(&text), |error| Err(FrameError(error)));
        let single: Vec<_> = text.as_bytes().chunks(1).collect();
        for pieces in [&[text.as_bytes()][..], &single] {
            let seen = frames(Limits::default(), pieces);
            assert_eq!(seen, std::slice::from_ref(&expected), "{line}");
        }
    }
}

#[test]
fn limits_are_sharp_and_the_lost_stay_lost() {
    let head = SHORT.len() - 5;
    let at =
        |head, message| frames(Limits { head, message, ..Limits::default() }, &[SHORT.as_bytes()]);
    assert_eq!(at(head, SHORT.len()), [message(SHORT)]);
    let too_long = Err(FrameError(ParseError::HeadTooLarge { limit: head - 1 }));
    assert_eq!(at(head - 1, SHORT.len()), [too_long]);
    let too_large = Err(FrameError(ParseError::TooLarge { limit: SHORT.len() - 1 }));
    assert_eq!(at(head, SHORT.len() - 1), [too_large]);

    let mut framer = Framer::new(Limits::default());
    framer.push(&[b'x'; 40_000]);
    assert!(framer.next().is_some_and(|frame| frame.is_err()));
    framer.push(SHORT.as_bytes());
    assert!(framer.next().is_none() && framer.buffer.is_empty());
    assert_eq!(whole("GET / HTTP/1.1\r\n\r\n"), [Err(FrameError(ParseError::StartLine))]);
    assert_eq!(whole("SIP/1.0 200 OK\r\n\r\n"), [Err(FrameError(ParseError::Version))]);
}

fn lines() -> impl Strategy<Value = String> {
    let line = prop::sample::select(vec![
        "l: 4",
        "Content-Length: 4",
        "content-length : 04",
        "Content-Length: 40",
        "l:",
        "l: 4,4",
        "Content-Length: -4",
        "l\t:\r\n 4",
        "l: 4\r\n 4",
        "X: \rl: 9",
        "X: \nl: 9",
        " l: 9",
        "Content-Length",
        ": 4",
        "X:\r\n\t\r\n  l: 9",
        "Subject: \r\n ",
        "\u{b}l: 9",
        "l\r: 9",
    ]);
    prop::collection::vec(line, 0..4).prop_map(|lines| lines.join("\r\n"))
}

proptest! {
    /// Where the framer ends a message, there the parser ends it too, however the stream is split.
    #[test]
    fn framer_and_parser_agree(
        lines in lines(), body in "[\r\na-d:]{0,60}", cuts in prop::collection::vec(0usize..200, 0..6),
    ) {
        let text = format!("OPTIONS sip:a SIP/2.0\r\n{lines}\r\n\r\n{body}");
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let pieces: Vec<_> = cuts.windows(2).map(|c| &text.as_bytes()[c[0]..c[1]]).collect();
        let seen = frames(Limits::default(), &pieces);
        prop_assert_eq!(&seen, &frames(Limits::default(), &[text.as_bytes()]));

        let parsed = Message::parse(text.as_bytes()).unwrap();
        match seen.first() {
            Some(Ok(Frame::Message(frame))) => {
                prop_assert_eq!(frame.len(), parsed.length());
                let again = Message::parse(frame).unwrap();
                prop_assert_eq!(again.body(), parsed.body());
                prop_assert_eq!(again.validate(), parsed.validate());
            }
            Some(Ok(_)) => prop_assert!(false, "a keep-alive in front of a message"),
            Some(Err(_)) => {}
            // It waits for a body that has not all come; the datagram is short.
            None => prop_assert!(parsed.defect.is_some()),
        }
    }

    /// Every length, whole and cut anywhere.
    #[test]
    fn every_length(length in 0usize..3000, cut in 0usize..4000) {
        let text = format!("OPTIONS sip:a SIP/2.0\r\nl: {length}\r\n\r\n{}", "\r\n x".repeat(800));
        let (a, b) = text.as_bytes().split_at(cut.min(text.len()));
        let seen = frames(Limits::default(), &[a, b]);
        let parsed = Message::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(parsed.body().len(), length);
        let Some(Ok(Frame::Message(frame))) = seen.first() else { panic!("no message") };
        prop_assert_eq!(frame.len(), parsed.length());
    }

    #[test]
    fn any_bytes_are_survived(pieces in prop::collection::vec(prop::collection::vec(0u8.., 0..40), 0..9)) {
        let pieces: Vec<_> = pieces.iter().map(Vec::as_slice).collect();
        frames(Limits::default(), &pieces);
    }
}
