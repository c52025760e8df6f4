//! What was said already: each error is one line in the log, not one for each retry.

use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// How long an error that goes on is not said again.
const REPEAT: Duration = Duration::from_mins(5);
/// How many errors are remembered.
const CAPACITY: usize = 16;

/// The sentences that were said, and when.
#[derive(Debug, Default)]
pub struct Report(HashMap<String, Instant>);

impl Report {
    /// Whether the sentence should be said now; if so, it counts as said.
    pub fn is_news(&mut self, sentence: &str, now: Instant) -> bool {
        if self.0.get(sentence).is_some_and(|said| now < *said + REPEAT) {
            return false;
        }
        if self.0.len() >= CAPACITY {
            let oldest = self
                .0
                .iter()
                .min_by_key(|(_, said)| **said)
                .map(|(sentence, _)| sentence.clone());
            oldest.map(|sentence| self.0.remove(&sentence));
        }
        self.0.insert(sentence.to_owned(), now);
        true
    }

    /// All is well: whatever comes next is news. Says whether anything was wrong.
    pub fn clear(&mut self) -> bool {
        let was_wrong = !self.0.is_empty();
        self.0.clear();
        was_wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sentence_is_said_once_and_again_much_later() {
        let mut report = Report::default();
        let start = Instant::now();
        assert!(report.is_news("a", start));
        assert!(report.is_news("b", start + Duration::from_secs(1)));
        assert!(
            !report.is_news("a", start + Duration::from_secs(2)),
            "in turn with another one too"
        );
        assert!(!report.is_news("a", start + REPEAT - Duration::from_secs(1)));
        assert!(report.is_news("a", start + REPEAT));
        assert!(report.clear());
        assert!(report.is_news("b", start + REPEAT));
    }

    #[test]
    fn it_remembers_a_bounded_number() {
        let mut report = Report::default();
        let start = Instant::now();
        for n in 0..100 {
            assert!(report.is_news(&n.to_string(), start + Duration::from_secs(n)));
        }
        assert_eq!(report.0.len(), CAPACITY);
        assert!(!report.is_news("99", start + Duration::from_secs(100)));
        assert!(
            report.is_news("0", start + Duration::from_secs(100)),
            "forgotten long ago"
        );
    }
}
