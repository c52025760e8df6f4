use super::*;
use keystead_crds::condition::EXPIRING;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn expiring(holds: bool) -> Finding {
    Finding {
        type_: EXPIRING,
        holds,
        reason: if holds {
            Reason::ExpiresSoon
        } else {
            Reason::NotYet
        },
        message: format!("soon: {holds}"),
        warns: holds,
    }
}

#[test]
fn the_same_finding_changes_nothing() {
    let first = plan(None, Some(1), None, Some(&[]), at(1));
    assert_eq!(plan(Some(&first), Some(1), None, None, at(2)), first);
    assert_eq!(news(None, &first, &[]), []);
}

#[test]
fn the_transition_time_moves_with_the_status_only() {
    let find = |name| Problem::not_found("SecretScope", name);
    let broken = plan(None, Some(1), Some(&find("acme")), None, at(1));
    let other = plan(Some(&broken), Some(1), Some(&find("globex")), None, at(2));
    assert_eq!(other.conditions[0].last_transition_time, Time(at(1)));
    assert!(news(Some(&broken), &other, &[])[0].warns);
    let mended = plan(Some(&other), Some(2), None, None, at(3));
    assert_eq!(mended.conditions[0].last_transition_time, Time(at(3)));
    assert!(!news(Some(&other), &mended, &[])[0].warns);
}

#[test]
fn a_kind_has_conditions_of_its_own() {
    let [calm, soon] = [[expiring(false)], [expiring(true)]];
    let first = plan(None, Some(1), None, Some(&calm), at(1));
    assert_eq!(news(None, &first, &calm), [], "a good beginning is no news");
    let later = plan(Some(&first), Some(1), None, Some(&soon), at(2));
    let told = news(Some(&first), &later, &soon);
    assert!(told.len() == 1 && told[0].warns, "{told:?}");
    assert_eq!(later.conditions[0], first.conditions[0]);
    assert_eq!(later.conditions[1].last_transition_time, Time(at(2)));
    let unknown = plan(Some(&later), Some(1), None, None, at(3));
    assert_eq!(unknown, later, "nothing was found, so it stays");
    let gone = plan(Some(&later), Some(1), None, Some(&[]), at(3));
    assert_eq!(gone.conditions.len(), 1);
}

#[test]
fn what_is_paused_is_as_ready_as_it_was() {
    let pause = Problem::new(Reason::Paused, "paused");
    let good = plan(None, Some(1), None, None, at(1));
    let paused = plan(Some(&good), Some(2), Some(&pause), None, at(2));
    let ready = &paused.conditions[0];
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("True", "Paused"));
    assert_eq!(ready.last_transition_time, Time(at(1)));
    assert_eq!(
        paused.observed_generation,
        Some(1),
        "nothing was done for the second"
    );
    assert!(!news(Some(&good), &paused, &[])[0].warns);
    let never = plan(None, Some(1), Some(&pause), None, at(1));
    assert_eq!(never.conditions[0].status, "Unknown");
}

#[test]
fn a_success_can_say_more() {
    let inactive = [Finding {
        type_: READY,
        holds: true,
        reason: Reason::Inactive,
        message: "nobody is served".into(),
        warns: false,
    }];
    let good = plan(None, Some(1), None, Some(&[]), at(1));
    let quiet = plan(Some(&good), Some(2), None, Some(&inactive), at(2));
    let [ready] = quiet.conditions.as_slice() else {
        panic!("{quiet:?}")
    };
    assert_eq!(
        (ready.status.as_str(), ready.reason.as_str()),
        ("True", "Inactive")
    );
    assert_eq!(ready.last_transition_time, Time(at(1)));
    assert!(!news(Some(&good), &quiet, &inactive)[0].warns);
}
