//! What a start finds in order. An object whose status says so, and that is still made from the same, is
//! as it was left; Vault is looked at for it in its turn. So a restart, with ten thousand objects too,
//! is no burst of requests, and who waits for something new does not wait for all that is old.

use crate::affected;
use crate::context::{Context, Reconciled, Sources};
use crate::finalizer;
use crate::queue::Unit;
use k8s_openapi::jiff::Timestamp;
use keystead_compile::fingerprint::{Fingerprint, of_account, of_binding, of_credential, of_database};
use keystead_compile::kinds::binding::{self, Account};
use keystead_compile::kinds::credential;
use keystead_compile::kinds::database::{connection, role};
use keystead_compile::{Held, Key, World, pause};
use keystead_crds::common::{BasicStatus, HasBasicStatus};
use keystead_crds::condition::{READY, Reason};
use keystead_crds::{Credential, SecretBinding};
use keystead_vault::object::{KvSecret, Object};
use kube::Resource;
use kube::core::object::HasStatus;
use std::time::Duration;

/// The time, in the mean, between two first looks at what is in order.
const LOOK: Duration = Duration::from_millis(10);

/// Has units reconciled for the first time since the start: at once, unless they are in order.
pub(crate) fn begin(context: &Context, units: Vec<Unit>) {
    let all = LOOK.saturating_mul(u32::try_from(units.len()).unwrap_or(u32::MAX));
    for unit in units {
        if is_settled(context, &unit) {
            context.queue.push_later(unit, all.mul_f64(fastrand::f64()));
        } else {
            context.queue.push(unit);
        }
    }
}

fn is_settled(context: &Context, unit: &Unit) -> bool {
    match unit {
        Unit::Credential(key) => has_values(context, key),
        Unit::DatabaseConnection(key) => is_connected(context, key),
        Unit::DatabaseRole(key) => has_role(context, key),
        Unit::Account(account) => has_access(context, account),
        Unit::Provider(_)
        | Unit::Scope(_)
        | Unit::EncryptionKey(_)
        | Unit::ConfigMap(_)
        | Unit::Sync(_)
        | Unit::Binding(_) => false,
    }
}

/// Whether a Credential's values are where they should be.
fn has_values(context: &Context, key: &Key) -> bool {
    let world = context.world();
    let Some(object) = world.credential(key) else {
        return false;
    };
    if object.metadata.deletion_timestamp.is_some()
        || !finalizer::is_settled(object.as_ref())
        || pause::check_credential(&world, object).is_err()
    {
        return false;
    }
    let provider = credential::provider_name(&world, object).unwrap_or_default();
    let compiled = credential::compile(&world, key, object, Timestamp::now()).ok();
    // What is due is done at once.
    let compiled = compiled.filter(|secret| {
        let due = secret.rotation.as_ref().and_then(|rotation| rotation.due);
        due.is_none() && secret.asked.is_none()
    });
    let fingerprint = compiled.and_then(|secret| of_values(context, &world, provider, object, &secret));
    is_in_order(object.as_ref(), fingerprint)
}

/// Whether a connection is in Vault as it should be, its root password rotated if it should be.
fn is_connected(context: &Context, key: &Key) -> bool {
    let world = context.world();
    let Some(object) = world.database_connection(key) else {
        return false;
    };
    let provider = &object.spec.provider_ref.name;
    let compiled = connection::compile(&world, key, object).ok();
    let compiled = compiled.map(Object::DatabaseConnection);
    can_rest(&world, object.as_ref(), provider)
        && is_in_order(
            object.as_ref(),
            compiled.and_then(|compiled| of_database(&world, provider, &compiled)),
        )
}

/// Whether a role is in Vault as it should be.
fn has_role(context: &Context, key: &Key) -> bool {
    let world = context.world();
    let Some(object) = world.database_role(key) else {
        return false;
    };
    let provider = role::provider_name(&world, key, object).unwrap_or_default();
    let compiled = role::compile(&world, key, object).ok().map(Object::DatabaseRole);
    role::is_allowed(&world, key, object) == Ok(true)
        && can_rest(&world, object.as_ref(), provider)
        && is_in_order(
            object.as_ref(),
            compiled.and_then(|compiled| of_database(&world, provider, &compiled)),
        )
}

