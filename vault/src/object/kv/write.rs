//! Carries out what is planned, and starts anew where somebody was faster.
//!
//! Two writers at a path that is not there must not both put their mark on it. Where the server has
//! check-and-set for metadata (OpenBao), the mark is set with it: one gets it, the other is told.
//! Vault has it for data only, so there the path is first claimed by a document that only says by
//! whom, with check-and-set, and who gets that sets the mark. Such a claim is a version more, and only
//! made where it is needed. A crash between the two leaves a claim, which its owner takes up again.

use super::document::{Document, wipe};
use super::marks::Marks;
use super::plan::{Changes, Was};
use super::rotation::{Answers, Noted, Request as Ask};
use super::{Adoption, KvSecret, MAX_VERSIONS, ValueStore, Values};
use crate::client::{Client, Method};
use crate::engine::{Action, Applied, Planned, Rotated};
use crate::error::{Error, Request};
use serde::Deserialize;
use serde_json::{Value, json};

/// How often a pass looks again when somebody else wrote in between, or it knows more.
const TRIES: usize = 5;

impl KvSecret {
    /// What a pass would do.
    pub(crate) async fn preview(&self, client: &Client, store: &impl ValueStore) -> Result<Planned, Error> {
        let values = self.fetch(client, store).await?;
        let mut changes = self.plan(&self.observe(client).await?, &values)?;
        match changes.lacking.take() {
            Some(error) if changes.is_empty() => Err(error),
            Some(error) => {
                changes.planned.details.push(format!("then: {error}"));
                Ok(changes.planned)
            }
            None => Ok(changes.planned),
        }
    }

    /// A pass.
    pub(crate) async fn reconcile(&self, client: &Client, store: &impl ValueStore) -> Result<Applied, Error> {
        let mut values = self.fetch(client, store).await?;
        let mut action = Action::Unchanged;
        let mut last = None;
        for _ in 0..TRIES {
            match self.step(client, &values).await {
                Ok(Step::Done {
                    planned,
                    version,
                    noted,
                }) => {
                    return Ok(Applied {
                        rotation: Some(Rotated {
                            at: noted.at,
                            count: noted.count,
                        }),
                        action: if planned == Action::Unchanged {
                            action
                        } else {
                            planned
                        },
                        version: self.active.then_some(version).filter(|version| *version > 0),
                    });
                }
                Ok(Step::Again) => action = Action::Change,
                Ok(Step::Ask(request)) => {
                    action = Action::Change;
                    values.answers = Some(Answers {
                        values: store.new_values(&request).await,
                        id: request.id,
                    });
                }
                Err(error) if error.is_stale() => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| self.conflict("others write there all the time".into())))
    }

    async fn step(&self, client: &Client, values: &Values<'_>) -> Result<Step, Error> {
        let observed = self.observe(client).await?;
        let mut changes = self.plan(&observed, values)?;
        let (planned, lacking) = (changes.planned.action, changes.lacking.take());
        let (shows, writes) = (changes.visible == Some(true), !changes.is_empty());
        let (asks, noted) = (changes.asks.take(), changes.noted.clone());
        let version = self.carry_out(client, changes).await?;
        if let Some(request) = asks {
            return Ok(Step::Ask(request));
        }
        match lacking {
            // What is lacking is said of what stands there now.
            Some(_) if writes => Ok(Step::Again),
            Some(error) => Err(error),
            None if shows => Ok(Step::Again),
            None => Ok(Step::Done {
                planned,
                version,
                noted,
            }),
        }
    }

