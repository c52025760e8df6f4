//! Pods of all kinds, as the real API server takes them with the webhook before it: each is served whole or
//! refused by the webhook with a sentence. Nothing is stored.
//!
//! `KEYSTEAD_SEED` repeats a run, `KEYSTEAD_PODS` says how many pods it tries.

mod limits;
mod pods;
mod whole;

use std::collections::BTreeMap;
use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Value, json};

use self::pods::Dice;
use super::Test;
use super::api::Api;
use crate::rig::chart::Webhook;
use crate::rig::manifest::{account, credential, global, namespace, value};
use crate::rig::{self, Method, Rig};
use crate::stage::Stage;
use crate::{interrupt, ui};

pub(super) fn tests() -> Vec<Test> {
    vec![Test::on_servers(
        "specs: whatever a pod is, it is served whole or refused by the webhook, in strict namespaces too",
        whatever,
    )]
}

const PODS: u64 = 300;
/// One for each way to be served; each has a binding of its name.
const ACCOUNTS: [&str; 6] = ["exec", "late", "moved", "once", "side", "some"];

fn whatever(stage: &Stage) -> Result<()> {
    rig::run(stage, "specs", Method::Kubernetes, |rig| {
        declare(rig)?;
        let _webhook = Webhook::new(rig)?;
        for space in ["shop", "tight"] {
            for name in ACCOUNTS {
                rig.ready(&[&format!("secretbinding/{name} -n @id@-{space}")])?;
            }
        }
        let api = Api::start(rig)?;
        limits::hold(rig, &api)?;
        let bed = stage.bed().context("this test needs a bed")?;
        let id = rig.id.as_str();
        rig::inside(bed, |_| explore(&api, id))
    })
}

/// Two namespaces, one of them strict, with a binding for each account.
fn declare(rig: &Rig<'_>) -> Result<()> {
    let strict = "pod-security.kubernetes.io/enforce: restricted";
    let shared = [
        namespace("shop", ""),
        namespace("tight", strict),
        rig.provider(),
        global(),
        credential("shop", "mail", "global", "mail", &value("api_key", "key")),
    ];
    let bindings = ["shop", "tight"].map(|space| ACCOUNTS.map(|name| bound(space, name)).concat());
    rig.apply(&[shared.concat(), bindings.concat()].concat())
}

/// An account and its binding.
fn bound(space: &str, name: &str) -> String {
    let more = match name {
        "exec" => "sidecar: {mode: Exec}",
        "late" => "sidecar: {first: false}",
        "moved" => "mountPath: /etc/moved\n  sidecar: {port: 9300}",
        "once" => "sidecar: {mode: Init}",
        "some" => "containers: [a, b]",
        _ => "refreshInterval: 1m",
    };
    let binding = format!(
        "
---
apiVersion: keystead.dev/v1alpha1
kind: SecretBinding
metadata: {{name: {name}, namespace: @id@-{space}}}
spec:
  providerRef: {{name: @id@}}
  serviceAccounts: [{name}]
  secrets: [{{name: mail, service: mail}}]
  files: [{{path: mail.env, format: Dotenv, secret: mail}}]
  env: [{{name: MAIL, secret: mail, key: api_key}}]
  {more}
"
    );
    account(space, name) + &binding
}

/// What became of how many.
type Tally = BTreeMap<&'static str, usize>;

fn explore(api: &Api, id: &str) -> Result<()> {
    let number = |name, usual| match env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name} is a number")),
        Err(_) => Ok(usual),
    };
    let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let (seed, pods) = (number("KEYSTEAD_SEED", now)?, number("KEYSTEAD_PODS", PODS)?);
    let (mut dice, mut tally, mut failures) = (Dice::new(seed), Tally::new(), Vec::new());
    for number in 0..pods {
        interrupt::check()?;
        let pod = pods::any(&mut dice);
        if let Err(error) = judge(api, id, &pod, &mut tally) {
            failures.push(format!(
                "pod {number} of KEYSTEAD_SEED={seed}: {error:#}\nthe pod: {pod}"
            ));
        }
    }
    if !failures.is_empty() {
        bail!(
            "{} of {pods} pods failed:\n{}",
            failures.len(),
            failures.join("\n\n")
        );
    }
    ui::say(format_args!("  {tally:?}"));
    for what in [
        "served",
        "refused by the webhook",
        "served in a strict namespace",
        "Guaranteed",
    ] {
        let times = tally.get(what).copied().unwrap_or_default();
        ensure!(
            times >= 5,
            "KEYSTEAD_SEED={seed}: too few pods were {what}: {tally:?}"
        );
    }
    Ok(())
}

fn judge(api: &Api, id: &str, pod: &Value, tally: &mut Tally) -> Result<()> {
    let mut count = |what: &'static str| *tally.entry(what).or_default() += 1;
    for (space, what) in [("shop", "served"), ("tight", "served in a strict namespace")] {
        let space = format!("{id}-{space}");
        let Ok(plain) = api.would(&space, &labelled(pod, "false"))? else {
            count("refused without Keystead");
            continue;
        };
        let served = match api.would(&space, &labelled(pod, "true"))? {
            Ok(served) => served,
            Err(why) => {
                let ours = "admission webhook \"pod.inject.keystead.dev\" denied the request: ";
                let (_, sentence) = why
                    .split_once(ours)
                    .with_context(|| format!("refused by somebody else in {space}: {why}"))?;
                ensure!(sentence.contains(' '), "no sentence: {why}");
                count("refused by the webhook");
                continue;
            }
        };
        whole::check(&plain, &served)
            .map_err(|error| anyhow!("half-injected in {space}: {error:#}\nas served: {served}"))?;
        let again = api.would(&space, &bare(&served))?;
        let again = again.map_err(|why| anyhow!("refused the second time in {space}: {why}\n{served}"))?;
        ensure!(
            again["spec"] == served["spec"],
            "changed by a second time: {served}\nbecame {again}"
        );
        count(what);
        if served["status"]["qosClass"] == "Guaranteed" {
            count("Guaranteed");
        }
    }
    Ok(())
}

fn labelled(pod: &Value, inject: &str) -> Value {
    let mut pod = pod.clone();
    pod["metadata"]["labels"]["keystead.dev/inject"] = json!(inject);
    pod
}

/// What somebody has who copies a pod.
fn bare(pod: &Value) -> Value {
    let metadata = &pod["metadata"];
    let kept = ["name", "labels", "annotations"].map(|field| (field, metadata[field].clone()));
    let kept: BTreeMap<_, _> = kept.into_iter().filter(|(_, value)| !value.is_null()).collect();
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": kept, "spec": pod["spec"]})
}
