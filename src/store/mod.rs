//! Store.

/// What the database is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file.
    pub database: std::path::PathBuf,
    /// How long CDRs are kept.
    pub keep_cdrs: std::time::Duration,
    /// How long the audit is kept.
    pub keep_audit: std::time::Duration,
}
