//! The shipped set as it is, and a folder of prompts, claim by claim.

use std::ffi::OsString;
use std::path::PathBuf;

use super::manifest::Entry;
use super::*;
use crate::call::config::Said;

/// A folder of its own, gone with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("koebashi-{}-{name}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn shipped(name: &str) -> &'static [u8] {
    embedded().find(|(n, _)| *n == name).unwrap().1
}

/// A second of a tone at 440 Hz.
fn tone(rate: u32, channels: u16) -> Vec<u8> {
    let spec = hound::WavSpec {
        channels,
        sample_rate: rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut bytes = std::io::Cursor::new(vec![]);
    let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
    for n in 0..rate {
        let phase = f64::from(n) * 440.0 * std::f64::consts::TAU / f64::from(rate);
        for _ in 0..channels {
            writer.write_sample((phase.sin() * 8000.0) as i16).unwrap();
        }
    }
    writer.finalize().unwrap();
    bytes.into_inner()
}

fn error<T: std::fmt::Debug>(result: Result<T, Vec<Error>>) -> String {
    let errors: Vec<_> = result.unwrap_err().iter().map(ToString::to_string).collect();
    errors.join("\n")
}

#[test]
fn the_shipped_recordings_are_those_of_the_manifest() {
    let manifest = manifest::parse(SHIPPED_MANIFEST, Path::new("prompts.toml")).unwrap();
    let names: Vec<_> = manifest.keys().map(String::as_str).collect();
    let mut embedded_names: Vec<_> = embedded().map(|(name, _)| name).collect();
    embedded_names.sort_unstable();
    assert_eq!(embedded_names, names);
    for (name, bytes) in embedded() {
        let entry = &manifest[name];
        assert_eq!(entry.sha256, Some(manifest::sha256(bytes)), "{name}");
        assert_eq!(entry.made_from, Some(entry.source()), "{name}: render.sh makes it anew");
        assert!(!entry.text.is_empty() && entry.licence.is_some(), "{name}");
        let seconds = Clip::from_wav(bytes).unwrap().duration().as_secs_f64();
        assert!((seconds - entry.seconds.unwrap()).abs() < 0.01, "{name}");
    }
    let size: usize = embedded().map(|(_, bytes)| bytes.len()).sum();
    assert!(size < 4 << 20, "{size} bytes");
}

#[test]
fn everything_that_is_said_is_shipped() {
    let names: Vec<_> = embedded().map(|(name, _)| name).collect();
    for said in Said::ALL {
        assert!(names.contains(&said.name()), "{}", said.name());
    }
}

#[test]
fn the_shipped_recordings_are_neither_loud_nor_long() {
    let library = library(Path::new("/nowhere/prompts"), |_, _| None).0;
    let clip = |name: &str| library.clip(&name.into()).unwrap();
    for name in library.names() {
        let pcm = clip(&name.0).pcm();
        let peak = pcm.iter().map(|s| s.unsigned_abs()).max().unwrap();
        assert!((1000..=20_000).contains(&peak), "{}: peak {peak}", name.0);
        let level = level(pcm).unwrap();
        assert!((-30.0..=-18.0).contains(&level), "{}: {level} dB", name.0);
    }
    let seconds = |name| clip(name).duration().as_secs_f64();
    for name in ["closed", "closed_nijiiro", "closed_year_end"] {
        assert!(seconds(name) <= 10.0, "{name}");
    }
    for name in ["welcome", "welcome_nijiiro"] {
        assert!(seconds(name) + seconds("connecting") <= 20.0, "{name}");
    }
    assert!((30.0..=40.0).contains(&seconds("hold")));
    // The loop has no click: its seam is no larger a step than those within.
    let hold = clip("hold").pcm();
    let step = |a: i16, b: i16| (i32::from(a) - i32::from(b)).abs();
    let largest = hold.windows(2).map(|pair| step(pair[0], pair[1])).max().unwrap();
    assert!(step(hold[hold.len() - 1], hold[0]) <= largest / 2);
}

#[test]
fn the_folder_goes_over_the_shipped_set() {
    let folder = Folder::new("over");
    folder.write("welcome.wav", shipped("goodbye"));
    folder.write("own_1.wav", shipped("hold"));
    folder.write("notes.txt", b"no prompt");
    folder.write(".beep.wav.part", b"half");
    folder.write(".beep.raw.wav", b"half");
    let all = load(&folder.0).unwrap();
    assert_eq!(all.len(), SHIPPED.len() + 1);
    assert_eq!(all["welcome"], shipped("goodbye"));
    assert_eq!(all["closed"], shipped("closed"));
    assert_eq!(all["own_1"], shipped("hold"));
    assert_eq!(library(&folder.0, |_, _| None).0.names().count(), SHIPPED.len() + 1);
}

#[test]
fn a_folder_that_is_not_there_holds_nothing() {
    assert_eq!(load(Path::new("/nowhere/prompts")).unwrap().len(), SHIPPED.len());
}

#[test]
fn what_is_wrong_with_files_is_said_of_all_at_once() {
    let folder = Folder::new("wrong");
    folder.write("Welcome.wav", shipped("welcome"));
    folder.write("two words.wav", shipped("welcome"));
    folder.write("closed.WAV", shipped("welcome"));
    fs::create_dir(folder.0.join("folder.wav")).unwrap();
    let large = fs::File::create(folder.0.join("large.wav")).unwrap();
    large.set_len(FILE_BYTES_MAX + 1).unwrap();
    let said = error(load(&folder.0));
    for part in ["Welcome.wav", "two words.wav", "closed.WAV"] {
        assert!(said.contains(&format!("{part}: a prompt's name has")), "{said}");
    }
    assert!(said.contains("folder.wav: is no file"), "{said}");
    assert!(said.contains("large.wav: is larger than 10485760 bytes"), "{said}");

    let folder = Folder::new("form");
    folder.write("wide.wav", &tone(16_000, 1));
    folder.write("junk.wav", b"RIFF");
    folder.write("closed.wav", b"RIFF");
    folder.write("own.wav", shipped("hold"));
    let (library, errors) = library(&folder.0, |_, _| None);
    assert_eq!(library.names().count(), SHIPPED.len() + 1, "what is good is there all the same");
    let usual = Clip::from_wav(shipped("closed")).unwrap();
    assert_eq!(library.clip(&"closed".into()).unwrap().pcm(), usual.pcm());
    let said = error::<()>(Err(errors));
    assert!(said.contains("wide.wav: 16000 Hz"), "{said}");
    assert!(said.contains("junk.wav: not a readable WAV"), "{said}");
}

#[test]
fn the_list_tells_where_each_comes_from_and_what_it_says() {
    let folder = Folder::new("list");
    folder.write("welcome.wav", shipped("goodbye"));
    folder.write("closed.wav", shipped("closed"));
    let text =
        "[draft]\ntext = \"まだ\"\n[welcome]\ntext = \"ようこそ\"\ncheck = \"hours\"\nx = 1\n";
    folder.write("prompts.toml", text.as_bytes());
    let rows = list(&folder.0).unwrap();
    let row = |name: &str| rows.iter().find(|row| row.name == name).unwrap();
    assert_eq!(rows.len(), SHIPPED.len() + 1);
    assert_eq!((row("welcome").origin, row("welcome").text.as_str()), (Origin::Folder, "ようこそ"));
    assert_eq!(row("closed").origin, Origin::Shipped);
    assert!(row("closed").text.starts_with("ただいまの時間は"));
    assert_eq!((row("draft").origin, row("draft").level), (Origin::Missing, None));
    assert!(row("help").check.as_ref().unwrap().starts_with("Check before use"));
    let table = table(&rows);
    let line = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap();
    assert_eq!(line("welcome "), "welcome              4.16 s  -21 dB  (own) ようこそ  [hours]");
    assert!(line("draft").contains("missing"), "{table}");

    // An own recording never gets the text of the shipped one.
    fs::remove_file(folder.0.join("prompts.toml")).unwrap();
    let rows = list(&folder.0).unwrap();
    assert_eq!(rows.iter().find(|row| row.name == "welcome").unwrap().text, "");
}

#[test]
fn a_wrong_manifest_is_named_by_line() {
    let folder = Folder::new("manifest");
    folder.write("prompts.toml", b"[a]\ntext = \"x\"\n[b]\ntext = 3\n");
    let said = error(list(&folder.0));
    assert!(said.contains("prompts.toml:4: "), "{said}");
    folder.write("prompts.toml", b"[\"../a\"]\ntext = \"x\"\n");
    assert!(error(list(&folder.0)).contains("a prompt's name has"));
    folder.write("prompts.toml", b"\xff");
    assert!(error(list(&folder.0)).contains("is not UTF-8"));
}

#[test]
fn an_import_is_brought_to_our_form_and_written_down() {
    let folder = Folder::new("import");
    let source = Folder::new("import-from");
    let file = source.write("Recording 1.wav", &tone(44_100, 2));
    folder.write("prompts.toml", b"# ours\n[other]\ntext = \"o\" # stays\n");
    let length = make::import(&folder.0, &file, "own", Some("\"私\"の\n声")).unwrap();
    assert!((0.9..1.2).contains(&length.as_secs_f64()), "{length:?}");
    let manifest = manifest::read(&folder.0).unwrap();
    let bytes = fs::read(folder.0.join("own.wav")).unwrap();
    assert_eq!(manifest["own"].text, "\"私\"の 声");
    assert_eq!(manifest["own"].sha256, Some(manifest::sha256(&bytes)));
    assert_eq!(manifest["own"].made_from, None);
    let text = fs::read_to_string(folder.0.join("prompts.toml")).unwrap();
    assert!(text.starts_with("# ours\n[other]\ntext = \"o\" # stays\n\n[own]\n"), "{text}");
    assert!(library(&folder.0, |_, _| None).0.clip(&"own".into()).is_some());

    // Once more: the text stays, and nothing is left over.
    make::import(&folder.0, &file, "own", None).unwrap();
    assert_eq!(fs::read_to_string(folder.0.join("prompts.toml")).unwrap(), text);
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 2);
}

