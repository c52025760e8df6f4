//! Who may read what: the whole way from declarations to a pod's token, asked of Vault itself.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::super::manifest::{
    account, binding, company, credential, from_secret, global, namespace, scope, secret, value,
};
use super::super::rig::{self, Method, Rig, same};
use crate::stage::Stage;

/// The node that a token names, though no kubelet runs there.
pub(super) struct Node<'a> {
    pub(super) rig: &'a Rig<'a>,
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        // A later test must not find a node that nothing runs on.
        let _ = self.rig.ask("kubectl delete node @id@ --wait=false");
    }
}

pub(super) fn kubernetes(stage: &Stage) -> Result<()> {
    rig::run(stage, "acl-k", Method::Kubernetes, |rig| {
        declare(rig)?;
        let _operator = rig.operator()?;
        written(rig)?;
        let shop = format!("{}-shop", rig.id);
        let token = rig.log_in(&shop, "web")?;
        identity(rig, &token)?;
        grants(rig, &token)?;
        let stranger = rig.service_account_token(&shop, "stranger")?;
        refused_login(rig, &rig.role(&shop, "web"), &stranger)?;
        refused_login(rig, &rig.role(&shop, "stranger"), &stranger)
    })
}

pub(super) fn jwt(stage: &Stage) -> Result<()> {
    rig::run(stage, "acl-j", Method::Jwt, |rig| {
        declare(rig)?;
        rig.apply(&node_objects())?;
        let _node = Node { rig };
        let _operator = rig.operator()?;
        written(rig)?;
        rig.ready(&["secretscope/@id@-node", "credential/node -n @id@-secrets"])?;
        let shop = format!("{}-shop", rig.id);
        let role = rig.role(&shop, "web");
        let token = rig.log_in_with(&role, &pod_token(rig, "web")?)?;
        identity(rig, &token)?;
        grants(rig, &token)?;
        let node = format!("production/node/{}/hubspot", rig.id);
        rig.allowed(&token, &format!("bao read {}", rig.kv("data", &node)))?;
        rig.allowed(&token, &format!("bao read {}", rig.kv("metadata", &node)))?;
        for kind in ["data", "metadata"] {
            let other = rig.kv(kind, "production/node/another/hubspot");
            rig.denied(&token, &format!("bao read {other}"))?;
            let other = rig.kv(kind, &format!("production/node/{}/postgres", rig.id));
            rig.denied(&token, &format!("bao read {other}"))?;
        }
        let stranger = pod_token(rig, "stranger")?;
        refused_login(rig, &role, &stranger)?;
        // Without a pod there is no node, and without a node no identity.
        let unbound = rig.service_account_token(&shop, "web")?;
        refused_login(rig, &role, &unbound)
    })
}

/// Two companies, two services, and an account that gets one service of one company.
fn declare(rig: &Rig<'_>) -> Result<()> {
    let manifests = [
        namespace("secrets", ""),
        namespace("shop", "company: acme"),
        namespace("other", "company: globex"),
        account("shop", "web"),
        account("shop", "stranger"),
        account("other", "web"),
        rig.provider(),
        global(),
        company("acme"),
        company("globex"),
        secret("secrets", "hubspot", "token", "key-of-acme"),
        credential(
            "secrets",
            "acme",
            "acme",
            "hubspot",
            &from_secret("api_key", "hubspot", "token"),
        ),
        credential(
            "secrets",
            "everyone",
            "global",
            "hubspot",
            &value("base_url", "https://api.example"),
        ),
        credential(
            "secrets",
            "globex",
            "globex",
            "hubspot",
            &value("api_key", "other"),
        ),
        credential(
            "secrets",
            "postgres",
            "acme",
            "postgres",
            &value("password", "other"),
        ),
        binding("shop", "web", "web", &["hubspot"]),
        // Its policy and role must not leak into the other's.
        binding("other", "web", "web", &["hubspot", "postgres"]),
    ];
    rig.apply(&manifests.concat())
}

/// A scope for the node, and a value there.
fn node_objects() -> String {
    [
        node_with_pods(&["web", "stranger"]),
        scope("node", "level: Node, id: @id@"),
        credential(
            "secrets",
            "node",
            "node",
            "hubspot",
            &value("api_key", "of-the-node"),
        ),
    ]
    .concat()
}

/// A node on which nothing runs, and pods of the shop that are bound to it, each named as its account.
pub(super) fn node_with_pods(accounts: &[&str]) -> String {
    let pods = accounts.iter().map(|name| {
        format!(
            "
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: @id@-shop}}
spec:
  serviceAccountName: {name}
  nodeName: @id@
  containers: [{{name: app, image: none.invalid/none}}]
"
        )
    });
    let node = "
---
apiVersion: v1
kind: Node
metadata: {name: @id@}
spec: {unschedulable: true}
";
    [node.to_owned()].into_iter().chain(pods).collect()
}

/// A token by which such a pod logs in to Vault.
pub(super) fn pod_token(rig: &Rig<'_>, account: &str) -> Result<String> {
    rig.stage.ask(&format!(
        "kubectl -n {}-shop create token {account} --audience vault --bound-object-kind Pod --bound-object-name {account}",
        rig.id
    ))
}

