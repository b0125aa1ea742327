//! A disk and a database that fail in the middle of calls: calls don't notice, the alarm is raised,
//! and the records are written later.

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::apart::{apart, small_disk};
use crate::goal::{Goal, Measured, Run};
use crate::load::callers::Habit;
use crate::load::service::Plan;
use crate::operation::{is_whole, lost};
use crate::scene::Scene;

/// The rows of this file.
pub(crate) const GOALS: &[Goal] = &[
    Goal {
        name: "db-locked",
        wanted: "60 s locked: 0 calls affected, alarm ≤ 5 s, all recorded afterwards",
        peer: "Asterisk: CDR batches are lost on a crash",
        is_long_only: false,
        measure: |run| alone(Fault::Locked, run),
    },
    Goal {
        name: "disk-full",
        wanted: "0 calls affected, alarm ≤ 5 s, all recorded afterwards",
        peer: "–",
        is_long_only: false,
        measure: |run| apart(|| alone(Fault::Full, run)),
    },
    Goal {
        name: "disk-read-only",
        wanted: "0 calls affected, alarm ≤ 5 s, all recorded afterwards",
        peer: "–",
        is_long_only: false,
        measure: |run| alone(Fault::ReadOnly, run),
    },
    Goal {
        name: "disk-slow",
        wanted: "every fsync takes 200 ms: 0 calls affected, all recorded",
        peer: "–",
        is_long_only: false,
        measure: |run| alone(Fault::Slow, run),
    },
];

/// Calls that go on all the while, and are listened to.
const VOICES: u32 = 10;

/// What the disk does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Locked,
    Full,
    ReadOnly,
    Slow,
}

/// Calls a second, and how long each talks.
const PACE: u32 = 10;
const TALK: Duration = Duration::from_secs(1);
/// How long the alarm, and its end, may take.
const ALARM: Duration = Duration::from_secs(5);
const WELL_AGAIN: Duration = Duration::from_secs(30);

/// What has to be undone.
enum Broken {
    Lock(Connection),
    Filler(PathBuf),
    /// And where it notes each call that it has met.
    Tracer(Child, PathBuf),
}

impl Fault {
    fn begin(self, scene: &Scene) -> Result<Broken, Box<dyn Error>> {
        let state = scene.service.dir().join("state");
        Ok(match self {
            Self::Locked => Broken::Lock(scene.lock_database()?),
            Self::Full => {
                let path = state.join("filler");
                let mut file = fs::File::create(&path)?;
                // Until there is no room.
                while file.write_all(&[1; 4096]).is_ok() {}
                Broken::Filler(path)
            }
            Self::ReadOnly => {
                let files = ["koebashi.db", "koebashi.db-wal"].map(|name| state.join(name));
                let what = "pwrite64,ftruncate,fsync,fdatasync";
                trace(scene, &files, what, "error=EROFS")?
            }
            Self::Slow => trace(scene, &[], "fsync,fdatasync", "delay_exit=200000")?,
        })
    }
}

impl Broken {
    fn end(self) -> io::Result<()> {
        match self {
            Self::Lock(lock) => lock.execute_batch("ROLLBACK").map_err(io::Error::other),
            Self::Filler(path) => fs::remove_file(path),
            Self::Tracer(mut tracer, notes) => {
                // It lets go of the service when it is asked to end.
                let pid = i32::try_from(tracer.id()).map_err(io::Error::other)?;
                nix::sys::signal::kill(
                    nix::unistd::Pid::from_raw(pid),
                    nix::sys::signal::Signal::SIGINT,
                )?;
                tracer.wait()?;
                match fs::metadata(notes)?.len() {
                    0 => Err(io::Error::other("the disk did nothing that could fail")),
                    _ => Ok(()),
                }
            }
        }
    }
}

/// Has calls to the system, of these files or of all, come out otherwise.
fn trace(scene: &Scene, files: &[PathBuf], calls: &str, fate: &str) -> io::Result<Broken> {
    let mut command = Command::new("strace");
    let notes = scene.service.dir().join("strace");
    command.args(["-f", "-qq", "-e", &format!("trace={calls}")]).arg("-o").arg(&notes);
    command.args(["-e", &format!("inject={calls}:{fate}"), "-p", &scene.service.pid().to_string()]);
    for file in files {
        command.arg("-P").arg(file);
    }
    let mut child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn()?;
    // It takes hold of one thread after the other.
    thread::sleep(Duration::from_millis(500));
    let status = fs::read_to_string(format!("/proc/{}/status", scene.service.pid()))?;
    let tracer = format!("TracerPid:\t{}\n", child.id());
    if child.try_wait()?.is_some() || !status.contains(&tracer) {
        return Err(io::Error::other("it may not trace the service"));
    }
    Ok(Broken::Tracer(child, notes))
}

fn alone(fault: Fault, run: &Run) -> Result<Measured, Box<dyn Error>> {
    let lasts = Duration::from_secs(run.count(6, 60).into());
    let prepare = match fault {
        Fault::Full => on_small_disk,
        Fault::Locked | Fault::ReadOnly | Fault::Slow => |_: &Path| Ok(()),
    };
    let counselors = 3 * PACE + VOICES;
    let scene = Scene::start(&Plan { counselors, prepare, ..Plan::default() })?;
    let calls = PACE * lasts.as_secs() as u32;
    // They come and go, and are silent: what is heard is those who talk all the while.
    let habit = Habit { calls, per_second: PACE, hold: Some(TALK), speaks: false };
    let voices = scene.talk(VOICES)?;
    scene.phones.hush();
    let broken = match fault.begin(&scene) {
        Err(error) if matches!(fault, Fault::Slow | Fault::ReadOnly) => {
            return Ok(Measured::skipped(format!("no strace here: {error}")));
        }
        other => other?,
    };
    let began = Instant::now();
    scene.voice.begin();
    let callers = scene.call_others(habit)?;
    let alarm = match fault {
        // Late is not broken.
        Fault::Slow => String::new(),
        Fault::Locked | Fault::Full | Fault::ReadOnly => {
            scene.wait("the alarm", ALARM, || scene.unready().is_some())?;
            format!("alarm after {:.1} s, ", began.elapsed().as_secs_f64())
        }
    };
    let well = scene.over(&callers, calls, PACE)?;
    thread::sleep(lasts.saturating_sub(began.elapsed()));
    let (figures, talking) = (scene.voice.end(), scene.phones.talking());
    broken.end()?;
    scene.wait("the service to be well again", WELL_AGAIN, || scene.unready().is_none())?;
    voices.hang_up(VOICES);
    let ended = scene.over(&voices, VOICES, VOICES)?;
    let are_recorded = scene.are_recorded(calls + VOICES)?;
    let figure = format!(
        "{} of {calls} calls affected in {} s, {talking} of {VOICES} talk on ({}), {alarm}{}",
        calls - well,
        lasts.as_secs(),
        lost(&figures),
        if are_recorded { "all recorded" } else { "records are missing" },
    );
    let is_held = well == calls && (talking, ended) == (VOICES, VOICES) && are_recorded;
    Ok(Measured::new(is_held && is_whole(&figures), figure))
}

fn on_small_disk(dir: &Path) -> io::Result<()> {
    small_disk(&dir.join("state"), "3m")
}
