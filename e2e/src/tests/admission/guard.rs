//! Namespaces: who may say who is a tenant.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::super::manifest::namespace;
use super::super::rig::{self, Method, Rig};
use super::{Webhook, company};
use crate::stage::Stage;

/// Somebody who may do everything with namespaces, and nothing else.
const JANE: &str = "
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: @id@-namespaces}
rules:
- apiGroups: ['']
  resources: [namespaces, namespaces/status, namespaces/finalize]
  verbs: [get, create, update, patch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: @id@-namespaces}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: @id@-namespaces}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: @id@-jane}]
";

/// What she lacks.
const OWNER: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: @id@-acme}
rules:
- apiGroups: [keystead.dev]
  resources: [secretscopes]
  resourceNames: [@id@-acme]
  verbs: [update]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: @id@-acme}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: @id@-acme}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: @id@-jane}]
";

const AS_JANE: &str = "--as=@id@-jane --as-group=system:authenticated";

pub(super) fn tenants(stage: &Stage) -> Result<()> {
    rig::run(stage, "tenant", Method::Kubernetes, |rig| {
        let webhook = prepared(rig)?;
        let label = |change: &str| format!("kubectl label namespace @id@-shop {change} {AS_JANE}");
        let joins = label("company=@id@-acme");
        let may_not = "and user @id@-jane may not update secretscopes/@id@-acme";
        // Her rights to namespaces have arrived when she may change what is nobody's business.
        stage.until(
            "jane may label namespaces",
            &label("tier=web").replace("@id@", &rig.id),
            |answer| answer.contains("labeled"),
        )?;
        let refusal = format!(
            "namespace @id@-shop: adding label company=@id@-acme would make it a member of SecretScope @id@-acme, {may_not}"
        );
        webhook.forbids(&joins, &refusal)?;
        // The same by way of the subresources, which take labels as well.
        let patch = "{\"metadata\":{\"labels\":{\"company\":\"@id@-acme\"}}}";
        webhook.forbids(
            &format!(
                "kubectl patch namespace @id@-shop --subresource=status --type=merge -p '{patch}' {AS_JANE}"
            ),
            &refusal,
        )?;
        let shop = rig.ask("kubectl get namespace @id@-shop -o json")?;
        let mut shop: Value = serde_json::from_str(&shop)?;
        shop["metadata"]["labels"]["company"] = json!(format!("{}-acme", rig.id));
        let finalize = format!("kubectl replace --raw /api/v1/namespaces/@id@-shop/finalize -f - {AS_JANE}");
        let said = webhook.run(&finalize, Some(&shop.to_string()))?;
        webhook.said(&said, &refusal)?;
        webhook.forbids(
            &label("writes=@id@-acme"),
            &format!("adding label writes=@id@-acme would let it declare values for SecretScope @id@-acme, {may_not}"),
        )?;
        let leaves = format!("kubectl label namespace @id@-member company- {AS_JANE}");
        webhook.forbids(
            &leaves,
            &format!(
                "namespace @id@-member: removing label company would end its membership of SecretScope @id@-acme, {may_not}"
            ),
        )?;
        let created = format!("kubectl create -f - {AS_JANE}");
        let new = |name: &str, labels: &str| namespace(name, labels);
        let said = webhook.run(&created, Some(&new("new", "company: @id@-acme")))?;
        webhook.said(
            &said,
            &format!("creating it with label company=@id@-acme would make it a member of SecretScope @id@-acme, {may_not}"),
        )?;
        // The API server has made the name by then, and says it in the object alone.
        let generated = new("", "company: @id@-acme").replace("{name: ", "{generateName: ");
        let said = webhook.run(&created, Some(&generated))?;
        webhook.said(&said, ": creating it with label company=@id@-acme would make it")?;
        let said = webhook.run(&created, Some(&new("named", "tier: web")))?;
        webhook.said(
            &said,
            "creating it with label kubernetes.io/metadata.name=@id@-named would let it declare values for SecretScope \
             @id@-named",
        )?;

        // What concerns no scope is hers, and so is the rest once she may update the scope.
        rig.ask(&label("--overwrite tier=db"))?;
        rig.apply(OWNER)?;
        stage.until(
            "jane may make it a member",
            &joins.replace("@id@", &rig.id),
            |answer| answer.contains("labeled"),
        )?;
        rig.ask(&leaves)?;
        let labels = rig.ask("kubectl get namespace @id@-member -o 'jsonpath={.metadata.labels}'")?;
        ensure!(!labels.contains("company"), "it has left: {labels}");
        Ok(())
    })
}

pub(super) fn without_operator(stage: &Stage) -> Result<()> {
    rig::run(stage, "alone", Method::Kubernetes, |rig| {
        let mut webhook = prepared(rig)?;
        webhook.operator.stop()?;
        let said = webhook.run("kubectl label namespace @id@-shop company=@id@-acme", None)?;
        ensure!(
            said.contains("failed calling webhook \"namespace.validate.keystead.dev\""),
            "{said}"
        );
        // What changes no label, what is of the system's, and our own objects go on.
        rig.ask("kubectl annotate namespace @id@-shop x=y")?;
        rig.ask("kubectl label namespace @id@ x=y")?;
        rig.ask("kubectl delete namespace @id@-shop --wait=false")?;
        rig.apply(&company("twin", "acme", "company: acme", "writes: acme"))
    })
}

/// A company, a namespace in it and one outside, and jane.
fn prepared<'a>(rig: &'a Rig<'a>) -> Result<Webhook<'a>> {
    let by_name = company(
        "named",
        "named",
        "company: named",
        "kubernetes.io/metadata.name: named",
    );
    let manifests = [
        namespace("shop", ""),
        namespace("member", "company: @id@-acme"),
        rig.provider(),
        company("acme", "acme", "company: acme", "writes: acme"),
        by_name,
        JANE.to_owned(),
    ];
    rig.apply(&manifests.concat())?;
    let webhook = Webhook::new(rig)?;
    rig.ready(&["secretscope/@id@-acme", "secretscope/@id@-named"])?;
    Ok(webhook)
}
