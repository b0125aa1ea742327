//! `koebashi status`: asks the running service for its board and prints it. And what other commands
//! ask of it.
//!
//! Owns the question (one HTTP/1.1 request, limits on time and size) and the table. The answer's
//! form is [`view`](super::view)'s.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use chrono_tz::Tz;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::view::{Board, Call, Counselor, Leg, Line, Trunk};
use crate::call::cdr::CallId;
use crate::store::report::columns::table;
use crate::time::Timestamp;

/// How long the service may take to answer.
const LIMIT: Duration = Duration::from_secs(5);
/// How long it may take to delete recordings.
const DELETE_LIMIT: Duration = Duration::from_secs(30);
/// How long it may take to check every line.
const OPENING_LIMIT: Duration = Duration::from_secs(600);
/// Bytes of an answer at most.
const SIZE_MAX: u64 = 16 * 1024 * 1024;

/// Why there is no board.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answers there, or not in time.
    #[error("no answer from {address}: {source} (is the service running?)")]
    Unreachable {
        /// Where we asked.
        address: SocketAddr,
        /// What happened.
        source: io::Error,
    },
    /// It does not do it.
    #[error("{address} refuses: {why}")]
    Refused {
        /// Where we asked.
        address: SocketAddr,
        /// Why, by its name in the API.
        why: String,
    },
    /// The answer is not one of ours.
    #[error("{address} answers, but not as koebashi does: {what}")]
    Foreign {
        /// Where we asked.
        address: SocketAddr,
        /// What is odd.
        what: String,
    },
}

/// The board of the service whose console listens on `listen`, as JSON.
///
/// # Errors
/// When nobody answers, or somebody else.
pub async fn fetch(listen: SocketAddr, token: &str) -> Result<String, Error> {
    request(listen, "GET /api/v1/board", None, token, LIMIT).await
}

/// Has the service whose console listens on `listen` delete every recording of a call.
///
/// # Errors
/// When it does not say that all of them are gone.
pub async fn delete_recordings(
    listen: SocketAddr,
    token: &str,
    call: &CallId,
) -> Result<(), Error> {
    let what = format!("DELETE /api/v1/calls/{call}/recording");
    request(listen, &what, None, token, DELETE_LIMIT).await.map(drop)
}

/// Has the service check a line before its opening, or all of them; or, where `is_last`, has it say
/// how the last checks came out. As JSON.
///
/// # Errors
/// When it does not answer, or checks nothing.
pub async fn opening(
    listen: SocketAddr,
    token: &str,
    line: Option<&str>,
    is_last: bool,
) -> Result<String, Error> {
    if is_last {
        return request(listen, "GET /api/v1/opening", None, token, LIMIT).await;
    }
    let body = json!({ "line": line.unwrap_or_default() }).to_string();
    request(listen, "POST /api/v1/opening", Some(&body), token, OPENING_LIMIT).await
}

/// Has the service make an invitation: its answer as JSON.
///
/// # Errors
/// When it does not answer, or makes none.
pub async fn invite(
    listen: SocketAddr,
    token: &str,
    name: &str,
    role: Option<&str>,
    extension: Option<&str>,
) -> Result<String, Error> {
    let body = json!({ "name": name, "role": role, "extension": extension }).to_string();
    request(listen, "POST /api/v1/accounts/invitations", Some(&body), token, LIMIT).await
}

/// Where a browser on this machine finds the console that listens on `listen`.
pub fn address(listen: SocketAddr) -> SocketAddr {
    SocketAddr::new(reachable(listen.ip()), listen.port())
}

async fn request(
    listen: SocketAddr,
    what: &str,
    body: Option<&str>,
    token: &str,
    limit: Duration,
) -> Result<String, Error> {
    let address = address(listen);
    let asked = timeout(limit, ask(address, what, body, token)).await;
    let asked = asked.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let answer = asked.map_err(|source| Error::Unreachable { address, source })?;
    if let Some(why) = refusal(&answer) {
        return Err(Error::Refused { address, why });
    }
    read_body(&answer).map_err(|what| Error::Foreign { address, what })
}

/// The board in a service's answer.
///
/// # Errors
/// When the text is no board.
pub fn parse(json: &str) -> Result<Board, serde_json::Error> {
    serde_json::from_str(json)
}

