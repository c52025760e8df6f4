//! Where sidecars find the operator, and whom they trust there.

use arc_swap::ArcSwapOption;
use keystead_crds::sidecar::OperatorConfig;
use std::sync::Arc;

/// The operator, as sidecars are told of it. Clones speak of the same.
#[derive(Clone, Debug, Default)]
pub struct Operator {
    address: String,
    ca: Arc<ArcSwapOption<String>>,
}

impl Operator {
    /// By its service, at this port.
    pub fn new(service: &str, namespace: &str, port: u16) -> Self {
        Self {
            address: format!("https://{service}.{namespace}.svc:{port}"),
            ca: Arc::default(),
        }
    }

    /// New sidecars trust these PEM certificates. One that runs keeps those that it was made with: when a CA
    /// after them signs it can report no more, which does it no harm.
    pub fn trust(&self, bundle: &[u8]) {
        let bundle = String::from_utf8_lossy(bundle).into_owned();
        self.ca.store(Some(Arc::new(bundle)));
    }

    /// None while there is nobody to trust.
    pub(super) fn config(&self) -> Option<OperatorConfig> {
        let ca = self.ca.load();
        ca.as_ref().map(|ca| OperatorConfig {
            address: self.address.clone(),
            ca: ca.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sidecars_are_told_of_it_once_there_is_somebody_to_trust() {
        let operator = Operator::new("keystead", "keystead-system", 8444);
        let other = operator.clone();
        assert_eq!(operator.config(), None);
        other.trust(b"CA 1");
        other.trust(b"CA 2");
        let expected = OperatorConfig {
            address: "https://keystead.keystead-system.svc:8444".to_owned(),
            ca: "CA 2".to_owned(),
        };
        assert_eq!(operator.config(), Some(expected));
    }
}
