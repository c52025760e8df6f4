//! Resources of Terraform's provider `hashicorp/vault`.

use super::{File, policies, policy, reviewer};
use crate::args::Bootstrap;
use crate::bootstrap::change::{Change, Whose};
use crate::bootstrap::cluster::REVIEWER;
use crate::bootstrap::plan::fields;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// Where the reviewer's token comes in.
const TOKEN: &str = "token_reviewer_jwt";

/// `main.tf` and what it reads.
pub(crate) fn terraform(args: &Bootstrap, changes: &[Change]) -> anyhow::Result<Vec<File>> {
    let reviewer = reviewer(args, changes)?;
    let mut text = format!(
        "# Prepares a Vault for Keystead in cluster {}, as kubectl keystead bootstrap --yes does.
# Apply reviewer.yaml to the cluster first, and give the token that is then in its Secret:
# kubectl -n {} get secret {REVIEWER} -o 'jsonpath={{.data.token}}' | base64 -d
",
        args.cluster, args.operator_namespace
    );
    text.push_str(BEGINNING);
    let namespace = args.vault_namespace.as_deref();
    let blocks = changes.iter().filter_map(resource);
    text.extend(blocks.map(|resource| resource.block(namespace)));
    let main = File::new("main.tf", text);
    Ok(policies(changes).chain(reviewer).chain([main]).collect())
}

const BEGINNING: &str = r#"
terraform {
  required_providers {
    vault = {
      source  = "hashicorp/vault"
      version = ">= 4.0"
    }
  }
}

variable "token_reviewer_jwt" {
  description = "Token by which Vault asks the API server about tokens"
  type        = string
  sensitive   = true
}
"#;

/// A resource.
struct Resource {
    kind: &'static str,
    name: &'static str,
    fields: Map<String, Value>,
    /// Fields whose value is an expression.
    expressions: Vec<(&'static str, String)>,
    /// Fields that the operator changes later.
    ignored: &'static [&'static str],
}

impl Resource {
    fn new(kind: &'static str, name: &'static str, fields: Map<String, Value>) -> Self {
        Self {
            kind,
            name,
            fields,
            expressions: Vec::new(),
            ignored: &[],
        }
    }

    fn with(mut self, field: &'static str, expression: String) -> Self {
        self.expressions.push((field, expression));
        self
    }

    fn block(&self, namespace: Option<&str>) -> String {
        let mut text = format!("\nresource \"{}\" \"{}\" {{\n", self.kind, self.name);
        let namespace = namespace.map(|name| ("namespace", quoted(name)));
        let expressions = self.expressions.iter().cloned();
        let fields = self
            .fields
            .iter()
            .map(|(key, value)| (key.as_str(), expression(value)));
        for (key, value) in namespace.into_iter().chain(expressions).chain(fields) {
            // Writing to a String can't fail.
            let _ = writeln!(text, "  {key} = {value}");
        }
        if !self.ignored.is_empty() {
            let list = self.ignored.join(", ");
            let _ = writeln!(text, "\n  lifecycle {{\n    ignore_changes = [{list}]\n  }}");
        }
        text.push_str("}\n");
        text
    }
}

/// The resource of a change. A `jwt` method and its config are one.
fn resource(change: &Change) -> Option<Resource> {
    Some(match change {
        Change::Engine { mount, kind, version } => {
            let mut fields = fields(json!({ "path": mount, "type": kind }));
            if let Some(version) = version {
                fields.insert("options".into(), json!({ "version": version }));
            }
            Resource::new("vault_mount", kind, fields)
        }
        Change::Method { kind: "jwt", .. } => return None,
        Change::Method { whose, mount, kind } => {
            let fields = fields(json!({ "path": mount, "type": kind }));
            Resource::new("vault_auth_backend", name(*whose), fields)
        }
        Change::Reviewer { whose, body, .. } => {
            let resource = Resource::new("vault_kubernetes_auth_backend_config", name(*whose), body.clone());
            let mount = format!("vault_auth_backend.{}.path", name(*whose));
            resource
                .with("backend", mount)
                .with(TOKEN, format!("var.{TOKEN}"))
        }
        Change::SigningKeys { mount, .. } => {
            let mut fields = change.body();
            fields.insert("path".into(), mount.clone().into());
            Resource {
                ignored: &["jwt_validation_pubkeys"],
                ..Resource::new("vault_jwt_auth_backend", name(Whose::Workloads), fields)
            }
        }
        Change::Policy { name: own, .. } => {
            let fields = fields(json!({ "name": own }));
            let text = format!("file(\"${{path.module}}/{}\")", policy(change));
            Resource::new("vault_policy", name(Whose::Operator), fields).with("policy", text)
        }
        Change::Role { name: own, body, .. } => {
            let mut fields = body.clone();
            fields.insert("role_name".into(), own.clone().into());
            let operator = name(Whose::Operator);
            let mount = format!("vault_auth_backend.{operator}.path");
            Resource::new("vault_kubernetes_auth_backend_role", operator, fields).with("backend", mount)
        }
    })
}

fn name(whose: Whose) -> &'static str {
    match whose {
        Whose::Operator => "operator",
        Whose::Workloads => "workloads",
    }
}

/// A value as an expression.
fn expression(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(expression).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) => {
            let fields = fields.iter();
            let fields: Vec<String> = fields
                .map(|(key, value)| format!("{} = {}", quoted(key), expression(value)))
                .collect();
            format!("{{ {} }}", fields.join(", "))
        }
        other => other.to_string(),
    }
}

/// A text that means itself: no template, no end before its end.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            // A template begins with `${` or `%{`; doubled, the sign stands for itself.
            '$' | '%' if letters.peek() == Some(&'{') => quoted.extend([letter, letter]),
            letter if letter.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(letter));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}
