//! What is done in calls through the API: supervisors are rung and let in, switch, leave;
//! recordings pause.
//!
//! | path | body | does |
//! |---|---|---|
//! | `POST /api/v1/calls/{call}/supervise` | `{"extension": "201", "mode": "listen"}` | rings 201 |
//! | `PUT …` | `{"mode": "whisper"}` | another way from here on: `listen`, `whisper`, `join` |
//! | `DELETE …` | | the supervisor, or the ringing for one, is ended |
//! | `POST /api/v1/calls/{call}/recording` | `{"paused": true}` | nothing is recorded; or again |
//! | `DELETE …` | | every recording of the call is deleted; one that goes on ends |
//! | `POST /api/v1/calls/{call}/limit` | `{}` | the call goes on, but its caller is not connected |
//! | | | again for `repeat.limit`; `number_withheld`: no limit is possible |
//! | `DELETE /api/v1/limits` | | everybody is connected again |
//!
//! Done is 200 (202: the phone rings) with `{}`; else `{"error": "…"}` by the name of what stands
//! against it. A body must say that it is JSON: a page of another site can't send that unasked.

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{self, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::{Shared, error};
use crate::call::cdr::CallId;
use crate::call::config::{Extension, SupervisionMode};
use crate::call::deed::{Denial, Request};
use crate::console::sign_in::Person;

/// Who shall take part, and how.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Summons {
    extension: String,
    mode: String,
}

/// How.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    mode: String,
}

/// Whether nothing is recorded from here on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pause {
    paused: bool,
}

/// Nothing more to say: `{}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// The paths of this file.
pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/v1/calls/{call}/supervise", post(supervise).put(switch).delete(end))
        .route("/api/v1/calls/{call}/recording", post(pause).delete(delete))
        .route("/api/v1/calls/{call}/limit", post(limit))
        .route("/api/v1/limits", routing::delete(lift))
}

async fn supervise(
    State(shared): State<Shared>,
    Path(call): Path<String>,
    axum::Extension(person): axum::Extension<Person>,
    body: Result<Json<Summons>, JsonRejection>,
) -> Response {
    let Json(Summons { extension, mode }) = match body {
        Ok(body) => body,
        Err(rejection) => return error(rejection.status(), "bad_body"),
    };
    let (call, extension) = (CallId(call.into()), Extension::from(extension.as_str()));
    let request = match mode_named(&mode) {
        Some(mode) => Request::Supervise { call, extension, mode },
        None => Request::UnknownMode { call, extension: Some(extension) },
    };
    ask(&shared, &person, request, StatusCode::ACCEPTED).await
}

async fn switch(
    State(shared): State<Shared>,
    Path(call): Path<String>,
    axum::Extension(person): axum::Extension<Person>,
    body: Result<Json<Switch>, JsonRejection>,
) -> Response {
    let Json(Switch { mode }) = match body {
        Ok(body) => body,
        Err(rejection) => return error(rejection.status(), "bad_body"),
    };
    let call = CallId(call.into());
    let request = match mode_named(&mode) {
        Some(mode) => Request::Switch { call, mode },
        None => Request::UnknownMode { call, extension: None },
    };
    ask(&shared, &person, request, StatusCode::OK).await
}

async fn end(
    State(shared): State<Shared>,
    Path(call): Path<String>,
    axum::Extension(person): axum::Extension<Person>,
) -> Response {
    let request = Request::EndSupervision { call: CallId(call.into()) };
    ask(&shared, &person, request, StatusCode::OK).await
}

async fn pause(
    State(shared): State<Shared>,
    Path(call): Path<String>,
    axum::Extension(person): axum::Extension<Person>,
    body: Result<Json<Pause>, JsonRejection>,
) -> Response {
    let Json(Pause { paused }) = match body {
        Ok(body) => body,
        Err(rejection) => return error(rejection.status(), "bad_body"),
    };
    let request = Request::PauseRecording { call: CallId(call.into()), paused };
    ask(&shared, &person, request, StatusCode::OK).await
}

async fn limit(
    State(shared): State<Shared>,
    Path(call): Path<String>,
    axum::Extension(person): axum::Extension<Person>,
    body: Result<Json<Nothing>, JsonRejection>,
) -> Response {
    if let Err(rejection) = body {
        return error(rejection.status(), "bad_body");
    }
    let request = Request::LimitCaller { call: CallId(call.into()) };
    ask(&shared, &person, request, StatusCode::OK).await
}

async fn lift(
    State(shared): State<Shared>,
    axum::Extension(person): axum::Extension<Person>,
) -> Response {
    ask(&shared, &person, Request::LiftLimits, StatusCode::OK).await
}

/// Done only when every file is gone for certain.
async fn delete(
    State(shared): State<Shared>,
    Path(call): Path<String>,
    axum::Extension(person): axum::Extension<Person>,
) -> Response {
    let deleted = shared.handle.delete_recordings(CallId(call.into()), &person.name).await;
    let Ok(parts) = deleted else {
        return error(StatusCode::SERVICE_UNAVAILABLE, "no_answer");
    };
    if parts.is_empty() {
        return error(StatusCode::NOT_FOUND, "no_recording");
    }
    for (part, why) in parts.iter().filter_map(|(part, done)| Some((part, done.as_ref().err()?))) {
        tracing::error!(part, %why, "a recording can't be deleted");
    }
    if parts.iter().any(|(_, done)| done.is_err()) {
        return error(StatusCode::INTERNAL_SERVER_ERROR, "not_deleted");
    }
    let parts: Vec<_> = parts.iter().map(|(part, _)| part).collect();
    (StatusCode::OK, Json(json!({ "deleted": parts }))).into_response()
}

fn mode_named(name: &str) -> Option<SupervisionMode> {
    SupervisionMode::ALL.into_iter().find(|mode| mode.name() == name)
}

/// Asks in the name of a person.
pub(super) async fn ask(
    shared: &Shared,
    person: &Person,
    request: Request,
    done: StatusCode,
) -> Response {
    match shared.handle.ask(request, &person.name).await {
        Ok(Ok(())) => (done, Json(json!({}))).into_response(),
        Ok(Err(denial)) => error(status(denial), denial.name()),
        Err(_) => error(StatusCode::SERVICE_UNAVAILABLE, "no_answer"),
    }
}

fn status(denial: Denial) -> StatusCode {
    match denial {
        Denial::UnknownCall | Denial::UnknownExtension | Denial::UnknownLine => {
            StatusCode::NOT_FOUND
        }
        Denial::NotSupervisor | Denial::ModeOff => StatusCode::FORBIDDEN,
        Denial::UnknownMode | Denial::UnknownReason => StatusCode::UNPROCESSABLE_ENTITY,
        Denial::NoPort | Denial::NoRoom | Denial::TooManyLimits => StatusCode::SERVICE_UNAVAILABLE,
        Denial::NotInCall
        | Denial::NoAudio
        | Denial::OwnCall
        | Denial::Taken
        | Denial::Busy
        | Denial::OnDuty
        | Denial::Unreachable
        | Denial::NotSupervised
        | Denial::NoHelpAsked
        | Denial::NotWrappingUp
        | Denial::TestRunning
        | Denial::NotRecorded
        | Denial::NoNumber => StatusCode::CONFLICT,
    }
}
