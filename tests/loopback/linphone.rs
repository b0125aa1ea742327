//! A headless linphonec 5.1 (Debian's `linphone-cli`): a WAV file as its microphone, a WAV file of
//! what it hears, commands typed on its standard input.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::place::{Place, Process, wait_for};
use super::service::{DOMAIN, PASSWORD, Service};
use super::tone;

/// How it is made. It does not watch the network: with loopback only, it thinks that there is none.
const CONFIG: &str = "\
[sip]
auto_net_state_mon=0
sip_port={SIP}
sip_tcp_port=0
sip_tls_port={TLS_PORT}
bind_address=127.0.0.1
guess_hostname=0
use_ipv6=0
default_proxy=0
{MORE}
register_only_when_network_is_up=0
contact=\"{EXTENSION}\" <sip:{EXTENSION}@127.0.0.1>
[rtp]
audio_rtp_port={RTP}
[proxy_0]
reg_proxy=<sip:{SERVICE};transport={TRANSPORT}>
reg_route=<sip:{SERVICE};transport={TRANSPORT};lr>
reg_identity=<sip:{EXTENSION}@{DOMAIN}>
reg_expires=60
reg_sendregister=1
publish=0
[auth_info_0]
username={EXTENSION}
userid={EXTENSION}
passwd={PASSWORD}
realm={DOMAIN}
[sound]
echocancellation=0
[audio_codec_0]
mime=PCMU
rate=8000
channels=1
enabled=1
[audio_codec_1]
mime=PCMA
rate=8000
channels=1
enabled=1
";

/// A running one. It ends with the test.
pub(crate) struct Linphone {
    process: Process,
    recording: PathBuf,
    trace: PathBuf,
}

impl Linphone {
    /// Starts it and waits until the service knows it. It answers by itself and says `tone`.
    pub(crate) fn start(place: &Place, service: &Service, extension: &str, tone: u32) -> Self {
        Self::start_as(place, service, extension, tone, ("udp", ""))
    }

    /// The same by TLS; it believes `ca.pem` of the test's folder and nobody else.
    pub(crate) fn start_tls(place: &Place, service: &Service, extension: &str, tone: u32) -> Self {
        let roots = format!("root_ca={}", place.dir.join("ca.pem").display());
        Self::start_as(place, service, extension, tone, ("tls", &roots))
    }

    /// By which transport, with what for `[sip]`.
    pub(crate) fn start_as(
        place: &Place,
        service: &Service,
        extension: &str,
        tone: u32,
        (transport, more): (&str, &str),
    ) -> Self {
        // It knows no addresses in certificates, only names.
        let at = match transport {
            "tls" => format!("localhost:{}", service.tls.port()),
            _ => service.sip.to_string(),
        };
        let name = format!("linphone-{extension}");
        let dir = place.dir.join(&name);
        fs::create_dir_all(dir.join(".local/share/linphone")).unwrap();
        let trace = dir.join("linphone.log");
        let (wav, recording) = (dir.join("tone.wav"), dir.join("heard.wav"));
        tone::write_wav(&wav, &tone::sine(tone, Duration::from_secs(60)));
        let config = CONFIG
            .replace("{SIP}", &place.port().to_string())
            .replace("{RTP}", &place.port().to_string())
            .replace("{SERVICE}", &at)
            .replace("{TRANSPORT}", transport)
            .replace("{MORE}", more)
            .replace("{TLS_PORT}", if transport == "tls" { "-1" } else { "0" })
            .replace("{EXTENSION}", extension)
            .replace("{PASSWORD}", PASSWORD)
            .replace("{DOMAIN}", DOMAIN);
        let config = place.file(&format!("{name}/linphonerc"), &config);
        let mut command = Command::new("linphonec");
        command.arg("-c").arg(config).args(["-a", "-C", "-S", "-d", "6", "-l"]);
        command.arg(&trace).env("HOME", &dir).env_remove("XDG_DATA_HOME");
        let process = Process::start(place, &name, &mut command);
        let mut phone = Self { process, recording, trace };
        phone.command("soundcard use files");
        phone.command(&format!("play {}", wav.display()));
        phone.command(&format!("record {}", phone.recording.display()));
        service.wait_counselor(extension, "ready");
        assert!(phone.process.is_running(), "linphonec ended: {}", phone.process.log());
        phone
    }

    /// Types a command: `pause`, `resume`, `terminate`, `call NUMBER`.
    pub(crate) fn command(&mut self, command: &str) {
        self.process.type_line(command);
    }

    /// Waits until so many of its calls have ended.
    pub(crate) fn wait_calls_ended(&self, count: usize) {
        wait_for(&format!("{count} ended calls of linphonec"), Duration::from_secs(15), || {
            (self.process.log().matches(" ended (").count() >= count).then_some(())
        });
    }

    /// Its own log of messages, as far as it has written it.
    pub(crate) fn trace(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.trace).unwrap_or_default()).into_owned()
    }

    /// What it has heard so far; complete when the call is over.
    pub(crate) fn heard(&self) -> Vec<i16> {
        tone::read_recording(&self.recording)
    }
}
