//! Files at the paths at which Vault has what is in them, and a script that writes them there.

use super::{File, policies, policy, reviewer};
use crate::args::Bootstrap;
use crate::bootstrap::change::Change;
use crate::bootstrap::cluster::{FIELD_MANAGER, REVIEWER};
use serde_json::Value;

/// The script and its files.
pub(crate) fn script(args: &Bootstrap, changes: &[Change]) -> anyhow::Result<Vec<File>> {
    let mut files: Vec<File> = policies(changes).chain(reviewer(args, changes)?).collect();
    for change in changes {
        if let Change::Reviewer { .. } | Change::SigningKeys { .. } | Change::Role { .. } = change {
            let text = serde_json::to_string_pretty(&Value::Object(change.body()))?;
            files.push(File::new(body(change), text + "\n"));
        }
    }
    let steps: Vec<String> = changes.iter().map(step).collect();
    files.push(File {
        path: "apply.sh".into(),
        text: beginning(args) + &steps.concat(),
        runs: true,
    });
    Ok(files)
}

/// The file of what is written for a change.
fn body(change: &Change) -> String {
    format!("{}.json", change.path())
}

fn beginning(args: &Bootstrap) -> String {
    let cluster = &args.cluster;
    let namespace = match &args.vault_namespace {
        Some(name) => format!("export VAULT_NAMESPACE={name} BAO_NAMESPACE={name}\n"),
        None => String::new(),
    };
    let system = &args.operator_namespace;
    format!(
        "#!/bin/sh
# Prepares a Vault for Keystead in cluster {cluster}, as kubectl keystead bootstrap --yes does: mounts what is
# missing, and writes the files beside this one to the paths in Vault that are their names. It can be repeated.
# It overwrites what is there: kubectl keystead bootstrap, without --yes, says what is somebody else's.
#
# It needs vault or bao, with VAULT_ADDR and a VAULT_TOKEN of the policy in token.hcl, and kubectl for the cluster.
set -eu
cd \"$(dirname \"$0\")\"
vault=$(command -v vault || command -v bao)
{namespace}
mounted() {{ \"$vault\" \"$1\" list | cut -d ' ' -f 1 | grep -xF \"$2/\" >/dev/null; }}

# The token by which Vault asks the API server.
reviewer() {{
  kubectl apply --server-side --force-conflicts --field-manager={FIELD_MANAGER} -f reviewer.yaml >&2
  kubectl --namespace {system} wait --for='jsonpath={{.data.token}}' --timeout=30s secret/{REVIEWER} >&2
  kubectl --namespace {system} get secret {REVIEWER} -o 'jsonpath={{.data.token}}'
}}

"
    )
}

/// The lines that make a change.
fn step(change: &Change) -> String {
    let path = change.path();
    match change {
        Change::Engine { mount, kind, version } => {
            let version = version.map_or_else(String::new, |number| format!(" -version={number}"));
            format!("mounted secrets {mount} || \"$vault\" secrets enable -path={mount}{version} {kind}\n")
        }
        Change::Method { mount, kind, .. } => {
            format!("mounted auth {mount} || \"$vault\" auth enable -path={mount} {kind}\n")
        }
        // No argument that others could see in the list of processes.
        Change::Reviewer { .. } => format!(
            "token=$(reviewer)\nprintf %s \"$token\" | base64 -d | \"$vault\" write {path} @{} token_reviewer_jwt=-\n",
            body(change)
        ),
        Change::Policy { name, .. } => {
            format!("\"$vault\" policy write {name} {}\n", policy(change))
        }
        Change::SigningKeys { .. } | Change::Role { .. } => {
            format!("\"$vault\" write {path} @{}\n", body(change))
        }
    }
}
