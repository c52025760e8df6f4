//! Values that are replaced from time to time.

use super::generated::recipe;
use super::*;
use crate::object::kv::rotation::{Answers, Asked, RotatedBy, Rotation, Subject, Webhook};
use std::time::Duration;

const KEEP: Duration = Duration::from_secs(100);

fn rotated(by: RotatedBy, due: Option<u64>) -> KvSecret {
    let keep_previous = Some(KEEP);
    KvSecret {
        rotation: Some(Rotation {
            due,
            keep_previous,
            by,
        }),
        ..secret()
    }
}

fn webhook() -> RotatedBy {
    RotatedBy::Webhook(Box::new(Webhook {
        url: "https://rotator.example/".into(),
        ca: None,
        signing: (String::new(), String::new(), String::new()),
        subject: Subject {
            cluster: "c1".into(),
            environment: "production".into(),
            level: "Global".into(),
            scope: None,
            service: "hubspot".into(),
        },
    }))
}

fn at(seconds: i64, values: Values<'_>) -> Values<'_> {
    let now = Timestamp::from_second(seconds).unwrap();
    Values { now, ..values }
}

fn password() -> Values<'static> {
    of([("password", Wanted::Made(Some(recipe())))].into())
}

fn noted(observed: &Observed) -> (u64, Option<i64>) {
    let noted = observed.marks.as_ref().unwrap().rotation();
    assert_eq!(noted.begun, None, "nothing is under way");
    (noted.count, noted.at.map(Timestamp::as_second))
}

fn both(observed: &Observed) -> (Option<String>, Option<String>) {
    (text(observed, "password"), text(observed, "password_previous"))
}

#[test]
fn what_is_due_is_replaced_once_and_the_value_before_is_kept_for_its_time() {
    let mut observed = Observed::default();
    settle(
        &rotated(RotatedBy::Keystead, None),
        &mut observed,
        &mut None,
        &at(10, password()),
    );
    let first = text(&observed, "password");
    assert_eq!(
        (noted(&observed), both(&observed)),
        ((0, Some(10)), (first.clone(), None))
    );

    let due = rotated(RotatedBy::Keystead, Some(1));
    let done = settle(&due, &mut observed, &mut None, &at(20, password()));
    assert_eq!(done, [Action::Change]);
    let second = text(&observed, "password");
    assert_ne!(second, first);
    assert_eq!(
        (noted(&observed), both(&observed)),
        ((1, Some(20)), (second.clone(), first))
    );

    for now in [21, 119] {
        assert!(settle(&due, &mut observed, &mut None, &at(now, password())).is_empty());
    }
    settle(&due, &mut observed, &mut None, &at(120, password()));
    assert_eq!(
        (noted(&observed), both(&observed)),
        ((1, Some(20)), (second, None))
    );
}

#[test]
fn who_wants_the_old_values_gone_keeps_none() {
    let mut observed = Observed::default();
    settle(
        &rotated(RotatedBy::Keystead, None),
        &mut observed,
        &mut None,
        &password(),
    );
    settle(
        &rotated(RotatedBy::Keystead, Some(1)),
        &mut observed,
        &mut None,
        &password(),
    );
    assert!(both(&observed).1.is_some());
    let asked = Asked {
        text: "now".into(),
        drops_previous: true,
    };
    let urgent = KvSecret {
        asked: Some(asked),
        ..rotated(RotatedBy::Keystead, None)
    };
    settle(&urgent, &mut observed, &mut None, &password());
    assert_eq!((noted(&observed).0, both(&observed).1), (2, None));
}

#[test]
fn what_others_keep_under_the_name_of_the_value_before_stays() {
    let mut observed = Observed::default();
    settle(
        &rotated(RotatedBy::Keystead, None),
        &mut observed,
        &mut None,
        &password(),
    );
    by_hand(&mut observed, "password_previous", &json!("theirs"));
    for due in [1, 2] {
        settle(
            &rotated(RotatedBy::Keystead, Some(due)),
            &mut observed,
            &mut None,
            &at(200, password()),
        );
        assert_eq!(both(&observed).1.as_deref(), Some("theirs"));
    }
}

