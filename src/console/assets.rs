//! The pages' script and icon, which are in the binary. The style sheet stands in each page itself:
//! a page is there in one round trip.

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

#[derive(RustEmbed)]
#[folder = "src/console/assets"]
struct Files;

/// A file's text; empty where there is none.
pub(in crate::console) fn text(name: &str) -> String {
    Files::get(name)
        .map(|file| String::from_utf8_lossy(&file.data).into_owned())
        .unwrap_or_default()
}

/// Where a file is. The path tells this version of it from another.
pub(in crate::console) fn path(name: &str) -> String {
    let hash = Sha256::digest(text(name).as_bytes());
    let version: String = hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("/assets/{version}/{name}")
}

/// `GET /assets/{version}/{name}`. The name tells the version, so that it may be kept for ever.
pub(super) async fn file(Path((_, name)): Path<(String, String)>) -> Response {
    let form = match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let Some(file) = Files::get(&name) else { return StatusCode::NOT_FOUND.into_response() };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(form)),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    (headers, file.data.into_owned()).into_response()
}
