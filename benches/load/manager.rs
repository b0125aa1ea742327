//! Who starts the program, and starts it again when it is gone.
//!
//! Owns how that is done: alone, by `koebashi keep`, or by a real systemd with the unit that is
//! shipped, on a machine of its own (`systemd.sh`).

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

/// Who looks after the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manager {
    /// Nobody: what dies is dead.
    Nobody,
    /// The program's own keeper.
    Keeper,
    /// systemd, as the README installs it. Needs root, and namespaces.
    Systemd,
}

impl Manager {
    /// What starts the program in a folder with `koebashi.toml`.
    pub(crate) fn command(self, program: &Path, folder: &Path) -> Command {
        let run = |word: &str| {
            let mut command = Command::new(program);
            command.args([word, "--config"]).arg(folder.join("koebashi.toml"));
            // Keys of live calls: in the run's folder, not among those of the machine.
            command.env("RUNTIME_DIRECTORY", folder.join("run"));
            command
        };
        match self {
            Self::Nobody => run("run"),
            Self::Keeper => run("keep"),
            Self::Systemd => {
                let mut command = machine();
                command.args([program, folder, &sources().join("systemd")]);
                command
            }
        }
    }

    /// Whether systemd can be had here, and may do what it does for the unit.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn try_systemd() -> io::Result<()> {
        let machine = machine();
        let mut limited = Command::new("timeout");
        limited.args(["--kill-after=1", "20"]).arg(machine.get_program()).args(machine.get_args());
        run(limited.arg("--try"))
    }

    /// The process of the service that is looked after by `pid`; `None`: there is none at the moment.
    pub(crate) fn kept(self, pid: u32) -> Option<u32> {
        match self {
            Self::Nobody => None,
            Self::Keeper => child(pid),
            // Before it is the program it is a copy of systemd.
            Self::Systemd => child(child(pid)?).filter(|pid| is_program(*pid)),
        }
    }

    /// Tells systemd, which `pid` has started, to do something with the service.
    pub(crate) fn systemctl(pid: u32, words: &[&str]) -> io::Result<()> {
        let systemd = child(pid).ok_or_else(|| io::Error::other("there is no systemd"))?;
        let mut command = Command::new("nsenter");
        command.args(["--all", "--target", &systemd.to_string(), "systemctl"]);
        run(command.args(words).arg("koebashi"))
    }
}

/// A machine of its own.
fn machine() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--fork", "--kill-child", "--pid", "--mount-proc"]);
    command.args(["--mount", "--cgroup", "--ipc", "--uts"]);
    command.arg(sources().join("benches/load/systemd.sh"));
    command
}

fn sources() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn run(command: &mut Command) -> io::Result<()> {
    let done = command.output()?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(io::Error::other(format!("{}: {}", done.status, said.trim())))
}

fn child(pid: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

fn is_program(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "koebashi")
}
