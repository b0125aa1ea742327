//! The pages: one file and one template each.
//!
//! Owns the list of their paths. Who may see which is [`access`](super::access)'s.

mod account;
mod accounts;
mod audit;
mod hours;
mod saving;
mod settings;
pub(super) mod sign_in;

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
        .merge(settings::routes())
}
