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
