//! A world of its own for a row: a network that loses packets, a disk that fills up, without
//! anybody else on the machine being touched.
//!
//! Owns the namespaces: one thread leaves the machine's, and everything that it starts lives in its
//! own. They go with the last of it.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use nix::sched::{CloneFlags, unshare};

use crate::goal::Measured;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What the machine does not let be done.
#[derive(Debug)]
pub(crate) struct Refused(io::Error);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not on this machine: {}", self.0)
    }
}

impl Error for Refused {}

/// Measures with a network and mounts of its own. Skipped, with the reason, where the machine
/// refuses them, or rules.
pub(crate) fn apart(measure: impl FnOnce() -> Result<Measured> + Send) -> Result<Measured> {
    let inside = || {
        let measured = leave().map_err(Refused).map_err(Into::into).and_then(|()| measure());
        measured.or_else(|error| match error.downcast::<Refused>() {
            Ok(refused) => Ok(Measured::skipped(refused.to_string())),
            Err(error) => Err(error.to_string()),
        })
    };
    let done = thread::scope(|scope| scope.spawn(inside).join());
    Ok(done.map_err(|_| "it panicked")??)
}

fn leave() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)?;
    run("mount", &["--make-rprivate", "/"], "")?;
    run("ip", &["link", "set", "lo", "up"], "")?;
    run("nft", &["--version"], "")
}

/// Rules of nftables for this network, in the place of those before.
pub(crate) fn rules(rules: &str) -> std::result::Result<(), Refused> {
    run("nft", &["-f", "-"], &format!("flush ruleset\n{rules}")).map_err(Refused)
}

/// What these rules have matched so far: packets, summed over all that count.
pub(crate) fn matched() -> std::result::Result<u64, Refused> {
    let told = ask("nft", &["list", "table", "ip", "faults"], "").map_err(Refused)?;
    let counts = told.split("counter packets ").skip(1);
    Ok(counts.filter_map(|rest| rest.split(' ').next()?.parse::<u64>().ok()).sum())
}

/// Has what goes to these ports pass through a queue of the kernel's.
pub(crate) fn queue(ports: &str, number: u16) -> std::result::Result<(), Refused> {
    let rule = ["-A", "INPUT", "-p", "udp", "--dport", ports, "-j", "NFQUEUE", "--queue-num"];
    run("iptables", &[&rule[..], &[&number.to_string()]].concat(), "").map_err(Refused)
}

/// Takes that back.
pub(crate) fn unqueue() -> io::Result<()> {
    run("iptables", &["-F", "INPUT"], "")
}

/// A disk of so many bytes in this folder.
pub(crate) fn small_disk(folder: &Path, size: &str) -> io::Result<()> {
    let folder = folder.to_string_lossy();
    run("mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "small", &folder], "")
}

fn run(program: &str, arguments: &[&str], input: &str) -> io::Result<()> {
    ask(program, arguments, input).map(drop)
}

/// Runs it; what it prints.
fn ask(program: &str, arguments: &[&str], input: &str) -> io::Result<String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(input.as_bytes())?;
    }
    let done = child.wait_with_output()?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let why = String::from_utf8_lossy(&done.stderr).trim().to_owned();
    Err(io::Error::other(format!("{program} {}: {why}", arguments.join(" "))))
}
