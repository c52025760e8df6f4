//! When values are replaced: who asks for it, what is noted of it in the marks, and what a crash left.
//!
//! Data and metadata are two requests, so a rotation notes first that it begins, and from which version;
//! then it writes the values, then that it is done. What is found begun was done if the values differ from
//! those of that version. Values that an endpoint gives are asked for by the id that was noted, again by the
//! same one after a crash.

use super::generate::Recipe;
use super::marks::{Marks, token};
use super::{KvSecret, Observed, Values, Wanted};
use crate::error::Error;
use crate::sensitive::Sensitive;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What is added to a key's name for the value that it had before.
pub const PREVIOUS: &str = "_previous";

/// How values are replaced.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rotation {
    /// The rotation whose time has come, the first of all being 1; none where it is too early.
    pub due: Option<u64>,
    /// How long a value of before is kept beside the new one, with [`PREVIOUS`]; not at all where there is
    /// none.
    pub keep_previous: Option<Duration>,
    /// Where new values come from.
    pub by: RotatedBy,
}

/// Where new values come from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RotatedBy {
    /// They are made here, for the keys that are to be generated.
    Keystead,
    /// An endpoint gives them, for the keys that say so.
    Webhook(Box<Webhook>),
    /// People bring them; that is counted.
    People,
}

/// An endpoint that gives new values.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Webhook {
    /// `https://…`.
    pub url: String,
    /// Authorities to trust, as PEM; the system's where there are none.
    pub ca: Option<String>,
    /// Namespace, name and key of the Secret with what requests are signed by.
    pub signing: (String, String, String),
    /// What they are asked for, as the endpoint is told it.
    pub subject: Subject,
}

/// What new values are asked for.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
pub struct Subject {
    /// The cluster.
    pub cluster: String,
    /// `development`, `testing` or `production`.
    pub environment: String,
    /// The scope's level, such as `Company`.
    pub level: String,
    /// The scope's id, where its level has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The service.
    pub service: String,
}

/// Who asks for a rotation out of turn.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Asked {
    /// Another one than the last time.
    pub text: String,
    /// Nothing of before is kept.
    pub drops_previous: bool,
}

/// A request for new values. The same id always means the same request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// Whom to ask.
    pub webhook: Box<Webhook>,
    /// 32 hexadecimal digits.
    pub id: String,
    /// Which rotation it is for; 0 for the first values.
    pub rotation: u64,
    /// For which keys.
    pub keys: Vec<String>,
}

/// What a request brought.
pub(super) struct Answers {
    pub(super) id: String,
    pub(super) values: Result<BTreeMap<String, Sensitive<String>>, Error>,
}

/// What is noted of rotations.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Noted {
    /// When the last one was; before the first, since when values are known.
    pub(super) at: Option<Timestamp>,
    pub(super) count: u64,
    /// Of what people write in Vault: the version that was there when it was counted last.
    pub(super) version: Option<u64>,
    /// The [`token`] of who asked and was followed last.
    pub(super) followed: Option<String>,
    /// What is under way.
    pub(super) begun: Option<Begun>,
}

/// A rotation under way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Begun {
    pub(super) id: String,
    /// Which rotation it is.
    pub(super) number: u64,
    /// The newest version when it began.
    pub(super) from: u64,
    /// The [`token`] of who asked for it.
    pub(super) token: Option<String>,
}

impl Begun {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        Some(Self {
            id: parts.next()?.to_owned(),
            number: parts.next()?.parse().ok()?,
            from: parts.next()?.parse().ok()?,
            token: parts.next().map(str::to_owned),
        })
    }
}

impl fmt::Display for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.id, self.number, self.from)?;
        self.token.iter().try_for_each(|token| write!(f, " {token}"))
    }
}

/// What a pass is to do about rotation.
pub(super) struct Turn {
    /// What is noted, with what a crash left undone.
    pub(super) noted: Noted,
    /// Whether values are replaced now.
    pub(super) rotates: bool,
    /// Whether somebody asked for it, so that what was lost is replaced, too.
    pub(super) asked: bool,
    /// Whether the values of before are kept.
    pub(super) keeps: bool,
    /// The rotation under way or to begin.
    pub(super) begun: Begun,
}

