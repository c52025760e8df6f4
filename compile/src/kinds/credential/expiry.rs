//! When a credential ends where it was issued, and who is warned ahead of time.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use keystead_crds::Credential;
use keystead_crds::condition::Reason;
use std::time::Duration;

/// How long before the end people are warned.
const AHEAD: SignedDuration = SignedDuration::from_hours(14 * 24);

/// How near the end of a credential is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Expiry {
    /// `NotYet`, `ExpiresSoon` or `Expired`.
    pub reason: Reason,
    /// A sentence that stays the same until the reason turns.
    pub message: String,
    /// How long until it turns.
    pub turns_in: Option<Duration>,
}

impl Expiry {
    /// Whether somebody has to act.
    pub fn is_near(&self) -> bool {
        self.reason != Reason::NotYet
    }
}

/// How near the end is at a time; none where no end is declared.
pub fn expiry(credential: &Credential, now: Timestamp) -> Option<Expiry> {
    let end = credential.spec.expires_at.as_ref()?.0;
    // An end in the first days that a timestamp can name has no time before it.
    let warns = end.checked_sub(AHEAD).unwrap_or(Timestamp::MIN);
    let until = |when: Timestamp| Duration::try_from(when.duration_since(now)).ok();
    Some(if now >= end {
        Expiry {
            reason: Reason::Expired,
            message: format!(
                "it ended at {end}; the old values are still served: declare new ones and their spec.expiresAt"
            ),
            turns_in: None,
        }
    } else if now >= warns {
        Expiry {
            reason: Reason::ExpiresSoon,
            message: format!("it ends at {end}: declare new values and their spec.expiresAt"),
            turns_in: until(end),
        }
    } else {
        Expiry {
            reason: Reason::NotYet,
            message: format!("it ends at {end}; this warns from {warns} on"),
            turns_in: until(warns),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::credential;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    #[test]
    fn it_turns_at_the_right_moments() {
        let mut ending = credential("acme-secrets", "hubspot", "acme", "hubspot", 1);
        let end: Timestamp = "2027-03-15T12:00:00Z".parse().unwrap();
        assert_eq!(expiry(&ending, end), None);
        ending.spec.expires_at = Some(Time(end));

        let mut now: Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
        let mut seen = Vec::new();
        loop {
            let at = expiry(&ending, now).unwrap();
            let Some(turns_in) = at.turns_in else {
                seen.push((at.reason, now));
                break;
            };
            let before = now + turns_in - Duration::from_nanos(1);
            assert_eq!(expiry(&ending, before).unwrap().reason, at.reason);
            assert_eq!(expiry(&ending, before).unwrap().message, at.message);
            seen.push((at.reason, now));
            now += turns_in;
        }
        let times = seen.iter().map(|(reason, now)| (*reason, now.to_string()));
        let wanted = [
            (Reason::NotYet, "2027-01-01T00:00:00Z"),
            (Reason::ExpiresSoon, "2027-03-01T12:00:00Z"),
            (Reason::Expired, "2027-03-15T12:00:00Z"),
        ];
        let wanted = wanted.map(|(reason, now)| (reason, now.to_owned()));
        assert_eq!(times.collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn no_end_is_out_of_reach() {
        let mut ending = credential("acme-secrets", "hubspot", "acme", "hubspot", 1);
        let now: Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
        ending.spec.expires_at = Some(Time(Timestamp::MIN));
        assert_eq!(expiry(&ending, now).unwrap().reason, Reason::Expired);
        ending.spec.expires_at = Some(Time(Timestamp::MAX));
        assert_eq!(expiry(&ending, now).unwrap().reason, Reason::NotYet);
    }
}
