//! What there should be in Vault before an operator can work: pure.

use super::Mount;
use super::change::{Change, State};
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

    /// Whether a mount is there. What stands in its way is an error.
    pub(crate) fn mounted(&self, change: &Change) -> anyhow::Result<State> {
        let Change::Mount { path, kind, version } = change else {
            anyhow::bail!("not a mount: {change}");
        };
        let Some(found) = self.mounts.get(&format!("{path}/")) else {
            return Ok(State::Missing);
        };
        let same = found.options.as_ref().and_then(|options| options.get("version")) == version.as_ref();
        anyhow::ensure!(
            found.kind == *kind && (version.is_none() || same),
            "{path} is mounted already, and not as {change} needs it: choose another path"
        );
        Ok(State::Done)
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
pub(crate) fn wanted(args: &Bootstrap, names: &Names, facts: &Facts) -> Vec<Change> {
    let (operators, workloads) = (&names.operator_mount, &names.workload_mount);
    // Otherwise the operator mounts them.
    let mut changes = if args.manage_mounts {
        Vec::new()
    } else {
        engines(args)
    };
    changes.extend([
        auth_mount(operators, Method::Kubernetes),
        kubernetes_config(operators, "--operator-mount", facts),
        auth_mount(workloads, args.workload_method),
    ]);
    changes.push(match args.workload_method {
        Method::Jwt => jwt_config(workloads, facts),
        Method::Kubernetes => kubernetes_config(workloads, "--workload-mount", facts),
    });
    changes.push(policy(args, names));
    changes.push(role(args, names));
    changes
}

fn engines(args: &Bootstrap) -> Vec<Change> {
    let values = Change::Mount {
        path: args.kv.clone(),
        kind: "kv",
        version: Some("2".into()),
    };
    let databases = args.database.clone().map(|path| Change::Mount {
        path,
        kind: "database",
        version: None,
    });
    let keys = args.transit.clone().map(|path| Change::Mount {
        path,
        kind: "transit",
        version: None,
    });
    [values].into_iter().chain(databases).chain(keys).collect()
}

fn auth_mount(path: &str, method: Method) -> Change {
    Change::Mount {
        path: format!("auth/{path}"),
        kind: match method {
            Method::Jwt => "jwt",
            Method::Kubernetes => "kubernetes",
        },
        version: None,
    }
}

fn kubernetes_config(mount: &str, option: &'static str, facts: &Facts) -> Change {
    Change::Reviewer {
        path: format!("auth/{mount}/config"),
        option,
        body: fields(json!({
            "kubernetes_host": facts.cluster.host,
            "kubernetes_ca_cert": facts.cluster.ca,
            // Vault itself need not run in this cluster.
            "disable_local_ca_jwt": true,
        })),
    }
}

fn jwt_config(mount: &str, facts: &Facts) -> Change {
    Change::SigningKeys {
        path: format!("auth/{mount}/config"),
        keys: facts.cluster.keys.clone(),
        issuer: facts.cluster.issuer.clone(),
    }
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
        path: format!("sys/policies/acl/{}", names.operator_role),
        text,
    }
}

fn role(args: &Bootstrap, names: &Names) -> Change {
    let Names {
        operator_mount,
        operator_role,
        ..
    } = names;
    Change::Role {
        who: format!("{}/{}", args.operator_namespace, args.operator_service_account),
        path: format!("auth/{operator_mount}/role/{operator_role}"),
        body: fields(json!({
            "bound_service_account_names": [args.operator_service_account],
            "bound_service_account_namespaces": [args.operator_namespace],
            "audience": args.audience,
            "token_policies": [operator_role],
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
    format!(
        "
Next, install the operator and name this Vault to it:
  helm install keystead charts/keystead --namespace {} --create-namespace --set cluster={}
  (and --set image.operator.repository=… --set image.sidecar.repository=… where they are in a registry)
and in a SecretProvider:
  vault: {{auth: {{kubernetes: {{mount: {}, role: {}}}}}, mounts: {{kv: {}{others}}}, pathPrefix: {}{manage}}}
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

fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests;