#[test]
fn an_import_can_not_leave_the_folder() {
    let folder = Folder::new("tricks");
    let file = folder.write("a.wav", &tone(8000, 1));
    let long = "a".repeat(65);
    for name in ["", "..", "../b", "b/c", "/tmp/b", "b\\c", "b.wav", "B", "ü", "b\0", "b\n", &long]
    {
        let result = make::import(&folder.0, &file, name, None);
        assert_eq!(result, Err(Error::Name(name.to_owned())), "{name:?}");
    }
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
    assert!(make::import(&folder.0, &file, &"a".repeat(64), None).is_ok());
}

#[test]
fn an_import_that_fails_changes_nothing() {
    let folder = Folder::new("fails");
    folder.write("own.wav", shipped("beep"));
    let junk = folder.write("junk", b"no wav");
    assert!(matches!(make::import(&folder.0, &junk, "own", None), Err(Error::Audio(..))));
    let missing = make::import(&folder.0, &folder.0.join("none"), "own", None);
    assert!(matches!(missing, Err(Error::Io(..))));
    // A manifest that an entry can't be put into: the name is there in quotes.
    let file = folder.write("good", &tone(8000, 1));
    folder.write("prompts.toml", b"[\"own\"]\ntext = \"x\"\n");
    assert!(matches!(make::import(&folder.0, &file, "own", None), Err(Error::Manifest(..))));
    assert_eq!(fs::read(folder.0.join("own.wav")).unwrap(), shipped("beep"));
}

