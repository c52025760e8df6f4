//! `cargo e2e release`: everything that somebody needs who has no source. The same commit gives the same bytes,
//! in whatever folder and on whatever machine with the same compiler.

mod krew;
mod sbom;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::archive::{self, Files, Node};
use crate::args::Release;
use crate::exec;
use crate::programs::{self, VERSION};
use crate::tools::Clients;
use crate::ui;

/// The sums of all other files.
const SUMS: &str = "SHA256SUMS";
/// The programs, and the packages that they are built from.
const PROGRAMS: [(&str, &str); 3] = [
    ("keystead-operator", "keystead-operator"),
    ("keystead-sidecar", "keystead-sidecar"),
    ("kubectl-keystead", "keystead-cli"),
];
/// The script by which kubectl completes the tool's words.
const COMPLETER: &str = "kubectl_complete-keystead";

/// Makes all of it. The folder is there when all of it is.
pub fn release(options: &Release) -> Result<()> {
    let out = &options.out;
    ensure!(!out.exists(), "{} exists already: remove it", out.display());
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(parent)?;
    let time = committed()?;
    let unfinished = TempDir::with_prefix_in("release-", parent).context("create a folder")?;
    let folder = unfinished.path();

    programs::images(folder)?;
    let archive = plugin(time)?;
    let name = format!("kubectl-keystead-{VERSION}-linux-amd64.tar.gz");
    let krew = krew::manifest(&format!("{}/{name}", options.url), &archive);
    fs::write(folder.join("krew.yaml"), krew)?;
    fs::write(folder.join(name), archive)?;
    chart(folder, time)?;
    for (program, package) in PROGRAMS {
        let text = sbom::of(program, package, time)?;
        fs::write(folder.join(format!("{program}-{VERSION}.cdx.json")), text)?;
    }
    let sums = sums(folder)?;
    fs::write(folder.join(SUMS), &sums)?;

    fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    fs::rename(folder, out).with_context(|| format!("make {}", out.display()))?;
    // What it would remove has another name now.
    let _ = unfinished.keep();
    ui::say(sums.trim_end());
    ui::say(format_args!("all of it is in {}", out.display()));
    Ok(())
}

/// When the source was as it is now, in seconds since 1970.
fn committed() -> Result<u64> {
    if let Ok(time) = env::var("SOURCE_DATE_EPOCH") {
        return time.parse().context("SOURCE_DATE_EPOCH is seconds since 1970");
    }
    let git =
        |arguments: &[&str]| exec::output(Command::new("git").current_dir(programs::root()?).args(arguments));
    let changed = git(&["status", "--porcelain"])?;
    if !changed.is_empty() {
        bail!(
            "nobody could make this release again: commit these changes first, or set SOURCE_DATE_EPOCH\n{changed}"
        );
    }
    git(&["log", "-1", "--format=%ct"])?
        .trim()
        .parse()
        .context("git says when it was committed")
}

/// The archive with the tool, and what a system's folders have room for.
fn plugin(time: u64) -> Result<Vec<u8>> {
    let (program, package) = PROGRAMS[2];
    let binary = programs::build(package, program)?;
    let made = TempDir::new()?;
    exec::output(Command::new(&binary).arg("man").arg(made.path()))?;
    let mut files = Files::new();
    for entry in fs::read_dir(made.path())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        files.insert(
            format!("man/man1/{name}"),
            Node::File(0o644, fs::read(entry.path())?),
        );
    }
    for (shell, name) in [
        ("bash", "kubectl-keystead.bash"),
        ("fish", "kubectl-keystead.fish"),
        ("zsh", "_kubectl-keystead"),
    ] {
        let script = exec::output(Command::new(&binary).args(["completion", shell]))?;
        files.insert(format!("completions/{name}"), Node::File(0o644, script.into()));
    }
    let root = programs::root()?;
    for (name, mode, from) in [
        (program, 0o755, binary),
        (COMPLETER, 0o755, root.join("cli").join(COMPLETER)),
        ("LICENSE", 0o644, root.join("LICENSE")),
    ] {
        let bytes = fs::read(&from).with_context(|| format!("read {}", from.display()))?;
        files.insert(name.to_owned(), Node::File(mode, bytes));
    }
    archive::tar_gz(&files, time)
}

/// The chart, packed by Helm and then again, because Helm writes down when it did. Answers where it is.
pub(crate) fn chart(folder: &Path, time: u64) -> Result<PathBuf> {
    let [_, _, helm] = Clients::get()?.programs;
    let made = TempDir::new()?;
    let mut package = Command::new(helm);
    package
        .arg("package")
        .arg(programs::root()?.join("charts/keystead"));
    exec::output(package.arg("--destination").arg(made.path()))?;
    let name = format!("keystead-{VERSION}.tgz");
    let theirs = fs::read(made.path().join(&name)).context("the chart has the version of all else")?;
    let ours = archive::tar_gz(&archive::files(&theirs)?, time)?;
    let path = folder.join(name);
    fs::write(&path, ours).context("write the chart")?;
    Ok(path)
}

/// What `sha256sum --check` reads, of all files in a folder.
fn sums(folder: &Path) -> Result<String> {
    let paths: Result<Vec<PathBuf>, _> = fs::read_dir(folder)?
        .map(|entry| Ok::<_, std::io::Error>(entry?.path()))
        .collect();
    let mut sums = BTreeMap::new();
    for path in paths? {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        sums.insert(name, archive::sha256(&fs::read(&path)?));
    }
    Ok(sums
        .iter()
        .map(|(name, sum)| format!("{sum}  {name}\n"))
        .collect::<Vec<_>>()
        .concat())
}
