//! Labels, annotations and the names of what is added to a pod: one place for every string that
//! two parts must spell alike.

/// Label on a pod (template) or a namespace: `"true"` asks for injection, `"false"` on a pod opts out.
pub const INJECT_LABEL: &str = "keystead.dev/inject";

/// Annotation the webhook leaves on a pod it has injected: the names of the bindings it used.
pub const INJECTED_ANNOTATION: &str = "keystead.dev/injected";

/// Annotation on any of our objects: a changed value reconciles it at once.
pub const SYNC_ANNOTATION: &str = "keystead.dev/sync";

/// Prefix of every label and annotation of ours.
pub const PREFIX: &str = "keystead.dev/";

/// Name of the injected container.
pub const CONTAINER: &str = "keystead";

/// Volume with the files the application reads.
pub const FILES_VOLUME: &str = "keystead";
/// Volume only the sidecar mounts: env files, the readiness file.
pub const PRIVATE_VOLUME: &str = "keystead-private";
/// Volume with the projected service account token for Vault.
pub const TOKEN_VOLUME: &str = "keystead-token";

/// Where applications find their files.
pub const FILES_DIR: &str = "/keystead";
/// Where the sidecar mounts [`PRIVATE_VOLUME`].
pub const PRIVATE_DIR: &str = "/keystead-private";
/// Where the sidecar mounts [`TOKEN_VOLUME`].
pub const TOKEN_DIR: &str = "/keystead-token";
/// The token's file name in [`TOKEN_DIR`].
pub const TOKEN_FILE: &str = "vault";

/// In [`PRIVATE_VOLUME`]: the variables of the binding, one `NAME='value'` after another.
pub const ENV_FILE: &str = "env";
/// In [`PRIVATE_VOLUME`]: completed last, taken away first. Containers wait for [`READY_KEY`] in it.
pub const READY_FILE: &str = "ready";
/// The key in [`READY_FILE`]. It is a sentence because a pod that waits shows it as its message.
pub const READY_KEY: &str = "KEYSTEAD_READY (why: kubectl logs -c keystead)";
/// The variable that each guarded container gets from [`READY_FILE`].
pub const READY_ENV: &str = "KEYSTEAD_READY";

/// The sidecar's environment: its config as JSON ([`crate::sidecar::Config`]).
pub const CONFIG_ENV: &str = "KEYSTEAD_CONFIG";
/// The sidecar's environment: the node it runs on.
pub const NODE_ENV: &str = "KEYSTEAD_NODE";
/// The sidecar's environment: the address it serves probes and metrics on.
pub const POD_IP_ENV: &str = "KEYSTEAD_POD_IP";
/// Port of `/livez`, `/readyz` and `/metrics` on the pod's address.
pub const SIDECAR_PORT: u16 = 9102;
