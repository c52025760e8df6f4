//! Templates over the secrets of their binding.

use super::*;

/// A template of binding web, which has an optional secret and one that is not.
fn templated(text: &str) -> Settings {
    let secrets = json!([
        {"name": "crm", "from": {"service": "hubspot"}},
        {"name": "web/crm", "from": {"service": "hubspot"}, "keys": ["api_key"]},
        {"name": "web/db", "from": {"service": "postgres"}, "optional": true},
    ]);
    let template = json!({"text": text, "prefix": "web/"});
    let file = json!({"path": "app/conf", "format": "Template", "template": template, "mode": 0o400});
    settings_of(&secrets, &json!([file]), &json!([]))
}

fn rendered(text: &str) -> Result<Rendered, Error> {
    let hubspot = [("api_key", "hunter2"), ("base_url", "u")];
    render(&templated(text), &secrets(&hubspot, &[("port", "5432")]))
}

fn conf() -> FilePath {
    FilePath::parse("app/conf").unwrap()
}

fn text(template: &str) -> Result<String, String> {
    match rendered(template) {
        Ok(found) => Ok(found
            .files
            .values()
            .map(|file| file.text.expose().as_str())
            .collect()),
        Err(error) => {
            assert!(error.is_render(), "{error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
            Err(error.to_string())
        }
    }
}

#[test]
fn a_template_has_all_secrets_of_its_binding() {
    let both = "{{ secret('crm').api_key }}@{{ secret('db').port }}\n";
    assert_eq!(text(both).as_deref(), Ok("hunter2@5432\n"));
    assert_eq!(
        text("{{ secret('crm')|length }}").as_deref(),
        Ok("1"),
        "only what is shown"
    );
    let file = &rendered(both).unwrap().files[&conf()];
    assert_eq!(file.mode, 0o400);
}

#[test]
fn what_it_lacks_is_named_with_the_scopes() {
    assert_eq!(
        text("{{ secret('crm').base_url }}").unwrap_err(),
        "no value for hubspot/base_url in node n1, company acme, global"
    );
}

#[test]
fn what_an_optional_secret_lacks_leaves_the_file_out() {
    let found = rendered("{{ secret('db').user }}").unwrap();
    assert!(found.files.is_empty());
    let left_out: Vec<String> = found.left_out.into_iter().collect();
    assert_eq!(
        left_out,
        ["no value for postgres/user in node n1, company acme, global"]
    );
    assert_eq!(text("{{ secret('db').user|default('me') }}").as_deref(), Ok("me"));
}

#[test]
fn a_mistake_is_named_by_file_and_line() {
    assert_eq!(
        text("a\n{{ secret('crm').api_key|b64decode }}").unwrap_err(),
        "the template of app/conf: line 2: what b64decode is given is not Base64"
    );
    assert_eq!(
        text("{{ secret('hr').x }}").unwrap_err(),
        "the template of app/conf: line 1: secret is asked for what is no entry of spec.secrets"
    );
    assert!(
        text("{{ secret(")
            .unwrap_err()
            .starts_with("the template of app/conf: line 1: it can't be read: ")
    );
}

#[test]
fn what_uses_a_refused_secret_is_left_out_and_goes() {
    let mut found = secrets(&[("api_key", "k")], &[]);
    let postgres = SecretSource::Service("postgres".into());
    found.get_mut(&postgres).unwrap().refused = Some(keystead_vault::Error::Conflict {
        object: "any".into(),
        owner: "any".into(),
    });
    let has = |text: &str| {
        let settings = templated(text);
        let is_there = !render(&settings, &found).unwrap().files.is_empty();
        assert_eq!(is_there, !settings.shows_refused(&conf(), &found), "{text}");
        is_there
    };
    assert!(has("{{ secret('crm').api_key }}"));
    assert!(!has(
        "{{ secret('crm').api_key }}{% if false %}{{ secret('db').x }}{% endif %}"
    ));
    assert!(!has(
        "{% for name in ['crm'] %}{{ secret(name).api_key }}{% endfor %}"
    ));
}
