//! `Credential`: the keys of one service at one scope.

mod rotation;

pub use rotation::{Rotation, RotationMethod, RotationStatus, RotationWebhook, RotationWindow, Weekday};

use crate::common::{BasicStatus, HasBasicStatus, LocalSecretKeyReference, NameRef};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The keys of one service at one scope.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "keystead.dev",
    version = "v1alpha1",
    kind = "Credential",
    plural = "credentials",
    shortname = "kcred",
    category = "keystead",
    namespaced,
    status = "CredentialStatus",
    doc = "The keys of one service at one scope.",
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
    printcolumn(name = "Service", type_ = "string", json_path = ".spec.service"),
    printcolumn(name = "Scope", type_ = "string", json_path = ".spec.scopeRef.name"),
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Version", type_ = "integer", json_path = ".status.version"),
    printcolumn(name = "Rotated", type_ = "date", json_path = ".status.rotation.last"),
    printcolumn(name = "Due", type_ = "string", json_path = ".status.rotation.due"),
    printcolumn(name = "Held By", type_ = "string", json_path = ".status.heldBy"),
    printcolumn(
        name = "Expires",
        type_ = "string",
        json_path = ".spec.expiresAt",
        priority = 1
    ),
    printcolumn(
        name = "Rotations",
        type_ = "integer",
        json_path = ".status.rotation.count",
        priority = 1
    ),
    printcolumn(name = "Owner", type_ = "string", json_path = ".spec.owner", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.rotation) || has(self.rotation.every) || has(self.rotation.schedule) || self.type in ['Database', 'ApiKey', 'Storage']")
    .message("rotation needs every or schedule: only the types Database, ApiKey and Storage have a period of their own"))]
#[x_kube(validation = Rule::new("!has(self.rotation) || self.rotation.method != 'Generate' || self.keys.exists(key, has(key.from.generate))")
    .message("rotation.method Generate needs a key with from.generate: Keystead replaces only what it made; say None to be reminded"))]
#[x_kube(validation = Rule::new("(has(self.rotation) && self.rotation.method == 'Webhook') == self.keys.exists(key, has(key.from.webhook))")
    .message("rotation.method Webhook and keys with from.webhook need each other: the webhook gives the values of these keys"))]
pub struct CredentialSpec {
    /// The scope these values are declared for.
    #[x_kube(validation = Rule::new("self == oldSelf").message("scopeRef is immutable: create another Credential"))]
    pub scope_ref: NameRef,
    /// What the credential opens, such as `hubspot`; the last segment of its path in Vault.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("service must be one path segment of lower-case letters, digits and '-'"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("service is immutable: create another Credential"))]
    pub service: String,
    /// What sort of credential it is, for people and policies.
    #[serde(default)]
    pub r#type: CredentialType,
    /// The keys and where their values come from.
    #[schemars(length(min = 1, max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub keys: Vec<CredentialKey>,
    /// What it is for, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub description: Option<String>,
    /// Who answers for it: a team, a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub owner: Option<String>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 63)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub tags: Vec<String>,
    /// Whether it is served. `false` hides the values (the newest version is deleted, and undeleted by
    /// `true`); nothing is lost.
    #[serde(default = "yes")]
    pub active: bool,
    /// When the credential ends where it was issued. A condition and an event warn ahead of time; the
    /// values stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// When the values are replaced, and by whom; never where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,
    /// What becomes of the values when the Credential is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// What to do with values that stand at the path and that Keystead did not write.
    #[serde(default)]
    pub adoption: Adoption,
}

/// What becomes of values whose Credential is deleted.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum DeletionPolicy {
    /// They stay: they may be the only copy.
    #[default]
    Retain,
    /// Every version is deleted, as Vault means it: whoever may undelete can bring it back.
    Delete,
    /// Every version is destroyed: nobody can bring it back.
    Destroy,
}

/// What to do with values at the path that Keystead did not write.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Adoption {
    /// Leave them as they are, and say `Conflict`.
    #[default]
    Refuse,
    /// Take the path over: the declared keys are written, the others stay. What carries the mark of
    /// another Credential is refused all the same.
    Adopt,
}

/// What sort of credential it is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum CredentialType {
    /// A key of an API.
    ApiKey,
    /// A whole connection string.
    ConnectionString,
    /// User and password of a database.
    Database,
    /// An OAuth client or refresh token.
    OAuthToken,
    /// Anything else.
    #[default]
    Opaque,
    /// Keys of an object store.
    Storage,
    /// The shared secret of a webhook.
    WebhookSecret,
}

/// One key of a service.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
pub struct CredentialKey {
    /// Name of the key, such as `api_key`.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9_]([-._A-Za-z0-9]*[A-Za-z0-9_])?$')")
        .message("name must be letters, digits, '_', '-' and '.', e.g. api_key"))]
    pub name: String,
    /// Where the value comes from.
    pub from: ValueSource,
}

