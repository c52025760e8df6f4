//! A scope's status: whether it can serve.

use super::{Next, kubernetes};
use crate::context::Context;
use crate::status::{self, Finding};
use crate::watch::Declared as _;
use keystead_compile::kinds::scope;
use keystead_compile::{Key, Problem, pause};
use keystead_crds::condition::{READY, Reason};
use keystead_crds::{Level, SecretScope};
use kube::Api;
use std::sync::Arc;

pub(super) async fn reconcile(context: &Arc<Context>, name: &str) -> Result<Next, Problem> {
    let (object, check) = {
        let world = context.world();
        let Some(object) = world.scope(name).cloned() else {
            return Ok(Next::OnChange);
        };
        if world.is_foreign(&object.spec.provider_ref.name) {
            return Ok(Next::OnChange);
        }
        let pause = pause::check(&world, &*object, &object.spec.provider_ref.name);
        let check = pause.and_then(|()| scope::check(&world, &object));
        (object, check)
    };
    let served = (check.is_ok() && object.spec.level == Level::User).then(|| Finding {
        type_: READY,
        holds: true,
        reason: Reason::Synced,
        message:
            "everything is as declared; a User's values are served by the HTTP API, and pods get none of them"
                .into(),
        warns: false,
    });
    let api = Api::all(context.client.clone());
    let findings = Some(served.as_slice());
    let written = status::report(context, api, &*object, check.as_ref().err(), findings, |basic| {
        basic
    })
    .await;
    if let Some(new) = written.map_err(|error| kubernetes(&error))? {
        SecretScope::remember(&mut context.world_mut(), &Key::of(&new), new);
    }
    check.map(|()| Next::OnChange)
}
