//! `koebashi audit`: what people did, and whether the trail of it is whole.
//!
//! Owns the print and the exit code. The chain and its check are the store's.

use std::path::Path;

use anyhow::{Result, bail};
use clap::Args;

use super::{complaints, refuse, say};
use crate::call::schedule;
use crate::config;
use crate::store::Reader;
use crate::store::audit::{self, Entry, Noted, Verdict};

/// Entries that are printed where nobody says how many.
const LAST: u32 = 100;

/// Which entries.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// Print no entries, only whether the trail is whole.
    #[arg(long, conflicts_with_all = ["from", "to", "last"])]
    verify: bool,
    /// From this moment on, such as 2026-11-28 or 2026-11-28T18:00.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Up to this moment.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// So many at most, the newest (100, unless a time is said).
    #[arg(long, value_name = "N")]
    last: Option<u32>,
    /// Also say whether this hash, noted some time ago, is still in the trail, and what came after
    /// it; that it is not is a mistake.
    #[arg(long, value_name = "HASH")]
    noted: Option<String>,
}

/// `koebashi audit`. All that is left of the trail is checked in any case; a broken one is a
/// mistake.
pub(super) fn run(path: &Path, which: &Which) -> Result<()> {
    let loaded = config::load_or_demo(path).map_err(|all| refuse(&complaints(&all)))?;
    let zone = loaded.call.timezone;
    let moment = |text: &Option<String>| {
        text.as_ref().map(|text| schedule::parse_moment(text, zone)).transpose()
    };
    let (from, to) = (moment(&which.from)?, moment(&which.to)?);
    let reader = Reader::open(&loaded.store.path)?;
    if !which.verify {
        let all = if from.is_some() || to.is_some() { u32::MAX } else { LAST };
        for Entry { at, who, what } in reader.audit(from, to, which.last.unwrap_or(all))? {
            let at = at.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S");
            say(&format!("{at} {who}: {what}"))?;
        }
    }
    match reader.verify_audit()? {
        Verdict::Intact { entries, last } => {
            let hash: String = last.iter().map(|byte| format!("{byte:02x}")).collect();
            say(&format!("whole: {entries} entries, the last is {hash}"))?;
        }
        Verdict::Broken { at } => bail!("the audit trail is broken at entry {at}"),
    }
    let Some(text) = &which.noted else { return Ok(()) };
    let Some(hash) = audit::hash_of(text) else { bail!("a hash has 64 digits of 0-9 and a-f") };
    match reader.read(|conn| audit::noted(conn, &hash))? {
        Noted::There { at, after } => {
            let at = at.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S");
            say(&format!("noted: it is the entry of {at}, and {after} came after it"))
        }
        Noted::Taken => {
            say("noted: retention took its entry last, and all that is left came after it")
        }
        Noted::Gone => bail!(
            "the noted hash is not in the trail: entries were taken away or changed since, or it \
             is older than what is kept"
        ),
    }
}
