//! The book: the configuration's file, as pages read and write it.
//!
//! Owns the file itself: reading it, and replacing it whole or not at all. Who may, and what is
//! right to write, is decided by whoever asks.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::spawn_blocking;

/// Mode of a file that was not there: it may hold passwords.
const MODE: u32 = 0o600;
/// The longest file that is read.
const MAX: u64 = 4 << 20;

/// The configuration's file.
pub(super) struct Book {
    path: PathBuf,
    /// Who saves, one at a time.
    turn: Arc<Mutex<()>>,
}

/// What the file says at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    /// Its text; empty where there is no file.
    pub(super) text: String,
    /// The SHA-256 of the text, by which a form says what it was made from.
    pub(super) base: String,
}

impl Leaf {
    pub(super) fn new(text: String) -> Self {
        let base = sha256(&text).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { text, base }
    }
}

/// The hash of a text.
pub(super) fn sha256(text: &str) -> Vec<u8> {
    Sha256::digest(text.as_bytes()).to_vec()
}

impl Book {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, turn: Arc::default() }
    }

    /// Where the file is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until nobody else saves.
    pub(super) async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.turn).lock_owned().await
    }

    /// Reads the file; one that is not there is empty.
    ///
    /// # Errors
    /// When it can't be read, is too long or no UTF-8.
    pub(super) async fn read(&self) -> io::Result<Leaf> {
        let path = self.path.clone();
        apart(move || match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Leaf::new(String::new())),
            Ok(data) if data.len() > MAX => Err(io::ErrorKind::FileTooLarge.into()),
            Ok(_) | Err(_) => fs::read_to_string(&path).map(Leaf::new),
        })
        .await
    }

    /// Writes the file: all of it or nothing.
    ///
    /// # Errors
    /// When the folder or the file may not be written.
    pub(super) async fn write(&self, text: &str) -> io::Result<()> {
        let (path, text) = (self.path.clone(), text.to_owned());
        apart(move || replace(&path, &text)).await
    }

    /// Whether there is a file.
    ///
    /// # Errors
    /// When that can't be seen.
    pub(super) async fn is_there(&self) -> io::Result<bool> {
        let path = self.path.clone();
        apart(move || path.try_exists()).await
    }

    /// Takes the file away again, where there was none before.
    ///
    /// # Errors
    /// When the folder may not be written.
    pub(super) async fn take_away(&self) -> io::Result<()> {
        let path = self.path.clone();
        apart(move || fs::remove_file(target(&path)?)).await
    }

    /// Whether the file could be written.
    ///
    /// # Errors
    /// Why it could not.
    pub(super) async fn probe(&self) -> io::Result<()> {
        let path = self.path.clone();
        apart(move || {
            let new = target(&path)?.with_extension("probe");
            OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(&new)?;
            match fs::remove_file(new) {
                // Somebody else who tried at the same time has removed it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => removed,
            }
        })
        .await
    }
}

/// Off the runtime's threads.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    // What a panic says is nobody's to read.
    spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(io::Error::other("a fault of koebashi's own")))
}

/// The file behind a link.
fn target(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or_else(|| Path::new(""));
            if !folder.as_os_str().is_empty() {
                fs::create_dir_all(folder)?;
            }
            let link = fs::read_link(path).map(|link| folder.join(link));
            Ok(link.unwrap_or_else(|_| path.to_owned()))
        }
        found => found,
    }
}

/// Puts another file in the place of one; mode and owner stay as far as the system permits it.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = target(path)?;
    let new = path.with_extension("new");
    let written = write_new(&path, &new, text).and_then(|()| fs::rename(&new, &path));
    if let Err(error) = written {
        drop(fs::remove_file(&new));
        return Err(error);
    }
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

fn write_new(path: &Path, new: &Path, text: &str) -> io::Result<()> {
    drop(fs::remove_file(new));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(new)?;
    if let Ok(old) = fs::metadata(path) {
        // To give a file away takes a right that the service has not; the group it may keep.
        if fchown(&file, Some(old.uid()), Some(old.gid())).is_err() {
            drop(fchown(&file, None, Some(old.gid())));
        }
        file.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_replaced_whole_and_links_and_modes_stay() {
        let folder = std::env::temp_dir().join(format!("koebashi-book-{}", std::process::id()));
        fs::create_dir_all(folder.join("real")).unwrap();
        let real = folder.join("real/k.toml");
        let book = Book::new(folder.join("k.toml"));
        assert_eq!(book.read().await.unwrap(), Leaf::new(String::new()));
        fs::write(&real, "a = 1\n").unwrap();
        fs::set_permissions(&real, Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("real/k.toml", folder.join("k.toml")).unwrap();
        assert_eq!(book.read().await.unwrap().text, "a = 1\n");
        book.probe().await.unwrap();
        book.write("a = 2\n").await.unwrap();
        assert!(fs::symlink_metadata(folder.join("k.toml")).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "a = 2\n");
        assert_eq!(fs::metadata(&real).unwrap().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(folder.join("real")).unwrap().count(), 1);
        // A link to nothing yet leads where the file will be.
        fs::remove_file(&real).unwrap();
        book.write("a = 3\n").await.unwrap();
        assert_eq!(fs::metadata(&real).unwrap().mode() & 0o777, MODE);
        fs::remove_dir_all(&folder).unwrap();
        fs::write(&folder, "").unwrap();
        assert!(book.write("a = 4\n").await.is_err());
        fs::remove_file(folder).unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn two_who_look_whether_it_can_be_written_do_not_disturb_each_other() {
        let folder = std::env::temp_dir().join(format!("koebashi-probe-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let book = Arc::new(Book::new(folder.join("k.toml")));
        let many = |_| {
            let book = Arc::clone(&book);
            tokio::spawn(async move {
                for _ in 0..200 {
                    book.probe().await.unwrap();
                }
            })
        };
        for probing in (0..8).map(many).collect::<Vec<_>>() {
            probing.await.unwrap();
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        fs::remove_dir_all(folder).unwrap();
    }
}
