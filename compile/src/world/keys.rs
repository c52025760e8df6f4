//! The encryption keys that are declared.

use super::{World, set};
use keystead_crds::EncryptionKey;
use std::sync::Arc;

impl World {
    /// Puts a key in, or takes it out; answers what stood there.
    pub fn set_encryption_key(
        &mut self,
        name: &str,
        object: Option<Arc<EncryptionKey>>,
    ) -> Option<Arc<EncryptionKey>> {
        set(&mut self.keys, name.to_owned(), object)
    }

    /// A key by name.
    pub fn encryption_key(&self, name: &str) -> Option<&Arc<EncryptionKey>> {
        self.keys.get(name)
    }

    /// Every key.
    pub fn encryption_keys(&self) -> impl Iterator<Item = &Arc<EncryptionKey>> {
        self.keys.values()
    }
}
