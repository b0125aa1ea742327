//! `[[counselor]]`: who answers, and how their phones prove themselves.

use std::collections::BTreeMap;

use super::Context;
use super::secrets::{Chosen, password};
use super::service::label;
use super::sheet::Section;
use super::value;
use crate::call::config::{Counselor, Extension, LineId, Role, Secret, SignIn};
use crate::complaint::{Fit, Value};
use crate::pii::Pii;
use crate::sip::auth::{Algorithm, ha1};

/// Every counselor. That their lines exist is checked with the whole.
pub(super) fn counselors(
    root: &Section<'_>,
    context: &Context<'_>,
) -> BTreeMap<Extension, Counselor> {
    let mut counselors = BTreeMap::new();
    let sections = root.sections("counselor", Some("extension"));
    for (order, section) in sections.iter().enumerate() {
        let extension = section.required("extension", value::extension);
        let counselor = counselor(section, context, extension.as_deref(), order);
        section.done();
        if let (Some(extension), Some(counselor)) = (extension, counselor) {
            counselors.insert(Extension::from(extension.as_str()), counselor);
        }
    }
    counselors
}

fn counselor(
    section: &Section<'_>,
    context: &Context<'_>,
    extension: Option<&str>,
    order: usize,
) -> Option<Counselor> {
    let roles = [("counselor", Role::Counselor), ("supervisor", Role::Supervisor)];
    let sign_in = [("auto", SignIn::Auto), ("manual", SignIn::Manual)];
    let name = section.parsed("name", extension.unwrap_or("…"), label);
    let role = section.choice("role", "counselor", &roles);
    let lines =
        section.list("lines", &[], |text| value::id(text).map(|id| LineId::from(id.as_str())));
    let contact = section.parsed("contact", "", |text| match text {
        "" => Ok(None),
        text => value::fixed_contact(text).map(Some),
    });
    let codecs = section.list("codecs", &["PCMU", "PCMA"], value::codec);
    if codecs.as_ref().is_some_and(Vec::is_empty) && !section.is_refused("codecs") {
        section.error("codecs", Fit::NoCodecs);
    }
    let srtp = section.choice("srtp", "off", value::SRTP);
    let sign_in = section.choice("sign_in", "auto", &sign_in);
    let secret = secret(section, context, extension);
    Some(Counselor {
        name: name?,
        role: role?,
        secret,
        lines: lines?,
        contact: contact?,
        codecs: codecs?,
        srtp: srtp?,
        sign_in: sign_in?,
        order,
    })
}

/// The stored proof, out of a password or as `koebashi secret` printed it.
fn secret(section: &Section<'_>, context: &Context<'_>, extension: Option<&str>) -> Option<Secret> {
    let has_password = section.has("password") || section.has("password_file");
    let password = password(section, context, Chosen::Here);
    let md5 = hash(section, "ha1", 32);
    let sha256 = hash(section, "ha1_sha256", 64);
    let with_sha256 = section.choice("digest", "md5", &[("md5", false), ("sha256", true)])?;
    match (has_password, section.has("ha1")) {
        (true, true) => {
            section.error("ha1", Fit::TwoPasswords);
            None
        }
        (false, false) if section.has("ha1_sha256") => {
            section.error("ha1_sha256", Fit::Md5Needed);
            None
        }
        (false, false) if section.has("contact") => None,
        (false, false) => {
            section.error("", Fit::NoProof);
            None
        }
        (false, true) => Some(Secret { md5: md5?, sha256 }),
        (true, false) => {
            let (password, extension) = (password?, extension?);
            let of =
                |algorithm| Pii::new(ha1(algorithm, extension, context.domain, password.expose()));
            let sha256 = with_sha256.then(|| of(Algorithm::Sha256));
            Some(Secret { md5: of(Algorithm::Md5), sha256 })
        }
    }
}

/// A hash in hex, in small letters from here on.
fn hash(section: &Section<'_>, key: &str, digits: usize) -> Option<Pii> {
    let hash = section.secret(key)?;
    let text = hash.expose();
    if text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Some(Pii::new(text.to_ascii_lowercase()));
    }
    section.error(key, Value::NoHash(digits));
    None
}
