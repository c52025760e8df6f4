//! What every test and benchmark on real servers has for itself: a name that nobody else has, and
//! under it a class, a cluster, namespaces, a path and auth mounts in Vault. So no run sees another.

mod audit;
pub(crate) mod called;
pub(crate) mod changing;
pub(crate) mod chart;
pub(crate) mod database;
pub(crate) mod deadly;
pub(crate) mod endpoint;
pub(crate) mod https;
mod inside;
pub(crate) mod leases;
pub(crate) mod manifest;
pub(crate) mod program;
pub(crate) mod proxy;
pub(crate) mod server;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) use self::audit::is_by;
use self::chart::RELEASE;
pub(crate) use self::inside::{Inside, inside};
use self::program::{Program, free_port};
use crate::stage::{PATIENCE, Stage};
use crate::wait;

/// How pods log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Jwt,
    Kubernetes,
}

/// One test's own corner of the servers.
pub(crate) struct Rig<'a> {
    pub(crate) stage: &'a Stage,
    /// The test's name for everything: class, cluster, provider, path prefix, system namespace.
    pub(crate) id: String,
    pub(crate) method: Method,
    folder: TempDir,
}

/// Prepares Vault for a test and runs it. A failure shows the ends of the logs of what it started.
pub(crate) fn run(
    stage: &Stage,
    short: &str,
    method: Method,
    test: impl FnOnce(&Rig<'_>) -> Result<()>,
) -> Result<()> {
    let rig = Rig::new(stage, short, method)?;
    test(&rig).map_err(|error| {
        let mut logs: Vec<PathBuf> = fs::read_dir(rig.folder.path())
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
            .collect();
        logs.sort();
        let tails: String = logs.iter().map(|log| wait::tail(log)).collect();
        anyhow!("{error:#}{tails}")
    })
}

/// Puts the definitions of our kinds in as they are now, wherever they come from.
pub(crate) fn install_kinds(stage: &Stage) -> Result<()> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/yaml");
    stage.ask(&format!(
        "kubectl apply --server-side --force-conflicts -f '{folder}'"
    ))?;
    // Helm takes over what says that it belongs to the release: a story may follow on this bed.
    let crds = "customresourcedefinitions credentials.keystead.dev databaseconnections.keystead.dev databaseroles.keystead.dev encryptionkeys.keystead.dev secretbindings.keystead.dev secretproviders.keystead.dev secretscopes.keystead.dev";
    stage.ask(&format!(
        "kubectl label --overwrite {crds} app.kubernetes.io/managed-by=Helm"
    ))?;
    stage.ask(&format!(
        "kubectl annotate --overwrite {crds} meta.helm.sh/release-name=keystead meta.helm.sh/release-namespace=keystead-system"
    ))?;
    stage
        .ask(&format!("kubectl wait --for=condition=Established {crds}"))
        .map(drop)
}

impl<'a> Rig<'a> {
    fn new(stage: &'a Stage, short: &str, method: Method) -> Result<Self> {
        let rig = Self {
            stage,
            id: unique(short)?,
            method,
            folder: TempDir::new().context("create a temporary folder")?,
        };
        install_kinds(stage)?;
        rig.bootstrap()?;
        Ok(rig)
    }

