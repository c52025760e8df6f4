//! What the operator says of each object: pure.

use super::report::Verdict;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use keystead_crds::common::BasicStatus;
use keystead_crds::condition::{EXPIRING, PERMITTED, READY, Reason};

/// The checks of one object: each with the condition it is about, and a hint where one is due.
pub(crate) fn check(
    generation: Option<i64>,
    status: Option<&BasicStatus>,
) -> (Vec<(&'static str, Verdict)>, Option<String>) {
    let find = |kind: &str| {
        status?
            .conditions
            .iter()
            .find(|condition| condition.type_ == kind)
    };
    let mut checks = vec![(READY, wanted(find(READY), generation))];
    if let Some(permitted) = find(PERMITTED) {
        checks.push((PERMITTED, wanted(Some(permitted), generation)));
    }
    let mut hint = None;
    if let Some(expiring) = find(EXPIRING) {
        let ended = expiring.reason == Reason::Expired.as_str();
        let verdict = if ended { failed(expiring) } else { Verdict::Passed };
        checks.push((EXPIRING, verdict));
        hint = (expiring.status == "True" && !ended).then(|| expiring.message.clone());
    }
    (checks, hint)
}

/// A condition that should be True, and speak of the object as it is now.
fn wanted(condition: Option<&Condition>, generation: Option<i64>) -> Verdict {
    let Some(condition) = condition else {
        return Verdict::Failed {
            why: "no operator has looked at it".into(),
            remedy: "see whether an operator of its provider's class runs".into(),
        };
    };
    if condition.observed_generation != generation {
        return Verdict::Failed {
            why: "its status speaks of an earlier declaration".into(),
            remedy: "wait a few seconds; then see whether an operator runs, and its log".into(),
        };
    }
    if condition.status == "True" {
        Verdict::Passed
    } else {
        failed(condition)
    }
}

fn failed(condition: &Condition) -> Verdict {
    Verdict::Failed {
        why: condition.message.clone(),
        remedy: remedy(&condition.reason).into(),
    }
}

/// What to do, by a condition's reason.
fn remedy(reason: &str) -> &'static str {
    const REMEDIES: &[(Reason, &str)] = &[
        (
            Reason::Ambiguous,
            "change the namespace's labels or one of the selectors: a namespace belongs to one company",
        ),
        (
            Reason::CleanupBlocked,
            "make its Vault reachable, or let it go: kubectl annotate … keystead.dev/release=true",
        ),
        (
            Reason::Conflict,
            "delete one of the two, or move what is not Keystead's; spec.adoption: Adopt takes a path over",
        ),
        (
            Reason::Expired,
            "get a new credential where it was issued, declare it, and change spec.expiresAt",
        ),
        (
            Reason::Inactive,
            "set spec.active: true when it is to be served again",
        ),
        (Reason::Invalid, "change the field that the message names"),
        (
            Reason::KubernetesError,
            "see the operator's log and its rights in the cluster",
        ),
        (
            Reason::Lost,
            "restore it in Vault, or have it made anew: kubectl keystead rotate NAME",
        ),
        (Reason::NotFound, "apply what is missing; it goes on by itself"),
        (
            Reason::NotPermitted,
            "change the selector or the labels that the message names",
        ),
        (Reason::Paused, "take the annotation keystead.dev/paused off"),
        (
            Reason::VaultDenied,
            "run kubectl keystead bootstrap again: it gives the operator's policy what it lacks",
        ),
        (
            Reason::VaultError,
            "see what Vault says; the operator tries again by itself",
        ),
        (Reason::VaultSealed, "unseal it; everything goes on by itself"),
        (
            Reason::VaultUnreachable,
            "see spec.vault.address, network policies and Vault itself",
        ),
    ];
    let found = REMEDIES.iter().find(|(known, _)| known.as_str() == reason);
    found.map_or("see kubectl describe, and the operator's log", |(_, remedy)| {
        remedy
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;

    fn condition(type_: &str, status: &str, reason: Reason) -> Condition {
        Condition {
            type_: type_.into(),
            status: status.into(),
            reason: reason.as_str().into(),
            message: "a sentence".into(),
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
            observed_generation: Some(2),
        }
    }

    fn verdicts(generation: i64, conditions: Vec<Condition>) -> (Vec<bool>, bool) {
        let status = BasicStatus {
            observed_generation: Some(2),
            conditions,
            fingerprint: None,
        };
        let (checks, hint) = check(Some(generation), Some(&status));
        (
            checks
                .iter()
                .map(|(_, verdict)| *verdict == Verdict::Passed)
                .collect(),
            hint.is_some(),
        )
    }

    #[test]
    fn ready_must_be_true_and_of_now() {
        let ready = || condition(READY, "True", Reason::Synced);
        assert_eq!(verdicts(2, vec![ready()]), (vec![true], false));
        assert_eq!(
            verdicts(3, vec![ready()]),
            (vec![false], false),
            "of an earlier generation"
        );
        assert_eq!(verdicts(2, vec![]), (vec![false], false), "nobody has looked");
        let waits = condition(READY, "False", Reason::NotFound);
        assert_eq!(verdicts(2, vec![waits]), (vec![false], false));
    }

    #[test]
    fn what_ends_soon_is_a_hint_and_what_has_ended_a_failure() {
        let ready = || condition(READY, "True", Reason::Synced);
        let expiring = |status, reason| vec![ready(), condition(EXPIRING, status, reason)];
        assert_eq!(
            verdicts(2, expiring("False", Reason::NotYet)),
            (vec![true, true], false)
        );
        assert_eq!(
            verdicts(2, expiring("True", Reason::ExpiresSoon)),
            (vec![true, true], true)
        );
        assert_eq!(
            verdicts(2, expiring("True", Reason::Expired)),
            (vec![true, false], false)
        );
    }
}
