use super::material::{certificates, validity};
use super::*;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use serde_json::json;

fn names() -> Vec<String> {
    vec!["keystead.keystead-system.svc".to_owned()]
}

fn day(day: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + day * 24 * 3600).unwrap()
}

/// Certificates made on the first day.
fn fresh() -> Material {
    issue::issue(None, true, true, day(0), &names()).unwrap()
}

/// What a pass on that day makes of them.
fn pass(material: Material, now: Timestamp) -> Material {
    match plan(Some(&material), now, &names()) {
        Plan::Keep => material,
        Plan::Renew { ca, leaf } => issue::issue(Some(material), ca, leaf, now, &names()).unwrap(),
    }
}

#[test]
fn without_any_both_are_made_and_kept() {
    assert_eq!(plan(None, day(0), &names()), Plan::Renew { ca: true, leaf: true });
    let material = fresh();
    for day in [day(0), day(10), day(19)] {
        assert_eq!(plan(Some(&material), day, &names()), Plan::Keep);
    }
}

#[test]
fn a_leaf_is_renewed_at_two_thirds_by_the_same_ca() {
    let old = fresh();
    assert_eq!(
        plan(Some(&old), day(21), &names()),
        Plan::Renew {
            ca: false,
            leaf: true
        }
    );
    let new = pass(old.clone(), day(21));
    assert_eq!(certificates(&new.ca_crt), certificates(&old.ca_crt));
    assert_eq!(new.ca_key, old.ca_key);
    assert_ne!(new.tls_crt, old.tls_crt);
    assert_eq!(plan(Some(&new), day(21), &names()), Plan::Keep);
    // Nobody who slept through it is left with a dead one.
    assert_eq!(
        plan(Some(&old), day(31), &names()),
        Plan::Renew {
            ca: false,
            leaf: true
        }
    );
}

#[test]
fn a_new_ca_is_made_known_before_anything_is_signed_with_it() {
    let mut material = fresh();
    let first = certificates(&material.ca_crt);
    // The leaf is as fresh as can be when the CA's time has come.
    material = issue::issue(Some(material), false, true, day(243), &names()).unwrap();
    assert_eq!(
        plan(Some(&material), day(244), &names()),
        Plan::Renew {
            ca: true,
            leaf: false
        }
    );
    let both = pass(material.clone(), day(244));
    assert_eq!(both.tls_crt, material.tls_crt);
    assert_eq!(certificates(&both.ca_crt).len(), 2);
    assert_eq!(certificates(&both.ca_crt)[1], first[0]);
    assert_eq!(
        plan(Some(&both), day(244), &names()),
        Plan::Keep,
        "the old leaf is trusted through the old CA"
    );

    let signed = pass(both, day(264));
    assert_ne!(signed.tls_crt, material.tls_crt);
    let only_new = Material {
        ca_crt: pem_of_first(&signed.ca_crt),
        ..signed.clone()
    };
    assert_eq!(
        plan(Some(&only_new), day(264), &names()),
        Plan::Keep,
        "the new leaf needs the new CA only"
    );

    let later = pass(signed, day(370));
    assert_eq!(
        certificates(&later.ca_crt).len(),
        1,
        "a CA that has ended is dropped"
    );
}

#[test]
fn year_after_year_there_is_never_a_day_without() {
    let mut material = fresh();
    for today in (0..1300).step_by(5) {
        let before = material.clone();
        material = pass(material, day(today));
        // When both are due it takes two passes.
        let settled = pass(material.clone(), day(today));
        assert_eq!(pass(settled.clone(), day(today)), settled, "day {today}");
        // Others may serve the old leaf while they know the new bundle already.
        let lagging = Material {
            ca_crt: material.ca_crt.clone(),
            ca_key: material.ca_key.clone(),
            ..before
        };
        let renewal = plan(Some(&lagging), day(today), &names());
        assert!(
            !matches!(renewal, Plan::Renew { ca: true, .. }),
            "day {today}: {renewal:?}"
        );
        assert!(certificates(&material.ca_crt).len() <= 2);
        assert!(validity(&material.tls_crt).unwrap().not_after > day(today + 9));
    }
}

