//! The sidecar's program against real servers: outside a pod, on folders of the test's own, with
//! the policy and the role that the operator made for its account.

mod clients;
mod formats;
mod paths;
mod refusals;
mod socket;
mod told;
mod versions;

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::Test;
use super::manifest::{account, binding, company, credential, global, namespace, value};
use super::program::Program;
use super::rig::{self, Method, Rig};
use crate::stage::{PATIENCE, Stage};
use crate::wait;

const MARKED: &str = "marked-51c0ffee-value";
const CHANGED: &str = "marked-51c0ffee-other";
const GATE: &str = "KEYSTEAD_READY (why: kubectl logs -c keystead)='1'\n";

/// The tests, the widest first.
pub(super) fn tests() -> Vec<Test> {
    vec![
        Test::on_servers(
            "sidecar: values become files and variables, follow Vault, and end with their token",
            whole_life,
        ),
        Test::on_servers(
            "sidecar: a missing key is named with the scopes searched, and comes up by itself",
            missing_key,
        ),
        Test::on_servers(
            "sidecar: existing paths of both KV versions are shown, only the keys asked for, and what is optional may be missing",
            paths::shown,
        ),
        Test::on_servers(
            "sidecar: what access was taken away from goes, the rest stays current, and all of it comes back",
            refusals::taken_away,
        ),
        Test::on_servers(
            "sidecar: both clients tell values, changes and why there is none",
            clients::both,
        ),
        Test::on_servers(
            "sidecar: a sealed Vault changes nothing in the pod",
            refusals::sealed,
        ),
        Test::on_servers(
            "sidecar: every format holds the values, and a changed one changes only the files that show it",
            formats::all,
        ),
        Test::on_servers(
            "sidecar: ten changes are one call or two, a call that fails is made again, and other files call nobody",
            told::called,
        ),
        Test::on_servers(
            "sidecar: however fast values change, a file is whole and files of one directory are of one version",
            versions::never_mixed,
        ),
    ]
}

fn whole_life(stage: &Stage) -> Result<()> {
    rig::run(stage, "life", Method::Kubernetes, |rig| {
        let pod = Pod::new(
            rig,
            &[
                credential("shop", "acme", "acme", "hubspot", &value("api_key", MARKED)),
                credential("shop", "everyone", "global", "hubspot", &everyones()),
            ],
        )?;
        let mark = rig.audit_mark()?;
        let mut hook = pod.start("wait")?;
        let mut sidecar = pod.start("run")?;
        ensure!(hook.ended()?.success(), "the hook failed");
        // The hook returns when everything is there: nothing is waited for here.
        ensure!(
            pod.read("private/ready")? == GATE,
            "the hook returned before the gate was open"
        );
        pod.expect("files/hubspot/api_key", MARKED)?;
        pod.expect(
            "files/hubspot.env",
            &format!("API_KEY='{MARKED}'\nBASE_URL='https://api.example'\n"),
        )?;
        pod.expect(
            "private/env",
            &format!("HUBSPOT_API_KEY='{MARKED}'\nHUBSPOT_BASE_URL='https://api.example'\n"),
        )?;
        let told = pod.told("/v1/secrets/hubspot/api_key")?;
        let scope = json!({"level": "Company", "id": "acme"});
        let mut wanted =
            json!({"service": "hubspot", "key": "api_key", "value": MARKED, "scope": scope, "version": 1});
        ensure!(
            told == ("200".to_owned(), wanted.clone()),
            "the socket tells {told:?}"
        );

        rig.ask(&format!(
            "kubectl -n @id@-shop patch credential acme --type=json -p '[{{\"op\":\"replace\",\"path\":\"/spec/keys/0/from/value\",\"value\":\"{CHANGED}\"}}]'"
        ))?;
        pod.gets(&mut sidecar, "files/hubspot/api_key", CHANGED)?;
        ensure!(pod.read("private/ready")? == GATE, "the gate closed");
        (wanted["value"], wanted["version"]) = (json!(CHANGED), json!(2));
        wait::until("the socket tells it", PATIENCE, Some(&pod.log()), || {
            Ok(pod.told("/v1/secrets/hubspot/api_key")?.1 == wanted)
        })?;
        let missing = pod.told("/v1/secrets/hubspot/other")?.1;
        let sentence = "no value for hubspot/other in company acme, global";
        ensure!(
            missing == json!({"error": "NotFound", "message": sentence}),
            "the socket tells {missing}"
        );

        ensure!(pod.revocations(mark)? == 0, "a token was revoked too early");
        sidecar.stop()?;
        ensure!(
            pod.read("private/ready")?.is_empty(),
            "the gate stays open after the end"
        );
        ensure!(pod.revocations(mark)? == 1, "the end revokes the token, once");
        silent(&sidecar)
    })
}

fn missing_key(stage: &Stage) -> Result<()> {
    rig::run(stage, "lack", Method::Kubernetes, |rig| {
        let everyone = credential("shop", "everyone", "global", "hubspot", &everyones());
        let pod = Pod::new(rig, &[everyone])?;
        let mut sidecar = pod.start("run")?;
        let sentence = "no value for hubspot/api_key in company acme, global";
        wait::until("the sidecar names the key", PATIENCE, Some(&pod.log()), || {
            sidecar.check()?;
            Ok(sidecar.log().contains(sentence))
        })?;
        ensure!(
            pod.read("private/ready")?.is_empty(),
            "the gate is open without the key"
        );
        ensure!(
            !pod.folder("files").join("hubspot.env").exists(),
            "half of the files are there"
        );

        rig.apply(&credential(
            "shop",
            "acme",
            "acme",
            "hubspot",
            &value("api_key", MARKED),
        ))?;
        pod.opens(&mut sidecar)?;
        pod.expect("files/hubspot/api_key", MARKED)?;
        sidecar.stop()?;
        let times = sidecar.log().matches(sentence).count();
        ensure!(times == 1, "the missing key was named {times} times");
        silent(&sidecar)
    })
}

