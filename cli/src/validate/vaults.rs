//! Each provider's Vault, as it is seen from here.

use super::report::{Section, Verdict};
use crate::vault;
use crate::view::View;
use keystead_compile::kinds::provider;
use keystead_crds::SecretProvider;
use keystead_vault::object::Mount;
use keystead_vault::{Client, Error, mounted};
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
            Ok(()) => mounts(section, provider, client).await,
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
async fn mounts(section: &mut Section, provider: &SecretProvider, client: &Client) {
    let (name, spec) = (provider.name_any(), &provider.spec);
    let token = client.read::<IgnoredAny>("auth/token/lookup-self").await;
    let what = format!("{name}: your token");
    if let Err(error) = token {
        section.fail(what, error.to_string(), "log in to Vault anew");
        return;
    }
    section.pass(what);
    for Mount { path, kind } in provider::mounts(provider) {
        let what = format!("{name}: {kind} engine at {path}");
        match mounted::at(client, &path).await.map(|found| found.check(kind)) {
            Ok(Err(why)) => section.fail(
                what,
                format!("it is {why}"),
                "name another path in spec.vault.mounts",
            ),
            found => section.add(what, seen(found.map(drop))),
        }
    }
    let mount = &spec.workload_auth.mount;
    let found = mounted::at(client, &format!("auth/{mount}")).await;
    section.add(format!("{name}: auth mount {mount}"), seen(found.map(drop)));
}

/// Vault does not tell a mount that is not there from one that a token has no rights on.
fn seen(result: Result<(), Error>) -> Verdict {
    match result {
        Ok(()) => Verdict::Passed,
        Err(Error::Denied { .. }) => Verdict::NotChecked {
            why: "it is not there, or your token has no rights on it".into(),
        },
        Err(error) => Verdict::Failed {
            why: error.to_string(),
            remedy: "see what Vault says".into(),
        },
    }
}
