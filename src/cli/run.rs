//! `koebashi run`: the service, from the configuration to its end.

use std::convert::Infallible;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle as Workers};
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;

use super::load;
use super::{complaints, refuse};
use crate::config::Console;
use crate::config::ready::Ready;
use crate::console;
use crate::shell::handle::Handle;
use crate::shell::in_force::InForce;
use crate::shell::kept_sockets::KeptSockets;
use crate::shell::lock::Lock;
use crate::shell::process::Broken;
use crate::shell::{End, Setup, Shell, clock, fds, log, memory, process};

/// Threads beside the loop's own, for streams and the console.
const WORKERS: usize = 2;
/// Pause of a service that can't begin, before whoever looks after it tries again.
const AGAIN: Duration = Duration::from_millis(500);
/// What systemd tells each of its services (systemd.exec(5)).
const BY_SYSTEMD: &str = "INVOCATION_ID";
/// Pause before the console is tried again.
const CONSOLE_AGAIN: Duration = Duration::from_secs(1);
/// How long the last records may take to be written.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);
/// The same where the next process waits to go on with the calls.
const HAND_OVER_LIMIT: Duration = Duration::from_secs(1);

/// Runs the service until it is told to end.
pub(super) fn run(path: PathBuf) -> Result<()> {
    let pause = Pause(Instant::now());
    let ended = begin(path);
    if ended.is_ok() {
        std::mem::forget(pause);
    }
    ended
}

/// systemd starts the service again at once, as callers wait. One that can't begin, be it by a
/// fault of ours, takes its time to end.
struct Pause(Instant);

impl Drop for Pause {
    fn drop(&mut self) {
        if self.0.elapsed() < AGAIN && std::env::var_os(BY_SYSTEMD).is_some() {
            std::thread::sleep(AGAIN);
        }
    }
}

fn begin(path: PathBuf) -> Result<()> {
    // Before there is a second thread, and before anything else is opened.
    let handed = fds::handed_over();
    process::seal().context("core files can't be turned off")?;
    memory::keep_little();
    let in_force = InForce::of(&path);
    let ready = load::first(&path, &in_force).map_err(|all| refuse(&complaints(&all)))?;
    let shell = &ready.loaded.shell;
    // Before anything in it is opened: a second service would take the live one's files for what
    // a crash has left. Held to the end.
    let lock = Lock::take(&shell.state_dir)?;
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
    // The loop waits for its own sockets on its own thread: nobody has to hand an arrival over.
    let no_threads = "no threads to run on";
    let workers = Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    let workers = workers.context(no_threads)?;
    let own = Builder::new_current_thread().enable_all().build().context(no_threads)?;
    let handed = handed.unwrap_or_else(|error| {
        tracing::warn!(%error, "what the service manager has kept can't be used");
        vec![]
    });
    let sockets = KeptSockets::new(handed).context("the service manager")?;
    let ended = own.block_on(serve(ready, path, workers.handle(), sockets, in_force.clone()));
    // Nobody waits for what somebody looks up for a page.
    workers.shutdown_background();
    if matches!(ended, Ok(End::Over))
        && let Err(error) = in_force.forget()
    {
        tracing::warn!(%error, "the copy of the configuration is left");
    }
    drop(log);
    drop(lock);
    ended.map(drop)
}

