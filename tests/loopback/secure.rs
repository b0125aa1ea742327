//! SRTP with phones of other makes: baresip brings libre's, linphone libsrtp. Each refuses plain
//! voice or is refused, so that what is heard was encrypted and read.

use std::time::Duration;

use super::baresip::Baresip;
use super::calls::{caller, phone_of};
use super::linphone::Linphone;
use super::place::Place;
use super::rtp_peer::Packet;
use super::service::{CALLER, COUNSELOR, PAUSED, Service, Setup, counselor};
use super::tls::Authority;
use super::tone;

const SOON: Duration = Duration::from_secs(12);
const SOUND: Duration = Duration::from_millis(1_500);
/// What a colleague says.
const SECOND: u32 = 800;

fn with(srtp: &str) -> Setup {
    let counselors = counselor("101") + &format!("srtp = \"{srtp}\"\n");
    Setup { counselors, ..Setup::default() }
}

/// The suite that baresip says it uses.
fn suite(phone: &Baresip) -> String {
    let log = phone.log();
    let rest = log.split("SRTP is Enabled (cryptosuite=").nth(1).expect("baresip encrypts");
    rest.split(')').next().unwrap_or_default().to_owned()
}

/// What comes from a secure leg is one stream to a plain one. How evenly it comes is asserted
/// where nothing else is.
fn assert_one_source(packets: &[Packet]) {
    assert!(packets.len() > 50, "only {} packets came", packets.len());
    assert!(packets.iter().all(|packet| packet.ssrc == packets[0].ssrc));
}

/// Ours offers: the phone takes the first of our suites.
#[test]
fn baresip_and_the_caller_hear_each_other_encrypted() {
    let cases = [("required", "srtp-mand"), ("optional", "srtp")];
    for (ours, theirs) in cases {
        let place = Place::new(&format!("secure-{theirs}"));
        let service = Service::start(&place, &with(ours));
        let parameters = format!("mediaenc={theirs}");
        let phone = Baresip::start_as(&place, &service, "101", COUNSELOR, ("udp", &parameters, ""));
        let (mut caller, voice) = caller(&place, &service, |run| run.talk(Duration::from_secs(5)));
        voice.wait_heard(0, COUNSELOR, SOUND, SOON);
        caller.succeed();
        assert_one_source(&voice.packets());
        service.wait_counselor("101", "ready");
        tone::assert_heard("baresip", &phone.heard(), CALLER, SOUND);
        assert_eq!(suite(&phone), "AEAD_AES_128_GCM", "{theirs}");
        assert!(!phone.log().contains("failed to decrypt"), "{}", phone.log());
        // Keys are nobody's to read but the peers'.
        assert!(!service.log().contains("inline:"), "the log has keys");
    }
}

/// As it is meant: keys that nobody reads on the way, and voice that nobody hears.
#[test]
fn baresip_takes_an_encrypted_call_by_tls() {
    let place = Place::new("secure-tls");
    Authority::new(&place).renew(&place);
    let service = Service::start(&place, &Setup { has_tls: true, ..with("required") });
    let roots = format!("sip_cafile {}", place.dir.join("ca.pem").display());
    let how = ("tls", "mediaenc=srtp-mand", &*roots);
    let phone = Baresip::start_as(&place, &service, "101", COUNSELOR, how);
    let (mut caller, voice) = caller(&place, &service, |run| run.talk(Duration::from_secs(6)));
    voice.wait_heard(0, COUNSELOR, SOUND, SOON);
    caller.succeed();
    service.wait_counselor("101", "ready");
    tone::assert_heard("baresip", &phone.heard(), CALLER, SOUND);
    assert_eq!(suite(&phone), "AEAD_AES_128_GCM");
}

/// The phone offers: AES-CM with HMAC-SHA1, in the profile with feedback, as baresip does.
#[test]
fn baresip_calls_a_code_and_a_colleague_encrypted() {
    let place = Place::new("secure-calls");
    let counselors = counselor("101") + "srtp = \"required\"\n" + &counselor("102");
    let service = Service::start(&place, &Setup { counselors, ..Setup::default() });
    let parameters = "mediaenc=srtp-mandf";
    let mut phone = Baresip::start_as(&place, &service, "101", COUNSELOR, ("udp", parameters, ""));
    phone.command("dial *22");
    service.wait_counselor("101", "paused");
    phone.wait_calls_ended(1);
    assert!(suite(&phone).starts_with("AES_CM_128_HMAC_SHA1_"), "{}", suite(&phone));
    tone::assert_heard("baresip", &phone.heard(), PAUSED.1, Duration::from_millis(700));
    let talk = Duration::from_secs(4);
    let (mut colleague, ear) =
        phone_of(&place, &service, "102", SECOND, "phone", |run| run.talk(talk));
    phone.command("dial 102");
    ear.wait_heard(0, COUNSELOR, SOUND, SOON);
    colleague.succeed();
    service.wait_counselor("101", "paused");
    tone::assert_heard("baresip", &phone.heard(), SECOND, SOUND);
}

#[test]
fn linphone_and_the_caller_hear_each_other_encrypted() {
    for (name, suite) in [
        ("default", None),
        ("80", Some("AES_CM_128_HMAC_SHA1_80")),
        ("32", Some("AES_CM_128_HMAC_SHA1_32")),
    ] {
        let place = Place::new(&format!("secure-linphone-{name}"));
        let service = Service::start(&place, &with("required"));
        let suites = suite.map_or(String::new(), |suite| format!("\nsrtp_crypto_suites={suite}"));
        let keys = format!("media_encryption=srtp\nmedia_encryption_mandatory=1{suites}");
        let phone = Linphone::start_as(&place, &service, "101", COUNSELOR, ("udp", &keys));
        let (mut caller, voice) = caller(&place, &service, |run| run.talk(Duration::from_secs(6)));
        voice.wait_heard(0, COUNSELOR, SOUND, SOON);
        caller.succeed();
        assert_one_source(&voice.packets());
        service.wait_counselor("101", "ready");
        tone::assert_heard("linphone", &phone.heard(), CALLER, SOUND);
        let trace = phone.trace();
        let answer = trace.rsplit("a=crypto:").find(|part| part.contains(" inline:"));
        let answered = answer.unwrap_or_else(|| panic!("linphone's trace has no keys"));
        if let Some(suite) = suite {
            assert!(answered.contains(suite), "{answered}");
        }
    }
}

/// A phone that can't encrypt is not joined where it must: the caller waits on.
#[test]
fn a_plain_phone_is_never_joined_where_keys_are_required() {
    let place = Place::new("secure-plain-phone");
    let service = Service::start(&place, &with("required"));
    let phone = Baresip::start(&place, &service, "101", COUNSELOR);
    let (mut caller, voice) = caller(&place, &service, |run| run.talk(Duration::from_secs(5)));
    caller.succeed();
    tone::assert_not_heard("the caller", &voice.pcm(), COUNSELOR);
    assert!(phone.heard().is_empty(), "the phone has heard something");
    assert_ne!(service.record().outcome, "answered");
}
