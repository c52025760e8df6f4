use super::*;
use crate::fixtures::{company, credential, provider, world};
use keystead_crds::names::ROTATE_ANNOTATION;
use proptest::prelude::*;
use serde_json::{Value, json};

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn key() -> Key {
    Key::new("acme-secrets", "hubspot")
}

/// A Credential of one generated key, with a rotation.
fn rotated(type_: &str, rotation: Value) -> Credential {
    let mut found = credential("acme-secrets", "hubspot", "acme", "hubspot", 1);
    found.spec.r#type = serde_json::from_value(json!(type_)).unwrap();
    found.spec.keys = serde_json::from_value(json!([{"name": "api_key", "from": {"generate": {}}}])).unwrap();
    found.spec.rotation = Some(serde_json::from_value(rotation).unwrap());
    found
}

fn next(type_: &str, rotation: Value, last: &str) -> String {
    let next = due(&key(), &rotated(type_, rotation), time(last)).unwrap();
    next.unwrap().to_string()
}

fn wrong(rotation: Value) -> String {
    check(&rotated("Opaque", rotation).spec).unwrap_err().message
}

/// What the engine is to do, with what the status says.
fn compiled(object: &Credential, now: &str) -> Result<(Option<Rotating>, Option<Asked>), Problem> {
    let world = opened();
    let (provider, scope) = (world.provider("p"), world.scope("acme"));
    let found = provider
        .zip(scope)
        .map(|(provider, scope)| compile(&world, provider, scope, &key(), object, time(now)));
    found.unwrap_or(Ok((None, None)))
}

fn opened() -> World {
    let mut provider = provider("p");
    let webhooks =
        json!([{"prefix": "https://rotator.example/", "namespaces": {"matchLabels": {"writes": "acme"}}}]);
    provider.spec.rotation_webhooks = serde_json::from_value(webhooks).unwrap();
    let mut world = world([provider], [company("acme", "p", "acme", 1)]);
    world.set_namespace(
        "acme-secrets",
        Some([("writes".to_owned(), "acme".to_owned())].into()),
    );
    world
}

fn known(mut object: Credential, count: i64, last: &str) -> Credential {
    let rotation = json!({"rotation": {"last": last, "count": count}});
    object.status = Some(serde_json::from_value(rotation).unwrap());
    object
}

#[test]
fn types_have_periods_and_rotations_come_a_little_early_each_at_its_own_time() {
    let last = time("2026-11-01T00:00:00Z");
    for (type_, rotation, period) in [
        ("Database", json!({}), 24),
        ("ApiKey", json!({}), 168),
        ("Storage", json!({}), 168),
        ("Opaque", json!({"every": "10h"}), 10),
        ("ApiKey", json!({"every": "10h"}), 10),
    ] {
        let whole = SignedDuration::from_hours(period);
        let found = due(&key(), &rotated(type_, rotation.clone()), last)
            .unwrap()
            .unwrap();
        let after = found.duration_since(last);
        assert!(
            after <= whole && after >= whole * 9 / 10,
            "{type_} {rotation}: {after}"
        );
        let other = Key::new("acme-secrets", "other");
        let other = due(&other, &rotated(type_, rotation), last).unwrap().unwrap();
        assert_ne!(other, found);
    }
    let lacks = wrong(json!({}));
    assert!(
        lacks.contains("spec.rotation.every: it or schedule is needed: the type Opaque"),
        "{lacks}"
    );
}

#[test]
fn people_are_reminded_on_time() {
    let people = rotated("ApiKey", json!({"every": "24h", "method": "None"}));
    let last = time("2026-11-01T00:00:00Z");
    let said = |now: &str| {
        let said = standing(&key(), &people, (last, 2), time(now)).unwrap();
        (said.is_due, said.message)
    };
    let (is_due, message) = said("2026-11-01T23:59:59Z");
    assert!(!is_due && message.starts_with("replaced 2 times"), "{message}");
    assert!(message.ends_with("due at 2026-11-02T00:00:00Z"), "{message}");
    let (is_due, message) = said("2026-11-02T00:00:00Z");
    assert!(
        is_due && message.starts_with("new values were due at 2026-11-02T00:00:00Z"),
        "{message}"
    );
    let own = rotated("ApiKey", json!({}));
    let said = standing(&key(), &own, (last, 2), time("2030-01-01T00:00:00Z")).unwrap();
    assert!(!said.is_due, "nobody has to act");
}

