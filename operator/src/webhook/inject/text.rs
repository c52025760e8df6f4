//! Parts of a pod that borrow from what was sent.

use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Deref;

/// A text, and where nothing in it is escaped, a part of what was sent.
#[derive(Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

pub(super) type Texts<'a> = BTreeMap<Text<'a>, Text<'a>>;

/// Of a container, or of a pod as a whole.
#[derive(Debug, Deserialize)]
pub(super) struct Resources<'a> {
    #[serde(borrow)]
    requests: Option<Texts<'a>>,
    #[serde(borrow)]
    limits: Option<Texts<'a>>,
}

// === impl Text ===

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<&'static str> for Text<'_> {
    fn from(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

// === impl Resources ===

impl<'a> Resources<'a> {
    /// Request and limit of one.
    pub(super) fn of<'s>(&'s self, name: &'static str) -> (Option<&'s str>, Option<&'s str>) {
        let name = &Text::from(name);
        let amount = |amounts: &'s Option<Texts<'a>>| amounts.as_ref()?.get(name).map(Deref::deref);
        (amount(&self.requests), amount(&self.limits))
    }
}
