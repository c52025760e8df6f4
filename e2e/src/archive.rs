//! Archives whose bytes are a matter of what is in them, and of a time that is given.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::path::Path;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

/// Files by path, without a leading slash.
pub type Files = BTreeMap<String, Node>;

/// One thing in an archive. Parent folders are made as needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A file with these permissions.
    File(u32, Vec<u8>),
    /// A folder with these permissions.
    Folder(u32),
    /// A symbolic link to this target.
    Link(String),
}

/// A tar in the order of the paths; all of it belongs to root and is of this time, in seconds since 1970.
pub fn tar(files: &Files, time: u64) -> Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut made = BTreeSet::new();
    for (path, node) in files {
        let mut ancestors: Vec<&Path> = Path::new(path).ancestors().skip(1).collect();
        ancestors.pop();
        for folder in ancestors.into_iter().rev() {
            let folder = folder.to_str().context("paths are text")?;
            if !files.contains_key(folder) && made.insert(folder.to_owned()) {
                append(&mut tar, folder, &Node::Folder(0o755), time)?;
            }
        }
        append(&mut tar, path, node, time)?;
    }
    tar.into_inner().context("finish the tar")
}

/// The same, compressed.
pub fn tar_gz(files: &Files, time: u64) -> Result<Vec<u8>> {
    // Its header has no name and no time.
    let mut gz = GzEncoder::new(Vec::new(), Compression::best());
    gz.write_all(&tar(files, time)?)?;
    gz.finish().context("compress a tar")
}

/// The files of a compressed tar, readable by all, whatever else is said about them.
pub fn files(tar_gz: &[u8]) -> Result<Files> {
    let mut archive = tar::Archive::new(GzDecoder::new(tar_gz));
    let mut files = Files::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_str().context("paths are text")?.to_owned();
        if entry.header().entry_type().is_file() {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            files.insert(path, Node::File(0o644, bytes));
        }
    }
    Ok(files)
}

/// In hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// Appends one entry that says nothing about where and by whom it was made.
pub(crate) fn append(tar: &mut tar::Builder<Vec<u8>>, path: &str, node: &Node, time: u64) -> Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(time);
    header.set_size(0);
    let written = match node {
        Node::File(mode, bytes) => {
            header.set_mode(*mode);
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, path, bytes.as_slice())
        }
        Node::Folder(mode) => {
            header.set_mode(*mode);
            header.set_entry_type(tar::EntryType::Directory);
            tar.append_data(&mut header, format!("{path}/"), std::io::empty())
        }
        Node::Link(target) => {
            header.set_mode(0o777);
            header.set_entry_type(tar::EntryType::Symlink);
            tar.append_link(&mut header, path, target)
        }
    };
    written.with_context(|| format!("put {path} into a tar"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(order: [&str; 3]) -> Files {
        let file = |name: &str| (name.to_owned(), Node::File(0o644, name.as_bytes().to_vec()));
        order.iter().map(|name| file(name)).collect()
    }

    #[test]
    fn the_same_files_give_the_same_bytes() {
        let one = tar_gz(&some(["b/c", "a", "b/d"]), 7).expect("an archive");
        assert_eq!(one, tar_gz(&some(["b/d", "b/c", "a"]), 7).expect("an archive"));
        assert_ne!(one, tar_gz(&some(["b/d", "b/c", "a"]), 8).expect("an archive"));
        assert_ne!(one, tar_gz(&some(["b/d", "b/e", "a"]), 7).expect("an archive"));
        // Ten bytes of header: no flags, no name, no time.
        assert_eq!(one[..8], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn entries_say_nothing_of_who_made_them() {
        let tar = tar(&some(["b/c", "a", "b/d"]), 7).expect("a tar");
        let mut archive = tar::Archive::new(tar.as_slice());
        let mut names = Vec::new();
        for entry in archive.entries().expect("entries") {
            let entry = entry.expect("an entry");
            let header = entry.header();
            assert_eq!(
                (header.uid().ok(), header.gid().ok(), header.mtime().ok()),
                (Some(0), Some(0), Some(7))
            );
            assert_eq!(header.username().ok().flatten(), Some(""));
            names.push(entry.path().expect("a path").display().to_string());
        }
        assert_eq!(names, ["a", "b/", "b/c", "b/d"]);
    }

    #[test]
    fn what_was_packed_by_another_is_packed_like_ours() {
        let wanted = some(["b/c", "a", "b/d"]);
        let theirs = tar_gz(&wanted, 1_700_000_000).expect("an archive");
        assert_eq!(files(&theirs).expect("files"), wanted);
    }
}
