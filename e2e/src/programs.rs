//! Keystead's own programs as images: built static for a release, alone in an empty file system.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::archive::Node;
use crate::bed::Bed;
use crate::exec;
use crate::image::{Image, Written};
use crate::ui::{self, Step};

/// What programs are built for.
pub(crate) const TARGET: &str = "x86_64-unknown-linux-gnu";
/// Where sources are said to be, in what panics print: the same on every machine, so that the same
/// input gives the same image.
const SAID: [&str; 3] = ["/cargo", "/keystead", "/keystead/target"];
/// What has no root, no name and no home.
const USER: &str = "65532:65532";
/// Of all that is built here.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the linker leaves out; seen from the workspace, where compilers run, because arguments are part of what
/// a program's symbols are named by.
const LAYOUT: &str = "e2e/src/programs/no-unwinding.ld";

/// Where the images are written unless somebody says otherwise.
pub const FOLDER: &str = "target/images";

/// One of Keystead's images.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its name with tag, as the Helm chart has it.
    pub name: String,
    /// The tar.
    pub tar: PathBuf,
    /// Digest and size.
    pub written: Written,
}

/// Builds the operator and the sidecar and writes `keystead-operator.tar` and
/// `keystead-sidecar.tar` into a folder.
pub fn images(folder: &Path) -> Result<Vec<Program>> {
    let mut images = Vec::new();
    for short in ["operator", "sidecar"] {
        let package = format!("keystead-{short}");
        let binary = build(&package, &package)?;
        let image = Image {
            name: image(short),
            files: [(
                package.clone(),
                Node::File(0o755, fs::read(&binary).context("read a built program")?),
            )]
            .into(),
            entrypoint: vec![format!("/{package}")],
            user: USER.into(),
            environment: Vec::new(),
            labels: labels(&package),
        };
        let tar = folder.join(format!("{package}.tar"));
        let written = image.write(&tar)?;
        let (digest, megabytes) = (&written.digest, bytes_as_megabytes(written.size));
        ui::say(format_args!(
            "{}  {digest}  {megabytes}  {}",
            image.name,
            tar.display()
        ));
        images.push(Program {
            name: image.name,
            tar,
            written,
        });
    }
    Ok(images)
}

/// Brings the images to a bed's node.
pub fn import(bed: &Bed) -> Result<()> {
    images(Path::new(FOLDER))?
        .iter()
        .try_for_each(|program| bed.import_image(&program.tar))
}

/// The name of `operator`'s or `sidecar`'s image, as the Helm chart has it.
pub fn image(short: &str) -> String {
    format!("keystead.dev/{short}:{VERSION}")
}

/// Builds `kubectl-keystead` for this machine and answers where it is.
pub fn cli() -> Result<PathBuf> {
    let mut step = Step::begin("building kubectl-keystead");
    let arguments = [
        "build",
        "--locked",
        "--package",
        "keystead-cli",
        "--bin",
        "kubectl-keystead",
    ];
    cargo(&arguments, |_| {}, &mut step)?;
    step.done();
    Ok(target()?.join("debug").join("kubectl-keystead"))
}

/// Builds one package for a release, alone, so that no other's features get into it, and answers
/// where the program is.
pub fn build(package: &str, program: &str) -> Result<PathBuf> {
    let mut step = Step::begin(format_args!("building {program} for a release"));
    let script = format!("link-arg=-Wl,-T,{LAYOUT}");
    let arguments = [
        "rustc",
        "--release",
        "--locked",
        "--target",
        TARGET,
        "--package",
        package,
        "--bin",
        program,
        "--",
        "-C",
        "link-arg=-Wl,--no-eh-frame-hdr",
        "-C",
        &script,
        // The addresses of a static program that the kernel places anywhere, in a bit each.
        "-C",
        "link-arg=-Wl,-z,pack-relative-relocs",
    ];
    let flags = flags()?;
    let prepare = |cargo: &mut Command| {
        cargo
            .env("RUSTFLAGS", flags)
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
    };
    cargo(&arguments, prepare, &mut step)?;
    step.done();
    Ok(target()?.join(TARGET).join("release").join(program))
}

/// Static, because the image has no libraries, and without this machine's paths.
fn flags() -> Result<String> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    let mut flags = "-C target-feature=+crt-static".to_owned();
    let target = target()?;
    // In its usual place it is below the root.
    let apart = (!target.starts_with(root()?)).then_some(target.as_path());
    let folders = home.as_deref().into_iter().chain([root()?]).chain(apart);
    for (folder, said) in folders.zip(SAID) {
        flags = format!("{flags} --remap-path-prefix={}={said}", folder.display());
    }
    Ok(flags)
}

/// The cargo that runs us, without what it says of our own package: build scripts look at that, and what
/// was built from a shell would be built anew, and anew again from the next shell.
pub fn command() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let said = ["CARGO_PKG_", "CARGO_MANIFEST_"];
    for (name, _) in env::vars_os() {
        let is_said = name
            .to_str()
            .is_some_and(|name| said.iter().any(|prefix| name.starts_with(prefix)));
        if is_said {
            cargo.env_remove(&name);
        }
    }
    cargo
}

/// Runs cargo with its chatter in a log, and shows how far it is.
pub fn cargo(arguments: &[&str], prepare: impl FnOnce(&mut Command), step: &mut Step) -> Result<()> {
    let log = tempfile::NamedTempFile::new()?;
    let mut cargo = command();
    cargo.current_dir(root()?).args(arguments);
    prepare(&mut cargo);
    exec::logged(&mut cargo, log.path(), || {
        let lines = exec::lines(log.path());
        step.progress(format_args!("({lines} crates)"));
    })
}

/// The workspace's folder.
pub(crate) fn root() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the workspace has a root")
}

fn target() -> Result<PathBuf> {
    Ok(env::var_os("CARGO_TARGET_DIR").map_or(root()?.join("target"), PathBuf::from))
}

fn labels(title: &str) -> std::collections::BTreeMap<String, String> {
    let label = |name: &str, value: &str| (format!("org.opencontainers.image.{name}"), value.to_owned());
    [
        label("title", title),
        label("version", VERSION),
        label("licenses", env!("CARGO_PKG_LICENSE")),
        label("description", env!("CARGO_PKG_DESCRIPTION")),
    ]
    .into()
}

fn bytes_as_megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
}
