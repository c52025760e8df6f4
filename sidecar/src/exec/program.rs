//! The program itself, put where containers with other images find it.

use crate::error::Error;
use keystead_crds::names;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// For everybody in the pod; nobody writes.
const MODE: u32 = 0o555;
/// The running program.
const OWN: &str = "/proc/self/exe";

/// Copies this program among the files, in one step; one of this size is it, from before a restart.
pub(crate) fn install(files: &Path) -> Result<(), Error> {
    let (place, next) = (files.join(names::PROGRAM_FILE), files.join(".keystead.next"));
    let size = |path: &Path| fs::metadata(path).map(|metadata| metadata.len()).ok();
    if size(&place).is_some() && size(&place) == size(Path::new(OWN)) {
        return Ok(());
    }
    // What a killed predecessor left.
    let _ = fs::remove_file(&next);
    copy(&next)
        .map_err(Error::disk("write", &next))
        .and_then(|()| fs::rename(&next, &place).map_err(Error::disk("replace", &place)))
        .inspect_err(|_| {
            // A half-written one takes the space that files need.
            let _ = fs::remove_file(&next);
        })
}

fn copy(to: &Path) -> io::Result<()> {
    let mut program = File::open(OWN)?;
    let mut copy = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(to)?;
    io::copy(&mut program, &mut copy).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn it_is_there_whole_for_everybody_once() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".keystead.next"), "half").unwrap();
        install(dir.path()).unwrap();
        let place = dir.path().join(names::PROGRAM_FILE);
        let metadata = fs::metadata(&place).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o555);
        assert_eq!(fs::read(&place).unwrap(), fs::read(OWN).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let made = metadata.modified().unwrap();
        install(dir.path()).unwrap();
        assert_eq!(fs::metadata(&place).unwrap().modified().unwrap(), made);
    }
}
