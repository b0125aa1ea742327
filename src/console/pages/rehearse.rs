//! A prompt by phone: what the forms that ring one do. They stand on the pages of a prompt and of a
//! version ([`phone`](super::phone)).

use std::sync::Arc;

use axum::Router;
use axum::extract::{Form, Path};
use axum::response::Response;
use axum::routing::post;
use serde::Deserialize;

use super::prompt::named;
use crate::call::config::Extension;
use crate::console::desk::Desk;
use crate::console::prompts::phone::{Job, ring};
use crate::console::prompts::source;
use crate::console::ui::View;

/// The paths of this file.
pub(super) fn routes() -> Router<Arc<Desk>> {
    Router::new().route("/prompts/{name}/call", post(call))
}

#[derive(Deserialize)]
struct Call {
    extension: String,
    /// `play`, or `record`.
    job: String,
    /// The version that is played; none: what is on air.
    #[serde(default)]
    n: Option<u32>,
    /// What is spoken.
    #[serde(default)]
    text: String,
}

async fn call(view: View, Path(name): Path<String>, Form(call): Form<Call>) -> Response {
    if let Err(response) = named(&view, &name) {
        return response;
    }
    let back = match call.n {
        Some(n) => format!("/prompts/{name}/versions/{n}"),
        None => format!("/prompts/{name}"),
    };
    let job = match (&*call.job, call.n) {
        ("record", _) => match source::text(&call.text, view.l) {
            Ok(text) => Job::Record(text),
            Err(wrong) => return view.go_wrong(&back, wrong),
        },
        (_, Some(n)) => Job::Version(n),
        (_, None) => Job::Live,
    };
    let extension = Extension::from(&*call.extension);
    match ring(&view.desk, &view.person, &name, &extension, job).await {
        Ok(()) => {
            let said = view.t(
                "電話を呼び出しています。受話器を取ってください。",
                "The phone rings: please answer it.",
            );
            view.go(&back, said)
        }
        Err(trouble) => view.go_wrong(&back, trouble.words(view.l)),
    }
}
