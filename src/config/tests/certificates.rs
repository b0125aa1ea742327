//! Certificates and keys: judged with the file, and what can be read on the way is warned of.

use super::*;

/// Certificates for one test, in a folder of its own.
fn tls_folder(test: &str) -> PathBuf {
    let folder =
        std::env::temp_dir().join(format!("koebashi-config-{test}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let in_days = |days: u64| {
        let soon = Duration::from_secs(86_400 * days + 60);
        rcgen::date_time_ymd(1970, 1, 1) + since_1970 + soon
    };
    let ends = [
        ("good", in_days(15)),
        ("ending", in_days(3)),
        ("expired", rcgen::date_time_ymd(2021, 2, 3)),
    ];
    for (name, end) in ends {
        let mut params = rcgen::CertificateParams::new(vec!["sip.example".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = end;
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        std::fs::write(folder.join(format!("{name}.pem")), certificate).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
    folder
}

#[test]
fn certificates_are_judged_with_the_file() {
    let folder = tls_folder("judged");
    let told = |sip: &str, more: &str| {
        let text = format!("[sip]\n{sip}\n{GOOD}{more}");
        let told = match parse(&text, "k.toml", &folder) {
            Ok(loaded) => {
                let (has_tls, files) = (loaded.tls.is_some(), loaded.files.len());
                format!("{}tls {has_tls}, files {files}\n", shown(&loaded.warnings))
            }
            Err(complaints) => shown(&complaints),
        };
        told.replace(&folder.display().to_string(), "…")
    };
    let listen = "listen = [\"udp://127.0.0.1:5060\", \"tls://127.0.0.1:5061\"]\n";
    let pair = |certificate: &str, key: &str| {
        format!("{listen}[sip.tls]\ncertificate = \"{certificate}.pem\"\nkey = \"{key}.key\"")
    };
    let trunk = |uri: &str| {
        format!("[[trunk]]\nid = \"carrier\"\nregister = {{ uri = \"{uri}\", user = \"a\" }}\n")
    };
    let good = pair("good", "good");
    let all = [
        told(&good, ""),
        told(&pair("ending", "ending"), ""),
        told(&pair("expired", "expired"), ""),
        told(&pair("good", "ending"), ""),
        told(&pair("none", "good"), ""),
        told(listen, ""),
        told(&good.replace(listen, ""), ""),
        told(&format!("{listen}[sip.tls]\nkey = \"good.key\""), ""),
        told(&format!("{good}\nca = \"good.key\""), &trunk("sips:carrier.example")),
        told(&format!("{good}\nca = \"good.pem\""), &trunk("sip:carrier.example;transport=tls")),
        told("", &trunk("sip:carrier.example;transport=tls")),
        told("listen = [\"udp://127.0.0.1:5060\"]", &trunk("sip:carrier.example;transport=tcp")),
        told("", &trunk("sips:carrier.example;transport=udp")),
    ];
    std::fs::remove_dir_all(&folder).unwrap();
    insta::assert_snapshot!(all.join("\n"));
}

/// Whoever reads the signaling reads the keys: on the machine itself nobody does.
#[test]
fn keys_in_readable_signaling_are_warned_of() {
    let far = "[sip]\nlisten = [\"udp://192.0.2.9:5060\", \"udp://127.0.0.1:5060\"]\n";
    let with = |srtp: &str| GOOD.replace("peers = ", &format!("srtp = \"{srtp}\"\npeers = "));
    assert_eq!(said(&with("required")), "", "on loopback");
    assert_eq!(said(&(far.to_owned() + &with("off"))), "");
    for srtp in ["optional", "required"] {
        let told = said(&(far.to_owned() + &with(srtp)));
        let expected = "warning: trunk.navi.srtp: its keys can be read on the way: \
            no address of sip.listen is tls://";
        assert!(told.contains(expected) && told.lines().count() == 1, "{told}");
    }
    assert!(said(&with("always")).contains("trunk.navi.srtp"));
}

/// A way by TLS that is there helps nobody who is called by another.
#[test]
fn keys_are_judged_by_the_way_that_they_go() {
    let listen = "listen = [\"udp://192.0.2.9:5060\", \"tls://192.0.2.9:5061\"]";
    let folder = tls_folder("keys");
    let files = format!(
        "[sip.tls]\ncertificate = \"{0}/good.pem\"\nkey = \"{0}/good.key\"\n\
         ca = \"{0}/good.pem\"\n",
        folder.display()
    );
    let told = |trunk: &str, contact: &str| {
        let good = GOOD.replace("peers = ", &format!("srtp = \"required\"\n{trunk}peers = "));
        let fixed = "[[counselor]]\nextension = \"177\"\nname = \"F\"\nsrtp = \"optional\"\n";
        said(&format!("[sip]\n{listen}\n{files}{good}{fixed}contact = \"{contact}\"\n"))
    };
    let register = |uri: &str| format!("register = {{ uri = \"{uri}\", user = \"0480000000\" }}\n");
    assert_eq!(told("", "sip:177@192.0.2.7;transport=tls"), "");
    let tls = register("sip:carrier.example;transport=tls");
    assert_eq!(told(&tls, "sips:177@192.0.2.7"), "");
    let both = told(&register("sip:carrier.example"), "sip:177@192.0.2.7");
    for key in ["trunk.navi.srtp", "counselor.177.srtp"] {
        assert!(
            both.contains(&format!("warning: {key}: its keys can be read on the way")),
            "{both}"
        );
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
