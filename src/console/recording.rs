//! What is done to a call's recording through the API.
//!
//! `POST /api/v1/calls/{call}/recording` with `{"paused": true}`: nothing more is recorded; with
//! `false` it goes on.
//!
//! Taken over is 202 with `{}`; the board shows it when it is so. Else `{"error": "…"}`: 404 for a
//! call that is not there, 409 for one that is not recorded. A body must say that it is JSON: a
//! page of another site can't send that unasked.

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use crate::shell::handle::{Handle, Unpaused};

/// Whether nothing is recorded from here on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pause {
    paused: bool,
}

/// The path of this file.
pub(super) fn routes() -> Router<Handle> {
    Router::new().route("/api/v1/calls/{call}/recording", post(pause))
}

async fn pause(
    State(handle): State<Handle>,
    Path(call): Path<String>,
    body: Result<Json<Pause>, JsonRejection>,
) -> Response {
    let Json(Pause { paused }) = match body {
        Ok(body) => body,
        Err(rejection) => return error(rejection.status(), "bad_body"),
    };
    match handle.pause_recording(&call, paused) {
        Ok(()) => (StatusCode::ACCEPTED, Json(json!({}))).into_response(),
        Err(Unpaused::UnknownCall) => error(StatusCode::NOT_FOUND, "unknown_call"),
        Err(Unpaused::NotRecorded) => error(StatusCode::CONFLICT, "not_recorded"),
        Err(Unpaused::Busy) => error(StatusCode::SERVICE_UNAVAILABLE, "no_answer"),
    }
}

fn error(code: StatusCode, what: &str) -> Response {
    (code, Json(json!({ "error": what }))).into_response()
}
