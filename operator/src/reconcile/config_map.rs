//! A ConfigMap that bindings take templates from: every replica reads it, because every webhook needs it.

use super::Next;
use crate::affected;
use crate::context::Context;
use keystead_cluster::texts;
use keystead_compile::kinds::binding;
use keystead_compile::{Key, Problem};
use std::sync::Arc;

pub(super) async fn observe(context: &Arc<Context>, key: &Key) -> Result<Next, Problem> {
    let wanted = binding::wanted(&context.world(), key);
    if wanted.is_empty() {
        context.world_mut().set_texts(key, None);
        return Ok(Next::OnChange);
    }
    let read = texts::read(&context.client, key, wanted).await;
    let failed = read.as_ref().err().cloned();
    // What was read before stays as good as it was.
    let keep = failed.is_some() && matches!(context.world().texts(key), Some(Ok(_)));
    if !keep && context.world_mut().set_texts(key, Some(read.unwrap_or_else(Err))) {
        for unit in affected::taking_from(&context.world(), key) {
            context.queue.push(unit);
        }
    }
    failed.map_or(Ok(Next::OnChange), Err)
}
