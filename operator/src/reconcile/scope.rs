//! A scope's status: whether it can serve.

use super::Next;
use crate::context::Context;
use crate::status::{self, Finding};
use keystead_compile::kinds::scope;
use keystead_compile::{Problem, pause};
use keystead_crds::Level;
use keystead_crds::condition::{READY, Reason};
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
    status::report(context, api, &*object, check.as_ref().err(), findings, |basic| {
        basic
    })
    .await?;
    check.map(|()| Next::OnChange)
}
