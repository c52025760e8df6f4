//! `SecretBinding`: which service accounts get which services, and how their pods see them.

mod on_change;

pub use on_change::{HttpSpec, Nobody, OnChange, Signal, SignalSpec};

use crate::common::{BasicStatus, NameRef, Resources, SidecarMode};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::Duration;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which service accounts of the namespace get which services, and how their pods see them.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "keystead.dev",
    version = "v1alpha1",
    kind = "SecretBinding",
    plural = "secretbindings",
    shortname = "ksb",
    category = "keystead",
    namespaced,
    status = "BasicStatus",
    doc = "Which service accounts of the namespace get which services, and how their pods see them.",
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
    printcolumn(name = "Accounts", type_ = "string", json_path = ".spec.serviceAccounts"),
    printcolumn(name = "Provider", type_ = "string", json_path = ".spec.providerRef.name"),
    printcolumn(
        name = "Secret",
        type_ = "string",
        json_path = ".spec.sync.secretName",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[kube(
    validation = Rule::new("!has(self.spec.files) || self.spec.files.all(f, !has(f.secret) || self.spec.secrets.exists(s, s.name == f.secret))")
        .message("spec.files: every 'secret' must be the name of an entry of spec.secrets"),
    validation = Rule::new("!has(self.spec.env) || self.spec.env.all(e, self.spec.secrets.exists(s, s.name == e.secret))")
        .message("spec.env: every 'secret' must be the name of an entry of spec.secrets"),
    validation = Rule::new("!has(self.spec.onChange) || (has(self.spec.files) && self.spec.files.size() > 0)")
        .message("spec.onChange tells of changed files, and spec.files has none: variables keep the value that a container started with"),
    validation = Rule::new("!has(self.spec.sidecar) || !has(self.spec.sidecar.mode) || self.spec.sidecar.mode != 'Init' || ((!has(self.spec.onChange) || has(self.spec.onChange.none)) && (!has(self.spec.files) || self.spec.files.all(f, !has(f.onChange) || has(f.onChange.none))))")
        .message("spec.sidecar.mode Init leaves nobody who could tell of changes: choose another mode, or take onChange away"),
)]
#[serde(rename_all = "camelCase")]
pub struct SecretBindingSpec {
    /// The provider the values come from.
    pub provider_ref: NameRef,
    /// Whose pods get them: names of service accounts in this namespace.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 253)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = Rule::new("self.all(name, name.matches('^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$'))")
        .message("serviceAccounts must be names of service accounts: lower-case letters, digits, '-' and '.'"))]
    pub service_accounts: Vec<String>,
    /// Which of their pods; all of them where it is left out. It shapes what a pod is shown, not what
    /// its service account may read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<LabelSelector>,
    /// Which services, each under a name that `files` and `env` use.
    #[schemars(length(min = 1, max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub secrets: Vec<BoundSecret>,
    /// Which containers and init containers of the pods get them; all of them where it is left out. It
    /// shapes what a container is shown, not what its pod may read. Of several bindings of a pod all that
    /// one names count, and where one names none, all that the pod has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 63)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = Rule::new("self.all(name, name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))")
        .message("containers must be names of containers: lower-case letters, digits and '-'"))]
    pub containers: Vec<String>,
    /// Where containers find the files; `/keystead` where it is left out. All bindings of a pod that say it
    /// must say the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 256))]
    #[x_kube(validation = Rule::new("self.matches('^(/[A-Za-z0-9_][-._A-Za-z0-9]*)+$')")
        .message("mountPath must be absolute, its names made of letters, digits, '-', '_' and '.', none starting with '.'"))]
    #[x_kube(validation = Rule::new("(!self.matches('^/(proc|sys|dev)(/|$)') || self.startsWith('/dev/shm/')) && !(self in ['/bin', '/etc', '/etc/hostname', '/etc/hosts', '/etc/resolv.conf', '/lib', '/lib64', '/sbin', '/usr', '/usr/bin', '/usr/lib', '/usr/lib64', '/usr/sbin'])")
        .message("mountPath must be a directory of its own, such as /etc/secrets: containers can't start or work without what they have in /proc, /sys, /dev, /bin, /etc, /lib, /sbin and /usr"))]
    pub mount_path: Option<String>,
    /// Files in the pod, below `mountPath`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["path"]))]
    pub files: Vec<FileSpec>,
    /// Environment variables of the pod's containers. They keep the value the container started with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub env: Vec<EnvSpec>,
    /// Who is told when files have changed: all of `files` that don't say it themselves. Changes that come
    /// close together are told once, and the first files of a pod to nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_change: Option<OnChange>,
    /// How often a pod looks for changed values. Where it is left out the namespace's annotation
    /// `keystead.dev/refresh-interval` counts, then the provider's `defaults`, then 1m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('24h')").message("refreshInterval must be between 1s and 24h"))]
    pub refresh_interval: Option<Duration>,
    /// A native Secret with the same values, for what can read nothing else. Off where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<SyncSpec>,
    /// The sidecar of the pods.
    #[serde(default, skip_serializing_if = "SidecarSpec::is_empty")]
    pub sidecar: SidecarSpec,
}

