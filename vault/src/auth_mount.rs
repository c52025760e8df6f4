//! What must be known of an auth mount. API: <https://openbao.org/api-docs/system/internal-ui-mounts/>.

use crate::client::Client;
use crate::error::Error;
use serde::Deserialize;

/// The accessor of an auth mount, by the one path that needs no further rights.
pub async fn accessor(client: &Client, mount: &str) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct Mount {
        accessor: String,
    }
    let path = format!("sys/internal/ui/mounts/auth/{mount}");
    client.read::<Mount>(&path).await.map(|found| found.accessor)
}
