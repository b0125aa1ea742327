//! From a file on disk to what the parts of the program are given: configuration and prompts
//! together, since each is judged by the other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Loaded, check};
use crate::call::config::Use;
use crate::complaint::{Complaint, Severity};
use crate::media::prompt::Library;
use crate::media::{Codec, Prompt};
use crate::shell::prompts;
use crate::shell::reload::{Fresh, Stamps, stamps};

/// A configuration that can be run, with its prompts.
#[derive(Clone)]
pub struct Ready {
    /// The configuration; the lengths of its prompts are filled in.
    pub loaded: Loaded,
    /// The prompts.
    pub library: Arc<Library>,
    /// What looks wrong but can be run.
    pub warnings: Vec<Complaint>,
    /// What the configuration names and is no good; the service runs without it.
    pub faults: Vec<Complaint>,
    /// Prompts that are no good or not there, which only [`load_anyway`] lets pass: the usual one
    /// is played in their place, or none.
    pub missing: Vec<Complaint>,
    /// How the files were before they were read.
    pub stamps: Stamps,
}

/// Reads and checks the file and its prompts. A file that is not there is an empty one, with a
/// warning.
///
/// # Errors
/// Everything that is wrong.
pub fn load(path: &Path) -> Result<Ready, Vec<Complaint>> {
    load_beside(path, &BTreeSet::new(), None)
}

/// As [`load`], with the prompts in G.711 only: [`Ready::prepare`] makes the rest, which can take
/// seconds.
///
/// # Errors
/// As [`load`].
pub fn load_bare(path: &Path) -> Result<Ready, Vec<Complaint>> {
    read(path, || super::load_or_demo(path), |loaded, seen| judge(loaded, seen, None))
}

/// As [`load_bare`], with this text in the place of the file's, and whatever is wrong with the
/// prompts and with files of passwords: calls wait for us.
///
/// # Errors
/// Everything that is wrong with the text.
pub fn load_anyway(text: &str, path: &Path) -> Result<Ready, Vec<Complaint>> {
    let parse = || super::parse_anyway(text, &path.display().to_string(), folder(path));
    read(path, parse, |loaded, seen| Ok(bear(loaded, seen)))
}

/// As [`load`], with the prompts encoded `also` for these codecs, and taken from what is `known`
/// where their files are as they were: decoding and encoding all of them takes seconds.
///
/// # Errors
/// As [`load`].
pub fn load_beside(
    path: &Path,
    also: &BTreeSet<Codec>,
    known: Option<&Ready>,
) -> Result<Ready, Vec<Complaint>> {
    let judge = |loaded, seen: &_| judge(loaded, seen, known);
    let mut ready = read(path, || super::load_or_demo(path), judge)?;
    ready.prepare(also);
    Ok(ready)
}

fn parse(text: &str, path: &Path) -> Result<Loaded, Vec<Complaint>> {
    super::parse(text, &path.display().to_string(), folder(path))
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or_else(|| Path::new(""))
}

/// A configuration, its prompts, and what is to be said of both.
type Judged = (Loaded, Library, Vec<Complaint>);

fn read(
    path: &Path,
    load: impl FnOnce() -> Result<Loaded, Vec<Complaint>>,
    judge: impl FnOnce(Loaded, &Stamps) -> Result<Judged, Vec<Complaint>>,
) -> Result<Ready, Vec<Complaint>> {
    let mut seen = stamps(&[path.to_owned()]);
    let loaded = load()?;
    seen.extend(stamps(std::slice::from_ref(&loaded.shell.prompts_dir)));
    seen.extend(stamps(&loaded.files));
    let (loaded, library, complaints) = judge(loaded, &seen)?;
    let of = |severity| {
        let complaints = complaints.iter().filter(|complaint| complaint.severity == severity);
        complaints.cloned().collect()
    };
    let [warnings, faults, missing] =
        [Severity::Warning, Severity::Outside, Severity::Error].map(of);
    Ok(Ready { loaded, library: Arc::new(library), warnings, faults, missing, stamps: seen })
}

