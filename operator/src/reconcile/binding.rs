//! A binding's status: whether it can work, and how its accounts' reconciles went.

use super::{Next, kubernetes};
use crate::context::Context;
use crate::status;
use crate::watch::Declared as _;
use keystead_compile::kinds::binding;
use keystead_compile::{Key, Problem, pause};
use keystead_crds::SecretBinding;
use kube::Api;
use std::sync::Arc;

pub(super) async fn reconcile(context: &Arc<Context>, key: &Key) -> Result<Next, Problem> {
    let (object, check) = {
        let world = context.world();
        let Some(object) = world.binding(key).cloned() else {
            return Ok(Next::OnChange);
        };
        if world.is_foreign(&object.spec.provider_ref.name) {
            return Ok(Next::OnChange);
        }
        let pause = pause::check(&world, &*object, &object.spec.provider_ref.name);
        let check = pause.and_then(|()| binding::check(&world, key, &object));
        (object, check)
    };
    let result = if let Err(problem) = check {
        Err(problem)
    } else {
        let generation = object.metadata.generation;
        let results: Option<Vec<_>> = binding::accounts(key, &object)
            .map(|account| context.account(&account, key, generation))
            .collect();
        // An account that is not done yet queues this binding again when it is.
        let Some(results) = results else {
            return Ok(Next::OnChange);
        };
        results.into_iter().collect::<Result<(), Problem>>()
    };
    let api = Api::namespaced(context.client.clone(), &key.namespace);
    let written = status::report(context, api, &*object, result.as_ref().err(), None, |basic| basic).await;
    if let Some(new) = written.map_err(|error| kubernetes(&error))? {
        SecretBinding::remember(&mut context.world_mut(), key, new);
    }
    Ok(Next::OnChange)
}
