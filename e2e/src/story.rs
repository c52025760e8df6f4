//! The main job, told: from an empty Vault and an empty cluster to applications that have their
//! secrets, each from the right scope. The demo tells it aloud; the tests hold it to its word.

mod access;
mod change;
mod deliver;
mod install;

use anyhow::{Context as _, Result, ensure};

use crate::stage::Stage;

/// The cluster's name in Vault.
pub const CLUSTER: &str = "demo";
/// Where the operator runs.
pub const NAMESPACE: &str = "keystead-system";
/// Where the application of a company runs.
pub const SHOPS: [&str; 2] = ["acme-shop", "globex-shop"];

/// A part of the story: its title, and what happens in it. Each needs those before it.
type Chapter = (&'static str, fn(&Stage) -> Result<()>);

/// The story, in order.
const CHAPTERS: &[Chapter] = &[
    ("Vault is prepared, once", install::bootstrap),
    ("Helm installs the operator", install::helm_install),
    ("Scopes and secrets are declared", install::declare),
    (
        "A pod without a binding waits; the binding lets it start",
        deliver::binding_comes_later,
    ),
    (
        "The same application sees its own company's secrets",
        deliver::each_company_its_own,
    ),
    ("A changed Secret reaches the running pod", change::secret_changes),
    (
        "The node's own key wins over both companies",
        change::node_overrides,
    ),
    ("Vault itself refuses what is not granted", access::refusals),
    (
        "A Job runs to its end, and its sidecar with it",
        deliver::job_ends,
    ),
    ("A deleted pod's token is revoked", access::token_ends),
    (
        "Helm uninstalls the operator; the applications stay",
        change::uninstall,
    ),
    (
        "Without the operator, a value changed in Vault reaches the running pods",
        change::without_operator,
    ),
    (
        "Installed again, it finds everything in place, and puts that value back",
        change::reinstall,
    ),
];

/// Tells the whole story.
pub fn tell(stage: &Stage) -> Result<()> {
    for (number, (title, chapter)) in CHAPTERS.iter().enumerate() {
        let number = number + 1;
        stage.chapter(&format!("{number}. {title}"));
        chapter(stage).with_context(|| format!("the story ended in chapter {number}, \"{title}\""))?;
    }
    Ok(())
}

/// A file in the application of a shop.
fn file(stage: &Stage, shop: &str, path: &str) -> Result<String> {
    stage.ask(&format!(
        "kubectl -n {shop} exec deploy/web -c app -- cat /keystead/{path}"
    ))
}

/// Waits until that file holds something.
fn file_becomes(stage: &Stage, shop: &str, path: &str, text: &str) -> Result<()> {
    let line = format!("kubectl -n {shop} exec deploy/web -c app -- cat /keystead/{path}");
    stage.until(
        &format!("{shop}: /keystead/{path} holds {text}"),
        &line,
        |found| found == text,
    )?;
    stage.show(&line).map(drop)
}

fn expect(what: &str, found: &str, wanted: &str) -> Result<()> {
    ensure!(found == wanted, "{what}: expected {wanted:?}, found {found:?}");
    Ok(())
}

fn expect_part(what: &str, found: &str, wanted: &str) -> Result<()> {
    ensure!(found.contains(wanted), "{what}: expected {wanted:?} in {found:?}");
    Ok(())
}
