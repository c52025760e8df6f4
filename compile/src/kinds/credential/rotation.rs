//! When values are replaced: what is due, what somebody asked for, and who gives new ones.

mod clock;

use super::asked;
use crate::{Key, Problem, World};
use clock::Clock;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use keystead_crds::condition::Reason;
use keystead_crds::credential::{
    CredentialKey, CredentialSpec, CredentialType, RotationMethod, RotationStatus,
};
use keystead_crds::names::ROTATE_NOW;
use keystead_crds::{Credential, SecretProvider, SecretScope};
use keystead_vault::digest::short;
use keystead_vault::object::{Asked, PREVIOUS, RotatedBy, Rotation as Rotating, Subject, Webhook};
use kube::ResourceExt as _;
use std::time::Duration;

/// Periods of types that have one.
const DAY: Duration = Duration::from_hours(24);
const WEEK: Duration = Duration::from_hours(7 * 24);

/// What the engine is to do about rotation at a time.
pub(super) fn compile(
    world: &World,
    provider: &SecretProvider,
    scope: &SecretScope,
    key: &Key,
    credential: &Credential,
    now: Timestamp,
) -> Result<(Option<Rotating>, Option<Asked>), Problem> {
    let is_active = credential.spec.active;
    let asked = is_asked(credential, now)?.filter(|_| is_active);
    let Some(rotation) = &credential.spec.rotation else {
        return Ok((None, asked));
    };
    check(&credential.spec)?;
    let by = match (rotation.method, &rotation.webhook) {
        (RotationMethod::Generate, _) => RotatedBy::Keystead,
        (RotationMethod::None, _) => RotatedBy::People,
        (RotationMethod::Webhook, None) => {
            return Err(invalid("webhook: it is needed for the method Webhook"));
        }
        (RotationMethod::Webhook, Some(webhook)) => {
            open(world, provider, &key.namespace, &webhook.url)?;
            RotatedBy::Webhook(Box::new(Webhook {
                url: webhook.url.clone(),
                ca: webhook.ca_bundle.clone(),
                signing: (
                    key.namespace.clone(),
                    webhook.signing_secret_ref.name.clone(),
                    webhook.signing_secret_ref.key.clone(),
                ),
                subject: Subject {
                    cluster: world.cluster.clone(),
                    environment: provider.spec.environment.to_string(),
                    level: format!("{:?}", scope.spec.level),
                    scope: scope.spec.id.clone(),
                    service: credential.spec.service.clone(),
                },
            }))
        }
    };
    let known = known(credential);
    let last = known.and_then(|known| known.last.as_ref());
    let is_due = match last {
        Some(last) if is_active && rotation.method != RotationMethod::None => {
            due(key, credential, last.0)?.is_some_and(|due| due <= now)
        }
        _ => false,
    };
    let count = known.map_or(0, |known| u64::try_from(known.count).unwrap_or(0));
    let rotating = Rotating {
        due: is_due.then_some(count + 1),
        keep_previous: rotation.keep_previous.map(Duration::from),
        by,
    };
    Ok((Some(rotating), asked))
}

/// When values are replaced next, which was last at `last`: by the clock, or because somebody asked and waits
/// for the window. None where nothing is to come.
pub fn due(key: &Key, credential: &Credential, last: Timestamp) -> Result<Option<Timestamp>, Problem> {
    let spec = &credential.spec;
    let Some(rotation) = &spec.rotation else {
        return Ok(None);
    };
    let clock = Clock::new(rotation)?;
    // The same whoever computes it, and another for each Credential and each time.
    let dice = short(&format!("{}/{} {last}", key.namespace, key.name)) % 1000;
    let share = f64::from(u16::try_from(dice).unwrap_or(0)) / 1000.0;
    let by_people = rotation.method == RotationMethod::None;
    let next = match period(spec) {
        Some(every) if by_people => after(last, every),
        // Up to a tenth earlier.
        Some(every) => after(last, every.mul_f64(1.0 - share / 10.0)),
        None => clock.next(last)?,
    };
    Ok(if by_people {
        next
    } else {
        next.and_then(|next| clock.open(next, share))
    })
}

/// When the window opens that somebody waits for who asked; none where nobody does.
pub fn waits(credential: &Credential, now: Timestamp) -> Option<Timestamp> {
    asked(credential).filter(|text| !text.starts_with(ROTATE_NOW))?;
    let rotation = credential.spec.rotation.as_ref()?;
    let open = Clock::new(rotation).ok()?.open(now, 0.0)?;
    (open > now).then_some(open)
}

