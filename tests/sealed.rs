//! The process itself: it leaves no memory image, and nobody reads its memory.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::chown;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use crate::program::free_port;

/// Somebody who is not root, for whom file rights count.
const NOBODY: u32 = 65_534;

/// A folder that everybody can reach; it goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("koebashi-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        // A checkout may be in a folder that nobody else can enter.
        let prompts = folder.join("prompts");
        fs::create_dir_all(&prompts).unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts");
        for file in fs::read_dir(shipped).unwrap().map(|entry| entry.unwrap().path()) {
            fs::copy(&file, prompts.join(file.file_name().unwrap())).unwrap();
        }
        let (sip, console) = (free_port(), free_port());
        let text = format!(
            "[service]\nprompts_dir = \"prompts\"\n[sip]\nlisten = [\"udp://127.0.0.1:{sip}\"]\n\
             [console]\nlisten = \"127.0.0.1:{console}\"\n"
        );
        fs::write(folder.join("koebashi.toml"), text).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// A child that ends with the test.
struct Ends(Child);

impl Ends {
    fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id().try_into().unwrap())
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Starts it and waits until it serves.
fn serve(command: &mut Command) -> Ends {
    let mut child = Ends(command.stderr(Stdio::piped()).spawn().unwrap());
    let mut log = BufReader::new(child.0.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut said = vec![];
    let serves =
        log.by_ref().inspect(|line| said.push(line.clone())).any(|it| it.contains("console on"));
    assert!(serves, "{}", said.join("\n"));
    // Whatever it says from here on must find a reader.
    std::thread::spawn(move || log.for_each(drop));
    child
}

/// A shell that lets memory images be as long as they like, and then becomes something else.
fn with_images(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -c unlimited; exec \"$@\"", "sh"]).args(arguments);
    command.current_dir(folder);
    command
}

#[test]
fn a_crash_leaves_no_memory_image() {
    let folder = Folder::new("image");
    let mut plain = Ends(with_images(&folder.0, &["sleep", "60"]).spawn().unwrap());
    // The shell has to have become it.
    let name = format!("/proc/{}/comm", plain.pid());
    while fs::read_to_string(&name).unwrap().trim() != "sleep" {
        std::thread::yield_now();
    }
    kill(plain.pid(), Signal::SIGABRT).unwrap();
    let is_shown = plain.0.wait().unwrap().core_dumped();
    let arguments = [env!("CARGO_BIN_EXE_koebashi"), "run", "--config", "koebashi.toml"];
    let mut service = serve(&mut with_images(&folder.0, &arguments));
    let limits = fs::read_to_string(format!("/proc/{}/limits", service.pid())).unwrap();
    let limit = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let limit: Vec<_> = limit.split_whitespace().skip(4).take(2).collect();
    assert_eq!(limit, ["0", "0"], "{limits}");
    kill(service.pid(), Signal::SIGABRT).unwrap();
    let status = service.0.wait().unwrap();
    assert_eq!(status.signal(), Some(Signal::SIGABRT as i32), "{status}");
    assert!(!status.core_dumped());
    // Where the system lets nobody leave any, the limit above is all that is shown.
    if is_shown {
        let images = fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name());
        let images: Vec<_> = images.filter(|it| it.to_string_lossy().starts_with("core")).collect();
        assert!(images.len() <= 1, "{images:?}: one is the other program's");
    }
}

#[test]
fn nobody_reads_its_memory_not_even_the_same_user() {
    let folder = Folder::new("sealed");
    let program = folder.0.join("koebashi");
    fs::copy(env!("CARGO_BIN_EXE_koebashi"), &program).unwrap();
    let is_root = geteuid().is_root();
    if is_root {
        chown(&folder.0, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let as_nobody = |program: &Path| {
        let mut command = Command::new(program);
        if is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.current_dir(&folder.0);
        command
    };
    let reads = |pid: Pid| {
        let mut reader = as_nobody(Path::new("cat"));
        let reader = reader.arg(format!("/proc/{pid}/environ")).stdout(Stdio::null());
        reader.stderr(Stdio::null()).status().unwrap().success()
    };
    let mut plain = as_nobody(Path::new("sleep"));
    let plain = Ends(plain.arg("60").spawn().unwrap());
    assert!(reads(plain.pid()), "a process that is not sealed can be read");
    for command in ["run", "keep"] {
        let mut service = as_nobody(&program);
        service.args([command, "--config", "koebashi.toml"]);
        let mut service = serve(&mut service);
        assert!(!reads(service.pid()), "koebashi {command} can be read");
        kill(service.pid(), Signal::SIGTERM).unwrap();
        assert!(service.0.wait().unwrap().success());
    }
}
