use super::*;
use crate::config::Environment;
use crate::files::FilePath;
use keystead_crds::names;
use keystead_crds::scope::Level;
use keystead_vault::resolve::ScopeName;
use serde_json::json;

fn settings() -> Settings {
    let config = json!({
        "version": 1,
        "vault": {
            "address": "https://vault:8200", "authMount": "jwt", "role": "r", "kvMount": "kv",
            "pathPrefix": "keystead", "environment": "production",
            "scopes": [{"level": "Node"}, {"level": "Company", "id": "acme"}, {"level": "Global"}],
        },
        "secrets": [{"name": "crm", "from": {"service": "hubspot"}}, {"name": "db", "from": {"service": "postgres"}}],
        "files": [
            {"path": "crm.env", "format": "Dotenv", "secret": "crm"},
            {"path": "key", "format": "Raw", "secret": "crm", "key": "api_key"},
        ],
        "env": [{"name": "CRM_KEY", "secret": "crm", "key": "api_key"}],
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

fn service(pairs: &[(&str, &str)]) -> Service {
    let scope = ScopeName {
        level: Level::Global,
        id: None,
    };
    let keys = pairs
        .iter()
        .map(|(key, value)| {
            (
                (*key).to_owned(),
                Resolved {
                    value: (*value).into(),
                    scope: scope.clone(),
                },
            )
        })
        .collect();
    Service {
        keys,
        searched: Vec::new(),
    }
}

fn services(hubspot: &[(&str, &str)], postgres: &[(&str, &str)]) -> Services {
    BTreeMap::from([
        ("hubspot".to_owned(), service(hubspot)),
        ("postgres".to_owned(), service(postgres)),
    ])
}

#[test]
fn files_and_variables_are_rendered() {
    let services = services(&[("api_key", "k\n"), ("base_url", "u")], &[("password", "p")]);
    let rendered = render(&settings(), &services).unwrap();
    let file = |path: &str| rendered.files[&FilePath::parse(path).unwrap()].expose().as_str();
    assert_eq!(file("crm.env"), "API_KEY='k\n'\nBASE_URL='u'\n");
    assert_eq!(file("key"), "k\n");
    assert_eq!(rendered.env.expose(), "CRM_KEY='k\n'\n");
}

#[test]
fn what_nobody_has_is_named_with_the_scopes() {
    let say = |services: &Services| render(&settings(), services).unwrap_err().to_string();
    let no_key = services(&[("base_url", "u")], &[("password", "p")]);
    assert_eq!(
        say(&no_key),
        "no value for hubspot/api_key in node n1, company acme, global"
    );
    let no_service = services(&[], &[("password", "p")]);
    assert_eq!(
        say(&no_service),
        "no value for hubspot in node n1, company acme, global"
    );
    let unused = services(&[("api_key", "k")], &[]);
    assert_eq!(
        say(&unused),
        "no value for postgres in node n1, company acme, global",
        "asked for, though not shown"
    );
}

#[test]
fn no_error_holds_a_value() {
    const MARK: &str = "hunter2";
    let values = ["'", "\0", "\r\n"].map(|bad| format!("{MARK}{bad}{MARK}"));
    let long = MARK.repeat(20_000);
    let mut errors = Vec::new();
    for value in values.iter().map(String::as_str).chain([long.as_str()]) {
        let services = services(&[("api_key", value)], &[("password", MARK)]);
        assert!(!format!("{services:?}").contains(MARK), "{services:?}");
        errors.push(render(&settings(), &services).unwrap_err());
    }
    errors.push(
        render(
            &settings(),
            &services(&[("base_url", MARK)], &[("password", MARK)]),
        )
        .unwrap_err(),
    );
    errors.push(
        render(
            &settings(),
            &services(&[("a-b", MARK), ("a_b", MARK)], &[("p", MARK)]),
        )
        .unwrap_err(),
    );
    for error in &errors {
        assert!(error.is_render(), "{error}");
        assert!(!format!("{error} {error:?}").contains(MARK), "{error:?}");
    }
    let rendered = render(
        &settings(),
        &services(&[("api_key", MARK)], &[("password", MARK)]),
    )
    .unwrap();
    assert!(!format!("{rendered:?}").contains(MARK), "{rendered:?}");
}
