//! The version of each node's kubelet, and nothing else of nodes.

use super::Search;
use crate::watch::{self, Source};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Resource, ResourceExt as _};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The first that has `fileKeyRef` without being asked to.
const FIRST: Version = (1, 35);

/// Major and minor.
type Version = (u32, u32);

/// A node, as far as it is read.
#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = Node)]
struct Partial {
    metadata: ObjectMeta,
    #[serde(default)]
    status: PartialStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PartialStatus {
    #[serde(default)]
    node_info: Option<NodeInfo>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NodeInfo {
    kubelet_version: String,
    #[serde(default)]
    operating_system: String,
}

/// Every node that pods of ours may come to.
#[derive(Debug, Default)]
pub(super) struct Kubelets {
    versions: BTreeMap<String, Version>,
    listed: bool,
}

impl Kubelets {
    pub(super) const fn are_listed(&self) -> bool {
        self.listed
    }

    /// Notes a node as it is now; without a version that can be read it counts for nothing. Answers
    /// whether that is news.
    pub(super) fn note(&mut self, name: &str, version: Option<&str>) -> bool {
        let version = version.and_then(parse);
        let old = match version {
            Some(version) => self.versions.insert(name.to_owned(), version),
            None => self.versions.remove(name),
        };
        old != version
    }

    /// Why not all of them can, as a clause.
    pub(super) fn lack(&self) -> Option<String> {
        let mut old = self.versions.iter().filter(|(_, version)| **version < FIRST);
        let (name, (major, minor)) = old.next()?;
        let others = match old.count() {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        Some(format!(
            "node {name}{others} runs Kubernetes {major}.{minor}, and fileKeyRef needs {}.{}",
            FIRST.0, FIRST.1
        ))
    }
}

/// `v1.34.1-gke.100` → 1, 34.
fn parse(version: &str) -> Option<Version> {
    let mut parts = version.strip_prefix('v').unwrap_or(version).split('.');
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next()?;
    let digits = minor.find(|c: char| !c.is_ascii_digit()).unwrap_or(minor.len());
    Some((major, minor[..digits].parse().ok()?))
}

/// Watches the nodes until the end is asked for.
pub(super) async fn follow(source: &Source, search: &Search<'_>) {
    let api: Api<Partial> = Api::all(source.client.clone());
    let stream = watcher(api, watch::config()).default_backoff();
    let put = |name: &str, version: Option<&str>| {
        let news = search.found().kubelets.note(name, version);
        if news && search.found().kubelets.are_listed() {
            search.publish();
            search.upgraded.notify_one();
        }
    };
    let mut unseen = BTreeSet::new();
    watch::follow(stream, &source.shutdown, "Node", |event| match event {
        watcher::Event::Init => unseen = search.found().kubelets.versions.keys().cloned().collect(),
        watcher::Event::InitApply(node) | watcher::Event::Apply(node) => {
            unseen.remove(&node.name_any());
            put(&node.name_any(), node.kubelet());
        }
        watcher::Event::Delete(node) => put(&node.name_any(), None),
        watcher::Event::InitDone => {
            for name in std::mem::take(&mut unseen) {
                put(&name, None);
            }
            search.found().kubelets.listed = true;
            search.publish();
        }
    })
    .await;
}

impl Partial {
    /// Its version; none before it has said, and none on Windows, where no pod of ours goes.
    fn kubelet(&self) -> Option<&str> {
        let info = self.status.node_info.as_ref()?;
        (info.operating_system != "windows").then_some(info.kubelet_version.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_old_node_is_enough() {
        let mut kubelets = Kubelets::default();
        assert!(kubelets.note("n2", Some("v1.37.1")));
        assert_eq!(kubelets.lack(), None);
        assert!(!kubelets.note("n2", Some("v1.37.2")), "a patch is no news");
        assert!(kubelets.note("n1", Some("v1.34.9-eks-1a2b")));
        let one = "node n1 runs Kubernetes 1.34, and fileKeyRef needs 1.35";
        assert_eq!(kubelets.lack().as_deref(), Some(one));
        kubelets.note("n0", Some("v1.33.0"));
        let two = "node n0 (and 1 more) runs Kubernetes 1.33, and fileKeyRef needs 1.35";
        assert_eq!(kubelets.lack().as_deref(), Some(two));
        assert!(kubelets.note("n0", None));
        assert!(kubelets.note("n1", Some("1.35+")));
        assert_eq!(kubelets.lack(), None);
        assert!(!kubelets.note("n3", Some("unknown")));
        assert!(!kubelets.note("n3", None));
    }

    #[test]
    fn a_node_is_read_as_far_as_it_matters() {
        let node = |status| -> Partial {
            serde_json::from_value(json!({"metadata": {"name": "n"}, "spec": {}, "status": status})).unwrap()
        };
        let linux = json!({"nodeInfo": {"kubeletVersion": "v1.34.0", "operatingSystem": "linux", "x": 1}, "images": []});
        assert_eq!(node(linux).kubelet(), Some("v1.34.0"));
        let windows = json!({"nodeInfo": {"kubeletVersion": "v1.34.0", "operatingSystem": "windows"}});
        assert_eq!(node(windows).kubelet(), None);
        assert_eq!(node(json!({})).kubelet(), None);
    }
}