impl KvSecret {
    /// What there is to do about rotation.
    pub(super) fn turn(
        &self,
        observed: &Observed,
        marks: &Marks,
        values: &Values<'_>,
    ) -> Result<Turn, Error> {
        let noted = self.caught_up(marks.rotation(), observed, values);
        let asked = self
            .asked
            .as_ref()
            .map(|asked| (token(&asked.text), asked.drops_previous));
        let asked = asked.filter(|(token, _)| noted.followed.as_ref() != Some(token));
        let rotation = self.rotation.as_ref();
        let due = rotation.and_then(|rotation| rotation.due);
        let is_due = due.is_some_and(|due| noted.count < due);
        let by_people = rotation.is_some_and(|rotation| rotation.by == RotatedBy::People);
        let drops = asked.as_ref().is_some_and(|(_, drops)| *drops);
        let number = due.unwrap_or(0).max(noted.count + 1);
        // First values are no rotation.
        let number = if !by_people && self.is_new(marks) {
            0
        } else {
            number
        };
        let id = match noted.begun.as_ref().filter(|begun| begun.number == number) {
            Some(begun) => begun.id.clone(),
            None => id()?,
        };
        Ok(Turn {
            rotates: (asked.is_some() || is_due) && number > 0 && !by_people,
            keeps: rotation.is_some_and(|rotation| rotation.keep_previous.is_some()) && !drops,
            begun: Begun {
                id,
                number,
                from: observed.version,
                token: asked.as_ref().map(|(token, _)| token.clone()),
            },
            asked: asked.is_some(),
            noted,
        })
    }

    /// Whether nothing was made or fetched yet, as far as anybody knows.
    fn is_new(&self, marks: &Marks) -> bool {
        marks.generated().is_empty() && !self.known
    }

    /// What is noted, as it would be had nobody been killed.
    fn caught_up(&self, mut noted: Noted, observed: &Observed, values: &Values<'_>) -> Noted {
        if let Some(begun) = noted.begun.take_if(|begun| begun.from < observed.version) {
            if self.was_replaced(observed, values) {
                noted.at = Some(values.now);
                noted.count = begun.number;
                noted.followed = begun.token.or(noted.followed);
            } else {
                let from = observed.version;
                noted.begun = Some(Begun { from, ..begun });
            }
        }
        self.count_people(&mut noted, observed, values);
        if self.rotation.is_some() {
            noted.at = noted.at.or(Some(values.now));
        }
        noted
    }

    /// Whether a value that is replaced by rotations differs from what it was when one began.
    fn was_replaced(&self, observed: &Observed, values: &Values<'_>) -> bool {
        let Some(now) = observed.document() else {
            return false;
        };
        let mut replaced = values.keys.iter().filter(|(_, wanted)| self.replaces(wanted));
        match &observed.begun_at {
            // It is gone since: more was written than one rotation.
            None => true,
            Some(before) => replaced.any(|(key, _)| before.get(key) != now.get(key)),
        }
    }

    /// Whether rotations replace a value.
    pub(super) fn replaces(&self, wanted: &Wanted<'_>) -> bool {
        match self.rotation.as_ref().map(|rotation| &rotation.by) {
            Some(RotatedBy::Webhook(_)) => matches!(wanted, Wanted::Made(None)),
            Some(RotatedBy::People) => matches!(wanted, Wanted::Exactly(_)),
            Some(RotatedBy::Keystead) | None => matches!(wanted, Wanted::Made(_)),
        }
    }

    /// Counts what people wrote in Vault themselves.
    fn count_people(&self, noted: &mut Noted, observed: &Observed, values: &Values<'_>) {
        let by_people = self
            .rotation
            .as_ref()
            .is_some_and(|found| found.by == RotatedBy::People);
        let in_vault = values
            .keys
            .values()
            .any(|wanted| matches!(wanted, Wanted::InVault));
        if !by_people || !in_vault {
            noted.version = None;
            return;
        }
        if observed.document().is_none() || noted.version == Some(observed.version) {
            return;
        }
        if noted.version.is_some() {
            noted.count += 1;
            noted.at = Some(values.now);
        }
        noted.version = Some(observed.version);
    }

    /// Whether the value that a key had before is still to be there.
    pub(super) fn keeps_previous(&self, noted: &Noted, now: Timestamp) -> bool {
        let keep = self.rotation.as_ref().and_then(|rotation| rotation.keep_previous);
        keep.zip(noted.at).is_some_and(|(keep, at)| {
            // A time that no timestamp can name never comes.
            at.checked_add(keep).is_ok_and(|end| now < end)
        })
    }
}

impl Turn {
    /// What is noted once values were replaced, or made for the first time.
    pub(super) fn done(&self, replaced: bool, now: Timestamp) -> Noted {
        let noted = self.noted.clone();
        Noted {
            at: Some(now),
            count: if replaced {
                self.begun.number.max(noted.count)
            } else {
                noted.count
            },
            followed: self.begun.token.clone().or(noted.followed),
            begun: None,
            version: noted.version,
        }
    }

    /// What is noted where nothing was; what is begun and could not be done stays under way.
    pub(super) fn rest(&self, pending: bool) -> Noted {
        Noted {
            begun: pending.then(|| self.begun.clone()),
            ..self.noted.clone()
        }
    }
}

/// A new id of a request.
fn id() -> Result<String, Error> {
    let recipe = Recipe {
        length: 32,
        alphabet: "0123456789abcdef",
        classes: &[],
    };
    let made = recipe.make().map_err(Error::Value)?;
    Ok(made.expose().clone())
}
