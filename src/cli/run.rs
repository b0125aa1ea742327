//! `koebashi run`: the service, from the configuration to its end.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use super::load::{self, Ready};
use super::refuse;
use crate::console;
use crate::shell::{Shell, log, process};

/// Threads beside the loop's own, for streams and the console.
const WORKERS: usize = 2;
/// How long the last records may take to be written.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// Runs the service until it is told to end.
pub(super) fn run(path: PathBuf) -> Result<()> {
    process::seal().context("core files can't be turned off")?;
    let ready = load::load(&path).map_err(|all| refuse(&all))?;
    let shell = &ready.loaded.shell;
    let log = log::start(shell.log_format, shell.log_level).context("can't log")?;
    for warning in &ready.warnings {
        tracing::warn!("{warning}");
    }
    let calls = ready.loaded.call.limits.max_calls;
    if let Some(fit) = process::open_files(calls).context("the limit of open files")? {
        tracing::warn!(
            "the system's limit of open files is enough for {fit} calls, fewer than \
             service.max_calls = {calls}: raise it (systemd: LimitNOFILE)"
        );
    }
    let ended = runtime()?.block_on(serve(ready, path));
    drop(log);
    ended
}

/// The runtime of the service.
fn runtime() -> Result<Runtime> {
    let runtime = Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    runtime.context("no threads to run on")
}

async fn serve(ready: Ready, path: PathBuf) -> Result<()> {
    let console = ready.loaded.console.clone();
    let listener = console::bind(&console).await;
    let listener = listener.with_context(|| format!("console.listen: {}", console.listen))?;
    let setup = ready.setup(Some(path))?;
    let store = setup.store.clone();
    let shell = Shell::start(setup)?;
    for (transport, address) in shell.listening() {
        tracing::info!("listens on {}://{address}", transport.name());
    }
    tracing::info!("console on http://{}/", listener.local_addr()?);
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(console::serve(listener, console, shell.handle(), async {
        // The sender is dropped where the service ends.
        drop(stopped.await);
    }));
    let ended = shell.run().await;
    drop(stop);
    serving.await.context("the console")?;
    tokio::task::spawn_blocking(move || store.close(CLOSE_LIMIT)).await??;
    tracing::info!("ended");
    Ok(ended?)
}
