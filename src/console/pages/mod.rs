//! The pages: one file and one template each.
//!
//! Owns the list of their paths. Who may see which is [`access`](super::access)'s.

mod account;
mod accounts;
mod audit;
mod board;
mod hours;
mod me;
pub(super) mod opening;
mod phone;
mod prompt;
mod prompts;
mod rehearse;
mod reports;
mod saving;
mod settings;
pub(super) mod sign_in;
mod version;
mod words;

use std::sync::Arc;

use axum::Router;

use super::desk::Desk;
use super::live::seats::Seats;

/// Every page.
pub(super) fn routes(desk: &Desk) -> Router<Arc<Desk>> {
    let seats = Seats::new(&desk.limits);
    Router::new()
        .merge(sign_in::routes())
        .merge(account::routes())
        .merge(accounts::routes())
        .merge(audit::routes())
        .merge(hours::routes())
        .merge(settings::routes())
        .merge(board::routes(seats.clone()))
        .merge(me::routes(seats))
        .merge(prompts::routes())
        .merge(prompt::routes())
        .merge(rehearse::routes())
        .merge(version::routes())
        .merge(reports::routes())
        .merge(opening::routes())
}
