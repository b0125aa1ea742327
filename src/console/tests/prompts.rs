//! The pages about prompts, asked as a browser would, with a folder of their own and a service that
//! reads it again when it is told to.

mod hard;
mod station;

use std::fs;
use std::process::Command;

use tokio::sync::mpsc;

use super::*;
use crate::call::piece::{Asker, Finish, Piece};
use crate::media::prompt::Clip;
use crate::shell::handle::{Rehearsal, Reload};
use crate::shell::prompts as files;
use crate::store::versions;
use station::Station;

/// A tone of so many milliseconds.
fn tone(rate: u32, millis: u32) -> Vec<u8> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut bytes = io::Cursor::new(vec![]);
    let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
    for n in 0..rate * millis / 1_000 {
        let phase = f64::from(n) * 440.0 * std::f64::consts::TAU / f64::from(rate);
        writer.write_sample((phase.sin() * 8_000.0) as i16).unwrap();
    }
    writer.finalize().unwrap();
    bytes.into_inner()
}

fn is_installed(program: &str) -> bool {
    Command::new(program).arg("-version").output().is_ok()
}

#[tokio::test]
async fn what_is_played_where_is_drawn_and_listed() {
    let station = Station::open("[]").await;
    let answer = station.get("/prompts").await;
    let page = answer.text();
    assert_eq!(answer.status, 200);
    assert!(answer.body.len() < 100_000, "{}", answer.body.len());
    for part in [
        "<svg class=\"graph\"",
        "⚠ no way leads here",
        "That is over 20 s: please make it shorter.",
        "The caller pays for it",
        "&#60;b&#62;主&#60;/b&#62;: guidance start",
        "href=\"/settings/line/main\"",
        "お電話ありがとうございます。相談窓口です。",
        "<a href=\"/prompts/welcome\">welcome</a>",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("<b>主"));
    assert!(!page.contains(" style="));
}

#[tokio::test]
async fn a_prompt_is_changed_and_rolled_back() {
    let station = Station::open("[]").await;
    let before = station.length("welcome").unwrap();
    let answer = station.upload("welcome", "ようこそ <i>", "../../a.wav", &tone(44_100, 700)).await;
    assert_eq!((answer.status, answer.location()), (303, "/prompts/welcome/versions/2"));
    assert_eq!(station.length("welcome"), Some(before), "a draft is not on air");
    let page = station.get("/prompts/welcome/versions/2").await.text();
    assert!(page.contains("ようこそ &#60;i&#62;") && !page.contains("<i>"), "{page}");
    assert!(page.contains("<del>") && page.contains("not on air yet"));
    let heard = station.get("/prompts/welcome/versions/2.wav").await;
    assert_eq!(Clip::from_wav(&heard.body).unwrap().pcm().len(), 5_600);

    assert_eq!(station.activate("welcome", 2).await.status, 303);
    assert_eq!(station.length("welcome"), Some(Duration::from_millis(700)));
    let heard = station.get("/prompts/welcome/audio.wav").await;
    assert_eq!(heard.body, station.get("/prompts/welcome/versions/2.wav").await.body);
    let manifest = fs::read_to_string(station.folder.join("prompts/prompts.toml")).unwrap();
    assert!(manifest.contains("[welcome]\ntext = \"ようこそ <i>\"\nvoice = \"recording\""));

    // Version 1 is the shipped one, byte for byte.
    let known = station.versions("welcome");
    assert_eq!(known.iter().map(|it| &*it.voice).collect::<Vec<_>>(), ["file", "shipped"]);
    assert_eq!(station.activate("welcome", 1).await.status, 303);
    assert_eq!(station.length("welcome"), Some(before));
    let rows = files::list(&station.folder.join("prompts")).unwrap();
    let row = rows.iter().find(|row| row.name == "welcome").unwrap();
    assert_eq!(row.origin, files::Origin::Shipped);
    assert_eq!(row.text, "お電話ありがとうございます。相談窓口です。");
    assert_eq!(station.uploads(), 0);

    let trail = Reader::open(station.store.path()).unwrap().audit(None, None, 100).unwrap();
    let trail: Vec<_> = trail.iter().map(|entry| format!("{} {}", entry.who, entry.what)).collect();
    for deed in [
        "op made version 2 of the prompt welcome (file)",
        "op put version 2 of the prompt welcome on air",
        "op put version 1 of the prompt welcome on air",
    ] {
        assert!(trail.iter().any(|entry| entry == deed), "{deed}: {trail:?}");
    }
}