    /// Vault is prepared by the command that people use for it. A bed of servers only has no
    /// controller manager to fill the reviewer's Secret, so it is filled before.
    fn bootstrap(&self) -> Result<()> {
        let id = &self.id;
        self.apply(
            "
apiVersion: v1
kind: Namespace
metadata: {name: @id@}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: keystead-vault-reviewer, namespace: @id@}
",
        )?;
        self.grant("")?;
        self.write_kubeconfig()?;
        let reviewer = self
            .stage
            .ask(&format!("kubectl -n {id} create token keystead-vault-reviewer"))?;
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/service-account-token",
            "metadata": {
                "name": "keystead-vault-reviewer",
                "namespace": id,
                "annotations": {"kubernetes.io/service-account.name": "keystead-vault-reviewer"},
            },
            "stringData": {"token": reviewer},
        });
        self.apply(&secret.to_string())?;
        self.prepare_vault("")?;
        fs::write(
            self.path("operator.jwt"),
            self.service_account_token(id, RELEASE)?,
        )?;
        Ok(())
    }

    /// Has the command prepare Vault, with more arguments.
    pub(crate) fn prepare_vault(&self, more: &str) -> Result<()> {
        let (id, mount) = (&self.id, self.mount());
        let method = match self.method {
            Method::Jwt => "jwt",
            Method::Kubernetes => "kubernetes",
        };
        let line = format!(
            "kubectl-keystead bootstrap --yes --cluster {id} --prefix {id} --operator-namespace {id} \
             --operator-service-account {RELEASE} --operator-mount {id} --workload-method {method} --workload-mount {mount} {more}"
        );
        self.stage.ask(line.trim_end()).map(drop)
    }

    // === names ===

    /// The auth mount of pods.
    pub(crate) fn mount(&self) -> String {
        format!("{}-pods", self.id)
    }

    /// Policy and role of a service account.
    pub(crate) fn role(&self, namespace: &str, account: &str) -> String {
        format!("keystead.{0}.{0}.s.{namespace}.{account}", self.id)
    }

    /// A file of this test's own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    // === Kubernetes ===

    /// Applies manifests; `@id@` in them is this test's name.
    pub(crate) fn apply(&self, manifests: &str) -> Result<()> {
        self.stage
            .apply("-", &manifests.trim_start().replace("@id@", &self.id))
    }

    /// Runs a command; `@id@` in it is this test's name.
    pub(crate) fn ask(&self, line: &str) -> Result<String> {
        self.stage.show(&line.replace("@id@", &self.id))
    }

    /// The same, not shown.
    fn ask_quietly(&self, line: &str) -> Result<String> {
        self.stage.ask(&line.replace("@id@", &self.id))
    }

    /// A token by which an account logs in to Vault.
    pub(crate) fn service_account_token(&self, namespace: &str, account: &str) -> Result<String> {
        self.stage.ask(&format!(
            "kubectl -n {namespace} create token {account} --audience vault"
        ))
    }

    /// Waits until an object's Ready condition is this status and reason, its message with `part`.
    pub(crate) fn says(&self, object: &str, status: &str, reason: &str, part: &str) -> Result<()> {
        let (object, part) = (object.replace("@id@", &self.id), part.replace("@id@", &self.id));
        let path = "{range .status.conditions[?(@.type==\"Ready\")]}{.status} {.reason}: {.message}{end}";
        let start = format!("{status} {reason}: ");
        self.stage
            .until(
                &format!("{object} is {start}…{part}…"),
                &format!("kubectl get {object} -o 'jsonpath={path}'"),
                |answer| answer.starts_with(&start) && answer.contains(&part),
            )
            .map(drop)
    }

    /// Waits until all of these are Ready.
    pub(crate) fn ready(&self, objects: &[&str]) -> Result<()> {
        objects
            .iter()
            .try_for_each(|object| self.says(object, "True", "Synced", ""))
    }

    /// Waits for a Warning event of an object with this sentence in it.
    pub(crate) fn warned(&self, kind: &str, name: &str, part: &str) -> Result<()> {
        let [name, part] = [name, part].map(|text| text.replace("@id@", &self.id));
        let line = format!(
            "kubectl get events -A --field-selector 'type=Warning,involvedObject.kind={kind},involvedObject.name={name}' \
             -o 'jsonpath={{range .items[*]}}{{.message}};{{end}}'"
        );
        self.stage
            .until(
                &format!("a Warning event of {kind} {name} says {part}"),
                &line,
                |answer| answer.contains(&part),
            )
            .map(drop)
    }

    // === the operator ===

    /// Starts this test's operator and waits until it has seen everything.
    pub(crate) fn operator(&self) -> Result<Program> {
        self.operator_with(&[])
    }

    /// The same, with more arguments.
    pub(crate) fn operator_with(&self, more: &[&str]) -> Result<Program> {
        self.replica("operator", more)
    }

    /// The same, with a log of this name.
    pub(crate) fn replica(&self, name: &str, more: &[&str]) -> Result<Program> {
        self.started(name, |command| {
            command.args(more);
        })
    }

    fn started(&self, name: &str, more: impl FnOnce(&mut Command)) -> Result<Program> {
        let (mut operator, probe) = self.start(name, more)?;
        let log = self.path(&format!("{name}.log"));
        wait::until("the operator is ready", PATIENCE, Some(&log), || {
            operator.check()?;
            Ok(self.stage.ask(&probe).is_ok_and(|answer| answer == "ok"))
        })?;
        Ok(operator)
    }

    /// Starts an operator of this test. Answers it with the command that asks whether it is ready.
    pub(crate) fn start(&self, name: &str, prepare: impl FnOnce(&mut Command)) -> Result<(Program, String)> {
        let port = free_port()?;
        let log = self.path(&format!("{name}.log"));
        let operator = Program::start(self.stage, "operator", &log, |command| {
            self.prepare(command, port);
            prepare(command);
        })?;
        let probe = format!("kubectl --server=http://127.0.0.1:{port} get --raw /readyz");
        Ok((operator, probe))
    }

    /// Gives an operator the arguments that make it this test's, and the chart's rights.
    pub(crate) fn prepare(&self, command: &mut Command, admin_port: u16) {
        command
            .env("KEYSTEAD_LOG_FORMAT", "text")
            .env("KUBECONFIG", self.path("kubeconfig"))
            .args(["--cluster", &self.id, "--class", &self.id])
            .arg("--vault-token-file")
            .arg(self.path("operator.jwt"))
            .args(["--admin-listen", &format!("127.0.0.1:{admin_port}")]);
    }

    // === Vault ===

    /// A full path in the KV engine's API, `kind` being `data` or `metadata`.
    pub(crate) fn kv(&self, kind: &str, place: &str) -> String {
        format!("kv/{kind}/{}/{place}", self.id)
    }

    /// What Vault has at a path, as root; none where there is nothing.
    pub(crate) fn vault(&self, path: &str) -> Result<Option<Value>> {
        match self.stage.ask(&format!("bao read -format=json '{path}'")) {
            Ok(answer) => Ok(Some(serde_json::from_str(&answer)?)),
            Err(error) if error.to_string().contains("No value found") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits until the newest version at a place in the KV engine has exactly these values.
    pub(crate) fn values_become(&self, place: &str, wanted: &Value) -> Result<()> {
        let path = self.kv("data", place);
        let mut last = None;
        let found = wait::until(format_args!("{path} holds {wanted}"), PATIENCE, None, || {
            last = self.vault(&path)?;
            Ok(last.as_ref().map(|answer| &answer["data"]["data"]) == Some(wanted))
        });
        found.with_context(|| format!("the last answer was {last:?}"))
    }

    /// Logs in with an account's token, as a pod would.
    pub(crate) fn log_in(&self, namespace: &str, account: &str) -> Result<String> {
        let jwt = self.service_account_token(namespace, account)?;
        self.log_in_with(&self.role(namespace, account), &jwt)
    }

    /// Logs in by a role.
    pub(crate) fn log_in_with(&self, role: &str, jwt: &str) -> Result<String> {
        let mount = self.mount();
        self.stage.ask(&format!(
            "bao write -field=token auth/{mount}/login role={role} jwt={jwt}"
        ))
    }

    /// What Vault answers to a request with a token: `Ok`, or its words.
    pub(crate) fn with_token(&self, token: &str, line: &str) -> Result<Result<String, String>> {
        let mut command = self.stage.vault_as(token, line);
        let output = command.output().with_context(|| format!("run {line}"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        Ok(if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        })
    }

    /// Holds that a token may do something.
    pub(crate) fn allowed(&self, token: &str, line: &str) -> Result<String> {
        self.with_token(token, line)?
            .map_err(|refusal| anyhow!("`{line}` was to be allowed: {refusal}"))
    }

    /// Holds that Vault refuses something to a token for lack of rights.
    pub(crate) fn denied(&self, token: &str, line: &str) -> Result<()> {
        match self.with_token(token, line)? {
            Err(refusal) if refusal.contains("Code: 403") => Ok(()),
            Err(refusal) => Err(anyhow!("`{line}` was to be denied (403): {refusal}")),
            Ok(answer) => Err(anyhow!("`{line}` was to be denied and was answered: {answer}")),
        }
    }

    /// Waits until a token that could read a path can't any more.
    pub(crate) fn loses(&self, token: &str, path: &str) -> Result<()> {
        let line = format!("bao read {path}");
        wait::until(format_args!("403 for {path}"), PATIENCE, None, || {
            Ok(self.denied(token, &line).is_ok())
        })
    }
}

/// Fails unless both are the same.
pub(crate) fn same(what: &str, found: &Value, wanted: &Value) -> Result<()> {
    ensure!(found == wanted, "{what}: expected {wanted}, found {found}");
    Ok(())
}

/// A name for a test of this run: beds that are kept have those of earlier runs.
pub(crate) fn unique(short: &str) -> Result<String> {
    let mut number = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let mut text = String::new();
    for _ in 0..6 {
        let digit = u32::try_from(number % 36)?;
        text.extend(char::from_digit(digit, 36));
        number /= 36;
    }
    Ok(format!("{short}-{text}"))
}
