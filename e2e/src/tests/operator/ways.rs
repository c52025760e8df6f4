//! How Vault is reached: in a namespace of it, with certificates, by another name, through a proxy.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::super::manifest::{account, binding, credential, global, namespace, secret, value};
use super::super::program::Program;
use super::super::rig::proxy::Tunnels;
use super::super::rig::server::{Server, Tls};
use super::super::rig::{self, Method, Rig};
use super::access;
use super::provider::{permitted, settled};
use crate::bed::pki::{Authority, Subject};
use crate::stage::{PATIENCE, Stage};
use crate::wait;

const PROVIDER: &str = "secretprovider/@id@";

pub(super) fn certificates(stage: &Stage) -> Result<()> {
    rig::run(stage, "tls", Method::Kubernetes, |rig| {
        let pki = Pki::create(rig)?;
        let (server, client_ca) = (pki.path("server"), pki.path("clients.crt"));
        let tls = Tls {
            server: &server,
            client_ca: &client_ca,
        };
        let server = Server::start(rig, Some(&tls))?;
        server.ask(&format!("bao auth enable -path={} kubernetes", rig.mount()))?;
        let vault = format!(
            "address: \"{}\", tlsServerName: vault.example, manageMounts: true, \
             caSecretRef: {{namespace: @id@-tls, name: ca, key: ca.crt}}, \
             clientCertificateRef: {{namespace: @id@-tls, name: client}}, \
             auth: {{tokenSecretRef: {{namespace: @id@-tls, name: vault, key: token}}}}",
            server.tls_address
        );
        let manifests = [
            namespace("tls", ""),
            secret("tls", "vault", "token", &server.token),
            rig.provider_with(&vault),
            global(),
        ];
        rig.apply(&manifests.concat())?;
        pki.trust(rig, "strangers")?;
        let _operator = rig.operator()?;
        let sentence = "spec.vault.clientCertificateRef: Secret @id@-tls/client not found";
        rig.says(PROVIDER, "False", "NotFound", sentence)?;
        pki.show(rig, "stranger")?;
        rig.says(PROVIDER, "False", "VaultUnreachable", "cannot reach")?;
        pki.trust(rig, "servers")?;
        pki.show(rig, "client")?;
        settled(rig)?;

        // Each is taken up while it runs, and so is its way back.
        pki.trust(rig, "strangers")?;
        rig.says(PROVIDER, "False", "VaultUnreachable", "certificate")?;
        pki.trust(rig, "servers")?;
        settled(rig)?;
        pki.show(rig, "stranger")?;
        rig.says(PROVIDER, "False", "VaultUnreachable", "cannot reach")?;
        pki.show(rig, "client")?;
        settled(rig)?;
        let patch = "[{\"op\":\"remove\",\"path\":\"/spec/vault/tlsServerName\"}]";
        rig.ask(&format!("kubectl patch {PROVIDER} --type=json -p '{patch}'"))?;
        rig.says(PROVIDER, "False", "VaultUnreachable", "certificate")
    })
}

pub(super) fn proxy(stage: &Stage) -> Result<()> {
    rig::run(stage, "proxy", Method::Kubernetes, |rig| {
        let bed = stage.bed().context("this test needs a bed")?;
        let tunnels = Tunnels::start(stage)?;
        let vault = format!(
            "address: {}, proxy: \"{}\", \
             caSecretRef: {{name: vault-ca, namespace: vault, key: ca.crt}}, \
             auth: {{kubernetes: {{mount: @id@, role: keystead-operator-@id@}}}}",
            bed.vault_address, tunnels.address
        );
        rig.apply(&rig.provider_with(&vault))?;
        let _operator = rig.operator()?;
        settled(rig)?;
        ensure!(tunnels.opened() > 0, "nothing went through the proxy");

        let gone = "[{\"op\":\"replace\",\"path\":\"/spec/vault/proxy\",\"value\":\"http://127.0.0.1:1\"}]";
        rig.ask(&format!("kubectl patch {PROVIDER} --type=json -p '{gone}'"))?;
        rig.says(PROVIDER, "False", "VaultUnreachable", "cannot reach")
    })
}

pub(super) fn vault_namespace(stage: &Stage) -> Result<()> {
    rig::run(stage, "space", Method::Jwt, |rig| {
        let inside = Inside::create(rig)?;
        let manifests = [
            namespace("shop", ""),
            account("shop", "web"),
            secret("shop", "role", "id", &inside.secret_id),
            inside.provider(rig, false)?,
            global(),
            credential("shop", "hubspot", "global", "hubspot", &value("key", "inside")),
            binding("shop", "web", "web", &["hubspot"]),
            access::node_with_pods(&["web"]),
        ];
        rig.apply(&manifests.concat())?;
        let _node = access::Node { rig };
        let _operator = rig.operator()?;
        let sentence = "there is no such secret engine in Vault";
        rig.says(PROVIDER, "False", "VaultDenied", sentence)?;
        rig.says(PROVIDER, "False", "VaultDenied", "kubectl keystead bootstrap")?;
        rig.apply(&inside.provider(rig, true)?)?;
        rig.says(PROVIDER, "False", "VaultDenied", "sys/mounts/kv")?;
        permitted(rig, "False VaultDenied", "read, update on sys/mounts/kv")?;

        let mounts = "\npath \"sys/mounts/kv\" { capabilities = [\"read\", \"update\"] }\n";
        Inside::write_policy(rig, &format!("{}{mounts}", inside.policy))?;
        rig.ready(&[
            PROVIDER,
            "credential/hubspot -n @id@-shop",
            "secretbinding/web -n @id@-shop",
        ])?;
        permitted(rig, "True Permitted", "")?;
        let place = "kv/@id@/production/global/all/hubspot";
        let found = rig.ask(&format!("bao kv get -namespace=@id@ -field=key {place}"))?;
        ensure!(found == "inside", "found {found}");
        let outside = rig.vault(&rig.kv("data", "production/global/all/hubspot"))?;
        ensure!(outside.is_none(), "it is in the root namespace, too: {outside:?}");
        Inside::sidecar_reads(rig)
    })
}

