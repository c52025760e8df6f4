use super::*;
use serde_json::{Value, json};

fn config() -> Value {
    json!({
        "version": 1,
        "vault": {
            "address": "https://vault:8200",
            "authMount": "jwt-c1",
            "role": "keystead.c1.production.s.shop.web",
            "kvMount": "kv",
            "pathPrefix": "keystead",
            "environment": "production",
            "scopes": [{"level": "Node"}, {"level": "Company", "id": "acme"}, {"level": "Global"}],
        },
        "secrets": [
            {"name": "crm", "from": {"service": "hubspot"}},
            {"name": "again", "from": {"service": "hubspot"}, "keys": ["api_key"]},
            {"name": "app", "from": {"path": "secret/data/team-a/app"}, "optional": true},
        ],
        "files": [
            {"path": "hubspot.env", "format": "Dotenv", "secret": "crm"},
            {"path": "hubspot/key", "format": "Raw", "secret": "again", "key": "api_key", "mode": 0o400},
        ],
        "env": [{"name": "HUBSPOT_API_KEY", "secret": "crm", "key": "api_key"}],
        "fileMode": 0o440,
        "refreshMillis": 60_000,
    })
}

fn environment(config: &Value) -> Environment {
    let text = config.to_string();
    Environment::read(|name| match name {
        names::CONFIG_ENV => Some(text.clone()),
        names::NODE_ENV => Some("n1".into()),
        FILES_DIR_ENV => Some("/tmp/files".into()),
        _ => None,
    })
}

/// The error after a change to the config.
fn error(change: impl FnOnce(&mut Value)) -> String {
    let mut config = config();
    change(&mut config);
    environment(&config).settings().unwrap_err().to_string()
}

#[test]
fn a_good_config_is_read() {
    let environment = environment(&config());
    assert_eq!(environment.dirs.files, PathBuf::from("/tmp/files"));
    assert_eq!(environment.dirs.private, PathBuf::from("/keystead-private"));
    let settings = environment.settings().unwrap();
    let paths: Vec<&str> = settings
        .sources
        .iter()
        .map(|source| source.path.as_str())
        .collect();
    assert_eq!(
        paths,
        [
            "kv/data/keystead/production/node/n1/hubspot",
            "kv/data/keystead/production/company/acme/hubspot",
            "kv/data/keystead/production/global/all/hubspot",
            "secret/data/team-a/app",
        ],
        "two names, one service"
    );
    let key = &settings.files[&FilePath::parse("hubspot/key").unwrap()];
    let content = Content::Raw {
        secret: "again".into(),
        key: "api_key".into(),
    };
    let wanted = File {
        content,
        mode: 0o400,
        on_change: None,
    };
    assert_eq!(*key, wanted);
    assert_eq!(
        settings.files[&FilePath::parse("hubspot.env").unwrap()].mode,
        0o440
    );
    assert_eq!(settings.env[0].secret, "crm");
    assert_eq!(settings.refresh, Duration::from_mins(1));
}

fn told(config: &str) -> Environment {
    Environment::read(|name| (name == names::CONFIG_ENV).then(|| config.to_owned()))
}

