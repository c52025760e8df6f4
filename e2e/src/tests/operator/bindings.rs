//! Grants that end: in place, so that tokens that exist lose them without a new login.

use anyhow::{Result, ensure};

use super::super::manifest::{account, binding, credential, global, namespace, value};
use super::super::rig::{self, Method, Rig};
use crate::stage::{PATIENCE, Stage};
use crate::wait;

const HUBSPOT: &str = "production/global/all/hubspot";
const POSTGRES: &str = "production/global/all/postgres";

pub(super) fn deleted(stage: &Stage) -> Result<()> {
    rig::run(stage, "unbind", Method::Kubernetes, |rig| {
        declare(rig)?;
        let _operator = rig.operator()?;
        let (token, once) = tokens(rig)?;
        rig.ask("kubectl -n @id@-shop delete secretbinding postgres")?;
        rig.loses(&token, &rig.kv("data", POSTGRES))?;
        rig.allowed(&token, &format!("bao read {}", rig.kv("data", HUBSPOT)))?;
        rig.denied(&token, &format!("bao read {}", rig.kv("metadata", POSTGRES)))?;

        rig.ask("kubectl -n @id@-shop delete secretbinding hubspot")?;
        rig.loses(&token, &rig.kv("data", HUBSPOT))?;
        gone(rig, "web")?;
        // The other account's are left as they are.
        rig.allowed(&once, &format!("bao read {}", rig.kv("data", HUBSPOT)))?;
        rig.log_in(&format!("{}-shop", rig.id), "once").map(drop)
    })
}

pub(super) fn deleted_while_down(stage: &Stage) -> Result<()> {
    rig::run(stage, "sweep", Method::Kubernetes, |rig| {
        declare(rig)?;
        let mut operator = rig.operator()?;
        let (token, once) = tokens(rig)?;
        operator.stop()?;
        rig.ask("kubectl -n @id@-shop delete secretbinding postgres once")?;
        rig.allowed(&token, &format!("bao read {}", rig.kv("data", POSTGRES)))?;
        rig.allowed(&once, &format!("bao read {}", rig.kv("data", HUBSPOT)))?;
        // What only looks like ours by half of its name is not ours to sweep.
        let neighbour = format!("keystead.{0}.{0}2.s.{0}-shop.web", rig.id);
        rig.ask(&format!("bao write sys/policies/acl/{neighbour} policy=#"))?;

        let _operator = rig.operator()?;
        rig.loses(&once, &rig.kv("data", HUBSPOT))?;
        gone(rig, "once")?;
        rig.loses(&token, &rig.kv("data", POSTGRES))?;
        rig.allowed(&token, &format!("bao read {}", rig.kv("data", HUBSPOT)))?;
        ensure!(
            rig.vault(&format!("sys/policies/acl/{neighbour}"))?.is_some(),
            "the policy {neighbour} was swept, and is not ours"
        );
        Ok(())
    })
}

/// Two services for everyone; an account with two bindings, and one with one.
fn declare(rig: &Rig<'_>) -> Result<()> {
    let manifests = [
        namespace("shop", ""),
        account("shop", "web"),
        account("shop", "once"),
        rig.provider(),
        global(),
        credential("shop", "hubspot", "global", "hubspot", &value("api_key", "x")),
        credential("shop", "postgres", "global", "postgres", &value("password", "x")),
        binding("shop", "hubspot", "web", &["hubspot"]),
        binding("shop", "postgres", "web", &["postgres"]),
        binding("shop", "once", "once", &["hubspot"]),
    ];
    rig.apply(&manifests.concat())
}

/// Tokens of both accounts, that can read what is bound.
fn tokens(rig: &Rig<'_>) -> Result<(String, String)> {
    rig.ready(&[
        "credential/hubspot -n @id@-shop",
        "credential/postgres -n @id@-shop",
        "secretbinding/hubspot -n @id@-shop",
        "secretbinding/postgres -n @id@-shop",
        "secretbinding/once -n @id@-shop",
    ])?;
    let shop = format!("{}-shop", rig.id);
    let (web, once) = (rig.log_in(&shop, "web")?, rig.log_in(&shop, "once")?);
    for (token, path) in [(&web, HUBSPOT), (&web, POSTGRES), (&once, HUBSPOT)] {
        rig.allowed(token, &format!("bao read {}", rig.kv("data", path)))?;
    }
    rig.denied(&once, &format!("bao read {}", rig.kv("data", POSTGRES)))?;
    Ok((web, once))
}

/// Waits until an account has neither policy nor role.
fn gone(rig: &Rig<'_>, account: &str) -> Result<()> {
    let name = rig.role(&format!("{}-shop", rig.id), account);
    for path in [
        format!("auth/{}/role/{name}", rig.mount()),
        format!("sys/policies/acl/{name}"),
    ] {
        wait::until(format_args!("{path} is gone"), PATIENCE, None, || {
            Ok(rig.vault(&path)?.is_none())
        })?;
    }
    Ok(())
}
