//! Objects by the thousand, made fast: making them is not what is measured.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Result, anyhow};
use serde_json::{Value, json};

use crate::bed::Bed;
use crate::rig::Rig;
use crate::{exec, interrupt};

/// `kubectl`s at work at a time.
const HANDS: usize = 8;
/// Objects each of them gets at once.
const CHUNK: usize = 100;
/// The namespace of all objects, and of the Secret that Credentials take their value from.
const SPACE: &str = "shop";
/// The service of all bindings.
const SERVICE: &str = "hubspot";

/// What the operator is given to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// Credentials, each of a service of its own, with a value from a Secret.
    Credentials,
    /// SecretBindings, each of a service account of its own.
    Bindings,
    /// The same, each with a native Secret.
    Synced,
}

impl Load {
    /// The resource in a URL.
    pub(super) const fn plural(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::Bindings | Self::Synced => "secretbindings",
        }
    }

    /// Where in Vault each object is looked at: names of our objects follow.
    pub(super) fn places(self, rig: &Rig<'_>) -> Vec<String> {
        match self {
            Self::Credentials => vec![rig.kv("data", "production/global/all/")],
            Self::Bindings | Self::Synced => {
                let role = rig.role(&space(rig), "");
                vec![
                    format!("sys/policies/acl/{role}"),
                    format!("auth/{}/role/{role}", rig.mount()),
                ]
            }
        }
    }

    fn object(self, id: &str, space: &str, number: usize) -> Value {
        let name = format!("n{number:05}");
        let metadata = json!({ "name": name, "namespace": space });
        match self {
            Self::Credentials => json!({
                "apiVersion": "keystead.dev/v1alpha1",
                "kind": "Credential",
                "metadata": metadata,
                "spec": {
                    "scopeRef": { "name": format!("{id}-global") },
                    "service": name,
                    "keys": [{ "name": "api_key", "from": { "secretKeyRef": { "name": "values", "key": "api_key" } } }],
                },
            }),
            Self::Bindings | Self::Synced => {
                let mut binding = json!({
                    "apiVersion": "keystead.dev/v1alpha1",
                    "kind": "SecretBinding",
                    "metadata": metadata,
                    "spec": {
                        "providerRef": { "name": id },
                        "serviceAccounts": [name],
                        "secrets": [{ "name": "hubspot", "service": SERVICE }],
                    },
                });
                if self == Self::Synced {
                    binding["spec"]["sync"] = json!({ "secretName": name });
                }
                binding
            }
        }
    }
}

/// The namespace of all objects.
pub(super) fn space(rig: &Rig<'_>) -> String {
    format!("{}-{SPACE}", rig.id)
}

/// Declares what all objects need, and so many of a kind.
pub(super) fn declare(rig: &Rig<'_>, bed: &Bed, load: Load, count: usize) -> Result<()> {
    let (id, space) = (rig.id.as_str(), space(rig));
    if load == Load::Synced {
        let mut values = Load::Credentials.object(id, &space, 0);
        values["spec"]["service"] = json!(SERVICE);
        create(bed, 1, |_| values.clone())?;
    }
    create(bed, count, |number| load.object(id, &space, number))
}

/// Secrets that are nobody's business, of 100 KiB each.
pub(super) fn foreign_secrets(rig: &Rig<'_>, bed: &Bed, count: usize) -> Result<()> {
    let space = space(rig);
    // Base64 of 100 KiB.
    let value = "QUFB".repeat(100 * 1024 / 3);
    create(bed, count, |number| {
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": format!("foreign-{number:05}"), "namespace": space },
            "data": { "value": value },
        })
    })
}

fn create(bed: &Bed, count: usize, object: impl Fn(usize) -> Value + Sync) -> Result<()> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<()> {
        loop {
            let first = next.fetch_add(CHUNK, Ordering::Relaxed);
            if first >= count {
                return Ok(());
            }
            interrupt::check()?;
            let items: Vec<Value> = (first..count.min(first + CHUNK)).map(&object).collect();
            let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
            let mut kubectl = bed.command("kubectl");
            kubectl.args(["create", "--validate=ignore", "--output=name", "--filename=-"]);
            exec::output_with_input(&mut kubectl, &serde_json::to_vec(&list)?)?;
        }
    };
    thread::scope(|scope| {
        let hands: Vec<_> = (0..HANDS).map(|_| scope.spawn(work)).collect();
        hands.into_iter().try_for_each(|hand| {
            hand.join()
                .map_err(|_| anyhow!("a thread that makes objects has died"))?
        })
    })
}
