//! What Kubernetes' own roles get from the chart.

use anyhow::Result;

use crate::rig::Rig;

/// Holds that they have what the chart says, and no more.
pub(super) fn aggregated(rig: &Rig<'_>) -> Result<()> {
    rig.apply(MEMBERS)?;
    for (who, verb, what, wanted) in [
        ("viewer", "list", "credentials", "yes"),
        ("viewer", "create", "secretbindings", "no"),
        ("viewer", "list", "secrets", "no"),
        ("editor", "list", "databaseroles", "yes"),
        ("editor", "create", "secretbindings", "yes"),
        ("editor", "patch", "credentials/status", "no"),
        ("editor", "create", "secretscopes", "no"),
    ] {
        let (what, part) = what.split_once('/').unwrap_or((what, ""));
        let group = if what == "secrets" { "" } else { ".keystead.dev" };
        let line = format!(
            "sh -c 'kubectl auth can-i {verb} {what}{group} --subresource=\"{part}\" -n {0} --as={0}-{who} || true'",
            rig.id
        );
        // Aggregation takes a moment, and what is not granted is not granted then either.
        let what = format!("whether a {who} may {verb} {what}");
        rig.stage
            .until(&what, &line, |answer| answer.lines().last() == Some(wanted))?;
    }
    Ok(())
}

const MEMBERS: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: viewers, namespace: @id@}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: @id@-viewer}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: editors, namespace: @id@}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: @id@-editor}]
";