/// An address to listen on everywhere is reached on loopback.
fn reachable(listen: IpAddr) -> IpAddr {
    match listen {
        _ if !listen.is_unspecified() => listen,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    }
}

async fn ask(
    address: SocketAddr,
    what: &str,
    body: Option<&str>,
    token: &str,
) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    let length = body.map(|body| {
        format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len())
    });
    let (length, body) = (length.unwrap_or_default(), body.unwrap_or_default());
    let request = format!(
        "{what} HTTP/1.1\r\nHost: {address}\r\nAccept: application/json\r\n{length}\
         Authorization: Bearer {token}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = vec![];
    stream.take(SIZE_MAX).read_to_end(&mut answer).await?;
    Ok(answer)
}

/// What stands against it, in an answer that says so as the API does.
fn refusal(answer: &[u8]) -> Option<String> {
    let (_, body) = std::str::from_utf8(answer).ok()?.split_once("\r\n\r\n")?;
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    Some(body.get("error")?.as_str()?.to_owned())
}

/// The body of a whole answer with status 200 and a stated length (RFC 9112 §6).
fn read_body(answer: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(answer).map_err(|_| "it is not UTF-8".to_owned())?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or("it has no head")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        return Err(format!("it says {status:?}"));
    }
    let headers = lines.filter_map(|line| line.split_once(':'));
    let mut lengths = headers.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = lengths.next().and_then(|(_, value)| value.trim().parse::<usize>().ok());
    match length {
        Some(length) if length == body.len() => Ok(body.to_owned()),
        Some(length) => Err(format!("{} of {length} bytes came", body.len())),
        None => Err("it does not say its length".to_owned()),
    }
}

/// The board as text; moments on the clock of `timezone`.
pub fn print_board(board: &Board, timezone: Tz) -> String {
    let drain = if board.draining {
        "　【終了待ち：新しい着信は受けません】"
    } else {
        ""
    };
    let mut out = format!("{}{drain}\n", local(&board.at, timezone, "%Y-%m-%d %H:%M:%S"));
    let lines = board.lines.iter().map(|line| line_row(line, timezone));
    let head = ["回線", "名称", "受付", "次の変更", "待ち", "最長", "受付可", "本日"];
    section(&mut out, "回線", &head, lines);
    let head = ["通話", "回線", "段階", "経過", "順番", "相談員", "監督者", "番号通知", "音声"];
    section(&mut out, "通話", &head, board.calls.iter().map(call_row));
    let head = ["内線", "名前", "状態", "経過", "不応答", "応答", "回線"];
    section(&mut out, "相談員", &head, board.counselors.iter().map(counselor_row));
    section(&mut out, "中継", &["中継", "状態", "理由"], board.trunks.iter().map(trunk_row));
    out
}

fn section(
    out: &mut String,
    title: &str,
    head: &[&str],
    rows: impl ExactSizeIterator<Item = Vec<String>>,
) {
    *out += &format!("\n{title}（{}）\n", rows.len());
    if rows.len() > 0 {
        let head = head.iter().map(|cell| (*cell).to_owned()).collect();
        *out += &table(&std::iter::once(head).chain(rows).collect::<Vec<_>>());
    }
}

fn line_row(line: &Line, timezone: Tz) -> Vec<String> {
    let today = line.today.iter().filter(|(_, n)| **n > 0);
    let today = today.map(|(outcome, n)| format!("{} {n}", outcome_label(outcome)));
    let changes = line.changes_at.as_deref().map(|at| local(at, timezone, "%m-%d %H:%M"));
    vec![
        line.line.clone(),
        line.name.clone(),
        if line.open { "受付中" } else { "時間外" }.to_owned(),
        changes.unwrap_or_else(none),
        line.waiting.to_string(),
        clock(line.longest_wait_seconds),
        line.ready.to_string(),
        today.collect::<Vec<_>>().join("、"),
    ]
}

