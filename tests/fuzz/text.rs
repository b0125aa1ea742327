//! Readers of what operators write.

use std::path::Path;

use koebashi::config as reader;

/// A configuration: it is taken or complained about, each complaint with its place, and the same
/// text is the same configuration.
pub(crate) fn config(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(&bytes[..bytes.len().min(1 << 15)]) else { return };
    // What it names is sought where nothing is.
    let folder = Path::new("/nonexistent");
    match reader::parse(text, "fuzz.toml", folder) {
        Ok(loaded) => {
            let again = reader::parse(text, "fuzz.toml", folder);
            let again = again.unwrap_or_else(|_| panic!("the same text is refused"));
            assert_eq!(again.call, loaded.call);
            assert!(loaded.call.lines.values().all(|line| line.queue.max_wait.as_secs() > 0));
            for warning in &loaded.warnings {
                assert!(!warning.to_string().is_empty());
            }
        }
        Err(complaints) => {
            assert!(!complaints.is_empty(), "refused, and nothing is said");
            // Two hundred of each of three kinds, and that there are more.
            assert!(complaints.len() <= 603, "{} complaints", complaints.len());
            for complaint in complaints {
                let said = complaint.to_string();
                assert!(said.contains("fuzz.toml") || !said.is_empty());
            }
        }
    }
}
