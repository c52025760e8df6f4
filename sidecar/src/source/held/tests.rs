use super::credential::POLL;
use super::*;
use keystead_vault::Sensitive;
use keystead_vault::lease::Term;
use keystead_vault::resolve::{Found, Values};

const MINUTE: Duration = Duration::from_mins(1);

fn users() -> SecretSource {
    SecretSource::Path("database/creds/users".to_owned())
}

fn lease(life: Duration) -> Term {
    Term::Lease(Lease {
        id: format!("database/creds/users/{}", life.as_secs()),
        life,
        renewable: true,
    })
}

fn layer(password: &str, term: Option<Term>) -> Layer {
    Layer {
        source: Source {
            secret: users(),
            origin: Origin::Path,
            path: "database/creds/users".to_owned(),
        },
        found: Some(Found {
            values: Values::from([("password".to_owned(), Sensitive::from(password))]),
            version: None,
            ends: None,
            term,
        }),
        refused: None,
    }
}

/// With a credential whose lease has this life.
fn held(life: Duration, now: Instant) -> Held {
    let overlaps = BTreeMap::from([(users(), Duration::from_secs(30))]);
    let mut held = Held::new(overlaps);
    assert!(held.keep(layer("one", Some(lease(life))), now).is_none());
    held.written(now);
    held
}

fn next(held: &Held, now: Instant) -> (Duration, Vec<Due>) {
    let at = held.next().unwrap();
    let dues = [Due::Renew, Due::Replace].into_iter();
    let dues = dues.filter(|due| !held.due(*due, at).is_empty());
    (at - now, dues.collect())
}

#[test]
fn a_long_lease_is_looked_at_within_half_a_minute() {
    let now = Instant::now();
    let mut waits: Vec<Duration> = (0..500)
        .map(|_| {
            let (wait, due) = next(&held(60 * MINUTE, now), now);
            assert_eq!(due, [Due::Renew]);
            wait
        })
        .collect();
    waits.sort();
    assert!(waits[0] < Duration::from_secs(21), "they vary: {waits:?}");
    assert!(
        waits[0] >= Duration::from_secs(20) && waits[499] < Duration::from_secs(25),
        "{waits:?}"
    );
}

#[test]
fn a_lease_that_renewals_make_live_on_is_never_replaced() {
    let mut now = Instant::now();
    for seconds in [10, 45, 90, 3600] {
        let life = Duration::from_secs(seconds);
        let mut held = held(life, now);
        for _ in 0..200 {
            now = held.next().unwrap();
            assert_eq!(held.due(Due::Renew, now), [users()], "{seconds}");
            held.renewed(&users(), life, now);
        }
    }
}

#[test]
fn before_its_maximum_it_is_replaced_with_a_third_of_its_life_left() {
    let start = Instant::now();
    for seconds in [9_u32, 60, 3600] {
        let end = start + Duration::from_secs(seconds.into());
        let mut held = held(end - start, start);
        let replaced = loop {
            let now = held.next().unwrap();
            if !held.due(Due::Replace, now).is_empty() {
                break now;
            }
            // It ends when it ends.
            held.renewed(&users(), end - now, now);
        };
        let left = (end - replaced).as_secs_f64() * 3.0 / f64::from(seconds);
        assert!((1.0..1.1).contains(&left), "{left} thirds");
    }
}

#[test]
fn what_can_not_be_renewed_is_replaced_in_time() {
    let now = Instant::now();
    let mut held = held(MINUTE, now);
    if let Hold::Lease { lease, .. } = &mut held.credentials.get_mut(&users()).unwrap().hold {
        (lease.renewable, lease.id) = (false, String::new());
    }
    let (wait, due) = next(&held, now);
    assert_eq!(due, [Due::Replace]);
    held.keep(layer("two", Some(lease(MINUTE))), now);
    assert!(held.retiring.is_empty(), "nothing is to be ended");
    assert!(
        wait <= MINUTE * 2 / 3 && wait > Duration::from_secs(38),
        "{wait:?}"
    );
}

#[test]
fn an_old_one_ends_after_its_overlap_and_not_before_the_new_one_is_on_disk() {
    let now = Instant::now();
    let mut held = held(MINUTE, now);
    assert!(!held.news);
    held.keep(layer("two", Some(lease(2 * MINUTE))), now);
    assert!(held.news);
    assert_eq!(held.retiring[0].at, None);
    assert!(held.next().unwrap() > now + Duration::from_secs(19));
    held.written(now + MINUTE / 2);
    held.written(now + MINUTE);
    assert!(!held.news);
    assert_eq!(held.retiring[0].at, Some(now + MINUTE));
    assert_eq!(held.retiring[0].id, "database/creds/users/60");
}

