//! What a waiting pod says: an event on it, soon, by nobody but itself.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{binding_in_shop, config, declare, of, service, sidecar};
use crate::bed::TEST_IMAGE;
use crate::rig::chart::{RELEASE, Webhook};
use crate::rig::https::Https;
use crate::rig::manifest::{credential, value};
use crate::rig::{self, Method, Rig};
use crate::stage::Stage;
use crate::wait;

/// By then the pod must have its event.
const SOON: Duration = Duration::from_secs(10);
/// The part of a value that nobody may ever see.
const HIDDEN: &str = "hunter2";

pub(super) fn told(stage: &Stage) -> Result<()> {
    rig::run(stage, "tell", Method::Kubernetes, |rig| {
        declare(rig)?;
        let quoted = value("api_key", &format!("{HIDDEN}'s"));
        let manifests = [
            credential("shop", "quoted", "global", "quoted", &quoted),
            of("shop", "web", "web", &["later"], ""),
            of("shop", "alone", "alone", &["quoted"], ""),
        ];
        rig.apply(&manifests.concat())?;
        let _webhook = Webhook::new(rig)?;
        rig.ready(&[&binding_in_shop("web"), &binding_in_shop("alone")])?;

        start(rig, "missing", "web")?;
        says(
            rig,
            "missing",
            "Warning SecretsNotReady",
            "no value for later in global",
        )?;
        start(rig, "quote", "alone")?;
        let unfit = "the value of quoted/api_key can't travel as an environment variable because it has a single quote";
        says(rig, "quote", "Warning SecretsNotReady", unfit)?;
        says(
            rig,
            "quote",
            "Warning SecretsNotReady",
            "mount it as a file instead",
        )?;

        rig.apply(&service("later"))?;
        says(rig, "missing", "Normal SecretsReady", "the secrets are there")?;
        deadline(rig)?;
        taken_away(rig)?;

        // Nobody looks after the role meanwhile: it was just looked after.
        rig.ask(&format!(
            "bao delete auth/{}/role/{}",
            rig.mount(),
            rig.role(&format!("{}-shop", rig.id), "web")
        ))?;
        start(rig, "refused", "web")?;
        says(
            rig,
            "refused",
            "Warning SecretsNotReady",
            "Vault refused the login: role keystead.@id@.",
        )?;

        // An address that is Vault's for the operator alone.
        let port = 8200;
        rig.apply(&rig.provider_at(&format!("https://127.0.0.1:{port}")))?;
        rig.ready(&["secretprovider/@id@"])?;
        start(rig, "away", "alone")?;
        let sentence = format!("cannot reach https://127.0.0.1:{port}: ");
        says(rig, "away", "Warning SecretsNotReady", &sentence)?;
        let all = rig.ask("kubectl -n @id@-shop get events -o json")?;
        ensure!(!all.contains(HIDDEN), "an event shows a value: {all}");
        Ok(())
    })
}

/// An init container that is ended before it has what it waits for.
fn deadline(rig: &Rig<'_>) -> Result<()> {
    let mode = "  sidecar: {mode: Init}\n";
    let binding = of("shop", "never", "never", &["never"], mode);
    rig.apply(&[super::account("shop", "never"), binding].concat())?;
    rig.ready(&[&binding_in_shop("never")])?;
    let spec = "  activeDeadlineSeconds: 3\n  restartPolicy: Never\n";
    rig.apply(&(pod(rig, "never", "never")? + spec))?;
    let failed = "--for=jsonpath={.status.phase}=Failed --timeout=60s";
    rig.ask(&format!("kubectl -n @id@-shop wait pod never {failed}"))?;
    let message = "{.status.initContainerStatuses[0].state.terminated.message}";
    let line = format!("kubectl -n {}-shop get pod never -o 'jsonpath={message}'", rig.id);
    let sentence = "no value for never in global";
    rig.stage
        .until("the termination message says why", &line, |said| said == sentence)
        .map(drop)
}

/// A pod that ran and lost its access.
fn taken_away(rig: &Rig<'_>) -> Result<()> {
    rig.apply(
        &[
            super::account("shop", "gone"),
            of("shop", "gone", "gone", &["mail"], "  refreshInterval: 1s\n"),
        ]
        .concat(),
    )?;
    rig.ready(&[&binding_in_shop("gone")])?;
    start(rig, "gone", "gone")?;
    let ready = "--for=condition=Ready --timeout=60s";
    rig.ask(&format!("kubectl -n @id@-shop wait pod gone {ready}"))?;
    rig.ask("kubectl -n @id@-shop delete secretbinding gone")?;
    says(rig, "gone", "Warning SecretsTakenAway", "")
}

