//! From a file on disk to what the parts of the program are given: configuration and prompts
//! together, since each is judged by the other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Complaint, Loaded, Severity, check};
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
    /// What looks wrong but can be run, as `file:line: message`.
    pub warnings: Vec<String>,
    /// What the configuration names and is no good; the service runs without it.
    pub faults: Vec<String>,
    /// How the files were before they were read.
    pub stamps: Stamps,
}

/// Reads and checks the file and its prompts. A file that is not there is an empty one, with a
/// warning.
///
/// # Errors
/// Everything that is wrong, as `file:line: message`.
pub fn load(path: &Path) -> Result<Ready, Vec<String>> {
    load_for(path, &BTreeSet::new())
}

/// As [`load`], with the prompts encoded `also` for these codecs.
///
/// # Errors
/// As [`load`].
pub fn load_for(path: &Path, also: &BTreeSet<Codec>) -> Result<Ready, Vec<String>> {
    let mut seen = stamps(&[path.to_owned()]);
    let loaded = super::load_or_demo(path).map_err(|complaints| lines(&complaints))?;
    seen.extend(stamps(std::slice::from_ref(&loaded.shell.prompts_dir)));
    seen.extend(stamps(&loaded.files));
    let (loaded, library, complaints) = judge(loaded)?;
    let of = |severity| {
        let complaints = complaints.iter().filter(|complaint| complaint.severity == severity);
        complaints.map(ToString::to_string).collect()
    };
    let (warnings, faults) = (of(Severity::Warning), of(Severity::Outside));
    let library = library.prepared(&loaded.call.codecs().union(also).copied().collect());
    Ok(Ready { loaded, library: Arc::new(library), warnings, faults, stamps: seen })
}

/// Judges a text as if it stood in the file at `path`, with the prompts that are there; returns
/// what it would be, and what looks wrong but can be run.
///
/// # Errors
/// Everything that is wrong with it, as `file:line: message`.
pub fn try_text(text: &str, path: &Path) -> Result<(Loaded, Vec<String>), Vec<String>> {
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let loaded = super::parse(text, &path.display().to_string(), folder);
    let (loaded, _, complaints) = judge(loaded.map_err(|complaints| lines(&complaints))?)?;
    Ok((loaded, lines(&complaints)))
}

/// As [`try_text`], without reading prompts that are as they were when `known` was read.
///
/// # Errors
/// As [`try_text`].
pub fn try_text_beside(
    text: &str,
    path: &Path,
    known: &Ready,
) -> Result<(Loaded, Vec<String>), Vec<String>> {
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let loaded = super::parse(text, &path.display().to_string(), folder);
    let mut loaded = loaded.map_err(|complaints| lines(&complaints))?;
    let seen = stamps(std::slice::from_ref(&loaded.shell.prompts_dir));
    if !seen.iter().all(|(file, stamp)| known.stamps.get(file) == Some(stamp)) {
        return try_text(text, path);
    }
    let known = &known.loaded.call.prompt_lengths;
    let complaints = check(&loaded, known);
    if complaints.iter().any(|c| c.severity == Severity::Error) {
        return Err(lines(&complaints));
    }
    loaded.call.prompt_lengths.clone_from(known);
    Ok((loaded, lines(&complaints)))
}

/// Judges a configuration by its prompts, whose lengths are filled in.
fn judge(mut loaded: Loaded) -> Result<(Loaded, Library, Vec<Complaint>), Vec<String>> {
    let library = prompts::library(&loaded.shell.prompts_dir)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let lengths = lengths(&library);
    let complaints = check(&loaded, &lengths);
    if complaints.iter().any(|c| c.severity == Severity::Error) {
        return Err(lines(&complaints));
    }
    loaded.call.prompt_lengths = lengths;
    Ok((loaded, library, complaints))
}

fn lines(complaints: &[Complaint]) -> Vec<String> {
    complaints.iter().map(ToString::to_string).collect()
}

fn lengths(library: &Library) -> BTreeMap<Prompt, Duration> {
    let length = |name: &Prompt| library.clip(name).map(|clip| (name.clone(), clip.duration()));
    library.names().filter_map(length).collect()
}

impl Ready {
    /// What a running service takes over; `notes` is what the operator should know.
    pub fn fresh(&self, notes: Vec<String>) -> Fresh {
        let Loaded { call, sip, tls, files, .. } = self.loaded.clone();
        let (library, faults) = (Arc::clone(&self.library), self.faults.clone());
        Fresh { call, sip, library, tls, files, notes, faults }
    }
}
