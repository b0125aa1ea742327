//! Hostile bytes: what each reader must do with whatever comes, as functions of bytes that panic
//! when a promise is broken.
//!
//! The same functions are driven by libFuzzer (`fuzz/run.sh`) and, here, by the small corpus in
//! `fuzz/corpus`, which has what once went wrong in it too.

mod journal;
mod media;
mod sequence;
mod sip;
mod text;

/// How a target is called, and what it does with bytes.
type Target = (&'static str, fn(&[u8]));

/// Every target.
pub(crate) const TARGETS: &[Target] = &[
    ("datagram", sip::datagram),
    ("stream", sip::stream),
    ("uri", sip::uri),
    ("headers", sip::headers),
    ("auth", sip::auth),
    ("sdp", sip::sdp),
    ("rtp", media::rtp),
    ("rtcp", media::rtcp),
    ("srtp", media::srtp),
    ("wav", media::wav),
    ("config", text::config),
    ("journal", journal::journal),
    ("kept", journal::kept),
    ("sequence", sequence::sequence),
];

#[cfg(test)]
mod replay {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::TARGETS;

    /// Files of all corpora together, and their bytes.
    const FILES_MAX: usize = 50 * TARGETS.len();
    const BYTES_MAX: u64 = 200_000;

    fn corpus(target: &str) -> Vec<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        let files =
            fs::read_dir(&folder).unwrap_or_else(|_| panic!("{} is there", folder.display()));
        let mut files: Vec<_> = files.map(|entry| entry.expect("a file").path()).collect();
        files.sort();
        files
    }

    fn replay(name: &str) {
        let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).expect("a target");
        let files = corpus(name);
        assert!(!files.is_empty(), "{name} has no corpus");
        for file in files {
            let bytes = fs::read(&file).expect("a file");
            // Which file it was, where it panics.
            eprintln!("{}", file.display());
            target(&bytes);
        }
    }

    macro_rules! targets {
        ($($name:ident)*) => {
            const REPLAYED: &[&str] = &[$(stringify!($name)),*];
            $(
                #[test]
                fn $name() {
                    replay(stringify!($name));
                }
            )*
        };
    }

    targets!(datagram stream uri headers auth sdp rtp rtcp srtp wav config journal kept sequence);

    #[test]
    fn every_target_is_replayed_and_the_corpora_are_small() {
        let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, REPLAYED);
        let files: Vec<_> = names.iter().flat_map(|name| corpus(name)).collect();
        let bytes: u64 = files.iter().map(|file| fs::metadata(file).expect("a file").len()).sum();
        assert!(files.len() <= FILES_MAX, "{} files", files.len());
        assert!(bytes <= BYTES_MAX, "{bytes} bytes");
    }
}
