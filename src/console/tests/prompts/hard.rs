//! Prompts where something is in the way: a colleague's phone, a full disk, a program that hangs.

use super::*;
use crate::store::accounts;

/// Whoever has an extension rings their own phone and no other.
#[tokio::test]
async fn nobody_makes_a_colleagues_phone_ring() {
    let mut station = Station::open("[]").await;
    let to = |extension: &'static str| {
        move |account: &mut accounts::Account| {
            account.extension = Some(Extension::from(extension));
            true
        }
    };
    station.store.run(move |conn| accounts::amend(conn, "op", to("102"))).await.unwrap();
    let page = station.get("/prompts/welcome").await.text();
    assert!(!page.contains("value=\"101\""), "{page}");
    for job in ["play", "record"] {
        let form = format!("extension=101&job={job}");
        assert_eq!(station.form("/prompts/welcome/call", &form).await.status, 303);
        let said = station.get("/prompts/welcome").await.wrong();
        assert!(said.contains("Only your own extension (102)"), "{said}");
    }
    assert!(station.rehearsals.try_recv().is_err());
    station.store.run(move |conn| accounts::amend(conn, "op", to("101"))).await.unwrap();
    station.form("/prompts/welcome/call", "extension=101&job=record").await;
    let rehearsal = station.rehearsals.recv().await.unwrap();
    assert_eq!((&*rehearsal.extension.0, rehearsal.asker), ("101", Asker::Own));
    let trail = || Reader::open(station.store.path()).unwrap().audit(None, None, 100).unwrap();
    let deed = "had 101 rung to speak the prompt welcome";
    until(|| trail().iter().any(|it| it.who == "op" && it.what == deed)).await;
}

#[tokio::test]
async fn a_version_that_nobody_ever_heard_can_be_removed() {
    let station = Station::open("[]").await;
    for (text, millis) in [("a", 500), ("b", 600), ("c", 700)] {
        station.upload("welcome", text, "a.wav", &tone(8_000, millis)).await;
    }
    let path = |n: u32| format!("/prompts/welcome/versions/{n}");
    assert_eq!(station.activate("welcome", 2).await.status, 303);
    let at = (clock_now() + chrono::TimeDelta::days(30)).format("%Y-%m-%dT12:00");
    assert_eq!(station.form(&format!("{}/plan", path(3)), &format!("at={at}")).await.status, 303);
    // The first was on air, the second is, the third is planned.
    for n in [1, 2, 3] {
        assert!(!station.get(&path(n)).await.text().contains("Remove this version"), "{n}");
        let answer = station.form(&format!("{}/remove", path(n)), "").await;
        assert!(answer.status == 422 && answer.wrong().contains("can"), "{}", answer.wrong());
    }
    assert!(station.get(&path(4)).await.text().contains("Remove this version"));
    let answer = station.form(&format!("{}/remove", path(4)), "").await;
    assert_eq!((answer.status, answer.location()), (303, "/prompts/welcome"));
    assert_eq!(station.get(&path(4)).await.status, 404);
    assert_eq!(station.form(&format!("{}/remove", path(4)), "").await.status, 404);
    let kept: Vec<u32> = station.versions("welcome").iter().map(|it| it.n).collect();
    assert_eq!(kept, [3, 2, 1]);
    let trail = || Reader::open(station.store.path()).unwrap().audit(None, None, 100).unwrap();
    let deed = "removed version 4 of the prompt welcome, never on air";
    until(|| trail().iter().any(|it| it.who == "op" && it.what == deed)).await;
}

