//! The console's paths.
//!
//! | path | answer |
//! |---|---|
//! | `GET /live` | 200 while the loop goes round, else 503 |
//! | `GET /ready` | 200 when new calls are welcome, else 503 with the reasons |
//! | `GET /metrics` | Prometheus text format |
//! | `GET /api/v1/board` | the live board ([`view::Board`]) |
//! | `GET /api/v1/events` | server-sent events: `board` with the board whenever it changed |
//! | | and before it `help` ([`view::Help`]) when a counselor has asked for help; `moved` is |
//! | | the last one where a newer stream of the same account takes its place |
//! | `/api/v1/calls/…` | what is done in calls: see [`deeds`] |
//! | `/api/v1/calls/…/contact` | what a call was: see [`contacts`] |
//! | `/api/v1/counselors/…` | what counselors choose: see [`states`] |
//!
//! Nothing here ever carries a caller's number: the board has none.

mod contacts;
mod deeds;
mod origin;
mod patience;
mod states;
mod too_large;
mod unfit;

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use futures_util::stream::{self, Stream};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::desk::Desk;
use super::enter::{self, FORM_MAX};
use super::live::pass::Pass;
use super::live::seats::{self, Seat, Seats};
use super::sign_in::{From, Person};
use super::ui::{STYLE, View, error};
use super::{assets, pages, view};
use crate::call::board::Board;
use crate::shell::handle::Handle;

/// Bytes of any other body than a form's.
const BODY_MAX: usize = 64 * 1024;
/// Shortest time between two events of one subscriber; what changes in between is in the next.
const EVENT_PAUSE: Duration = Duration::from_millis(250);

/// Headers of every answer: nothing is cached, guessed at, framed or told to other sites. (With
/// "no-referrer" browsers say of our own forms that they come from nowhere.)
const HEADERS: [(HeaderName, HeaderValue); 3] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff")),
    (HeaderName::from_static("referrer-policy"), HeaderValue::from_static("same-origin")),
];
const POLICY: HeaderName = HeaderName::from_static("content-security-policy");

#[derive(Clone)]
struct Shared {
    desk: Arc<Desk>,
    handle: Handle,
    subscribers: Seats,
    heartbeat: Duration,
    printed: Arc<Mutex<Printed>>,
}

/// The board as last printed, so that it is printed once for all subscribers.
#[derive(Default)]
struct Printed {
    board: Arc<Board>,
    json: Arc<str>,
}

/// All paths.
pub(super) fn router(desk: &Arc<Desk>) -> Router {
    let shared = Shared {
        desk: Arc::clone(desk),
        handle: desk.handle.clone(),
        subscribers: Seats::new(&desk.limits),
        heartbeat: desk.limits.heartbeat,
        printed: Arc::default(),
    };
    let api = Router::new()
        .route("/live", get(live))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/assets/{version}/{name}", get(assets::file))
        .route("/api/v1/board", get(board))
        .route("/api/v1/events", get(events))
        .merge(deeds::routes())
        .merge(states::routes())
        .merge(contacts::routes())
        .with_state(shared);
    let door = Door {
        hosts: Arc::from(&*desk.limits.hosts),
        upload_max: desk.limits.upload_max,
        policy: policy(),
    };
    let pages = pages::routes(desk)
        .fallback(move |view: View, headers: HeaderMap| {
            future::ready(match wants_page(&headers) {
                true => view.refuse(
                    StatusCode::NOT_FOUND,
                    view.t("このページはありません。", "There is no such page."),
                ),
                false => error(StatusCode::NOT_FOUND, "not_found"),
            })
        })
        .layer(middleware::from_fn_with_state(Arc::clone(desk), unfit::in_words))
        .with_state(Arc::clone(desk));
    api.merge(pages)
        .method_not_allowed_fallback(|| {
            future::ready(error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"))
        })
        .layer(middleware::from_fn_with_state(Arc::clone(desk), enter::enter))
        .layer(DefaultBodyLimit::max(desk.limits.upload_max))
        .layer(middleware::from_fn_with_state(door, guard))
}

/// What of a page may come from where: all of it from here, and no script or style within it but
/// the one style sheet.
fn policy() -> HeaderValue {
    let hash = BASE64_STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'sha256-{hash}'; img-src 'self'; \
         media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    let nothing = "default-src 'none'; frame-ancestors 'none'";
    HeaderValue::from_str(&policy).unwrap_or_else(|_| HeaderValue::from_static(nothing))
}

/// Whether a person asks, not a program.
fn wants_page(headers: &HeaderMap) -> bool {
    let wanted = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    wanted.is_some_and(|wanted| wanted.contains("text/html"))
}

/// What holds for every path.
#[derive(Clone)]
struct Door {
    hosts: Arc<[String]>,
    upload_max: usize,
    policy: HeaderValue,
}

/// What holds for every path: who may ask, the limit on bodies (of stated length only), and the
/// headers.
async fn guard(State(door): State<Door>, request: Request, next: Next) -> Response {
    let request = patience::limited(request);
    let headers = request.headers();
    let form = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let most = match form.split(';').next().unwrap_or_default() {
        "multipart/form-data" => door.upload_max,
        "application/x-www-form-urlencoded" => FORM_MAX,
        _ => BODY_MAX,
    };
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let fits = length.is_none_or(|text| text.parse::<usize>().is_ok_and(|n| n <= most));
    let mut response = if !origin::is_ours(headers, &door.hosts) {
        error(StatusCode::FORBIDDEN, "foreign_origin")
    } else if fits && !headers.contains_key(TRANSFER_ENCODING) {
        next.run(request).await
    } else {
        too_large::answer(request, most).await
    };
    let own = response.headers_mut();
    for (name, value) in HEADERS {
        own.entry(name).or_insert(value);
    }
    own.insert(POLICY, door.policy);
    response
}

fn verdict(well: bool) -> StatusCode {
    if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn live(State(shared): State<Shared>) -> Response {
    let live = shared.handle.is_live();
    (verdict(live), Json(json!({ "live": live }))).into_response()
}

async fn ready(State(shared): State<Shared>) -> Response {
    let reasons = shared.handle.unready();
    let ready = reasons.is_empty();
    (verdict(ready), Json(json!({ "ready": ready, "reasons": reasons }))).into_response()
}

async fn metrics(State(shared): State<Shared>) -> Response {
    let form = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(CONTENT_TYPE, form)], shared.handle.metrics()).into_response()
}