/// A native Secret that Keystead keeps.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncSpec {
    /// The Secret's name, in the binding's namespace. One that the binding does not own is left alone.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$')")
        .message("secretName must be the name of a Secret: lower-case letters, digits, '-' and '.'"))]
    pub secret_name: String,
}

/// How the sidecar is.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.restartOnChange) || !self.restartOnChange || (has(self.mode) && self.mode == 'Exec')")
    .message("restartOnChange needs mode: Exec, in which the sidecar's program starts the containers' commands"))]
pub struct SidecarSpec {
    /// What it asks the node for. Where it is left out the namespace's annotations
    /// `keystead.dev/sidecar-cpu` and `keystead.dev/sidecar-memory` count, then the provider's `defaults`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// The size of the volume in memory that holds the files, such as `32Mi`, two versions of them at every
    /// change; what is in it counts on the sidecar's memory. Where it is left out the provider's `defaults`
    /// count, then 32Mi, or four fifths of what a memory limit leaves beside the 7Mi that the sidecar needs itself.
    /// One that does not fit into the limit is refused. Of several bindings of a pod the largest counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = Rule::new("isQuantity(self) && quantity(self).compareTo(quantity('64Ki')) >= 0").message("filesSize must be a quantity of at least 64Ki, such as 32Mi"))]
    pub files_size: Option<String>,
    /// `Sidecar`: a sidecar keeps files current. `Init`: an init container writes them once. `Exec`: as
    /// `Sidecar`, and each container's `command` is started with its variables, whatever they hold. Where
    /// it is left out the namespace's annotation `keystead.dev/sidecar-mode` counts, then the provider's
    /// `defaults`, then `Sidecar`. Of several bindings of a pod the last of Init, Sidecar, Exec counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<SidecarMode>,
    /// Whether it comes before all other containers. `false`: after the last native sidecar that the pod
    /// has, such as a mesh's, without which it could not reach Vault; what stands before it gets no
    /// secrets. Where it is left out the namespace's annotation `keystead.dev/sidecar-first` counts, then
    /// the provider's `defaults`, then `true`. Of several bindings of a pod `false` counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<bool>,
    /// The port of its probes and metrics on the pod's address; 9102 where it is left out, and none in pods on
    /// the host's network. All bindings of a pod that say it must say the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 65535))]
    pub port: Option<i32>,
    /// Whether the containers' commands are ended and started anew when a value changes. For `mode: Exec`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restart_on_change: bool,
}

/// One service, one existing path in Vault or one DatabaseRole that a binding asks for.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[x_kube(validation = Rule::new("[has(self.service), has(self.path), has(self.databaseRole)].filter(given, given).size() == 1")
    .message("a secret needs exactly one of service, path and databaseRole"))]
