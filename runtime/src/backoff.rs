//! Waiting longer after each failure.

use std::time::Duration;

/// How long to wait after so many failures in a row: doubles from `first`, never past `max`. It
/// counts nothing itself, so one serves any number of objects.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Backoff {
    first: Duration,
    max: Duration,
}

impl Backoff {
    /// A backoff from `first` up to `max`.
    pub const fn new(first: Duration, max: Duration) -> Self {
        Self { first, max }
    }

    /// The wait after `failures` failures in a row: a random time between half of
    /// [`Self::ceiling`] and all of it, so that what failed together does not come back together.
    pub fn delay(&self, failures: u32) -> Duration {
        self.ceiling(failures).mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// The longest wait after `failures` failures in a row; zero after none.
    pub fn ceiling(&self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else {
            return Duration::ZERO;
        };
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff::new(Duration::from_secs(2), Duration::from_mins(5));

    #[test]
    fn doubles_up_to_the_maximum() {
        let waits: Vec<u64> = (0..=10).map(|n| BACKOFF.ceiling(n).as_secs()).collect();
        assert_eq!(waits, [0, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(BACKOFF.ceiling(u32::MAX), Duration::from_mins(5));
    }

    #[test]
    fn jitter_takes_off_at_most_half() {
        for failures in 0..20 {
            let ceiling = BACKOFF.ceiling(failures);
            for _ in 0..100 {
                let delay = BACKOFF.delay(failures);
                assert!(
                    delay <= ceiling && delay >= ceiling / 2,
                    "{delay:?} after {failures} failures"
                );
            }
        }
    }
}
