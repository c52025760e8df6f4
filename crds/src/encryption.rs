//! `EncryptionKey`: a key that never leaves Vault, by which things are encrypted.

use crate::common::{BasicStatus, Disposal, HasBasicStatus, NameRef};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::Duration;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The versions that a status shows, at most: the newest.
pub const SHOWN_VERSIONS: usize = 16;

/// A key that never leaves Vault, by which things are encrypted.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "keystead.dev",
    version = "v1alpha1",
    kind = "EncryptionKey",
    plural = "encryptionkeys",
    shortname = "kek",
    category = "keystead",
    status = "EncryptionKeyStatus",
    doc = "A key that never leaves Vault, by which things are encrypted.",
    annotation("helm.sh/resource-policy", "keep"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Version", type_ = "integer", json_path = ".status.latestVersion"),
    printcolumn(
        name = "Oldest",
        type_ = "integer",
        json_path = ".status.minDecryptionVersion"
    ),
    printcolumn(name = "Rotated", type_ = "date", json_path = ".status.rotatedAt"),
    printcolumn(
        name = "Every",
        type_ = "string",
        json_path = ".spec.rotation.every",
        priority = 1
    ),
    printcolumn(
        name = "Provider",
        type_ = "string",
        json_path = ".spec.providerRef.name",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("size(self.metadata.name) <= 100")
        .message("metadata.name must have at most 100 characters: it becomes part of a name in Vault")
)]
#[serde(rename_all = "camelCase")]
pub struct EncryptionKeySpec {
    /// The provider whose Vault keeps it.
    #[x_kube(validation = Rule::new("self == oldSelf").message("providerRef is immutable: create another EncryptionKey"))]
    pub provider_ref: NameRef,
    /// What sort of key. Of an RSA key the public half is no secret: whoever has it can encrypt without
    /// Vault.
    #[x_kube(validation = Rule::new("self == oldSelf").message("type is immutable: create another EncryptionKey"))]
    pub r#type: KeyType,
    /// When Vault makes a new version by itself; never where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<KeyRotation>,
    /// The oldest version by which Vault still decrypts; as Vault has it where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub min_decryption_version: Option<i64>,
    /// What becomes of the key in Vault when this is deleted. With it goes all that was encrypted by it.
    #[serde(default = "retain")]
    pub deletion_policy: Disposal,
}

/// What sort of key, by Vault's own names.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum KeyType {
    /// RSA of 2048 bits.
    #[serde(rename = "rsa-2048")]
    Rsa2048,
    /// RSA of 3072 bits.
    #[serde(rename = "rsa-3072")]
    Rsa3072,
    /// RSA of 4096 bits.
    #[serde(rename = "rsa-4096")]
    Rsa4096,
    /// AES of 128 bits, in GCM.
    #[serde(rename = "aes128-gcm96")]
    Aes128,
    /// AES of 256 bits, in GCM.
    #[serde(rename = "aes256-gcm96")]
    Aes256,
    /// ChaCha20 with Poly1305.
    #[serde(rename = "chacha20-poly1305")]
    ChaCha20,
}

impl KeyType {
    /// Whether it has a public half.
    pub const fn has_public_half(self) -> bool {
        matches!(self, Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096)
    }

    /// Vault's name for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rsa2048 => "rsa-2048",
            Self::Rsa3072 => "rsa-3072",
            Self::Rsa4096 => "rsa-4096",
            Self::Aes128 => "aes128-gcm96",
            Self::Aes256 => "aes256-gcm96",
            Self::ChaCha20 => "chacha20-poly1305",
        }
    }
}

/// When Vault makes a new version of a key by itself. What older ones encrypted can still be decrypted.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
pub struct KeyRotation {
    /// How old a version gets, an hour or more.
    #[x_kube(validation = Rule::new("duration(self) >= duration('1h') && duration(self) <= duration('87600h')").message("every must be between 1h and 87600h: Vault rotates no key more often than once an hour"))]
    pub every: Duration,
    /// Whether it is on.
    #[serde(default = "on")]
    pub enabled: bool,
}

/// What is known of a key.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EncryptionKeyStatus {
    /// Conditions and the generation they speak of.
    #[serde(flatten)]
    pub basic: BasicStatus,
    /// Where it is in Vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The newest version, by which Vault encrypts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_version: Option<i64>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at: Option<Time>,
    /// The oldest version by which Vault still decrypts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_decryption_version: Option<i64>,
    /// The public halves of an RSA key's versions that can be used, the newest 16, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["version"]))]
    pub public_keys: Vec<PublicKey>,
    /// How many Credentials have values that a version sealed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["version"]))]
    pub sealed_by: Vec<SealedBy>,
}

/// What one version of a key sealed.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct SealedBy {
    /// Which version.
    pub version: i64,
    /// How many Credentials.
    pub credentials: i64,
}

/// The public half of one version of a key.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct PublicKey {
    /// Which version.
    pub version: i64,
    /// The key, as PEM.
    pub pem: String,
}

const fn on() -> bool {
    true
}

const fn retain() -> Disposal {
    Disposal::Retain
}

impl HasBasicStatus for EncryptionKeyStatus {
    fn basic(&self) -> &BasicStatus {
        &self.basic
    }

    fn basic_mut(&mut self) -> &mut BasicStatus {
        &mut self.basic
    }
}
