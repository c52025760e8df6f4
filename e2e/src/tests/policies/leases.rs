//! Who may renew and end a lease. Every engine's leases are alike; one-time passwords for SSH need no
//! server beside Vault.

use std::fs;

use anyhow::{Context, Result, ensure};
use keystead_crds::binding::PathMethod;
use keystead_vault::hcl;
use keystead_vault::path::ApiPath;

use crate::rig::{self, Method, Rig};
use crate::stage::Stage;

pub(super) fn of_granted_paths(stage: &Stage) -> Result<()> {
    rig::run(stage, "lease", Method::Kubernetes, |rig| {
        let engine = Engine::mount(rig)?;
        let [mine, other] = ["mine", "other"].map(|role| format!("{}/creds/{role}", engine.path));
        let policy = hcl::workload(
            "a test",
            &[],
            &hcl::Paths::from([(ApiPath::parse(&mine)?, [PathMethod::Get].into())]),
        );
        // This engine wants an `update` for what others give to who reads.
        let makes =
            [&mine, &other].map(|path| format!("path \"{path}\" {{ capabilities = [\"update\"] }}\n"));
        let token = token(rig, &(policy + &makes.concat()))?;
        let lease =
            |path: &str| rig.allowed(&token, &format!("bao write -field=lease_id {path} ip=192.0.2.1"));
        let (mine, other) = (lease(&mine)?, lease(&other)?);

        // Such a lease can't be longer, which Vault says to those alone who may ask.
        let said = rig.with_token(&token, &format!("bao write -f sys/leases/renew/{mine}"))?;
        ensure!(
            said.as_ref()
                .is_err_and(|said| said.contains("lease is not renewable")),
            "{said:?}"
        );
        for verb in ["renew", "revoke"] {
            for line in [
                format!("bao write -f sys/leases/{verb}/{other}"),
                format!("bao write sys/leases/{verb} lease_id={mine}"),
                // Vault would prefer the body's id to the path's.
                format!("bao write sys/leases/{verb}/{mine} lease_id={other}"),
                format!("bao write sys/leases/{verb}/{mine} LEASE_ID={other}"),
            ] {
                rig.denied(&token, &line)?;
            }
        }
        rig.denied(&token, &format!("bao write sys/leases/lookup lease_id={mine}"))?;

        rig.allowed(&token, &format!("bao write -f sys/leases/revoke/{mine}"))?;
        ensure!(!is_there(rig, &mine), "the lease that was ended is there");
        ensure!(is_there(rig, &other), "the other lease is gone");
        rig.allowed(&token, "bao write -f auth/token/revoke-self")?;
        stage
            .until("the lease went with its token", &lookup(&other), |said| {
                said.contains("invalid lease")
            })
            .map(drop)
    })
}

/// An engine of this test's own.
struct Engine<'a> {
    rig: &'a Rig<'a>,
    path: String,
}

impl<'a> Engine<'a> {
    fn mount(rig: &'a Rig<'a>) -> Result<Self> {
        let path = format!("{}-ssh", rig.id);
        rig.ask(&format!("bao secrets enable -path={path} ssh"))?;
        let engine = Self { rig, path };
        for role in ["mine", "other"] {
            let role = format!("{}/roles/{role}", engine.path);
            rig.ask(&format!(
                "bao write {role} key_type=otp default_user=app cidr_list=192.0.2.0/24"
            ))?;
        }
        Ok(engine)
    }
}

impl Drop for Engine<'_> {
    fn drop(&mut self) {
        let _ = self.rig.ask(&format!("bao secrets disable {}", self.path));
    }
}

/// A token with this policy alone.
fn token(rig: &Rig<'_>, policy: &str) -> Result<String> {
    let file = rig.path("policy.hcl");
    fs::write(&file, policy).context("write the policy")?;
    rig.ask(&format!("bao policy write @id@-lease {}", file.display()))?;
    rig.stage.ask(&format!(
        "bao token create -field=token -no-default-policy -ttl=10m -policy={}-lease",
        rig.id
    ))
}

fn lookup(lease: &str) -> String {
    format!("bao write sys/leases/lookup lease_id={lease}")
}

fn is_there(rig: &Rig<'_>, lease: &str) -> bool {
    rig.stage.ask(&lookup(lease)).is_ok()
}
