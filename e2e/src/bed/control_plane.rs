//! etcd, the API server, the controller manager and the scheduler, and the certificates of all
//! Kubernetes servers.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use super::pki::{Authority, Subject, kubeconfig, write_private};
use super::site::{KUBERNETES_SERVICE, NODE_ADDRESS, NODE_NAME, SERVICE_RANGE, Site};
use crate::exec;

/// Who tokens of service accounts say they are from.
pub(super) const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// What the API server notes of each request: who asked for what, of those whose rights are a chart's.
const AUDIT: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, userGroups: ['system:serviceaccounts:kube-system']}
- {level: Metadata, userGroups: ['system:serviceaccounts']}
- {level: None}
";
/// Where, in the bed's folder.
pub(super) const AUDIT_FILE: &str = "kubernetes-audit.log";

/// Clients of the API server that get a kubeconfig: file name, user, group.
const USERS: [(&str, &str, &str); 6] = [
    ("admin", "bed-admin", "system:masters"),
    ("controller-manager", "system:kube-controller-manager", ""),
    ("scheduler", "system:kube-scheduler", ""),
    ("proxy", "system:kube-proxy", ""),
    ("dns", "system:coredns", ""),
    ("node", "system:node:node-1", "system:nodes"),
];

/// Makes the certificates and kubeconfigs of all Kubernetes servers.
pub(super) fn certify(site: &Site) -> Result<()> {
    let pki = site.state.join("pki");
    let authority = Authority::create(&pki, "kubernetes-ca")?;
    let hosts = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
        "127.0.0.1",
        KUBERNETES_SERVICE,
        NODE_ADDRESS,
    ];
    authority.issue(&Subject {
        file: "apiserver",
        user: "kube-apiserver",
        hosts: &hosts,
        ..Subject::default()
    })?;
    let kubelet_client = Subject {
        file: "kubelet-client",
        user: "kube-apiserver-kubelet-client",
        group: "system:masters",
        ..Subject::default()
    };
    authority.issue(&kubelet_client)?;
    let kubelet = [NODE_NAME, NODE_ADDRESS];
    authority.issue(&Subject {
        file: "kubelet",
        user: NODE_NAME,
        hosts: &kubelet,
        ..Subject::default()
    })?;
    for (file, user, group) in USERS {
        authority.issue(&Subject {
            file,
            user,
            group,
            ..Subject::default()
        })?;
        let config = if file == "admin" {
            "kubeconfig".to_owned()
        } else {
            format!("pki/{file}.kubeconfig")
        };
        kubeconfig(&pki, file, &site.kubernetes_url(), &site.state.join(config))?;
    }
    let front_proxy = Authority::create(&pki, "front-proxy-ca")?;
    front_proxy.issue(&Subject {
        file: "front-proxy",
        ..Subject::default()
    })?;
    sign_tokens_with_rsa(site)
}

/// The key that signs service accounts' tokens: RSA, as in nearly every real cluster.
fn sign_tokens_with_rsa(site: &Site) -> Result<()> {
    let mut command = Command::new(&site.tools.cluster);
    let key = exec::output(command.arg("rsa-key")).context("make the key of service account tokens")?;
    write_private(&site.state.join("pki/service-account.key"), key.as_bytes())
}

/// Starts etcd. Its data is as short-lived as the bed, so nothing waits for the disk.
pub(super) fn start_etcd(site: &Site) -> Result<()> {
    let (client, peer) = (local_url(site.ports.etcd), local_url(site.ports.etcd_peer));
    let arguments = [
        format!("--data-dir={}", site.file("etcd")),
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
    ];
    site.start_cluster("etcd", &arguments)
}

