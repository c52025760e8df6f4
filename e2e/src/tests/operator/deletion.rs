//! Credentials that go, and what becomes of their values: each version is read.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::super::manifest::{credential, global, namespace, value};
use super::super::rig::{self, Method, Rig, is_by, same};
use crate::stage::{PATIENCE, Stage};
use crate::wait;

/// A Vault at which nobody listens.
const NOWHERE: &str = "https://127.0.0.1:1";
const RELEASE: &str = "keystead.dev/release=true";

pub(super) fn by_policy(stage: &Stage) -> Result<()> {
    rig::run(stage, "gone", Method::Kubernetes, |rig| {
        let policies = ["Retain", "Delete", "Destroy"];
        let declare = |number: u32| {
            let with = |policy: &&str| declared(&policy.to_lowercase(), policy, &number.to_string());
            policies.iter().map(with).collect::<String>()
        };
        rig.apply(&[namespace("shop", ""), rig.provider(), global()].concat())?;
        let _operator = rig.operator()?;
        for number in 1..=3 {
            rig.apply(&declare(number))?;
            for policy in policies {
                let wanted = json!({"api_key": number.to_string()});
                rig.values_become(&place(&policy.to_lowercase()), &wanted)?;
            }
        }
        // Two versions are kept, and both can be read before.
        for service in ["retain", "delete", "destroy"] {
            finalizers(
                rig,
                service,
                if service == "retain" {
                    ""
                } else {
                    "keystead.dev/cleanup"
                },
            )?;
            readable(rig, service)?;
        }
        rig.ask("kubectl -n @id@-shop delete credential retain delete destroy")?;

        readable(rig, "retain")?;
        for version in 2..=3 {
            let found = read(rig, "delete", version)?.context("a trace of it")?;
            same("a deleted version", &found["data"]["data"], &Value::Null)?;
            let metadata = &found["data"]["metadata"];
            let time = metadata["deletion_time"].as_str().unwrap_or_default();
            ensure!(
                !time.is_empty(),
                "version {version} says when it was deleted: {metadata}"
            );
            same("destroyed", &metadata["destroyed"], &json!(false))?;
        }
        rig.ask(&format!(
            "bao kv undelete -mount=kv -versions=2,3 @id@/{}",
            place("delete")
        ))?;
        readable(rig, "delete")?;

        let undelete = format!(
            "bao kv undelete -mount=kv -versions=2,3 @id@/{}",
            place("destroy")
        );
        // Whether Vault minds or not, nothing comes back.
        let _ = rig.ask(&undelete);
        for version in 2..=3 {
            let found = read(rig, "destroy", version)?;
            ensure!(found.is_none(), "version {version} can be read: {found:?}");
        }
        let metadata = rig.vault(&rig.kv("metadata", &place("destroy")))?;
        ensure!(metadata.is_none(), "there is a trace of it: {metadata:?}");
        Ok(())
    })
}

pub(super) fn others_keys(stage: &Stage) -> Result<()> {
    rig::run(stage, "beside", Method::Kubernetes, |rig| {
        let both = ["delete", "destroy"];
        let mut manifests = vec![namespace("shop", ""), rig.provider(), global()];
        manifests.extend([
            declared("delete", "Delete", "x"),
            declared("destroy", "Destroy", "x"),
        ]);
        manifests.push(declared("kept", "Destroy", "x"));
        rig.apply(&manifests.concat())?;
        let _operator = rig.operator()?;
        for service in both {
            rig.ready(&[&object(service)])?;
            rig.ask(&format!(
                "bao kv patch -mount=kv -cas=1 @id@/{} by_hand=kept",
                place(service)
            ))?;
        }
        rig.ready(&[&object("kept")])?;
        // Who changes his mind in time keeps everything.
        rig.apply(&declared("kept", "Retain", "x"))?;
        finalizers(rig, "kept", "")?;
        rig.ask("kubectl -n @id@-shop delete credential delete destroy kept")?;
        rig.values_become(&place("kept"), &json!({"api_key": "x"}))?;
        for service in both {
            rig.values_become(&place(service), &json!({"by_hand": "kept"}))?;
            let old = read(rig, service, 2)?.unwrap_or_default();
            same(
                "our key in the version before",
                &old["data"]["data"],
                &Value::Null,
            )?;
        }
        Ok(())
    })
}

