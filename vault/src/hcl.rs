//! Policy text. Users give names, never HCL: every name is a checked path segment before it gets here.

use crate::path::{ApiPath, KvPath};
use crate::rights::Right;
use keystead_crds::binding::PathMethod;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// What every workload's token may do with itself.
const BASE: &str = include_str!("../../policies/base.hcl");
/// What the operator's token may do; see [`operator`].
const OPERATOR: &str = include_str!("../../policies/operator.hcl");
/// What it may do besides where it mounts the engine itself.
const OPERATOR_MOUNTS: &str = include_str!("../../policies/operator-mounts.hcl");

/// What it may do besides where there are databases, and where it mounts their engine itself.
const OPERATOR_DATABASE: &str = include_str!("../../policies/operator-database.hcl");
const OPERATOR_DATABASE_MOUNT: &str = include_str!("../../policies/operator-database-mount.hcl");

/// The same of encryption keys.
const OPERATOR_TRANSIT: &str = include_str!("../../policies/operator-transit.hcl");
const OPERATOR_TRANSIT_MOUNT: &str = include_str!("../../policies/operator-transit-mount.hcl");

/// How each policy begins that an operator writes: by this it knows its own.
pub const HEADER: &str = "# Keystead: ";

/// Existing paths, and how they may be asked.
pub type Paths = BTreeMap<ApiPath, BTreeSet<PathMethod>>;

/// Whether a policy's text is an operator's.
pub(crate) fn is_ours(text: &str) -> bool {
    text.starts_with(HEADER)
}

/// The policy of one service account: its own token, `read` on these values and their marks, and these existing
/// paths by these methods, which may be any engine's, with the leases that asking there makes. The header says
/// in one line whose it is.
///
/// A lease is renewed and ended by the id in the URL, which begins with the path that made it. The
/// same request can carry another id in its body, and Vault prefers that one: so it may carry none.
pub fn workload(header: &str, values: &[KvPath], paths: &Paths) -> String {
    let mut text = format!("{HEADER}{header}\n{BASE}");
    // Writing to a String can't fail.
    let mut may = |path: &str, what: &str| writeln!(text, "path \"{path}\" {{ capabilities = [{what}] }}");
    for path in values {
        let _ = may(&path.data(), "\"read\"");
        let _ = may(&path.metadata(), "\"read\"");
    }
    for (path, methods) in paths {
        let capabilities = methods.iter().map(|method| match method {
            PathMethod::Get => "\"read\"",
            PathMethod::Post => "\"update\"",
        });
        let _ = may(path.as_str(), &capabilities.collect::<Vec<_>>().join(", "));
    }
    for path in paths.keys() {
        for verb in ["renew", "revoke"] {
            let _ = writeln!(
                text,
                "path \"sys/leases/{verb}/{path}/+\" {{ capabilities = [\"update\"] denied_parameters = {{ \"lease_id\" = [] }} }}"
            );
        }
    }
    text
}

/// A name that stands for the caller's node, in the id of a Node path: Vault fills it in at each
/// request from the alias of the caller's login.
pub fn node_template(accessor: &str) -> String {
    format!("{{{{identity.entity.aliases.{accessor}.name}}}}")
}

/// Whether a name means itself in a policy path: a glob, a wildcard or a template can't be escaped there.
pub fn is_plain_segment(name: &str) -> bool {
    !name.is_empty()
        && name != "."
        && name != ".."
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// Whether every segment of a path means itself in a policy.
pub fn is_plain_path(path: &str) -> bool {
    path.split('/').all(is_plain_segment)
}

/// What the operator's policy speaks of.
pub struct OperatorPolicy<'a> {
    /// The cluster's name.
    pub cluster: &'a str,
    /// Auth mount of the workloads.
    pub workload_mount: &'a str,
    /// KV engine.
    pub kv_mount: &'a str,
    /// First segment of every path in it.
    pub prefix: &'a str,
    /// Database engine, where there are databases.
    pub database_mount: Option<&'a str>,
    /// Transit engine, where there are encryption keys.
    pub transit_mount: Option<&'a str>,
    /// Whether the operator mounts the engine itself.
    pub manage_mounts: bool,
}

/// The operator's own policy.
pub fn operator(policy: &OperatorPolicy<'_>) -> String {
    let mut text = OPERATOR.to_owned();
    if policy.manage_mounts {
        text.push_str(OPERATOR_MOUNTS);
    }
    for (mount, rights, mounting) in [
        (policy.database_mount, OPERATOR_DATABASE, OPERATOR_DATABASE_MOUNT),
        (policy.transit_mount, OPERATOR_TRANSIT, OPERATOR_TRANSIT_MOUNT),
    ] {
        if mount.is_some() {
            text.push_str(rights);
        }
        if mount.is_some() && policy.manage_mounts {
            text.push_str(mounting);
        }
    }
    text.replace("@database@", policy.database_mount.unwrap_or_default())
        .replace("@transit@", policy.transit_mount.unwrap_or_default())
        .replace("@cluster@", policy.cluster)
        .replace("@workload_mount@", policy.workload_mount)
        .replace("@kv@", policy.kv_mount)
        .replace("@prefix@", policy.prefix)
}