#[test]
fn a_schedule_is_in_its_time_zone() {
    let at = |zone: Value, last: &str| {
        let mut rotation = json!({"schedule": "30 3 * * SUN"});
        rotation["timeZone"] = zone;
        next("Opaque", rotation, last)
    };
    assert_eq!(at(json!("UTC"), "2026-07-01T00:00:00Z"), "2026-07-05T03:30:00Z");
    assert_eq!(at(Value::Null, "2026-07-01T00:00:00Z"), "2026-07-05T03:30:00Z");
    assert_eq!(
        at(json!("Europe/Berlin"), "2026-07-01T00:00:00Z"),
        "2026-07-05T01:30:00Z"
    );
    assert_eq!(
        at(json!("Europe/Berlin"), "2026-12-01T00:00:00Z"),
        "2026-12-06T02:30:00Z"
    );
}

#[test]
fn what_is_no_schedule_is_said() {
    for (rotation, says) in [
        (
            json!({"schedule": "61 3 * * *"}),
            "spec.rotation.schedule: 61 3 * * * is no schedule",
        ),
        (json!({"schedule": "0 0 31 2 *"}), ""),
        (
            json!({"every": "1h", "window": {"from": "02:00", "to": "04:00"}, "timeZone": "Mars/Olympus"}),
            "spec.rotation.timeZone: Mars/Olympus is not",
        ),
        (
            json!({"every": "1h", "window": {"from": "26:00", "to": "04:00"}}),
            "spec.rotation.window.from: 26:00 is no time",
        ),
    ] {
        let found = check(&rotated("Opaque", rotation).spec)
            .err()
            .map_or(String::new(), |problem| problem.message);
        assert!(
            found.starts_with(says) && (says.is_empty() || !found.is_empty()),
            "{found}"
        );
    }
    let never = due(
        &key(),
        &rotated("Opaque", json!({"schedule": "0 0 31 2 *"})),
        time("2026-01-01T00:00:00Z"),
    );
    assert!(never.unwrap_err().message.contains("it never comes"));
}

#[test]
fn a_window_is_waited_for() {
    let window = |days: Value, from: &str, to: &str| json!({"schedule": "0 0 * * *", "timeZone": "Europe/Berlin", "window": {"days": days, "from": from, "to": to}});
    let opens = |rotation: Value, at: &str| {
        let rotation: keystead_crds::credential::Rotation = serde_json::from_value(rotation).unwrap();
        Clock::new(&rotation)
            .unwrap()
            .open(time(at), 0.0)
            .unwrap()
            .to_string()
    };
    let night = || window(json!([]), "22:00", "04:00");
    // In Berlin it is an hour later.
    assert_eq!(opens(night(), "2026-11-10T12:00:00Z"), "2026-11-10T21:00:00Z");
    assert_eq!(opens(night(), "2026-11-10T23:00:00Z"), "2026-11-10T23:00:00Z");
    assert_eq!(opens(night(), "2026-11-11T02:59:59Z"), "2026-11-11T02:59:59Z");
    assert_eq!(opens(night(), "2026-11-11T03:00:00Z"), "2026-11-11T21:00:00Z");
    let sunday = || window(json!(["Sunday"]), "23:00", "01:00");
    assert_eq!(opens(sunday(), "2026-11-10T12:00:00Z"), "2026-11-15T22:00:00Z");
    assert_eq!(
        opens(sunday(), "2026-11-15T23:30:00Z"),
        "2026-11-15T23:30:00Z",
        "it began on Sunday"
    );
    assert_eq!(opens(sunday(), "2026-11-16T00:00:00Z"), "2026-11-22T22:00:00Z");
    // The hour that daylight saving takes away.
    let gone = window(json!(["Sunday"]), "02:00", "03:00");
    assert_eq!(opens(gone, "2026-03-28T12:00:00Z"), "2026-04-05T00:00:00Z");
}

#[test]
fn what_is_due_is_so_once_and_only_where_keystead_replaces() {
    let daily = || json!({"every": "24h", "keepPrevious": "1h"});
    let at = |object: &Credential, now: &str| compiled(object, now).unwrap().0.unwrap();
    let object = rotated("Opaque", daily());
    assert_eq!(
        at(&object, "2026-11-10T00:00:00Z").due,
        None,
        "nothing is known yet"
    );
    let object = known(object, 4, "2026-11-09T00:00:00Z");
    assert_eq!(at(&object, "2026-11-09T12:00:00Z").due, None);
    let due = at(&object, "2026-11-10T00:00:00Z");
    assert_eq!(
        (due.due, due.keep_previous, due.by),
        (Some(5), Some(Duration::from_hours(1)), RotatedBy::Keystead)
    );
    let people = known(
        rotated("Opaque", json!({"every": "24h", "method": "None"})),
        0,
        "2026-11-09T00:00:00Z",
    );
    let people = at(&people, "2026-12-10T00:00:00Z");
    assert_eq!((people.due, people.by), (None, RotatedBy::People));
}

