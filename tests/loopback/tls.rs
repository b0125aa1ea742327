//! SIP over TLS: baresip and linphone that check our certificate, a certificate that is exchanged
//! while a call is up, and a carrier to whom we connect and who has to prove its name.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};

use super::baresip::Baresip;
use super::calls::{assert_continuous, caller, sipp_phone};
use super::linphone::Linphone;
use super::place::{Place, wait_for};
use super::service::{CALLER, COUNSELOR, DOMAIN, Service, Setup};
use super::sipp::header;
use super::tone;

const SOON: Duration = Duration::from_secs(12);
const SOUND: Duration = Duration::from_millis(700);

/// Who signs the certificates of a test; `ca.pem` in its folder.
pub(super) struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new(place: &Place) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(2020, 1, 1);
        let key = KeyPair::generate().unwrap();
        place.file("ca.pem", &params.self_signed(&key).unwrap().pem());
        Self(Issuer::new(params, key))
    }

    /// A certificate and its key, PEM.
    fn pair(&self, names: &[&str]) -> (String, String) {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    /// Gives the service a new one; returns it.
    pub(super) fn renew(&self, place: &Place) -> CertificateDer<'static> {
        let (certificate, key) = self.pair(&["127.0.0.1", "localhost", DOMAIN]);
        // Key first: for a moment the files do not fit, as with any tool that renews them.
        place.file("sip.key", &key);
        place.file("sip.pem", &certificate);
        CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()
    }
}

/// What the service shows to whoever connects now.
fn shown(place: &Place, service: &Service) -> Option<CertificateDer<'static>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(place.dir.join("ca.pem")).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = DOMAIN.try_into().unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = TcpStream::connect(service.tls).ok()?;
    stream.set_read_timeout(Some(SOON)).unwrap();
    connection.complete_io(&mut stream).ok()?;
    Some(connection.peer_certificates()?[0].clone())
}

#[test]
fn baresip_takes_a_call_by_tls_and_keeps_it_while_the_certificate_is_exchanged() {
    let place = Place::new("tls-baresip");
    let authority = Authority::new(&place);
    let first = authority.renew(&place);
    let service = Service::start(&place, &Setup { has_tls: true, ..Setup::default() });
    assert_eq!(shown(&place, &service), Some(first));
    let phone = Baresip::start_tls(&place, &service, "101", COUNSELOR);
    let (mut caller, voice) = caller(&place, &service, |run| run.talk(Duration::from_secs(12)));
    voice.wait_heard(0, COUNSELOR, SOUND, SOON);
    assert!(service.metric("koebashi_sip_connections{transport=\"tls\"}") >= 1.0);
    assert!(service.metric("koebashi_certificate_expires_seconds") > 86_400.0);

    let second = authority.renew(&place);
    wait_for("the new certificate", SOON, || {
        (shown(&place, &service).as_ref() == Some(&second)).then_some(())
    });
    let mark = voice.mark();
    voice.wait_heard(mark, COUNSELOR, SOUND, SOON);

    // A key of another certificate changes nothing, and is named.
    place.file("sip.key", &authority.pair(&["127.0.0.1"]).1);
    wait_for("the complaint", SOON, || service.log().contains("is not the key of").then_some(()));
    assert!(service.log().contains("sip.key"), "the file is named");
    assert_eq!(shown(&place, &service), Some(second));

    // The BYE goes by the connection that was made with the first.
    caller.succeed();
    phone.wait_calls_ended(1);
    tone::assert_heard("the counselor", &phone.heard(), CALLER, SOUND);
    assert_continuous(&voice.packets());
    assert_eq!(service.record().outcome, "answered");
}

#[test]
fn linphone_takes_a_call_by_tls() {
    let place = Place::new("tls-linphone");
    Authority::new(&place).renew(&place);
    let service = Service::start(&place, &Setup { has_tls: true, ..Setup::default() });
    let phone = Linphone::start_tls(&place, &service, "101", COUNSELOR);
    let (mut caller, voice) = caller(&place, &service, |run| run.talk(Duration::from_secs(6)));
    voice.wait_heard(0, COUNSELOR, SOUND, SOON);
    caller.succeed();
    phone.wait_calls_ended(1);
    assert_eq!(service.record().outcome, "answered");
    assert!(phone.trace().contains("SIP/2.0/TLS"), "it has used another transport");
}

/// One connection to a carrier that shows this pair: the name that was asked for, and the first
/// request; `None`: the handshake failed.
fn served(
    listener: &TcpListener,
    (certificate, key): &(String, String),
) -> Option<(String, String, StreamOwned<ServerConnection, TcpStream>)> {
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let stream = wait_for("a connection to the carrier", Duration::from_secs(60), || {
        listener.accept().ok().map(|(stream, _)| stream)
    });
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut tls = StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), stream);
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut piece = [0; 1];
        if tls.read(&mut piece).ok()? == 0 {
            return None;
        }
        request.push(piece[0]);
    }
    let name = tls.conn.server_name().unwrap_or_default().to_owned();
    Some((name, String::from_utf8(request).unwrap(), tls))
}

