//! What counselors choose through the API, or somebody for them: their state, the end of their time
//! for notes, help.
//!
//! | path below `/api/v1/counselors/{extension}` | body | does |
//! |---|---|---|
//! | `POST …/state` | `{"state": "paused", "reason": "休憩"}` | also `ready`, `offline` |
//! | `POST …/wrap_up` | `{"do": "end"}` | ends the time for notes; `extend`: once more |
//! | `POST …/help` | `{}` | the counselor needs help |
//! | `DELETE …/help` | | the call for help is cleared |
//!
//! A counselor may do it for their own extension only. Answers are as those of
//! [`deeds`](super::deeds).

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;

use super::deeds::{Nothing, ask};
use super::{Shared, error};
use crate::call::board::Chooser;
use crate::call::config::Extension;
use crate::call::deed::Request;
use crate::call::intention::Intention;
use crate::console::sign_in::Person;
use crate::store::accounts::Role;

/// What from here on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Chosen {
    state: String,
    #[serde(default)]
    reason: String,
}

/// What about the time for notes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrapUp {
    r#do: String,
}

/// The paths of this file.
pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/v1/counselors/{extension}/state", post(choose))
        .route("/api/v1/counselors/{extension}/wrap_up", post(wrap_up))
        .route("/api/v1/counselors/{extension}/help", post(ask_help).delete(clear_help))
}

async fn choose(
    State(shared): State<Shared>,
    Path(extension): Path<String>,
    axum::Extension(person): axum::Extension<Person>,
    body: Result<Json<Chosen>, JsonRejection>,
) -> Response {
    let Json(Chosen { state, reason }) = match body {
        Ok(body) => body,
        Err(rejection) => return error(rejection.status(), "bad_body"),
    };
    let intention = match &*state {
        "ready" => Intention::Ready,
        "offline" => Intention::LoggedOut,
        "paused" => Intention::Paused(reason),
        _ => return error(StatusCode::UNPROCESSABLE_ENTITY, "unknown_state"),
    };
    let extension = Extension::from(extension.as_str());
    let is_own = person.extension.as_ref() == Some(&extension);
    let by = if is_own { Chooser::Own } else { Chooser::Other };
    let request = Request::Intend { extension: extension.clone(), intention, by };
    ask_for(&shared, &person, &extension, request).await
}

async fn wrap_up(
    State(shared): State<Shared>,
    Path(extension): Path<String>,
    axum::Extension(person): axum::Extension<Person>,
    body: Result<Json<WrapUp>, JsonRejection>,
) -> Response {
    let Json(WrapUp { r#do }) = match body {
        Ok(body) => body,
        Err(rejection) => return error(rejection.status(), "bad_body"),
    };
    let extension = Extension::from(extension.as_str());
    let request = match &*r#do {
        "end" => Request::EndWrapUp(extension.clone()),
        "extend" => Request::ExtendWrapUp(extension.clone()),
        _ => return error(StatusCode::UNPROCESSABLE_ENTITY, "unknown_deed"),
    };
    ask_for(&shared, &person, &extension, request).await
}

async fn ask_help(
    State(shared): State<Shared>,
    Path(extension): Path<String>,
    axum::Extension(person): axum::Extension<Person>,
    body: Result<Json<Nothing>, JsonRejection>,
) -> Response {
    if let Err(rejection) = body {
        return error(rejection.status(), "bad_body");
    }
    let extension = Extension::from(extension.as_str());
    ask_for(&shared, &person, &extension, Request::AskHelp(extension.clone())).await
}

async fn clear_help(
    State(shared): State<Shared>,
    Path(extension): Path<String>,
    axum::Extension(person): axum::Extension<Person>,
) -> Response {
    let extension = Extension::from(extension.as_str());
    ask_for(&shared, &person, &extension, Request::ClearHelp(extension.clone())).await
}

/// Asks for a counselor, if the person may do so for them.
async fn ask_for(
    shared: &Shared,
    person: &Person,
    extension: &Extension,
    request: Request,
) -> Response {
    if person.role == Role::Counselor && person.extension.as_ref() != Some(extension) {
        shared.desk.audit(person, "is not let to choose for another extension");
        return error(StatusCode::FORBIDDEN, "not_your_extension");
    }
    ask(shared, person, request, StatusCode::OK).await
}