/// Starts the API server.
pub(super) fn start_apiserver(site: &Site) -> Result<()> {
    let pki = |file: &str| site.file(&format!("pki/{file}"));
    let policy = site.file("kubernetes-audit.yaml");
    fs::write(&policy, AUDIT).context("write the API server's audit policy")?;
    let mut arguments = vec![
        format!("--audit-policy-file={policy}"),
        format!("--audit-log-path={}", site.file(AUDIT_FILE)),
        format!("--etcd-servers={}", local_url(site.ports.etcd)),
        format!("--secure-port={}", site.ports.kubernetes),
        format!("--bind-address={}", site.bind_address()),
        format!("--advertise-address={}", site.advertise_address()),
        format!("--service-cluster-ip-range={SERVICE_RANGE}"),
        format!("--tls-cert-file={}", pki("apiserver.crt")),
        format!("--tls-private-key-file={}", pki("apiserver.key")),
        format!("--client-ca-file={}", pki("kubernetes-ca.crt")),
        format!("--service-account-issuer={ISSUER}"),
        format!("--service-account-key-file={}", pki("service-account.key")),
        format!(
            "--service-account-signing-key-file={}",
            pki("service-account.key")
        ),
        format!("--kubelet-client-certificate={}", pki("kubelet-client.crt")),
        format!("--kubelet-client-key={}", pki("kubelet-client.key")),
        format!("--kubelet-certificate-authority={}", pki("kubernetes-ca.crt")),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        format!("--requestheader-client-ca-file={}", pki("front-proxy-ca.crt")),
        "--requestheader-allowed-names=front-proxy".to_owned(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
        "--requestheader-group-headers=X-Remote-Group".to_owned(),
        "--requestheader-username-headers=X-Remote-User".to_owned(),
        format!("--proxy-client-cert-file={}", pki("front-proxy.crt")),
        format!("--proxy-client-key-file={}", pki("front-proxy.key")),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        "--allow-privileged=true".to_owned(),
    ];
    if site.without_env_files {
        arguments.push("--feature-gates=EnvFiles=false".to_owned());
    }
    if !site.has_node() {
        // The address it advertises is nowhere: no endpoint may name it.
        arguments.push("--endpoint-reconciler-type=none".to_owned());
    }
    site.start_cluster("kube-apiserver", &arguments)
}

/// Waits until the API server answers that it is ready.
pub(super) fn await_apiserver(site: &Site) -> Result<()> {
    // kube-system is made a moment after the server is ready, and objects go into it.
    let servers = ["kube-apiserver", "etcd"];
    site.until(
        "the API server is ready",
        &servers,
        &["get", "--raw", "/readyz"],
        |answer| answer == "ok",
    )?;
    site.until(
        "the namespaces of the system exist",
        &servers,
        &["get", "namespace", "kube-system", "default"],
        |_| true,
    )
}

/// Starts the controller manager.
pub(super) fn start_controller_manager(site: &Site) -> Result<()> {
    let pki = |file: &str| site.file(&format!("pki/{file}"));
    let mut arguments = controller("controller-manager", site);
    arguments.extend([
        format!(
            "--service-account-private-key-file={}",
            pki("service-account.key")
        ),
        format!("--root-ca-file={}", pki("kubernetes-ca.crt")),
        format!("--cluster-signing-cert-file={}", pki("kubernetes-ca.crt")),
        format!("--cluster-signing-key-file={}", pki("kubernetes-ca.key")),
        "--use-service-account-credentials=true".to_owned(),
        // Each of its controllers makes its account first, which takes five seconds at 20 a second.
        "--kube-api-qps=300".to_owned(),
        "--kube-api-burst=600".to_owned(),
    ]);
    site.start_cluster("kube-controller-manager", &arguments)
}

/// Starts the scheduler.
pub(super) fn start_scheduler(site: &Site) -> Result<()> {
    site.start_cluster("kube-scheduler", &controller("scheduler", site))
}

fn controller(user: &str, site: &Site) -> Vec<String> {
    let config = site.file(&format!("pki/{user}.kubeconfig"));
    vec![
        format!("--kubeconfig={config}"),
        format!("--authentication-kubeconfig={config}"),
        format!("--authorization-kubeconfig={config}"),
        "--bind-address=127.0.0.1".to_owned(),
        "--leader-elect=false".to_owned(),
    ]
}

fn local_url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// Applies objects as the administrator.
pub(super) fn apply(site: &Site, objects: &serde_json::Value) -> Result<()> {
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects});
    let mut command = site.kubectl(&["apply", "--server-side", "-f", "-"]);
    exec::output_with_input(&mut command, list.to_string().as_bytes()).map(drop)
}

/// The certificate of the cluster, as text.
pub(super) fn read_certificate(site: &Site, file: &str) -> Result<String> {
    let path = site.state.join("pki").join(file);
    fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
}