#[x_kube(validation = Rule::new("has(self.path) || !has(self.method) || self.method == 'Get'")
    .message("method is for a path"))]
#[x_kube(validation = Rule::new("!has(self.parameters) || (has(self.method) && self.method == 'Post')")
    .message("parameters need method: Post"))]
#[x_kube(validation = Rule::new("!has(self.databaseRole) || !has(self.optional) || !self.optional")
    .message("optional is not for a databaseRole: whoever may have a user of a database needs it"))]
#[serde(rename_all = "camelCase")]
pub struct BoundSecret {
    /// The name by which `files` and `env` of this binding mean it.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// The service, as Credentials name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("service must be one path segment of lower-case letters, digits and '-'"))]
    pub service: Option<String>,
    /// An existing path, as Vault's API has it, such as `secret/data/team-a/app`: one that the
    /// provider's `allowedPaths` opens to this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9_][-_.A-Za-z0-9]*(/[A-Za-z0-9_][-_.A-Za-z0-9]*)*$')")
        .message("path must be a Vault path: segments of letters, digits, '-', '_' and '.' between single '/'"))]
    pub path: Option<String>,
    /// How the path is asked. `Post`: for engines that make something for each who asks, such as certificates;
    /// one that the provider's `allowedPaths` opens for `Post`.
    #[serde(default, skip_serializing_if = "PathMethod::is_get")]
    pub method: PathMethod,
    /// What a `Post` is asked with, such as `common_name`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32, "additionalProperties" = {"type": "string", "maxLength": 1024}))]
    pub parameters: BTreeMap<String, String>,
    /// A DatabaseRole of this namespace: each pod has a user of its own, with the keys `username`, `password`,
    /// `host`, `port`, `database` and `url`. `sync` leaves it out, because it is nobody else's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub database_role: Option<String>,
    /// Which keys of it; all of them where it is left out. It shapes what a pod is shown, not what its
    /// service account may read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 128)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub keys: Vec<String>,
    /// Whether a pod may start without it: its files and variables are then left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// How long a credential with a lease lives on beside the one that takes its place; 30s where it is left
    /// out. A lease with a short life may end sooner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('0s') && duration(self) <= duration('1h')").message("overlap must be between 0s and 1h"))]
    pub overlap: Option<Duration>,
}

/// How a path in Vault is asked.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub enum PathMethod {
    /// What is there is read.
    #[default]
    Get,
    /// Something is made.
    Post,
}

impl PathMethod {
    /// Whether it is the usual one.
    pub fn is_get(&self) -> bool {
        *self == Self::Get
    }
}

/// Longest template, in characters. All templates of a pod travel in one variable of its sidecar, which
/// Linux lets have 128 KiB.
pub const LONGEST_TEMPLATE: usize = 32 * 1024;

/// One file in the pod.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[x_kube(validation = Rule::new("(self.format == 'Raw') == has(self.key)")
    .message("a Raw file holds one key and needs 'key'; files of the other formats have none"))]
#[x_kube(validation = Rule::new("(self.format == 'Template') != has(self.secret)")
    .message("a file needs 'secret', but for a Template, which names its secrets itself and has none"))]
#[x_kube(validation = Rule::new("self.format == 'Template' ? has(self.template) != has(self.templateFrom) : !has(self.template) && !has(self.templateFrom)")
    .message("a Template file needs one of 'template' and 'templateFrom'; files of the other formats have neither"))]