/// Judges a text as if it stood in the file at `path`, with the prompts that are there; returns
/// what it would be, and what looks wrong but can be run. What is `known` is not read again.
///
/// # Errors
/// Everything that is wrong with it.
pub fn try_text(
    text: &str,
    path: &Path,
    known: &Ready,
) -> Result<(Loaded, Vec<Complaint>), Vec<Complaint>> {
    let loaded = parse(text, path)?;
    let seen = stamps(std::slice::from_ref(&loaded.shell.prompts_dir));
    let (loaded, _, complaints) = judge(loaded, &seen, Some(known))?;
    Ok((loaded, complaints))
}

/// Judges a configuration by its prompts, whose lengths are filled in. `seen` is how their files
/// are.
fn judge(
    mut loaded: Loaded,
    seen: &Stamps,
    known: Option<&Ready>,
) -> Result<Judged, Vec<Complaint>> {
    let folder = &loaded.shell.prompts_dir;
    // Where something stood in for a file, the file is to be read.
    let is_like =
        |known: &&Ready| known.loaded.shell.prompts_dir == *folder && known.missing.is_empty();
    let known = known.filter(is_like);
    let as_it_was = |path: &Path, name: &Prompt| {
        let known = known.filter(|known| known.stamps.get(path) == seen.get(path))?;
        known.library.clip(name).cloned()
    };
    let (library, errors) = prompts::library(folder, as_it_was);
    if !errors.is_empty() {
        return Err(errors.into_iter().map(Complaint::from).collect());
    }
    let lengths = lengths(&library);
    let complaints = check(&loaded, &lengths);
    if complaints.iter().any(|c| c.severity == Severity::Error) {
        return Err(complaints);
    }
    loaded.call.prompt_lengths = lengths;
    Ok((loaded, library, complaints))
}

/// The same where calls wait, with whatever prompts there are: the complaints tell which are not.
fn bear(mut loaded: Loaded, _: &Stamps) -> Judged {
    let (mut library, errors) = prompts::library(&loaded.shell.prompts_dir, |_, _| None);
    let mut complaints: Vec<_> = errors.into_iter().map(Complaint::from).collect();
    complaints.extend(check(&loaded, &lengths(&library)));
    let uses = loaded.call.uses();
    // Nothing else says to callers what becomes of their words.
    let is_own = |prompt| uses.iter().any(|(at, p)| matches!(at, Use::Recording(_)) && p == prompt);
    for (place, prompt) in uses.iter().filter(|(_, prompt)| !is_own(prompt)) {
        let usual = match place {
            Use::Said(said) | Use::LineSaid(_, said) => said.name(),
            Use::Hold(_) => "hold",
            Use::Node(..) | Use::Recording(_) | Use::Tone(..) => continue,
        };
        if let (None, Some(clip)) = (library.clip(prompt), library.clip(&usual.into())) {
            library = library.clone().with(prompt.clone(), Arc::clone(clip));
        }
    }
    loaded.call.prompt_lengths = lengths(&library);
    (loaded, library, complaints)
}

fn lengths(library: &Library) -> BTreeMap<Prompt, Duration> {
    let length = |name: &Prompt| library.clip(name).map(|clip| (name.clone(), clip.duration()));
    library.names().filter_map(length).collect()
}

impl Ready {
    /// Encodes the prompts for every codec that is spoken, and `also` for these.
    pub fn prepare(&mut self, also: &BTreeSet<Codec>) {
        let codecs = self.loaded.call.codecs().union(also).copied().collect();
        if !self.library.is_prepared(&codecs) {
            self.library = Arc::new(Library::clone(&self.library).prepared(&codecs));
        }
    }

    /// Whether the prompts are encoded for every codec that is spoken.
    pub fn is_prepared(&self) -> bool {
        self.library.is_prepared(&self.loaded.call.codecs())
    }

