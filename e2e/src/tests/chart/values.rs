//! What the chart can be told is said in three places that agree: `values.yaml` with its comments, the
//! schema, and the table in `docs/install.md`.

use std::collections::BTreeSet;

use serde_json::Value;

const VALUES: &str = include_str!("../../../../charts/keystead/values.yaml");
const SCHEMA: &str = include_str!("../../../../charts/keystead/values.schema.json");
const PAGE: &str = include_str!("../../../../docs/install.md");
/// Every file of the chart that grants rights.
const RIGHTS: [&str; 4] = [
    include_str!("../../../../charts/keystead/templates/rbac.yaml"),
    include_str!("../../../../charts/keystead/templates/release.yaml"),
    include_str!("../../../../charts/keystead/templates/test.yaml"),
    include_str!("../../../../charts/keystead/templates/aggregated.yaml"),
];

/// Who makes the metrics that alerts look at.
const METRICS: [&str; 3] = [
    include_str!("../../../../operator/src/metrics.rs"),
    include_str!("../../../../operator/src/webhook/metrics.rs"),
    include_str!("../../../../sidecar/src/metrics.rs"),
];
const ALERTS: &str = include_str!("../../../../charts/keystead/templates/prometheusrule.yaml");

/// One setting: its path, its default, what its comment says.
struct Setting {
    path: String,
    default: String,
    comment: String,
}

/// All settings, in the order of the file.
fn settings() -> Vec<Setting> {
    let mut found = Vec::new();
    let mut parents: Vec<(usize, &str)> = Vec::new();
    let mut comment: Vec<&str> = Vec::new();
    for line in VALUES.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if let Some(words) = text.strip_prefix('#') {
            comment.push(words.trim());
            continue;
        }
        let Some((key, default)) = text.split_once(':') else {
            comment.clear();
            continue;
        };
        parents.retain(|(outer, _)| *outer < indent);
        parents.push((indent, key));
        let default = default.trim();
        if !default.is_empty() {
            let path: Vec<&str> = parents.iter().map(|(_, key)| *key).collect();
            found.push(Setting {
                path: path.join("."),
                default: default.to_owned(),
                comment: comment.join(" "),
            });
        }
        comment.clear();
    }
    found
}

#[test]
fn the_page_has_a_row_for_every_setting() {
    let rows = settings().into_iter().map(|setting| {
        let Setting {
            path,
            default,
            comment,
        } = setting;
        assert!(
            !comment.is_empty(),
            "values.yaml: {path} needs a comment above it"
        );
        format!("| `{path}` | `{default}` | {comment} |\n")
    });
    let table: String = rows.collect();
    assert!(
        PAGE.contains(&table),
        "docs/install.md: the table of values is to be\n{table}"
    );
}

/// Settings that the schema knows, and that values.yaml need not have.
const UNSAID: [&str; 1] = ["global"];

#[test]
fn the_schema_has_every_setting_and_no_other() {
    let schema: Value = serde_json::from_str(SCHEMA).expect("a schema");
    let settings = settings();
    let named: BTreeSet<&str> = settings.iter().map(|setting| setting.path.as_str()).collect();
    for path in &named {
        let keys = path.split('.');
        let known = keys
            .into_iter()
            .try_fold(&schema, |at, key| resolved(&schema, at)["properties"].get(key));
        assert!(known.is_some(), "values.schema.json does not know {path}");
    }
    unnamed(&schema, &schema, "", &named);
}

/// Fails for a property below `at` that is no setting, and holds none.
fn unnamed(schema: &Value, at: &Value, path: &str, named: &BTreeSet<&str>) {
    for (key, inner) in resolved(schema, at)["properties"]
        .as_object()
        .into_iter()
        .flatten()
    {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        if named.contains(path.as_str()) || UNSAID.contains(&path.as_str()) {
            continue;
        }
        let below = format!("{path}.");
        assert!(
            named.iter().any(|name| name.starts_with(&below)),
            "values.yaml does not have {path}, which the schema knows"
        );
        unnamed(schema, inner, &path, named);
    }
}

fn resolved<'a>(schema: &'a Value, at: &'a Value) -> &'a Value {
    match at["$ref"].as_str() {
        Some(reference) => schema
            .pointer(reference.trim_start_matches('#'))
            .expect("a definition"),
        None => at,
    }
}

#[test]
fn the_schema_refuses_what_it_does_not_know() {
    let schema: Value = serde_json::from_str(SCHEMA).expect("a schema");
    closed(&schema, "values");
}

fn closed(at: &Value, path: &str) {
    if at.get("properties").is_some() {
        assert_eq!(at["additionalProperties"], false, "{path} takes anything");
    }
    match at {
        Value::Object(inner) => inner
            .iter()
            .for_each(|(key, inner)| closed(inner, &format!("{path}.{key}"))),
        Value::Array(inner) => inner.iter().for_each(|inner| closed(inner, path)),
        _ => {}
    }
}

#[test]
fn every_right_says_why() {
    let mut rules = 0;
    for file in RIGHTS {
        let mut before = "";
        for line in file.lines().filter(|line| !line.starts_with("{{")) {
            if line.starts_with("- apiGroups") || line.starts_with("- nonResourceURLs") {
                rules += 1;
                assert!(
                    before.starts_with('#'),
                    "no comment says why: {line} after {before:?} in {file}"
                );
            }
            before = line;
        }
    }
    assert!(rules > 20, "{rules} rules were found");
}

#[test]
fn alerts_look_at_metrics_that_there_are() {
    let expressions = ALERTS
        .lines()
        .filter(|line| line.trim_start().starts_with("expr:"));
    let words =
        expressions.flat_map(|line| line.split(|letter: char| !letter.is_ascii_lowercase() && letter != '_'));
    let metrics: BTreeSet<&str> = words.filter(|word| word.starts_with("keystead_")).collect();
    assert!(metrics.len() > 5, "{metrics:?}");
    for metric in metrics {
        let quoted = format!("\"{metric}\"");
        assert!(
            METRICS.iter().any(|file| file.contains(&quoted)),
            "nobody makes {metric}"
        );
    }
}
