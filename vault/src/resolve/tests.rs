use super::*;
use crate::fake::{Answer, Fake};
use proptest::prelude::*;
use serde_json::json;

fn source(service: &str, level: Level) -> Source {
    let base = KvBase {
        mount: "kv".into(),
        prefix: "keystead".into(),
        environment: "production".into(),
    };
    let id = (level != Level::Global).then(|| "x".to_owned());
    Source::at_scope(&base, service, ScopeName { level, id })
}

fn values(pairs: &[(&str, &str)]) -> Values {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), Sensitive::from(*value)))
        .collect()
}

fn at(level: Level, values: Option<Values>) -> Layer {
    Layer {
        source: source("hubspot", level),
        found: values.map(|values| Found {
            values,
            version: Some(1),
            ends: None,
            term: None,
        }),
        refused: None,
    }
}

#[test]
fn a_company_overrides_one_key_and_inherits_the_other() {
    let all = values(&[("api_key", "all"), ("base_url", "https://x")]);
    let secrets = resolve(vec![
        at(Level::Node, None),
        at(Level::Company, Some(values(&[("api_key", "acme")]))),
        at(Level::Global, Some(all)),
    ]);
    let hubspot = &secrets[&SecretSource::Service("hubspot".into())];
    let keys = &hubspot.keys;
    assert_eq!(keys["api_key"].value.expose(), "acme");
    let company = ScopeName {
        level: Level::Company,
        id: Some("x".into()),
    };
    assert_eq!(keys["api_key"].origin, Origin::Scope(company));
    assert_eq!(keys["base_url"].value.expose(), "https://x");
    assert_eq!(hubspot.searched.len(), 3);
}

#[test]
fn what_a_key_was_before_comes_from_where_the_key_does() {
    let rotated = || {
        values(&[
            ("api_key", "new"),
            ("api_key_previous", "old"),
            ("alone_previous", "x"),
        ])
    };
    let keys = |company| {
        let layers = vec![
            at(Level::Company, Some(company)),
            at(Level::Global, Some(rotated())),
        ];
        let secrets = resolve(layers);
        let keys = &secrets[&SecretSource::Service("hubspot".into())].keys;
        keys.keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(
        keys(values(&[])),
        ["alone_previous", "api_key", "api_key_previous"]
    );
    assert_eq!(
        keys(values(&[("api_key", "acme")])),
        ["alone_previous", "api_key"]
    );
    assert_eq!(keys(rotated()), ["alone_previous", "api_key", "api_key_previous"]);
}

#[tokio::test]
async fn a_path_is_read_as_what_it_answers() {
    let server = Fake::start(|asked| match asked.path.as_str() {
        "/v1/secret/data/app" => Answer::ok(json!({"data": {
            "data": {"user": "u", "port": 5432}, "metadata": {"version": 3, "deletion_time": "2030-01-01T00:00:00Z"},
        }})),
        "/v1/kv1/app" => {
            Answer::ok(json!({"data": {"data": "d", "metadata": "m"}, "lease_duration": 60}))
        }
        _ => Answer::refused(404, ""),
    })
    .await;
    let paths = ["secret/data/app", "kv1/app", "kv1/none"];
    let sources = paths.map(|path| Source::at_path(&ApiPath::parse(path).unwrap()));
    let layers = read_all(&server.client(), sources.into()).await.unwrap();
    let found = layers.iter().map(|layer| layer.found.as_ref());
    let versions: Vec<_> = found.map(|found| found.and_then(|found| found.version)).collect();
    assert_eq!(versions, [Some(3), None, None]);
    let secrets = resolve(layers);
    let ends = |path: &str, key: &str| secrets[&SecretSource::Path(path.into())].keys[key].ends.clone();
    assert_eq!(
        ends("secret/data/app", "user").as_deref(),
        Some("2030-01-01T00:00:00Z")
    );
    assert_eq!(ends("kv1/app", "data"), None);
    let keys = |path: &str| {
        let secret = &secrets[&SecretSource::Path(path.into())];
        let pairs = secret
            .keys
            .iter()
            .map(|(key, found)| format!("{key}={}", found.value.expose()));
        pairs.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(paths.map(keys), ["port=5432 user=u", "data=d metadata=m", ""]);
}

#[tokio::test]
async fn a_refusal_is_of_one_secret_and_an_outage_of_all() {
    let server = Fake::start(|asked| match asked.path.as_str() {
        "/v1/kv1/a" | "/v1/kv1/b" => Answer::ok(json!({"data": {"key": "value"}})),
        "/v1/kv1/refused" => Answer::refused(403, "permission denied"),
        _ => Answer::refused(503, "Vault is sealed"),
    })
    .await;
    let sources = |paths: &[&str]| {
        let sources = paths
            .iter()
            .map(|path| Source::at_path(&ApiPath::parse(path).unwrap()));
        sources.collect::<Vec<_>>()
    };
    let client = server.client();
    let asked = sources(&["kv1/a", "kv1/refused", "kv1/b"]);
    let secrets = resolve(read_allowed(&client, asked.clone()).await.unwrap());
    let of = |path: &str| &secrets[&SecretSource::Path(path.into())];
    assert!(of("kv1/a").refused.is_none() && of("kv1/a").keys.len() == 1);
    assert!(of("kv1/b").refused.is_none() && of("kv1/b").keys.len() == 1);
    let refused = of("kv1/refused").refused.as_ref().unwrap();
    assert_eq!(refused.to_string(), "permission denied: GET kv1/refused");
    assert!(resolve_all(&client, asked).await.unwrap_err().is_denied());
    let asked = sources(&["kv1/refused", "kv1/sealed"]);
    let error = read_allowed(&client, asked).await.unwrap_err();
    assert!(matches!(error, Error::Sealed { .. }), "{error}");
}

#[test]
fn a_refused_scope_is_no_reason_to_fall_through() {
    let denied = || Error::Denied {
        request: crate::error::Request {
            method: "GET",
            path: "kv/data/x".into(),
        },
    };
    let refused = |level| Layer {
        refused: Some(denied()),
        ..at(level, None)
    };
    let allowed = |level| at(level, Some(values(&[("api_key", "all")])));
    for layers in [
        [refused(Level::Company), allowed(Level::Global)],
        [allowed(Level::Company), refused(Level::Global)],
    ] {
        let secrets = resolve(layers.into());
        let hubspot = &secrets[&SecretSource::Service("hubspot".into())];
        assert_eq!(hubspot.refused, Some(denied()));
        assert!(hubspot.keys.is_empty());
        assert_eq!(hubspot.searched.len(), 2);
    }
}

proptest! {
    /// The plain rule, said another way: look through the layers in order for each key.
    #[test]
    fn the_first_layer_that_has_a_key_serves_it(
        layers in proptest::collection::vec(proptest::option::of(
            proptest::collection::btree_map("[abc]", "[0-9]{1,3}", 0..3)), 0..4)
    ) {
        let input = layers.iter().map(|layer| {
            let values = layer.as_ref().map(|map| map.iter()
                .map(|(key, value)| (key.clone(), Sensitive::from(value.as_str()))).collect());
            at(Level::Company, values)
        }).collect();
        let resolved = resolve(input);
        let service = resolved.get(&SecretSource::Service("hubspot".into()));
        for key in ["a", "b", "c"] {
            let expected = layers.iter().flatten().find_map(|layer| layer.get(key));
            let actual = service.and_then(|service| service.keys.get(key));
            prop_assert_eq!(expected, actual.map(|found| found.value.expose()));
        }
    }
}
