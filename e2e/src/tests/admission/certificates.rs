//! A certificate that somebody else makes, as cert-manager does: the test plays its part.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Result, anyhow, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::super::api::Api;
use crate::bed::pki::{Authority, Subject};
use crate::programs;
use crate::rig::chart::{RELEASE, configure, webhook_arguments};
use crate::rig::manifest::{account, namespace};
use crate::rig::program::{Program, free_port};
use crate::rig::{self, Method, Rig, same};
use crate::stage::{PATIENCE, Stage};
use crate::wait;

/// What the operator says when it takes one.
const TAKEN: &str = "serving another certificate";
/// The test's certificates end when 2046 begins.
const END: &str = "keystead_webhook_certificate_not_after_seconds{certificate=\"leaf\"} 2398377600";
const REFUSAL: &str = "no SecretBinding in namespace";

pub(super) fn given(stage: &Stage) -> Result<()> {
    rig::run(stage, "given", Method::Kubernetes, |rig| {
        rig.apply(&[namespace("shop", ""), account("shop", "web"), rig.provider()].concat())?;
        let one = Authority::create(&rig.path("pki"), "one")?;
        let other = Authority::create(&rig.path("pki"), "other")?;
        give(rig, &one, "one", "first")?;
        let port = free_port()?;
        configure(rig, port)?;
        trust(rig, &["one"])?;
        let mut arguments = webhook_arguments(rig, RELEASE, port, &programs::image("sidecar"));
        arguments.push("--tls-given".to_owned());
        let (operator, probe) = rig.start("operator", |command| {
            command.args(&arguments);
        })?;
        rig.stage
            .until("the operator is ready", &probe, |answer| answer == "ok")?;
        let metrics = probe.replace("/readyz", "/metrics");
        rig.stage
            .until("the metric says when it ends", &metrics, |answer| {
                answer.contains(END)
            })?;
        let api = Api::start(rig)?;
        let asked = under_load(rig, &api, || swap(rig, &operator, &one, &other));
        let gone = rig.ask(&format!(
            "kubectl delete mutatingwebhookconfiguration,validatingwebhookconfiguration {RELEASE}.@id@"
        ));
        ensure!(asked? >= 10, "there were too few calls");
        gone.map(drop)
    })
}

/// Renews the certificate, then has another authority sign it. Whom to trust is told before.
fn swap(rig: &Rig<'_>, operator: &Program, one: &Authority, other: &Authority) -> Result<()> {
    takes(operator, 1)?;
    give(rig, one, "one", "second")?;
    takes(operator, 2)?;
    trust(rig, &["one", "other"])?;
    give(rig, other, "other", "third")?;
    takes(operator, 3)?;
    trust(rig, &["other"])?;
    // Half of one, and none: what is served stays.
    let key = BASE64.encode(fs::read(rig.path("pki").join("first.key"))?);
    change(rig, &json!({"tls.key": key}))?;
    wait::until("it says what is wrong", PATIENCE, None, || {
        Ok(operator
            .log()
            .contains("certificate and private key do not go together"))
    })?;
    give(rig, other, "other", "fourth")?;
    takes(operator, 4)?;
    // Nothing else has written there.
    let read = |line: &str| rig.ask(line).map(Value::from);
    let bundle = BASE64.encode(fs::read(rig.path("pki").join("other.crt"))?);
    let line = format!(
        "kubectl get mutatingwebhookconfiguration {RELEASE}.@id@ -o 'jsonpath={{.webhooks[0].clientConfig.caBundle}}'"
    );
    same("whom the API server trusts", &read(&line)?, &json!(bundle))?;
    let line = format!("kubectl -n @id@ get secret {RELEASE}-webhook-tls -o 'jsonpath={{.data.ca\\.key}}'");
    same("the authority's key", &read(&line)?, &json!(""))
}

/// Works while pods are created without end, each of which the webhook must be asked about. Answers how many.
fn under_load(rig: &Rig<'_>, api: &Api, work: impl FnOnce() -> Result<()>) -> Result<usize> {
    let Some(bed) = rig.stage.bed() else {
        bail!("this test needs a bed")
    };
    let (end, space) = (AtomicBool::new(false), format!("{}-shop", rig.id));
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web", "labels": {"keystead.dev/inject": "true"}},
        "spec": {"serviceAccountName": "web", "containers": [{"name": "none", "image": "none.invalid/none"}]},
    });
    let ask = || -> Result<usize> {
        bed.enter()?;
        let mut asked = 0;
        while !end.load(Ordering::Relaxed) {
            let answer = api.would(&space, &pod)?.err().unwrap_or_default();
            ensure!(answer.contains(REFUSAL), "call {asked} failed: {answer:?}");
            asked += 1;
        }
        Ok(asked)
    };
    thread::scope(|scope| {
        let asking = scope.spawn(ask);
        let worked = work();
        end.store(true, Ordering::Relaxed);
        let asked = asking.join().map_err(|_| anyhow!("it panicked: see above"))?;
        worked.and(asked)
    })
}

/// Waits until the operator has taken so many.
fn takes(operator: &Program, count: usize) -> Result<()> {
    wait::until(
        format_args!("certificate {count} is served"),
        PATIENCE,
        None,
        || Ok(operator.log().matches(TAKEN).count() >= count),
    )
}

/// Puts a certificate of this authority where the operator looks.
fn give(rig: &Rig<'_>, authority: &Authority, ca: &str, file: &str) -> Result<()> {
    let host = format!("{RELEASE}.{}.svc", rig.id);
    let subject = Subject {
        file,
        hosts: &[&host],
        ..Subject::default()
    };
    authority.issue(&subject)?;
    let read = |name: String| fs::read(rig.path("pki").join(name)).map(|bytes| BASE64.encode(bytes));
    let (ca, certificate) = (read(format!("{ca}.crt"))?, read(format!("{file}.crt"))?);
    change(
        rig,
        &json!({"ca.crt": ca, "tls.crt": certificate, "tls.key": read(format!("{file}.key"))?}),
    )
}

fn change(rig: &Rig<'_>, data: &Value) -> Result<()> {
    let patch = json!({"data": data});
    let line = format!("kubectl -n @id@ patch secret {RELEASE}-webhook-tls --type merge -p '{patch}'");
    rig.ask(&line).map(drop)
}

/// Has the API server trust these.
fn trust(rig: &Rig<'_>, names: &[&str]) -> Result<()> {
    let mut bundle = Vec::new();
    for name in names {
        bundle.extend(fs::read(rig.path("pki").join(format!("{name}.crt")))?);
    }
    for kind in ["mutating", "validating"] {
        let object = format!("{kind}webhookconfiguration {RELEASE}.@id@");
        let count = rig.ask(&format!(
            "kubectl get {object} -o 'jsonpath={{.webhooks[*].name}}'"
        ))?;
        let set = |index: usize| json!({"op": "add", "path": format!("/webhooks/{index}/clientConfig/caBundle"), "value": BASE64.encode(&bundle)});
        let patch: Vec<Value> = (0..count.split(' ').count()).map(set).collect();
        rig.ask(&format!(
            "kubectl patch {object} --type json -p '{}'",
            json!(patch)
        ))?;
    }
    Ok(())
}
