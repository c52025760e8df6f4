//! Starting a bed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};

use super::control_plane::{self, AUDIT_FILE, ISSUER};
use super::pki::write_private;
use super::site::{NODE_ADDRESS, NODE_NAME, Site};
use super::sweep::sweep;
use super::{Bed, Programs, databases, images, lock, namespace, node, state_folder, vault};
use crate::interrupt;
use crate::tools::{Debian, Tools};
use crate::ui::{self, Step};

/// What kind of bed.
#[derive(Debug, Clone)]
pub struct Options {
    /// The bed's name.
    pub name: String,
    /// Only etcd, the API server and OpenBao, on the host's loopback: needs no root.
    pub servers_only: bool,
    /// Neither API server nor kubelet know `fileKeyRef`, as in an older cluster.
    pub without_env_files: bool,
}

/// Starts a bed, or finds the healthy one of that name. Fails leaving nothing behind.
pub fn up(options: &Options) -> Result<Bed> {
    let state = state_folder(&options.name)?;
    if !options.servers_only && !nix::unistd::geteuid().is_root() {
        bail!(
            "a bed with a node needs root for its namespaces and containers: use sudo, or `cargo e2e up --servers-only`"
        );
    }
    // Downloads and builds come first: they happen outside, and may take long.
    let tools = Tools::get(!options.servers_only)?;
    let _lock = lock()?;
    if let Some(bed) = healthy(options)? {
        return Ok(bed);
    }
    sweep(&state).context("clean up what is left of an earlier bed")?;
    let started = Site::create(&options.name, &state, tools).and_then(|mut site| {
        site.without_env_files = options.without_env_files;
        if options.servers_only {
            start_servers(&site)?;
        } else {
            start_node(&mut site)?;
        }
        finish(&site)
    });
    started.or_else(|error| {
        let interrupted = interrupt::check().is_err();
        if !interrupted {
            keep_logs(&state);
        }
        sweep(&state).context("clean up after a failed start")?;
        if interrupted {
            bail!("interrupted; nothing is left of the bed");
        }
        Err(error)
    })
}

/// The bed, if it runs and is of the wanted kind.
fn healthy(options: &Options) -> Result<Option<Bed>> {
    let Some(bed) = Bed::load(&options.name) else {
        return Ok(None);
    };
    match bed.check() {
        Ok(()) if bed.node_name.is_none() == options.servers_only => {
            ui::note(format_args!("The bed {} is up already.", bed.name));
            Ok(Some(bed))
        }
        Ok(()) => bail!(
            "the bed {} runs {} a node: take it down first, or name another with --bed",
            bed.name,
            if options.servers_only { "with" } else { "without" }
        ),
        Err(error) => {
            ui::note(format_args!(
                "The bed {} is not healthy, so it is started anew: {error}",
                bed.name
            ));
            Ok(None)
        }
    }
}

fn start_servers(site: &Site) -> Result<()> {
    let step = Step::begin("starting etcd, the API server and OpenBao");
    start_core(site)?;
    beside(
        || vault::initialize(site),
        || {
            control_plane::await_apiserver(site)?;
            vault::publish(site)
        },
    )?;
    step.done();
    Ok(())
}

fn start_node(site: &mut Site) -> Result<()> {
    let step = Step::begin("starting etcd, the API server, OpenBao, databases and containerd");
    namespace::create(site)?;
    start_core(site)?;
    let site = &*site;
    beside(
        || vault::initialize(site).and_then(|()| databases::start(site)),
        || {
            node::start_containerd(site)?;
            images::import_own(site)?;
            control_plane::await_apiserver(site)
        },
    )?;
    step.done();

    let step = Step::begin("starting the node");
    control_plane::start_controller_manager(site)?;
    control_plane::start_scheduler(site)?;
    node::start_kubelet(site)?;
    node::start_proxy(site)?;
    node::start_dns(site)?;
    vault::publish(site)?;
    databases::publish(site)?;
    node::await_ready(site)?;
    step.done();
    Ok(())
}

/// Does two things at once. Both have ended when this returns, so that a failure of one can be
/// cleaned up after.
fn beside(one: impl FnOnce() -> Result<()> + Send, other: impl FnOnce() -> Result<()>) -> Result<()> {
    std::thread::scope(|scope| {
        let one = scope.spawn(one);
        let other = other();
        one.join()
            .map_err(|_| anyhow!("a thread of `up` has died"))?
            .and(other)
    })
}

/// What every bed has; it becomes ready while other things are done.
fn start_core(site: &Site) -> Result<()> {
    vault::certify(site)?;
    vault::start(site)?;
    control_plane::start_etcd(site)?;
    control_plane::certify(site)?;
    control_plane::start_apiserver(site)
}

/// Writes down what others need to know; from then on the bed counts as up.
fn finish(site: &Site) -> Result<Bed> {
    let bin = site.state.join("bin");
    let tools = &site.tools;
    for (name, program) in [
        ("kubectl", &tools.kubectl),
        ("bao", &tools.bao),
        ("helm", &tools.helm),
    ] {
        symlink(program, bin.join(name)).with_context(|| format!("link {name}"))?;
    }
    let (postgres, redis) = databases::finish(site, &bin)?.unzip();
    let mut environment = site.environment();
    for (name, value) in &mut environment {
        if name == "PATH" {
            *value = format!("{}:{value}", bin.display());
        }
    }
    let bed = Bed {
        name: site.name.clone(),
        state: site.state.clone(),
        kubeconfig: site.state.join("kubeconfig"),
        kubernetes_address: site.kubernetes_url(),
        kubernetes_ca: site.state.join("pki/kubernetes-ca.crt"),
        kubernetes_audit_file: site.state.join(AUDIT_FILE),
        kubernetes_issuer: ISSUER.to_owned(),
        vault_address: site.vault_url(),
        vault_ca: site.state.join("pki/vault-ca.crt"),
        vault_token_file: site.state.join("vault/root-token"),
        vault_audit_file: site.state.join("vault/audit.log"),
        tools: Programs {
            kubectl: tools.kubectl.clone(),
            bao: tools.bao.clone(),
            helm: tools.helm.clone(),
            ctr: bin.join("ctr"),
        },
        node_name: site.has_node().then(|| NODE_NAME.to_owned()),
        node_address: site.has_node().then(|| NODE_ADDRESS.to_owned()),
        netns: site
            .holder
            .map(|holder| format!("/proc/{}/ns/net", holder.pid).into()),
        debian_versions: tools.debian.as_ref().map(Debian::versions).unwrap_or_default(),
        postgres,
        redis,
        holder: site.holder,
        environment,
    };
    write_private(&site.state.join("bed.json"), &serde_json::to_vec_pretty(&bed)?)?;
    Ok(bed)
}

/// The state folder goes with a failed bed; its logs are what a person will want.
fn keep_logs(state: &Path) {
    let Ok(kept) = tempfile::Builder::new().prefix("keystead-e2e-logs-").tempdir() else {
        return;
    };
    let entries = fs::read_dir(state.join("logs")).into_iter().flatten().flatten();
    for entry in entries {
        let _ = fs::copy(entry.path(), kept.path().join(entry.file_name()));
    }
    ui::note(format_args!(
        "The logs of all servers are kept in {}",
        kept.keep().display()
    ));
}
