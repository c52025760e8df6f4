//! Whatever is sent is answered, and only what was looked at is refused.

use super::*;
use proptest::prelude::*;
use tokio::runtime::{Builder, Runtime};

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
        prop_oneof![
            Just("Company"),
            Just("UPDATE"),
            Just("SecretProvider"),
            Just("acme"),
            Just("p")
        ]
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let key = prop_oneof![
            Just("spec"),
            Just("metadata"),
            Just("request"),
            Just("name"),
            Just("x")
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((key, inner), 0..4).prop_map(|pairs| {
                Value::Object(
                    pairs
                        .into_iter()
                        .map(|(key, value)| (key.to_owned(), value))
                        .collect(),
                )
            }),
        ]
    })
}

/// Every place in a value.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(fields) => fields
            .iter()
            .for_each(|(key, inner)| places(inner, &format!("{at}/{key}"), found)),
        Value::Array(items) => (0..items.len()).for_each(|n| places(&items[n], &format!("{at}/{n}"), found)),
        _ => {}
    }
}

thread_local! {
    static HANDLER: (Runtime, Handler) = {
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let handler = runtime.block_on(async { handler(known()) });
        (runtime, handler)
    };
}

fn answered(entry: Entry, body: &Value) -> Option<Value> {
    let body = body.to_string();
    let answer =
        HANDLER.with(|(runtime, handler)| runtime.block_on(handler.answer(entry, body.as_bytes())).ok())?;
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    Some(answer["response"].clone())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_json_is_let_through(body in json_value()) {
        let response = answered(Entry::Object, &body).unwrap();
        prop_assert_eq!(&response["allowed"], &json!(true));
        let unread = response["uid"] == "";
        prop_assert!(!unread || response["warnings"].is_array(), "{} had no warning: {}", body, response);
        // Of a namespace nothing is known then, and nobody is asked.
        answered(Entry::Namespace, &body);
    }

    #[test]
    fn a_review_with_anything_anywhere_is_answered(
        spoil in json_value(),
        place in any::<proptest::sample::Index>(),
        kind in 0..2,
        operation in prop_oneof![Just("CREATE"), Just("UPDATE")],
    ) {
        let object = if kind == 0 { company("twin") } else { provider() };
        let mut review = review(operation, &object, &company("acme"));
        let mut all = Vec::new();
        places(&review, "", &mut all);
        let place: &String = place.get(&all);
        *review.pointer_mut(place).unwrap() = spoil;
        for entry in [Entry::Object, Entry::Namespace] {
            let answer = answered(entry, &review);
            prop_assert!(entry == Entry::Namespace || answer.is_some());
        }
    }
}
