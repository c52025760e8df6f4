//! Short digests, which tell texts apart and say nothing of what is in them.

use ring::digest::{SHA256, digest};

/// The first eight bytes of a text's SHA-256: the same in every process.
pub fn short(text: &str) -> u64 {
    let hash = digest(&SHA256, text.as_bytes());
    let first = hash.as_ref().iter().take(8);
    first.fold(0, |number, byte| number << 8 | u64::from(*byte))
}