/// A voice that says everything in the same tone, kept beside it.
fn voice(folder: &Folder, script: &str) -> Vec<OsString> {
    folder.write("voice.bin", &tone(24_000, 1));
    let script = script.replace("VOICE", folder.0.join("voice.bin").to_str().unwrap());
    vec!["sh".into(), "-c".into(), script.into()]
}

#[test]
fn a_voice_makes_what_is_missing_and_what_has_changed() {
    let folder = Folder::new("render");
    let command = voice(&folder, "grep -q こんにちは && cp VOICE \"$0\"");
    let welcome = &embedded_manifest()["welcome"];
    let as_shipped =
        format!("[welcome]\ntext = \"{}\"\nreading = \"{}\"\n", welcome.text, welcome.reading());
    let text = format!("{as_shipped}\n# mine\n[hello]\ntext = \"こんにちは\"\n");
    folder.write("prompts.toml", text.as_bytes());
    let render = || {
        let mut made = vec![];
        let count = make::render(
            &folder.0,
            || Ok(command.clone()),
            |name, _| {
                made.push(name.to_owned());
            },
        );
        assert_eq!(count, Ok(made.len()));
        made
    };
    assert_eq!(render(), ["hello"]);
    assert_eq!(render(), [""; 0]);
    let text = fs::read_to_string(folder.0.join("prompts.toml")).unwrap();
    assert!(text.contains("# mine\n[hello]\ntext = \"こんにちは\"\nvoice = \"sh\"\n"), "{text}");
    folder.write("prompts.toml", text.replace("こんにちは", "こんにちは。").as_bytes());
    assert_eq!(render(), ["hello"]);
    // A recording that somebody brought is nobody's to replace.
    make::import(&folder.0, &folder.0.join("voice.bin"), "hello", Some("別")).unwrap();
    assert_eq!(render(), [""; 0]);
}

