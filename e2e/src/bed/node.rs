//! The node: containerd, the kubelet, kube-proxy and the cluster's DNS.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::control_plane::apply;
use super::site::{DNS_SERVICE, NODE_ADDRESS, NODE_NAME, POD_RANGE, Site};
use crate::{exec, wait};

/// The image every pod's sandbox is made of.
pub(super) const PAUSE_IMAGE: &str = "keystead.test/pause:1";

/// The bed's folder whose files the kubelet runs as static pods.
pub(super) const STATIC_PODS: &str = "kubelet/static";
/// Room for 200 pods of one test beside the cluster's own.
const MOST_PODS: u32 = 250;

/// Starts containerd and waits until it answers.
pub(super) fn start_containerd(site: &Site) -> Result<()> {
    let debian = site.debian()?;
    write_cni(site)?;
    let runc = debian.file("/usr/sbin/runc");
    let plugins = debian.file("/usr/lib/cni");
    let config = format!(
        r#"version = 2
root = "{root}"
state = "{state}"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "{state}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{conf}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = "{runc}"
"#,
        root = site.file("containerd/root"),
        state = site.file("containerd/state"),
        plugins = plugins.display(),
        conf = site.file("cni"),
        runc = runc.display(),
    );
    fs::create_dir_all(site.state.join("containerd"))?;
    fs::write(site.state.join("containerd/config.toml"), config)?;
    write_ctr(site)?;
    let program = debian.file("/usr/bin/containerd").display().to_string();
    site.start(
        "containerd",
        &[
            program,
            "--config".to_owned(),
            site.file("containerd/config.toml"),
        ],
    )?;
    let log = site.registry.log("containerd");
    wait::until("containerd answers", Duration::from_secs(30), Some(&log), || {
        site.registry.check("containerd")?;
        Ok(exec::output(Command::new(site.state.join("bin/ctr")).arg("version")).is_ok())
    })
}

/// Point-to-point links instead of a bridge: what pods send each other always passes the host's
/// routing, so services work without bridge filtering in the kernel.
fn write_cni(site: &Site) -> Result<()> {
    let config = json!({
        "cniVersion": "0.4.0",
        "name": "bed",
        "plugins": [{
            "type": "ptp",
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": POD_RANGE}]],
                "routes": [{"dst": "0.0.0.0/0"}],
                "dataDir": site.file("cni/addresses"),
            },
        }],
    });
    fs::create_dir_all(site.state.join("cni"))?;
    fs::write(site.state.join("cni/bed.conflist"), config.to_string()).context("write the CNI configuration")
}

/// `ctr`, told where this bed's containerd is and which images the kubelet sees.
fn write_ctr(site: &Site) -> Result<()> {
    let debian = site.debian()?;
    let path = site.state.join("bin/ctr");
    let script = format!(
        "#!/bin/sh\nexec {} --address {} --namespace k8s.io \"$@\"\n",
        debian.file("/usr/bin/ctr").display(),
        site.file("containerd/state/containerd.sock"),
    );
    fs::write(&path, script)?;
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).context("make ctr executable")
}

/// Starts the kubelet.
pub(super) fn start_kubelet(site: &Site) -> Result<()> {
    let pki = |file: &str| site.file(&format!("pki/{file}"));
    let config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": format!("unix://{}", site.file("containerd/state/containerd.sock")),
        "failCgroupV1": false,
        "featureGates": {"EnvFiles": !site.without_env_files},
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": false,
        "enforceNodeAllocatable": [],
        "localStorageCapacityIsolation": false,
        "failSwapOn": false,
        "podLogsDir": site.file("pod-logs"),
        "volumePluginDir": site.file("kubelet/plugins"),
        "resolvConf": site.file("resolv.conf"),
        "clusterDNS": [DNS_SERVICE],
        "clusterDomain": "cluster.local",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": pki("kubernetes-ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": pki("kubelet.crt"),
        "tlsPrivateKeyFile": pki("kubelet.key"),
        // A full disk of the machine is not the bed's business, and no image could be pulled again.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%",
                         "imagefs.available": "0%", "imagefs.inodesFree": "0%"},
        "registerNode": true,
        // Static pods are what is put there.
        "staticPodPath": site.file(STATIC_PODS),
        "maxPods": MOST_PODS,
    });
    fs::create_dir_all(site.state.join(STATIC_PODS))?;
    fs::write(site.state.join("kubelet.json"), config.to_string())?;
    fs::write(site.state.join("resolv.conf"), "")?;
    let arguments = [
        format!("--config={}", site.file("kubelet.json")),
        format!("--kubeconfig={}", pki("node.kubeconfig")),
        format!("--root-dir={}", site.file("kubelet")),
        format!("--node-ip={NODE_ADDRESS}"),
        format!("--hostname-override={NODE_NAME}"),
    ];
    site.start_cluster("kubelet", &arguments)
}

