//! Condition types and reasons. A reason is PascalCase and never changes its meaning: people alert on it.

/// The condition every kind has.
pub const READY: &str = "Ready";

/// Of a provider: whether the operator's token may do all that it should.
pub const PERMITTED: &str = "Permitted";

/// Of a credential with `expiresAt`: whether it ends soon, or has ended.
pub const EXPIRING: &str = "Expiring";

/// Of a credential with `rotation`: whether its values are older than they are to get.
pub const ROTATION_DUE: &str = "RotationDue";

/// Of a binding: whether the scopes of level Node serve its pods. Only where they don't.
pub const NODE_SCOPES: &str = "NodeScopes";

/// Of a connection: whether nobody but Vault knows its root password.
pub const ROOT_ROTATED: &str = "RootRotated";

/// Why a condition is what it is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Reason {
    /// Two companies of one provider select the namespace; neither serves it.
    Ambiguous,
    /// Of a deleted object: what it has in Vault can't be taken away yet.
    CleanupBlocked,
    /// Something that is not ours, or an older object of ours, already stands there.
    Conflict,
    /// New values are due, and somebody has to bring them.
    Due,
    /// The credential has ended.
    Expired,
    /// The credential ends soon.
    ExpiresSoon,
    /// It is as declared, and declared as inactive: nobody is served.
    Inactive,
    /// The spec can't work as it is; the message says which field and what would be right.
    Invalid,
    /// An object that this one names does not exist.
    NotFound,
    /// The provider, scope or namespace does not admit this object.
    NotPermitted,
    /// A value that Keystead made is gone from Vault; it is not made anew unless somebody asks.
    Lost,
    /// It works only with `workloadAuth.method: Jwt`.
    NeedsJwt,
    /// The root password is still the one that was given.
    NotRotated,
    /// The credential does not end soon, or nothing is due yet.
    NotYet,
    /// The annotation `keystead.dev/paused` stops everything.
    Paused,
    /// The operator's token may do all that it should.
    Permitted,
    /// Nobody but Vault knows the root password.
    Rotated,
    /// The endpoint that gives new values refused or did not answer.
    WebhookFailed,
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
            Self::CleanupBlocked => "CleanupBlocked",
            Self::Conflict => "Conflict",
            Self::Due => "Due",
            Self::Expired => "Expired",
            Self::ExpiresSoon => "ExpiresSoon",
            Self::Inactive => "Inactive",
            Self::Invalid => "Invalid",
            Self::Lost => "Lost",
            Self::NeedsJwt => "NeedsJwt",
            Self::NotRotated => "NotRotated",
            Self::NotYet => "NotYet",
            Self::Paused => "Paused",
            Self::Permitted => "Permitted",
            Self::Rotated => "Rotated",
            Self::WebhookFailed => "WebhookFailed",
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
