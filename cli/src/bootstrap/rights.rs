//! The policy of the token by which somebody prepares a Vault: what the changes need, and nothing besides.

use super::change::Change;
use crate::args::Bootstrap;
use std::fmt::Write as _;

/// What is looked at before anything else.
const LOOK: [&str; 2] = ["sys/mounts", "sys/auth"];

/// The policy's text.
pub(crate) fn policy(args: &Bootstrap, changes: &[Change]) -> String {
    let namespace = args.vault_namespace.as_ref();
    let place = namespace.map_or_else(String::new, |name| format!(" in the namespace {name}"));
    let mut text = format!(
        "# What a token needs to prepare this Vault for Keystead in cluster {}{place}, by kubectl keystead bootstrap.
# Who can write the operator's policy can give it any text: this is an administrator's token. End it afterwards.
",
        args.cluster
    );
    let looks = LOOK.map(|path| (path.to_owned(), ["read"].as_slice()));
    let writes = changes
        .iter()
        .map(|change| (change.path(), change.capabilities()));
    for (path, capabilities) in looks.into_iter().chain(writes) {
        let list = capabilities.join("\", \"");
        // Writing to a String can't fail.
        let _ = writeln!(text, "path \"{path}\" {{ capabilities = [\"{list}\"] }}");
    }
    text
}
