//! TLS over loopback: certificates made on the spot, and rustls as the other end.

use std::fs;
use std::path::PathBuf;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, ServerConfig};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, server};

use super::*;
use crate::shell::sip_socket::tls::{self, Config, Roots, Tls, Version};
use crate::sip::{NameId, Names};

/// Somebody who signs certificates.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key, PEM.
#[derive(Clone)]
pub(super) struct Pair {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn pair(&self, name: &str) -> Pair {
        self.pair_until(name, 2999)
    }

    fn pair_until(&self, name: &str, year: i32) -> Pair {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Pair { certificate, key: key.serialize_pem() }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        roots
    }
}

impl Pair {
    fn der(&self) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let certificate = CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap();
        (certificate, PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap())
    }
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("koebashi-tls-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Our files: this pair; roots of those to whom we connect.
    fn config(&self, pair: &Pair, roots: &Authority) -> Config {
        Config {
            certificate: self.file("own.pem", &pair.certificate),
            key: self.file("own.key", &pair.key),
            client_ca: None,
            proven: vec![],
            roots: Roots::File(self.file("ca.pem", &roots.pem)),
            min_version: Version::Tls12,
        }
    }

    fn tls(&self, pair: &Pair, roots: &Authority) -> Option<Arc<Tls>> {
        Some(Arc::new(Tls::load(&self.config(pair, roots)).unwrap()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn open_tls(limits: &Limits, tls: Option<Arc<Tls>>) -> (Sockets, SocketAddr) {
    let any = "127.0.0.1:0".parse().unwrap();
    let (listen, here) = ([(Transport::Tls, any)], Handle::current());
    let sockets = Sockets::bind(&listen, None, limits, tls, &here, &KeptSockets::none()).unwrap();
    let local = sockets.listening()[0].1;
    (sockets, local)
}

/// What a phone believes, speaks and shows.
fn phone_config(
    authority: &Authority,
    versions: &[&'static rustls::SupportedProtocolVersion],
    shown: Option<&Pair>,
) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(authority.roots());
    Arc::new(match shown.map(Pair::der) {
        Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key).unwrap(),
        None => builder.with_no_client_auth(),
    })
}

async fn try_phone(
    config: Arc<ClientConfig>,
    name: &str,
    to: SocketAddr,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(to).await.unwrap();
    let name = name.to_owned().try_into().unwrap();
    timeout(SOON, TlsConnector::from(config).connect(name, stream)).await.unwrap()
}

async fn phone(authority: &Authority, name: &str, to: SocketAddr) -> TlsStream<TcpStream> {
    try_phone(phone_config(authority, &[&TLS13, &TLS12], None), name, to).await.unwrap()
}

/// What a phone is told, unless the stream ends.
async fn told<S: tokio::io::AsyncRead + Unpin>(stream: &mut S) -> Option<Vec<u8>> {
    let mut got = vec![0; OK.len()];
    let read = timeout(SOON, stream.read_exact(&mut got)).await.unwrap();
    read.ok().map(|_| got)
}

#[tokio::test]
async fn a_phone_is_heard_and_answered_over_both_versions() {
    let (folder, authority) = (Folder::new("versions"), Authority::new());
    let tls = folder.tls(&authority.pair("sip.example"), &authority);
    let (mut sockets, local) = open_tls(&Limits::default(), tls);
    for (version, spoken) in
        [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)]
    {
        let config = phone_config(&authority, &[version], None);
        let mut phone = try_phone(config, "sip.example", local).await.unwrap();
        assert_eq!(phone.get_ref().1.protocol_version(), Some(spoken));
        let remote = phone.get_ref().0.local_addr().unwrap();
        phone.write_all(b"\r\n\r\n").await.unwrap();
        let mut pong = [0; 2];
        timeout(SOON, phone.read_exact(&mut pong)).await.unwrap().unwrap();
        assert_eq!(&pong, b"\r\n");
        for piece in [OPTIONS, OPTIONS].concat().chunks(50) {
            phone.write_all(piece).await.unwrap();
        }
        let (flow, bytes) = arrival(&mut sockets).await;
        assert_eq!((flow.transport, flow.remote, flow.name), (Transport::Tls, remote, None));
        assert_eq!(bytes.unwrap(), OPTIONS);
        assert_eq!(arrival(&mut sockets).await.1.unwrap(), OPTIONS);
        assert_eq!(sockets.counts().secure, 1);
        sockets.send(transmit(flow, OK), None);
        assert_eq!(told(&mut phone).await.unwrap(), OK);
        drop(phone);
        assert_eq!(arrival(&mut sockets).await, (flow, None));
        assert_eq!(arrival(&mut sockets).await, (Flow { connection: None, ..flow }, None));
    }
    assert_eq!(sockets.counts().unproven, 0);
    let config = folder.config(&authority.pair("sip.example"), &authority);
    let from_13 = Tls::load(&Config { min_version: Version::Tls13, ..config }).unwrap();
    sockets.set_tls(Some(Arc::new(from_13)));
    let old = phone_config(&authority, &[&TLS12], None);
    try_phone(old, "sip.example", local).await.unwrap_err();
}

#[tokio::test]
async fn what_is_no_handshake_or_an_old_one_is_closed_and_told_nobody() {
    let (folder, authority) = (Folder::new("old"), Authority::new());
    let tls = folder.tls(&authority.pair("sip.example"), &authority);
    let (mut sockets, local) = open_tls(&Limits::default(), tls);
    // ClientHello of TLS 1.1 and 1.0: version, random, no session, two suites, no compression.
    let hello = |minor: u8| {
        let mut body = vec![3, minor];
        body.extend([7; 32]);
        body.extend([0, 0, 4, 0xc0, 0x13, 0x00, 0x2f, 1, 0]);
        let mut message = vec![22, 3, 1, 0, u8::try_from(body.len()).unwrap() + 4, 1, 0, 0];
        message.push(u8::try_from(body.len()).unwrap());
        message.extend(body);
        message
    };
    for bytes in [hello(2), hello(1), OPTIONS.to_vec()] {
        let mut old = TcpStream::connect(local).await.unwrap();
        old.write_all(&bytes).await.unwrap();
        let mut said = Vec::new();
        timeout(SOON, old.read_to_end(&mut said)).await.unwrap().ok();
        // An alert at most; no ServerHello.
        assert!(said.first().is_none_or(|kind| *kind == 21), "{said:?}");
    }
    until(&sockets, |c| c.unproven == 3 && c.connections == 0).await;
    assert_eq!(sockets.next(), None);
}

#[tokio::test]
async fn a_thousand_half_handshakes_keep_nobody_waiting_and_end() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let (folder, authority) = (Folder::new("half"), Authority::new());
    let limits = Limits { handshake_timeout: Duration::from_secs(2), ..Limits::default() };
    let tls = folder.tls(&authority.pair("sip.example"), &authority);
    let (mut sockets, local) = open_tls(&limits, tls);
    let mut half = Vec::new();
    for n in 0..1_000_u16 {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        let [a, b] = (n / 50 + 2).to_be_bytes();
        socket.bind(SocketAddr::from(([127, 0, a + 1, b], 0))).unwrap();
        let mut stream = socket.connect(local).await.unwrap();
        // A record that says that 200 bytes follow, and the first of them.
        stream.write_all(&[22, 3, 1, 0, 200, 1]).await.unwrap();
        half.push(stream);
    }
    until(&sockets, |c| c.connections == 1_000).await;
    let began = tokio::time::Instant::now();
    let mut good = phone(&authority, "sip.example", local).await;
    good.write_all(OPTIONS).await.unwrap();
    let (flow, _) = arrival(&mut sockets).await;
    sockets.send(transmit(flow, OK), None);
    assert_eq!(told(&mut good).await.unwrap(), OK);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    until(&sockets, |c| c.connections == 1 && c.unproven == 1_000).await;
    assert_eq!(sockets.next(), None);
}

#[tokio::test]
async fn another_certificate_is_for_new_handshakes_and_harms_no_stream() {
    let (folder, authority) = (Folder::new("reload"), Authority::new());
    let (one, two) = (authority.pair("sip.example"), authority.pair("sip.example"));
    let (mut sockets, local) = open_tls(&Limits::default(), folder.tls(&one, &authority));
    let shown =
        |phone: &TlsStream<TcpStream>| phone.get_ref().1.peer_certificates().unwrap()[0].clone();
    // One configuration for both: a session must not be resumed under the old certificate.
    let config = phone_config(&authority, &[&TLS13], None);
    let mut old = try_phone(Arc::clone(&config), "sip.example", local).await.unwrap();
    old.write_all(OPTIONS).await.unwrap();
    let (flow, _) = arrival(&mut sockets).await;
    sockets.set_tls(folder.tls(&two, &authority));
    let new = try_phone(config, "sip.example", local).await.unwrap();
    assert_eq!((shown(&old), shown(&new)), (one.der().0, two.der().0));
    sockets.send(transmit(flow, OK), None);
    assert_eq!(told(&mut old).await.unwrap(), OK);
}

#[tokio::test]
async fn whoever_has_to_show_a_certificate_gets_in_with_a_good_one_only() {
    let (folder, authority, other) = (Folder::new("mutual"), Authority::new(), Authority::new());
    let own = authority.pair("sip.example");
    let config = Config {
        client_ca: Some(folder.file("clients.pem", &authority.pem)),
        proven: vec!["127.0.0.0/31".parse().unwrap()],
        ..folder.config(&own, &authority)
    };
    let (mut sockets, local) =
        open_tls(&Limits::default(), Some(Arc::new(Tls::load(&config).unwrap())));
    let (good, bad) = (authority.pair("trunk.example"), other.pair("trunk.example"));
    for (shown, gets_in) in [(None, false), (Some(&bad), false), (Some(&good), true)] {
        // In 1.3 the refusal comes after the client's own handshake is done.
        let config = phone_config(&authority, &[&TLS13], shown);
        let mut trunk = try_phone(config, "sip.example", local).await.unwrap();
        trunk.write_all(OPTIONS).await.unwrap();
        if gets_in {
            assert_eq!(arrival(&mut sockets).await.1.unwrap(), OPTIONS);
        } else {
            assert_eq!(told(&mut trunk).await, None);
            assert_eq!(sockets.next(), None);
        }
    }
    // From elsewhere nobody has to.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.3:0".parse().unwrap()).unwrap();
    let stream = socket.connect(local).await.unwrap();
    let connector = TlsConnector::from(phone_config(&authority, &[&TLS13], None));
    let mut phone = connector.connect("sip.example".try_into().unwrap(), stream).await.unwrap();
    phone.write_all(OPTIONS).await.unwrap();
    let from = phone.get_ref().0.local_addr().unwrap();
    // The streams of the trunk end before it.
    let arrived = loop {
        if let (flow, Some(bytes)) = arrival(&mut sockets).await {
            break (flow.remote, bytes);
        }
    };
    assert_eq!(arrived, (from, OPTIONS.to_vec()));
}

/// A carrier that shows this pair to whoever comes, and lets everyone in.
struct Carrier {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    at: SocketAddr,
}

impl Carrier {
    async fn new(pair: &Pair, clients: Option<&Authority>) -> Self {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let clients = clients.map(|a| {
            let roots = Arc::new(a.roots());
            WebPkiClientVerifier::builder_with_provider(roots, provider).build().unwrap()
        });
        let builder = match clients {
            Some(clients) => builder.with_client_cert_verifier(clients),
            None => builder.with_no_client_auth(),
        };
        let (certificate, key) = pair.der();
        let config = builder.with_single_cert(vec![certificate], key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        Self { listener, acceptor: TlsAcceptor::from(Arc::new(config)), at }
    }

    async fn accept(&self) -> io::Result<server::TlsStream<TcpStream>> {
        let (stream, _) = timeout(SOON, self.listener.accept()).await.unwrap().unwrap();
        timeout(SOON, self.acceptor.accept(stream)).await.unwrap()
    }

    fn flow(&self, local: SocketAddr, name: Option<NameId>) -> Flow {
        Flow { name, ..Flow::new(Transport::Tls, local, self.at) }
    }
}

#[tokio::test]
async fn a_carrier_proves_its_name_and_only_flows_of_that_name_share_the_stream() {
    let (folder, authority) = (Folder::new("names"), Authority::new());
    let tls = folder.tls(&authority.pair("us.example"), &authority);
    let (mut sockets, local) = open_tls(&Limits::default(), tls);
    let mut params = CertificateParams::new(vec!["a.example".into(), "b.example".into()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &authority.issuer).unwrap().pem();
    let both = Pair { certificate, key: key.serialize_pem() };
    let carrier = Carrier::new(&both, Some(&authority)).await;
    let mut names = Names::default();
    let (a, b) = (names.enter("a.example"), names.enter("b.example"));
    for (name, text) in [(a, "a.example"), (b, "b.example")] {
        let flow = carrier.flow(local, name);
        sockets.send(transmit(flow, OPTIONS), Some(text));
        sockets.send(transmit(flow, OPTIONS), Some(text));
        let mut peer = carrier.accept().await.unwrap();
        assert_eq!(peer.get_ref().1.server_name(), Some(text), "SNI");
        assert!(peer.get_ref().1.peer_certificates().is_some(), "ours was asked for");
        let mut got = vec![0; OPTIONS.len() * 2];
        timeout(SOON, peer.read_exact(&mut got)).await.unwrap().unwrap();
        peer.write_all(OK).await.unwrap();
        peer.flush().await.unwrap();
        let (answered, bytes) = arrival(&mut sockets).await;
        assert_eq!((answered.name, bytes.unwrap()), (name, OK.to_vec()));
        std::mem::forget(peer);
    }
    assert_eq!(sockets.counts().secure, 2);
    // A name that nobody knows the text of is not the same as none.
    let flow = carrier.flow(local, a);
    sockets.send(transmit(flow, OPTIONS), None);
    assert_eq!(sockets.next(), Some(Arrived::Failed(flow)));
    // Nor is a stream to a name one to the address, which this certificate does not name.
    let flow = carrier.flow(local, None);
    sockets.send(transmit(flow, OPTIONS), None);
    carrier.accept().await.unwrap_err();
    assert_eq!(arrival(&mut sockets).await, (flow, None));
}

#[tokio::test]
async fn a_carrier_that_does_not_prove_its_name_gets_not_a_byte_of_sip() {
    let (folder, authority, other) = (Folder::new("proof"), Authority::new(), Authority::new());
    let tls = folder.tls(&authority.pair("us.example"), &authority);
    let (mut sockets, local) = open_tls(&Limits::default(), tls);
    let own_key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["carrier.example".into()]).unwrap();
    let own = own.self_signed(&own_key).unwrap().pem();
    let cases = [
        ("good", authority.pair("carrier.example"), true),
        ("another name", authority.pair("carrier.example.evil.example"), false),
        ("a name cut off", authority.pair("carrier.example\0.evil.example"), false),
        ("expired", authority.pair_until("carrier.example", 2021), false),
        ("self-signed", Pair { certificate: own, key: own_key.serialize_pem() }, false),
        ("another root", other.pair("carrier.example"), false),
    ];
    let name = Names::default().enter("carrier.example");
    for (n, (what, pair, is_good)) in (1..).zip(cases) {
        let carrier = Carrier::new(&pair, None).await;
        let flow = carrier.flow(local, name);
        sockets.send(transmit(flow, OPTIONS), Some("carrier.example"));
        let got = match carrier.accept().await {
            Ok(mut peer) => {
                let mut got = vec![0; OPTIONS.len()];
                let read = timeout(SOON, peer.read_exact(&mut got)).await.unwrap();
                read.is_ok()
            }
            Err(_) => false,
        };
        assert_eq!(got, is_good, "{what}");
        if is_good {
            assert!(arrival(&mut sockets).await.0.connection.is_some());
        }
        assert_eq!(arrival(&mut sockets).await, (flow, None), "{what}");
        assert_eq!(sockets.counts().unproven, n - 1, "{what}");
    }
}

#[tokio::test]
async fn an_address_can_be_what_a_certificate_names() {
    let (folder, authority) = (Folder::new("address"), Authority::new());
    let tls = folder.tls(&authority.pair("us.example"), &authority);
    let (mut sockets, local) = open_tls(&Limits::default(), tls);
    let carrier = Carrier::new(&authority.pair("127.0.0.1"), None).await;
    sockets.send(transmit(carrier.flow(local, None), OPTIONS), None);
    let mut peer = carrier.accept().await.unwrap();
    let mut got = vec![0; OPTIONS.len()];
    timeout(SOON, peer.read_exact(&mut got)).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_carrier_that_never_finishes_its_handshake_is_given_up() {
    let (folder, authority) = (Folder::new("mute"), Authority::new());
    let tls = folder.tls(&authority.pair("us.example"), &authority);
    let limits = Limits { handshake_timeout: Duration::from_millis(50), ..Limits::default() };
    let (mut sockets, local) = open_tls(&limits, tls);
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let name = Names::default().enter("carrier.example");
    let flow = Flow { name, ..Flow::new(Transport::Tls, local, mute.local_addr().unwrap()) };
    sockets.send(transmit(flow, OPTIONS), Some("carrier.example"));
    assert_eq!(arrival(&mut sockets).await, (flow, None));
    assert_eq!(sockets.counts().unproven, 1);
}

#[test]
fn files_that_are_no_good_are_named() {
    let (folder, authority) = (Folder::new("files"), Authority::new());
    let pair = authority.pair("sip.example");
    let config = folder.config(&pair, &authority);
    let said = |config: &Config| {
        let error = Tls::load(config).unwrap_err();
        format!("{}: {error}", error.key).replace(&folder.0.display().to_string(), "…")
    };
    let (key, no) = (folder.file("other.key", &authority.pair("x").key), folder.0.join("no.pem"));
    let empty = folder.file("empty.pem", "");
    let told = [
        said(&Config { key, ..config.clone() }),
        said(&Config { key: empty.clone(), ..config.clone() }),
        said(&Config { certificate: config.key.clone(), ..config.clone() }),
        said(&Config { certificate: no.clone(), ..config.clone() }),
        said(&Config { client_ca: Some(empty.clone()), ..config.clone() }),
        said(&Config { roots: Roots::File(folder.0.clone()), ..config.clone() }),
    ];
    insta::assert_snapshot!(told.join("\n"));
    assert_eq!(tls::server_name(Some("a b"), "127.0.0.1".parse().unwrap()), None);
}