#[test]
fn another_version_is_named_before_its_fields_are_looked_at() {
    for version in [0, 7] {
        let text = told(&format!(r#"{{"version":{version},"new":[]}}"#));
        let expected = format!(
            "the config has version {version}, this sidecar reads version 1: the operator and the sidecar's image are of \
             different releases; delete the pod once both are of the same"
        );
        assert_eq!(text.settings().unwrap_err().to_string(), expected);
    }
}

#[test]
fn whatever_is_wrong_with_a_config_it_says_whom_to_tell() {
    let operator = r#""operator":{"address":"https://keystead.keystead-system.svc:8444","ca":"CA"}"#;
    let expected = OperatorConfig {
        address: "https://keystead.keystead-system.svc:8444".to_owned(),
        ca: "CA".to_owned(),
    };
    for config in [r#""version":7"#, r#""version":1"#, r#""new":[]"#] {
        let environment = told(&format!("{{{config},{operator}}}"));
        assert!(environment.settings().is_err());
        assert_eq!(environment.operator().as_ref(), Some(&expected), "{config}");
    }
    for config in ["", "{", r#"{"version":1}"#, r#"{"operator":{"address":"x"}}"#] {
        assert_eq!(told(config).operator(), None, "{config}");
    }
}

#[test]
fn a_config_that_is_none_is_named() {
    let error = Environment::read(|_| None).settings().unwrap_err();
    assert_eq!(error, Error::Missing);
    let environment =
        Environment::read(|name| (name == names::CONFIG_ENV).then(|| r#"{"version":1}"#.into()));
    let error = environment.settings().unwrap_err().to_string();
    assert!(error.contains("missing field `vault`"), "{error}");
}

#[test]
fn a_nodes_values_need_the_nodes_name() {
    let mut environment = environment(&config());
    environment.node = None;
    let expected = "a scope of level Node needs the node's name, and KEYSTEAD_NODE is not set";
    assert_eq!(environment.settings().unwrap_err().to_string(), expected);
}

#[test]
fn mistakes_are_named_by_field() {
    let said = [
        error(|c| c["files"][0]["secret"] = "x".into()),
        error(|c| c["env"][0]["secret"] = "x".into()),
        error(|c| c["files"][1] = json!({"path": "x", "format": "Raw", "secret": "crm"})),
        error(|c| c["files"][0]["key"] = "api_key".into()),
        error(|c| c["files"][0]["template"] = json!({"text": "", "prefix": ""})),
        error(|c| c["files"][0]["format"] = "Template".into()),
        error(|c| c["files"][0] = json!({"path": "x", "format": "Template"})),
        error(|c| drop(c["files"][0].as_object_mut().unwrap().remove("secret"))),
        error(|c| c["files"][1]["path"] = "hubspot.env".into()),
        error(|c| c["files"][1]["path"] = "hubspot.env/key".into()),
        error(|c| c["env"][0]["name"] = "A'B".into()),
        error(|c| c["secrets"][0]["from"]["service"] = "../global".into()),
        error(|c| c["secrets"][2]["from"]["path"] = "secret/../sys/x".into()),
        error(|c| c["files"][1]["key"] = "base_url".into()),
        error(|c| c["secrets"][1]["name"] = "crm".into()),
        error(|c| c["vault"]["scopes"] = json!([])),
        error(|c| c["vault"]["scopes"][1] = json!({"level": "Company"})),
        error(|c| c["fileMode"] = 0o4777.into()),
        error(|c| c["files"][1]["mode"] = 0o044.into()),
        error(|c| c["refreshMillis"] = 0.into()),
        error(|c| c["files"][0]["onChange"] = json!({"signal": {"name": "SIGHUP"}})),
        error(|c| c["files"][1]["onChange"] = json!({"http": {"port": 0, "path": "/"}})),
        error(|c| c["files"][1]["onChange"] = json!({"http": {"port": 1, "path": "//a b"}})),
        error(|c| c["files"][1]["onChange"] = json!({"http": {"port": 1, "path": "http://example.org/"}})),
    ];
    let fields: Vec<&str> = said
        .iter()
        .map(|error| error.split(": ").next().unwrap_or_default())
        .collect();
    assert_eq!(
        fields,
        [
            "config field files[0].secret",
            "config field env[0].secret",
            "config field files[1].key",
            "config field files[0].key",
            "config field files[0].template",
            "config field files[0].secret",
            "config field files[0].template",
            "config field files[0].secret",
            "config field files[1].path",
            "config field files",
            "config field env[0].name",
            "config field secrets[0].from",
            "config field secrets[2].from",
            "config field files[1].key",
            "config field secrets[1].name",
            "config field vault.scopes",
            "config field vault.scopes[1].id",
            "config field fileMode",
            "config field files[1].mode",
            "config field refreshMillis",
            "config field files[0].onChange",
            "config field files[1].onChange",
            "config field files[1].onChange",
            "config field files[1].onChange",
        ],
        "{said:#?}"
    );
}

#[test]
fn a_path_that_leaves_the_volume_is_refused() {
    for path in [
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a//b",
        "a/",
        "",
        "./a",
        "..data",
        "..1/a",
        "a/..b",
    ] {
        let error = error(|c| c["files"][0]["path"] = path.into());
        assert!(
            error.starts_with("config field files[0].path: "),
            "{path}: {error}"
        );
    }
}

#[test]
fn addresses_of_both_kinds_are_read() {
    let read = |address: &str, port: &str| {
        let environment = Environment::read(|name| match name {
            names::POD_IP_ENV => Some(address.to_owned()),
            names::PORT_ENV => Some(port.to_owned()),
            _ => None,
        });
        environment.serves().map_err(|error| error.to_string())
    };
    assert_eq!(read("10.0.0.7", ""), Ok(Some(([10, 0, 0, 7], 9102).into())));
    assert_eq!(
        read("fd00::7", "9200"),
        Ok(Some("[fd00::7]:9200".parse().unwrap()))
    );
    assert_eq!(read("", "9200"), Ok(None));
    assert_eq!(
        read("pod", ""),
        Err("config field KEYSTEAD_POD_IP: \"pod\" is not an IP address".into())
    );
    assert_eq!(
        read("10.0.0.7", "http"),
        Err("config field KEYSTEAD_PORT: \"http\" is not a port".into())
    );
}
