//! The termination message: what the kubelet shows of a container that has ended, however it did.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Always what is wrong at the moment, so that even one who is killed has said it.
#[derive(Debug, Default)]
pub(super) struct LastWords {
    path: PathBuf,
    written: bool,
}

impl LastWords {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            written: false,
        }
    }

    pub(super) fn set(&mut self, sentence: &str) {
        // The kubelet has made the file. Where there is none nobody would read it.
        let file = OpenOptions::new().write(true).truncate(true).open(&self.path);
        match file.and_then(|mut file| file.write_all(sentence.as_bytes())) {
            Ok(()) => self.written = !sentence.is_empty(),
            Err(error) => tracing::debug!(%error, "no termination message"),
        }
    }

    pub(super) fn set_if_none(&mut self, sentence: &str) {
        if !self.written {
            self.set(sentence);
        }
    }

    pub(super) fn clear(&mut self) {
        if self.written {
            self.set("");
        }
    }
}
