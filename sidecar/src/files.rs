//! The application's files, replaced all at once and only when one of them changes.
//!
//! The layout is the kubelet's own for ConfigMaps and Secrets, so whatever watches those works here:
//!
//! ```text
//! /keystead/..1763775965123456789/hubspot.env   a directory for each generation
//! /keystead/..data        -> ..1763775965123456789    renamed over the old one: the swap
//! /keystead/hubspot.env   -> ..data/hubspot.env       one link for each top-level name
//! ```
//!
//! What is on disk is the memory of what was rendered last: no copy is kept in the process, and a
//! sidecar that was restarted, or a file that was lost, needs no special case. A file whose content
//! is the same in both generations is linked, not copied, so its time of change stays what it was.
//!
//! All calls block: the volume is memory, and a thread pool would cost more than it could save.

mod keep;
mod path;

pub use path::{FilePath, PathError};

use crate::error::Error;
use keystead_vault::Sensitive;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The link that says which generation counts.
pub(crate) const DATA: &str = "..data";
/// The link before it is renamed.
const DATA_NEXT: &str = "..data_tmp";

/// Files by path.
pub type Contents = BTreeMap<FilePath, Content>;

/// One file, as it is to be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Content {
    /// What it holds.
    pub text: Sensitive<String>,
    /// Its mode, such as 0o440.
    pub mode: u32,
}

/// The directory that applications see.
#[derive(Clone, Debug)]
pub struct Tree {
    root: PathBuf,
    mode: u32,
}

/// What [`Tree::write`] did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Update {
    /// Whether there was anything to do.
    pub written: Written,
    /// The files whose content or mode is another than before. None the first time: nobody has seen a
    /// generation before that.
    pub news: BTreeSet<FilePath>,
}

/// Whether there was something to write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Written {
    /// There was something to change.
    Changed,
    /// Everything was as it should be.
    Unchanged,
}

// === impl Tree ===

impl Tree {
    /// The files below `root`, in directories for those who may read a file of this mode.
    pub fn new(root: &Path, mode: u32) -> Self {
        Self {
            root: root.to_owned(),
            mode,
        }
    }

    /// Makes the directory show these files and no others.
    pub fn write(&self, contents: &Contents) -> Result<Update, Error> {
        let current = self.current()?;
        // What a killed predecessor left takes space that the new generation may need.
        self.sweep(current.as_deref())?;
        if shows(current.as_deref(), contents)? {
            // The swap may have been the last thing a killed predecessor did.
            self.link_names(contents)?;
            self.unlink_names(contents)?;
            return Ok(Update {
                written: Written::Unchanged,
                news: BTreeSet::new(),
            });
        }
        self.check_names(contents)?;
        let next = self.make_generation()?;
        let swapped = self
            .fill(&next, current.as_deref(), contents)
            .and_then(|news| self.swap(&next).map(|()| news));
        let news = swapped.inspect_err(|_| {
            // The old generation still counts; the error that matters is the first one.
            let _ = fs::remove_dir_all(&next);
        })?;
        self.link_names(contents)?;
        self.unlink_names(contents)?;
        self.sweep(Some(&next))?;
        Ok(Update {
            written: Written::Changed,
            news: current.map_or_else(BTreeSet::new, |_| news),
        })
    }

