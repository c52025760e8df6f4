//! Labels, annotations and the names of what is added to a pod: one place for every string that
//! two parts must spell alike.

/// Label on a pod (template) or a namespace: `"true"` asks for injection, `"false"` on a pod opts out.
pub const INJECT_LABEL: &str = "keystead.dev/inject";

/// Annotation the webhook leaves on a pod it has injected: the names of the bindings it used.
pub const INJECTED_ANNOTATION: &str = "keystead.dev/injected";

/// Annotation on any of our objects: `"true"` stops everything that Keystead does for it.
pub const PAUSED_ANNOTATION: &str = "keystead.dev/paused";

/// Annotation on any of our objects: any new value has it reconciled at once.
pub const SYNC_ANNOTATION: &str = "keystead.dev/sync";

/// Annotation on a deleted object: `"true"` lets it go, whatever is left behind in Vault.
pub const RELEASE_ANNOTATION: &str = "keystead.dev/release";

/// Annotation on a Credential: a new value has its values replaced, in the window of its rotation if there
/// is one. A value that begins with [`ROTATE_NOW`] waits for no window, and nothing before is kept.
pub const ROTATE_ANNOTATION: &str = "keystead.dev/rotate";

/// How a value of [`ROTATE_ANNOTATION`] begins where the old values must go at once.
pub const ROTATE_NOW: &str = "now";

/// What begins the names of all our annotations and labels.
pub const PREFIX: &str = "keystead.dev/";

/// Annotation on a DatabaseConnection: a new value has its root password sent to Vault once more.
pub const ROOT_PASSWORD_ANNOTATION: &str = "keystead.dev/root-password";

/// Annotation on a namespace or a pod: how often pods look for changed values, such as `30s`.
pub const REFRESH_ANNOTATION: &str = "keystead.dev/refresh-interval";
/// Annotation on a namespace or a pod: processor time that sidecars ask for, such as `10m`.
pub const SIDECAR_CPU_ANNOTATION: &str = "keystead.dev/sidecar-cpu";
/// Annotation on a namespace or a pod: memory that sidecars ask for, such as `16Mi`.
pub const SIDECAR_MEMORY_ANNOTATION: &str = "keystead.dev/sidecar-memory";
/// Annotation on a namespace or a pod: processor time that sidecars may use, such as `100m`.
pub const SIDECAR_CPU_LIMIT_ANNOTATION: &str = "keystead.dev/sidecar-cpu-limit";
/// Annotation on a namespace or a pod: memory that sidecars may use, such as `64Mi`.
pub const SIDECAR_MEMORY_LIMIT_ANNOTATION: &str = "keystead.dev/sidecar-memory-limit";
/// Annotation on a namespace or a pod: the mode of sidecars, `Sidecar`, `Init` or `Exec`.
pub const SIDECAR_MODE_ANNOTATION: &str = "keystead.dev/sidecar-mode";
/// Annotation on a namespace or a pod: whether sidecars come before all other containers, `true` or `false`.
pub const SIDECAR_FIRST_ANNOTATION: &str = "keystead.dev/sidecar-first";
/// Annotation on a pod: which of its containers get secrets, such as `web,worker`.
pub const CONTAINERS_ANNOTATION: &str = "keystead.dev/containers";
/// Annotation on a pod: where its containers find their files, such as `/etc/secrets`.
pub const MOUNT_PATH_ANNOTATION: &str = "keystead.dev/mount-path";
/// Annotation on a pod: the port of its sidecar's probes and metrics.
pub const SIDECAR_PORT_ANNOTATION: &str = "keystead.dev/sidecar-port";
/// All annotations of namespaces that count.
pub const NAMESPACE_ANNOTATIONS: [&str; 7] = [
    REFRESH_ANNOTATION,
    SIDECAR_CPU_ANNOTATION,
    SIDECAR_CPU_LIMIT_ANNOTATION,
    SIDECAR_FIRST_ANNOTATION,
    SIDECAR_MEMORY_ANNOTATION,
    SIDECAR_MEMORY_LIMIT_ANNOTATION,
    SIDECAR_MODE_ANNOTATION,
];
/// All annotations by which a pod may ask for something else than its bindings do.
pub const POD_ANNOTATIONS: [&str; 10] = [
    CONTAINERS_ANNOTATION,
    MOUNT_PATH_ANNOTATION,
    REFRESH_ANNOTATION,
    SIDECAR_CPU_ANNOTATION,
    SIDECAR_CPU_LIMIT_ANNOTATION,
    SIDECAR_FIRST_ANNOTATION,
    SIDECAR_MEMORY_ANNOTATION,
    SIDECAR_MEMORY_LIMIT_ANNOTATION,
    SIDECAR_MODE_ANNOTATION,
    SIDECAR_PORT_ANNOTATION,
];
/// Annotations that Keystead itself puts on pods. People copy pods, so they are no mistake there.
pub const OWN_POD_ANNOTATIONS: [&str; 1] = [INJECTED_ANNOTATION];

/// Finalizer of what has something in Vault that goes with it: the operator takes it off when that is gone.
pub const FINALIZER: &str = "keystead.dev/cleanup";

/// Label on a native Secret that a binding's `sync` keeps.
pub const SYNCED_LABEL: &str = "keystead.dev/synced";

/// Name of the injected container.
pub const CONTAINER: &str = "keystead";
/// Name of the init container that holds the others back, where the kubelet can't.
pub const GATE_CONTAINER: &str = "keystead-gate";

/// Volume with the files the application reads.
pub const FILES_VOLUME: &str = "keystead";
/// Volume only the sidecar mounts: env files, the readiness file.
pub const PRIVATE_VOLUME: &str = "keystead-private";
/// Volume with the projected service account tokens.
pub const TOKEN_VOLUME: &str = "keystead-token";