#[test]
fn with_its_token_each_lease_is_replaced_at_once() {
    let now = Instant::now();
    let mut held = held(MINUTE, now);
    assert!(held.is_settled());
    held.outlive_token();
    assert!(!held.is_settled());
    assert_eq!(next(&held, now), (Duration::ZERO, vec![Due::Replace]));
    held.failed(&users(), now);
    let (wait, _) = next(&held, now);
    assert!(!wait.is_zero() && wait <= Duration::from_millis(500), "{wait:?}");
    held.keep(layer("two", Some(lease(MINUTE))), now);
    assert!(held.is_settled());
}

#[test]
fn tries_come_less_often_and_never_stop() {
    let now = Instant::now();
    let mut held = held(MINUTE, now);
    for _ in 0..50 {
        held.failed(&users(), now);
        held.lost(&users());
        let (wait, _) = next(&held, now);
        assert!(!wait.is_zero() && wait <= Duration::from_secs(10), "{wait:?}");
    }
    held.renewed(&users(), MINUTE, now);
    assert_eq!(held.credentials[&users()].failures, 0);
}

#[test]
fn a_password_that_vault_changes_is_read_as_it_does() {
    let now = Instant::now();
    let mut held = Held::new(BTreeMap::new());
    let rotates = |seconds| Some(Term::Rotates(Duration::from_secs(seconds)));
    held.keep(layer("one", rotates(5)), now);
    held.written(now);
    assert_eq!(
        next(&held, now),
        (Duration::from_millis(4500), vec![Due::Replace])
    );
    // It is late.
    let mut later = held.next().unwrap();
    for _ in 0..30 {
        held.keep(layer("one", rotates(0)), later);
        assert!(!held.news, "it is the same");
        assert_eq!(held.next(), Some(later + POLL));
        later += POLL;
    }
    held.failed(&users(), later);
    assert_eq!(held.next(), Some(later + POLL), "nor does an outage make it slow");
    // Vault can't change it, and may be long about it.
    let long = later + MINUTE;
    held.keep(layer("one", rotates(0)), long);
    assert_eq!(held.next(), Some(long + Duration::from_secs(5)));
    later = long;
    held.keep(layer("two", rotates(5)), later);
    assert!(held.news && held.retiring.is_empty());
    assert!(held.is_settled() && held.end().is_none());
    // It is long overdue.
    held.failed(&users(), later + MINUTE * 2);
    assert!(held.next().unwrap() <= later + MINUTE * 2 + Duration::from_secs(10));
}

#[test]
fn what_is_refused_stays_until_it_is_off_the_disk() {
    let now = Instant::now();
    let mut held = held(MINUTE, now);
    held.refuse(&users());
    assert_eq!(held.next(), None, "it is asked for with all else");
    assert!(held.is_read(&users()) && held.retiring.is_empty());
    let mut secrets = Secrets::new();
    held.add_to(&mut secrets);
    assert!(secrets.contains_key(&users()));
    held.taken_away(now);
    assert!(held.credentials.is_empty());
    assert_eq!(held.retiring[0].at, Some(now + Duration::from_secs(30)));
}

#[test]
fn lives_that_are_none_make_no_haste() {
    let now = Instant::now();
    let mut held = held(Duration::ZERO, now);
    assert_eq!(next(&held, now), (Duration::from_secs(1), vec![Due::Renew]));
    let mut ended = lease(Duration::ZERO);
    if let Term::Lease(lease) = &mut ended {
        lease.renewable = false;
    }
    held.keep(layer("two", Some(ended)), now);
    held.retiring.clear();
    assert_eq!(next(&held, now), (Duration::from_secs(5), vec![Due::Replace]));
}

#[test]
fn what_nobody_has_seen_ends_at_once() {
    let now = Instant::now();
    let mut held = Held::new(BTreeMap::from([(users(), MINUTE)]));
    held.keep(layer("one", Some(lease(MINUTE))), now);
    held.keep(layer("two", Some(lease(MINUTE))), now);
    assert_eq!(held.retiring[0].at, Some(now));
}

#[test]
fn what_is_neither_leased_nor_rotated_is_not_held() {
    let now = Instant::now();
    let mut held = Held::default();
    let path = layer("one", None);
    assert!(held.may_lease(&path.source));
    let given_back = held.keep(path, now).unwrap();
    assert_eq!(given_back.found.unwrap().values["password"].expose(), "one");
    assert!(!held.may_lease(&layer("", None).source));
    assert_eq!(held.next(), None);
}
