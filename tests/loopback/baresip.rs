//! A headless baresip 1.0 (Debian's `baresip-core`): a tone from a WAV file as its microphone, what
//! it hears is kept by its `sndfile` module, commands are typed on its standard input.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::place::{Place, Process, wait_for};
use super::service::{DOMAIN, PASSWORD, Service};
use super::tone;

/// How it is made.
const CONFIG: &str = "\
poll_method epoll
sip_listen 127.0.0.1:{SIP}
net_interface 127.0.0.1
call_max_calls 4
audio_source aufile,{TONE}
audio_player aubridge,sink
audio_alert aubridge,alert
ausrc_srate 8000
auplay_srate 8000
audio_channels 1
audio_level no
ausrc_format s16
auplay_format s16
auenc_format s16
audec_format s16
audio_buffer 20-160
rtp_ports {FIRST}-{LAST}
rtcp_mux no
jitter_buffer_delay 2-10
module_path /usr/lib/baresip/modules
module stdio.so
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
{MORE}
module srtp.so
module_tmp uuid.so
module_tmp account.so
module_app menu.so
snd_path {RECORDINGS}
";

/// A running one. It ends with the test.
pub(crate) struct Baresip {
    process: Process,
    recordings: PathBuf,
}

impl Baresip {
    /// Starts it and waits until the service knows it. It answers by itself and says `tone`.
    pub(crate) fn start(place: &Place, service: &Service, extension: &str, tone: u32) -> Self {
        Self::start_with(place, service, extension, tone, "pcmu,pcma")
    }

    /// The same with codecs of choice.
    pub(crate) fn start_with(
        place: &Place,
        service: &Service,
        extension: &str,
        tone: u32,
        codecs: &str,
    ) -> Self {
        let codecs = format!("audio_codecs={codecs}");
        Self::start_as(place, service, extension, tone, ("udp", &codecs, ""))
    }

    /// The same by TLS; it believes `ca.pem` of the test's folder and nobody else.
    pub(crate) fn start_tls(place: &Place, service: &Service, extension: &str, tone: u32) -> Self {
        let roots = format!("sip_cafile {}", place.dir.join("ca.pem").display());
        Self::start_as(place, service, extension, tone, ("tls", "audio_codecs=pcmu", &roots))
    }

    /// By which transport, with what for the account (`mediaenc=srtp-mand`) and what for the
    /// configuration.
    pub(crate) fn start_as(
        place: &Place,
        service: &Service,
        extension: &str,
        tone: u32,
        (transport, account, more): (&str, &str, &str),
    ) -> Self {
        let at = if transport == "tls" { service.tls } else { service.sip };
        let account = format!(
            "<sip:{extension}@{DOMAIN};transport={transport}>;auth_user={extension};\
             auth_pass={PASSWORD};outbound=\"sip:{at};transport={transport}\";regint=60;\
             answermode=auto;{account}\n"
        );
        let config = CONFIG.replace("{MORE}", more);
        let mut phone = Self::launch(place, extension, tone, &account, &config);
        service.wait_counselor(extension, "ready");
        assert!(phone.process.is_running(), "baresip ended: {}", phone.process.log());
        phone
    }

    /// A caller, who registers nowhere and waits until it is told to dial. Its packets come from
    /// 127.0.0.1 whatever it is told, so that this must be the trunk's address too.
    pub(crate) fn caller(place: &Place, tone: u32) -> Self {
        let account = "<sip:caller@127.0.0.1;transport=udp>;regint=0;audio_codecs=pcmu\n";
        let phone = Self::launch(place, "caller", tone, account, &CONFIG.replace("{MORE}", ""));
        wait_for("baresip to be ready", Duration::from_secs(10), || {
            phone.process.log().contains("baresip is ready").then_some(())
        });
        phone
    }

    fn launch(place: &Place, name: &str, tone: u32, account: &str, config: &str) -> Self {
        let name = format!("baresip-{name}");
        let dir = place.dir.join(&name);
        let recordings = dir.join("recordings");
        fs::create_dir_all(&recordings).unwrap();
        let wav = dir.join("tone.wav");
        tone::write_wav(&wav, &tone::sine(tone, Duration::from_secs(60)));
        // The port after its SIP port is baresip's for TLS.
        let media = place.ports(4);
        let config = config
            .replace("{SIP}", &place.port().to_string())
            .replace("{TONE}", &wav.display().to_string())
            .replace("{FIRST}", &media.to_string())
            .replace("{LAST}", &(media + 7).to_string())
            .replace("{RECORDINGS}", &recordings.display().to_string());
        place.file(&format!("{name}/config"), &config);
        place.file(&format!("{name}/accounts"), account);
        place.file(&format!("{name}/contacts"), "");
        let mut command = Command::new("baresip");
        command.arg("-4").arg("-f").arg(&dir);
        let process = Process::start(place, &name, &mut command);
        Self { process, recordings }
    }

    /// Presses a key in the call.
    pub(crate) fn press(&mut self, key: char) {
        self.process.type_key(key);
    }

    /// Types a long command: `hold`, `resume`, `hangup`, `dial NUMBER`.
    pub(crate) fn command(&mut self, command: &str) {
        self.process.type_line(&format!("/{command}"));
    }

    /// Ends it at once, as a computer that loses its power does.
    pub(crate) fn vanish(&mut self) {
        self.process.signal("KILL");
    }

    /// Waits until so many of its calls have ended.
    pub(crate) fn wait_calls_ended(&self, count: usize) {
        wait_for(&format!("{count} ended calls of baresip"), Duration::from_secs(15), || {
            (self.process.log().matches("session closed").count() >= count).then_some(())
        });
    }

    /// What it has printed.
    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    /// What it has heard up to now in all calls, but for what it has not yet written.
    pub(crate) fn heard_up_to_now(&self) -> Vec<i16> {
        self.recordings("dec").iter().flat_map(|file| tone::read_growing(file)).collect()
    }

    /// What it has heard so far in all calls; complete when the calls are over.
    pub(crate) fn heard(&self) -> Vec<i16> {
        self.recordings("dec").iter().flat_map(|file| tone::read_recording(file)).collect()
    }

    /// What its encoder was given, which its own change of the rate may have made louder.
    pub(crate) fn said(&self) -> Vec<i16> {
        self.recordings("enc").iter().flat_map(|file| tone::read_recording(file)).collect()
    }

    fn recordings(&self, way: &str) -> Vec<PathBuf> {
        let files = fs::read_dir(&self.recordings).unwrap().map(|entry| entry.unwrap().path());
        let end = format!("-{way}.wav");
        let mut files: Vec<_> = files.filter(|f| f.to_string_lossy().ends_with(&end)).collect();
        files.sort();
        files
    }
}
