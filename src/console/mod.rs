//! HTTP for people and machines: health, metrics, the live board, its changes as they come.
//!
//! Owns the server and its limits: connections, time to send a request, size of a request, time a
//! client may leave an answer unread. The API is [`routes`]', its form [`view`]'s; `koebashi
//! status` reads it back with [`status`]. The pages are [`pages`]'; who may see them is decided at
//! the door ([`enter`]) by the table in [`access`].

mod access;
mod assets;
mod book;
mod complaint;
mod contacts;
mod desk;
mod duty;
mod enter;
mod guard;
mod keys;
mod live;
mod opening;
mod pages;
mod prompts;
pub mod routes;
mod save;
mod sign_in;
pub mod status;
mod studio;
mod to_the_end;
mod ui;
pub mod view;

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::config::Console;
pub use desk::{Desk, Error, Setup, machine_token};
use guard::Guarded;

/// Bytes of a request's head; more is answered with 431.
const HEAD_MAX: usize = 16 * 1024;
/// Headers of a request; more is answered with 431.
const HEADERS_MAX: usize = 64;
/// Pause after a failure to accept (out of descriptors, mostly), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long what was begun may take at the end: longer than the service takes to read it.
const FINISH_LIMIT: Duration = Duration::from_secs(30);

/// Binds the console's socket; the port is the listener's where the configuration says 0.
///
/// # Errors
/// When the address can't be bound.
pub async fn bind(config: &Console) -> io::Result<TcpListener> {
    TcpListener::bind(config.listen).await
}

/// Serves until `shutdown`; connections that are open then are closed, but what somebody was just
/// saving or putting on air is done to its end. Meanwhile it is written down who is on duty.
pub async fn serve(listener: TcpListener, desk: Arc<Desk>, shutdown: impl Future<Output = ()>) {
    let config = desk.limits.clone();
    let router = routes::router(&desk);
    let (stop, stopped) = oneshot::channel();
    let watching = tokio::spawn(duty::watch(Arc::clone(&desk), stopped));
    let mut connections = JoinSet::new();
    let mut beside = JoinSet::new();
    prompts::source::sweep(&desk);
    beside.spawn(prompts::plans::watch(Arc::clone(&desk)));
    beside.spawn(Arc::clone(desk.opening()).watch());
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) if connections.len() < config.connections => {
                    let router = router.clone().layer(Extension(sign_in::From(peer.ip())));
                    connections.spawn(converse(stream, router, config.clone()));
                }
                Ok(_) => tracing::debug!("a console connection too many is closed"),
                Err(e) => {
                    tracing::warn!(error = %e, "the console can't accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    connections.shutdown().await;
    beside.shutdown().await;
    drop(stop);
    let at_rest = async { drop((desk.book.turn().await, desk.studio.on_air().await)) };
    if timeout(FINISH_LIMIT, at_rest).await.is_err() {
        tracing::error!("something is still being saved or put on air");
    }
    if let Err(error) = watching.await {
        tracing::error!(%error, "times on duty are not written");
    }
}

async fn converse(stream: TcpStream, router: Router, config: Console) {
    let io = TokioIo::new(Guarded::new(stream, config.write_timeout));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_timeout)
        .max_buf_size(HEAD_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(io, TowerToHyperService::new(router))
        .await;
    if let Err(e) = served {
        tracing::debug!(error = %e, "a console connection ended early");
    }
}

#[cfg(test)]
mod tests;
