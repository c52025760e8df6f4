//! What a provider opens besides its own paths in Vault: others, and endpoints for new values.

use crate::binding::PathMethod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Existing paths in Vault, opened to some namespaces.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
pub struct AllowedPath {
    /// A path as Vault's API has it, such as `secret/data/team-a`; it stands for itself and all below it.
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9_][-_.A-Za-z0-9]*(/[A-Za-z0-9_][-_.A-Za-z0-9]*)*$')")
        .message("prefix must be a Vault path: segments of letters, digits, '-', '_' and '.' between single '/'"))]
    #[x_kube(validation = Rule::new("!self.matches('^(sys|auth|identity|cubbyhole)(/|$)')")
        .message("prefix must be below a secret engine: nothing below sys, auth, identity or cubbyhole is for pods"))]
    pub prefix: String,
    /// Which namespaces' bindings may name it; the empty selector chooses all that the provider admits.
    pub namespaces: LabelSelector,
    /// How they may ask it; by `Get` alone where it is left out. By `Post` engines make things, such as
    /// certificates, and whoever may do that to a KV engine writes there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub methods: Vec<PathMethod>,
}

impl AllowedPath {
    /// Whether it may be asked so.
    pub fn allows(&self, method: PathMethod) -> bool {
        self.methods.contains(&method) || (self.methods.is_empty() && method.is_get())
    }
}

/// Endpoints that make new values, opened to some namespaces.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
pub struct RotationWebhooks {
    /// How their URLs begin, with a `/` at its end, such as `https://rotator.ops.svc/`.
    #[schemars(length(min = 10, max = 512))]
    #[x_kube(validation = Rule::new("self.matches('^https://[A-Za-z0-9]([-.A-Za-z0-9]*[A-Za-z0-9])?(:[0-9]{1,5})?(/[-._~A-Za-z0-9]+)*/$')")
        .message("prefix must be https://host[:port]/ or a path below it, with a '/' at its end"))]
    pub prefix: String,
    /// Which namespaces' Credentials may name them; the empty selector chooses all that the provider admits.
    pub namespaces: LabelSelector,
}