#[tokio::test]
async fn of_two_who_change_a_prompt_the_second_is_told() {
    let station = Station::open("[]").await;
    station.upload("welcome", "a", "a.wav", &tone(8_000, 500)).await;
    station.upload("welcome", "b", "b.wav", &tone(8_000, 600)).await;
    let seen = station.seen("/prompts/welcome/versions/3").await;
    assert_eq!(station.activate("welcome", 2).await.status, 303);
    let second = station.form("/prompts/welcome/versions/3/activate", &seen).await;
    assert_eq!(second.status, 422);
    assert!(second.wrong().contains("Somebody else has put another version"), "{}", second.wrong());
    assert_eq!(station.length("welcome"), Some(Duration::from_millis(500)));
    assert_eq!(station.activate("welcome", 3).await.status, 303);
    assert_eq!(station.length("welcome"), Some(Duration::from_millis(600)));
}

#[tokio::test]
async fn a_file_that_is_no_good_is_never_kept() {
    let limits = Console { upload_max: 200_000, ..Console::default() };
    let station = Station::open_with("[]", limits).await;
    let good = tone(8_000, 1_000);
    let mut long = tone(8_000, 100);
    // Says that it is long, and is not.
    long[40..44].copy_from_slice(&8_000_000u32.to_le_bytes());
    let silent: Vec<u8> = good[..44].iter().copied().chain(vec![0; good.len() - 44]).collect();
    let noise: Vec<u8> =
        (0..5_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for (file, bytes, wrong) in [
        ("a.wav", &b""[..], "The file is empty"),
        ("a.wav", b"hello", "not a sound file"),
        ("a.mp3", &noise, "Not done"),
        ("page.html", b"<html><script>alert(1)</script>", "not a sound file"),
        ("a.wav", &good[..good.len() / 2], "The end of the file is missing"),
        ("a.wav", &good[..30], "Not done"),
        ("a.wav", &long, "Not done"),
        ("a.wav", &silent, "silent"),
    ] {
        let answer = station.upload("welcome", "<u>typed", file, bytes).await;
        assert_eq!(answer.status, 422, "{file}: {}", answer.wrong());
        assert!(answer.text().contains(wrong), "{file} {wrong}: {}", answer.wrong());
        // Nothing that was typed is lost.
        assert!(answer.text().contains("&#60;u&#62;typed"), "{file}");
    }
    let huge = station.upload("welcome", "", "a.wav", &vec![0; 300_000]).await;
    assert_eq!(huge.status, 413);
    assert!(huge.text().contains("too large"), "{}", huge.text());
    assert_eq!(station.versions("welcome"), []);
    assert_eq!(station.uploads(), 0);
    assert_eq!(fs::read_dir(station.folder.join("prompts")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_file_that_breaks_off_on_its_way_leaves_nothing_behind() {
    let station = Station::open("[]").await;
    let mut stream = TcpStream::connect(station.address).await.unwrap();
    let head = format!(
        "POST /prompts/welcome/upload?csrf={} HTTP/1.1\r\nHost: localhost\r\nCookie: {}\r\n\
         Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 10000000\r\n\r\n--x\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n",
        station.csrf, station.cookie
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![1; 2_000_000]).await.unwrap();
    until(|| station.uploads() == 1).await;
    drop(stream);
    until(|| station.uploads() == 0).await;
    assert_eq!(station.versions("welcome"), []);
}

/// Waits until it is so.
async fn until(mut is_so: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to be");
}

#[tokio::test]
async fn every_usual_kind_of_file_is_taken() {
    if !is_installed("ffmpeg") {
        return;
    }
    let station = Station::open("[]").await;
    let source = station.folder.join("source.wav");
    fs::write(&source, tone(44_100, 2_000)).unwrap();
    let kinds: [(&str, &[&str]); 9] = [
        ("a.mp3", &[]),
        ("a.m4a", &[]),
        ("a.aac", &[]),
        ("a.ogg", &["-c:a", "libvorbis"]),
        ("a.flac", &["-ar", "96000"]),
        ("b.wav", &["-ac", "2", "-c:a", "pcm_s24le", "-ar", "48000"]),
        ("c.wav", &["-c:a", "pcm_alaw", "-ar", "8000"]),
        ("d.wav", &["-c:a", "pcm_f32le", "-ar", "192000"]),
        ("e.wav", &["-c:a", "pcm_u8", "-ar", "11025"]),
    ];
    for (name, options) in kinds {
        let file = station.folder.join(name);
        let mut command = Command::new("ffmpeg");
        let command = command.args(["-loglevel", "error", "-y", "-i"]).arg(&source).args(options);
        assert!(command.arg(&file).status().unwrap().success(), "{name}");
        let answer = station.upload("welcome", "", name, &fs::read(&file).unwrap()).await;
        assert_eq!(answer.status, 303, "{name}: {}", answer.wrong());
        let version = &station.versions("welcome")[0];
        assert!((15_000..18_000).contains(&version.samples), "{name}: {}", version.samples);
    }
    assert_eq!(station.uploads(), 0);
}

#[tokio::test]
async fn a_text_is_spoken_by_the_program_that_is_named() {
    let station = Station::open(r#"["sh", "-c", "cat > FOLDER/said; cp FOLDER/voice.wav \"$0\""]"#);
    let station = station.await;
    fs::write(station.folder.join("voice.wav"), tone(24_000, 800)).unwrap();
    let text = "text=%E3%81%93%E3%82%93%0D%0A+%24%28touch+x%29";
    let answer = station.form("/prompts/greeting/speak", text).await;
    assert_eq!(answer.location(), "/prompts/greeting/versions/1", "{}", answer.wrong());
    assert_eq!(fs::read_to_string(station.folder.join("said")).unwrap(), "こん $(touch x)\n");
    let version = &station.versions("greeting")[0];
    assert_eq!((&*version.voice, &*version.text), ("sh", "こん $(touch x)"));
    assert_eq!(station.uploads(), 0);
    assert_eq!(station.length("greeting"), None);
    assert_eq!(station.activate("greeting", 1).await.status, 303);
    assert_eq!(station.length("greeting"), Some(Duration::from_millis(800)));
    // Played nowhere, it can be removed again; one that is played can't.
    let removed = station.form("/prompts/greeting/remove", "").await;
    assert_eq!(removed.location(), "/prompts");
    assert_eq!(station.length("greeting"), None);
    assert_eq!(station.versions("greeting"), []);
    let refused = station.form("/prompts/welcome/remove", "").await;
    assert_eq!(refused.location(), "/prompts/welcome");
    let said = station.get("/prompts/welcome").await.wrong();
    assert!(said.contains("A prompt that is played can"), "{said}");
}

#[tokio::test]
async fn a_voice_that_fails_is_told_and_what_was_typed_stays() {
    for (voice, why) in [
        (r#"["/nowhere/voice"]"#, "/nowhere/voice"),
        (r#"["sh", "-c", "exit 3"]"#, "exit status: 3"),
        (r#"["sh", "-c", "cat > \"$0\""]"#, "not a readable WAV"),
        (r#"["sh", "-c", "true"]"#, "no RIFF header"),
    ] {
        let station = Station::open(voice).await;
        let answer = station.form("/prompts/welcome/speak", "text=typed+here").await;
        assert_eq!(answer.status, 422);
        assert!(answer.wrong().contains(why), "{voice}: {}", answer.wrong());
        assert!(answer.text().contains(">typed here</textarea>"));
        assert_eq!((station.versions("welcome"), station.uploads()), (vec![], 0));
    }
    let station = Station::open("[]").await;
    let long = format!("text={}", "a".repeat(1_001));
    for (form, why) in [
        ("text=", "Please write a text"),
        ("text=a%00b", "control character"),
        ("text=a%1b%5b2Jb", "control character"),
        (&*long, "at most 1000"),
    ] {
        let answer = station.form("/prompts/welcome/speak", form).await;
        assert_eq!(answer.status, 422, "{form}");
        assert!(answer.wrong().contains(why), "{form}: {}", answer.wrong());
    }
}

#[tokio::test]
async fn a_plan_is_carried_out_also_after_a_restart_and_can_be_taken_back() {
    let mut station = Station::open("[]").await;
    station.upload("welcome", "a", "a.wav", &tone(8_000, 500)).await;
    station.upload("welcome", "b", "b.wav", &tone(8_000, 600)).await;
    for (at, why) in [
        ("2020-01-01T00:00", "within the next two years"),
        ("2999-01-01T00:00", "within the next two years"),
        ("soon", "date and time"),
        ("", "date and time"),
    ] {
        let answer = station.form("/prompts/welcome/versions/2/plan", &format!("at={at}")).await;
        assert!(answer.status == 422 && answer.wrong().contains(why), "{at}: {}", answer.wrong());
    }
    let next_year = clock_now() + chrono::TimeDelta::days(300);
    let at = next_year.format("%Y-%m-%dT12:00").to_string();
    let answer = station.form("/prompts/welcome/versions/2/plan", &format!("at={at}")).await;
    assert_eq!(answer.status, 303, "{}", answer.wrong());
    assert!(station.versions("welcome")[1].planned.is_some());
    let shown = next_year.format("%Y-%m-%d 12:00").to_string();
    assert!(station.get("/prompts").await.text().contains(&format!("version 2 at {shown}")));
    assert_eq!(station.form("/prompts/welcome/versions/2/unplan", "").await.status, 303);
    assert_eq!(station.versions("welcome")[1].planned, None);

    // What became due while nothing ran goes on air at the next start.
    station.tasks.iter().for_each(JoinHandle::abort);
    let due = clock_now() - chrono::TimeDelta::minutes(5);
    let plan = move |conn: &_| versions::plan(conn, "welcome", 3, Some((due, "op")));
    assert!(station.store.run(plan).await.unwrap());
    let folder = station.folder.clone();
    station.folder = PathBuf::from("/nonexistent");
    let again = Station::serve(folder, station.store.clone(), Console::default()).await;
    until(|| again.length("welcome") == Some(Duration::from_millis(600))).await;
    until(|| again.versions("welcome")[0].planned.is_none()).await;

    // And what is planned while it runs, in time.
    let soon = clock_now() + chrono::TimeDelta::milliseconds(300);
    crate::console::prompts::plans::plan(&again.desk, "op", "welcome", 2, Some(soon))
        .await
        .unwrap();
    until(|| again.length("welcome") == Some(Duration::from_millis(500))).await;
}

fn clock_now() -> Timestamp {
    crate::shell::clock::now().wall
}

#[tokio::test]
async fn where_a_change_can_not_be_taken_over_the_old_prompt_stays() {
    let station = Station::open("[]").await;
    station.upload("welcome", "a", "a.wav", &tone(8_000, 500)).await;
    let before = station.length("welcome");
    // Somebody edits the configuration by hand, and is not through.
    let path = station.folder.join("koebashi.toml");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{config}\n[nonsense]\n")).unwrap();
    let answer = station.activate("welcome", 2).await;
    assert_eq!(answer.status, 422);
    assert!(answer.wrong().contains("nonsense"), "{}", answer.wrong());
    assert!(!station.folder.join("prompts/welcome.wav").exists());
    assert!(!station.folder.join("prompts/prompts.toml").exists());
    assert_eq!(station.length("welcome"), before);
    fs::write(&path, config).unwrap();
    // The folder can't be written: a file is in its place.
    fs::remove_dir_all(station.folder.join("prompts")).unwrap();
    fs::create_dir_all(station.folder.join("prompts/.welcome.wav.part")).unwrap();
    let answer = station.activate("welcome", 2).await;
    assert_eq!(answer.status, 422);
    assert!(answer.wrong().contains("The folder of prompts can"), "{}", answer.wrong());
    assert_eq!(station.length("welcome"), before);
    fs::remove_dir_all(station.folder.join("prompts")).unwrap();
    assert_eq!(station.activate("welcome", 2).await.status, 303);
    assert_eq!(station.length("welcome"), Some(Duration::from_millis(500)));
}

#[tokio::test]
async fn a_name_is_a_name_and_nothing_else() {
    let station = Station::open("[]").await;
    for name in ["%2e%2e%2fetc", "Welcome", "%3Cb%3E", "a%00"] {
        for path in ["", "/audio.wav", "/versions/1", "/versions/1.wav"] {
            let answer = station.get(&format!("/prompts/{name}{path}")).await;
            assert_eq!(answer.status, 404, "{name}{path}");
        }
        for path in ["/speak", "/remove", "/versions/1/activate", "/versions/1/unplan"] {
            let form = "text=x&live=&at=2027-01-01T00:00";
            let answer = station.form(&format!("/prompts/{name}{path}"), form).await;
            assert_eq!(answer.status, 404, "{name}{path}");
        }
        assert_eq!(station.upload(name, "", "a.wav", &tone(8_000, 100)).await.status, 404);
        let answer = station.form("/prompts", &format!("name={name}")).await;
        assert_eq!(answer.status, 422, "{name}");
    }
    let fresh = station.form("/prompts", "name=+summer_2027+").await;
    assert_eq!(fresh.location(), "/prompts/summer_2027");
    assert!(station.get("/prompts/summer_2027").await.text().contains("no such prompt yet"));
    assert_eq!(station.get("/prompts/welcome/versions/99").await.status, 404);
    assert_eq!(station.get("/prompts/welcome/versions/x").await.status, 404);
    let answer = station.form("/prompts/welcome/versions/99/activate", "live=").await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn a_version_is_played_to_the_phone_that_is_chosen() {
    let mut station = Station::open("[]").await;
    station.upload("welcome", "a", "a.wav", &tone(8_000, 500)).await;
    let call = "/prompts/welcome/call";
    let answer = station.form(call, "extension=101&job=play&n=2").await;
    assert_eq!(answer.location(), "/prompts/welcome/versions/2");
    let Rehearsal { extension, asker, piece, clip, finish, heard } =
        station.rehearsals.recv().await.unwrap();
    let (name, clip) = clip.unwrap();
    assert_eq!((&*extension.0, clip.pcm().len(), heard.is_none()), ("101", 4_000, true));
    assert_eq!(piece, Piece::Play(name.clone()));
    assert_eq!(asker, Asker::Other, "who has no extension rings none of theirs");
    assert!(!files::manifest::is_name(&name.0), "no file can have this name: {name:?}");
    // Meanwhile nobody else rings a phone for it.
    let second = station.form(call, "extension=101&job=play").await;
    assert_eq!(second.location(), "/prompts/welcome");
    let page = station.get("/prompts/welcome").await.text();
    assert!(page.contains("Busy with something else") && page.contains("The phone rings, plays"));
    finish.send(Finish::Unanswered).unwrap();
    let page = said(&station, "/prompts/welcome/versions/2", "Nobody answered the phone").await;
    assert!(page.contains("Play it by phone"));
    assert!(!station.get("/prompts/welcome").await.text().contains("Nobody answered"));

    // What is on air is in the library already.
    station.form(call, "extension=101&job=play").await;
    let rehearsal = station.rehearsals.recv().await.unwrap();
    assert_eq!(rehearsal.piece, Piece::Play("welcome".into()));
    assert!(rehearsal.clip.is_none());
    // A service that ends in the middle of it leaves nobody waiting.
    drop(rehearsal);
    said(&station, "/prompts/welcome", "The phone could not be rung").await;
}

/// Waits until a page says this.
async fn said(station: &Station, path: &str, what: &str) -> String {
    for _ in 0..500 {
        let page = station.get(path).await.text();
        if page.contains(what) {
            return page;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{path} never says {what}");
}

#[tokio::test]
async fn what_is_spoken_by_phone_becomes_a_version() {
    let mut station = Station::open("[]").await;
    let form = "extension=101&job=record&text=%E5%A3%B0";
    assert_eq!(station.form("/prompts/welcome/call", form).await.status, 303);
    let rehearsal = station.rehearsals.recv().await.unwrap();
    assert!(matches!(rehearsal.piece, Piece::Record { .. }), "{:?}", rehearsal.piece);
    let sound = tone(8_000, 1_000);
    let spoken = Clip::from_wav(&sound).unwrap().pcm().to_vec();
    let heard = [vec![0; 8_000], spoken, vec![0; 8_000]].concat();
    rehearsal.finish.send(Finish::Done).unwrap();
    rehearsal.heard.unwrap().send(heard).unwrap();
    said(&station, "/prompts/welcome", "Version 2 was recorded by phone").await;
    let version = &station.versions("welcome")[0];
    assert_eq!((version.n, &*version.text, &*version.voice), (2, "声", "phone"));
    // The silence around it is gone, but for a margin.
    assert!((8_000..9_000).contains(&version.samples), "{}", version.samples);

    // Nothing was said, or not all of it arrived: no version, and the page tells.
    for (heard, what) in [(Some(vec![0; 8_000]), "it is silent"), (None, "could not be rung")] {
        station.form("/prompts/welcome/call", form).await;
        let rehearsal = station.rehearsals.recv().await.unwrap();
        rehearsal.finish.send(Finish::Done).unwrap();
        if let Some(heard) = heard {
            rehearsal.heard.unwrap().send(heard).unwrap();
        } else {
            drop(rehearsal.heard);
        }
        said(&station, "/prompts/welcome", what).await;
    }
    assert_eq!(station.versions("welcome").len(), 2);
}
