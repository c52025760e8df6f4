//! The webhook's view of the world.

use crate::context::Context;
use crate::webhook::{Directory, Lookup};
use keystead_compile::kinds::pod::{self, Bound};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Answers from memory, once every watch has listed.
pub(crate) struct WorldDirectory {
    pub(crate) context: Arc<Context>,
    pub(crate) synced: Arc<AtomicBool>,
}

impl Directory for WorldDirectory {
    fn secrets_for(
        &self,
        namespace: &str,
        service_account: &str,
        labels: &BTreeMap<String, String>,
    ) -> Lookup {
        if !self.synced.load(Ordering::Acquire) {
            return Lookup::NotReady;
        }
        match pod::compile(&self.context.world(), namespace, service_account, labels) {
            Ok(Bound::No) => Lookup::NoBinding,
            Ok(Bound::Unselected(bindings)) => Lookup::Unselected(bindings),
            Ok(Bound::Elsewhere) => Lookup::Elsewhere,
            Ok(Bound::NotYet) => Lookup::NotReady,
            Ok(Bound::Yes(secrets)) => Lookup::Found(secrets),
            Err(problem) => Lookup::Refused(problem.message),
        }
    }
}
