//! What a node needs from Debian. The packages are downloaded through apt (its signed index is the
//! pin) and unpacked into the cache, not installed: no service of theirs ever starts on the host,
//! and the machine stays as it was.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::cache::{self, Recipe, Workshop};
use crate::{exec, interrupt};

/// containerd runs pods with runc and the CNI plugins, kube-proxy runs `nft`, the bed runs `ip`,
/// and busybox is what test pods are made of. The last four are databases, with their clients.
const PACKAGES: [&str; 10] = [
    "containerd",
    "runc",
    "containernetworking-plugins",
    "nftables",
    "iproute2",
    "busybox-static",
    "postgresql-15",
    "postgresql-client-15",
    "redis-server",
    "redis-tools",
];
const TITLE: &str = "getting Debian packages for the node (once per machine)";

/// Debian packages, unpacked.
#[derive(Debug, Clone)]
pub struct Debian {
    root: PathBuf,
}

impl Debian {
    /// The same, seen at another place.
    pub fn seen_at(place: &str) -> Self {
        Self { root: place.into() }
    }

    /// Where everything is.
    pub fn place(&self) -> &Path {
        &self.root
    }

    /// A file of a package, by its absolute path on a machine that has it installed.
    pub fn file(&self, path: &str) -> PathBuf {
        self.root.join("root").join(path.trim_start_matches('/'))
    }

    /// The folders with programs, as a PATH.
    pub fn path(&self) -> String {
        let folders =
            ["usr/sbin", "usr/bin", "sbin", "bin"].map(|folder| self.file(folder).display().to_string());
        folders.join(":")
    }

    /// Where the packages' libraries are.
    pub fn library_path(&self) -> String {
        let folders = ["usr/lib", "lib"].map(|folder| self.file(folder).join("x86_64-linux-gnu"));
        folders.map(|folder| folder.display().to_string()).join(":")
    }

    /// What was unpacked, one `package version` a line.
    pub fn versions(&self) -> String {
        fs::read_to_string(self.root.join("versions")).unwrap_or_default()
    }
}

/// The unpacked packages; downloads them once.
pub(super) fn get() -> Result<Debian> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let pins = [release.as_str(), &PACKAGES.join(" ")];
    let root = cache::get(
        &Recipe {
            name: "debian",
            title: TITLE,
            pins: &pins,
        },
        |workshop| {
            if exec::output(Command::new("apt-get").arg("--version")).is_err() {
                bail!(
                    "apt-get is missing (the node is made of Debian packages): run the bed on Debian, or use `up --servers-only`"
                );
            }
            // An index that names versions the mirror no longer has fails here, a fresh one does not.
            if download(workshop).is_err() {
                interrupt::check()?;
                let mut update = Command::new("apt-get");
                exec::logged(update.args(["update", "-q"]), workshop.log, || ())
                    .context("refresh the package index")?;
                download(workshop)?;
            }
            unpack(workshop)
        },
    )?;
    Ok(Debian { root })
}

fn download(workshop: &Workshop<'_>) -> Result<()> {
    let folder = workshop.folder.join("download");
    if !folder.exists() {
        fs::create_dir(&folder)?;
    }
    let mut command = Command::new("apt-get");
    command
        .current_dir(&folder)
        .args(["download", "-q"])
        .args(with_libraries()?);
    exec::logged(&mut command, workshop.log, || ()).context("download Debian packages")
}

/// Our packages, and those of their libraries that this machine lacks.
fn with_libraries() -> Result<Vec<String>> {
    let mut simulate = Command::new("apt-get");
    simulate
        .args(["install", "--simulate", "-q", "--no-install-recommends"])
        .args(PACKAGES);
    let plan = exec::output(simulate.env("LC_ALL", "C")).context("ask apt what the node's packages need")?;
    let missing = plan
        .lines()
        .filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
    let mut packages: Vec<String> = PACKAGES.into_iter().chain(missing).map(str::to_owned).collect();
    packages.sort_unstable();
    packages.dedup();
    Ok(packages)
}

fn unpack(workshop: &Workshop<'_>) -> Result<()> {
    let (download, root) = (workshop.folder.join("download"), workshop.folder.join("root"));
    let mut versions = Vec::new();
    for entry in fs::read_dir(&download)? {
        let package = entry?.path();
        let mut extract = Command::new("dpkg-deb");
        extract.arg("--extract").arg(&package).arg(&root);
        exec::logged(&mut extract, workshop.log, || ())
            .with_context(|| format!("unpack {}", package.display()))?;
        versions.push(version(&package)?);
    }
    versions.sort_unstable();
    fs::write(workshop.folder.join("versions"), versions.join("\n"))?;
    fs::remove_dir_all(download).context("remove the downloaded packages")
}

fn version(package: &Path) -> Result<String> {
    let mut show = Command::new("dpkg-deb");
    show.args(["--show", "--showformat", "${Package} ${Version}"])
        .arg(package);
    exec::output(&mut show)
}
