//! Who is told when files have changed.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who is told when files have changed: nobody where it is left out.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[x_kube(validation = Rule::new("[has(self.signal), has(self.http), has(self.none)].filter(given, given).size() == 1")
    .message("onChange needs exactly one of signal, http and none"))]
pub struct OnChange {
    /// A container's main process gets a signal. The pod needs `shareProcessNamespace: true` and one
    /// `runAsUser`, other than 0, for all its containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<SignalSpec>,
    /// A POST without a body to a port of the pod's own loopback. An answer of 2xx is a success, all else
    /// is tried again for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSpec>,
    /// Nobody: for a file, where the binding says otherwise of all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub none: Option<Nobody>,
}

/// A signal to a container.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
pub struct SignalSpec {
    /// Which signal. A process that does not handle it is ended by it, and its container started anew.
    pub name: Signal,
    /// The container's name; the pod's only one where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("container must be the name of a container: lower-case letters, digits and '-'"))]
    #[x_kube(validation = Rule::new("self != 'keystead'").message("container must be one of the application's, not Keystead's own"))]
    pub container: Option<String>,
}

/// What a process may be told by.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Signal {
    /// For most: read the configuration anew.
    #[serde(rename = "SIGHUP")]
    Hup,
    /// End, as from the keyboard.
    #[serde(rename = "SIGINT")]
    Int,
    /// For some: end when all requests are answered.
    #[serde(rename = "SIGQUIT")]
    Quit,
    /// End; the kubelet starts the container anew.
    #[serde(rename = "SIGTERM")]
    Term,
    /// What the program makes of it.
    #[serde(rename = "SIGUSR1")]
    Usr1,
    /// What the program makes of it.
    #[serde(rename = "SIGUSR2")]
    Usr2,
    /// For some: end when all requests are answered.
    #[serde(rename = "SIGWINCH")]
    Winch,
}

/// A call to the pod itself.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
pub struct HttpSpec {
    /// Where the application listens, on 127.0.0.1 or on `[::1]`.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// The path, with a query if need be; `/` where it is left out.
    #[serde(default = "root")]
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = Rule::new("self.matches('^/[-A-Za-z0-9._~!$&()*+,;=:@%/?]*$')")
        .message("path must begin with '/' and be what stands in a URL after the host, percent-encoded"))]
    pub path: String,
}

/// Nothing to say.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Nobody {}

fn root() -> String {
    "/".to_owned()
}

// === impl Signal ===

impl Signal {
    /// Its name, such as `SIGHUP`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hup => "SIGHUP",
            Self::Int => "SIGINT",
            Self::Quit => "SIGQUIT",
            Self::Term => "SIGTERM",
            Self::Usr1 => "SIGUSR1",
            Self::Usr2 => "SIGUSR2",
            Self::Winch => "SIGWINCH",
        }
    }
}
