//! What a binding means for pods: the real webhook, kubelet and sidecar, and what the application sees.

mod database;
pub(super) mod gate;
pub(super) mod modes;
mod places;
pub(super) mod reports;
mod rollout;
mod rotation;
mod shapes;
mod told;
mod volumes;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Run, Test};
use crate::bed::TEST_IMAGE;
use crate::rig::chart::Webhook;
use crate::rig::manifest::{account, binding_of, credential, global, namespace, value};
use crate::rig::{self, Method, Rig, same};
use crate::stage::Stage;

/// The tests.
pub(super) fn tests() -> Vec<Test> {
    let test = |&(name, run)| Test {
        name,
        node: true,
        run: Run::Bed(run),
    };
    TESTS.iter().map(test).collect()
}

/// What holds, and the function that sees to it.
type Named = (&'static str, fn(&Stage) -> Result<()>);

const TESTS: &[Named] = &[
    (
        "pods: what a podSelector chooses goes to these pods of the account alone",
        selected,
    ),
    (
        "pods: one starts without what is optional, and has it where it is there",
        optional,
    ),
    (
        "pods: a sidecar is as the binding says, else the namespace, else the provider",
        defaults,
    ),
    (
        "pods: a container is signalled when its files change, through shared processes or by its parent, and no other",
        told::signalled,
    ),
    (
        "pods: in each mode a Job has its variables and files, ends, and keeps its exit code",
        modes::jobs,
    ),
    (
        "pods: every controller is refused its pods until there is a binding, and then all their containers have everything",
        shapes::all,
    ),
    (
        "pods: a mesh may come first, a host's network is no obstacle, and a static pod is left alone",
        places::others,
    ),
    (
        "pods: files are as closed as a pod's users and groups let them be",
        places::owners,
    ),
    (
        "pods: with Vault away nothing starts, restarts or outlives its deletion, and with its return everything runs",
        gate::holds,
    ),
    (
        "pods: no container of a rollout under a changing secret starts without its file or its variable",
        rollout::under_change,
    ),
    (
        "pods: each has a database user of its own, which works by file, template and variable, and goes with it",
        database::one_each,
    ),
    (
        "pods: a rotation reaches fifty of them, and a sealed value opens in each",
        rotation::reaches,
    ),
    (
        "pods: one that waits says why in an event, and when it waits no more; no event shows a value",
        reports::told,
    ),
    (
        "pods: nobody but a pod itself reports on it, and not without end",
        reports::refused,
    ),
    (
        "pods: a volume that is full, or read-only, is said by the pod, and one with room again heals",
        volumes::hold,
    ),
];

fn selected(stage: &Stage) -> Result<()> {
    rig::run(stage, "select", Method::Jwt, |rig| {
        declare(rig)?;
        let front = "  podSelector: {matchLabels: {tier: front}}\n";
        let bindings = [
            of("shop", "every", "web", &["mail"], ""),
            of("shop", "front", "web", &["hubspot"], front),
            of("shop", "alone", "alone", &["hubspot"], front),
        ];
        rig.apply(&bindings.concat())?;
        let webhook = Webhook::new(rig)?;
        rig.ready(
            &["every", "front", "alone"]
                .map(binding_in_shop)
                .each_ref()
                .map(String::as_str),
        )?;

        rig.apply(&pod("shop", "front", "web", "tier: front"))?;
        rig.apply(&pod("shop", "back", "web", "tier: back"))?;
        sees(rig, "shop", "front", "hubspot.env mail.env HUBSPOT=key MAIL=key")?;
        sees(rig, "shop", "back", "mail.env MAIL=key")?;
        // One that no binding chooses asks for secrets in vain.
        let sentence = "no SecretBinding in namespace @id@-shop is for this pod: those that name service account alone (alone) select pods with other labels";
        webhook.refuses(&pod("shop", "other", "alone", "tier: back"), sentence)
    })
}

fn optional(stage: &Stage) -> Result<()> {
    rig::run(stage, "maybe", Method::Kubernetes, |rig| {
        declare(rig)?;
        let binding = of("shop", "web", "web", &["mail", "later"], "");
        let later = "{name: later, service: later";
        rig.apply(&binding.replace(later, &format!("{later}, optional: true")))?;
        let _webhook = Webhook::new(rig)?;
        rig.ready(&[&binding_in_shop("web")])?;

        rig.apply(&pod("shop", "before", "web", ""))?;
        sees(rig, "shop", "before", "mail.env MAIL=key")?;
        rig.apply(&service("later"))?;
        rig.ready(&["credential/later -n @id@-shop"])?;
        rig.apply(&pod("shop", "after", "web", ""))?;
        sees(rig, "shop", "after", "later.env mail.env LATER=key MAIL=key")
    })
}

fn defaults(stage: &Stage) -> Result<()> {
    rig::run(stage, "default", Method::Kubernetes, |rig| {
        declare(rig)?;
        let annotations = "annotations: {keystead.dev/refresh-interval: 5m, keystead.dev/sidecar-cpu: 30m}";
        let manifests = [
            rig.provider() + "  defaults: {refreshInterval: 10m, sidecar: {cpu: 20m, memory: 32Mi}}\n",
            namespace("plain", ""),
            account("plain", "web"),
            of("plain", "web", "web", &["mail"], ""),
            namespace("shop", "").replace("labels: {}", annotations),
            of("shop", "web", "web", &["mail"], ""),
            of(
                "shop",
                "own",
                "alone",
                &["mail"],
                "  refreshInterval: 30s\n  sidecar: {resources: {memory: 64Mi}}\n",
            ),
        ];
        rig.apply(&manifests.concat())?;
        let _webhook = Webhook::new(rig)?;
        rig.ready(&[
            "secretbinding/web -n @id@-plain",
            &binding_in_shop("web"),
            &binding_in_shop("own"),
        ])?;
        for (space, account, seconds, cpu, memory) in [
            ("plain", "web", 600, "20m", "32Mi"),
            ("shop", "web", 300, "30m", "32Mi"),
            ("shop", "alone", 30, "30m", "64Mi"),
        ] {
            rig.apply(&pod(space, account, account, ""))?;
            sees(rig, space, account, "mail.env MAIL=key")?;
            let sidecar = sidecar(rig, space, account)?;
            let what = format!("what the sidecar of {space}/{account} asks for");
            same(
                &what,
                &sidecar["resources"],
                &json!({"requests": {"cpu": cpu, "memory": memory}}),
            )?;
            let refresh = config(&sidecar)?["refreshMillis"].clone();
            same(
                &format!("how often {space}/{account} looks"),
                &refresh,
                &json!(seconds * 1000),
            )?;
        }
        Ok(())
    })
}

/// Two accounts of a shop, and two services for everyone.
fn declare(rig: &Rig<'_>) -> Result<()> {
    let manifests = [
        namespace("shop", ""),
        account("shop", "web"),
        account("shop", "alone"),
        rig.provider(),
        global(),
        service("hubspot"),
        service("mail"),
    ];
    rig.apply(&manifests.concat())
}

/// A service of one key.
fn service(name: &str) -> String {
    credential("shop", name, "global", name, &value("api_key", "key"))
}

/// A binding that shows each of its services as a file and a variable of its name.
fn of(space: &str, name: &str, account: &str, services: &[&str], more: &str) -> String {
    let each = |one: &dyn Fn(&str) -> String| {
        let all: Vec<String> = services.iter().map(|service| one(service)).collect();
        all
    };
    let secrets = each(&|name| format!("{{name: {name}, service: {name}}}"));
    let files = each(&|name| format!("{{path: {name}.env, format: Dotenv, secret: {name}}}"));
    let env = each(&|name| format!("{{name: {}, secret: {name}, key: api_key}}", name.to_uppercase()));
    let binding = binding_of(space, name, account, &secrets);
    let [files, env] = [files, env].map(|list| list.join(", "));
    format!("{binding}  files: [{files}]\n  env: [{env}]\n{more}")
}

fn binding_in_shop(name: &str) -> String {
    format!("secretbinding/{name} -n @id@-shop")
}

/// A pod that wants secrets, says what it has, and ends.
fn pod(space: &str, name: &str, account: &str, labels: &str) -> String {
    let says = r#"cd /keystead; echo $(ls) $(env | grep -E "^(HUBSPOT|MAIL|LATER)=" | sort)"#;
    format!(
        "
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: @id@-{space}, labels: {{keystead.dev/inject: 'true', {labels}}}}}
spec:
  serviceAccountName: {account}
  restartPolicy: Never
  containers:
  - {{name: app, image: {TEST_IMAGE}, imagePullPolicy: IfNotPresent, command: [/bin/sh, -c, '{says}']}}
"
    )
}