fn carrier(place: &Place) -> (TcpListener, String) {
    let at = SocketAddr::from(([127, 0, 0, 1], place.port()));
    let listener = TcpListener::bind(at).unwrap();
    listener.set_nonblocking(true).unwrap();
    let uri = format!("sip:localhost:{};transport=tls", at.port());
    (listener, format!("register = {{ uri = \"{uri}\", user = \"0480000000\" }}"))
}

#[test]
fn the_service_registers_by_tls_at_a_carrier_that_proves_its_name() {
    let place = Place::new("tls-trunk");
    let authority = Authority::new(&place);
    authority.renew(&place);
    let (listener, trunk) = carrier(&place);
    let setup = Setup { has_tls: true, trunk, counselors: String::new(), ..Setup::default() };
    let service = Service::start(&place, &setup);
    let good = authority.pair(&["localhost"]);
    let (name, register, mut stream) = served(&listener, &good).expect("it registers");
    assert_eq!(name, "localhost");
    assert!(header(&register, "Via").unwrap().starts_with("SIP/2.0/TLS 127.0.0.1"), "{register}");
    let contact = header(&register, "Contact").unwrap();
    assert!(contact.ends_with(&format!("@{};transport=tls>", service.tls)), "{contact}");
    let kept = ["Via", "From", "To", "Call-ID", "CSeq", "Contact"];
    let kept = kept.map(|name| format!("{name}: {}\r\n", header(&register, name).unwrap()));
    let ok =
        format!("SIP/2.0 200 OK\r\n{}Expires: 600\r\nContent-Length: 0\r\n\r\n", kept.concat());
    stream.write_all(ok.as_bytes()).unwrap();
    wait_for("the trunk to be up", SOON, || {
        (service.board()["trunks"][0]["state"] == "up").then_some(())
    });

    // The stream by which it would call us is lost: another one is made within seconds.
    drop(stream);
    let (name, register, _) = served(&listener, &good).expect("it registers again");
    assert_eq!((&*name, &register[..8]), ("localhost", "REGISTER"));
}

#[test]
fn a_carrier_under_another_name_gets_no_register() {
    let place = Place::new("tls-impostor");
    let authority = Authority::new(&place);
    authority.renew(&place);
    let (listener, trunk) = carrier(&place);
    let setup = Setup { has_tls: true, trunk, counselors: String::new(), ..Setup::default() };
    let service = Service::start(&place, &setup);
    assert!(served(&listener, &authority.pair(&["carrier.example"])).is_none());
    wait_for("the reason in the log", SOON, || {
        service.log().contains("no TLS: localhost: ").then_some(())
    });
    assert_eq!(service.board()["trunks"][0]["state"], "down");
    assert!(fs::read_to_string(place.dir.join("sip.key")).unwrap().contains("PRIVATE"));
    assert!(!service.log().contains("PRIVATE"), "keys are not for logs");
}

#[test]
fn a_certificate_that_is_no_good_stops_nothing_but_tls() {
    let place = Place::new("tls-broken");
    let authority = Authority::new(&place);
    authority.renew(&place);
    place.file("sip.key", "no key at all");
    let service = Service::start(&place, &Setup { has_tls: true, ..Setup::default() });
    assert!(service.metric("koebashi_configuration_faults") >= 1.0);
    assert!(service.log().contains("sip.key"), "the file is named");
    assert_eq!(shown(&place, &service), None);
    let (_phone, _ear) = sipp_phone(&place, &service, "phone", |run| run);
    let (mut caller, voice) = caller(&place, &service, |run| run.talk(Duration::from_secs(4)));
    voice.wait_heard(0, COUNSELOR, SOUND, SOON);
    caller.succeed();

    // Operators can still close the line.
    let good = fs::read_to_string(&service.config).unwrap();
    let closed = good.replace("[line.guidance]", "override = \"closed\"\n[line.guidance]");
    fs::write(&service.config, closed).unwrap();
    wait_for("the line to close", SOON, || {
        (service.board()["lines"][0]["open"] == false).then_some(())
    });

    let mended = authority.renew(&place);
    wait_for("the new certificate", SOON, || {
        (shown(&place, &service).as_ref() == Some(&mended)).then_some(())
    });
    let gone = || (service.metric("koebashi_configuration_faults") == 0.0).then_some(());
    wait_for("the fault to go", SOON, gone);
}