#[test]
fn who_asks_waits_for_the_window_unless_it_is_urgent() {
    let mut object = rotated(
        "Opaque",
        json!({"every": "24h", "window": {"from": "02:00", "to": "04:00"}}),
    );
    let mut asks = |text: &str, now: &str| {
        object
            .annotations_mut()
            .insert(ROTATE_ANNOTATION.into(), text.into());
        let asked = compiled(&object, now).unwrap().1;
        (
            asked.map(|asked| asked.drops_previous),
            waits(&object, time(now)).map(|at| at.to_string()),
        )
    };
    assert_eq!(
        asks("1", "2026-11-10T12:00:00Z"),
        (None, Some("2026-11-11T02:00:00Z".into()))
    );
    assert_eq!(asks("1", "2026-11-10T03:00:00Z"), (Some(false), None));
    assert_eq!(asks("now-1", "2026-11-10T12:00:00Z"), (Some(true), None));
    object.spec.keys = serde_json::from_value(json!([{"name": "a", "from": {"vault": {}}}])).unwrap();
    assert_eq!(
        compiled(&object, "2026-11-10T03:00:00Z").unwrap().1,
        None,
        "nothing can be replaced"
    );
}

#[test]
fn a_webhook_is_asked_only_where_the_provider_opens_it() {
    let mut object = rotated(
        "ApiKey",
        json!({
            "method": "Webhook",
            "webhook": {"url": "https://rotator.example/new", "signingSecretRef": {"name": "s", "key": "k"}},
        }),
    );
    object.spec.keys = serde_json::from_value(json!([{"name": "api_key", "from": {"webhook": {}}}])).unwrap();
    let by = compiled(&object, "2026-11-10T03:00:00Z").unwrap().0.unwrap().by;
    let RotatedBy::Webhook(webhook) = by else {
        panic!("{by:?}")
    };
    assert_eq!(webhook.signing, ("acme-secrets".into(), "s".into(), "k".into()));
    let subject = serde_json::to_value(&webhook.subject).unwrap();
    assert_eq!(
        subject,
        json!({"cluster": "c1", "environment": "production", "level": "Company", "scope": "acme", "service": "hubspot"})
    );
    for url in [
        "https://rotator.example.evil/new",
        "https://rotator.example:8443/new",
        "https://other.example/",
    ] {
        let rotation = object.spec.rotation.as_mut().unwrap();
        rotation.webhook.as_mut().unwrap().url = url.into();
        let refused = compiled(&object, "2026-11-10T03:00:00Z").unwrap_err();
        assert_eq!(refused.reason, Reason::NotPermitted);
        assert!(
            refused
                .message
                .contains(&format!("does not open {url} to namespace acme-secrets")),
            "{refused}"
        );
    }
}

#[test]
fn no_key_has_the_name_of_what_another_was_before() {
    let mut object = rotated("Opaque", json!({"every": "1h", "keepPrevious": "1h"}));
    let keys =
        json!([{"name": "a_previous", "from": {"value": "x"}}, {"name": "a", "from": {"generate": {}}}]);
    object.spec.keys = serde_json::from_value(keys).unwrap();
    let message = check(&object.spec).unwrap_err().message;
    assert!(
        message.contains("keepPrevious: the value before of a is kept as a_previous"),
        "{message}"
    );
    object.spec.rotation.as_mut().unwrap().keep_previous = None;
    assert_eq!(check(&object.spec), Ok(()));
}

proptest! {
    /// Whatever people write, it is taken or refused with a sentence, and what is taken is after the last time.
    #[test]
    fn whatever_the_schedule_is_it_is_read_or_refused(
        schedule in "[0-9*,/A-Z-]{1,4}( [0-9*,/A-Z#-]{1,4}){4}",
        zone in prop_oneof![Just("UTC".to_owned()), Just("America/St_Johns".to_owned()), "[A-Z][a-z]{2,6}(/[A-Z][a-z]{2,6})?"],
        last in 0_i64..4_000_000_000,
        from in 0_u8..24, to in 0_u8..24,
    ) {
        let rotation = json!({
            "schedule": schedule, "timeZone": zone,
            "window": {"from": format!("{from:02}:00"), "to": format!("{to:02}:30")},
        });
        let last = Timestamp::from_second(last).unwrap();
        match due(&key(), &rotated("Opaque", rotation), last) {
            Ok(next) => prop_assert!(next.is_none_or(|next| next > last)),
            Err(problem) => prop_assert!(problem.message.starts_with("spec.rotation."), "{}", problem),
        }
    }
}
