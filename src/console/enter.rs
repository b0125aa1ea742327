//! The door: who asks, whether they may go there, and whether what they send is from a form of
//! ours.
//!
//! Owns the order of these questions. Where somebody's time is over in the middle of a form, they
//! sign in again and what they typed is there; a file they choose again. What is refused is read
//! to its end all the same: a browser that still sends shows a broken connection instead of the
//! answer.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{FromRequest as _, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt as _;

use super::access::{Place, place_of};
use super::desk::Desk;
use super::pages::sign_in::{self, Kept};
use super::sign_in::Person;
use super::sign_in::sessions::COOKIE;
use super::ui::{View, cookie, error, see_other};

/// Bytes of a form at most; uploads have their own limit.
pub(super) const FORM_MAX: usize = 512 * 1024;
/// Bytes of an upload's texts that are kept at most: as a form they take three times as many.
const TEXTS_MAX: usize = FORM_MAX / 4;
/// Fields of an upload that are kept at most; no form of ours has as many.
const FIELDS_MAX: usize = 20;

/// Lets a request in, or answers it.
pub(super) async fn enter(State(desk): State<Arc<Desk>>, request: Request, next: Next) -> Response {
    let Some(place) = place_of(request.uri().path()) else { return next.run(request).await };
    let person = who(&desk, request.headers()).await;
    match (place.roles, person) {
        (None, person) => pass(&desk, place, person, request, next).await,
        (Some(_), None) => stranger(&desk, request).await,
        (Some(_), Some(person)) if !place.admits(person.role) && !person.is_machine() => {
            desk.audit_refusal(&person.name, format!("is not let to {}", place.path));
            let (view, is_api) = (view(&desk, Some(person), &request), is_api(&request));
            drain(request).await;
            match is_api {
                true => error(StatusCode::FORBIDDEN, "not_allowed"),
                false => view.refuse(
                    StatusCode::FORBIDDEN,
                    view.t("このページを開く権限がありません。", "This page is not for your role."),
                ),
            }
        }
        (Some(_), Some(person)) if person.must_enroll && !is_enrolling(place) => {
            let view = view(&desk, Some(person), &request);
            let why = "このアカウントには確認コード(二段階認証)の設定が必要です。";
            let text = view.t(why, "This account needs a second factor: please set it up.");
            view.go_wrong("/account", text)
        }
        (Some(_), person) => pass(&desk, place, person, request, next).await,
    }
}

fn is_enrolling(place: &Place) -> bool {
    ["/account", "/sign-out"].contains(&place.path)
}

/// Somebody with a cookie sends only what a form of ours sent.
async fn pass(
    desk: &Arc<Desk>,
    place: &Place,
    person: Option<Person>,
    mut request: Request,
    next: Next,
) -> Response {
    let reads = [Method::GET, Method::HEAD].contains(request.method());
    let guarded = person.as_ref().filter(|person| !person.is_machine() && !reads);
    let guarded = guarded.filter(|_| place.roles.is_some());
    if let Some(person) = guarded {
        let csrf = person.csrf.clone();
        let (kept, fits) = match proof(request).await {
            Ok((request, proof)) => (request, proof.as_deref() == Some(&*csrf)),
            Err(response) => return response,
        };
        request = kept;
        if !fits {
            let view = view(desk, person.clone().into(), &request);
            let is_api = is_api(&request);
            drain(request).await;
            return match is_api {
                true => error(StatusCode::FORBIDDEN, "no_csrf_token"),
                false => view.refuse(
                    StatusCode::FORBIDDEN,
                    view.t(
                        "この操作は別の画面から送られたため、受け付けませんでした。戻ってやり直してください。",
                        "This is from no form of this session. Please go back and try again.",
                    ),
                ),
            };
        }
    }
    if let Some(person) = person {
        request.extensions_mut().insert(person);
    }
    next.run(request).await
}

/// The token that came with a request: in a header (scripts), in the address (files), in the form.
async fn proof(request: Request) -> Result<(Request, Option<String>), Response> {
    let header = request.headers().get("x-csrf-token").and_then(|value| value.to_str().ok());
    if let Some(token) = header.map(str::to_owned) {
        return Ok((request, Some(token)));
    }
    let query = request.uri().query().unwrap_or_default();
    if let Some(token) = field(query.as_bytes(), "csrf") {
        return Ok((request, Some(token)));
    }
    if !is_form(request.headers()) {
        return Ok((request, None));
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, FORM_MAX).await else {
        // How long it is was judged before: it broke off, or took too long.
        return Err(error(StatusCode::REQUEST_TIMEOUT, "body_not_whole"));
    };
    let token = field(&body, "csrf");
    Ok((Request::from_parts(parts, Body::from(body)), token))
}

