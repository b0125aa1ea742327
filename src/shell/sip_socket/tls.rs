//! TLS under SIP (RFC 3261 §26.3.1, RFC 5630): our certificate and key, whom we believe, and how
//! long the certificate lasts.
//!
//! Owns reading the files and making of them what handshakes need. Handshakes themselves are
//! `stream`'s. Versions below 1.2 and everything that is broken are not built in. The provider is
//! ring, given to each configuration by name, so that no other part of the process chooses it.

mod validity;

use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, InconsistentKeys, RootCertStore, ServerConfig, SupportedProtocolVersion,
};
use zeroize::Zeroizing;

use crate::complaint::{Cause, File, Say as _};
use crate::lang::Lang;
use crate::time::Timestamp;

pub use validity::Validity;

/// The longest file that is read, in bytes: all roots of a system take a fifth of it.
const FILE_MAX: u64 = 1 << 20;

/// The oldest version that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 1.2 (RFC 5246).
    Tls12,
    /// 1.3 (RFC 8446).
    Tls13,
}

/// Whose signature on the certificates of others is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// Nobody's: we open no connections.
    Nobody,
    /// Those that the operating system believes.
    System,
    /// Those in a file.
    File(PathBuf),
}

/// What the operator says of TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Our certificate and what leads from it to a root, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// Roots of those who have to show a certificate; `None`: nobody has to.
    pub client_ca: Option<PathBuf>,
    /// Who has to, once there is a `client_ca`: whoever connects from these networks.
    pub proven: Vec<IpNet>,
    /// Roots of those to whom we connect.
    pub roots: Roots,
    /// The oldest version that is spoken.
    pub min_version: Version,
}

/// A file that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", file.display(), what.say(Lang::En))]
pub struct Error {
    /// The key that names it: `certificate`, `key`, `client_ca` or `ca`.
    pub key: &'static str,
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub what: File,
}

/// Everything that handshakes need, made of files that fit together. It never changes: other files
/// make another one.
#[derive(Clone)]
pub struct Tls {
    /// For whoever connects to us.
    anyone: Arc<ServerConfig>,
    /// For whoever connects from these networks, and has to show a certificate.
    proven: Option<(Vec<IpNet>, Arc<ServerConfig>)>,
    /// For connections that we open.
    pub(super) client: Arc<ClientConfig>,
    /// From when until when our certificate is good.
    pub validity: Validity,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tls({:?})", self.validity)
    }
}

impl Config {
    /// The files that it is made of.
    pub fn files(&self) -> Vec<PathBuf> {
        let roots = match &self.roots {
            Roots::File(file) => Some(file),
            Roots::Nobody | Roots::System => None,
        };
        let needed = [&self.certificate, &self.key].into_iter();
        needed.chain(&self.client_ca).chain(roots).cloned().collect()
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// The first file that can't be read, holds nothing of its kind or does not fit another.
    /// Whether the certificate is good at this time is the caller's to judge, by its validity.
    pub fn load(config: &Config) -> Result<Self, Error> {
        let provider = Arc::new(ring::default_provider());
        let chain = certificates("certificate", &config.certificate)?;
        let key = key(&config.key)?;
        let validity = chain.first().and_then(|own| Validity::read(own));
        let validity = validity
            .ok_or_else(|| error("certificate", &config.certificate, File::OddCertificate))?;
        let server = |clients| server(config, &provider, clients, &chain, &key);
        let proven = match &config.client_ca {
            None => None,
            Some(file) => {
                let roots = roots("client_ca", file)?;
                let clients = WebPkiClientVerifier::builder_with_provider(
                    Arc::new(roots),
                    Arc::clone(&provider),
                );
                let clients = clients.build();
                let clients =
                    clients.map_err(|e| error("client_ca", file, File::Tls(Cause::new(e))))?;
                Some((config.proven.clone(), Arc::new(server(clients)?)))
            }
        };
        Ok(Self {
            anyone: Arc::new(server(WebPkiClientVerifier::no_client_auth())?),
            proven,
            client: Arc::new(client(config, &provider, chain.clone(), key.clone_key())?),
            validity,
        })
    }

    /// How we answer a handshake from this address.
    pub(super) fn server(&self, from: IpAddr) -> Arc<ServerConfig> {
        let from = from.to_canonical();
        match &self.proven {
            Some((networks, proven)) if networks.iter().any(|net| net.contains(&from)) => {
                Arc::clone(proven)
            }
            Some(_) | None => Arc::clone(&self.anyone),
        }
    }
}

/// What a certificate has to say of the far end: this name, or the address itself. `None`: the name
/// can't be one.
pub(super) fn server_name(name: Option<&str>, address: IpAddr) -> Option<ServerName<'static>> {
    match name {
        None => Some(ServerName::IpAddress(address.to_canonical().into())),
        Some(name) => ServerName::try_from(name.trim_end_matches('.').to_owned()).ok(),
    }
}