pub(super) fn refused(stage: &Stage) -> Result<()> {
    rig::run(stage, "speak", Method::Kubernetes, |rig| {
        declare(rig)?;
        rig.apply(&of("shop", "web", "web", &["mail"], ""))?;
        let _webhook = Webhook::new(rig)?;
        rig.ready(&[&binding_in_shop("web")])?;
        start(rig, "one", "web")?;
        let operator = operator(rig)?;
        let token = |more: &str| rig.ask(&format!("kubectl -n @id@-shop create token web {more}"));
        let post = |token: &str, body: &str| operator.post("/v1/reports", token.trim(), body);
        let bound = "--bound-object-kind Pod --bound-object-name one";
        let own = token(&format!("--audience keystead {bound}"))?;
        let (status, said) = post(&own, &report("said by the test"))?;
        ensure!(status == 204, "{status}: {said}");
        says(rig, "one", "Warning SecretsNotReady", "said by the test")?;

        let others = [
            (format!("--audience vault {bound}"), "of another audience"),
            (bound.to_owned(), "of the API server"),
            ("--audience keystead".to_owned(), "of an account"),
        ];
        for (options, message) in others {
            let (status, said) = post(&token(&options)?, &report(message))?;
            ensure!(
                status == 401 && said.contains("a pod's token of audience keystead"),
                "{status}: {said}"
            );
        }
        ensure!(post("none", &report("of nobody"))?.0 == 401);
        let of_another = report("of another").replace('}', r#", "namespace": "kube-system", "pod": "x"}"#);
        for (body, wanted, sentence) in [
            (of_another, 400, "unknown field"),
            (report("two\nlines"), 400, "characters that a terminal acts on"),
            (report(&"x".repeat(1025)), 400, "from 1 to 1024 bytes"),
            (report(&"x".repeat(5000)), 413, "too large"),
        ] {
            let (status, said) = post(&own, &body)?;
            ensure!(
                status == wanted && said.contains(sentence),
                "expected {wanted}, {sentence}; got {status}: {said}"
            );
        }
        wait::until("the pod has said too much", SOON, None, || {
            Ok(post(&own, &report("again"))? == (429, "too many reports: try again later\n".to_owned()))
        })?;
        let all =
            rig.ask("kubectl -n @id@-shop get events -o 'jsonpath={range .items[*]}{.message};{end}'")?;
        for silent in ["of an", "of the", "of nobody", "lines", "xxx"] {
            ensure!(!all.contains(silent), "an event says {silent:?}: {all}");
        }
        Ok(())
    })
}

pub(in crate::tests) fn report(message: &str) -> String {
    json!({"reason": "SecretsNotReady", "message": message}).to_string()
}

/// Where the sidecar of the pod `one` is told to report.
pub(in crate::tests) fn operator(rig: &Rig<'_>) -> Result<Https> {
    let told = config(&sidecar(rig, "shop", "one")?)?["operator"].clone();
    let text = |name: &str| told[name].as_str().context("the sidecar is told of the operator");
    let (_, port) = text("address")?.rsplit_once(':').context("a port")?;
    let bed = rig.stage.bed().context("this test needs a bed")?;
    let server = format!("{RELEASE}.{}.svc", rig.id);
    Https::new(bed, node(rig)?, port.parse()?, server, text("ca")?.as_bytes())
}

/// Starts a pod, which has its event soon.
fn start(rig: &Rig<'_>, name: &str, account: &str) -> Result<()> {
    rig.apply(&pod(rig, name, account)?)
}

/// Waits for an event of the pod.
pub(super) fn says(rig: &Rig<'_>, pod: &str, kind: &str, sentence: &str) -> Result<()> {
    let line = format!(
        "kubectl -n {}-shop get events --field-selector involvedObject.kind=Pod,involvedObject.name={pod} \
         -o 'jsonpath={{range .items[*]}}{{.type}} {{.reason}}: {{.message}};{{end}}'",
        rig.id
    );
    let sentence = sentence.replace("@id@", &rig.id);
    let mut last = String::new();
    let found = wait::until(
        format_args!("pod {pod} says {kind}: {sentence}"),
        SOON,
        None,
        || {
            last = rig.stage.ask(&line)?;
            let said = |event: &str| event.starts_with(&format!("{kind}: ")) && event.contains(&sentence);
            Ok(last.split(';').any(said))
        },
    );
    found.with_context(|| format!("its events are: {last}"))
}

/// The operator is a process of this machine, so pods are told its address by hand.
pub(in crate::tests) fn pod(rig: &Rig<'_>, name: &str, account: &str) -> Result<String> {
    let node = node(rig)?;
    Ok(format!(
        "
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: @id@-shop, labels: {{keystead.dev/inject: 'true'}}}}
spec:
  serviceAccountName: {account}
  terminationGracePeriodSeconds: 1
  hostAliases: [{{ip: {node}, hostnames: [{RELEASE}.@id@.svc]}}]
  containers: [{{name: app, image: {TEST_IMAGE}, imagePullPolicy: IfNotPresent, command: [/bin/sleep, '600']}}]
"
    ))
}

fn node<'a>(rig: &Rig<'a>) -> Result<&'a str> {
    let node = rig.stage.bed().and_then(|bed| bed.node_address.as_deref());
    node.context("this test needs a node")
}
