//! `koebashi demo`: the real program on real sockets, its file measured anew.

use std::f64::consts::TAU;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Longer than this the demo may not take, whatever the load.
const LIMIT: Duration = Duration::from_secs(60);
/// Samples of a block: 100 ms.
const BLOCK: usize = 800;

/// A folder for one test, which is empty at first and removed afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("koebashi-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Runs `koebashi demo` in `folder`, with `temporary` for its own files.
fn demo(folder: &Path, temporary: &Path) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_koebashi"))
        .arg("demo")
        .current_dir(folder)
        .env("TMPDIR", temporary)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let end = Instant::now() + LIMIT;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > end {
            child.kill().unwrap();
        }
        sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

/// The blocks in which at least half of the power is at `hz`, and some is there at all.
fn blocks_of(samples: &[i16], hz: f64) -> usize {
    let is_tone = |block: &&[i16]| {
        let (mut cosine, mut sine, mut total) = (0.0, 0.0, 0.0);
        for (n, sample) in block.iter().enumerate() {
            let (value, angle) = (f64::from(*sample), TAU * hz * n as f64 / 8000.0);
            cosine += value * angle.cos();
            sine += value * angle.sin();
            total += value * value;
        }
        let tone = 2.0 * (cosine * cosine + sine * sine) / block.len() as f64;
        total / block.len() as f64 > 100_000.0 && tone > total / 2.0
    };
    samples.chunks_exact(BLOCK).filter(is_tone).count()
}

#[test]
fn the_main_job_is_shown_and_both_voices_are_in_the_file() {
    let folder = Folder::new("demo");
    let output = demo(&folder.0, &folder.0);
    let said = String::from_utf8(output.stdout).unwrap();
    let complaints = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}{complaints}");
    for step in ["signs in", "calls", "hears the welcome", "rings", "joined", "speaks", "hangs up"]
    {
        assert!(said.contains(step), "no {step:?} in\n{said}");
    }
    assert!(said.contains("record: answered"), "{said}");
    assert!(said.contains("both voices crossed"), "{said}");

    let left: Vec<_> = fs::read_dir(&folder.0).unwrap().map(|f| f.unwrap().file_name()).collect();
    assert_eq!(left, ["demo.wav"], "what the demo leaves behind");
    let mut file = hound::WavReader::open(folder.0.join("demo.wav")).unwrap();
    assert_eq!((file.spec().channels, file.spec().sample_rate), (2, 8000));
    let samples: Vec<i16> = file.samples().map(Result::unwrap).collect();
    let channel = |n: usize| samples.iter().skip(n).step_by(2).copied().collect::<Vec<_>>();
    let (caller_heard, counselor_heard) = (channel(0), channel(1));
    // Each speaks for two turns of 2.2 s, with 1.4 s of its base tone in each.
    let counts = [
        (&caller_heard, 659.0, true),
        (&counselor_heard, 440.0, true),
        (&counselor_heard, 659.0, false),
    ];
    for (samples, hz, is_there) in counts {
        let blocks = blocks_of(samples, hz);
        assert!(if is_there { blocks >= 18 } else { blocks == 0 }, "{hz} Hz in {blocks} blocks");
    }
    // Hold music may be at 440 Hz, the talk may not.
    let talk = caller_heard.len().saturating_sub(8000 * 7);
    assert_eq!(blocks_of(&caller_heard[talk..], 440.0), 0);
}

#[test]
fn a_demo_that_can_not_run_says_why_in_one_line() {
    let folder = Folder::new("no-demo");
    let output = demo(&folder.0, Path::new("/nonexistent"));
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert!(complaint.starts_with("koebashi: no folder for the records: "), "{complaint}");
}
