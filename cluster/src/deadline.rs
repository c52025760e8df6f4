//! A deadline on every call to the API server, and its errors as problems that a condition can say.

use keystead_compile::Problem;
use keystead_crds::condition::Reason;
use std::time::Duration;
use tokio::time::timeout;

/// Longest time for one call.
pub(crate) const DEADLINE: Duration = Duration::from_secs(15);

/// What a failed call to the API server means to who waits for it.
pub fn problem(error: &kube::Error) -> Problem {
    let why = match error {
        kube::Error::Api(status) => format!("the API server refused: {}", status.message),
        error => format!("the API server did not answer: {error}"),
    };
    Problem::new(Reason::KubernetesError, why)
}

/// One call, which ends in any case.
pub async fn call<T>(what: &str, call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Problem> {
    answer(what, call).await?.map_err(|error| problem(&error))
}

/// The same, for who must tell one refusal from another.
pub async fn answer<T>(
    what: &str,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<Result<T, kube::Error>, Problem> {
    timeout(DEADLINE, call).await.map_err(|_| {
        Problem::new(
            Reason::KubernetesError,
            format!(
                "{what}: no answer from the API server in {} s",
                DEADLINE.as_secs()
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_that_hangs_ends() {
        let problem = call("list of pods", std::future::pending::<Result<(), _>>()).await;
        assert_eq!(
            problem.unwrap_err().message,
            "list of pods: no answer from the API server in 15 s"
        );
    }
}