    /// Answers the newest version.
    async fn carry_out(&self, client: &Client, changes: Changes) -> Result<u64, Error> {
        let mut version = changes.version;
        let mut metadata_version = changes.metadata_version;
        if let Some(marks) = &changes.mark_first {
            if changes.was == Was::Nowhere && self.counts_metadata(client).await? {
                metadata_version = Some(0);
            }
            if metadata_version.is_none() && matches!(changes.was, Was::Nowhere | Was::Free) {
                version = self.claim(client, version).await?;
            }
            self.write_marks(client, marks, metadata_version).await?;
            metadata_version = metadata_version.map(|version| version + 1);
        }
        if let Some(visible) = changes.visible {
            let verb = if visible { "undelete" } else { "delete" };
            self.set_versions(client, verb, &[version]).await?;
        }
        if let Some(data) = changes.data {
            let written = self.write_data(client, data, version).await;
            let fresh = matches!(changes.was, Was::Nowhere | Was::Free) && self.adoption == Adoption::Refuse;
            if fresh && written.as_ref().is_err_and(Error::is_stale) {
                return Err(self.give_way(client, metadata_version).await?);
            }
            version = written?;
        }
        if let Some(marks) = &changes.mark_last {
            self.write_marks(client, marks, metadata_version).await?;
        }
        Ok(version)
    }

    /// Whether the server has check-and-set for metadata.
    async fn counts_metadata(&self, client: &Client) -> Result<bool, Error> {
        #[derive(Deserialize)]
        struct Config {
            metadata_cas_required: Option<bool>,
        }
        let mount = &self.path.mount;
        if client.counting().contains(mount) {
            return Ok(true);
        }
        let config = match client.read_optional::<Config>(&format!("{mount}/config")).await {
            // A policy of before knows nothing of it; the other way needs no further right.
            Err(error) if error.is_denied() => None,
            found => found?,
        };
        let counts = config.is_some_and(|config| config.metadata_cas_required.is_some());
        if counts {
            client.counting().insert(mount.clone());
        }
        Ok(counts)
    }

    /// Somebody wrote values between our look and our mark, and servers do not count that for the mark:
    /// it stands on what is theirs, and goes.
    async fn give_way(&self, client: &Client, metadata_version: Option<u64>) -> Result<Error, Error> {
        let body = json!({ "custom_metadata": {}, "cas_required": false, "max_versions": 0 });
        self.write_metadata(client, body, metadata_version).await?;
        Ok(self.conflict("somebody else wrote there first".into()))
    }

    async fn claim(&self, client: &Client, version: u64) -> Result<u64, Error> {
        let claimed = self
            .write_data(client, Document::claim(&self.owner), version)
            .await;
        claimed.map_err(|error| {
            if error.is_stale() {
                // Who was faster may not have set its mark yet, so looking again would not tell.
                self.conflict("somebody else wrote there first".into())
            } else {
                error
            }
        })
    }

    pub(super) async fn write_data(
        &self,
        client: &Client,
        mut data: Document,
        cas: u64,
    ) -> Result<u64, Error> {
        #[derive(Deserialize)]
        struct Written {
            version: u64,
        }
        let path = self.path.data();
        let body = json!({ "options": { "cas": cas }, "data": std::mem::take(&mut data.0) });
        let answer = client.call::<Written>(Method::Post, &path, Some(&body)).await;
        wipe(body);
        let missing = || Error::Answer {
            request: Request { method: "POST", path },
            why: "no version".into(),
        };
        Ok(answer?.data.ok_or_else(missing)?.version)
    }

    async fn write_marks(&self, client: &Client, marks: &Marks, version: Option<u64>) -> Result<(), Error> {
        let body = json!({
            "custom_metadata": marks.0, "cas_required": true, "max_versions": MAX_VERSIONS,
        });
        self.write_metadata(client, body, version).await
    }

    pub(super) async fn write_metadata(
        &self,
        client: &Client,
        mut body: Value,
        version: Option<u64>,
    ) -> Result<(), Error> {
        if let Some(version) = version {
            body["metadata_cas"] = version.into();
        }
        client.write(&self.path.metadata(), &body).await
    }

    /// Deletes, undeletes or destroys versions.
    pub(super) async fn set_versions(
        &self,
        client: &Client,
        verb: &str,
        versions: &[u64],
    ) -> Result<(), Error> {
        let path = format!("{}/{verb}/{}", self.path.mount, self.path.path);
        client.write(&path, &json!({ "versions": versions })).await
    }
}

/// How far a pass is.
enum Step {
    /// At its end.
    Done {
        planned: Action,
        version: u64,
        noted: Noted,
    },
    /// Once an endpoint was asked.
    Ask(Ask),
    /// More can be seen now.
    Again,
}