/// What the operator made in Vault, read as root.
fn written(rig: &Rig<'_>) -> Result<()> {
    rig.ready(&[
        "secretprovider/@id@",
        "secretscope/@id@-global",
        "secretscope/@id@-acme",
        "credential/acme -n @id@-secrets",
        "credential/everyone -n @id@-secrets",
        "credential/globex -n @id@-secrets",
        "credential/postgres -n @id@-secrets",
        "secretbinding/web -n @id@-shop",
        "secretbinding/web -n @id@-other",
    ])?;
    let place = "production/company/acme/hubspot";
    rig.values_become(place, &json!({"api_key": "key-of-acme"}))?;
    let metadata = rig.vault(&rig.kv("metadata", place))?.context("no metadata")?;
    same(
        "the mark",
        &metadata["data"]["custom_metadata"]["keystead-owner"],
        &json!(format!("{0}/{0}-secrets/acme", rig.id)),
    )?;
    same("cas_required", &metadata["data"]["cas_required"], &json!(true))?;
    let status = rig
        .ask("kubectl -n @id@-secrets get credential acme -o 'jsonpath={.status.path} {.status.version}'")?;
    ensure!(
        status == format!("kv/{}/{place} 1", rig.id),
        "the credential's status says {status}"
    );

    let name = rig.role(&format!("{}-shop", rig.id), "web");
    let policy = rig
        .vault(&format!("sys/policies/acl/{name}"))?
        .context("no policy")?;
    let text = policy["data"]["policy"].as_str().unwrap_or_default();
    for part in ["acme/hubspot", "global/all/hubspot"] {
        ensure!(text.contains(part), "{part} is not in the policy: {text}");
    }
    for part in ["globex", "postgres", "*", "+"] {
        ensure!(!text.contains(part), "{part} is in the policy: {text}");
    }
    let role = rig
        .vault(&format!("auth/{}/role/{name}", rig.mount()))?
        .context("no role")?;
    same(
        "the role's policies",
        &role["data"]["token_policies"],
        &json!([name]),
    )?;
    same(
        "the role's type of token",
        &role["data"]["token_type"],
        &json!("service"),
    )
}

/// What a token is: its one policy, a maximal life, no default policy.
fn identity(rig: &Rig<'_>, token: &str) -> Result<()> {
    let answer = rig.allowed(token, "bao token lookup -format=json")?;
    let answer: Value = serde_json::from_str(&answer)?;
    let role = rig.role(&format!("{}-shop", rig.id), "web");
    same(
        "the token's policies",
        &answer["data"]["policies"],
        &json!([role]),
    )?;
    let none = [Value::Null, json!([])];
    ensure!(
        none.contains(&answer["data"]["identity_policies"]),
        "its identity brings policies: {answer}"
    );
    ensure!(
        answer["data"]["explicit_max_ttl"].as_u64() > Some(0),
        "the token's life has no end: {answer}"
    );
    // `default` would allow these two.
    rig.denied(token, "bao write sys/capabilities-self path=kv")?;
    rig.denied(token, "bao list cubbyhole/")
}

/// What a token of acme's web may do, and what not.
fn grants(rig: &Rig<'_>, token: &str) -> Result<()> {
    for kind in ["data", "metadata"] {
        for place in ["company/acme/hubspot", "global/all/hubspot"] {
            let path = rig.kv(kind, &format!("production/{place}"));
            rig.allowed(token, &format!("bao read {path}"))?;
        }
        for place in [
            "production/company/globex/hubspot",
            "production/company/acme/postgres",
            "testing/company/acme/hubspot",
            "production/company/acme/hubspot/more",
            "production/company/acme",
        ] {
            rig.denied(token, &format!("bao read {}", rig.kv(kind, place)))?;
        }
    }
    let own = "production/company/acme/hubspot";
    let file = rig.path("data.json");
    std::fs::write(&file, r#"{"data": {"api_key": "written"}}"#)?;
    for line in [
        format!("bao write {} @{}", rig.kv("data", own), file.display()),
        format!("bao write {} max_versions=9", rig.kv("metadata", own)),
        format!("bao delete {}", rig.kv("data", own)),
        format!("bao delete {}", rig.kv("metadata", own)),
        format!("bao list {}", rig.kv("metadata", "production/company/acme")),
        format!("bao list {}", rig.kv("metadata", "production/company")),
        "bao list sys/policies/acl".to_owned(),
        format!(
            "bao read sys/policies/acl/{}",
            rig.role(&format!("{}-shop", rig.id), "web")
        ),
        format!("bao list auth/{}/role", rig.mount()),
        "bao write -f auth/token/create".to_owned(),
    ] {
        rig.denied(token, &line)?;
    }
    Ok(())
}

fn refused_login(rig: &Rig<'_>, role: &str, jwt: &str) -> Result<()> {
    match rig.log_in_with(role, jwt) {
        Ok(_) => anyhow::bail!("a login by role {role} was to be refused"),
        Err(error) => {
            let text = error.to_string();
            ensure!(
                text.contains("Code: 400") || text.contains("Code: 403"),
                "the login by role {role} ended otherwise: {text}"
            );
            Ok(())
        }
    }
}
