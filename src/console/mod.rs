//! Console.

/// What the pages are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where HTTP is served.
    pub listen: std::net::SocketAddr,
}