pub(super) fn twin_takes_over(stage: &Stage) -> Result<()> {
    rig::run(stage, "heir", Method::Kubernetes, |rig| {
        let with = |name: &str| {
            let manifest = credential("shop", name, "global", "hubspot", &value("api_key", name));
            format!("{manifest}  deletionPolicy: Destroy\n")
        };
        // Objects of one second are told apart by name, so `a` is older either way.
        rig.apply(
            &[
                namespace("shop", ""),
                rig.provider(),
                global(),
                with("a"),
                with("b"),
            ]
            .concat(),
        )?;
        let _operator = rig.operator()?;
        rig.ready(&[&object("a")])?;
        rig.says(
            &object("b"),
            "False",
            "Conflict",
            "Credential @id@-shop/a is older",
        )?;
        rig.ask("kubectl -n @id@-shop delete credential a")?;
        rig.ready(&[&object("b")])?;
        rig.values_become(&place("hubspot"), &json!({"api_key": "b"}))?;
        // One that never had anything there goes without a word, and takes nothing with it.
        rig.apply(&with("c"))?;
        rig.says(
            &object("c"),
            "False",
            "Conflict",
            "Credential @id@-shop/b is older",
        )?;
        rig.ask("kubectl -n @id@-shop delete credential c")?;
        rig.ready(&[&object("b")])?;
        rig.values_become(&place("hubspot"), &json!({"api_key": "b"}))
    })
}

pub(super) fn interrupted(stage: &Stage) -> Result<()> {
    rig::run(stage, "killed", Method::Kubernetes, |rig| {
        let services: Vec<String> = (0..12).map(|number| format!("s{number}")).collect();
        let mut manifests = vec![namespace("shop", ""), rig.provider(), global()];
        manifests.extend(services.iter().map(|service| declared(service, "Destroy", "x")));
        rig.apply(&manifests.concat())?;
        let operator = rig.operator()?;
        let objects: Vec<String> = services.iter().map(|service| object(service)).collect();
        rig.ready(&objects.iter().map(String::as_str).collect::<Vec<_>>())?;

        let mark = rig.audit_mark()?;
        rig.ask("kubectl -n @id@-shop delete credential --all --wait=false")?;
        let (destroys, policy) = (
            format!("kv/destroy/{}/", rig.id),
            format!("keystead-operator-{}", rig.id),
        );
        wait::until("the first values are destroyed", PATIENCE, None, || {
            let entries = rig.audit_since(mark)?;
            let mut ours = entries.iter().filter(|entry| is_by(entry, &policy));
            Ok(ours.any(|entry| {
                entry["request"]["path"]
                    .as_str()
                    .is_some_and(|path| path.starts_with(&destroys))
            }))
        })?;
        // It is killed, not asked.
        drop(operator);

        let _operator = rig.operator()?;
        let left = "kubectl -n @id@-shop get credential -o name".replace("@id@", &rig.id);
        rig.stage.until("all are gone", &left, str::is_empty)?;
        for service in &services {
            let metadata = rig.vault(&rig.kv("metadata", &place(service)))?;
            ensure!(metadata.is_none(), "{service} is left behind: {metadata:?}");
        }
        Ok(())
    })
}

pub(super) fn left_behind(stage: &Stage) -> Result<()> {
    rig::run(stage, "left", Method::Kubernetes, |rig| {
        let manifests = [
            namespace("shop", ""),
            rig.provider(),
            global(),
            declared("taken", "Destroy", "x"),
            declared("lost", "Destroy", "x"),
        ];
        rig.apply(&manifests.concat())?;
        let _operator = rig.operator()?;
        rig.ready(&[&object("taken"), &object("lost")])?;
        // Somebody else's now.
        rig.ask(&format!(
            "bao kv metadata patch -mount=kv -custom-metadata=keystead-owner=elsewhere/a/b @id@/{}",
            place("taken")
        ))?;
        rig.ask("kubectl -n @id@-shop delete credential taken")?;
        let behind = |service: &str| format!("are left behind in Vault at kv/@id@/{}", place(service));
        rig.warned("Credential", "taken", &behind("taken"))?;
        rig.warned("Credential", "taken", "it carries the mark of elsewhere/a/b")?;
        rig.values_become(&place("taken"), &json!({"api_key": "x"}))?;
        // Nothing says any more where it was.
        rig.ask("kubectl delete secretscope @id@-global")?;
        rig.ask("kubectl -n @id@-shop delete credential lost")?;
        rig.warned("Credential", "lost", &behind("lost"))?;
        rig.warned("Credential", "lost", "SecretScope @id@-global not found")?;
        rig.values_become(&place("lost"), &json!({"api_key": "x"}))
    })
}

