//! `--check`: whether the API server asks the webhook and trusts it. A SecretProvider that the webhook of
//! this class refuses is offered in a dry run, which stores nothing even if nobody refuses.

use crate::args::Args;
use crate::run::{Error, READ_DEADLINE, connect};
use keystead_crds::SecretProvider;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::json;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How long the webhook may need to be there: replicas may just start, and API servers take a moment to hear
/// of it.
const PATIENCE: Duration = Duration::from_mins(1);
const RETRY: Duration = Duration::from_secs(1);
/// The field that is wrong, which the refusal must name.
const WRONG: &str = "spec.namespaces";

/// Asks until the webhook answers.
pub async fn check(args: Args) -> Result<(), Error> {
    let client = connect(Some(READ_DEADLINE)).await?;
    let mut last = "the API server did not answer".to_owned();
    let answered = timeout(PATIENCE, async {
        while let Err(problem) = ask(&client, &args.class).await {
            tracing::info!(problem, "not yet");
            last = problem;
            sleep(RETRY).await;
        }
    });
    answered.await.map_err(|_| Error::Check(last))?;
    tracing::info!(
        class = args.class,
        "the API server calls the webhook and trusts it"
    );
    Ok(())
}

/// One try; what stands against it, as a sentence.
async fn ask(client: &Client, class: &str) -> Result<(), String> {
    let provider = serde_json::from_value(wrong(class)).map_err(|error| error.to_string())?;
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    match Api::<SecretProvider>::all(client.clone())
        .create(&dry, &provider)
        .await
    {
        Ok(_) => Err(format!(
            "the API server took a SecretProvider that the webhook of class {class} refuses, so it does not reach \
             it or does not trust it: look at the ValidatingWebhookConfiguration's service and caBundle"
        )),
        Err(kube::Error::Api(status)) if is_refusal(&status.message) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

fn is_refusal(message: &str) -> bool {
    message.contains("denied the request") && message.contains(WRONG)
}

/// A provider that only this class's webhook knows to be wrong: the definition takes any operator.
fn wrong(class: &str) -> serde_json::Value {
    json!({
        "apiVersion": "keystead.dev/v1alpha1",
        "kind": "SecretProvider",
        "metadata": {"generateName": "keystead-check-"},
        "spec": {
            "environment": "testing",
            "class": class,
            "vault": {"address": "https://check.invalid", "auth": {"kubernetes": {"role": "check"}}},
            "workloadAuth": {"method": "Jwt", "mount": "check"},
            "namespaces": {"matchExpressions": [{"key": "a", "operator": "Equals"}]},
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use keystead_compile::World;
    use keystead_compile::admit::Admit as _;

    #[test]
    fn the_webhook_of_its_class_alone_refuses_it() {
        let provider: SecretProvider = serde_json::from_value(wrong("blue")).unwrap();
        let problems = provider.problems(&World::new("c1", "blue"));
        assert!(
            problems.len() == 1 && problems[0].message.contains(WRONG),
            "{problems:?}"
        );
        assert_eq!(provider.problems(&World::new("c1", "green")), []);
    }
}
