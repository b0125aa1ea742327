//! The text of the configuration that is in force, over the death of the process.
//!
//! A file that is just being edited and would be refused must not keep the next process from going
//! on with the calls. Owns the copy of the text: for the owner only, in a folder in memory, there
//! from the start to the orderly end of a service. Does not judge the text.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::runtime_dir;

/// Where a copy lies; nowhere, when the machine has no folder in memory.
#[derive(Clone, Debug)]
pub struct InForce(Option<PathBuf>);

impl InForce {
    /// The copy of the file at `config`.
    pub fn of(config: &Path) -> Self {
        let name = format!("in-force-{}.toml", runtime_dir::print(config));
        Self(runtime_dir::find(config).map(|folder| folder.join(name)))
    }

    /// No copy, and none will be.
    pub fn nowhere() -> Self {
        Self(None)
    }

    /// The text that the process before has left; `None`: it ended as it should, or there was none.
    pub fn read(&self) -> Option<String> {
        fs::read_to_string(self.0.as_ref()?).ok()
    }

    /// This text is in force from here on.
    ///
    /// # Errors
    /// When it can't be written; the copy before is left.
    pub fn keep(&self, text: &str) -> io::Result<()> {
        let Some(path) = &self.0 else { return Ok(()) };
        let new = path.with_extension("new");
        // What a process left that died here.
        forgive(fs::remove_file(&new))?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        fs::rename(new, path)
    }

    /// Nobody goes on with this service.
    ///
    /// # Errors
    /// When the copy can't be removed.
    pub fn forget(&self) -> io::Result<()> {
        self.0.as_ref().map_or(Ok(()), |path| forgive(fs::remove_file(path)))
    }
}

fn forgive(removed: io::Result<()>) -> io::Result<()> {
    removed.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_copy_is_its_owners_and_goes_with_the_service() {
        let folder = std::env::temp_dir().join(format!("koebashi-in-force-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let copy = InForce(Some(folder.join("in-force-1.toml")));
        assert_eq!(copy.read(), None);
        copy.keep("a").unwrap();
        fs::write(folder.join("in-force-1.new"), "half").unwrap();
        copy.keep("b").unwrap();
        assert_eq!(copy.read().as_deref(), Some("b"));
        let mode = fs::metadata(folder.join("in-force-1.toml")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        copy.forget().unwrap();
        copy.forget().unwrap();
        assert_eq!(copy.read(), None);
        InForce::nowhere().keep("c").unwrap();
        fs::remove_dir_all(folder).unwrap();
        let of = |path: &str| InForce::of(Path::new(path)).0;
        assert!(of("a.toml").is_some() && of("a.toml") == of("a.toml"));
        assert_ne!(of("a.toml"), of("b.toml"));
    }
}