    /// What a running service takes over; `notes` is what the operator should know.
    pub fn fresh(&self, notes: Vec<String>) -> Fresh {
        let Loaded { call, sip, tls, files, .. } = self.loaded.clone();
        let library = Arc::clone(&self.library);
        let words = |all: &[Complaint]| all.iter().map(ToString::to_string).collect();
        let (faults, missing) = (words(&self.faults), vec![]);
        let mut fresh = Fresh { call, sip, library, tls, files, notes, faults, missing };
        fresh.miss(words(&self.missing));
        fresh
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::shell::prompts::make::wav;

    /// A folder, its configuration and the path of that; the line's tables are these.
    fn place(name: &str, tables: &str) -> (PathBuf, String, PathBuf) {
        let folder = std::env::temp_dir().join(format!("koebashi-{name}-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("prompts")).unwrap();
        let path = folder.join("k.toml");
        let line = format!(
            "[[trunk]]\nid = \"t\"\npeers = [\"192.0.2.1\"]\n[[line]]\nid = \"a\"\n\
             numbers = [\"1234\"]\n{tables}[[counselor]]\nextension = \"101\"\n\
             password = \"koebashi-101\"\nlines = [\"a\"]\n"
        );
        let prompts = folder.join("prompts");
        let text = format!("[service]\nprompts_dir = {:?}\n{line}", prompts.display().to_string());
        std::fs::write(&path, &text).unwrap();
        (folder, text, path)
    }

    #[test]
    fn where_calls_wait_the_usual_prompts_stand_in_for_those_that_are_no_good() {
        let tables = "[line.prompts]\nclosed = \"gone\"\nhelp = \"recorded\"\n\
            [line.queue]\nhold = \"music\"\n\
            [line.recording]\nmode = \"on\"\nprompt = \"recorded\"\n\
            [line.guidance]\nstart = { play = [\"welcome\", \"mine\"], next = \"queue\" }\n";
        let (folder, text, path) = place("bear", tables);
        let key = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";
        let text = format!("{text}[recording]\nrecipients = [\"{key}\"]\n");
        std::fs::write(&path, &text).unwrap();
        for (name, bytes) in [("welcome", "half a fi"), ("music", ""), ("UPPER", "")] {
            std::fs::write(folder.join(format!("prompts/{name}.wav")), bytes).unwrap();
        }
        // Only of those that can be read it is told that they are not there.
        assert_eq!(load_bare(&path).err().map(|all| all.len()), Some(3));
        let ready = load_anyway(&text, &path).unwrap();
        let said: Vec<_> = ready.missing.iter().map(ToString::to_string).collect();
        for name in ["welcome.wav", "music.wav", "UPPER", "\"gone\"", "\"recorded\"", "\"mine\""] {
            assert!(said.iter().any(|line| line.contains(name)), "{name} in {said:?}");
        }
        let clip = |name: &str| ready.library.clip(&name.into());
        for (name, usual) in [("gone", "closed"), ("music", "hold")] {
            assert!(Arc::ptr_eq(clip(name).unwrap(), clip(usual).unwrap()), "{name}");
        }
        let lengths = &ready.loaded.call.prompt_lengths;
        assert!(lengths.contains_key(&"gone".into()) && lengths.contains_key(&"welcome".into()));
        assert!(["recorded", "mine"].iter().all(|name| clip(name).is_none()), "heard by nobody");
        // What stood in is not taken for the file later.
        assert!(load_beside(&path, &BTreeSet::new(), Some(&ready)).is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn only_prompts_that_have_changed_are_read_again() {
        let (folder, text, path) = place("ready", "");
        let write = |loud: i16| {
            std::fs::write(folder.join("prompts/welcome.wav"), wav(&[loud; 800]).unwrap()).unwrap();
        };
        write(1000);
        let first = load(&path).unwrap();
        let next = |known: &Ready| load_beside(&path, &BTreeSet::new(), Some(known)).unwrap();
        let is_same = |a: &Ready, b: &Ready, name: &str| {
            let clip = |ready: &Ready| Arc::clone(ready.library.clip(&name.into()).unwrap());
            Arc::ptr_eq(&clip(a), &clip(b))
        };
        let second = next(&first);
        assert!(first.library.names().all(|name| is_same(&first, &second, &name.0)));
        // As long as before.
        write(2000);
        let third = next(&second);
        assert!(is_same(&second, &third, "goodbye") && !is_same(&second, &third, "welcome"));
        assert_eq!(third.library.clip(&"welcome".into()).unwrap().pcm()[0], 2000);
        // What is shipped comes back, and of the text alone nothing is read.
        std::fs::remove_file(folder.join("prompts/welcome.wav")).unwrap();
        let fourth = next(&third);
        assert!(fourth.library.clip(&"welcome".into()).unwrap().pcm().len() > 800);
        let (tried, _) = try_text(&text, &path, &fourth).unwrap();
        assert_eq!(tried.call.prompt_lengths, fourth.loaded.call.prompt_lengths);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
