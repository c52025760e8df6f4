mod formats;
mod templates;

use super::*;
use crate::config::Environment;
use crate::files::FilePath;
use keystead_crds::names;
use keystead_crds::scope::Level;
use keystead_crds::sidecar::SecretSource;
use keystead_vault::resolve::{Origin, ScopeName, Secret};
use serde_json::{Value, json};
use std::path::Path;

fn settings() -> Settings {
    settings_with(&json!([
        {"name": "crm", "from": {"service": "hubspot"}},
        {"name": "db", "from": {"service": "postgres"}},
    ]))
}

fn settings_with(secrets: &Value) -> Settings {
    let files = json!([
        {"path": "crm.env", "format": "Dotenv", "secret": "crm"},
        {"path": "key", "format": "Raw", "secret": "crm", "key": "api_key"},
    ]);
    let env = json!([{"name": "CRM_KEY", "secret": "crm", "key": "api_key"}]);
    settings_of(secrets, &files, &env)
}

fn settings_of(secrets: &Value, files: &Value, env: &Value) -> Settings {
    let config = json!({
        "version": 1,
        "vault": {
            "address": "https://vault:8200", "authMount": "jwt", "role": "r", "kvMount": "kv",
            "pathPrefix": "keystead", "environment": "production",
            "scopes": [{"level": "Node"}, {"level": "Company", "id": "acme"}, {"level": "Global"}],
        },
        "secrets": secrets,
        "files": files,
        "env": env,
        "fileMode": 0o440,
        "refreshMillis": 1000,
    })
    .to_string();
    Environment::read(|name| match name {
        names::CONFIG_ENV => Some(config.clone()),
        names::NODE_ENV => Some("n1".into()),
        _ => None,
    })
    .settings()
    .unwrap()
}

/// A secret with these keys, looked for at the config's scopes.
fn secret(pairs: &[(&str, &str)]) -> Secret {
    let resolved = |value: &str| Resolved {
        value: value.into(),
        origin: Origin::Path,
        version: None,
        ends: None,
    };
    let scope = |level, id: Option<&str>| ScopeName {
        level,
        id: id.map(str::to_owned),
    };
    let pairs = pairs.iter();
    Secret {
        refused: None,
        keys: pairs
            .map(|(key, value)| ((*key).to_owned(), resolved(value)))
            .collect(),
        searched: vec![
            scope(Level::Node, Some("n1")),
            scope(Level::Company, Some("acme")),
            scope(Level::Global, None),
        ],
    }
}

fn secrets(hubspot: &[(&str, &str)], postgres: &[(&str, &str)]) -> Secrets {
    let service = |name: &str| SecretSource::Service(name.to_owned());
    BTreeMap::from([
        (service("hubspot"), secret(hubspot)),
        (service("postgres"), secret(postgres)),
    ])
}

#[test]
fn files_and_variables_are_rendered() {
    let secrets = secrets(&[("api_key", "k\n"), ("base_url", "u")], &[("password", "p")]);
    let rendered = render(&settings(), &secrets).unwrap();
    let file = |path: &str| {
        rendered.files[&FilePath::parse(path).unwrap()]
            .text
            .expose()
            .as_str()
    };
    assert_eq!(file("crm.env"), "API_KEY='k\n'\nBASE_URL='u'\n");
    assert_eq!(file("key"), "k\n");
    assert_eq!(rendered.env.expose(), "CRM_KEY='k\n'\n");
}

#[test]
fn what_nobody_has_is_named_with_the_scopes() {
    let say = |secrets: &Secrets| render(&settings(), secrets).unwrap_err().to_string();
    let no_key = secrets(&[("base_url", "u")], &[("password", "p")]);
    assert_eq!(
        say(&no_key),
        "no value for hubspot/api_key in node n1, company acme, global"
    );
    let no_service = secrets(&[], &[("password", "p")]);
    assert_eq!(
        say(&no_service),
        "no value for hubspot in node n1, company acme, global"
    );
    let unused = secrets(&[("api_key", "k")], &[]);
    assert_eq!(
        say(&unused),
        "no value for postgres in node n1, company acme, global",
        "asked for, though not shown"
    );
}

#[test]
fn only_the_keys_asked_for_are_shown() {
    let crm = json!({"name": "crm", "from": {"service": "hubspot"}, "keys": ["api_key"]});
    let settings = settings_with(&json!([crm]));
    let found = secrets(&[("api_key", "k"), ("base_url", "u")], &[]);
    let rendered = render(&settings, &found).unwrap();
    let file = &rendered.files[&FilePath::parse("crm.env").unwrap()];
    assert_eq!(file.text.expose(), "API_KEY='k'\n");
    let error = render(&settings, &secrets(&[("base_url", "u")], &[])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no value for hubspot/api_key in node n1, company acme, global"
    );
}

#[test]
fn what_an_optional_secret_lacks_is_left_out() {
    let crm = json!({"name": "crm", "from": {"service": "hubspot"}, "optional": true});
    let settings = settings_with(&json!([crm]));
    let name = |path: &FilePath| AsRef::<Path>::as_ref(path).display().to_string();
    let said = |found: &Secrets| {
        let rendered = render(&settings, found).unwrap();
        let files: Vec<String> = rendered.files.keys().map(name).collect();
        let left_out = rendered.left_out.into_iter().collect::<Vec<_>>();
        (files, rendered.env.expose().clone(), left_out)
    };
    let (files, env, left_out) = said(&secrets(&[], &[]));
    assert_eq!((files.len(), env.as_str()), (0, ""));
    assert_eq!(
        left_out,
        ["no value for hubspot in node n1, company acme, global"]
    );
    let (files, env, left_out) = said(&secrets(&[("base_url", "u")], &[]));
    assert_eq!((files, env.as_str()), (vec!["crm.env".to_owned()], ""));
    assert_eq!(
        left_out,
        ["no value for hubspot/api_key in node n1, company acme, global"]
    );
    let (files, env, left_out) = said(&secrets(&[("api_key", "k")], &[]));
    assert_eq!(
        (files.len(), env.as_str(), left_out.len()),
        (2, "CRM_KEY='k'\n", 0)
    );
}

#[test]
fn no_error_holds_a_value() {
    const MARK: &str = "hunter2";
    let values = ["'", "\0", "\r\n"].map(|bad| format!("{MARK}{bad}{MARK}"));
    let long = MARK.repeat(20_000);
    let mut errors = Vec::new();
    for value in values.iter().map(String::as_str).chain([long.as_str()]) {
        let secrets = secrets(&[("api_key", value)], &[("password", MARK)]);
        assert!(!format!("{secrets:?}").contains(MARK), "{secrets:?}");
        errors.push(render(&settings(), &secrets).unwrap_err());
    }
    errors.push(
        render(
            &settings(),
            &secrets(&[("base_url", MARK)], &[("password", MARK)]),
        )
        .unwrap_err(),
    );
    errors.push(
        render(
            &settings(),
            &secrets(&[("a-b", MARK), ("a_b", MARK)], &[("p", MARK)]),
        )
        .unwrap_err(),
    );
    for error in &errors {
        assert!(error.is_render(), "{error}");
        assert!(!format!("{error} {error:?}").contains(MARK), "{error:?}");
    }
    let rendered = render(&settings(), &secrets(&[("api_key", MARK)], &[("password", MARK)])).unwrap();
    assert!(!format!("{rendered:?}").contains(MARK), "{rendered:?}");
}