impl Validity {
    /// Whether it is good at that time.
    ///
    /// # Errors
    /// Why it is not.
    pub fn judge(&self, now: Timestamp) -> Result<(), File> {
        if now < self.from {
            return Err(File::NotYetValid(self.from.to_string()));
        }
        if now > self.until {
            return Err(File::Expired(self.until.to_string()));
        }
        Ok(())
    }
}

fn versions(config: &Config) -> &'static [&'static SupportedProtocolVersion] {
    static FROM_12: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
    match config.min_version {
        Version::Tls12 => &FROM_12,
        Version::Tls13 => &FROM_12[..1],
    }
}

fn server(
    config: &Config,
    provider: &Arc<CryptoProvider>,
    clients: Arc<dyn ClientCertVerifier>,
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
) -> Result<ServerConfig, Error> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(versions(config))
        .map_err(|e| error("certificate", &config.certificate, File::Tls(Cause::new(e))))?;
    builder
        .with_client_cert_verifier(clients)
        .with_single_cert(chain.to_vec(), key.clone_key())
        .map_err(|e| unfit(config, &e))
}

/// Why a pair is no pair.
fn unfit(config: &Config, why: &rustls::Error) -> Error {
    let what = if *why == rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) {
        File::OtherKey(config.certificate.display().to_string())
    } else {
        File::Tls(Cause::new(why))
    };
    error("key", &config.key, what)
}

fn client(
    config: &Config,
    provider: &Arc<CryptoProvider>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, Error> {
    let roots = match &config.roots {
        Roots::Nobody => RootCertStore::empty(),
        Roots::File(file) => roots("ca", file)?,
        Roots::System => system_roots()?,
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(versions(config))
        .map_err(|e| error("certificate", &config.certificate, File::Tls(Cause::new(e))))?;
    let builder = if roots.is_empty() {
        builder.with_root_certificates(roots)
    } else {
        let servers =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        let servers = servers.build();
        let file = match &config.roots {
            Roots::File(file) => file,
            Roots::Nobody | Roots::System => Path::new("the system's roots"),
        };
        builder
            .with_webpki_verifier(servers.map_err(|e| error("ca", file, File::Tls(Cause::new(e))))?)
    };
    // Shown to those who ask for it: trunks that want both ends proven.
    builder.with_client_auth_cert(chain, key).map_err(|e| unfit(config, &e))
}

/// What the operating system believes: kept up to date by it and not by our releases, and where a
/// carrier's or an office's own root is added once for every program.
fn system_roots() -> Result<RootCertStore, Error> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (good, _) = roots.add_parsable_certificates(found.certs);
    if good == 0 {
        let why = found.errors.first().map(|e| format!(" ({e})")).unwrap_or_default();
        let what = File::NoSystemRoots(Cause::new(why));
        return Err(error("ca", Path::new("the system's roots"), what));
    }
    Ok(roots)
}

fn roots(name: &'static str, file: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for root in certificates(name, file)? {
        roots.add(root).map_err(|e| error(name, file, File::NoRoot(Cause::new(e))))?;
    }
    Ok(roots)
}

/// Every certificate in a file; at least one.
fn certificates(name: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = read(name, file)?;
    let found: Result<Vec<_>, PemError> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(error(name, file, File::NoCertificate)),
        Err(e) => Err(error(name, file, File::NoPem(Cause::new(e)))),
    }
}

fn key(file: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    let text = read("key", file)?;
    let found = PrivateKeyDer::pem_slice_iter(&text).next();
    let found = found.ok_or_else(|| error("key", file, File::NoKey))?;
    found.map_err(|e| error("key", file, File::NoPem(Cause::new(e))))
}

fn read(name: &'static str, file: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let unreadable = |e: std::io::Error| error(name, file, File::Unreadable(Cause::from(&e)));
    let about = fs::metadata(file).map_err(unreadable)?;
    if !about.is_file() || about.len() > FILE_MAX {
        return Err(error(name, file, File::NoPlainFile(FILE_MAX)));
    }
    fs::read(file).map(Zeroizing::new).map_err(unreadable)
}

fn error(key: &'static str, file: &Path, what: File) -> Error {
    Error { key, file: file.to_owned(), what }
}
