//! A namespace that bounds what its containers ask for and may use.

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};

use super::super::api::Api;
use super::{bound, labelled};
use crate::rig::manifest::namespace;
use crate::rig::{self, Rig};

/// Holds that pods which get in without Keystead get in with it.
pub(super) fn hold(rig: &Rig<'_>, api: &Api) -> Result<()> {
    let space = format!("{}-bound", rig.id);
    let bounds = "
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: all, namespace: @id@-bound}
spec: {hard: {requests.cpu: '4', requests.memory: 4Gi, limits.cpu: '4', limits.memory: 4Gi}}
---
apiVersion: v1
kind: LimitRange
metadata: {name: each, namespace: @id@-bound}
spec:
  limits:
  - type: Container
    min: {cpu: 10m, memory: 16Mi}
    max: {cpu: '1', memory: 1Gi}
    maxLimitRequestRatio: {cpu: '10', memory: '4'}
";
    rig.apply(&[&namespace("bound", ""), bounds, &bound("bound", "side")].concat())?;
    // Where no controller counts, nothing would get in.
    let hard =
        "{\"requests.cpu\":\"4\",\"requests.memory\":\"4Gi\",\"limits.cpu\":\"4\",\"limits.memory\":\"4Gi\"}";
    let used =
        "{\"requests.cpu\":\"0\",\"requests.memory\":\"0\",\"limits.cpu\":\"0\",\"limits.memory\":\"0\"}";
    rig.ask(&format!(
        "kubectl -n @id@-bound patch resourcequota all --subresource=status --type merge \
         -p '{{\"status\":{{\"hard\":{hard},\"used\":{used}}}}}'"
    ))?;
    rig.ready(&["secretbinding/side -n @id@-bound"])?;
    let bed = rig.stage.bed().context("this test needs a bed")?;
    rig::inside(bed, |_| {
        let limits = json!({"cpu": "500m", "memory": "256Mi"});
        let some = json!({"cpu": "100m", "memory": "128Mi"});
        for (resources, annotations, class) in [
            (
                json!({"limits": limits, "requests": limits}),
                json!({}),
                "Guaranteed",
            ),
            (json!({"limits": limits}), json!({}), "Guaranteed"),
            (
                json!({"limits": limits, "requests": some}),
                json!({}),
                "Burstable",
            ),
            (
                json!({"limits": limits, "requests": some}),
                json!({"keystead.dev/sidecar-cpu-limit": "20m"}),
                "Burstable",
            ),
        ] {
            let pod = pod(&resources, &annotations);
            let plain = api.would(&space, &labelled(&pod, "false"))?;
            plain.map_err(|why| anyhow!("refused without Keystead: {why}"))?;
            let served = api.would(&space, &labelled(&pod, "true"))?;
            let served = served.map_err(|why| anyhow!("{resources} with {annotations}: {why}"))?;
            let found = &served["status"]["qosClass"];
            ensure!(*found == class, "a pod with {resources} is {found}");
        }
        // What the namespace does not allow is the namespace's to refuse.
        let pod = pod(
            &json!({"limits": limits}),
            &json!({"keystead.dev/sidecar-cpu-limit": "2"}),
        );
        let refused = api
            .would(&space, &labelled(&pod, "true"))?
            .err()
            .unwrap_or_default();
        ensure!(
            refused.contains("maximum cpu usage per Container is 1"),
            "{refused:?}"
        );
        Ok(())
    })
}

fn pod(resources: &Value, annotations: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "bound", "annotations": annotations},
        "spec": {
            "serviceAccountName": "side",
            "containers": [{"name": "web", "image": "example.com/web:1", "resources": resources}],
        },
    })
}