/// A disk of its own with very little room, which goes with this.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`: nobody is let mount here, which is told.
    #[expect(clippy::print_stderr, reason = "a test that can't be made says so")]
    fn mount(folder: PathBuf, kilobytes: u32) -> Option<Self> {
        fs::create_dir_all(&folder).unwrap();
        let size = format!("size={kilobytes}k");
        let mut mount = Command::new("mount");
        let mount = mount.args(["-t", "tmpfs", "-o", &size, "none"]).arg(&folder).output();
        if mount.is_ok_and(|mount| mount.status.success()) {
            return Some(Self(folder));
        }
        eprintln!("not tested: a full disk, because mounting one is not permitted here");
        None
    }

    /// Leaves room for so many bytes and no more.
    fn fill_but(&self, bytes: u64) {
        let page = 4_096;
        let filler = self.0.join("filler");
        let mut file = fs::File::create(&filler).unwrap();
        let mut length = 0;
        while io::Write::write_all(&mut file, &[7; 4_096]).is_ok() {
            length += page;
        }
        file.set_len(length - bytes.div_ceil(page) * page).unwrap();
    }

    fn empty(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }

    fn files(&self) -> Vec<String> {
        let files = fs::read_dir(&self.0).unwrap();
        let mut files: Vec<_> =
            files.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        files
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

#[tokio::test]
async fn a_file_for_which_the_disk_has_no_room_is_refused_and_leaves_nothing() {
    let station = Station::open("[]").await;
    let uploads = station.folder.join("state/uploads");
    let Some(disk) = SmallDisk::mount(uploads, 128) else { return };
    let answer = station.upload("welcome", "typed", "a.wav", &tone(44_100, 5_000)).await;
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert!(answer.wrong().contains("could not be kept"), "{}", answer.wrong());
    assert!(answer.wrong().contains("No space left"), "{}", answer.wrong());
    assert!(answer.text().contains("typed"));
    assert_eq!(disk.files(), [""; 0]);
    assert_eq!(station.versions("welcome"), []);
    // One that fits is taken.
    assert_eq!(station.upload("welcome", "", "a.wav", &tone(8_000, 500)).await.status, 303);
    assert_eq!(disk.files(), [""; 0]);
}

#[tokio::test]
async fn a_version_for_which_the_disk_has_no_room_never_goes_on_air_by_half() {
    let station = Station::open("[]").await;
    let Some(disk) = SmallDisk::mount(station.folder.join("prompts"), 512) else { return };
    station.upload("welcome", "a", "a.wav", &tone(8_000, 500)).await;
    station.upload("welcome", "b", "b.wav", &tone(8_000, 4_000)).await;
    let shipped = station.length("welcome");
    // No room at all; for the sound, and not for what is written of it.
    for room in [0, 8_044] {
        disk.fill_but(room);
        let answer = station.activate("welcome", 2).await;
        assert_eq!(answer.status, 422, "{room}");
        assert!(answer.wrong().contains("No space left"), "{room}: {}", answer.wrong());
        disk.empty();
        assert_eq!((disk.files(), station.length("welcome")), (vec![], shipped), "{room}");
    }
    assert_eq!(station.activate("welcome", 2).await.status, 303);
    let held = || ["welcome.wav", "prompts.toml"].map(|file| fs::read(disk.0.join(file)).unwrap());
    let before = held();
    // Nor does half of a sound take the place of a whole one.
    for room in [0, 32_000] {
        disk.fill_but(room);
        let answer = station.activate("welcome", 3).await;
        assert_eq!(answer.status, 422, "{room}");
        assert!(answer.wrong().contains("No space left"), "{room}: {}", answer.wrong());
        assert_eq!(held(), before, "{room}");
        assert_eq!(station.length("welcome"), Some(Duration::from_millis(500)), "{room}");
        disk.empty();
        assert_eq!(disk.files(), ["prompts.toml", "welcome.wav"], "{room}");
    }
    assert_eq!(station.activate("welcome", 3).await.status, 303);
    assert_eq!(station.length("welcome"), Some(Duration::from_secs(4)));
}

/// Whether a process still does something; one that waits to be buried does not.
fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

#[tokio::test]
async fn a_voice_that_hangs_or_never_stops_talking_is_ended_with_its_children() {
    let limit = "\nvoice_timeout = \"2s\"";
    for (voice, why) in [
        // Hangs, and so does what it has started.
        ("sleep 600 & echo $! > FOLDER/child; wait", "took longer than 2 s"),
        // Talks without end to nobody.
        ("sleep 600 & echo $! > FOLDER/child; yes", "took longer than 2 s"),
        // Fills the disk.
        ("sleep 600 & echo $! > FOLDER/child; cat /dev/zero > \"$0\"", "wrote more than"),
    ] {
        let quoted = format!("[\"sh\", \"-c\", {voice:?}]{limit}");
        let station = Station::open(&quoted).await;
        let begun = std::time::Instant::now();
        let answer = station.form("/prompts/welcome/speak", "text=typed+here").await;
        assert_eq!(answer.status, 422, "{voice}");
        assert!(answer.wrong().contains(why), "{voice}: {}", answer.wrong());
        assert!(answer.text().contains(">typed here</textarea>"), "{voice}");
        assert!(begun.elapsed() < Duration::from_secs(30), "{voice}: {:?}", begun.elapsed());
        let child = fs::read_to_string(station.folder.join("child")).unwrap();
        until(|| !is_alive(&child)).await;
        assert_eq!((station.versions("welcome"), station.uploads()), (vec![], 0), "{voice}");
    }
}

/// Open JTalk itself speaks, with the voice that `.ci/test` brings.
#[tokio::test]
async fn a_real_voice_speaks_a_text() {
    let voice = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/voice/mei_normal.htsvoice");
    assert!(voice.is_file(), "{}: .ci/test brings it, and open_jtalk", voice.display());
    let dictionary = "/var/lib/mecab/dic/open-jtalk/naist-jdic";
    let script = format!("exec open_jtalk -x {dictionary} -m '{}' -ow \"$0\"", voice.display());
    let station = Station::open(&format!("[\"sh\", \"-c\", {script:?}]")).await;
    let speak = async |text: &str| {
        let form = serde_urlencoded::to_string([("text", text)]).unwrap();
        let answer = station.form("/prompts/welcome/speak", &form).await;
        assert_eq!(answer.status, 303, "{}", answer.wrong());
        let heard = station.get(&format!("{}.wav", answer.location())).await;
        Clip::from_wav(&heard.body).unwrap().pcm().to_vec()
    };
    let short = speak("もしもし").await;
    let long = speak("お電話ありがとうございます。相談員におつなぎします。").await;
    let seconds = |pcm: &[i16]| pcm.len() as f64 / 8_000.0;
    assert!((0.4..2.0).contains(&seconds(&short)), "{} s", seconds(&short));
    assert!((2.5..8.0).contains(&seconds(&long)), "{} s", seconds(&long));
    let power = long.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>();
    let level = 20.0 * ((power / long.len() as f64).sqrt() / 32_768.0).log10();
    assert!((-32.0..-12.0).contains(&level), "{level} dBFS");
    let peak = long.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
    assert!((3_000..32_767).contains(&peak), "{peak}");
}
