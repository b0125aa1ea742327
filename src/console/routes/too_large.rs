//! The answer to a body that is too large.
//!
//! Owns how a browser gets to see it: one that still sends when it is answered shows a broken
//! connection instead. So what comes is read and thrown away, as long as it is not out of all
//! proportion.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{ACCEPT, CONTENT_LENGTH};
use axum::response::{Html, IntoResponse, Response};
use futures_util::StreamExt as _;

use crate::console::ui::error;

/// What is thrown away at most, in times of what is allowed.
const TIMES_MAX: usize = 10;

/// Says that at most so many bytes are taken.
pub(super) async fn answer(request: Request, most: usize) -> Response {
    let headers = request.headers();
    let wants = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let is_person = wants.is_some_and(|wants| wants.contains("text/html"));
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length = length.and_then(|text| text.parse::<usize>().ok());
    if !is_person {
        return error(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large");
    }
    if length.is_some_and(|length| length <= most.saturating_mul(TIMES_MAX)) {
        let mut body = request.into_body().into_data_stream();
        while let Some(Ok(_)) = body.next().await {}
    }
    let megabytes = most / 1_000_000;
    let text = format!(
        "<!doctype html><html lang=\"ja\"><meta charset=\"utf-8\"><title>koebashi</title>\
         <h1>できませんでした</h1><p>送られたファイルが大きすぎます。{megabytes} MB までです。\
         ブラウザーの「戻る」で戻り、小さいファイルを選んでください。</p>\
         <p lang=\"en\">What you sent is too large: at most {megabytes} MB. \
         Please go back and choose a smaller file.</p></html>"
    );
    (StatusCode::PAYLOAD_TOO_LARGE, Html(text)).into_response()
}