fn everyones() -> String {
    value("base_url", "https://api.example")
}

/// Nothing of a value is in the log.
fn silent(sidecar: &Program) -> Result<()> {
    let log = sidecar.log();
    ensure!(
        log.contains("the secrets are there"),
        "the log says nothing: {log}"
    );
    ensure!(!log.contains("marked-51c0ffee"), "the value is in the log: {log}");
    Ok(())
}

/// What a pod would have: the folders, the token, the config.
struct Pod<'a> {
    rig: &'a Rig<'a>,
    config: String,
    /// Runs on beside it.
    _operator: Program,
}

impl<'a> Pod<'a> {
    /// Waits until the gate is open.
    fn opens(&self, sidecar: &mut Program) -> Result<()> {
        self.gets(sidecar, "private/ready", GATE)
    }

    /// Waits until a file holds this text; fails at once where the sidecar has ended.
    fn gets(&self, sidecar: &mut Program, path: &str, text: &str) -> Result<()> {
        let what = format!("{path} holds {text:?}");
        wait::until(&what, PATIENCE, Some(&self.log()), || {
            sidecar.check()?;
            Ok(self.read(path)? == text)
        })
    }

    /// Declares an account of acme's with a binding, and has the operator make its policy and role.
    fn new(rig: &'a Rig<'a>, credentials: &[String]) -> Result<Self> {
        let manifests = [
            namespace("shop", "company: acme"),
            account("shop", "web"),
            rig.provider(),
            global(),
            company("acme"),
            credentials.concat(),
            binding("shop", "web", "web", &["hubspot"]),
        ];
        let pod = Self::of(rig, &manifests.concat(), &config(rig)?)?;
        rig.ready(&["credential/everyone -n @id@-shop"])?;
        Ok(pod)
    }

    /// A pod of account web with this config, once the binding web among the manifests is Ready.
    fn of(rig: &'a Rig<'a>, manifests: &str, config: &Value) -> Result<Self> {
        rig.apply(manifests)?;
        let pod = Self {
            rig,
            config: config.to_string(),
            _operator: rig.operator()?,
        };
        rig.ready(&["secretbinding/web -n @id@-shop"])?;
        for folder in ["files", "private", "token"] {
            fs::create_dir(pod.folder(folder))?;
        }
        let token = rig.service_account_token(&format!("{}-shop", rig.id), "web")?;
        fs::write(pod.folder("token").join("vault"), token)?;
        Ok(pod)
    }

    fn folder(&self, name: &str) -> std::path::PathBuf {
        self.rig.path(name)
    }

    fn log(&self) -> std::path::PathBuf {
        self.rig.path("sidecar.log")
    }

    fn start(&self, command: &str) -> Result<Program> {
        Program::start(self.rig.stage, "sidecar", &self.log(), |program: &mut Command| {
            program
                .arg(command)
                .env("KEYSTEAD_CONFIG", &self.config)
                .env("KEYSTEAD_LOG", "debug")
                .env("KEYSTEAD_FILES_DIR", self.folder("files"))
                .env("KEYSTEAD_PRIVATE_DIR", self.folder("private"))
                .env("KEYSTEAD_TOKEN_DIR", self.folder("token"));
        })
    }

    /// A file of the pod; empty where there is none.
    fn read(&self, path: &str) -> Result<String> {
        match fs::read_to_string(self.rig.path(path)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            read => read.with_context(|| format!("read {path}")),
        }
    }

    fn expect(&self, path: &str, wanted: &str) -> Result<()> {
        let found = self.read(path)?;
        ensure!(found == wanted, "{path}: expected {wanted:?}, found {found:?}");
        Ok(())
    }

    /// How often a token of the account was revoked since.
    fn revocations(&self, mark: usize) -> Result<usize> {
        let role = self.rig.role(&format!("{}-shop", self.rig.id), "web");
        let entries = self.rig.audit_since(mark)?;
        let revokes =
            |entry: &&Value| rig::is_by(entry, &role) && entry["request"]["path"] == "auth/token/revoke-self";
        Ok(entries.iter().filter(revokes).count())
    }
}

/// What the webhook would write for the account.
fn config(rig: &Rig<'_>) -> Result<Value> {
    let bed = rig.stage.bed().context("this test needs a bed")?;
    Ok(json!({
        "version": 1,
        "vault": {
            "address": bed.vault_address,
            "ca": fs::read_to_string(&bed.vault_ca)?,
            "authMount": rig.mount(),
            "role": rig.role(&format!("{}-shop", rig.id), "web"),
            "kvMount": "kv",
            "pathPrefix": rig.id,
            "environment": "production",
            "scopes": [{"level": "Company", "id": "acme"}, {"level": "Global"}],
        },
        "secrets": [{"name": "web/hubspot", "from": {"service": "hubspot"}}],
        "files": [
            {"path": "hubspot.env", "format": "Dotenv", "secret": "web/hubspot"},
            {"path": "hubspot/api_key", "format": "Raw", "secret": "web/hubspot", "key": "api_key"},
        ],
        "env": [
            {"name": "HUBSPOT_API_KEY", "secret": "web/hubspot", "key": "api_key"},
            {"name": "HUBSPOT_BASE_URL", "secret": "web/hubspot", "key": "base_url"},
        ],
        "fileMode": 0o440,
        "refreshMillis": 500,
    }))
}
