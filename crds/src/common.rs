//! Types that several kinds share.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name of a cluster-scoped object of ours.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub struct NameRef {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A Secret in another namespace, as cluster-scoped kinds name it.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
pub struct SecretReference {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$')")
        .message("name must be the name of a Secret: lower-case letters, digits, '-' and '.'"))]
    pub name: String,
    /// Namespace of the Secret.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("namespace must be the name of a namespace: lower-case letters, digits and '-'"))]
    pub namespace: String,
}

/// One key of a Secret in another namespace, as cluster-scoped kinds name it.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
pub struct SecretKeyReference {
    /// The Secret.
    #[serde(flatten)]
    pub secret: SecretReference,
    /// Key in the Secret's data.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// What a sidecar asks the node for.
#[derive(Clone, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
pub struct Resources {
    /// Processor time, such as `10m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = Rule::new("isQuantity(self) && quantity(self).isGreaterThan(quantity('0'))").message("cpu must be a quantity above zero, such as 10m"))]
    pub cpu: Option<String>,
    /// Memory, such as `16Mi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = Rule::new("isQuantity(self) && quantity(self).compareTo(quantity('8Mi')) >= 0").message("memory must be a quantity of at least 8Mi, such as 16Mi"))]
    pub memory: Option<String>,
    /// What it may use at most. Where it is left out it has a limit of whatever all other containers of its
    /// pod have one of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

/// What a sidecar may use.
#[derive(Clone, Debug, Default, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
pub struct Limits {
    /// Processor time, such as `100m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = Rule::new("isQuantity(self) && quantity(self).isGreaterThan(quantity('0'))").message("cpu must be a quantity above zero, such as 100m"))]
    pub cpu: Option<String>,
    /// Memory, such as `64Mi`. Files and variables count on it: a sidecar that is ended for using more takes
    /// the pod's secrets with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = Rule::new("isQuantity(self) && quantity(self).compareTo(quantity('8Mi')) >= 0").message("memory must be a quantity of at least 8Mi, such as 64Mi"))]
    pub memory: Option<String>,
}

/// How pods get their secrets.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub enum SidecarMode {
    /// Once, by an init container: nothing stays, and what changes later reaches only new pods.
    Init,
    /// By a sidecar that keeps files current; variables come from the kubelet.
    Sidecar,
    /// The same, and the sidecar's program starts the containers' commands with their variables: each
    /// container needs a `command`.
    Exec,
}

impl SidecarMode {
    /// Reads its name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "Init" => Some(Self::Init),
            "Sidecar" => Some(Self::Sidecar),
            "Exec" => Some(Self::Exec),
            _ => None,
        }
    }
}

/// One key of a Secret in the object's own namespace.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
pub struct LocalSecretKeyReference {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$')")
        .message("name must be the name of a Secret: lower-case letters, digits, '-' and '.'"))]
    pub name: String,
    /// Key in the Secret's data.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// Namespaces chosen by their labels.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Namespaces {
    /// Which namespaces; the empty selector chooses all of them.
    pub namespace_selector: LabelSelector,
}

/// What becomes of what stands in Vault when the object is deleted.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Disposal {
    /// It stays.
    Retain,
    /// It goes.
    Delete,
}

/// What every kind reports.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BasicStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready` and, where a kind has more to say, its own conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Tells one state of all that this is made from from another: what is declared, the versions of
    /// Secrets, the Vault. Where it stands and is still the same, an operator that starts looks at Vault
    /// in its turn, not at once. Made of names and versions, never of values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

/// A status that has the part every kind reports.
pub trait HasBasicStatus {
    /// That part.
    fn basic(&self) -> &BasicStatus;
    /// The same, to be changed.
    fn basic_mut(&mut self) -> &mut BasicStatus;
}

impl HasBasicStatus for BasicStatus {
    fn basic(&self) -> &BasicStatus {
        self
    }

    fn basic_mut(&mut self) -> &mut BasicStatus {
        self
    }
}
