//! Admission reviews as they travel.

use serde::{Deserialize, Serialize};

/// The body is no AdmissionReview, so there is no uid to answer to.
#[derive(Debug, thiserror::Error)]
#[error("the body is not an AdmissionReview: {0}")]
pub struct Malformed(#[from] pub(super) serde_json::Error);

/// What the API server sends.
#[derive(Deserialize)]
pub(super) struct Incoming<R> {
    pub(super) request: R,
}

/// What it gets. Our own struct: kube's writes the patch as an array of numbers, at twice the size and
/// time.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warnings: &'a [String],
}

#[derive(Serialize)]
struct Status<'a> {
    code: u16,
    message: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outgoing<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: &'a Response<'a>,
}

// === impl Response ===

impl<'a> Response<'a> {
    /// It gets in.
    pub(super) const fn allow(uid: &'a str) -> Self {
        Self {
            uid,
            allowed: true,
            patch_type: None,
            patch: None,
            status: None,
            warnings: &[],
        }
    }

    /// It does not get in: an HTTP status, and a sentence that says why and what to do.
    pub(super) const fn refuse(uid: &'a str, code: u16, message: &'a str) -> Self {
        let mut response = Self::allow(uid);
        response.allowed = false;
        response.status = Some(Status { code, message });
        response
    }

    /// The same with a JSON patch, in Base64.
    pub(super) fn with_patch(mut self, patch: String) -> Self {
        (self.patch_type, self.patch) = (Some("JSONPatch"), Some(patch));
        self
    }

    /// The same with sentences that `kubectl` shows whoever sent it.
    pub(super) const fn with_warnings(mut self, warnings: &'a [String]) -> Self {
        self.warnings = warnings;
        self
    }

    /// The body of the answer.
    pub(super) fn render(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&Outgoing {
            api_version: "admission.k8s.io/v1",
            kind: "AdmissionReview",
            response: self,
        })
    }
}

/// Whoever asks may not.
pub(super) const FORBIDDEN: u16 = 403;
/// The object can't be as it is.
pub(super) const INVALID: u16 = 422;
/// Not now; the same may be taken a moment later.
pub(super) const UNAVAILABLE: u16 = 503;
