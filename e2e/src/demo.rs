//! `cargo e2e demo`: the story, told step by step with real output.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::args::Demo;
use crate::bed::{self, Bed};
use crate::stage::{Own, Site, Stage};
use crate::story::{self, NAMESPACE};
use crate::tools::Clients;
use crate::{exec, programs, ui};

/// Tells the story on the bed, or on the user's own cluster.
pub fn demo(options: Demo) -> Result<()> {
    let name = options.bed.name.clone();
    if options.down {
        return bed::down(&name);
    }
    let site = if let Some(kubeconfig) = options.kubeconfig.clone() {
        own(options, kubeconfig)?
    } else {
        let bed = bed::up(&bed::Options {
            name: name.clone(),
            servers_only: false,
            without_env_files: false,
        })?;
        ensure!(
            !has_keystead(&bed),
            "this bed has heard the story already; start from nothing: cargo e2e down && cargo e2e demo"
        );
        programs::import(&bed)?;
        Site::Bed(Box::new(bed))
    };
    let stage = Stage::new(site, true, programs::cli()?);
    story::tell(&stage)?;
    ui::say(epilogue(&stage, &name));
    Ok(())
}

/// The user's own cluster, with the images loaded.
fn own(options: Demo, kubeconfig: PathBuf) -> Result<Site> {
    let tools = Clients::get()?;
    let load = options.load.context("--kubeconfig needs --load: a command that brings an image's tar file to the cluster's nodes, e.g. --load 'kind load image-archive'")?;
    let mut tars: Vec<PathBuf> = programs::images(Path::new(programs::FOLDER))?
        .into_iter()
        .map(|program| program.tar)
        .collect();
    let test_image = Path::new(programs::FOLDER).join("busybox.tar");
    bed::write_test_image(&tools.debian, &test_image)?;
    tars.push(test_image);
    for tar in tars {
        let line = format!("{load} {}", tar.display());
        ui::note(format_args!("▸ {line}"));
        exec::output(Command::new("sh").args(["-c", &line])).context("--load failed")?;
    }
    Ok(Site::Own(Own {
        kubeconfig,
        vault_address: options.vault.context("--kubeconfig needs --vault ADDRESS")?,
        vault_ca: options.vault_ca.context("--kubeconfig needs --vault-ca FILE")?,
        vault_token_file: options
            .token_file
            .context("--kubeconfig needs --token-file FILE")?,
        tools: tools.programs,
    }))
}

/// Whether the story was told on this bed.
pub(crate) fn has_keystead(bed: &Bed) -> bool {
    let line = ["get", "namespace", NAMESPACE];
    exec::output(bed.command("kubectl").args(line)).is_ok()
}

fn epilogue(stage: &Stage, bed: &str) -> String {
    let (shell, end) = if stage.bed().is_some() {
        let bed = if bed == bed::DEFAULT_NAME {
            String::new()
        } else {
            format!(" --bed {bed}")
        };
        (
            format!("cargo e2e shell{bed} -- "),
            format!("\nTake everything down:  cargo e2e demo --down{bed}"),
        )
    } else {
        (String::new(), String::new())
    };
    format!(
        "
━━ What you have now
A cluster with the Keystead operator, a Vault that it keeps as declared, and two companies'
applications with their secrets. Look around:
  {shell}kubectl get keystead -A
  {shell}kubectl -n acme-shop describe secretbinding web
  {shell}kubectl -n acme-shop logs deploy/web -c keystead
  {shell}kubectl -n acme-shop exec deploy/web -c app -- ls -la /keystead
  {shell}bao policy read keystead.demo.production.s.acme-shop.web
  {shell}kubectl explain secretbinding.spec{end}"
    )
}