/// Where a value comes from: exactly one of the fields.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.secretKeyRef), has(self.generate), has(self.sealed), has(self.value), has(self.vault), has(self.webhook)].filter(given, given).size() == 1")
    .message("from needs exactly one of secretKeyRef, generate, sealed, value, vault and webhook"))]
pub struct ValueSource {
    /// A key of a Secret in the Credential's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<LocalSecretKeyReference>,
    /// The value itself, for what is not secret (a URL, a user name): whoever reads the Credential reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub value: Option<String>,
    /// Keystead makes the value, once, and keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<Generate>,
    /// The value, encrypted by `kubectl keystead seal` for this key of this Credential alone: safe in git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Sealed>,
    /// People write the value in Vault: Keystead guards the path and never writes this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vault: Option<InVault>,
    /// The endpoint in `rotation.webhook` gives the value: the first one and all that come after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<FromWebhook>,
}

/// A value that Keystead makes.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.alphabet) || size(self.classes) > 0").message("generate needs an alphabet or classes to draw from"))]
#[x_kube(validation = Rule::new("!has(self.alphabet) || self.classes.all(class, self.alphabet.matches({'Lower': '[a-z]', 'Upper': '[A-Z]', 'Digit': '[0-9]', 'Symbol': '[-_.~!@%^*+=:,?/]'}[class]))")
    .message("alphabet needs a character of each of classes, which are Lower, Upper and Digit where they are left out: add what is missing, or say in classes which are wanted"))]
pub struct Generate {
    /// How many characters.
    #[serde(default = "default_length")]
    #[schemars(range(min = 8, max = 4096), extend("format" = "int32"))]
    pub length: u16,
    /// The characters to draw from; those of the classes where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 10, max = 256))]
    #[x_kube(validation = Rule::new("self.matches('^[!-~]*$')").message("alphabet must be printable ASCII characters without the blank"))]
    pub alphabet: Option<String>,
    /// Of each of these there is at least one character.
    #[serde(default = "default_classes")]
    #[schemars(length(max = 4))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub classes: Vec<CharacterClass>,
}

/// A sort of characters.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum CharacterClass {
    /// `a` to `z`.
    Lower,
    /// `A` to `Z`.
    Upper,
    /// `0` to `9`.
    Digit,
    /// `-_.~!@%^*+=:,?/`: none that a shell's double quotes or an env file trips over.
    Symbol,
}

/// A value that was encrypted outside, and that Vault opens.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sealed {
    /// The EncryptionKey by whose public half it was sealed.
    pub key_ref: NameRef,
    /// What the value is encrypted by, itself encrypted by that: `vault:v`, the version, `:` and base64.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = Rule::new("self.matches('^vault:v[1-9][0-9]{0,8}:[A-Za-z0-9+/]+=*$')").message("wrappedKey must be as kubectl keystead seal wrote it: vault:v1:…"))]
    pub wrapped_key: String,
    /// The value, encrypted, in base64.
    #[schemars(length(min = 1, max = 45000))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9+/]+=*$')").message("ciphertext must be as kubectl keystead seal wrote it, in base64"))]
    pub ciphertext: String,
}

impl Sealed {
    /// The version of the key that sealed it.
    pub fn version(&self) -> Option<i64> {
        let (version, _) = self.wrapped_key.strip_prefix("vault:v")?.split_once(':')?;
        version.parse().ok()
    }
}

/// A value that people write in Vault, with `vault kv patch` at the path that the status names.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct InVault {}

/// A value that the endpoint in `rotation.webhook` gives.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct FromWebhook {}

/// What is known of a Credential.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialStatus {
    /// Conditions and the generation they speak of.
    #[serde(flatten)]
    pub basic: BasicStatus,
    /// Where the values are: the path in the KV engine, with its mount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The version in the KV engine that holds the values as declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// How often the values were replaced, when, and when next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<RotationStatus>,
    /// Which service accounts' bindings grant the service: how many, and the first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<String>,
}

// === defaults ===

const fn yes() -> bool {
    true
}

const fn default_length() -> u16 {
    32
}

fn default_classes() -> Vec<CharacterClass> {
    vec![
        CharacterClass::Lower,
        CharacterClass::Upper,
        CharacterClass::Digit,
    ]
}

// === impl CharacterClass ===

impl CharacterClass {
    /// Its characters.
    pub const fn characters(self) -> &'static str {
        match self {
            Self::Lower => "abcdefghijklmnopqrstuvwxyz",
            Self::Upper => "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
            Self::Digit => "0123456789",
            Self::Symbol => "-_.~!@%^*+=:,?/",
        }
    }
}

// === impl CredentialStatus ===

impl HasBasicStatus for CredentialStatus {
    fn basic(&self) -> &BasicStatus {
        &self.basic
    }

    fn basic_mut(&mut self) -> &mut BasicStatus {
        &mut self.basic
    }
}
