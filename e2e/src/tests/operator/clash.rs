//! Two bindings that would give one pod the same thing.

use anyhow::Result;

use super::super::manifest::{account, binding, global, namespace};
use super::super::rig::{self, Method};
use crate::stage::Stage;

pub(super) fn older_serves(stage: &Stage) -> Result<()> {
    rig::run(stage, "clash", Method::Kubernetes, |rig| {
        let gives =
            |name: &str, fields: &str| format!("{}{fields}", binding("shop", name, "web", &["hubspot"]));
        let variable = "  env: [{name: API_KEY, secret: hubspot, key: api_key}]\n";
        let file = |path: &str| format!("  files: [{{path: {path}, format: Dotenv, secret: hubspot}}]\n");
        let selector = |tier: &str| format!("  podSelector: {{matchLabels: {{tier: {tier}}}}}\n");
        // Where they are made within one second, the name decides.
        rig.apply(
            &[
                namespace("shop", ""),
                account("shop", "web"),
                rig.provider(),
                global(),
            ]
            .concat(),
        )?;
        rig.apply(&gives("a", variable))?;
        let _operator = rig.operator()?;
        let [older, younger] = ["a", "b"].map(|name| format!("secretbinding/{name} -n @id@-shop"));
        rig.ready(&[&older])?;

        rig.apply(&gives("b", variable))?;
        let sentence =
            "SecretBinding a is older and gives the pods of service account web the variable API_KEY too";
        rig.says(&younger, "False", "Conflict", sentence)?;
        rig.ready(&[&older])?;
        rig.apply(&gives("b", &file("conf/app")))?;
        rig.ready(&[&older, &younger])?;

        rig.apply(&gives("a", &file("conf/app/key")))?;
        rig.says(
            &younger,
            "False",
            "Conflict",
            "the file conf/app, which is a directory in conf/app/key,",
        )?;
        rig.ready(&[&older])?;
        rig.apply(&gives("a", &(file("conf/app") + &selector("front"))))?;
        rig.ready(&[&older, &younger])?;
        rig.apply(&gives("b", &(file("conf/app") + &selector("front"))))?;
        rig.says(&younger, "False", "Conflict", "the file conf/app too")?;
        rig.ask("kubectl -n @id@-shop delete secretbinding a")?;
        rig.ready(&[&younger])
    })
}
