//! The volumes of a pod, and where a container has them.

use super::text::Text;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// A volume, and whether it is one that the kubelet fills itself.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Volume<'a> {
    #[serde(borrow)]
    pub(super) name: Option<Text<'a>>,
    config_map: Option<IgnoredAny>,
    #[serde(rename = "downwardAPI")]
    downward_api: Option<IgnoredAny>,
    projected: Option<IgnoredAny>,
    secret: Option<IgnoredAny>,
}

/// Where a container has a volume, or a part of it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Mount<'a> {
    #[serde(borrow)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow, rename = "mountPath")]
    path: Option<Text<'a>>,
    read_only: Option<bool>,
    #[serde(borrow)]
    sub_path: Option<Text<'a>>,
    #[serde(borrow)]
    sub_path_expr: Option<Text<'a>>,
}

impl Volume<'_> {
    /// Whether the kubelet fills it: it makes the directories that others are mounted at below it, too.
    pub(super) fn is_filled_by_kubelet(&self) -> bool {
        let kinds = [
            &self.config_map,
            &self.downward_api,
            &self.projected,
            &self.secret,
        ];
        kinds.into_iter().any(Option::is_some)
    }
}

impl Mount<'_> {
    pub(super) fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    pub(super) fn is_read_only(&self) -> bool {
        self.read_only.unwrap_or(false)
    }

    /// Whether it is not the whole volume.
    pub(super) fn is_part(&self) -> bool {
        let parts = [&self.sub_path, &self.sub_path_expr];
        parts.into_iter().flatten().any(|part| !part.is_empty())
    }
}
