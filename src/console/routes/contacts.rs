//! `POST /api/v1/calls/{call}/contact` with `{"type": "相談"}`: what the call was, as whoever asks
//! says who talked in it.

use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::{Shared, error};
use crate::call::cdr::CallId;
use crate::console::contacts::{self, Wrong};
use crate::console::sign_in::Person;

/// What the call was.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    r#type: String,
}

/// The path of this file.
pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/api/v1/calls/{call}/contact", post(set))
}

async fn set(
    State(shared): State<Shared>,
    Path(call): Path<String>,
    Extension(person): Extension<Person>,
    body: Result<Json<Said>, JsonRejection>,
) -> Response {
    let Json(Said { r#type }) = match body {
        Ok(body) => body,
        Err(rejection) => return error(rejection.status(), "bad_body"),
    };
    let desk = Arc::clone(&shared.desk);
    let Err(wrong) = contacts::set(&desk, &person, CallId(call.into()), r#type).await else {
        return (StatusCode::OK, Json(json!({}))).into_response();
    };
    let status = match &wrong {
        Wrong::NoExtension => StatusCode::FORBIDDEN,
        Wrong::UnknownCall => StatusCode::NOT_FOUND,
        Wrong::UnknownType => StatusCode::UNPROCESSABLE_ENTITY,
        Wrong::TooLate => StatusCode::CONFLICT,
        Wrong::Fault(fault) => {
            tracing::error!(%fault, "what a call was can't be kept");
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    error(status, wrong.name())
}