/// How a rotation stands that was done `count` times and last at `last`; none of values that are not rotated.
pub fn standing(
    key: &Key,
    credential: &Credential,
    (last, count): (Timestamp, u64),
    now: Timestamp,
) -> Option<Standing> {
    let rotation = credential.spec.rotation.as_ref()?;
    let end = due(key, credential, last).ok()??;
    // What Keystead replaces is due for as long as that takes; `Ready` says why it takes long.
    let is_due = rotation.method == RotationMethod::None && now >= end;
    let message = if is_due {
        format!("new values were due at {end}, and people bring them: those in place are of {last}")
    } else {
        format!("replaced {count} times; the values in place are of {last}, the next are due at {end}")
    };
    Some(Standing { is_due, message })
}

/// How a rotation stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Standing {
    /// Whether somebody has to act.
    pub is_due: bool,
    /// A sentence that stays the same until something turns.
    pub message: String,
}

/// What the API server can't say of a rotation.
pub(crate) fn check(spec: &CredentialSpec) -> Result<(), Problem> {
    let Some(rotation) = &spec.rotation else {
        return Ok(());
    };
    Clock::new(rotation)?;
    if period(spec).is_none() && rotation.schedule.is_none() {
        return Err(invalid(&format!(
            "every: it or schedule is needed: the type {:?} has no period of its own",
            spec.r#type
        )));
    }
    if rotation.keep_previous.is_none() {
        return Ok(());
    }
    let has = |name: &str| spec.keys.iter().any(|key| key.name == name);
    let clash = spec
        .keys
        .iter()
        .find(|key| has(&format!("{}{PREVIOUS}", key.name)));
    clash.map_or(Ok(()), |key| {
        Err(invalid(&format!(
            "keepPrevious: the value before of {0} is kept as {0}{PREVIOUS}, which spec.keys declares too: give that another name",
            key.name
        )))
    })
}

/// Whether nobody but Keystead has the value of a key, so that it can be replaced.
pub fn is_replaceable(key: &CredentialKey) -> bool {
    key.from.generate.is_some() || key.from.webhook.is_some()
}

/// What is asked for now: in the window, if there is one and the asking is not urgent.
fn is_asked(credential: &Credential, now: Timestamp) -> Result<Option<Asked>, Problem> {
    let Some(text) = asked(credential) else {
        return Ok(None);
    };
    let drops_previous = text.starts_with(ROTATE_NOW);
    let is_open = match &credential.spec.rotation {
        Some(rotation) if !drops_previous => Clock::new(rotation)?.open(now, 0.0) == Some(now),
        _ => true,
    };
    let can = credential.spec.keys.iter().any(is_replaceable);
    Ok((is_open && can).then(|| Asked {
        text: text.to_owned(),
        drops_previous,
    }))
}

fn known(credential: &Credential) -> Option<&RotationStatus> {
    credential.status.as_ref()?.rotation.as_ref()
}

/// How old values get; none where a schedule says when they are replaced.
fn period(spec: &CredentialSpec) -> Option<Duration> {
    let rotation = spec.rotation.as_ref()?;
    match (&rotation.every, &rotation.schedule, spec.r#type) {
        (Some(every), ..) => Some(Duration::from(*every)),
        (None, None, CredentialType::Database) => Some(DAY),
        (None, None, CredentialType::ApiKey | CredentialType::Storage) => Some(WEEK),
        (None, ..) => None,
    }
}

/// None where no timestamp can name it.
fn after(last: Timestamp, every: Duration) -> Option<Timestamp> {
    last.checked_add(SignedDuration::try_from(every).ok()?).ok()
}

/// Whether the provider opens an endpoint to a namespace.
fn open(world: &World, provider: &SecretProvider, namespace: &str, url: &str) -> Result<(), Problem> {
    let below = |prefix: &str| url.starts_with(prefix) || prefix.strip_suffix('/') == Some(url);
    let mut opened = provider.spec.rotation_webhooks.iter();
    if opened.any(|entry| below(&entry.prefix) && world.selects(&entry.namespaces, namespace)) {
        return Ok(());
    }
    Err(Problem::new(
        Reason::NotPermitted,
        format!(
            "spec.rotation.webhook.url: SecretProvider {} does not open {url} to namespace {namespace}: its \
             spec.rotationWebhooks needs an entry whose prefix this URL begins with and whose namespaces select this one",
            provider.name_any()
        ),
    ))
}

fn invalid(what: &str) -> Problem {
    Problem::new(Reason::Invalid, format!("spec.rotation.{what}"))
}

#[cfg(test)]
mod tests;
