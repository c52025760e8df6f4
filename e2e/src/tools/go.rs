//! What is built from Go modules: Kubernetes with etcd and CoreDNS, and Helm. `go.sum` pins all of
//! it by checksum.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::cache::{self, Recipe, Workshop};
use crate::exec;

/// The version of every Kubernetes program in the bed.
pub const KUBERNETES_VERSION: &str = "v1.37.1";
const HELM: &str = "helm.sh/helm/v4/cmd/helm";

/// A Go module of ours, carried in this program.
type Module = [(&'static str, &'static str)];

const CLUSTER_MODULE: &Module = &[
    ("go.mod", include_str!("../../cluster/go.mod")),
    ("go.sum", include_str!("../../cluster/go.sum")),
    ("main.go", include_str!("../../cluster/main.go")),
    ("pause/main.go", include_str!("../../cluster/pause/main.go")),
];
const HELM_MODULE: &Module = &[
    ("go.mod", include_str!("../../helm/go.mod")),
    ("go.sum", include_str!("../../helm/go.sum")),
];

/// The folder with `cluster` and `pause`.
pub(super) fn cluster() -> Result<PathBuf> {
    let (major, minor) = ("1", "37");
    let version = "k8s.io/component-base/version";
    let flags = format!(
        "-s -w -X {version}.gitVersion={KUBERNETES_VERSION} \
         -X {version}.gitMajor={major} -X {version}.gitMinor={minor}"
    );
    let title = format!(
        "building Kubernetes {} from Go modules (about 6 minutes, once per machine)",
        &KUBERNETES_VERSION[1..]
    );
    build("cluster", &title, CLUSTER_MODULE, &flags, &[".", "./pause"])
}

/// The folder with `helm`.
pub(super) fn helm() -> Result<PathBuf> {
    build(
        "helm",
        "building Helm from Go modules (about 1 minute, once per machine)",
        HELM_MODULE,
        "-s -w",
        &[HELM],
    )
}

fn build(name: &str, title: &str, module: &Module, flags: &str, packages: &[&str]) -> Result<PathBuf> {
    let pins: Vec<&str> = module.iter().map(|(_, text)| *text).chain([flags]).collect();
    cache::get(
        &Recipe {
            name,
            title,
            pins: &pins,
        },
        |workshop| {
            let go = find_go()?;
            let source = workshop.folder.join("source");
            for (file, text) in module {
                let path = source.join(file);
                fs::create_dir_all(path.parent().unwrap_or(&source))?;
                fs::write(path, text)?;
            }
            compile(&go, workshop, &source, flags, packages)?;
            fs::remove_dir_all(source).context("remove the sources of a finished build")
        },
    )
}

fn compile(
    go: &Path,
    workshop: &mut Workshop<'_>,
    source: &Path,
    flags: &str,
    packages: &[&str],
) -> Result<()> {
    let mut command = Command::new(go);
    // No workspace or vendor folder of the machine's owner may decide what is built.
    command
        .current_dir(source)
        .env("CGO_ENABLED", "0")
        .env("GOWORK", "off")
        .env("GO111MODULE", "on");
    command.args([
        "build",
        "-v",
        "-mod=readonly",
        "-buildvcs=false",
        "-trimpath",
        "-ldflags",
        flags,
        "-o",
    ]);
    command
        .arg(format!("{}/", workshop.folder.display()))
        .args(packages);
    let (log, step) = (workshop.log, &mut workshop.step);
    exec::logged(&mut command, log, || {
        let packages = exec::lines(log);
        step.progress(format_args!("({packages} packages)"));
    })
}

/// Go as the PATH has it, or where its own archive puts it.
fn find_go() -> Result<PathBuf> {
    for candidate in ["go", "/usr/local/go/bin/go"] {
        if exec::output(Command::new(candidate).arg("version")).is_ok() {
            return Ok(candidate.into());
        }
    }
    bail!(
        "Go 1.26 or newer is missing (Kubernetes is built from its modules): install it and put `go` in PATH"
    )
}