/// Holds that this is what the pod saw: the files by name, and the variables.
fn sees(rig: &Rig<'_>, space: &str, name: &str, wanted: &str) -> Result<()> {
    let done = "--for=jsonpath={.status.phase}=Succeeded --timeout=60s";
    rig.ask(&format!("kubectl -n @id@-{space} wait pod {name} {done}"))?;
    let found = rig.ask(&format!("kubectl -n @id@-{space} logs {name} -c app"))?;
    same(
        &format!("what pod {space}/{name} sees"),
        &json!(found),
        &json!(wanted),
    )
}

/// The container that stands in the pod as it was made.
fn sidecar(rig: &Rig<'_>, space: &str, name: &str) -> Result<Value> {
    let pod = rig.ask(&format!("kubectl -n @id@-{space} get pod {name} -o json"))?;
    let pod: Value = serde_json::from_str(&pod)?;
    Ok(pod["spec"]["initContainers"][0].clone())
}

/// What it was told.
fn config(sidecar: &Value) -> Result<Value> {
    let mut env = sidecar["env"].as_array().into_iter().flatten();
    let config = env.find(|variable| variable["name"] == "KEYSTEAD_CONFIG");
    let config = config.and_then(|variable| variable["value"].as_str());
    Ok(serde_json::from_str(config.context("the sidecar has a config")?)?)
}
