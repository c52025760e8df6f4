//! The two images every bed has, and how images get to the node.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::node::PAUSE_IMAGE;
use super::site::Site;
use crate::archive::Node;
use crate::image::Image;
use crate::tools::Debian;
use crate::{exec, wait};

/// An image for test pods: busybox with a shell.
pub const TEST_IMAGE: &str = "keystead.test/busybox:1";
const USER: &str = "65532:65532";

/// Makes the bed's own images and imports them.
pub(super) fn import_own(site: &Site) -> Result<()> {
    let folder = site.state.join("images");
    let (pause, busybox) = (folder.join("pause.tar"), folder.join("busybox.tar"));
    self::pause(site)?.write(&pause)?;
    write_test_image(site.debian()?, &busybox)?;
    let ctr = site.state.join("bin/ctr");
    import(&ctr, &pause)?;
    import(&ctr, &busybox)?;
    fs::remove_dir_all(folder).context("remove the imported images")
}

/// Imports an image and waits until the kubelet's side of containerd knows it: it hears of new
/// images by events.
pub(super) fn import(ctr: &Path, tar: &Path) -> Result<()> {
    let imported = exec::output(Command::new(ctr).args(["images", "import"]).arg(tar))
        .with_context(|| format!("import the image {}", tar.display()))?;
    let name = imported.split_whitespace().nth(1).unwrap_or_default().to_owned();
    wait::until(
        format_args!("the node knows the image {name}"),
        Duration::from_secs(20),
        None,
        || {
            let images = exec::output(Command::new(ctr).args(["images", "list"]))?;
            Ok(images
                .lines()
                .any(|line| line.starts_with(&name) && line.contains("io.cri-containerd.image=managed")))
        },
    )
}

/// Writes the image for test pods as a tar file.
pub fn write_test_image(debian: &Debian, tar: &Path) -> Result<()> {
    busybox(debian)?.write(tar).map(drop)
}

fn pause(site: &Site) -> Result<Image> {
    let program = fs::read(&site.tools.pause).context("read the pause program")?;
    Ok(Image {
        name: PAUSE_IMAGE.into(),
        files: [("pause".to_owned(), Node::File(0o755, program))].into(),
        entrypoint: vec!["/pause".into()],
        user: USER.into(),
        ..Image::default()
    })
}

fn busybox(debian: &Debian) -> Result<Image> {
    let program = ["/bin/busybox", "/usr/bin/busybox"].map(|path| debian.file(path));
    let program = program
        .into_iter()
        .find(|path| path.exists())
        .context("busybox-static has no busybox")?;
    let applets = exec::output(Command::new(&program).arg("--list"))?;
    let mut files: BTreeMap<String, Node> = applets
        .lines()
        .map(|applet| (format!("bin/{applet}"), Node::Link("busybox".into())))
        .collect();
    files.insert("bin/busybox".into(), Node::File(0o755, fs::read(&program)?));
    files.insert("tmp".into(), Node::Folder(0o1777));
    let users = "root:x:0:0:root:/:/bin/sh\nnobody:x:65532:65532:nobody:/:/bin/sh\n";
    files.insert("etc/passwd".into(), Node::File(0o644, users.into()));
    Ok(Image {
        name: TEST_IMAGE.into(),
        files,
        entrypoint: Vec::new(),
        user: USER.into(),
        environment: vec!["PATH=/bin".into()],
        ..Image::default()
    })
}
