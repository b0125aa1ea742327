//! The lock on the folder of state: one service a folder.
//!
//! Owns the file `lock` in it and nothing else. The lock is the kernel's (flock): it ends with the
//! process, however that ends, and the file that stays behind means nothing. A process that is just
//! ending is waited for: whoever follows it must not give up.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The file.
const NAME: &str = "lock";

/// How long a process may take to end.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(5);

/// The folder is ours while this lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why the folder is not ours.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it.
    #[error("{folder}: another koebashi runs with this folder of state (service.state_dir)")]
    Taken {
        /// Which folder.
        folder: PathBuf,
    },
    /// The file can't be made or locked.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Lock {
    /// Takes the folder, which is made (mode 0700) when it is not there. Waits for a
    /// process that is just ending.
    ///
    /// # Errors
    /// When another process has it, or the system refuses.
    pub fn take(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(NAME);
        let file = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        let file = file.and_then(|()| open(&path));
        let locked = file.map(|file| lock(&file).map(|()| file));
        match locked {
            Ok(Ok(file)) => Ok(Self { _file: file }),
            Ok(Err(TryLockError::WouldBlock)) => Err(Error::Taken { folder: absolute(folder) }),
            Ok(Err(TryLockError::Error(source))) | Err(source) => Err(Error::File { path, source }),
        }
    }
}

fn lock(file: &File) -> Result<(), TryLockError> {
    let until = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < until => sleep(LOOK),
            locked => return locked,
        }
    }
}

/// Reading is enough to lock it: whoever may enter the folder can, also when root made the file.
fn open(path: &Path) -> io::Result<File> {
    match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let file = OpenOptions::new().append(true).create(true).open(path)?;
            fs::set_permissions(path, Permissions::from_mode(0o644))?;
            Ok(file)
        }
        opened => opened,
    }
}

fn absolute(folder: &Path) -> PathBuf {
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_owner_at_a_time() {
        let name = format!("koebashi-lock-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let lock = Lock::take(&folder.join("state")).unwrap();
        let refused = Lock::take(&folder.join("state")).unwrap_err().to_string();
        assert!(refused.starts_with(&*folder.join("state").to_string_lossy()), "{refused}");
        // Who is just ending is waited for.
        let ending = std::thread::spawn(move || {
            sleep(Duration::from_millis(100));
            drop(lock);
        });
        drop(Lock::take(&folder.join("state")).unwrap());
        ending.join().unwrap();
        // The file alone means nothing.
        assert!(folder.join("state").join(NAME).exists());
        Lock::take(&folder.join("state")).unwrap();
        fs::write(folder.join("file"), "").unwrap();
        assert!(matches!(Lock::take(&folder.join("file")), Err(Error::File { .. })));
        fs::remove_dir_all(&folder).unwrap();
    }
}