/// Signs in first. What was typed is kept in the form.
async fn stranger(desk: &Arc<Desk>, request: Request) -> Response {
    if is_api(&request) {
        return error(StatusCode::UNAUTHORIZED, "sign_in");
    }
    if request.method() == Method::GET {
        let path = request.uri().path_and_query().map_or("/", |it| it.as_str());
        let next: String = path.bytes().map(|byte| format!("%{byte:02X}")).collect();
        return see_other(&format!("/sign-in?next={next}"));
    }
    let view = view(desk, None, &request);
    let mut kept = Kept { path: without_token(request.uri()), ..Kept::default() };
    let is_whole = match is_upload(request.headers()) {
        true => keep_upload(request, &mut kept).await.is_ok(),
        false if is_form(request.headers()) => {
            let body = to_bytes(request.into_body(), FORM_MAX).await;
            kept.fields = fields(body.as_deref().unwrap_or_default());
            body.is_ok()
        }
        false => true,
    };
    if !is_whole {
        return error(StatusCode::REQUEST_TIMEOUT, "body_not_whole");
    }
    kept.fields.retain(|(key, _)| key != "csrf");
    sign_in::again(&view, kept)
}

/// The address without the token of a session that is over.
fn without_token(uri: &Uri) -> String {
    let mut query = fields(uri.query().unwrap_or_default().as_bytes());
    query.retain(|(key, _)| key != "csrf");
    match serde_urlencoded::to_string(&query) {
        Ok(query) if !query.is_empty() => format!("{}?{query}", uri.path()),
        Ok(_) | Err(_) => uri.path().to_owned(),
    }
}

/// Reads a form with files: what was typed is kept, files are thrown away but for their names in
/// the form.
async fn keep_upload(request: Request, kept: &mut Kept) -> Result<(), MultipartError> {
    let Ok(mut form) = Multipart::from_request(request, &()).await else { return Ok(()) };
    let mut room = TEXTS_MAX;
    while let Some(field) = form.next_field().await? {
        let name = field.name().unwrap_or_default().to_owned();
        let is_file = field.file_name().is_some();
        let text = read(field, if is_file { 0 } else { room }).await?;
        let is_kept = kept.fields.len() + kept.files.len() < FIELDS_MAX && name.len() < room;
        match text {
            _ if name.is_empty() || !is_kept => {}
            _ if is_file => kept.files.push(name),
            Some(text) => {
                room = room.saturating_sub(name.len() + text.len());
                kept.fields.push((name, text));
            }
            None => {}
        }
    }
    Ok(())
}

/// Reads a field to its end. `None`: it is longer than `most`, or no text.
async fn read(mut field: Field<'_>, most: usize) -> Result<Option<String>, MultipartError> {
    let (mut bytes, mut fits) = (Vec::new(), true);
    while let Some(chunk) = field.chunk().await? {
        fits &= bytes.len() + chunk.len() <= most;
        if fits {
            bytes.extend_from_slice(&chunk);
        }
    }
    Ok(String::from_utf8(bytes).ok().filter(|_| fits))
}

/// Reads what nobody wants; how much and how long is limited before.
async fn drain(request: Request) {
    let mut body = request.into_body().into_data_stream();
    while let Some(Ok(_)) = body.next().await {}
}

/// Whose request this is.
async fn who(desk: &Desk, headers: &HeaderMap) -> Option<Person> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Some(token) = bearer.and_then(|text| text.strip_prefix("Bearer ")) {
        return desk.is_machine(token.trim()).then(Person::machine);
    }
    desk.person(cookie(headers, COOKIE)?).await
}

fn view(desk: &Arc<Desk>, person: Option<Person>, request: &Request) -> View {
    View::new(desk, person, request.headers(), request.uri().path())
}

fn is_api(request: &Request) -> bool {
    request.uri().path().starts_with("/api/")
}

fn is_form(headers: &HeaderMap) -> bool {
    is_of(headers, "application/x-www-form-urlencoded")
}

fn is_upload(headers: &HeaderMap) -> bool {
    is_of(headers, "multipart/form-data")
}

fn is_of(headers: &HeaderMap, kind: &str) -> bool {
    let form = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    form.is_some_and(|form| form.starts_with(kind))
}

/// The fields of a form, in order.
pub(super) fn fields(body: &[u8]) -> Vec<(String, String)> {
    serde_urlencoded::from_bytes(body).unwrap_or_default()
}

fn field(body: &[u8], name: &str) -> Option<String> {
    fields(body).into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}
