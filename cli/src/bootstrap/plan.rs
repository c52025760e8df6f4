//! What there should be in Vault before an operator can work: pure.

use super::Mount;
use super::change::{Change, State, Whose};
use super::cluster::ClusterFacts;
use crate::args::{Bootstrap, Method};
use keystead_vault::hcl::{self, OperatorPolicy};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Life of the operator's token between renewals, in seconds.
const OPERATOR_TTL: u64 = 3600;

/// What was found.
pub(crate) struct Facts {
    /// In the cluster.
    pub(crate) cluster: ClusterFacts,
    /// In Vault, by path.
    pub(crate) mounts: BTreeMap<String, Mount>,
}

impl Facts {
    /// Whether a path is below something that is mounted; Vault's own paths always are.
    pub(crate) fn has(&self, path: &str) -> bool {
        !path.starts_with("auth/") || self.mounts.keys().any(|mount| path.starts_with(mount.as_str()))
    }

    /// Whether a mount is there; none where a change is something else. What stands in its way is an error.
    pub(crate) fn mounted(&self, change: &Change) -> anyhow::Result<Option<State>> {
        let (path, wanted, version) = match change {
            Change::Engine { mount, kind, version } => (mount.clone(), *kind, *version),
            Change::Method { mount, kind, .. } => (format!("auth/{mount}"), *kind, None),
            _ => return Ok(None),
        };
        let Some(found) = self.mounts.get(&format!("{path}/")) else {
            return Ok(Some(State::Missing));
        };
        let options = found.options.as_ref();
        let theirs = options
            .and_then(|options| options.get("version"))
            .map(String::as_str);
        anyhow::ensure!(
            found.kind == wanted && (version.is_none() || theirs == version),
            "{path} is mounted already, and not as {change} needs it: choose another path"
        );
        Ok(Some(State::Done))
    }
}

/// The names that are left to us where nobody gave them.
pub(crate) struct Names {
    operator_mount: String,
    workload_mount: String,
    operator_role: String,
}

impl Names {
    /// The names given, and ours for the rest.
    pub(crate) fn new(args: &Bootstrap) -> anyhow::Result<Self> {
        let cluster = &args.cluster;
        let or = |given: &Option<String>, own: String| given.clone().unwrap_or(own);
        let workloads = match args.workload_method {
            Method::Jwt => format!("jwt-{cluster}"),
            Method::Kubernetes => format!("kubernetes-{cluster}-workloads"),
        };
        let names = Self {
            operator_mount: or(&args.operator_mount, format!("kubernetes-{cluster}")),
            workload_mount: or(&args.workload_mount, workloads),
            operator_role: or(&args.operator_role, format!("keystead-operator-{cluster}")),
        };
        // Vault folds the case of mounts' paths.
        anyhow::ensure!(
            !names.operator_mount.eq_ignore_ascii_case(&names.workload_mount),
            "the operator never logs in through the mount it maintains: --operator-mount and --workload-mount are both {}",
            names.operator_mount
        );
        Ok(names)
    }
}

/// Everything that should be there, in the order in which it can be made.
pub(crate) fn wanted(args: &Bootstrap, names: &Names, cluster: &ClusterFacts) -> Vec<Change> {
    // Otherwise the operator mounts them.
    let mut changes = if args.manage_mounts {
        Vec::new()
    } else {
        engines(args)
    };
    changes.extend(reviewed(Whose::Operator, &names.operator_mount, cluster));
    changes.extend(match args.workload_method {
        Method::Jwt => signed(&names.workload_mount, cluster),
        Method::Kubernetes => reviewed(Whose::Workloads, &names.workload_mount, cluster),
    });
    changes.push(policy(args, names));
    changes.push(role(args, names));
    changes
}

