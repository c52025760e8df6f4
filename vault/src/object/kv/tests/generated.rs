//! Values that are made once.

use super::*;

fn generated() -> Values<'static> {
    of([("password", Wanted::Made(Some(recipe())))].into())
}

pub(super) fn recipe() -> generate::Recipe<'static> {
    generate::Recipe {
        length: 24,
        alphabet: "abcdefghijklmnopqrstuvwxyz",
        classes: &[],
    }
}

/// A declaration for whose new values somebody asks.
pub(super) fn asked(text: &str) -> KvSecret {
    let asked = Asked {
        text: text.into(),
        drops_previous: false,
    };
    KvSecret {
        asked: Some(asked),
        ..secret()
    }
}

fn made(observed: &Observed) -> String {
    text(observed, "password").unwrap()
}

/// A path with a value that was made.
fn path() -> Observed {
    let mut observed = Observed::default();
    let done = settle(&secret(), &mut observed, &mut None, &generated());
    assert_eq!(done, [Action::Create]);
    observed
}

#[test]
fn a_value_is_made_once() {
    let mut observed = path();
    let first = made(&observed);
    assert_eq!(first.len(), 24);
    by_hand(&mut observed, "theirs", &json!("x"));
    assert!(settle(&secret(), &mut observed, &mut None, &generated()).is_empty());
    assert_eq!(made(&observed), first);
}

#[test]
fn a_lost_value_is_reported_and_not_made_anew() {
    let lose: [fn(&mut Observed); 3] = [
        |observed| push(observed, Document::default()),
        |observed| push(observed, document(&[("other", "x")])),
        |observed| {
            observed.data = None;
            observed.versions.insert(observed.version, true);
        },
    ];
    for lose in lose {
        let mut observed = path();
        lose(&mut observed);
        let before = observed.version;
        for _ in 0..2 {
            let changes = secret().plan(&observed, &generated()).unwrap();
            assert!(matches!(changes.lacking, Some(Error::Lost { .. })));
            carry_out(&mut observed, &mut None, changes, usize::MAX);
        }
        assert_eq!(observed.version, before, "nothing was written");
        // Somebody who wants one says so.
        assert_eq!(
            settle(&asked("again"), &mut observed, &mut None, &generated()),
            [Action::Change]
        );
        assert_eq!(made(&observed).len(), 24);
    }
}

#[test]
fn a_lost_value_does_not_hold_the_others_up() {
    let mut observed = path();
    push(&mut observed, Document::default());
    let mut values = generated();
    values.keys.extend(wanted([("base_url", "u")]).keys);
    let changes = secret().plan(&observed, &values).unwrap();
    assert!(changes.lacking.is_some());
    carry_out(&mut observed, &mut None, changes, usize::MAX);
    assert_eq!(text(&observed, "base_url").as_deref(), Some("u"));
    let changes = secret().plan(&observed, &values).unwrap();
    assert!(changes.is_empty() && matches!(changes.lacking, Some(Error::Lost { .. })));
}

#[test]
fn a_path_that_is_gone_altogether_is_a_loss_for_who_knew_it() {
    let known = KvSecret {
        known: true,
        ..secret()
    };
    let mut observed = Observed::default();
    for _ in 0..2 {
        let changes = known.plan(&observed, &generated()).unwrap();
        assert!(matches!(changes.lacking, Some(Error::Lost { .. })));
        carry_out(&mut observed, &mut None, changes, usize::MAX);
    }
    assert!(observed.data.is_none());
    let known = KvSecret {
        known: true,
        ..asked("again")
    };
    settle(&known, &mut observed, &mut None, &generated());
    assert_eq!(made(&observed).len(), 24);
}

#[test]
fn another_token_makes_another_value_once() {
    let mut observed = Observed::default();
    settle(&asked("one"), &mut observed, &mut None, &generated());
    let first = made(&observed);
    for quiet in [asked("one"), secret()] {
        assert!(settle(&quiet, &mut observed, &mut None, &generated()).is_empty());
    }
    assert_eq!(made(&observed), first);
    let two = asked("two");
    assert_eq!(
        settle(&two, &mut observed, &mut None, &generated()),
        [Action::Change]
    );
    let second = made(&observed);
    assert_ne!(second, first);
    assert!(settle(&two, &mut observed, &mut None, &generated()).is_empty());
    assert_eq!(made(&observed), second);
}

/// After any crash there is a value in the end, and no false alarm.
#[test]
fn a_crash_while_it_is_made_is_no_loss() {
    for steps in 0..4 {
        let mut observed = Observed::default();
        let changes = secret().plan(&observed, &generated()).unwrap();
        carry_out(&mut observed, &mut None, changes, steps);
        let after_crash = text(&observed, "password");
        settle(&secret(), &mut observed, &mut None, &generated());
        assert!(after_crash.is_none_or(|value| value == made(&observed)));
        assert!(secret().plan(&observed, &generated()).unwrap().lacking.is_none());
    }
}

#[test]
fn an_adopted_value_is_kept() {
    let secret = KvSecret {
        adoption: Adoption::Adopt,
        ..secret()
    };
    let mut observed = theirs(&[("password", "of-before")]);
    settle(&secret, &mut observed, &mut None, &generated());
    assert_eq!(made(&observed), "of-before");
}

#[test]
fn what_is_declared_otherwise_now_is_not_generated_any_more() {
    let mut observed = path();
    settle(
        &secret(),
        &mut observed,
        &mut None,
        &wanted([("password", "chosen")]),
    );
    assert_eq!(made(&observed), "chosen");
    assert!(observed.marks.unwrap().generated().is_empty());
}