#[test]
fn a_voice_that_fails_is_named() {
    let folder = Folder::new("voiceless");
    folder.write("prompts.toml", "[hello]\ntext = \"こんにちは\"\n".as_bytes());
    let render = |command: &[OsString]| {
        make::render(&folder.0, || Ok(command.to_vec()), |_, _| {}).unwrap_err().to_string()
    };
    let failing = voice(&folder, "cat > /dev/null; exit 3");
    assert_eq!(render(&failing), "sh: exit status: 3 (rendering `hello`)");
    let silent = voice(&folder, "cat > /dev/null");
    assert!(render(&silent).contains(".hello.raw.wav: "), "{}", render(&silent));
    assert!(render(&["/nowhere/voice".into()]).starts_with("/nowhere/voice: "));
    assert!(render(&[]).contains("rendering `hello`"));
    let junk = voice(&folder, "cat > \"$0\"");
    assert!(render(&junk).contains("not a readable WAV"));
    assert!(!folder.0.join("hello.wav").exists());
    assert!(!folder.0.join(".hello.raw.wav").exists());
    folder.write("prompts.toml", b"[hello]\ntext = \"\"\n");
    assert!(render(&junk).contains("[hello] has no text"));
}

#[test]
fn an_entry_is_put_in_place() {
    let entry = Entry { text: "t\\\"".into(), speed: Some(1.0), ..Entry::default() };
    let printed = "[b]\ntext = \"t\\\\\\\"\"\nspeed = 1.0\n";
    assert_eq!(manifest::with_entry("", "b", &entry), printed);
    let before = "# head\n[a]\ntext = \"1\"\n\n[b]\ntext = \"2\"\nlicence = \"l\"\n\n# c\n[c]\n";
    let after = format!("# head\n[a]\ntext = \"1\"\n\n{printed}\n# c\n[c]\n");
    assert_eq!(manifest::with_entry(before, "b", &entry), after);
    let again = manifest::parse(&after, Path::new("x")).unwrap();
    assert_eq!(again["b"], entry);
}