    /// The generation that counts, if it is there.
    fn current(&self) -> Result<Option<PathBuf>, Error> {
        let link = self.root.join(DATA);
        match fs::read_link(&link) {
            Ok(target) if is_generation(target.as_os_str()) => {
                Ok(Some(self.root.join(target)).filter(|generation| generation.is_dir()))
            }
            Ok(_) => Err(Error::Taken(link)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == ErrorKind::InvalidInput => Err(Error::Taken(link)),
            Err(error) => Err(Error::disk("read", &link)(error)),
        }
    }

    /// Refuses to stand where something else stands.
    fn check_names(&self, contents: &Contents) -> Result<(), Error> {
        for name in contents.keys().map(FilePath::top) {
            let place = self.root.join(name);
            if fs::symlink_metadata(&place).is_ok() && !is_our_link(&place, name) {
                return Err(Error::Taken(place));
            }
        }
        Ok(())
    }

    fn make_generation(&self) -> Result<PathBuf, Error> {
        self.make_generation_at(SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos())
    }

    /// One with this stamp, or the next that is free: nothing but its name hangs on the clock.
    fn make_generation_at(&self, mut stamp: u128) -> Result<PathBuf, Error> {
        loop {
            let directory = self.root.join(format!("..{stamp}"));
            match self.make_directory(&directory) {
                // The clock was set back.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => stamp += 1,
                Err(error) => return Err(Error::disk("make", &directory)(error)),
                Ok(()) => return Ok(directory),
            }
        }
    }

    /// Makes a directory for those who may read the files. The mode is given at once and never
    /// again: a later chmod would drop the set-group-id bit that hands an `fsGroup` down.
    fn make_directory(&self, directory: &Path) -> io::Result<()> {
        let readers = self.mode & 0o444;
        DirBuilder::new()
            .mode(0o700 | readers | (readers >> 2))
            .create(directory)
    }

    /// Answers which files are not as they were.
    fn fill(
        &self,
        next: &Path,
        current: Option<&Path>,
        contents: &Contents,
    ) -> Result<BTreeSet<FilePath>, Error> {
        let mut news = BTreeSet::new();
        for (path, content) in contents {
            let file = next.join(path);
            self.make_parents(next, path)?;
            let old = current
                .map(|current| current.join(path))
                .filter(|old| is_same(old, content));
            if old.is_none() {
                news.insert(path.clone());
            }
            if old.is_some_and(|old| fs::hard_link(old, &file).is_ok()) {
                continue;
            }
            write_new(&file, content.mode, content.text.expose().as_bytes())
                .map_err(Error::disk("write", &file))?;
        }
        Ok(news)
    }

    fn make_parents(&self, generation: &Path, path: &FilePath) -> Result<(), Error> {
        for (end, _) in path.0.match_indices('/') {
            let directory = generation.join(&path.0[..end]);
            match self.make_directory(&directory) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(Error::disk("make", &directory)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The one step that readers see.
    fn swap(&self, next: &Path) -> Result<(), Error> {
        let link = self.root.join(DATA_NEXT);
        let name = next.file_name().unwrap_or_default();
        symlink(name, &link).map_err(Error::disk("make", &link))?;
        let data = self.root.join(DATA);
        fs::rename(&link, &data).map_err(Error::disk("replace", &data))
    }

    /// Makes the links that are missing.
    fn link_names(&self, contents: &Contents) -> Result<(), Error> {
        for name in contents.keys().map(FilePath::top) {
            let place = self.root.join(name);
            match symlink(Path::new(DATA).join(name), &place) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists && is_our_link(&place, name) => {}
                Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(Error::Taken(place)),
                Err(error) => return Err(Error::disk("make", &place)(error)),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Removes the links to what is no longer there.
    fn unlink_names(&self, contents: &Contents) -> Result<(), Error> {
        for name in self.names()? {
            let wanted = name
                .to_str()
                .is_some_and(|name| contents.keys().any(|path| path.top() == name));
            let place = self.root.join(&name);
            if !wanted && name.to_str().is_some_and(|name| is_our_link(&place, name)) {
                fs::remove_file(&place).map_err(Error::disk("remove", &place))?;
            }
        }
        Ok(())
    }

    /// Removes every generation but this one, and a link that was never renamed.
    fn sweep(&self, keep: Option<&Path>) -> Result<(), Error> {
        for name in self.names()? {
            let place = self.root.join(&name);
            let removed = if name == DATA_NEXT {
                fs::remove_file(&place)
            } else if is_generation(&name) && keep != Some(&*place) {
                fs::remove_dir_all(&place)
            } else {
                continue;
            };
            removed.map_err(Error::disk("remove", &place))?;
        }
        Ok(())
    }

    fn names(&self) -> Result<Vec<std::ffi::OsString>, Error> {
        let entries = fs::read_dir(&self.root)
            .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect());
        entries.map_err(Error::disk("list", &self.root))
    }
}

/// Whether the generation holds exactly these files.
fn shows(generation: Option<&Path>, contents: &Contents) -> Result<bool, Error> {
    let Some(generation) = generation else {
        return Ok(contents.is_empty());
    };
    let same = contents
        .iter()
        .all(|(path, content)| is_same(&generation.join(path), content));
    Ok(same && count_files(generation).map_err(Error::disk("read", generation))? == contents.len())
}

/// Whether the file is as it would be written. One that can't be read is not.
fn is_same(file: &Path, Content { text, mode }: &Content) -> bool {
    let Ok(metadata) = fs::symlink_metadata(file) else {
        return false;
    };
    let alike = metadata.is_file()
        && metadata.permissions().mode() & 0o777 == *mode
        && metadata.len() == text.expose().len() as u64;
    alike
        && fs::read(file)
            .map(Sensitive::new)
            .is_ok_and(|found| found.expose() == text.expose().as_bytes())
}

/// Writes a file that is not there yet, its mode set as it is opened.
fn write_new(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    let mut file: File = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    file.write_all(content)
}

/// Replaces a file in one step; readers see the old content or the new one. Says whether it had to.
pub(crate) fn replace(path: &Path, mode: u32, content: &[u8]) -> Result<Written, Error> {
    if fs::read(path)
        .map(Sensitive::new)
        .is_ok_and(|found| found.expose() == content)
    {
        return Ok(Written::Unchanged);
    }
    let mut next = path.as_os_str().to_owned();
    next.push(".next");
    let next = PathBuf::from(next);
    // What a killed predecessor left.
    match fs::remove_file(&next) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(Error::disk("remove", &next)(error)),
        _ => {}
    }
    let written = write_new(&next, mode, content).map_err(Error::disk("write", &next));
    if let Err(error) = written.and_then(|()| fs::rename(&next, path).map_err(Error::disk("replace", path))) {
        let _ = fs::remove_file(&next);
        return Err(error);
    }
    Ok(Written::Changed)
}

fn count_files(directory: &Path) -> io::Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        count += if entry.file_type()?.is_dir() {
            count_files(&entry.path())?
        } else {
            1
        };
    }
    Ok(count)
}

/// Whether we could have given this name to a generation.
fn is_generation(name: &OsStr) -> bool {
    let digits = name.to_str().and_then(|name| name.strip_prefix(".."));
    digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_our_link(place: &Path, name: &str) -> bool {
    fs::read_link(place).is_ok_and(|target| target == Path::new(DATA).join(name))
}

#[cfg(test)]
mod tests;