async fn board(State(shared): State<Shared>) -> Response {
    let board = shared.handle.board().borrow().clone();
    let form = HeaderValue::from_static("application/json");
    ([(CONTENT_TYPE, form)], shared.print(&board).to_string()).into_response()
}

async fn events(
    State(shared): State<Shared>,
    Extension(person): Extension<Person>,
    Extension(from): Extension<From>,
    headers: HeaderMap,
) -> Response {
    let Some(seat) = shared.subscribers.take(&person, from) else {
        return error(StatusCode::SERVICE_UNAVAILABLE, "too_many_subscribers");
    };
    let heartbeat = KeepAlive::new().interval(shared.heartbeat).text("heartbeat");
    let mut board = shared.handle.board();
    board.mark_changed();
    let (next, told, due) = (Instant::now(), BTreeSet::new(), VecDeque::new());
    let pass = Pass::new(&shared.desk, &person, &headers);
    let subscriber = Subscriber { pass, board, shared, next, told, due, seat, is_over: false };
    Sse::new(subscriber.events()).keep_alive(heartbeat).into_response()
}

impl Shared {
    fn print(&self, board: &Arc<Board>) -> Arc<str> {
        let mut printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        if printed.json.is_empty() || !Arc::ptr_eq(&printed.board, board) {
            let json = serde_json::to_string(&view::Board::from(&**board));
            // A view is made of texts, numbers and lists only, so that this can't fail.
            printed.json = json.unwrap_or_default().into();
            printed.board = Arc::clone(board);
        }
        Arc::clone(&printed.json)
    }
}

/// One reader of the event stream. Its place is free again when the connection ends.
struct Subscriber {
    pass: Pass,
    board: watch::Receiver<Arc<Board>>,
    shared: Shared,
    /// When it may get the next board.
    next: Instant,
    /// Calls for help that it was told of and that still stand: who asks, and in which call.
    told: BTreeSet<(String, String)>,
    /// What goes out before the next board.
    due: VecDeque<Event>,
    seat: Seat,
    is_over: bool,
}

impl Subscriber {
    /// The board at once, then whenever it has changed; ends with the session, with the loop, or
    /// when a newer stream of the same account takes its place.
    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut subscriber| async {
            let event = subscriber.event().await?;
            Some((Ok(event), subscriber))
        })
    }

    async fn event(&mut self) -> Option<Event> {
        if self.is_over {
            return None;
        }
        if let Some(event) = self.due.pop_front() {
            return Some(event);
        }
        let changed = async {
            sleep_until(self.next).await;
            self.board.changed().await
        };
        let Some(changed) = self.seat.until(changed).await else {
            self.is_over = true;
            return Some(seats::moved());
        };
        changed.ok()?;
        if !self.pass.is_good().await {
            return None;
        }
        self.next = Instant::now() + EVENT_PAUSE;
        let board = self.board.borrow_and_update().clone();
        self.draw(&board);
        self.due.pop_front()
    }

    /// The events of a board: who asks for help since the last one, then all of it.
    fn draw(&mut self, board: &Arc<Board>) {
        let asking = view::Help::all(board);
        let name = |help: &view::Help| (help.counselor.clone(), help.call.clone());
        for help in asking.iter().filter(|help| !self.told.contains(&name(help))) {
            // Made of texts and lists of texts only, so that this can't fail.
            let json = serde_json::to_string(help).unwrap_or_default();
            self.due.push_back(Event::default().event("help").data(json));
        }
        self.told = asking.iter().map(name).collect();
        self.due.push_back(Event::default().event("board").data(&*self.shared.print(board)));
    }
}
