//! Work that is done to the end, also when whoever waits for it goes: a browser that is closed in
//! the middle of saving leaves nothing half done.
//!
//! Owns only that. All that such work waits for has a limit of its own.

/// Does it to the end; `fault`: what it gives where it could not (it panicked).
pub(super) async fn to_the_end<T: Send + 'static, F: Send + 'static>(
    fault: F,
    work: impl Future<Output = Result<T, F>> + Send + 'static,
) -> Result<T, F> {
    tokio::spawn(work).await.unwrap_or(Err(fault))
}
