//! A word to whoever waits.

use crate::output;
use std::pin::pin;
use std::time::Duration;
use tokio::time::timeout;

/// What takes no longer is not worth a word.
const PATIENCE: Duration = Duration::from_secs(1);

/// Says on standard error what it is that takes so long.
pub(crate) async fn during<T>(what: &str, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    if let Ok(done) = timeout(PATIENCE, &mut work).await {
        return done;
    }
    output::line(&mut std::io::stderr(), &format!("… {what}"));
    work.await
}