pub(super) fn blocked(stage: &Stage) -> Result<()> {
    rig::run(stage, "block", Method::Kubernetes, |rig| {
        let manifests = [
            namespace("shop", ""),
            rig.provider(),
            global(),
            declared("patient", "Destroy", "x"),
            declared("hasty", "Destroy", "x"),
        ];
        rig.apply(&manifests.concat())?;
        let _operator = rig.operator()?;
        rig.ready(&[&object("patient"), &object("hasty")])?;
        rig.apply(&rig.provider_at(NOWHERE))?;
        rig.says("secretprovider/@id@", "False", "VaultUnreachable", NOWHERE)?;
        rig.ask("kubectl -n @id@-shop delete credential --all --wait=false")?;
        for service in ["patient", "hasty"] {
            let why = "can't be taken away yet: waiting for SecretProvider @id@: VaultUnreachable";
            rig.says(&object(service), "False", "CleanupBlocked", why)?;
            rig.warned("Credential", service, why)?;
        }
        // The sentence says what to do, so that is done.
        let line = format!("kubectl annotate credential hasty -n @id@-shop {RELEASE}");
        rig.says(&object("hasty"), "False", "CleanupBlocked", &line)?;
        rig.ask(&line)?;
        gone(rig, "hasty")?;
        rig.warned(
            "Credential",
            "hasty",
            &format!("are left behind in Vault at kv/@id@/{}", place("hasty")),
        )?;

        rig.apply(&rig.provider())?;
        gone(rig, "patient")?;
        let metadata = rig.vault(&rig.kv("metadata", &place("patient")))?;
        ensure!(metadata.is_none(), "there is a trace of it: {metadata:?}");
        rig.values_become(&place("hasty"), &json!({"api_key": "x"}))
    })
}

pub(super) fn namespace_goes(stage: &Stage) -> Result<()> {
    rig::run(stage, "space", Method::Kubernetes, |rig| {
        let manifests = [
            namespace("shop", ""),
            rig.provider(),
            global(),
            declared("hubspot", "Destroy", "x"),
        ];
        rig.apply(&manifests.concat())?;
        let operator = rig.operator_with(&["--release-after", "3s"])?;
        rig.ready(&[&object("hubspot")])?;
        rig.apply(&rig.provider_at(NOWHERE))?;
        rig.says("secretprovider/@id@", "False", "VaultUnreachable", NOWHERE)?;
        rig.ask("kubectl delete namespace @id@-shop --wait=false")?;
        // Where there is no controller of namespaces, this is its part.
        rig.ask("kubectl -n @id@-shop delete credential hubspot --wait=false --ignore-not-found")?;
        gone(rig, "hubspot")?;
        let path = format!("kv/{}/{}", rig.id, place("hubspot"));
        rig.warned(
            "Namespace",
            "@id@-shop",
            "Credential hubspot: deleted without its values",
        )?;
        rig.warned("Namespace", "@id@-shop", &path)?;
        let log = operator.log();
        let said = log
            .lines()
            .any(|line| line.contains("which is left behind") && line.contains(&path));
        ensure!(said, "the log does not name {path}: {log}");
        rig.values_become(&place("hubspot"), &json!({"api_key": "x"}))
    })
}

/// A credential of a service of this name.
fn declared(service: &str, policy: &str, api_key: &str) -> String {
    let manifest = credential("shop", service, "global", service, &value("api_key", api_key));
    format!("{manifest}  deletionPolicy: {policy}\n")
}

fn object(name: &str) -> String {
    format!("credential/{name} -n @id@-shop")
}

fn place(service: &str) -> String {
    format!("production/global/all/{service}")
}

/// What a version answers; none where it is not there at all.
fn read(rig: &Rig<'_>, service: &str, version: u32) -> Result<Option<Value>> {
    let path = rig.kv("data", &place(service));
    rig.vault(&format!("{path}' 'version={version}"))
}

/// Holds that the second and the third version can be read, and say what was declared then.
fn readable(rig: &Rig<'_>, service: &str) -> Result<()> {
    for version in 2..=3 {
        let found = read(rig, service, version)?.unwrap_or_default();
        let wanted = json!({"api_key": version.to_string()});
        same(
            &format!("version {version} of {service}"),
            &found["data"]["data"],
            &wanted,
        )?;
    }
    Ok(())
}

fn finalizers(rig: &Rig<'_>, name: &str, wanted: &str) -> Result<()> {
    let line = format!(
        "kubectl get {} -o 'jsonpath={{.metadata.finalizers[*]}}'",
        object(name)
    );
    let what = format!("the finalizers of {name} are {wanted:?}");
    let found = rig
        .stage
        .until(&what, &line.replace("@id@", &rig.id), |answer| answer == wanted);
    found.map(drop)
}

fn gone(rig: &Rig<'_>, name: &str) -> Result<()> {
    let line = format!("kubectl get {} --ignore-not-found -o name", object(name));
    let found = rig.stage.until(
        &format!("{name} is gone"),
        &line.replace("@id@", &rig.id),
        str::is_empty,
    );
    found.map(drop)
}
