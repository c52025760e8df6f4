//! What there should be in Vault before an operator can work: pure.

use super::Mount;
use super::cluster::ClusterFacts;
use crate::args::{Bootstrap, Method};
use keystead_vault::hcl::{self, OperatorPolicy};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt;

/// Life of the operator's token between renewals, in seconds.
const OPERATOR_TTL: u64 = 3600;

/// What was found.
pub(crate) struct Facts {
    /// In the cluster.
    pub(crate) cluster: ClusterFacts,
    /// In Vault, by path.
    pub(crate) mounts: BTreeMap<String, Mount>,
}

/// Something to be there.
pub(crate) enum Change {
    /// An engine, or an auth method below `auth/`.
    Mount {
        /// Where.
        path: String,
        /// Its type.
        kind: &'static str,
        /// Version of a KV engine.
        version: Option<String>,
    },
    /// A `kubernetes` auth method's config, with a token by which Vault asks the API server.
    Reviewer {
        /// Path of the config.
        path: String,
        /// The config without the token.
        body: Map<String, Value>,
    },
    /// Anything else.
    Write {
        /// What it is, for people.
        what: String,
        /// Where.
        path: String,
        /// With what.
        body: Map<String, Value>,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mount {
                path,
                kind,
                version: None,
            } => write!(f, "mount {kind} at {path}"),
            Self::Mount {
                path,
                kind,
                version: Some(version),
            } => {
                write!(f, "mount {kind} (version {version}) at {path}")
            }
            Self::Reviewer { path, .. } => {
                write!(
                    f,
                    "write {path}: the API server, and a service account's token to ask it about tokens"
                )
            }
            Self::Write { what, path, .. } => write!(f, "write {path}: {what}"),
        }
    }
}

/// Everything that should be there, in the order in which it can be made.
pub(crate) fn wanted(args: &Bootstrap, facts: &Facts) -> Vec<Change> {
    let operator_mount = &args.operator_mount;
    let workload_mount = workload_mount(args);
    let role = operator_role(args);
    let mut changes = vec![
        Change::Mount {
            path: args.kv.clone(),
            kind: "kv",
            version: Some("2".into()),
        },
        Change::Mount {
            path: format!("auth/{operator_mount}"),
            kind: "kubernetes",
            version: None,
        },
        reviewer(operator_mount, facts),
    ];
    match args.workload_method {
        Method::Jwt => {
            changes.push(Change::Mount {
                path: format!("auth/{workload_mount}"),
                kind: "jwt",
                version: None,
            });
            changes.push(Change::Write {
                what: format!(
                    "the {} public signing key(s) and the issuer of the cluster",
                    facts.cluster.keys.len()
                ),
                path: format!("auth/{workload_mount}/config"),
                body: fields(json!({
                    "jwt_validation_pubkeys": facts.cluster.keys,
                    "bound_issuer": facts.cluster.issuer,
                })),
            });
        }
        Method::Kubernetes => {
            changes.push(Change::Mount {
                path: format!("auth/{workload_mount}"),
                kind: "kubernetes",
                version: None,
            });
            changes.push(reviewer(&workload_mount, facts));
        }
    }
    let policy = hcl::operator(&OperatorPolicy {
        cluster: &args.cluster,
        workload_mount: &workload_mount,
        kv_mount: &args.kv,
        prefix: &args.prefix,
    });
    changes.push(Change::Write {
        what: "the operator's policy (policies/operator.hcl)".into(),
        path: format!("sys/policies/acl/{role}"),
        body: fields(json!({ "policy": policy })),
    });
    changes.push(Change::Write {
        what: format!(
            "lets in {}/{}",
            args.operator_namespace, args.operator_service_account
        ),
        path: format!("auth/{operator_mount}/role/{role}"),
        body: fields(json!({
            "bound_service_account_names": [args.operator_service_account],
            "bound_service_account_namespaces": [args.operator_namespace],
            "audience": args.audience,
            "token_policies": [role],
            "token_no_default_policy": true,
            "token_ttl": OPERATOR_TTL,
            "token_type": "service",
        })),
    });
    changes
}

/// What a person does after this.
pub(crate) fn next_steps(args: &Bootstrap) -> String {
    let method = match args.workload_method {
        Method::Jwt => "Jwt",
        Method::Kubernetes => "Kubernetes",
    };
    format!(
        "
Next, install the operator and name this Vault to it:
  helm install keystead charts/keystead --namespace {} --create-namespace --set cluster={}
and in a SecretProvider:
  vault: {{auth: {{kubernetes: {{mount: {}, role: {}}}}}, mounts: {{kv: {}}}, pathPrefix: {}}}
  workloadAuth: {{method: {method}, mount: {}, audience: {}}}",
        args.operator_namespace,
        args.cluster,
        args.operator_mount,
        operator_role(args),
        args.kv,
        args.prefix,
        workload_mount(args),
        args.audience,
    )
}

fn reviewer(mount: &str, facts: &Facts) -> Change {
    Change::Reviewer {
        path: format!("auth/{mount}/config"),
        body: fields(json!({
            "kubernetes_host": facts.cluster.host,
            "kubernetes_ca_cert": facts.cluster.ca,
            // Vault itself need not run in this cluster.
            "disable_local_ca_jwt": true,
        })),
    }
}

fn workload_mount(args: &Bootstrap) -> String {
    args.workload_mount
        .clone()
        .unwrap_or_else(|| match args.workload_method {
            Method::Jwt => format!("jwt-{}", args.cluster),
            Method::Kubernetes => format!("kubernetes-{}", args.cluster),
        })
}

fn operator_role(args: &Bootstrap) -> String {
    args.operator_role
        .clone()
        .unwrap_or_else(|| format!("keystead-operator-{}", args.cluster))
}

fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