/// What the operator needs, for [`crate::rights::lacking`]: what its policy grants.
pub fn operator_rights(policy: &OperatorPolicy<'_>) -> Vec<Right> {
    rights(&operator(policy))
}

/// The rights that a policy of ours grants: one path a line, as the templates have it.
pub(crate) fn rights(text: &str) -> Vec<Right> {
    let right = |line: &str| {
        let (path, rest) = line.strip_prefix("path \"")?.split_once('"')?;
        let (_, list) = rest.split_once('[')?;
        let (list, _) = list.split_once(']')?;
        let names = list
            .split(',')
            .map(|name| name.trim().trim_matches('"').to_owned());
        Some(Right {
            path: path.to_owned(),
            capabilities: names.collect(),
        })
    };
    text.lines().filter_map(right).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_not_plain() {
        for bad in [
            "", ".", "..", "a/b", "a*", "+", "{{x}}", "a\"b", "a\nb", "ä", "a b", "#",
        ] {
            assert!(!is_plain_segment(bad), "{bad:?}");
        }
        assert!(is_plain_segment("node-1.example"));
        assert!(is_plain_path("kv/team") && !is_plain_path("kv/") && !is_plain_path("kv/../sys"));
    }

    #[test]
    fn a_workload_reads_what_it_is_given_and_keeps_what_that_leases() {
        let values = KvPath {
            mount: "kv".into(),
            path: "keystead/production/global/all/hubspot".into(),
        };
        let path = |text, methods: &[PathMethod]| {
            let path = ApiPath::parse(text).unwrap();
            (path, methods.iter().copied().collect())
        };
        let paths = [
            path("database/creds/shop", &[PathMethod::Get]),
            path("pki/issue/shop", &[PathMethod::Post]),
        ];
        let text = workload("whose", &[values], &paths.into());
        let own = text.strip_prefix(&format!("{HEADER}whose\n{BASE}")).unwrap();
        let lease = r#"{ capabilities = ["update"] denied_parameters = { "lease_id" = [] } }"#;
        assert_eq!(
            own.lines().collect::<Vec<_>>(),
            [
                r#"path "kv/data/keystead/production/global/all/hubspot" { capabilities = ["read"] }"#,
                r#"path "kv/metadata/keystead/production/global/all/hubspot" { capabilities = ["read"] }"#,
                r#"path "database/creds/shop" { capabilities = ["read"] }"#,
                r#"path "pki/issue/shop" { capabilities = ["update"] }"#,
                &format!(r#"path "sys/leases/renew/database/creds/shop/+" {lease}"#),
                &format!(r#"path "sys/leases/revoke/database/creds/shop/+" {lease}"#),
                &format!(r#"path "sys/leases/renew/pki/issue/shop/+" {lease}"#),
                &format!(r#"path "sys/leases/revoke/pki/issue/shop/+" {lease}"#),
            ]
        );
    }

    const POLICY: OperatorPolicy<'_> = OperatorPolicy {
        cluster: "c1",
        workload_mount: "jwt-c1",
        kv_mount: "kv",
        prefix: "keystead",
        database_mount: Some("database"),
        transit_mount: Some("transit"),
        manage_mounts: true,
    };

    /// A path that the reader does not understand would not be missed when it is lacking.
    #[test]
    fn what_the_operator_needs_is_what_its_policy_grants() {
        let text = operator(&POLICY);
        let rights = operator_rights(&POLICY);
        assert_eq!(rights.len(), text.matches("path \"").count());
        let found: Vec<String> = rights.iter().map(ToString::to_string).collect();
        for wanted in [
            "update on sys/capabilities-self",
            "create, delete, read, update on auth/jwt-c1/role/keystead.c1.*",
            "read, update on sys/mounts/kv",
            "read, update on sys/mounts/database",
            "read, update on sys/mounts/transit",
            "sudo, update on sys/leases/revoke-prefix/database/creds/keystead.c1.*",
        ] {
            assert!(found.contains(&wanted.to_owned()), "{wanted}: {found:?}");
        }
        for right in rights {
            let known = ["create", "delete", "list", "patch", "read", "sudo", "update"];
            let unknown = right
                .capabilities
                .iter()
                .find(|name| !known.contains(&name.as_str()));
            assert_eq!(unknown, None, "{right}");
            assert!(text.contains(&format!("path \"{}\"", right.path)), "{right}");
        }
    }

    #[test]
    fn mounts_are_only_for_those_who_asked() {
        let without = OperatorPolicy {
            manage_mounts: false,
            ..POLICY
        };
        assert!(!operator(&without).contains("sys/mounts") && operator(&POLICY).contains("sys/mounts/kv\""));
        let without = OperatorPolicy {
            database_mount: None,
            transit_mount: None,
            ..POLICY
        };
        for right in ["rotate-root", "transit/keys/keystead.c1.*"] {
            assert!(!operator(&without).contains(right) && operator(&POLICY).contains(right));
        }
        assert!(!operator(&without).contains("sys/mounts/\""));
    }

    #[test]
    fn no_placeholder_is_left() {
        let text = operator(&POLICY);
        assert!(!text.contains('@'), "{text}");
        assert!(text.contains("auth/jwt-c1/role/keystead.c1.*"));
    }
}
