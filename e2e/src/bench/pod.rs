//! `cargo e2e bench pod`: a pod's start with Keystead beside the same pod without, on a real node: one
//! alone, in turns, and many at once.

use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use tokio::time::Instant;

use super::report::{Bound, Limit, Measure, Report, median};
use super::{leave, new_bed};
use crate::args::BenchPod as Options;
use crate::bed::TEST_IMAGE;
use crate::rig::chart::Webhook;
use crate::rig::manifest::{account, binding, credential, global, namespace, value};
use crate::rig::{self, Method, Rig};
use crate::stage::{Site, Stage};
use crate::{programs, ui};

/// How much later, in seconds, the application's first line may come with Keystead.
const MORE: f64 = 0.15;
/// The label that asks for secrets, or does not.
const ASKS: [bool; 2] = [false, true];

/// Measures and prints. Fails where a pod does not start, or starts twice.
pub fn bench(options: &Options) -> Result<()> {
    let cli = programs::cli()?;
    let mut report = Report::new("pods with Keystead beside the same without it, on one node");
    let bed = new_bed(false)?;
    programs::import(&bed)?;
    let stage = Stage::new(Site::Bed(Box::new(bed)), false, cli);
    let measured = rig::run(&stage, "bench", Method::Kubernetes, |rig| {
        declare(rig)?;
        let _webhook = Webhook::new(rig)?;
        rig.ready(&["secretbinding/web -n @id@-shop"])?;
        one_by_one(rig, options.runs.max(1), &mut report)?;
        if options.pods > 0 {
            at_once(rig, options.pods, &mut report)?;
        }
        Ok(())
    });
    leave()?;
    // What was measured before something failed is worth seeing.
    report.publish(options.json.as_deref())?;
    measured
}

fn declare(rig: &Rig<'_>) -> Result<()> {
    let binding = binding("shop", "web", "web", &["mail"]);
    let more = "  files: [{path: mail.env, format: Dotenv, secret: mail}]\n  env: [{name: MAIL, secret: mail, key: api_key}]\n";
    let manifests = [
        namespace("shop", ""),
        account("shop", "web"),
        rig.provider(),
        global(),
        credential("shop", "mail", "global", "mail", &value("api_key", "key")),
        format!("{binding}{more}"),
    ];
    rig.apply(&manifests.concat())
}

/// From creation to the first line, one pod after the other.
fn one_by_one(rig: &Rig<'_>, runs: usize, report: &mut Report) -> Result<()> {
    let row = "one pod";
    let mut times = ASKS.map(|_| Vec::new());
    // The first ones of a bed are slower, whoever they are.
    for run in 0..=runs {
        for (asks, times) in ASKS.into_iter().zip(&mut times) {
            let took = first_line(rig, asks)?;
            if run > 0 {
                times.push(took);
            }
        }
    }
    let [without, with] = &times;
    for (title, times) in [("without Keystead", without), ("with Keystead", with)] {
        let title = format!("`kubectl create` to first line, {title}");
        for time in times {
            report.add(measure(row, &title, None), *time);
        }
    }
    let more = measure(row, "how much later with Keystead", Some(Limit::AtMost(MORE)));
    report.add(more, median(with) - median(without));
    Ok(())
}

/// Runs a pod to its end; answers when it said its first line, in seconds from its creation.
fn first_line(rig: &Rig<'_>, asks: bool) -> Result<f64> {
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: one, namespace: {}-shop, labels: {}}}\nspec: {}\n",
        rig.id,
        labels(asks),
        pod_spec("Never", "echo here")
    );
    let line = "kubectl create -f -";
    let began = SystemTime::now();
    rig.stage
        .shown(line, &mut rig.stage.command(line), Some(&manifest))?;
    let done = "--for=jsonpath={.status.phase}=Succeeded --timeout=60s";
    rig.ask(&format!("kubectl -n @id@-shop wait pod one {done}"))?;
    let log = rig.ask("kubectl -n @id@-shop logs one -c app --timestamps")?;
    rig.ask("kubectl -n @id@-shop delete pod one")?;
    let (time, text) = log.split_once(' ').context("the pod said nothing")?;
    ensure!(text == "here", "the pod said {text:?}");
    let time: Timestamp = time.parse().context("when the pod said it")?;
    Ok(SystemTime::from(time).duration_since(began)?.as_secs_f64())
}

/// Until all of many are Ready, all created at once.
fn at_once(rig: &Rig<'_>, pods: usize, report: &mut Report) -> Result<()> {
    let row = format!("{pods} pods at once");
    for (asks, title) in ASKS.into_iter().zip(["without Keystead", "with Keystead"]) {
        ui::note(format_args!("━━ {row}, {title}"));
        let manifest = format!(
            "
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: many, namespace: @id@-shop}}
spec: {{replicas: {pods}, selector: {{matchLabels: {{app: many}}}}, template: {{metadata: {{labels: {}}}, spec: {}}}}}
",
            labels(asks),
            pod_spec("Always", "exec sleep 9999")
        );
        let began = Instant::now();
        rig.apply(&manifest)?;
        rig.ask("kubectl -n @id@-shop rollout status deployment many --timeout=15m")?;
        report.add(
            measure(&row, &format!("until all are Ready, {title}"), None),
            began.elapsed().as_secs_f64(),
        );
        let path = "{.items[*].status.initContainerStatuses[*].restartCount} {.items[*].status.containerStatuses[*].restartCount}";
        let restarts = rig.ask(&format!(
            "kubectl -n @id@-shop get pods -l app=many -o 'jsonpath={path}'"
        ))?;
        ensure!(
            restarts.split_whitespace().all(|count| count == "0"),
            "containers have restarted: {restarts}"
        );
        rig.ask("kubectl -n @id@-shop delete deployment many --cascade=foreground --timeout=15m")?;
    }
    Ok(())
}

fn labels(asks: bool) -> String {
    format!("{{app: many, keystead.dev/inject: '{asks}'}}")
}

fn pod_spec(policy: &str, command: &str) -> String {
    format!(
        "{{serviceAccountName: web, restartPolicy: {policy}, terminationGracePeriodSeconds: 0, containers: \
         [{{name: app, image: {TEST_IMAGE}, imagePullPolicy: IfNotPresent, command: [/bin/sh, -c, {command}]}}]}}"
    )
}

fn measure(row: &str, title: &str, limit: Option<Limit>) -> Measure {
    Measure {
        row: row.to_owned(),
        title: title.to_owned(),
        unit: "s",
        bound: limit.map(|limit| Bound {
            limit,
            peer: "Vault Agent Injector 1.1",
        }),
    }
}
