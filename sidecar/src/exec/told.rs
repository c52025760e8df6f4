//! Which of the command's files have changed since it was told: a signal needs no way into its container
//! where it comes from its parent.

use super::{LOOK, Wanted};
use crate::files::DATA;
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// What tells a file from another of its name: one that has not changed is the same in all generations.
type Version = (u64, i64, i64);

/// The files as the command knows them.
pub(super) struct Told<'a> {
    files: &'a Path,
    wanted: &'a [Wanted],
    known: Vec<Option<Version>>,
    /// At the last look; one that changes still is not told of.
    last: Vec<Option<Version>>,
    looks: Interval,
}

impl<'a> Told<'a> {
    /// All is known as it is now.
    pub(super) fn new(files: &'a Path, wanted: &'a [Wanted]) -> Self {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let known = versions(files, wanted);
        Self {
            files,
            wanted,
            last: known.clone(),
            known,
            looks,
        }
    }

    /// The signals that tell of the next changes, each once; for ever nothing where nobody is told. May be
    /// dropped and asked anew.
    pub(super) async fn next(&mut self) -> Vec<Signal> {
        if self.wanted.is_empty() {
            return std::future::pending().await;
        }
        loop {
            self.looks.tick().await;
            let found = versions(self.files, self.wanted);
            let rests = found == self.last;
            self.last.clone_from(&found);
            if !rests {
                continue;
            }
            let mut signals = Vec::new();
            for ((wanted, known), found) in self.wanted.iter().zip(&mut self.known).zip(found) {
                // Nobody is told of a file that goes.
                if found.is_none() || found == *known {
                    continue;
                }
                *known = found;
                if !signals.contains(&wanted.signal) {
                    signals.push(wanted.signal);
                }
            }
            if !signals.is_empty() {
                return signals;
            }
        }
    }
}

fn versions(files: &Path, wanted: &[Wanted]) -> Vec<Option<Version>> {
    // One generation for all of them.
    let Ok(generation) = fs::canonicalize(files.join(DATA)) else {
        return vec![None; wanted.len()];
    };
    let version = |wanted: &Wanted| {
        let found = fs::metadata(generation.join(&wanted.file)).ok()?;
        Some((found.ino(), found.mtime(), found.mtime_nsec()))
    };
    wanted.iter().map(version).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{Content, Contents, FilePath, Tree};
    use std::time::Duration;
    use tokio::time::timeout;

    fn contents(pairs: &[(&str, &str)]) -> Contents {
        let content = |text: &str| Content {
            text: text.into(),
            mode: 0o444,
        };
        let pairs = pairs.iter();
        pairs
            .map(|(path, text)| (FilePath::parse(path).unwrap(), content(text)))
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn each_change_of_its_files_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::new(dir.path(), 0o444);
        let write = |pairs: &[(&str, &str)]| tree.write(&contents(pairs)).map(drop).unwrap();
        let wanted = [
            ("a", Signal::SIGHUP),
            ("b", Signal::SIGHUP),
            ("d/c", Signal::SIGUSR1),
        ]
        .map(|(file, signal)| {
            let file = FilePath::parse(file).unwrap();
            Wanted { signal, file }
        });
        write(&[("a", "1"), ("b", "1"), ("d/c", "1"), ("other", "1")]);
        let mut told = Told::new(dir.path(), &wanted);
        let long = Duration::from_mins(1);
        assert!(
            timeout(long, told.next()).await.is_err(),
            "it has read the first ones"
        );
        write(&[("a", "1"), ("b", "1"), ("d/c", "1"), ("other", "2")]);
        assert!(timeout(long, told.next()).await.is_err(), "somebody else's");
        write(&[("a", "2"), ("b", "2"), ("d/c", "1"), ("other", "2")]);
        assert_eq!(told.next().await, [Signal::SIGHUP]);
        assert!(timeout(long, told.next()).await.is_err());
        write(&[("a", "2"), ("b", "2"), ("other", "2")]);
        assert!(timeout(long, told.next()).await.is_err(), "one that goes");
        write(&[("a", "3"), ("b", "2"), ("d/c", "1"), ("other", "2")]);
        assert_eq!(told.next().await, [Signal::SIGHUP, Signal::SIGUSR1]);
    }
}