/// Runs the loop here, and everything else on `workers`.
async fn serve(
    mut ready: Ready,
    path: PathBuf,
    workers: &Workers,
    sockets: KeptSockets,
    in_force: InForce,
) -> Result<End> {
    let limits = ready.loaded.console.clone();
    let bound = {
        let limits = limits.clone();
        workers.spawn(async move { bind(&limits).await })
    };
    let listener = bound.await.map_err(Broken::from).context("the console")?;
    let (setup, current) = load::setup(&mut ready, path.clone(), sockets, in_force.clone())?;
    let listener = match listener {
        Err(error) if !setup.kept.goes_on() => return Err(error),
        listener => listener.ok(),
    };
    let setup = Setup { beside: workers.clone(), ..setup };
    let store = setup.store.clone();
    let shell = Shell::start(setup)?;
    load::keep(&in_force, &path, &ready);
    for (transport, address) in shell.listening() {
        tracing::info!("listens on {}://{address}", transport.name());
    }
    let (handle, voices) = (shell.handle(), shell.media());
    // The loop first: calls that have outlived the last process wait for it, not for the pages.
    let running = tokio::spawn(shell.run());
    if !ready.is_prepared() {
        // Until then prompts are silent in the codecs that few speak.
        let handle = handle.clone();
        workers.spawn(async move { handle.reload().await });
    }
    let (stop, stopped) = oneshot::channel::<Infallible>();
    let pages = Pages { handle, limits, current, path };
    let serving = workers.spawn(pages.show(listener, stopped));
    let ended = running.await.map_err(Broken::from).context("the loop")?;
    drop(stop);
    if matches!(ended, Ok(End::HandedOver)) {
        let closed = tokio::task::spawn_blocking(move || store.close(HAND_OVER_LIMIT)).await;
        tracing::info!("handed over");
        // Up to here they have gone on; from here on they wait in the sockets.
        drop(voices);
        closed.map_err(Broken::from)??;
        return Ok(End::HandedOver);
    }
    drop(voices);
    serving.await.map_err(Broken::from).context("the console")?;
    let closed = tokio::task::spawn_blocking(move || store.close(CLOSE_LIMIT)).await;
    closed.map_err(Broken::from)??;
    tracing::info!("ended");
    Ok(ended?)
}

/// What the console is made of.
struct Pages {
    handle: Handle,
    limits: Console,
    current: watch::Receiver<Arc<Ready>>,
    path: PathBuf,
}

impl Pages {
    /// Opens the console and serves it until the sender is dropped. A database, a disk or an
    /// address that refuses for now must not end the calls: it is tried again.
    async fn show(self, bound: Option<TcpListener>, mut stopped: oneshot::Receiver<Infallible>) {
        let listener = match bound {
            Some(listener) => Some(listener),
            None => insist(&mut stopped, || bind(&self.limits)).await,
        };
        let Some(listener) = listener else { return };
        let Some(desk) = insist(&mut stopped, || self.open()).await else { return };
        let address = listener.local_addr().map(|it| it.to_string()).unwrap_or_default();
        tracing::info!("console on http://{address}/");
        if let Some(path) = desk.setup_path() {
            // Once, and to the terminal: whoever reads the log later must not be able to use it.
            let text = format!("To set the console up, open once: http://{address}{path}");
            drop(writeln!(io::stderr(), "{text}"));
        }
        console::serve(listener, desk, async { drop(stopped.await) }).await;
    }

    async fn open(&self) -> Result<Arc<console::Desk>> {
        let Self { handle, limits, current, path } = self;
        let (handle, limits) = (handle.clone(), limits.clone());
        let (current, path, chance) = (current.clone(), path.clone(), clock::chance()?);
        Ok(console::Desk::open(console::Setup { handle, limits, current, chance, path }).await?)
    }
}

async fn bind(limits: &Console) -> Result<TcpListener> {
    let bound = console::bind(limits).await;
    bound.with_context(|| format!("console.listen: {}", limits.listen))
}

/// Tries until it works; `None`: the service ends first.
async fn insist<T, F: Future<Output = Result<T>>>(
    stopped: &mut oneshot::Receiver<Infallible>,
    attempt: impl Fn() -> F,
) -> Option<T> {
    loop {
        tokio::select! {
            done = attempt() => match done {
                Ok(done) => return Some(done),
                Err(error) => tracing::error!("the console can't be opened yet: {error:#}"),
            },
            _ = &mut *stopped => return None,
        }
        tokio::select! {
            () = sleep(CONSOLE_AGAIN) => {}
            _ = &mut *stopped => return None,
        }
    }
}
