//! `[sip.tls]`: certificate and key of SIP over TLS, and whom we believe.
//!
//! Owns reading the keys and judging the files. What a handshake needs is made by the shell.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::sheet::Section;
use super::value;
use crate::call::config::Config as Call;
use crate::complaint::{File, Fit};
use crate::shell::clock;
use crate::shell::sip_socket::tls::{Config, Roots, Tls, Version};
use crate::sip::uri::Uri;
use crate::sip::{self, Transport};

/// Seconds of a day.
const DAY: u64 = 86_400;
/// How long before its end a certificate is complained about.
const SOON: Duration = Duration::from_secs(14 * DAY);
/// How long a handshake may be allowed to take.
const HANDSHAKE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(60);

/// What is written in `[sip.tls]`; files are as they are named there.
pub(super) struct Written {
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    client_ca: Option<PathBuf>,
    ca: Option<PathBuf>,
    min_version: Version,
    /// How long a handshake may take.
    pub(super) handshake_timeout: Duration,
}

/// What is made of it.
#[derive(Default)]
pub(super) struct Made {
    /// For handshakes; `None` without a certificate.
    pub(super) tls: Option<Arc<Tls>>,
    /// The files that it is made of.
    pub(super) files: Vec<PathBuf>,
}

/// Reads `[sip.tls]`.
pub(super) fn written(sip: &Section<'_>) -> Option<Written> {
    let section = sip.section("tls");
    let file = |key| {
        section.parsed(key, "", |text| Ok(Some(text).filter(|t| !t.is_empty()).map(PathBuf::from)))
    };
    let versions = [("1.2", Version::Tls12), ("1.3", Version::Tls13)];
    let written = Written {
        certificate: file("certificate")?,
        key: file("key")?,
        client_ca: file("client_ca")?,
        ca: file("ca")?,
        min_version: section.choice("min_version", "1.2", &versions)?,
        handshake_timeout: section.duration("handshake_timeout", "5s", HANDSHAKE)?,
    };
    section.done();
    Some(written)
}

/// Reads the files, and complains about what does not fit together. Files that are no good keep
/// nobody from calling by other ways: they are no error of the configuration.
pub(super) fn make(
    root: &Section<'_>,
    written: &Written,
    sip: &sip::Config,
    call: &Call,
    base_dir: &Path,
) -> Made {
    let is_served = |transport| sip.listen.iter().any(|(t, _)| *t == transport);
    let mut roots = Roots::Nobody;
    for (key, uri) in called(call) {
        let Ok(Uri::Sip(uri)) = Uri::parse(uri) else { continue };
        let Some(transport) = uri.transport().filter(|t| t.is_stream()) else { continue };
        if !is_served(transport) {
            root.error(&key, Fit::NoSocketFor(transport.name().to_owned()));
        }
        if transport == Transport::Tls {
            roots = match &written.ca {
                Some(file) => Roots::File(base_dir.join(file)),
                None => Roots::System,
            };
        }
    }
    let (certificate, key) = match (&written.certificate, &written.key) {
        (Some(certificate), Some(key)) => (base_dir.join(certificate), base_dir.join(key)),
        (Some(_), None) => {
            root.error("sip.tls.key", Fit::TlsKeyMissing);
            return Made::default();
        }
        (None, Some(_)) => {
            root.error("sip.tls.certificate", Fit::CertificateMissing);
            return Made::default();
        }
        (None, None) => {
            if is_served(Transport::Tls) {
                root.error("sip.listen", Fit::TlsWithoutFiles);
            }
            return Made::default();
        }
    };
    if !is_served(Transport::Tls) {
        root.warn("sip.tls", Fit::TlsUnused);
    }
    let config = Config {
        certificate,
        key,
        client_ca: written.client_ca.as_ref().map(|file| base_dir.join(file)),
        proven: call.trunks.values().flat_map(|trunk| &trunk.peers).copied().collect(),
        roots,
        min_version: written.min_version,
    };
    let files = config.files();
    match Tls::load(&config) {
        Ok(tls) => {
            judge(root, &config.certificate, &tls);
            Made { tls: Some(Arc::new(tls)), files }
        }
        Err(error) => {
            let what = Box::new(error.what.into());
            let what = File::Of(error.file.display().to_string(), what);
            root.outside(&format!("sip.tls.{}", error.key), what);
            Made { tls: None, files }
        }
    }
}

/// Complains about a certificate that is not good at this time, or not for long. It is shown all
/// the same: a phone that does not look at the date can still talk.
fn judge(root: &Section<'_>, file: &Path, tls: &Tls) {
    let (key, now) = ("sip.tls.certificate", clock::now().wall);
    let of = |what: File| File::Of(file.display().to_string(), Box::new(what.into()));
    match tls.validity.judge(now) {
        Err(what) => root.outside(key, of(what)),
        Ok(()) => {
            let left = (tls.validity.until - now).to_std().unwrap_or_default();
            if left < SOON {
                let days = value::show(Duration::from_secs(left.as_secs() / DAY * DAY));
                root.warn(key, of(File::ExpiresIn(days)));
            }
        }
    }
}

/// Every URI that we open connections to, and its key.
fn called(call: &Call) -> impl Iterator<Item = (String, &str)> {
    let registrars = call.trunks.iter().flat_map(|(id, trunk)| {
        trunk.register.iter().map(move |r| (format!("trunk.{id}.register"), &*r.uri))
    });
    let contacts = call.counselors.iter().filter_map(|(extension, counselor)| {
        let contact = counselor.contact.as_deref()?;
        Some((format!("counselor.{extension}.contact"), contact))
    });
    registrars.chain(contacts)
}
