//! Policy text. Users give names, never HCL: every name is a checked path segment before it gets here.

use crate::path::KvPath;
use std::fmt::Write as _;

/// What every workload's token may do with itself.
const BASE: &str = include_str!("../../policies/base.hcl");
/// What the operator's token may do; see [`operator`].
const OPERATOR: &str = include_str!("../../policies/operator.hcl");

/// The policy of one service account: its own token, and `read` on these paths.
pub fn workload(header: &str, paths: &[KvPath]) -> String {
    let mut text = format!("# {header}\n{BASE}");
    for path in paths {
        for path in [path.data(), path.metadata()] {
            // Writing to a String can't fail.
            let _ = writeln!(text, "path \"{path}\" {{ capabilities = [\"read\"] }}");
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
}

/// The operator's own policy.
pub fn operator(policy: &OperatorPolicy<'_>) -> String {
    OPERATOR
        .replace("@cluster@", policy.cluster)
        .replace("@workload_mount@", policy.workload_mount)
        .replace("@kv@", policy.kv_mount)
        .replace("@prefix@", policy.prefix)
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
    }

    #[test]
    fn no_placeholder_is_left() {
        let text = operator(&OperatorPolicy {
            cluster: "c1",
            workload_mount: "jwt-c1",
            kv_mount: "kv",
            prefix: "keystead",
        });
        assert!(!text.contains('@'), "{text}");
        assert!(text.contains("auth/jwt-c1/role/keystead.c1.*"));
    }
}
