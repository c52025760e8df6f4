use super::*;
use serde_json::json;

fn crd() -> CustomResourceDefinition {
    let key = json!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 9, "description": "Its\nname."},
            "sort": {"type": "string", "enum": ["Old", "New"], "default": "New"},
        },
    });
    let spec = json!({
        "type": "object",
        "required": ["keys"],
        "x-kubernetes-validations": [{"rule": "true", "message": "a or b, never a|b"}],
        "properties": {
            "keys": {
                "type": "array", "items": key, "maxItems": 4, "x-kubernetes-list-map-keys": ["name"],
                "x-kubernetes-validations": [{"rule": "true", "message": "keys must differ"}],
            },
            "tags": {"type": "array", "items": {"type": "string", "maxLength": 5}},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "who": {"type": "object", "properties": {"matchExpressions": {"type": "array"}, "matchLabels": {}}},
            "mode": {"x-kubernetes-int-or-string": true},
            "at": {"type": "string", "format": "date-time"},
        },
    });
    let schema = json!({"description": "What it is.", "type": "object", "properties": {"spec": spec}});
    serde_json::from_value(json!({
        "metadata": {"name": "things.keystead.dev"},
        "spec": {
            "group": "keystead.dev",
            "names": {"kind": "Thing", "plural": "things", "shortNames": ["kt"]},
            "scope": "Cluster",
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
    }))
    .expect("it is a definition")
}

#[test]
fn a_page_says_every_field() {
    let raw = json!({"$defs": {"Sort": {"oneOf": [
        {"const": "Old", "description": "As it\nwas."},
        {"const": "New", "description": "As it is."},
    ]}}});
    let page = page(&crd(), &meanings([&raw]), "kind: Thing\n");
    for line in [
        "# Thing",
        "What it is.",
        "| `kubectl get` | `things`, `kt` |",
        "| it lives | in the whole cluster, without a namespace |",
        "kind: Thing",
        "- a or b, never a\\|b",
        "| `spec.at` | date and time |  |  |  |",
        "| `spec.keys` | list of object | yes |  | (at most 4 entries; no two of the same `name`)<br>Rule: keys must differ. |",
        "| `spec.keys[].name` | string | yes |  | Its name.<br>(1 to 9 characters) |",
        "| `spec.keys[].sort` | string |  | `\"New\"` | `Old`: As it was.<br>`New`: As it is. |",
        "| `spec.labels` | map of string |  |  |  |",
        "| `spec.mode` | string or integer |  |  |  |",
        "| `spec.tags` | list of string |  |  | (each at most 5 characters) |",
        "| `spec.who` | label selector |  |  |  |",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n\n{page}");
    }
    assert!(!page.contains("matchLabels"), "{page}");
}

#[test]
fn every_field_of_every_kind_has_a_meaning() {
    let meanings = meanings(&crate::schemas());
    for crd in crate::definitions() {
        let page = page(&crd, &meanings, "");
        for line in page.lines() {
            assert!(!line.ends_with("|  |"), "{}: {line}", crd.spec.names.kind);
        }
    }
}

#[test]
fn conditions_come_from_their_comments() {
    let page = conditions_page(
        "/// Whether all\n/// is well.\npub const READY: &str = \"Ready\";\n/// No row.\nfn no() {\n\
         /// Never mind.\n#[x]\nLost,\n/// It works.\nFine,\n    Self::Fine => 1,",
    );
    assert!(page.contains("| `Ready` | Whether all is well. |"), "{page}");
    assert!(
        page.ends_with("| `Fine` | It works. |\n| `Lost` | Never mind. |\n"),
        "{page}"
    );
}

#[test]
fn every_condition_is_some_kinds() {
    let page = conditions_page(include_str!("../condition.rs"));
    let kinds: Vec<String> = crate::definitions()
        .into_iter()
        .map(|crd| crd.spec.names.kind)
        .collect();
    let section = page.split("## Reasons").next().expect("there is a first part");
    for line in section.lines().filter(|line| line.starts_with("| `")) {
        let name = line.split('`').nth(1).expect("a name stands between backticks");
        let has = |kind: &String| more(kind).conditions.contains(&name);
        assert!(kinds.iter().any(has), "no kind has {name}");
    }
}
