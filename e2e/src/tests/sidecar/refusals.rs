//! Access that is taken away, and an outage, which is something else.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::super::manifest::{account, binding, credential, global, namespace, secret, value};
use super::super::rig::server::Server;
use super::super::rig::{self, Method, Rig};
use super::{CHANGED, GATE, MARKED, Pod, config};
use crate::stage::{PATIENCE, Stage};
use crate::wait;

pub(super) fn taken_away(stage: &Stage) -> Result<()> {
    rig::run(stage, "taken", Method::Kubernetes, |rig| {
        let more = binding("shop", "more", "web", &["stripe"]);
        let pod = Pod::of(rig, &(declared(rig.provider()) + &more), &two(rig)?)?;
        rig.ready(&["secretbinding/more -n @id@-shop"])?;
        let mut sidecar = pod.start("run")?;
        let mut until = |what: &str, path: &str, text: &str| {
            wait::until(what, PATIENCE, Some(&pod.log()), || {
                sidecar.check()?;
                Ok(pod.read(path)? == text)
            })
        };
        until("the gate opens", "private/ready", GATE)?;
        pod.expect("files/stripe", MARKED)?;

        // The policy is changed in place.
        rig.ask("kubectl -n @id@-shop delete secretbinding more")?;
        until("the file goes", "files/stripe", "")?;
        pod.expect("files/hubspot", MARKED)?;
        until(
            "its variable goes",
            "private/env",
            &format!("HUBSPOT='{MARKED}'\n"),
        )?;
        until("the gate closes", "private/ready", "")?;
        let (status, told) = pod.told("/v1/secrets/stripe/key")?;
        ensure!(
            status == "403" && told["error"] == "AccessDenied",
            "the socket tells {status} {told}"
        );
        rig.apply(&hubspot(CHANGED))?;
        until("the other follows", "files/hubspot", CHANGED)?;
        rig.apply(&more)?;
        until("the gate opens again", "private/ready", GATE)?;
        pod.expect("files/stripe", MARKED)?;
        pod.expect(
            "private/env",
            &format!("HUBSPOT='{CHANGED}'\nSTRIPE='{MARKED}'\n"),
        )?;

        // Policy and role are gone.
        rig.ask("kubectl -n @id@-shop delete secretbinding more web")?;
        until("all files go", "files/hubspot", "")?;
        pod.expect("files/stripe", "")?;
        until("all variables go", "private/env", "")?;
        until("the gate closes", "private/ready", "")?;
        rig.apply(&(more + &binding("shop", "web", "web", &["hubspot"])))?;
        until("all files come back", "private/ready", GATE)?;
        pod.expect("files/hubspot", CHANGED)?;
        pod.expect("files/stripe", MARKED)?;

        sidecar.stop()?;
        let log = sidecar.log();
        for part in [
            "access was taken away, and with it the files that need it error=permission denied: GET kv/data/",
            "access was taken away, and with it the files that need it error=Vault refused the login: role ",
            "the secrets are current again",
        ] {
            ensure!(log.contains(part), "{part} is not in the log: {log}");
        }
        ensure!(!log.contains("marked-51c0ffee"), "a value is in the log: {log}");
        Ok(())
    })
}

pub(super) fn sealed(stage: &Stage) -> Result<()> {
    rig::run(stage, "sealed", Method::Kubernetes, |rig| {
        let server = Server::start(rig, None)?;
        server.reviews(rig)?;
        let provider = rig.provider_with(&format!(
            "address: \"{}\", manageMounts: true, auth: {{tokenSecretRef: {{namespace: @id@-shop, name: vault, key: token}}}}",
            server.address
        ));
        let token = secret("shop", "vault", "token", &server.token);
        let manifests = declared(provider) + &token + &binding("shop", "more", "web", &["stripe"]);
        let mut config = two(rig)?;
        config["vault"]["address"] = json!(server.address);
        config["vault"]["ca"] = Value::Null;
        let pod = Pod::of(rig, &manifests, &config)?;
        rig.ready(&["secretbinding/more -n @id@-shop"])?;
        let mut sidecar = pod.start("run")?;
        let mut until = |what: &str, path: &str, part: &str| {
            wait::until(what, PATIENCE, Some(&pod.log()), || {
                sidecar.check()?;
                Ok(pod.read(path)?.contains(part))
            })
        };
        until("the gate opens", "private/ready", GATE)?;

        server.seal()?;
        until("the sidecar says it", "sidecar.log", "Vault is sealed")?;
        pod.expect("files/hubspot", MARKED)?;
        pod.expect("files/stripe", MARKED)?;
        pod.expect("private/ready", GATE)?;
        server.unseal()?;
        rig.apply(&hubspot(CHANGED))?;
        until("the new value comes", "files/hubspot", CHANGED)?;
        sidecar.stop()?;
        let log = sidecar.log();
        ensure!(
            !log.contains("taken away"),
            "an outage passed for a refusal: {log}"
        );
        Ok(())
    })
}

/// What both tests declare: two services, one of them bound.
fn declared(provider: String) -> String {
    [
        namespace("shop", "team: a"),
        account("shop", "web"),
        provider,
        global(),
        hubspot(MARKED),
        credential("shop", "stripe", "global", "stripe", &value("key", MARKED)),
        binding("shop", "web", "web", &["hubspot"]),
    ]
    .concat()
}

fn hubspot(text: &str) -> String {
    credential("shop", "hubspot", "global", "hubspot", &value("key", text))
}

/// What the webhook would write for both bindings.
fn two(rig: &Rig<'_>) -> Result<Value> {
    let mut config = config(rig)?;
    config["vault"]["scopes"] = json!([{"level": "Global"}]);
    let all = |entry: fn(&str) -> Value| Value::Array(["hubspot", "stripe"].map(entry).into());
    config["secrets"] = all(|service| json!({"name": service, "from": {"service": service}}));
    config["files"] =
        all(|service| json!({"path": service, "format": "Raw", "secret": service, "key": "key"}));
    config["env"] = all(|service| json!({"name": service.to_uppercase(), "secret": service, "key": "key"}));
    Ok(config)
}
