//! The webhook's view of the world.

use crate::context::Context;
use crate::webhook::{Directory, Lookup};
use keystead_compile::World;
use keystead_compile::kinds::pod::{self, Bound};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLockReadGuard};

/// Answers from memory, once every watch has listed.
pub(crate) struct WorldDirectory {
    pub(crate) context: Arc<Context>,
    pub(crate) synced: Arc<AtomicBool>,
}

impl Directory for WorldDirectory {
    fn world(&self) -> Option<RwLockReadGuard<'_, World>> {
        let synced = self.synced.load(Ordering::Acquire);
        synced.then(|| self.context.world())
    }

    fn secrets_for(&self, namespace: &str, service_account: &str) -> Lookup {
        let Some(world) = self.world() else {
            return Lookup::NotReady;
        };
        match pod::compile(&world, namespace, service_account) {
            Ok(Bound::No) => Lookup::NoBinding,
            Ok(Bound::Elsewhere) => Lookup::Elsewhere,
            Ok(Bound::NotYet) => Lookup::NotReady,
            Ok(Bound::Yes(secrets)) => Lookup::Found(secrets),
            Err(problem) => Lookup::Refused(problem.message),
        }
    }
}
