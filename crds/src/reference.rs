//! The reference of the kinds, `docs/kinds/`: what their definitions say, as pages for people.
//!
//! Pure: definitions and examples in, Markdown out. The doc comments of the types are its sentences.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

use crate::condition;

mod conditions;
mod fields;

pub use conditions::page as conditions_page;

/// First line of every page.
const GENERATED: &str = "<!-- Generated from the types in crds/src by \
    `cargo run -p keystead-crds --features crdgen`. Do not edit. -->";

/// What the values of enums mean: by all the values of one, as the definitions list them.
pub type Meanings = BTreeMap<BTreeSet<String>, BTreeMap<String, String>>;

/// What a page says beyond its definition.
struct More {
    /// The conditions of the kind.
    conditions: &'static [&'static str],
    /// Where the kind is told as a story: the link's text and target.
    guide: (&'static str, &'static str),
}

fn more(kind: &str) -> More {
    let (conditions, guide): (&[&str], _) = match kind {
        "SecretProvider" => (
            &[condition::READY, condition::PERMITTED],
            ("Providers", "../concepts.md#providers"),
        ),
        "SecretScope" => (&[condition::READY], ("Who wins", "../concepts.md#who-wins")),
        "Credential" => (
            &[condition::READY, condition::EXPIRING, condition::ROTATION_DUE],
            ("Concepts", "../concepts.md"),
        ),
        "SecretBinding" => (
            &[condition::READY, condition::NODE_SCOPES],
            ("What a pod gets", "../concepts.md#what-a-pod-gets"),
        ),
        "DatabaseConnection" => (
            &[condition::READY, condition::ROOT_ROTATED],
            ("Databases", "../databases.md#a-connection"),
        ),
        "DatabaseRole" => (&[condition::READY], ("Databases", "../databases.md#roles")),
        "EncryptionKey" => (&[condition::READY], ("Encryption keys", "../encryption.md#a-key")),
        _ => (&[condition::READY], ("Concepts", "../concepts.md")),
    };
    More { conditions, guide }
}

/// The page of one kind, with an example manifest.
pub fn page(crd: &CustomResourceDefinition, meanings: &Meanings, example: &str) -> String {
    let names = &crd.spec.names;
    let more = more(&names.kind);
    let mut out = format!("{GENERATED}\n\n# {}\n\n", names.kind);
    let version = crd.spec.versions.first();
    let schema = version
        .and_then(|version| version.schema.as_ref())
        .and_then(|schema| serde_json::to_value(&schema.open_api_v3_schema).ok())
        .unwrap_or_default();
    let summary = fields::sentence(&schema["description"]);
    let short = names.short_names.iter().flatten().map(|name| format!("`{name}`"));
    let shorts = short.collect::<Vec<_>>().join(", ");
    let scope = if crd.spec.scope == "Namespaced" {
        "in a namespace"
    } else {
        "in the whole cluster, without a namespace"
    };
    let name = version.map(|version| version.name.as_str()).unwrap_or_default();
    let (text, target) = more.guide;
    let facts = format!(
        "{summary}\n\n| | |\n|---|---|\n| `apiVersion` | `{}/{name}` |\n| `kubectl get` | `{}`, {shorts} |\n\
         | it lives | {scope} |\n| told as a story | [{text}]({target}) |\n",
        crd.spec.group, names.plural,
    );
    out.push_str(&facts);
    let _ = write!(out, "\n## Example\n\n```yaml\n{}\n```\n", example.trim_end());
    let of = |part: &str| fields::table(&schema["properties"][part], part, meanings);
    let _ = write!(out, "\n## Spec\n\n{}{}", fields::listed(&schema), of("spec"));
    let _ = write!(out, "\n## Status\n\nKeystead writes it.\n\n{}", of("status"));
    let types: Vec<String> = more.conditions.iter().map(|name| format!("`{name}`")).collect();
    let _ = write!(
        out,
        "\n## Conditions\n\n{}. [What they mean, and every reason](conditions.md).\n",
        types.join(", ")
    );
    out
}

/// Finds what the values of enums mean in schemas that were not yet made fit for a definition, which
/// has no room for it.
pub fn meanings<'a>(schemas: impl IntoIterator<Item = &'a Value>) -> Meanings {
    let mut found = Meanings::new();
    for schema in schemas {
        collect(schema, &mut found);
    }
    found
}

fn collect(schema: &Value, found: &mut Meanings) {
    if let Some(variants) = schema["oneOf"].as_array() {
        let each = variants.iter().filter_map(|variant| {
            let name = variant["const"].as_str()?.to_owned();
            Some((name, fields::sentence(&variant["description"])))
        });
        let each: BTreeMap<String, String> = each.collect();
        if each.len() == variants.len() {
            found.insert(each.keys().cloned().collect(), each);
        }
    }
    match schema {
        Value::Object(members) => members.values().for_each(|member| collect(member, found)),
        Value::Array(entries) => entries.iter().for_each(|entry| collect(entry, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
