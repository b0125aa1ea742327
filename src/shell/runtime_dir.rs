//! A folder in memory, for what outlives the process and not the machine.
//!
//! Owns where it is: where the service manager says, else in the user's or the machine's own. Does
//! not own what is put there.

use std::fs::DirBuilder;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf, absolute};

use nix::unistd::geteuid;
use sha2::{Digest, Sha256};

/// The folder for what belongs to `path`, made (mode 0700) when it is not there; `None`: the
/// machine has none.
pub(super) fn find(path: &Path) -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(given) = variable("RUNTIME_DIRECTORY") {
        // Several folders are parted by colons.
        let first = given.to_string_lossy().split(':').next().map(PathBuf::from)?;
        // Where it can't be made, whoever puts something there is told.
        make(&first);
        return Some(first);
    }
    let name = format!("koebashi-{}-{}", geteuid(), print(path));
    let folders = [variable("XDG_RUNTIME_DIR").map(PathBuf::from), Some("/dev/shm".into())];
    folders.into_iter().flatten().map(|folder| folder.join(&name)).find(|folder| make(folder))
}

/// What tells one path's things from another's: the same for each version of the program, whatever
/// it was built with.
pub(super) fn print(path: &Path) -> String {
    let whole = absolute(path).unwrap_or_else(|_| path.to_owned());
    let digest = Sha256::digest(whole.as_os_str().as_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn make(folder: &Path) -> bool {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).is_ok()
}
