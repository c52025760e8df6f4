use super::*;
use keystead_vault::rights::Right;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn healthy(sealed: bool) -> Seen {
    Seen {
        health: Some(Health {
            version: "2.7.2".into(),
            initialized: true,
            sealed,
            standby: false,
            cluster_id: None,
        }),
        lacking: None,
    }
}

fn away(reason: Reason) -> Result<(), Problem> {
    Err(Problem::new(reason, "whatever"))
}

#[test]
fn the_status_tells_since_when_it_works() {
    let status = |before: &ProviderStatus, seen: &Seen, state: &Result<(), Problem>, second| {
        status_of(before.clone(), BasicStatus::default(), seen, state, at(second))
    };
    let first = status(&ProviderStatus::default(), &healthy(false), &Ok(()), 1);
    assert_eq!(first.version.as_deref(), Some("2.7.2"));
    assert_eq!(first.sealed, Some(false));
    assert_eq!(first.reachable_since, Some(Time(at(1))));
    assert_eq!(status(&first, &healthy(false), &Ok(()), 2), first);

    let paused = status(&first, &Seen::default(), &away(Reason::Paused), 3);
    assert_eq!(paused, first, "nobody looked");

    let sealed = status(&first, &healthy(true), &away(Reason::VaultSealed), 4);
    assert_eq!((sealed.sealed, &sealed.reachable_since), (Some(true), &None));
    let gone = status(&sealed, &Seen::default(), &away(Reason::VaultUnreachable), 5);
    assert_eq!((gone.sealed, gone.version.as_deref()), (None, Some("2.7.2")));
    let back = status(&gone, &healthy(false), &Ok(()), 6);
    assert_eq!(back.reachable_since, Some(Time(at(6))));
}

#[test]
fn what_is_lacking_is_said_in_words() {
    assert!(permitted(&[]).holds);
    let right = |path: &str| {
        Lacking(Right {
            path: path.into(),
            capabilities: ["list".to_owned(), "read".to_owned()].into(),
        })
    };
    let finding = permitted(&[right("a"), right("b/*")]);
    assert!(!finding.holds && finding.warns);
    assert_eq!(
        finding.message,
        "the operator's token lacks list, read on a; list, read on b/*; run kubectl keystead bootstrap"
    );
}