#[serde(rename_all = "camelCase")]
pub struct FileSpec {
    /// Where, relative to `mountPath`: `/`-separated names, none of which begins with a dot.
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9_][-._A-Za-z0-9]*(/[A-Za-z0-9_][-._A-Za-z0-9]*)*$')")
        .message("path must be relative, its names made of letters, digits, '-', '_' and '.', none starting with '.'"))]
    pub path: String,
    /// What the file holds.
    pub format: FileFormat,
    /// Which entry of `secrets`; none for `Template`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub secret: Option<String>,
    /// Which key, for `Raw`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub key: Option<String>,
    /// The text, for `Template`: Jinja, in which `secret("hubspot").api_key` is a key of an entry of
    /// `secrets`. What it names and is not there is an error. docs/files.md has the filters and functions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = LONGEST_TEMPLATE))]
    pub template: Option<String>,
    /// Where the text is instead. A change there reaches pods that are created after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_from: Option<TemplateSource>,
    /// Who may read the file, as an octal mode such as `"0400"`: one of 0400, 0440, 0444, and 0500, 0550,
    /// 0555 for a file to be executed. Where it is left out the pod decides: 0440 with an `fsGroup`, 0400
    /// where all containers run as one user, else 0444. A pod whose containers could not read the file is
    /// refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("type(self) == int ? self in [256, 288, 292, 320, 360, 365] : self in ['0400', '0440', '0444', '0500', '0550', '0555', '400', '440', '444', '500', '550', '555']")
        .message("mode must be one of 0400, 0440, 0444, 0500, 0550 and 0555: nobody writes there (as a number in JSON: in decimal, 256 for 0400)"))]
    #[schemars(extend("maxLength" = 8))]
    pub mode: Option<IntOrString>,
    /// Who is told when this file has changed, instead of those that the binding's `onChange` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_change: Option<OnChange>,
}

/// Where the text of a template is.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TemplateSource {
    /// A key of a ConfigMap in the binding's namespace.
    pub config_map_key_ref: ConfigMapKeyReference,
}

/// One key of a ConfigMap in the object's own namespace.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
pub struct ConfigMapKeyReference {
    /// Name of the ConfigMap.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$')")
        .message("name must be the name of a ConfigMap: lower-case letters, digits, '-' and '.'"))]
    pub name: String,
    /// Its key.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[-._A-Za-z0-9]+$')")
        .message("key must be a key of a ConfigMap: letters, digits, '-', '_' and '.'"))]
    pub key: String,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum FileFormat {
    /// `NAME='value'` lines, one per key, the key's name in upper case.
    Dotenv,
    /// One JSON object, each key with its value as a string.
    Json,
    /// `key=value` lines as `java.util.Properties` reads them.
    Properties,
    /// One key's value, byte by byte.
    Raw,
    /// The certificate of an answer of Vault's `pki` engine and those that lead to its authority, as PEM: keys
    /// `certificate` and `ca_chain` or `issuing_ca`.
    Certificate,
    /// The certificates of the authority alone, for who is to trust it.
    Authority,
    /// The certificate's private key, as PEM: key `private_key`.
    PrivateKey,
    /// What a template makes of the values.
    Template,
    /// One YAML mapping, each key with its value as a string.
    Yaml,
}

/// One environment variable.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
pub struct EnvSpec {
    /// Name of the variable.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z_][A-Za-z0-9_]*$') && !self.startsWith('KEYSTEAD_')")
        .message("name must be letters, digits and '_', not starting with a digit or with KEYSTEAD_"))]
    pub name: String,
    /// Which entry of `secrets`.
    #[schemars(length(min = 1, max = 63))]
    pub secret: String,
    /// Which key of it.
    #[schemars(length(min = 1, max = 128))]
    pub key: String,
}

// === impl FileSpec ===

impl FileSpec {
    /// The mode that the file asks for; none where the pod decides.
    pub fn mode(&self) -> Option<u32> {
        match self.mode.as_ref()? {
            IntOrString::Int(mode) => u32::try_from(*mode).ok(),
            IntOrString::String(digits) => u32::from_str_radix(digits, 8).ok(),
        }
    }
}

// === impl SidecarSpec ===

impl SidecarSpec {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
