//! Every block of YAML can be read, and what is of our kinds fits their definitions. The API server looks at
//! all of them once more, with its rules (`kinds: …` of `cargo e2e test`).

use serde_json::Value;

use super::super::{Block, all};

/// What a value does not fit of a schema.
fn misfits(schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    if schema["x-kubernetes-int-or-string"] == true || schema["x-kubernetes-preserve-unknown-fields"] == true
    {
        return;
    }
    let sort = match value {
        Value::Null => return,
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if schema["type"].as_str().is_some_and(|wanted| wanted != sort) {
        found.push(format!(
            "{path} is of type {sort} and should be {}",
            schema["type"]
        ));
    }
    let values = schema["enum"].as_array();
    if values.is_some_and(|values| !values.contains(value)) {
        found.push(format!(
            "{path} is {value} and should be one of {}",
            schema["enum"]
        ));
    }
    for (number, entry) in value.as_array().into_iter().flatten().enumerate() {
        misfits(&schema["items"], entry, &format!("{path}[{number}]"), found);
    }
    let Some(members) = value.as_object() else { return };
    for name in schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        if !members.contains_key(name) {
            found.push(format!("{path} has no {name}"));
        }
    }
    for (name, member) in members {
        let (declared, others) = (&schema["properties"][name], &schema["additionalProperties"]);
        let path = format!("{path}.{name}");
        match (declared.is_object(), others.is_object()) {
            (true, _) => misfits(declared, member, &path, found),
            (false, true) => misfits(others, member, &path, found),
            (false, false) => found.push(format!("there is no field {path}")),
        }
    }
}

/// The definitions of our kinds.
fn definitions() -> Vec<Value> {
    let all = keystead_crds::definitions();
    all.iter()
        .map(|definition| serde_json::to_value(definition).expect("a definition is JSON"))
        .collect()
}

/// What is wrong with an object, where it is of ours.
fn wrong(object: &Value, definitions: &[Value]) -> Vec<String> {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    if !version.starts_with("keystead.dev/") {
        return Vec::new();
    }
    let definition = definitions
        .iter()
        .map(|definition| &definition["spec"])
        .find(|of| {
            let group = of["group"].as_str().unwrap_or_default();
            let name = of["versions"][0]["name"].as_str().unwrap_or_default();
            object["kind"] == of["names"]["kind"] && version == format!("{group}/{name}")
        });
    let Some(definition) = definition else {
        return vec![format!("there is no {version} {}", object["kind"])];
    };
    let schema = &definition["versions"][0]["schema"]["openAPIV3Schema"];
    let mut found = Vec::new();
    misfits(&schema["properties"]["spec"], &object["spec"], "spec", &mut found);
    if !object["metadata"]["name"].is_string() {
        found.push("it has no metadata.name".into());
    }
    found
}

#[test]
fn blocks_of_yaml_fit_their_kinds() {
    let definitions = definitions();
    let mut bad = Vec::new();
    for page in all().expect("pages can be read") {
        for Block { info, text, line } in page.blocks() {
            if !info.starts_with("yaml") {
                continue;
            }
            let place = page.place(line);
            let objects: Vec<Value> = match serde_saphyr::from_multiple(&text) {
                Ok(objects) => objects,
                Err(error) => {
                    bad.push(format!("{place}: {error}"));
                    continue;
                }
            };
            if info.ends_with(" fragment") {
                continue;
            }
            for object in objects {
                let named = object["apiVersion"].is_string() && object["kind"].is_string();
                let wrong = if named {
                    wrong(&object, &definitions)
                } else {
                    vec!["it has no apiVersion and kind: call it `yaml fragment`".to_owned()]
                };
                bad.extend(wrong.into_iter().map(|what| format!("{place}: {what}")));
            }
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn what_does_not_fit_is_found() {
    let object = serde_json::json!({
        "apiVersion": "keystead.dev/v1alpha1", "kind": "SecretScope", "metadata": {"name": "x"},
        "spec": {"level": "Companny", "id": 1, "members": {"namespaceSelector": {"matchLabels": {"a": 2}}}, "x": {}},
    });
    let wrong = wrong(&object, &definitions()).join("\n");
    for part in [
        "spec has no providerRef",
        "spec.level is \"Companny\" and should be one of",
        "spec.id is of type integer and should be \"string\"",
        "spec.members.namespaceSelector.matchLabels.a is of type integer",
        "there is no field spec.x",
    ] {
        assert!(wrong.contains(part), "{part}\n\n{wrong}");
    }
}
