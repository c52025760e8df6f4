//! Condition types and reasons. A reason is PascalCase and never changes its meaning: people alert on it.

/// The condition every kind has.
pub const READY: &str = "Ready";

/// Why a `Ready` condition is what it is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Reason {
    /// Two companies of one provider select the namespace; neither serves it.
    Ambiguous,
    /// Something that is not ours, or an older object of ours, already stands there.
    Conflict,
    /// The spec can't work as it is; the message says which field and what would be right.
    Invalid,
    /// An object that this one names does not exist.
    NotFound,
    /// The provider, scope or namespace does not admit this object.
    NotPermitted,
    /// Kubernetes refused or did not answer a request.
    KubernetesError,
    /// Everything declared is in Vault as declared.
    Synced,
    /// Vault refused a request for lack of rights.
    VaultDenied,
    /// Vault answered with an error.
    VaultError,
    /// Vault is sealed.
    VaultSealed,
    /// Vault can't be reached.
    VaultUnreachable,
}

impl Reason {
    /// The reason as it stands in conditions, events and metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ambiguous => "Ambiguous",
            Self::Conflict => "Conflict",
            Self::Invalid => "Invalid",
            Self::NotFound => "NotFound",
            Self::NotPermitted => "NotPermitted",
            Self::KubernetesError => "KubernetesError",
            Self::Synced => "Synced",
            Self::VaultDenied => "VaultDenied",
            Self::VaultError => "VaultError",
            Self::VaultSealed => "VaultSealed",
            Self::VaultUnreachable => "VaultUnreachable",
        }
    }
}
