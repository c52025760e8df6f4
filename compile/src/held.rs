//! What has something in Vault that goes with it.

use k8s_openapi::serde::de::DeserializeOwned;
use keystead_crds::common::Disposal;
use keystead_crds::credential::DeletionPolicy;
use keystead_crds::names::FINALIZER;
use keystead_crds::{Credential, DatabaseConnection, DatabaseRole, EncryptionKey};
use kube::{Resource, ResourceExt as _};
use std::fmt::Debug;

/// A kind that has something in Vault. Where that goes with the object, the object waits for it: by our
/// finalizer.
pub trait Held:
    Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
    /// What it has there, in a plural word.
    const WHAT: &'static str;

    /// Whether that goes with it.
    fn goes(&self) -> bool;

    /// Whether it carries our finalizer.
    fn is_held(&self) -> bool {
        self.finalizers().iter().any(|name| name == FINALIZER)
    }
}

impl Held for Credential {
    const WHAT: &'static str = "values";

    fn goes(&self) -> bool {
        self.spec.deletion_policy != DeletionPolicy::Retain
    }
}

impl Held for DatabaseConnection {
    const WHAT: &'static str = "settings";

    fn goes(&self) -> bool {
        self.spec.deletion_policy == Disposal::Delete
    }
}

impl Held for DatabaseRole {
    const WHAT: &'static str = "settings";

    fn goes(&self) -> bool {
        self.spec.deletion_policy == Disposal::Delete
    }
}

impl Held for EncryptionKey {
    const WHAT: &'static str = "versions";

    fn goes(&self) -> bool {
        self.spec.deletion_policy == Disposal::Delete
    }
}
