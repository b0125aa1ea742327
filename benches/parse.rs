//! What one INVITE costs to be read and printed, beside rsip in the same run. Prints Markdown:
//! medians over rounds that take turns, so that a slow moment hits both.
//!
//! `cargo bench --bench parse -- [ROUNDS [MESSAGES]]`.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints its result")]

#[path = "table.rs"]
mod table;

use std::hint::black_box;
use std::time::Instant;

use koebashi::sip::header::Name;
use koebashi::sip::message::{Message, Method};
use koebashi::sip::print::Draft;
use rsip::headers::ToTypedHeader;
use rsip::message::HeadersExt;
use table::Row;

const SDP: &str = "v=0\r\no=- 3838293 1 IN IP4 192.0.2.20\r\ns=-\r\nc=IN IP4 192.0.2.20\r\nt=0 0\r\n\
    m=audio 22000 RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
    a=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n";

/// What a trunk sends.
fn invite() -> String {
    format!(
        "INVITE sip:0570022282@192.0.2.1:5060;user=phone SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.20:5060;branch=z9hG4bK-524287-1---d8754z;rport\r\n\
         Max-Forwards: 70\r\n\
         Contact: <sip:trunk@192.0.2.20:5060;transport=udp>\r\n\
         To: <sip:0570022282@line.example.jp;user=phone>\r\n\
         From: \"0480000001\" <sip:0480000001@trunk.example.jp;user=phone>;tag=4d1f2a7b\r\n\
         Call-ID: 86895e3a-5f0b-4c6f-9c0f-2f1f1d0b3a77@192.0.2.20\r\n\
         CSeq: 1 INVITE\r\n\
         Allow: INVITE, ACK, CANCEL, BYE, PRACK, UPDATE\r\n\
         Supported: 100rel, timer\r\n\
         Session-Expires: 300;refresher=uac\r\n\
         Min-SE: 300\r\n\
         P-Asserted-Identity: <sip:0480000001@trunk.example.jp>\r\n\
         Privacy: none\r\n\
         Content-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{SDP}",
        SDP.len()
    )
}

/// Reads the message, and the values that every INVITE is asked for.
fn read(text: &[u8]) -> usize {
    let m = Message::parse(text).unwrap();
    let tag = m.from().unwrap().tag().unwrap().len();
    tag + m.via().unwrap().branch().unwrap().len() + m.cseq().unwrap().seq as usize
}

fn rsip_read(text: &[u8]) -> usize {
    let m = rsip::Request::try_from(text).unwrap();
    let from = m.from_header().unwrap().typed().unwrap();
    let via = m.via_header().unwrap().typed().unwrap();
    let cseq = m.cseq_header().unwrap().typed().unwrap();
    from.tag().unwrap().value().len() + via.branch().unwrap().value().len() + cseq.seq as usize
}

/// An INVITE of our own of the same size.
fn draft() -> Draft {
    Draft::request(&Method::Invite, "sip:0570022282@192.0.2.1:5060;user=phone")
        .with(Name::Via, "SIP/2.0/UDP 192.0.2.20:5060;branch=z9hG4bK-524287-1---d8754z;rport")
        .with(Name::MaxForwards, 70)
        .with(Name::Contact, "<sip:trunk@192.0.2.20:5060;transport=udp>")
        .with(Name::To, "<sip:0570022282@line.example.jp;user=phone>")
        .with(Name::From, "\"x\" <sip:0480000001@trunk.example.jp;user=phone>;tag=4d1f2a7b")
        .with(Name::CallId, "86895e3a-5f0b-4c6f-9c0f-2f1f1d0b3a77@192.0.2.20")
        .with(Name::CSeq, "1 INVITE")
        .with(Name::Allow, "INVITE, ACK, CANCEL, BYE, PRACK, UPDATE")
        .with(Name::Supported, "100rel, timer")
        .with(Name::SessionExpires, "300;refresher=uac")
        .with(Name::MinSe, 300)
        .set_body("application/sdp", bytes::Bytes::from_static(SDP.as_bytes()))
}

/// Nanoseconds a call, the median of the rounds, for each of the works.
fn measure(
    works: &mut [(&str, &mut dyn FnMut() -> usize)],
    rounds: u32,
    messages: u32,
) -> Vec<f64> {
    let mut times = vec![Vec::new(); works.len()];
    for _ in 0..rounds {
        for ((_, work), times) in works.iter_mut().zip(&mut times) {
            let started = Instant::now();
            for _ in 0..messages {
                black_box(work());
            }
            times.push(started.elapsed().as_nanos() as f64 / f64::from(messages));
        }
    }
    times
        .into_iter()
        .map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        })
        .collect()
}

fn main() {
    // `cargo bench` adds an argument of its own.
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse().ok());
    let rounds = numbers.next().unwrap_or(41).max(1);
    let messages = numbers.next().unwrap_or(2000).max(1);
    let text = invite();
    let bytes = text.as_bytes();
    assert_eq!(read(bytes), rsip_read(bytes));
    let message = Message::parse(bytes).unwrap();
    let request = rsip::Request::try_from(bytes).unwrap();
    let drafted = draft();
    let mut works: [(&str, &mut dyn FnMut() -> usize); 8] = [
        ("rsip: read", &mut || rsip_read(black_box(bytes))),
        ("rsip: print", &mut || request.to_string().len()),
        ("read", &mut || read(black_box(bytes))),
        ("read and validate", &mut || {
            let m = Message::parse(black_box(bytes)).unwrap();
            usize::from(m.validate().is_ok())
        }),
        ("draft", &mut || draft().body().len()),
        ("print", &mut || drafted.print().len()),
        ("read, draft, print", &mut || read(black_box(bytes)) + draft().print().len()),
        ("answer: draft and print", &mut || {
            Draft::response(&message, 180).to_tag("x").print().len()
        }),
    ];
    let times = measure(&mut works, rounds, messages);
    let rsip = times[0] + times[1];
    println!("## Messages: an INVITE of {} bytes\n", text.len());
    println!(
        "Medians of {rounds} rounds of {messages}; rsip's read and print take {rsip:.0} ns.\n"
    );
    println!("| what | ns | rsip's read and print are so many times that |\n|---|---|---|");
    for ((name, _), time) in works.iter().zip(&times) {
        println!("| {name} | {time:.0} | {:.1} |", rsip / time);
    }
    let ours = times[2] + times[5];
    println!("| read + print | {ours:.0} | {:.1} |\n", rsip / ours);
    let what = "an INVITE read and printed";
    let beside = Some(("rsip", rsip / 1000.0));
    Row { what, figure: ours / 1000.0, unit: "µs", beside, goal: "≤ 1 µs" }.note();
}