/// Where applications find their files, unless they ask for another place, and where the sidecar does.
pub const FILES_DIR: &str = "/keystead";
/// Where the sidecar mounts [`PRIVATE_VOLUME`].
pub const PRIVATE_DIR: &str = "/keystead-private";
/// Where the sidecar mounts [`TOKEN_VOLUME`].
pub const TOKEN_DIR: &str = "/keystead-token";
/// In [`TOKEN_DIR`]: the token for Vault.
pub const TOKEN_FILE: &str = "vault";
/// In [`TOKEN_DIR`]: the token for the operator.
pub const REPORT_TOKEN_FILE: &str = "operator";
/// Audience of that token.
pub const REPORT_AUDIENCE: &str = "keystead";
/// Where the operator takes what sidecars say of their pods ([`crate::sidecar::PodReport`]).
pub const REPORT_PATH: &str = "/v1/reports";

/// In [`PRIVATE_VOLUME`]: the variables of the binding, one `NAME='value'` after another.
pub const ENV_FILE: &str = "env";
/// In [`PRIVATE_VOLUME`]: completed last, taken away first. Containers wait for [`READY_KEY`] in it.
pub const READY_FILE: &str = "ready";
/// The key in [`READY_FILE`]. It is a sentence because a pod that waits shows it as its message.
pub const READY_KEY: &str = "KEYSTEAD_READY (why: kubectl logs -c keystead)";
/// The variable that each guarded container gets from [`READY_FILE`].
pub const READY_ENV: &str = "KEYSTEAD_READY";

/// In [`FILES_DIR`]: the sidecar's program, for containers whose command it starts.
pub const PROGRAM_FILE: &str = ".keystead";
/// In [`FILES_DIR`]: the variables for such containers, each `NAME=value` and a zero byte. Completed
/// last, taken away first.
pub const VARIABLES_FILE: &str = ".variables";

/// A container's environment, where its files are elsewhere than in [`FILES_DIR`].
pub const FILES_DIR_ENV: &str = "KEYSTEAD_FILES_DIR";

/// The sidecar's environment: its config as JSON ([`crate::sidecar::Config`]).
pub const CONFIG_ENV: &str = "KEYSTEAD_CONFIG";
/// The sidecar's environment: the node it runs on.
pub const NODE_ENV: &str = "KEYSTEAD_NODE";
/// The sidecar's environment: the address it serves probes and metrics on.
pub const POD_IP_ENV: &str = "KEYSTEAD_POD_IP";
/// The sidecar's environment: the port there, where it is another than [`SIDECAR_PORT`].
pub const PORT_ENV: &str = "KEYSTEAD_PORT";
/// Port of `/livez`, `/readyz` and `/metrics` on the pod's address, where nobody asks for another.
pub const SIDECAR_PORT: u16 = 9102;

/// Directories and files without which containers can't start or work.
const SYSTEM: [&str; 13] = [
    "/bin",
    "/etc",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/lib",
    "/lib64",
    "/sbin",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/lib64",
    "/usr/sbin",
];

/// Whether no volume should be mounted at a path in a container: what is hidden there it can't start or work
/// without, or the kernel keeps it.
pub fn is_system_path(path: &str) -> bool {
    let of_kernel = |dir: &&str| {
        let below = path.strip_prefix(*dir);
        below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
    };
    let kernels = ["/proc", "/sys", "/dev"].iter().any(of_kernel);
    SYSTEM.contains(&path) || (kernels && !path.starts_with("/dev/shm/"))
}

/// Whether a text is a DNS label (RFC 1123), as names of namespaces and clusters are.
pub fn is_dns_label(text: &str) -> bool {
    text.len() <= 63 && !text.contains('.') && is_dns_subdomain(text)
}

/// Whether a text is a DNS subdomain (RFC 1123), as most names in Kubernetes are. There is no upper
/// case in one: Vault folds the case of names, so two that differ by it would be one.
pub fn is_dns_subdomain(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    let outer =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = text.as_bytes();
    text.len() <= 253 && bytes.iter().copied().all(inner) && outer(bytes.first()) && outer(bytes.last())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_systems() {
        for path in [
            "/proc",
            "/proc/1",
            "/sys/fs",
            "/dev",
            "/dev/shm",
            "/dev/x",
            "/usr",
            "/etc/hosts",
        ] {
            assert!(is_system_path(path), "{path}");
        }
        for path in ["/dev/shm/x", "/devices", "/etc/x", "/usr/share", "/keystead"] {
            assert!(!is_system_path(path), "{path}");
        }
        // The rule of the definition knows them, too.
        let quoted: Vec<String> = SYSTEM.iter().map(|path| format!("'{path}'")).collect();
        let rule = format!("self in [{}]", quoted.join(", "));
        assert!(include_str!("binding.rs").contains(&rule), "{rule}");
    }

    #[test]
    fn names_of_kubernetes() {
        for good in ["a", "web", "web-1", "0"] {
            assert!(is_dns_label(good) && is_dns_subdomain(good), "{good}");
        }
        assert!(is_dns_subdomain("web.v2") && !is_dns_label("web.v2"));
        let (label, name) = ("a".repeat(64), "a".repeat(254));
        for bad in [
            "",
            "WEB",
            "-a",
            "a-",
            "a*",
            "a/b",
            "..",
            "{{a}}",
            "a b",
            "a+",
            label.as_str(),
        ] {
            assert!(!is_dns_label(bad), "{bad}");
        }
        assert!(!is_dns_subdomain(&name) && !is_dns_subdomain("../a") && !is_dns_subdomain("WEB"));
    }
}