/// Starts kube-proxy, which makes service addresses work in the whole network of the bed.
pub(super) fn start_proxy(site: &Site) -> Result<()> {
    let config = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "bindAddress": "0.0.0.0",
        "hostnameOverride": NODE_NAME,
        "clusterCIDR": POD_RANGE,
        "clientConnection": {"kubeconfig": site.file("pki/proxy.kubeconfig")},
        // Connection tracking has no limits of its own in this network, so nothing is to be set.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    });
    fs::write(site.state.join("proxy.json"), config.to_string())?;
    site.start_cluster("kube-proxy", &[format!("--config={}", site.file("proxy.json"))])
}

/// Starts CoreDNS as a process on the node, behind a service as pods expect it.
pub(super) fn start_dns(site: &Site) -> Result<()> {
    let corefile = format!(
        ".:53 {{\n  bind {NODE_ADDRESS}\n  errors\n  kubernetes cluster.local in-addr.arpa {{\n    kubeconfig {}\n  }}\n}}\n",
        site.file("pki/dns.kubeconfig")
    );
    fs::write(site.state.join("Corefile"), corefile)?;
    apply(site, &dns_objects())?;
    site.start_cluster("coredns", &["-conf".to_owned(), site.file("Corefile")])
}

fn dns_objects() -> Value {
    let ports = |target: bool| -> Vec<Value> {
        ["UDP", "TCP"]
            .map(|protocol| {
                let mut port = json!({"name": format!("dns-{}", protocol.to_lowercase()), "port": 53, "protocol": protocol});
                if target {
                    port["targetPort"] = json!(53);
                }
                port
            })
            .to_vec()
    };
    json!([
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "system:coredns"},
            "rules": [
                {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"]},
                {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
            ],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": "system:coredns"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:coredns"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "system:coredns"}],
        },
        {
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": "kube-system"},
            "spec": {"clusterIP": DNS_SERVICE, "ports": ports(true)},
        },
        endpoints("kube-system", "kube-dns", &ports(false)),
    ])
}

/// An EndpointSlice by hand: a service's way to a process on the node.
pub(super) fn endpoints(namespace: &str, service: &str, ports: &[Value]) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": format!("{service}-on-node"), "namespace": namespace,
            "labels": {"kubernetes.io/service-name": service, "endpointslice.kubernetes.io/managed-by": "keystead-e2e"},
        },
        "endpoints": [{"addresses": [NODE_ADDRESS], "conditions": {"ready": true}}],
        "ports": ports,
    })
}

/// Waits until pods can run: the node is ready and the accounts they run as exist.
pub(super) fn await_ready(site: &Site) -> Result<()> {
    let ready = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
    let servers = [
        "kubelet",
        "containerd",
        "kube-proxy",
        "kube-controller-manager",
        "kube-scheduler",
        "coredns",
    ];
    site.until(
        "the node is Ready",
        &servers,
        &["get", "node", NODE_NAME, "-o", ready],
        |status| status == "True",
    )?;
    let account = ["get", "serviceaccount", "default", "--namespace", "default"];
    site.until(
        "service accounts exist",
        &["kube-controller-manager"],
        &account,
        |_| true,
    )
}
