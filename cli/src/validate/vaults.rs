//! Each provider's Vault, as it is seen from here.

use super::report::{Section, Verdict};
use crate::vault;
use crate::view::View;
use keystead_cluster::Values;
use keystead_crds::SecretProvider;
use keystead_vault::engine::{self, Action};
use keystead_vault::object::{Mount, MountKind, Object};
use keystead_vault::{Client, Error, auth_mount};
use kube::ResourceExt as _;
use serde::de::IgnoredAny;

/// One server a provider, though several may have the same.
pub(crate) async fn section(view: &View) -> Section {
    let mut section = Section::new("Vault");
    let addresses = view.one_address();
    for provider in view.providers() {
        let name = provider.name_any();
        if let Err(error) = &addresses {
            section.skip(name, error.to_string());
            continue;
        }
        match vault::reach(&view.vault, &view.client, &provider).await {
            Ok(client) => server(&mut section, view, &provider, &client).await,
            Err(error) => section.fail(
                format!("{name}: reachable from here"),
                format!("{error:#}"),
                "change spec.vault of the provider, or say with --vault and --vault-ca how it is reached from here",
            ),
        }
    }
    section
}

async fn server(section: &mut Section, view: &View, provider: &SecretProvider, client: &Client) {
    let name = provider.name_any();
    let reachable = format!("{name}: reachable from here at {}", client.address());
    let health = match client.health().await {
        Ok(health) => health,
        Err(error) => {
            section.fail(
                reachable,
                error.to_string(),
                "where it has another address from here, name that with --vault or VAULT_ADDR",
            );
            return;
        }
    };
    section.pass(format!("{reachable} (version {})", health.version));
    let unsealed = format!("{name}: unsealed");
    if health.sealed || !health.initialized {
        let why = if health.initialized {
            "it is sealed"
        } else {
            "it was never initialized"
        };
        section.fail(unsealed, why, "unseal it; everything goes on by itself");
        return;
    }
    section.pass(unsealed);
    let inside = format!("{name}: token, mounts.kv and workloadAuth.mount");
    match vault::token(&view.vault) {
        Ok(Some(token)) => match client.set_token(&token) {
            Ok(()) => mounts(section, view, provider, client).await,
            Err(error) => section.fail(inside, error.to_string(), "give a Vault token in VAULT_TOKEN"),
        },
        Ok(None) => section.skip(
            inside,
            "no Vault token: set VAULT_TOKEN, or name a file with --token-file",
        ),
        Err(error) => section.fail(inside, format!("{error:#}"), "name a file that can be read"),
    }
}

/// What only somebody who is known there may see.
async fn mounts(section: &mut Section, view: &View, provider: &SecretProvider, client: &Client) {
    let (name, spec) = (provider.name_any(), &provider.spec);
    let token = client.read::<IgnoredAny>("auth/token/lookup-self").await;
    let good = token.is_ok();
    section.add(
        format!("{name}: your token"),
        verdict(token.map(|_| ()), "log in to Vault anew: it is refused"),
    );
    if !good {
        return;
    }
    let mount = &spec.vault.mounts.kv;
    let engine = Object::Mount(Mount {
        path: mount.clone(),
        kind: MountKind::Kv2,
    });
    let planned = engine::plan(client, &Values::new(&view.client), &engine).await;
    let what = format!("{name}: KV engine, version 2, at {mount}");
    match planned {
        Ok(planned) if planned.action == Action::Create => {
            section.fail(
                what,
                "nothing is mounted there",
                "run kubectl keystead bootstrap, or set spec.vault.manageMounts",
            );
        }
        planned => section.add(
            what,
            verdict(planned.map(|_| ()), "name another path in spec.vault.mounts.kv"),
        ),
    }
    let mount = &spec.workload_auth.mount;
    let found = auth_mount::accessor(client, mount).await;
    section.add(
        format!("{name}: auth mount {mount}"),
        verdict(
            found.map(|_| ()),
            "run kubectl keystead bootstrap, or change spec.workloadAuth.mount",
        ),
    );
}

/// What the person may not see is not known to be wrong.
fn verdict(result: Result<(), Error>, remedy: &str) -> Verdict {
    match result {
        Ok(()) => Verdict::Passed,
        Err(error @ Error::Denied { .. }) => Verdict::NotChecked {
            why: format!("{error} (with your token)"),
        },
        Err(error) => Verdict::Failed {
            why: error.to_string(),
            remedy: remedy.to_owned(),
        },
    }
}