#[test]
fn what_can_not_be_used_is_made_anew() {
    let (good, other) = (fresh(), fresh());
    let broken = |change: fn(&mut Material, &Material)| {
        let mut material = good.clone();
        change(&mut material, &other);
        plan(Some(&material), day(1), &names())
    };
    let (all, leaf) = (
        Plan::Renew { ca: true, leaf: true },
        Plan::Renew {
            ca: false,
            leaf: true,
        },
    );
    assert_eq!(
        broken(|m, o| m.tls_key.clone_from(&o.tls_key)),
        leaf,
        "half-written"
    );
    assert_eq!(broken(|m, _| m.tls_crt = b"nonsense".to_vec()), leaf);
    assert_eq!(broken(|m, _| m.tls_crt.clear()), leaf);
    assert_eq!(
        broken(|m, o| (m.tls_crt, m.tls_key) = (o.tls_crt.clone(), o.tls_key.clone())),
        leaf,
        "signed by a CA that nobody knows"
    );
    assert_eq!(broken(|m, o| m.ca_key.clone_from(&o.ca_key)), all);
    assert_eq!(broken(|m, _| m.ca_crt.clear()), all);
    assert_eq!(
        plan(Some(&good), day(1), &["other.ns.svc".to_owned()]),
        leaf,
        "the service has another name"
    );
    assert_eq!(plan(Some(&good), day(-1), &names()), all, "the clock went back");
    assert_eq!(
        plan(Some(&good), day(400), &names()),
        all,
        "switched off for a year"
    );
    assert_eq!(certificates(&pass(good, day(400)).ca_crt).len(), 1);
}

#[test]
fn the_secret_holds_all_of_it_and_keeps_the_rest() {
    let material = fresh();
    let mut secret = material.to_secret("tls");
    assert_eq!(Material::from_secret(&secret).as_ref(), Some(&material));
    secret.metadata.annotations = Some([("a".to_owned(), "b".to_owned())].into());
    let other = fresh();
    other.write_to(&mut secret);
    assert_eq!(Material::from_secret(&secret).as_ref(), Some(&other));
    assert!(secret.metadata.annotations.is_some());
    secret.data.as_mut().unwrap().remove("ca.key");
    assert_eq!(Material::from_secret(&secret), None);
    assert_eq!(
        Material::from_secret(&Secret::default()),
        None,
        "as the chart makes it"
    );
    assert!(!format!("{material:?}").contains("PRIVATE"));
}

#[test]
fn only_webhooks_that_trust_someone_else_are_patched() {
    let webhook = |name: &str, bundle: Option<&str>| {
        let service = json!({"name": "keystead", "namespace": "keystead-system"});
        let bundle = bundle.map(|text| json!(k8s_openapi::ByteString(text.into())));
        json!({
            "name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {"service": service, "caBundle": bundle},
        })
    };
    let configuration = |webhooks: &[serde_json::Value]| -> MutatingWebhookConfiguration {
        serde_json::from_value(json!({"metadata": {"resourceVersion": "7"}, "webhooks": webhooks})).unwrap()
    };
    let new = json!(k8s_openapi::ByteString(b"new".to_vec()));
    let mixed = configuration(&[
        webhook("a", Some("new")),
        webhook("b", Some("old")),
        webhook("c", None),
    ]);
    let expected = json!({
        "metadata": {"resourceVersion": "7"},
        "webhooks": [
            {"name": "b", "clientConfig": {"caBundle": new}},
            {"name": "c", "clientConfig": {"caBundle": new}},
        ],
    });
    assert_eq!(bundle::plan(&mixed, b"new"), Some(expected));
    assert_eq!(
        bundle::plan(&configuration(&[webhook("a", Some("new"))]), b"new"),
        None
    );
    assert_eq!(bundle::plan(&configuration(&[]), b"new"), None);
}

fn pem_of_first(bundle: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(bundle.to_vec()).unwrap();
    let end = "-----END CERTIFICATE-----\n";
    text.split_inclusive(end).next().unwrap().as_bytes().to_vec()
}
