//! HTTP for people and machines: health, metrics, the live board, its changes as they come.
//!
//! Owns the server and its limits: connections, time to send a request, size of a request, time a
//! client may leave an answer unread. The paths are [`routes`]'; the form of the board is
//! [`view`]'s; `koebashi status` reads it back with [`status`]. There is no login: the console
//! listens on loopback unless the operator puts a proxy with one before it.

mod guard;
pub mod routes;
pub mod status;
pub mod view;

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::shell::handle::Handle;
use guard::Guarded;

/// Bytes of a request's head; more is answered with 431.
const HEAD_MAX: usize = 16 * 1024;
/// Headers of a request; more is answered with 431.
const HEADERS_MAX: usize = 64;
/// Pause after a failure to accept (out of descriptors, mostly), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where the console listens, and its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where it listens; there is no login, so anything but loopback needs a proxy with one.
    pub listen: SocketAddr,
    /// Names besides `localhost` by which browsers may ask; addresses always may.
    pub hosts: Vec<String>,
    /// Connections at once; one more is closed.
    pub connections: usize,
    /// Subscribers of `/api/v1/events` at once; one more gets 503.
    pub subscribers: usize,
    /// How long a client may take to send a request's head, and how long an idle connection stays.
    pub header_timeout: Duration,
    /// How long a client may leave an answer unread before the connection is closed.
    pub write_timeout: Duration,
    /// How often a silent event stream says that it lives.
    pub heartbeat: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            hosts: Vec::new(),
            connections: 512,
            subscribers: 200,
            header_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            heartbeat: Duration::from_secs(15),
        }
    }
}

/// Binds the console's socket; the port is the listener's where the configuration says 0.
///
/// # Errors
/// When the address can't be bound.
pub async fn bind(config: &Config) -> io::Result<TcpListener> {
    TcpListener::bind(config.listen).await
}

/// Serves until `shutdown`; connections that are open then are closed.
pub async fn serve(
    listener: TcpListener,
    config: Config,
    handle: Handle,
    shutdown: impl Future<Output = ()>,
) {
    let router = routes::router(handle, &config);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => return,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() < config.connections => {
                    connections.spawn(converse(stream, router.clone(), config.clone()));
                }
                Ok(_) => tracing::debug!("a console connection too many is closed"),
                Err(e) => {
                    tracing::warn!(error = %e, "the console can't accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

async fn converse(stream: TcpStream, router: Router, config: Config) {
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
