//! The table of a schema's fields.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use super::Meanings;

/// Every field below a schema, a row each: path, type, whether it is required, default, meaning.
pub(super) fn table(schema: &Value, path: &str, meanings: &Meanings) -> String {
    let mut out = listed(schema);
    out.push_str("| field | type | required | default | meaning |\n|---|---|---|---|---|\n");
    rows(schema, path, meanings, &mut out);
    out
}

fn rows(schema: &Value, path: &str, meanings: &Meanings, out: &mut String) {
    let required: BTreeSet<&str> = array(&schema["required"]).filter_map(Value::as_str).collect();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let must = if required.contains(name.as_str()) {
            "yes"
        } else {
            ""
        };
        let default = match &field["default"] {
            Value::Null => String::new(),
            default => format!("`{default}`"),
        };
        let (kind, meaning) = (kind(field), meaning(field, meanings));
        let _ = writeln!(out, "| `{path}` | {kind} | {must} | {default} | {meaning} |");
        let (inner, path) = inner(field, path);
        if !is_known(inner) {
            rows(inner, &path, meanings, out);
        }
    }
}

/// What a field holds in the end, through lists and maps, and the path to it.
fn inner(field: &Value, path: String) -> (&Value, String) {
    if field["items"].is_object() {
        inner(&field["items"], path + "[]")
    } else if field["additionalProperties"].is_object() {
        inner(&field["additionalProperties"], path + ".*")
    } else {
        (field, path)
    }
}

/// Types of Kubernetes' own, whose fields are told elsewhere.
fn is_known(schema: &Value) -> bool {
    is_selector(schema) || is_condition(schema)
}

fn is_selector(schema: &Value) -> bool {
    schema["properties"]["matchExpressions"].is_object()
}

fn is_condition(schema: &Value) -> bool {
    schema["properties"]["lastTransitionTime"].is_object() && schema["properties"]["reason"].is_object()
}

fn kind(field: &Value) -> String {
    if is_selector(field) {
        return "label selector".to_owned();
    }
    if is_condition(field) {
        return "condition".to_owned();
    }
    if field["items"].is_object() {
        return format!("list of {}", kind(&field["items"]));
    }
    if field["additionalProperties"].is_object() {
        return format!("map of {}", kind(&field["additionalProperties"]));
    }
    if field["x-kubernetes-int-or-string"] == true {
        return "string or integer".to_owned();
    }
    match (field["type"].as_str(), field["format"].as_str()) {
        (Some("string"), Some("date-time")) => "date and time".to_owned(),
        (Some(name), _) => name.to_owned(),
        (None, _) => "anything".to_owned(),
    }
}

/// What a field means: its description, its values, its bounds and its rules.
fn meaning(field: &Value, meanings: &Meanings) -> String {
    let mut parts = vec![sentence(&field["description"])];
    let (inner, _) = inner(field, String::new());
    let values: Vec<&str> = array(&inner["enum"]).filter_map(Value::as_str).collect();
    let known = meanings.get(&values.iter().map(|value| (*value).to_owned()).collect());
    for value in values {
        let meaning = known.and_then(|known| known.get(value));
        parts.push(meaning.map_or_else(|| format!("`{value}`"), |meaning| format!("`{value}`: {meaning}")));
    }
    let mut bounds = bounds(field);
    if !std::ptr::eq(inner, field) {
        bounds.extend(
            self::bounds(inner)
                .into_iter()
                .map(|bound| format!("each {bound}")),
        );
    }
    if !bounds.is_empty() {
        parts.push(format!("({})", bounds.join("; ")));
    }
    let all = rules(field);
    let each = if std::ptr::eq(inner, field) {
        Vec::new()
    } else {
        rules(inner)
    };
    parts.extend(all.into_iter().chain(each).map(|rule| format!("Rule: {rule}.")));
    parts.retain(|part| !part.is_empty());
    parts.join("<br>")
}

fn bounds(field: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut add = |least: &str, most: &str, what: &str| {
        let number = |name: &str| field[name].as_f64().map(|number| format!("{number}"));
        match (number(least), number(most)) {
            (Some(least), Some(most)) => found.push(format!("{least} to {most}{what}")),
            (Some(least), None) => found.push(format!("at least {least}{what}")),
            (None, Some(most)) => found.push(format!("at most {most}{what}")),
            (None, None) => {}
        }
    };
    add("minLength", "maxLength", " characters");
    add("minItems", "maxItems", " entries");
    add("minProperties", "maxProperties", " entries");
    add("minimum", "maximum", "");
    let keys: Vec<&str> = array(&field["x-kubernetes-list-map-keys"])
        .filter_map(Value::as_str)
        .collect();
    if !keys.is_empty() {
        found.push(format!("no two of the same `{}`", keys.join("`, `")));
    }
    found
}

/// The rules of a whole, as a list; nothing where there is none.
pub(super) fn listed(schema: &Value) -> String {
    let rules = rules(schema);
    if rules.is_empty() {
        return String::new();
    }
    format!("Rules of the whole:\n\n- {}\n\n", rules.join("\n- "))
}

/// The messages of a schema's own rules.
fn rules(schema: &Value) -> Vec<String> {
    array(&schema["x-kubernetes-validations"])
        .map(|rule| sentence(&rule["message"]))
        .collect()
}

/// A text as it may stand in a table: in one line.
pub(super) fn sentence(text: &Value) -> String {
    let text = text.as_str().unwrap_or_default();
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").replace('|', "\\|")
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