fn engines(args: &Bootstrap) -> Vec<Change> {
    let engine = |kind, version, mount: &String| Change::Engine {
        mount: mount.clone(),
        kind,
        version,
    };
    let values = engine("kv", Some("2"), &args.kv);
    let databases = args.database.iter().map(|path| engine("database", None, path));
    let keys = args.transit.iter().map(|path| engine("transit", None, path));
    [values].into_iter().chain(databases).chain(keys).collect()
}

/// An auth method that asks the API server about each token.
fn reviewed(whose: Whose, mount: &str, cluster: &ClusterFacts) -> [Change; 2] {
    let mount = mount.to_owned();
    [
        Change::Method {
            whose,
            mount: mount.clone(),
            kind: "kubernetes",
        },
        Change::Reviewer {
            whose,
            mount,
            body: fields(json!({
                "kubernetes_host": cluster.host,
                "kubernetes_ca_cert": cluster.ca,
                // Vault itself need not run in this cluster.
                "disable_local_ca_jwt": true,
            })),
        },
    ]
}

/// The pods' auth method that knows the keys which sign their tokens.
fn signed(mount: &str, cluster: &ClusterFacts) -> [Change; 2] {
    let mount = mount.to_owned();
    [
        Change::Method {
            whose: Whose::Workloads,
            mount: mount.clone(),
            kind: "jwt",
        },
        Change::SigningKeys {
            mount,
            keys: cluster.keys.clone(),
            issuer: cluster.issuer.clone(),
        },
    ]
}

fn policy(args: &Bootstrap, names: &Names) -> Change {
    let text = hcl::operator(&OperatorPolicy {
        cluster: &args.cluster,
        workload_mount: &names.workload_mount,
        kv_mount: &args.kv,
        prefix: &args.prefix,
        database_mount: args.database.as_deref(),
        transit_mount: args.transit.as_deref(),
        manage_mounts: args.manage_mounts,
    });
    Change::Policy {
        name: names.operator_role.clone(),
        text,
    }
}

fn role(args: &Bootstrap, names: &Names) -> Change {
    Change::Role {
        who: format!("{}/{}", args.operator_namespace, args.operator_service_account),
        mount: names.operator_mount.clone(),
        name: names.operator_role.clone(),
        body: fields(json!({
            "bound_service_account_names": [args.operator_service_account],
            "bound_service_account_namespaces": [args.operator_namespace],
            "audience": args.audience,
            "token_policies": [names.operator_role],
            "token_no_default_policy": true,
            "token_ttl": OPERATOR_TTL,
            "token_type": "service",
        })),
    }
}

/// What a person does after this.
pub(crate) fn next_steps(args: &Bootstrap, names: &Names) -> String {
    let method = match args.workload_method {
        Method::Jwt => "Jwt",
        Method::Kubernetes => "Kubernetes",
    };
    let manage = if args.manage_mounts {
        ", manageMounts: true"
    } else {
        ""
    };
    let others = [("database", &args.database), ("transit", &args.transit)];
    let others = others
        .into_iter()
        .filter_map(|(field, path)| path.as_ref().map(|path| format!(", {field}: {path}")));
    let others: String = others.collect();
    let namespace = args.vault_namespace.as_ref();
    let namespace = namespace.map_or_else(String::new, |name| format!("namespace: {name}, "));
    format!(
        "
Next, install the operator and name this Vault to it:
  helm install keystead charts/keystead --namespace {} --create-namespace --set cluster={}
  (and --set image.operator.repository=… --set image.sidecar.repository=… where they are in a registry)
and in a SecretProvider:
  vault: {{{namespace}auth: {{kubernetes: {{mount: {}, role: {}}}}}, mounts: {{kv: {}{others}}}, pathPrefix: {}{manage}}}
  workloadAuth: {{method: {method}, mount: {}, audience: {}}}",
        args.operator_namespace,
        args.cluster,
        names.operator_mount,
        names.operator_role,
        args.kv,
        args.prefix,
        names.workload_mount,
        args.audience,
    )
}

pub(super) fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

#[cfg(test)]
pub(super) mod tests;
