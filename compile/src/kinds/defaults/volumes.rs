//! How large the memory volumes of a sidecar are. What is in them counts on its memory, so where that has a
//! limit they fit in: a full volume is a sentence in the log, and a limit that is passed ends the sidecar.

use crate::quantity::{bytes, in_binary};

/// Sizes in bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Volumes {
    /// Of the files: two versions of all of them during a swap.
    pub files: u64,
    /// Of what only the sidecar sees: two versions of the variables, and the readiness file.
    pub private: u64,
}

impl Volumes {
    /// For a sidecar with this `filesSize` and this memory limit, where somebody says them, and with its program
    /// among the files where that starts commands. Else why they can't be.
    pub fn fit(size: Option<&str>, limit: Option<&str>, program: bool) -> Result<Self, String> {
        let least = if program {
            LEAST_FILES + PROGRAM
        } else {
            LEAST_FILES
        };
        let limit = limit.and_then(bytes).unwrap_or(u64::MAX);
        let room = limit.saturating_sub(OWN);
        let said = size.and_then(bytes);
        let files = said.unwrap_or_else(|| FILES.min(room / 5 * 4));
        if files < least {
            let (remedy, enough) = match said {
                Some(_) => ("sidecar.filesSize", least.next_multiple_of(MI)),
                None => (
                    "the memory limit (sidecar.resources.limits.memory, or the pod's own)",
                    (OWN + least / 4 * 5).next_multiple_of(MI),
                ),
            };
            return Err(format!(
                "the sidecar's program starts the containers' commands and needs {} of the volume of the files, which \
                 would have {}: let {remedy} be at least {}",
                in_binary(PROGRAM),
                in_binary(files),
                in_binary(enough)
            ));
        }
        if files.saturating_add(LEAST_PRIVATE) > room {
            return Err(format!(
                "sidecar.filesSize is {}, which does not fit into the memory limit of {}, of which the sidecar needs \
                 {} itself: let it be at most {}, or the limit (sidecar.resources.limits.memory, or the pod's own) at least {}",
                in_binary(files),
                in_binary(limit),
                in_binary(OWN + LEAST_PRIVATE),
                in_binary(room.saturating_sub(LEAST_PRIVATE)),
                in_binary(Self::limit(files))
            ));
        }
        let private = PRIVATE.min(room - files);
        Ok(Self { files, private })
    }

    /// The memory limit, in bytes, of a sidecar whose files have this many.
    pub fn limit(files: u64) -> u64 {
        let all = files.saturating_add(PRIVATE + OWN);
        all.checked_next_multiple_of(MI).unwrap_or(all)
    }
}

const KI: u64 = 1 << 10;
const MI: u64 = 1 << 20;

/// What the sidecar itself needs: 6.3 MB with a hundred secrets, and a little more while it reads them.
const OWN: u64 = 7 * MI;
/// The program, where containers run it.
const PROGRAM: u64 = 5 * MI;
/// Of the files, where nobody says it and no limit is below.
const FILES: u64 = 32 * MI;
const PRIVATE: u64 = 8 * MI;
/// What `filesSize` is at least.
const LEAST_FILES: u64 = 64 * KI;
const LEAST_PRIVATE: u64 = 128 * KI;

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(size: Option<&str>, limit: Option<&str>, program: bool) -> (u64, u64) {
        let Volumes { files, private } = Volumes::fit(size, limit, program).unwrap();
        (files / KI, private / KI)
    }

    #[test]
    fn they_fit_into_every_limit() {
        assert_eq!(sizes(None, None, true), (32 << 10, 8 << 10));
        assert_eq!(sizes(None, Some("64Mi"), true), (32 << 10, 8 << 10));
        assert_eq!(sizes(Some("1Gi"), None, false), (1 << 20, 8 << 10));
        assert_eq!(sizes(None, Some("8Mi"), false), (819, 204));
        for limit in 8..100_u64 {
            let Volumes { files, private } = Volumes::fit(None, Some(&format!("{limit}Mi")), false).unwrap();
            assert!(files + private + OWN <= limit * MI, "{limit}");
            assert!(files >= LEAST_FILES && private >= LEAST_PRIVATE, "{limit}");
            let said = in_binary(files);
            let said = Volumes::fit(Some(&said), Some(&format!("{limit}Mi")), false).unwrap();
            assert!(said.files + said.private + OWN <= limit * MI, "{limit}");
        }
    }

    #[test]
    fn what_does_not_fit_says_what_would() {
        let refused = |size, limit, program| Volumes::fit(size, limit, program).unwrap_err();
        assert_eq!(
            refused(Some("32Mi"), Some("16Mi"), false),
            "sidecar.filesSize is 32Mi, which does not fit into the memory limit of 16Mi, of which the sidecar needs \
             7296Ki itself: let it be at most 9088Ki, or the limit (sidecar.resources.limits.memory, or the pod's own) at least 47Mi"
        );
        assert!(Volumes::fit(Some("9088Ki"), Some("16Mi"), false).is_ok());
        assert!(Volumes::fit(Some("9089Ki"), Some("16Mi"), false).is_err());
        assert!(Volumes::fit(Some("32Mi"), Some("47Mi"), false).is_ok());
        assert_eq!(
            refused(Some("1Mi"), None, true),
            "the sidecar's program starts the containers' commands and needs 5Mi of the volume of the files, which would \
             have 1Mi: let sidecar.filesSize be at least 6Mi"
        );
        assert!(Volumes::fit(Some("6Mi"), None, true).is_ok());
        let said = refused(None, Some("8Mi"), true);
        assert!(said.ends_with("or the pod's own) be at least 14Mi"), "{said}");
        assert!(Volumes::fit(None, Some("14Mi"), true).is_ok());
        assert!(Volumes::fit(Some("100E"), Some("1Gi"), false).is_err());
    }
}