fn call_row(call: &Call) -> Vec<String> {
    let phase = match call.phase.as_str() {
        "trunk" => "着信",
        "guidance" => "案内",
        "queue" => "待ち",
        "ringing" => "呼出中",
        "bridge" => "相談中",
        other => other,
    };
    let recording = match call.recording.as_deref() {
        None => "",
        Some("on") => "（録音中）",
        Some("paused") => "（録音停止中）",
        Some(other) => other,
    };
    let presentation = match call.presentation.as_str() {
        "shown" => "通知",
        "withheld" => "非通知",
        "payphone" => "公衆電話",
        "unavailable" => "表示圏外",
        "unknown" => "不明",
        other => other,
    };
    vec![
        call.call.clone(),
        call.line.clone().unwrap_or_else(none),
        format!("{phase}{recording}"),
        clock(call.in_phase_seconds),
        call.position.map_or_else(none, |position| position.to_string()),
        call.counselors.join(" "),
        call.supervisor.as_ref().map_or_else(none, |supervisor| {
            let mode = match supervisor.mode.as_str() {
                "listen" => "モニター",
                "whisper" => "助言",
                "join" => "参加",
                other => other,
            };
            format!("{}（{mode}）", supervisor.extension)
        }),
        presentation.to_owned(),
        voice(call),
    ]
}

/// Whose voice does not come, to whom ours does not get, and how good those are that do (MOS).
fn voice(call: &Call) -> String {
    let side = |leg: &Leg| {
        let whose = match leg.side.as_str() {
            "caller" => "相談者",
            "counselor" => "相談員",
            "supervisor" => "管理者",
            other => other,
        };
        match (leg.one_way, leg.unheard, leg.mos) {
            (true, _, _) => Some(format!("【{whose}の声なし】")),
            (false, true, _) => Some(format!("【{whose}に届かず】")),
            (false, false, Some(mos)) => Some(format!("{whose} {mos:.1}")),
            (false, false, None) => None,
        }
    };
    let sides = call.legs.iter().filter_map(side).collect::<Vec<_>>();
    if sides.is_empty() { none() } else { sides.join(" ") }
}

fn counselor_row(counselor: &Counselor) -> Vec<String> {
    let state = match counselor.state.as_str() {
        "offline" => "ログアウト",
        "unreachable" => "電話不通",
        "paused" => "離席",
        "ready" => "受付可",
        "ringing" => "呼出中",
        "talking" => "相談中",
        "wrap_up" => "後処理",
        other => other,
    };
    let reason = counselor.pause_reason.as_ref().filter(|reason| !reason.is_empty());
    let help = counselor.help_seconds.map(|waited| format!("支援要請 {}", clock(waited)));
    let reason = help.as_ref().or(reason);
    vec![
        counselor.extension.clone(),
        counselor.name.clone(),
        reason.map_or_else(|| state.to_owned(), |reason| format!("{state}（{reason}）")),
        clock(counselor.for_seconds),
        counselor.missed.to_string(),
        counselor.taken.to_string(),
        counselor.lines.join(" "),
    ]
}

fn trunk_row(trunk: &Trunk) -> Vec<String> {
    let state = match trunk.state.as_str() {
        "assumed" => "確認なし",
        "up" => "正常",
        "down" => "不通",
        other => other,
    };
    vec![trunk.trunk.clone(), state.to_owned(), trunk.reason.clone().unwrap_or_default()]
}

fn outcome_label(outcome: &str) -> &str {
    match outcome {
        "answered" => "応答",
        "abandoned" => "放棄",
        "short_abandoned" => "短時間放棄",
        "guidance_abandoned" => "案内中切断",
        "timed_out" => "待ち超過",
        "full" => "満員",
        "no_counselor" => "不在",
        "closed" => "時間外",
        "refused" => "拒否",
        "failed" => "障害",
        other => other,
    }
}

fn none() -> String {
    "－".to_owned()
}

fn clock(seconds: u64) -> String {
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, m, s) => format!("{m}:{s:02}"),
        (h, m, s) => format!("{h}:{m:02}:{s:02}"),
    }
}

/// A moment on the zone's clock; what is no moment stays as it is.
fn local(at: &str, timezone: Tz, form: &str) -> String {
    let moment = at.parse::<Timestamp>();
    moment.map_or_else(|_| at.to_owned(), |m| m.with_timezone(&timezone).format(form).to_string())
}
