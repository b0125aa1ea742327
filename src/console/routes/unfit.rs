//! Requests that a page could not make sense of: a name where a number belongs, a form without a
//! field. No link or form of ours sends one.
//!
//! Owns what a person sees then: a page of ours instead of a line in English. Programs get the
//! line.

use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use super::wants_page;
use crate::console::ui::View;

/// Puts a page in the place of a plain refusal.
pub(super) async fn in_words(
    view: View,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    let reads = [Method::GET, Method::HEAD].contains(request.method());
    let response = next.run(request).await;
    let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_plain = kind.is_some_and(|kind| kind.starts_with("text/plain"));
    let status = response.status();
    match (status.is_client_error() && is_plain && wants_page(&headers), reads) {
        (false, _) => response,
        (true, true) => view.refuse(
            StatusCode::NOT_FOUND,
            view.t(
                "このページはありません。アドレスを確かめてください。",
                "There is no such page. Please check the address.",
            ),
        ),
        (true, false) => view.refuse(
            status,
            view.t(
                "送られた内容に足りないものがあり、受け付けられませんでした。前の画面を開き直して、もう一度お試しください。",
                "Something is missing in what was sent. Please open the page anew and try again.",
            ),
        ),
    }
}
