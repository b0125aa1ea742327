//! The commands beside `run`: each asks one thing and prints the answer.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use tokio::runtime::Builder;

use super::{Period, StatusFormat, complaints, must_exist, refuse, say, service_token};
use crate::call::config::LineId;
use crate::call::{schedule, when};
use crate::complaint::Say as _;
use crate::config;
use crate::config::ready;
use crate::console::status;
use crate::lang::Lang;
use crate::shell::clock;
use crate::sip::auth::{self, Algorithm};
use crate::store::report::{self, period, print, public};

/// `koebashi check`.
pub(super) fn check(path: &Path, l: Lang) -> Result<()> {
    let ready = match ready::load(path) {
        Ok(ready) => ready,
        Err(complaints) => {
            for complaint in &complaints {
                say(&complaint.say(l))?;
            }
            let (file, n) = (path.display(), complaints.len());
            bail!(
                "{}",
                l.t(&format!("{file}: 誤りが{n}件あります"), &format!("{file}: {n} complaints"))
            );
        }
    };
    for warning in &ready.warnings {
        say(&warning.say(l))?;
    }
    for fault in &ready.faults {
        say(&fault.say(l))?;
    }
    if !ready.faults.is_empty() {
        let file = path.display();
        bail!(
            "{}",
            l.t(
                &format!("{file}: 上のものなしで動きます"),
                &format!("{file}: runs without what is said above")
            )
        );
    }
    let call = &ready.loaded.call;
    let (file, trunks, lines) = (path.display(), call.trunks.len(), call.lines.len());
    let (counselors, prompts) = (call.counselors.len(), call.prompt_lengths.len());
    say(l.t(
        &format!(
            "{file}: 誤りはありません: 外線 {trunks}、回線 {lines}、相談員 {counselors}、\
             音声 {prompts}"
        ),
        &format!(
            "{file}: fine: {trunks} trunks, {lines} lines, {counselors} counselors, \
             {prompts} prompts"
        ),
    ))
}

/// `koebashi when LINE TIME`.
pub(super) fn when(path: &Path, line: &str, time: &str) -> Result<()> {
    let config = ready::load(path).map_err(|all| refuse(&complaints(&all)))?.loaded.call;
    let moment = schedule::parse_moment(time, config.timezone)?;
    say(when::explain(&config, &LineId::from(line), moment)?.trim_end())
}

/// `koebashi report`.
pub(super) fn report(path: &Path, period: &Period, format: &str, is_public: bool) -> Result<()> {
    let loaded = config::load_or_demo(path).map_err(|all| refuse(&complaints(&all)))?;
    let zone = loaded.call.timezone;
    let period = match period {
        Period::Month(month) => period::Period::month(month, zone)?,
        Period::Day(day) => period::Period::day(day, zone)?,
        Period::Year(year) => period::Period::fiscal_year(year, zone)?,
        Period::ThisMonth => {
            let now = clock::now().wall.with_timezone(&zone);
            period::Period::month(&now.format("%Y-%m").to_string(), zone)?
        }
    };
    let format = format.parse::<print::Format>().map_err(|error| anyhow!(error))?;
    let figures = report::read(must_exist(&loaded.store.path)?, period)?;
    let names = loaded.call.lines.iter().map(|(id, line)| (id.clone(), line.name.clone()));
    let names = names.collect();
    if is_public {
        let public = public::public(&figures, loaded.reports.min_cell);
        return say(public::print::print(&public, &names, format).trim_end());
    }
    say(print::print(&figures, &names, format).trim_end())
}

/// `koebashi status`.
pub(super) fn status(path: &Path, format: StatusFormat) -> Result<()> {
    let loaded = config::load_or_demo(path).map_err(|all| refuse(&complaints(&all)))?;
    let token = service_token(&loaded)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let json = runtime.block_on(status::fetch(loaded.console.listen, &token))?;
    match format {
        StatusFormat::Json => say(&json),
        StatusFormat::Text => {
            let board = status::parse(&json).context("the service's answer is no board")?;
            say(status::print_board(&board, loaded.call.timezone).trim_end())
        }
    }
}

/// `koebashi secret EXTENSION`.
pub(super) fn secret(path: &Path, extension: &str) -> Result<()> {
    let loaded = config::load_or_demo(path).map_err(|all| refuse(&complaints(&all)))?;
    if extension.is_empty() || !extension.bytes().all(|b| b.is_ascii_digit()) {
        bail!("{extension:?} is no extension: digits only");
    }
    let domain = &loaded.sip.domain;
    let password = auth::new_password(&mut clock::chance()?);
    let of = |algorithm| auth::ha1(algorithm, extension, domain, &password);
    say(&format!("# For the phone: user {extension}, domain {domain}, password {password}"))?;
    say(&format!("# For the file, under [[counselor]] with extension = \"{extension}\":"))?;
    say(&format!("ha1 = \"{}\"", of(Algorithm::Md5)))?;
    say(&format!("ha1_sha256 = \"{}\"", of(Algorithm::Sha256)))
}
