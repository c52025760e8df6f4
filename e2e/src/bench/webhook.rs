//! `cargo e2e bench webhook`: how many pods a second the operator's webhook answers for, over TLS, and
//! how long the slowest wait. Who asks runs on the same machine and takes its share.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::{ClientConnection, StreamOwned};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::report::{Bound, Limit, Measure, Report};
use super::usage::Usage;
use super::{leave, new_servers, program, size};
use crate::args::BenchProgram as Options;
use crate::bed::Bed;
use crate::rig::chart::{RELEASE, configure, webhook_arguments};
use crate::rig::https::Https;
use crate::rig::manifest::{account, binding_of, credential, global, namespace, value};
use crate::rig::program::{Program, free_port};
use crate::rig::{self, Method, Rig};
use crate::stage::{PATIENCE, Site, Stage};
use crate::{interrupt, programs, wait};

/// Connections; answers a second and the slowest hundredth in milliseconds that must be reached; others.
const ROWS: [(usize, f64, f64, [&str; 2]); 2] = [
    (
        1,
        10_000.0,
        0.5,
        ["Vault Agent Injector with a fifth of the pod 2,514", "1.9"],
    ),
    (
        16,
        15_000.0,
        3.0,
        ["Vault Agent Injector with a fifth of the pod 6,031", "17"],
    ),
];
/// How long each run asks without being counted, and then counted.
const WARM: Duration = Duration::from_millis(500);
const COUNTED: Duration = Duration::from_secs(3);
/// About how long the pod is.
const POD: usize = 5000;

/// Measures and prints. Fails where an answer is no patch.
pub fn bench(options: &Options) -> Result<()> {
    let operator = program(options.program.as_deref(), "keystead-operator")?;
    let cli = programs::cli()?;
    let mut report = Report::new("the webhook over TLS, a pod of 5 KB");
    report.add(
        measure("binary", "size", "MB", Limit::AtMost(12.0), ""),
        size(&operator)?,
    );
    let bed = new_servers()?;
    let stage = Stage::new(Site::Bed(Box::new(bed.clone())), false, cli);
    let measured = rig::run(&stage, "bench", Method::Kubernetes, |rig| {
        let port = free_port()?;
        let mut operator = start(rig, &operator, port)?;
        let asking = Asking::new(rig, &bed, port)?;
        for (connections, rate, slowest, [peer_rate, peer_slowest]) in ROWS {
            let row = format!("{connections} connections");
            for _ in 0..options.runs.max(1) {
                interrupt::check()?;
                operator.check()?;
                let before = Usage::of(&operator)?.cpu;
                let (answers, worst, all) = asking.run(connections)?;
                let each = 1e6 * (Usage::of(&operator)?.cpu - before) / all;
                let used = Measure {
                    row: row.clone(),
                    title: "the operator's CPU for each".to_owned(),
                    unit: "µs",
                    bound: None,
                };
                report.add(used, each);
                report.add(
                    measure(&row, "answers", "/s", Limit::AtLeast(rate), peer_rate),
                    answers,
                );
                report.add(
                    measure(
                        &row,
                        "the slowest hundredth",
                        "ms",
                        Limit::AtMost(slowest),
                        peer_slowest,
                    ),
                    worst,
                );
            }
        }
        let peak = Measure {
            row: "memory".to_owned(),
            title: "the most".to_owned(),
            unit: "MB",
            bound: None,
        };
        report.add(peak, Usage::of(&operator)?.peak);
        operator.stop()
    });
    leave()?;
    report.publish(options.json.as_deref())?;
    measured
}

/// The operator with its webhook, and an account whose pods get two services.
fn start(rig: &Rig<'_>, program: &std::path::Path, port: u16) -> Result<Program> {
    let secrets = ["hubspot", "postgres"].map(|name| format!("{{name: {name}, service: {name}}}"));
    let shown = "  files: [{path: hubspot.env, format: Dotenv, secret: hubspot}]\n  env: [{name: API_KEY, secret: hubspot, key: api_key}]\n";
    let declared = |name: &str| credential("shop", name, "global", name, &value("api_key", "x"));
    let manifests = [
        namespace("shop", ""),
        account("shop", "web"),
        rig.provider(),
        global(),
        declared("hubspot"),
        declared("postgres"),
        binding_of("shop", "web", "web", &secrets) + shown,
    ];
    rig.apply(&manifests.concat())?;
    configure(rig, port)?;
    let (admin, log) = (free_port()?, rig.path("operator.log"));
    let mut operator = Program::start_file(rig.stage, program, &log, |command| {
        rig.prepare(command, admin);
        command.args(webhook_arguments(rig, RELEASE, port, &programs::image("sidecar")));
    })?;
    let probe = format!("kubectl --server=http://127.0.0.1:{admin} get --raw /readyz");
    wait::until("the operator is ready", PATIENCE, Some(&log), || {
        operator.check()?;
        Ok(rig.stage.ask(&probe).is_ok_and(|answer| answer == "ok"))
    })?;
    rig.ready(&["secretbinding/web -n @id@-shop"])?;
    Ok(operator)
}

/// Who asks, as the API server would.
struct Asking {
    https: Https,
    request: Vec<u8>,
}