#[test]
fn a_lost_value_is_not_replaced_because_its_time_has_come() {
    let mut observed = Observed::default();
    settle(
        &rotated(RotatedBy::Keystead, None),
        &mut observed,
        &mut None,
        &password(),
    );
    push(&mut observed, Document::default());
    let changes = rotated(RotatedBy::Keystead, Some(1))
        .plan(&observed, &password())
        .unwrap();
    assert!(matches!(changes.lacking, Some(Error::Lost { .. })));
    assert!(changes.data.is_none());
}

/// Whatever request is the last one that a killed process sent: either value is in place, and in the end there was
/// one rotation.
#[test]
fn a_crash_anywhere_makes_one_rotation_of_it() {
    for steps in 0..4 {
        let mut observed = Observed::default();
        settle(
            &rotated(RotatedBy::Keystead, None),
            &mut observed,
            &mut None,
            &password(),
        );
        let first = text(&observed, "password");
        let due = rotated(RotatedBy::Keystead, Some(1));
        let changes = due.plan(&observed, &at(20, password())).unwrap();
        carry_out(&mut observed, &mut None, changes, steps);
        let crashed = both(&observed);
        assert!(crashed.0.is_some() && (crashed.0 == first || crashed.1 == first));
        settle(&due, &mut observed, &mut None, &at(30, password()));
        assert_eq!(
            (noted(&observed).0, both(&observed).1),
            (1, first.clone()),
            "{steps}"
        );
        if crashed.0 != first {
            assert_eq!(both(&observed), crashed, "it is not replaced twice");
        }
    }
}

#[test]
fn somebody_elses_write_in_between_is_no_rotation() {
    let mut observed = Observed::default();
    settle(
        &rotated(RotatedBy::Keystead, None),
        &mut observed,
        &mut None,
        &password(),
    );
    let first = text(&observed, "password");
    let due = rotated(RotatedBy::Keystead, Some(1));
    let changes = due.plan(&observed, &password()).unwrap();
    carry_out(&mut observed, &mut None, changes, 1);
    by_hand(&mut observed, "theirs", &json!("x"));
    let changes = due.plan(&observed, &password()).unwrap();
    assert!(changes.data.is_some(), "it is still due");
    settle(&due, &mut observed, &mut None, &password());
    assert_eq!((noted(&observed).0, both(&observed).1), (1, first));
}

fn given(id: &str, value: &str) -> Answers {
    Answers {
        id: id.into(),
        values: Ok([("token".to_owned(), Sensitive::from(value))].into()),
    }
}

fn token(answers: Option<Answers>) -> Values<'static> {
    let values = of([("token", Wanted::Made(None))].into());
    Values { answers, ..values }
}

/// A whole pass, killed after some requests to Vault; answers under which ids the endpoint was asked.
fn pass(secret: &KvSecret, observed: &mut Observed, mut steps: usize) -> Vec<(String, u64)> {
    let mut asked = Vec::new();
    let mut answers = None;
    loop {
        let changes = secret.plan(observed, &token(answers)).unwrap();
        if changes.is_empty() {
            return asked;
        }
        let requests = usize::from(changes.mark_first.is_some())
            + usize::from(changes.data.is_some())
            + usize::from(changes.mark_last.is_some());
        let asks = changes.asks.clone();
        carry_out(observed, &mut None, changes, steps);
        if steps < requests {
            return asked;
        }
        steps -= requests;
        answers = asks.map(|request| {
            assert_eq!(request.keys, ["token"]);
            asked.push((request.id.clone(), request.rotation));
            // An endpoint that gives each id its own value.
            given(&request.id, &request.id)
        });
    }
}