/// Whether nothing else is to be done for an object: it is not deleted, not paused, and held as it should be.
fn can_rest<K: Held>(world: &World, object: &K, provider: &str) -> bool {
    object.meta().deletion_timestamp.is_none()
        && finalizer::is_settled(object)
        && pause::check(world, object, provider).is_ok()
}

/// The fingerprint of a Credential's values as they were compiled.
pub(crate) fn of_values(
    context: &Context,
    world: &World,
    provider: &str,
    object: &Credential,
    secret: &KvSecret,
) -> Option<Fingerprint> {
    of_credential(world, provider, object, secret, |secret| {
        context.versions.of(secret)
    })
}

/// Whether a service account has its policy and its role; if so, its bindings are told.
fn has_access(context: &Context, account: &Account) -> bool {
    let world = context.world();
    let Some(own) = of_access(&world, account) else {
        return false;
    };
    let mut naming = binding::naming(&world, account);
    if !naming.all(|(key, found)| is_in_order(found.as_ref(), of_all(&world, key, found))) {
        return false;
    }
    let reconciled = Reconciled {
        from: Sources::of(&world, account),
        fingerprint: Some(own),
        result: Ok(()),
    };
    if context.note_account(account, Some(reconciled)) {
        for unit in affected::bindings_of(&world, account) {
            context.queue.push(unit);
        }
    }
    true
}

fn of_access(world: &World, account: &Account) -> Option<Fingerprint> {
    pause::check_account(world, account).ok()?;
    binding::readable(world, account).ok()?;
    let objects = binding::compile(world, account).ok()??;
    Some(of_account(world, account, &objects))
}

fn of_all(world: &World, key: &Key, found: &SecretBinding) -> Option<Fingerprint> {
    let accounts = binding::accounts(key, found).map(|account| of_access(world, &account));
    Some(of_binding(&accounts.collect::<Option<Vec<_>>>()?))
}

/// Whether this generation of an object was in order when it was made from the same.
fn is_in_order<K>(object: &K, fingerprint: Option<Fingerprint>) -> bool
where
    K: Resource + HasStatus,
    K::Status: HasBasicStatus,
{
    let Some(BasicStatus {
        observed_generation,
        conditions,
        fingerprint: before,
    }) = object.status().map(HasBasicStatus::basic)
    else {
        return false;
    };
    let ready = conditions.iter().find(|condition| condition.type_ == READY);
    let good = ready.is_some_and(|ready| ready.status == "True" && ready.reason == Reason::Synced.as_str());
    let same = fingerprint.is_some_and(|now| before.as_deref() == Some(now.to_string().as_str()));
    good && same && *observed_generation == object.meta().generation
}

#[cfg(test)]
mod tests {
    use super::*;
    use keystead_compile::fingerprint::of_binding;
    use serde_json::{Value, json};

    fn binding(generation: i64, status: &Value) -> SecretBinding {
        let spec = json!({"providerRef": {"name": "p"}, "serviceAccounts": ["web"], "secrets": []});
        let metadata = json!({"name": "web", "namespace": "shop", "generation": generation});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec, "status": status})).unwrap()
    }

    fn status(status: &str, reason: &str, fingerprint: Option<Fingerprint>) -> Value {
        json!({
            "observedGeneration": 2,
            "fingerprint": fingerprint.map(|found| found.to_string()),
            "conditions": [{
                "type": "Ready", "status": status, "reason": reason, "message": "", "lastTransitionTime": "2026-01-02T03:04:05Z",
            }],
        })
    }

    #[test]
    fn only_what_was_in_order_and_is_made_from_the_same_is_settled() {
        let own = of_binding(&[]);
        let other = of_binding(&[own]);
        let good = status("True", "Synced", Some(own));
        assert!(is_in_order(&binding(2, &good), Some(own)));
        assert!(!is_in_order(&binding(2, &good), Some(other)), "made from others");
        assert!(!is_in_order(&binding(2, &good), None), "can't be made");
        assert!(!is_in_order(&binding(3, &good), Some(own)), "another generation");
        assert!(!is_in_order(
            &binding(2, &status("False", "Invalid", Some(own))),
            Some(own)
        ));
        assert!(!is_in_order(
            &binding(2, &status("True", "Paused", Some(own))),
            Some(own)
        ));
        assert!(!is_in_order(&binding(2, &status("True", "Synced", None)), None));
        assert!(
            !is_in_order(&binding(2, &Value::Null), Some(own)),
            "nobody looked"
        );
    }
}