/// What a Vault namespace needs for a provider, without its KV engine.
struct Inside {
    policy: String,
    role_id: String,
    secret_id: String,
}

impl Inside {
    fn create(rig: &Rig<'_>) -> Result<Self> {
        rig.ask("bao namespace create @id@")?;
        rig.ask("bao auth enable -namespace=@id@ approle")?;
        let pods = rig.mount();
        rig.ask(&format!("bao auth enable -namespace=@id@ -path={pods} jwt"))?;
        let role = "auth/approle/role/operator";
        rig.ask(&format!(
            "bao write -namespace=@id@ {role} token_policies=operator"
        ))?;
        let inside = Self {
            policy: rig.ask("bao policy read keystead-operator-@id@")?,
            role_id: rig.ask(&format!("bao read -namespace=@id@ -field=role_id {role}/role-id"))?,
            secret_id: rig.ask(&format!(
                "bao write -namespace=@id@ -f -field=secret_id {role}/secret-id"
            ))?,
        };
        Self::write_policy(rig, &inside.policy)?;
        Ok(inside)
    }

    fn write_policy(rig: &Rig<'_>, text: &str) -> Result<()> {
        let line = format!("bao policy write -namespace={} operator -", rig.id);
        let mut command = rig.stage.command(&line);
        rig.stage.shown(&line, &mut command, Some(text)).map(drop)
    }

    fn provider(&self, rig: &Rig<'_>, manage_mounts: bool) -> Result<String> {
        let bed = rig.stage.bed().context("this test needs a bed")?;
        let vault = format!(
            "address: {}, namespace: @id@, manageMounts: {manage_mounts}, \
             caSecretRef: {{name: vault-ca, namespace: vault, key: ca.crt}}, \
             auth: {{appRole: {{roleId: {}, secretIdRef: {{namespace: @id@-shop, name: role, key: id}}}}}}",
            bed.vault_address, self.role_id
        );
        Ok(rig.provider_with(&vault))
    }

    /// A pod's sidecar finds the value there, with the config that the webhook would write.
    fn sidecar_reads(rig: &Rig<'_>) -> Result<()> {
        let bed = rig.stage.bed().context("this test needs a bed")?;
        let shop = format!("{}-shop", rig.id);
        for folder in ["files", "private", "token"] {
            fs::create_dir(rig.path(folder))?;
        }
        fs::write(rig.path("token").join("vault"), access::pod_token(rig, "web")?)?;
        let config = json!({
            "version": 1,
            "vault": {
                "address": bed.vault_address,
                "namespace": rig.id,
                "ca": fs::read_to_string(&bed.vault_ca)?,
                "authMount": rig.mount(),
                "role": rig.role(&shop, "web"),
                "kvMount": "kv",
                "pathPrefix": rig.id,
                "environment": "production",
                "scopes": [{"level": "Global"}],
            },
            "secrets": [{"name": "hubspot", "from": {"service": "hubspot"}}],
            "files": [{"path": "key", "format": "Raw", "secret": "hubspot", "key": "key"}],
            "fileMode": 0o440,
            "refreshMillis": 60_000,
        });
        let log = rig.path("sidecar.log");
        let mut sidecar = Program::start(rig.stage, "sidecar", &log, |command| {
            command.arg("run").env("KEYSTEAD_CONFIG", config.to_string());
            for (variable, folder) in [("FILES", "files"), ("PRIVATE", "private"), ("TOKEN", "token")] {
                command.env(format!("KEYSTEAD_{variable}_DIR"), rig.path(folder));
            }
        })?;
        wait::until("the sidecar has the value", PATIENCE, Some(&log), || {
            sidecar.check()?;
            Ok(fs::read_to_string(rig.path("files").join("key")).is_ok_and(|text| text == "inside"))
        })
    }
}

/// Authorities and certificates of a test.
struct Pki(PathBuf);

impl Pki {
    fn create(rig: &Rig<'_>) -> Result<Self> {
        let folder = rig.path("pki");
        for (authority, file, hosts) in [
            ("servers", "server", ["vault.example"].as_slice()),
            ("clients", "client", &[]),
            ("strangers", "stranger", &[]),
        ] {
            let subject = Subject {
                file,
                hosts,
                ..Subject::default()
            };
            Authority::create(&folder, authority)?.issue(&subject)?;
        }
        Ok(Self(folder))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Has the provider trust who signs by this name.
    fn trust(&self, rig: &Rig<'_>, authority: &str) -> Result<()> {
        let text = fs::read_to_string(self.path(&format!("{authority}.crt")))?;
        Self::put(rig, "ca", "Opaque", &json!({"ca.crt": text}))
    }

    /// Has the provider show this certificate.
    fn show(&self, rig: &Rig<'_>, name: &str) -> Result<()> {
        let part = |extension: &str| fs::read_to_string(self.path(&format!("{name}.{extension}")));
        let data = json!({"tls.crt": part("crt")?, "tls.key": part("key")?});
        Self::put(rig, "client", "kubernetes.io/tls", &data)
    }

    fn put(rig: &Rig<'_>, name: &str, kind: &str, data: &serde_json::Value) -> Result<()> {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": kind,
            "metadata": {"name": name, "namespace": format!("{}-tls", rig.id)},
            "stringData": data,
        });
        rig.apply(&secret.to_string())
    }
}
