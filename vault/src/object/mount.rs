//! A secret engine's mount. API: <https://openbao.org/api-docs/system/mounts/>.

use crate::client::Client;
use crate::engine::{Action, Planned};
use crate::error::Error;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt;

/// A secret engine where it should be. It is made where it is missing, and never taken away.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mount {
    /// Its path.
    pub path: String,
    /// What is mounted there.
    pub kind: MountKind,
}

/// What can be mounted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MountKind {
    /// The database engine.
    Database,
    /// The KV engine, version 2.
    Kv2,
    /// The transit engine.
    Transit,
}

impl MountKind {
    /// Whether it is what is mounted somewhere.
    pub(crate) fn is(self, engine: &str, version: &str) -> bool {
        let (own, needed) = self.engine();
        own == engine && needed.is_none_or(|needed| needed == version)
    }

    /// Its type, and its version where it has several.
    const fn engine(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Database => ("database", None),
            Self::Kv2 => ("kv", Some("2")),
            Self::Transit => ("transit", None),
        }
    }
}

impl fmt::Display for MountKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (engine, version) = self.engine();
        f.write_str(engine)?;
        version.map_or(Ok(()), |version| write!(f, " version {version}"))
    }
}

impl Mount {
    pub(crate) async fn plan(&self, client: &Client) -> Result<Planned, Error> {
        #[derive(Deserialize)]
        struct Found {
            #[serde(rename = "type")]
            engine: String,
            options: Option<BTreeMap<String, String>>,
        }
        let found: Option<Found> = match client.read_optional(&self.api()).await {
            // Vault's words for it; OpenBao has the same.
            Err(Error::Refused { code: 400, why, .. }) if why.contains("No secret engine mount") => None,
            other => other?,
        };
        let Some(found) = found else {
            let detail = format!("{} is mounted", self.kind);
            return Ok(Planned::new(Action::Create, vec![detail]));
        };
        let there = found.options.and_then(|mut options| options.remove("version"));
        let there = there.as_deref().unwrap_or("1");
        if self.kind.is(&found.engine, there) {
            return Ok(Planned::default());
        }
        Err(Error::Conflict {
            object: format!("a mount at {}", self.path),
            owner: format!(
                "it is {} version {there}, and {} is needed",
                found.engine, self.kind
            ),
        })
    }

    pub(crate) async fn write(&self, client: &Client) -> Result<(), Error> {
        let (engine, version) = self.kind.engine();
        let body = json!({
            "type": engine,
            "options": version.map(|version| json!({ "version": version })),
            "description": "Mounted by Keystead",
        });
        client.write(&self.api(), &body).await
    }

    fn api(&self) -> String {
        format!("sys/mounts/{}", self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Answer, Fake};
    use serde_json::Value;

    async fn plan(answer: fn() -> Answer) -> Result<Planned, Error> {
        let mount = Mount {
            path: "team/kv".into(),
            kind: MountKind::Kv2,
        };
        mount.plan(&Fake::start(move |_| answer()).await.client()).await
    }

    fn found(engine: &str, options: &Value) -> Answer {
        Answer::ok(json!({"data": {"type": engine, "options": options}}))
    }

    #[tokio::test]
    async fn what_is_missing_is_mounted_and_what_is_there_is_left() {
        let missing = plan(|| Answer::refused(400, "No secret engine mount at team/kv/")).await;
        assert_eq!(missing.unwrap().action, Action::Create);
        let there = plan(|| found("kv", &json!({"version": "2"}))).await;
        assert_eq!(there, Ok(Planned::default()));
        assert!(plan(|| Answer::refused(400, "something else")).await.is_err());
    }

    #[tokio::test]
    async fn another_engine_is_a_conflict_that_names_both() {
        let pki = plan(|| found("pki", &Value::Null)).await;
        let old = plan(|| found("kv", &json!({"version": "1"}))).await;
        for (result, there) in [(pki, "pki version 1"), (old, "kv version 1")] {
            let error = result.unwrap_err();
            assert!(matches!(error, Error::Conflict { .. }), "{error}");
            let text = error.to_string();
            assert!(
                text.contains(there) && text.contains("kv version 2 is needed"),
                "{text}"
            );
        }
    }
}
