//! The pages: one file and one template each.
//!
//! Owns the list of their paths. Who may see which is [`access`](super::access)'s.

mod account;
mod accounts;
mod audit;
mod hours;
pub(super) mod opening;
mod phone;
mod prompt;
mod prompts;
mod rehearse;
mod reports;
mod saving;
pub(super) mod sign_in;
mod version;

use std::sync::Arc;

use axum::Router;

use super::desk::Desk;

/// Every page.
pub(super) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .merge(sign_in::routes())
        .merge(account::routes())
        .merge(accounts::routes())
        .merge(audit::routes())
        .merge(hours::routes())
        .merge(prompts::routes())
        .merge(prompt::routes())
        .merge(rehearse::routes())
        .merge(version::routes())
        .merge(reports::routes())
        .merge(opening::routes())
}