impl Asking {
    fn new(rig: &Rig<'_>, bed: &Bed, port: u16) -> Result<Self> {
        let ca = rig.ask("kubectl -n @id@ get secret keystead-webhook-tls -o 'jsonpath={.data.ca\\.crt}'")?;
        let ca = BASE64.decode(ca.trim()).context("the CA is base64")?;
        let https = Https::new(bed, "127.0.0.1", port, format!("{RELEASE}.{}.svc", rig.id), &ca)?;
        let review = review(&format!("{}-shop", rig.id))?;
        let head = format!(
            "POST /inject/pod HTTP/1.1\r\nHost: {RELEASE}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            review.len()
        );
        let asking = Self {
            https,
            request: [head.into_bytes(), review].concat(),
        };
        let answer = thread::scope(|scope| scope.spawn(|| asking.connect()?.ask(&asking.request)).join());
        let answer = answer.map_err(|_| anyhow!("it panicked: see above"))??;
        let answer: Value = serde_json::from_slice(&answer)?;
        let patch = answer["response"]["patch"].as_str().unwrap_or_default();
        ensure!(
            answer["response"]["allowed"] == true && patch.len() > 1000,
            "the pod gets no sidecar: {answer}"
        );
        Ok(asking)
    }

    /// Answers a second over so many connections, the slowest hundredth in milliseconds, and how many answers
    /// there were with those that were not counted.
    fn run(&self, connections: usize) -> Result<(f64, f64, f64)> {
        let hands = || -> Result<Vec<(u32, Vec<Duration>)>> {
            thread::scope(|scope| {
                let hands: Vec<_> = (0..connections).map(|_| scope.spawn(|| self.hand())).collect();
                hands
                    .into_iter()
                    .map(|hand| hand.join().map_err(|_| anyhow!("it panicked: see above"))?)
                    .collect()
            })
        };
        let (warm, took): (Vec<u32>, Vec<Vec<Duration>>) = hands()?.into_iter().unzip();
        let mut took = took.concat();
        took.sort_unstable();
        let slowest = took.get(took.len() * 99 / 100).context("there were no answers")?;
        let count = f64::from(u32::try_from(took.len())?);
        let all = count + f64::from(warm.iter().sum::<u32>());
        Ok((count / COUNTED.as_secs_f64(), 1000.0 * slowest.as_secs_f64(), all))
    }

    /// One connection: how many answers came before any was counted, and how long each other took.
    fn hand(&self) -> Result<(u32, Vec<Duration>)> {
        let mut connection = self.connect()?;
        let (counted, mut warm) = (Instant::now() + WARM, 0);
        while Instant::now() < counted {
            connection.ask(&self.request)?;
            warm += 1;
        }
        let (end, mut took) = (Instant::now() + COUNTED, Vec::new());
        loop {
            let began = Instant::now();
            if began >= end {
                return Ok((warm, took));
            }
            connection.ask(&self.request)?;
            took.push(began.elapsed());
        }
    }

    fn connect(&self) -> Result<Connection> {
        Ok(Connection(BufReader::new(self.https.connect()?)))
    }
}

/// A connection that is kept.
struct Connection(BufReader<StreamOwned<ClientConnection, TcpStream>>);

impl Connection {
    /// Answers the body.
    fn ask(&mut self, request: &[u8]) -> Result<Vec<u8>> {
        let Self(stream) = self;
        stream.get_mut().write_all(request)?;
        let (mut line, mut length) = (String::new(), 0);
        loop {
            line.clear();
            stream.read_line(&mut line)?;
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        ensure!(length > 0, "an answer has a length");
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        Ok(body)
    }
}

/// What the API server asks about a pod such as a Deployment makes.
fn review(namespace: &str) -> Result<Vec<u8>> {
    let variable = |number: usize| json!({"name": format!("SETTING_{number}"), "value": format!("the value of setting number {number}")});
    let probe = |path: &str| {
        json!({"httpGet": {"path": path, "port": 8080, "scheme": "HTTP"}, "periodSeconds": 10, "timeoutSeconds": 1,
            "successThreshold": 1, "failureThreshold": 3})
    };
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "web-5d4f8c7b9-",
            "namespace": namespace,
            "labels": {"app": "web", "pod-template-hash": "5d4f8c7b9", "keystead.dev/inject": "true"},
            "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d4f8c7b9",
                "uid": "0c9e4a53-55ab-4d3c-9c0e-000000000000", "controller": true, "blockOwnerDeletion": true}],
        },
        "spec": {
            "serviceAccountName": "web",
            "containers": [{
                "name": "app", "image": "registry.example/web:1.2.3", "imagePullPolicy": "IfNotPresent",
                "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
                "livenessProbe": probe("/livez"), "readinessProbe": probe("/readyz"), "startupProbe": probe("/startz"),
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                    "capabilities": {"drop": ["ALL"]}},
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            }],
            "volumes": [{"name": "data", "emptyDir": {}}],
            "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "fsGroup": 1000,
                "seccompProfile": {"type": "RuntimeDefault"}},
            "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
            "schedulerName": "default-scheduler", "priority": 0, "enableServiceLinks": true,
        },
    });
    let mut variables = Vec::new();
    while pod.to_string().len() < POD {
        variables.push(variable(variables.len()));
        pod["spec"]["containers"][0]["env"] = json!(variables);
    }
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": namespace,
            "operation": "CREATE",
            "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller"},
            "object": pod,
            "dryRun": false,
        },
    });
    Ok(serde_json::to_vec(&review)?)
}

fn measure(row: &str, title: &str, unit: &'static str, limit: Limit, peer: &'static str) -> Measure {
    Measure {
        row: row.to_owned(),
        title: title.to_owned(),
        unit,
        bound: Some(Bound { limit, peer }),
    }
}