#[test]
fn an_endpoint_is_asked_by_one_id_for_each_rotation_whoever_is_killed() {
    for steps in 0..6 {
        let mut observed = Observed::default();
        let mut asked = Vec::new();
        for due in [None, Some(1), Some(2)] {
            let secret = rotated(webhook(), due);
            asked.extend(pass(&secret, &mut observed, steps));
            asked.extend(pass(&secret, &mut observed, usize::MAX));
            assert!(pass(&secret, &mut observed, usize::MAX).is_empty());
            assert_eq!(noted(&observed).0, due.unwrap_or(0));
        }
        asked.dedup();
        assert_eq!(
            asked.iter().map(|(_, number)| *number).collect::<Vec<_>>(),
            [0, 1, 2],
            "{steps}: {asked:?}"
        );
        assert_eq!(text(&observed, "token").as_ref(), Some(&asked[2].0));
        assert_eq!(text(&observed, "token_previous").as_ref(), Some(&asked[1].0));
    }
}

#[test]
fn an_endpoint_that_fails_holds_nothing_else_up_and_is_asked_by_the_same_id() {
    let mut observed = Observed::default();
    pass(&rotated(webhook(), None), &mut observed, usize::MAX);
    let old = text(&observed, "token");
    let due = rotated(webhook(), Some(1));
    let changes = due.plan(&observed, &token(None)).unwrap();
    let id = changes.asks.clone().unwrap().id;
    carry_out(&mut observed, &mut None, changes, usize::MAX);
    let failed = || {
        let why = Error::Webhook("no".into());
        let mut values = token(Some(Answers {
            id: id.clone(),
            values: Err(why),
        }));
        values.keys.insert("base_url", Wanted::Plainly("u"));
        values
    };
    for _ in 0..3 {
        let changes = due.plan(&observed, &failed()).unwrap();
        assert_eq!(changes.lacking, Some(Error::Webhook("no".into())));
        carry_out(&mut observed, &mut None, changes, usize::MAX);
    }
    assert!(due.plan(&observed, &failed()).unwrap().is_empty());
    assert_eq!(
        (text(&observed, "base_url").as_deref(), text(&observed, "token")),
        (Some("u"), old)
    );
    assert_eq!(due.plan(&observed, &token(None)).unwrap().asks.unwrap().id, id);
}

#[test]
fn what_people_bring_is_counted() {
    let mut observed = Observed::default();
    let people = rotated(RotatedBy::People, None);
    settle(
        &people,
        &mut observed,
        &mut None,
        &at(1, wanted([("password", "a")])),
    );
    assert_eq!(noted(&observed), (0, Some(1)));
    for steps in 0..4 {
        let changes = people
            .plan(&observed, &at(5, wanted([("password", "b")])))
            .unwrap();
        carry_out(&mut observed, &mut None, changes, steps);
    }
    settle(
        &people,
        &mut observed,
        &mut None,
        &at(5, wanted([("password", "b")])),
    );
    assert_eq!(noted(&observed).0, 1);
    assert_eq!(both(&observed), (Some("b".into()), Some("a".into())));
}

#[test]
fn what_people_write_in_vault_is_counted() {
    let people = rotated(RotatedBy::People, None);
    let in_vault = || of([("password", Wanted::InVault)].into());
    let mut observed = theirs(&[("password", "a")]);
    let people = KvSecret {
        adoption: Adoption::Adopt,
        ..people
    };
    settle(&people, &mut observed, &mut None, &in_vault());
    assert_eq!(noted(&observed), (0, Some(0)));
    by_hand(&mut observed, "password", &json!("b"));
    settle(&people, &mut observed, &mut None, &at(9, in_vault()));
    assert_eq!(noted(&observed), (1, Some(9)));
    assert!(settle(&people, &mut observed, &mut None, &at(12, in_vault())).is_empty());
}
