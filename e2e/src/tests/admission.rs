//! The validating webhook of the chart, called by the real API server: what `kubectl apply` says.

mod certificates;
mod guard;
mod objects;
mod templates;

use anyhow::Result;

use super::Test;
use crate::rig::chart::Webhook;
use crate::stage::Stage;

pub(super) fn tests() -> Vec<Test> {
    let test = |&(name, run)| Test::on_servers(name, run);
    TESTS.iter().map(test).collect()
}

/// What holds, and the function that sees to it.
type Named = (&'static str, fn(&Stage) -> Result<()>);

const TESTS: &[Named] = &[
    (
        "admission: what can't work is refused with a sentence, and taken once it is mended",
        objects::refused,
    ),
    (
        "admission: what slipped past is decided when compiling, and can be changed and deleted",
        objects::slipped_past,
    ),
    (
        "admission: whoever makes a namespace a tenant needs the right to the scope",
        guard::tenants,
    ),
    (
        "admission: a pod waits for the ConfigMap of its template, and has the text that is there then",
        templates::from_config_map,
    ),
    (
        "admission: a certificate that somebody else makes is served and swapped, and no call fails",
        certificates::given,
    ),
    (
        "admission: without an operator labels wait and objects don't",
        guard::without_operator,
    ),
];

/// A company's scope: `members` and `writers` are labels, `@id@-` before their values.
fn company(name: &str, id: &str, members: &str, writers: &str) -> String {
    let labels = |label: &str| label.replace(": ", ": @id@-");
    let (members, writers) = (labels(members), labels(writers));
    format!(
        "
---
apiVersion: keystead.dev/v1alpha1
kind: SecretScope
metadata: {{name: @id@-{name}}}
spec:
  providerRef: {{name: @id@}}
  level: Company
  id: {id}
  members: {{namespaceSelector: {{matchLabels: {{{members}}}}}}}
  writers: {{namespaceSelector: {{matchLabels: {{{writers}}}}}}}
"
    )
}
