//! A generation that is the current one without some of its files, whatever these hold.

use super::{FilePath, Tree, is_our_link};
use crate::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

impl Tree {
    /// Removes every file but those wanted, in one step; these stay as they are.
    pub fn keep(&self, wanted: impl Fn(&FilePath) -> bool) -> Result<(), Error> {
        let Some(current) = self.current()? else {
            return Ok(());
        };
        let mut found = Vec::new();
        list(&current, Path::new(""), &mut found).map_err(Error::disk("read", &current))?;
        let paths = found.iter().map(|path| FilePath::parse(&path.to_string_lossy()));
        let kept: Vec<FilePath> = paths.flatten().filter(&wanted).collect();
        if kept.len() == found.len() {
            return Ok(());
        }
        self.sweep(Some(&current))?;
        let next = self.make_generation()?;
        let swapped = self.link(&next, &current, &kept).and_then(|()| self.swap(&next));
        if let Err(error) = swapped {
            // The old generation still counts; the error that matters is the first one.
            let _ = fs::remove_dir_all(&next);
            return Err(error);
        }
        self.unlink_dangling()?;
        self.sweep(Some(&next))
    }

    fn link(&self, next: &Path, current: &Path, kept: &[FilePath]) -> Result<(), Error> {
        for path in kept {
            self.make_parents(next, path)?;
            let file = next.join(path);
            fs::hard_link(current.join(path), &file).map_err(Error::disk("link", &file))?;
        }
        Ok(())
    }

    fn unlink_dangling(&self) -> Result<(), Error> {
        for name in self.names()? {
            let place = self.root.join(&name);
            if name.to_str().is_some_and(|name| is_our_link(&place, name)) && !place.exists() {
                fs::remove_file(&place).map_err(Error::disk("remove", &place))?;
            }
        }
        Ok(())
    }
}

/// The files below `root`, relative to it.
fn list(root: &Path, below: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            list(root, &path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{Content, Contents, Written};
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn what_is_not_wanted_goes_and_the_rest_is_untouched() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::new(dir.path(), 0o440);
        let path = |text| FilePath::parse(text).unwrap();
        let content = |text: &str| Content {
            text: text.into(),
            mode: 0o440,
        };
        let contents: Contents = ["a", "b/c", "b/d", "e/f"]
            .into_iter()
            .map(|text| (path(text), content(text)))
            .collect();
        tree.keep(|_| false).unwrap();
        assert_eq!(tree.write(&contents).unwrap().written, Written::Changed);
        let inode = |text: &str| fs::metadata(dir.path().join(text)).unwrap().ino();
        let (before, link) = (inode("b/d"), fs::read_link(dir.path().join("..data")).unwrap());

        tree.keep(|_| true).unwrap();
        assert_eq!(
            fs::read_link(dir.path().join("..data")).unwrap(),
            link,
            "nothing to do"
        );
        tree.keep(|file| *file == path("b/d")).unwrap();
        let mut names: Vec<String> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.starts_with(".."))
            .collect();
        names.sort();
        assert_eq!(names, ["b"]);
        assert_eq!(inode("b/d"), before);
        assert!(!dir.path().join("b/c").exists());

        assert_eq!(tree.write(&contents).unwrap().written, Written::Changed);
        assert_eq!(fs::read_to_string(dir.path().join("e/f")).unwrap(), "e/f");
        assert_eq!(inode("b/d"), before);
    }
}
