use super::*;
use serde_json::{Value, json};

fn credential(name: &str, spec: &Value, status: &Value) -> Arc<Credential> {
    let mut all = json!({
        "apiVersion": "keystead.dev/v1alpha1",
        "kind": "Credential",
        "metadata": {"namespace": "shop", "name": name},
        "spec": {"scopeRef": {"name": "acme"}, "service": name, "keys": [{"name": "key", "from": {"generate": {}}}]},
        "status": status,
    });
    for (field, value) in spec.as_object().unwrap() {
        all["spec"][field] = value.clone();
    }
    Arc::new(serde_json::from_value(all).unwrap())
}

fn next(spec: &Value, text: &str) -> String {
    let now = "2026-11-22T12:00:00Z".parse().unwrap();
    let found = credential("a", spec, &json!({"path": "kv/a"}));
    Entry {
        outcome: ahead(&found, text, now),
        ..Entry::new(&found, text)
    }
    .to_string()
}

fn exit(report: &Report) -> String {
    format!("{:?}", report.code())
}

#[test]
fn what_is_to_come_is_told() {
    assert_eq!(next(&json!({}), "t"), "shop/a: to be replaced at once");
    assert_eq!(
        next(&json!({"active": false}), "now-t"),
        "shop/a: waits until spec.active is true"
    );
    let window = json!({"rotation": {"every": "24h", "window": {"from": "02:00", "to": "03:00"}}});
    assert!(
        next(&window, "t").starts_with("shop/a: waits until 2026-11-23T02:00:00Z, when its window opens")
    );
    assert_eq!(next(&window, "now-t"), "shop/a: to be replaced at once");
}

#[test]
fn people_are_told_where_to_bring_theirs() {
    let keys = json!([
        {"name": "one", "from": {"secretKeyRef": {"name": "s", "key": "k"}}},
        {"name": "two", "from": {"vault": {}}},
        {"name": "three", "from": {"value": "x"}},
        {"name": "four", "from": {"sealed": {"keyRef": {"name": "k"}, "wrappedKey": "vault:v1:aa", "ciphertext": "aa"}}},
    ]);
    let said = next(&json!({"keys": keys}), "now-t");
    for part in [
        "left to people",
        "a new one into Secret s, key k",
        "a new two in Vault, at kv/a",
        "change three in spec.keys",
        "a new four with kubectl keystead seal",
    ] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn one_is_done_when_its_status_says_this_text() {
    let open = || vec![Entry::new(&credential("a", &json!({}), &json!({})), "t2")];
    let seen = |status: &Value| {
        let mut report = Report::new(open());
        let lines = report.note(&[credential("a", &json!({}), status)], "t2");
        (report.is_open(), lines)
    };
    assert_eq!(seen(&json!({})), (true, vec![]));
    assert_eq!(
        seen(&json!({"rotation": {"count": 1, "followed": "t1"}})),
        (true, vec![])
    );
    let done = json!({"version": 4, "rotation": {"count": 2, "followed": "t2"}});
    let line = "shop/a: replaced, 2 times by now, version 4 in Vault";
    assert_eq!(seen(&done), (false, vec![line.to_owned()]));
}

#[test]
fn the_exit_code_says_whether_all_is_done() {
    let entry = |name: &str, spec: &Value| Entry::new(&credential(name, spec, &json!({})), "t");
    let mut report = Report::new(vec![
        entry("a", &json!({})),
        entry("b", &json!({"active": false})),
    ]);
    let ready = json!({"type": READY, "status": "False", "reason": "VaultSealed", "message": "it is sealed",
        "lastTransitionTime": "2026-11-22T12:00:00Z"});
    let failing = credential("a", &json!({}), &json!({"conditions": [ready]}));
    assert_eq!(exit(&report), format!("{:?}", ExitCode::from(2)), "one waits");
    report.give_up(Ok(&[failing]), Duration::from_mins(2));
    assert_eq!(exit(&report), format!("{:?}", ExitCode::FAILURE));
    let rest = report.rest();
    assert!(
        rest.contains("shop/a: failed: VaultSealed: it is sealed"),
        "{rest}"
    );
    assert!(rest.ends_with("0 of 2 replaced."), "{rest}");
    let mut silent = Report::new(vec![entry("a", &json!({}))]);
    assert_eq!(
        exit(&silent),
        format!("{:?}", ExitCode::SUCCESS),
        "asked for, and not waited for"
    );
    silent.give_up(
        Ok(&[credential("a", &json!({}), &json!({}))]),
        Duration::from_mins(2),
    );
    assert!(
        silent.rest().contains("has not answered in 2m"),
        "{}",
        silent.rest()
    );
}

#[test]
fn without_yes_it_is_only_shown() {
    let people = json!({"keys": [{"name": "key", "from": {"value": "x"}}]});
    let entry = |name: &str, spec: &Value| Entry::new(&credential(name, spec, &json!({})), "t");
    let report = Report::new(vec![entry("a", &json!({})), entry("b", &people)]);
    let text = report.preview();
    assert!(
        text.contains("shop/b: left to people")
            && text.ends_with("1 to replace. Run it again with --yes to do it."),
        "{text}"
    );
    assert_eq!(Report::new(vec![]).preview(), "Nothing to replace.");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["entries"][0]["result"], "asked", "{json}");
}
