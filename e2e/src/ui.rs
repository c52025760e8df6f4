//! What the program says to people: results on stdout, progress on stderr.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use tokio::time::Instant;

/// Between two lines of progress where nothing can be overwritten (a CI log).
const PROGRESS_EVERY: Duration = Duration::from_secs(30);

/// Prints one line of a result. A reader that has gone away is no error.
pub fn say(line: impl Display) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// Prints one line about what is going on.
pub fn note(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// A duration as people read it: `0.4s`, `12s`, `5m12s`.
pub fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1}s", duration.as_secs_f32()),
        10..60 => format!("{seconds}s"),
        _ => format!("{}m{:02}s", seconds / 60, seconds % 60),
    }
}

/// Something that takes a while: named while it runs, with its duration when done.
pub struct Step {
    title: String,
    began: Instant,
    spoke: Instant,
    terminal: bool,
    open: bool,
}

impl Step {
    /// Names the step and starts its clock.
    pub fn begin(title: impl Display) -> Self {
        let now = Instant::now();
        let step = Self {
            title: title.to_string(),
            began: now,
            spoke: now,
            terminal: io::stderr().is_terminal(),
            open: true,
        };
        step.write(&format!("▸ {} … ", step.title));
        step
    }

    /// Says how far it is; on a terminal in place, elsewhere now and then.
    pub fn progress(&mut self, how_far: impl Display) {
        let elapsed = human(self.began.elapsed());
        if self.terminal {
            self.write(&format!("\r▸ {} … {elapsed} {how_far}\x1b[K", self.title));
        } else if self.spoke.elapsed() >= PROGRESS_EVERY {
            self.spoke = Instant::now();
            self.write(&format!("\n    {elapsed} {how_far} … "));
        }
    }

    /// Ends the step well.
    pub fn done(self) {
        self.done_with("");
    }

    /// Ends the step well, with a word about the outcome.
    pub fn done_with(mut self, outcome: impl Display) {
        self.open = false;
        let elapsed = human(self.began.elapsed());
        let outcome = outcome.to_string();
        let outcome = if outcome.is_empty() {
            outcome
        } else {
            format!(" ({outcome})")
        };
        let start = if self.terminal {
            format!("\r▸ {} … ", self.title)
        } else {
            String::new()
        };
        let end = if self.terminal { "\x1b[K\n" } else { "\n" };
        self.write(&format!("{start}{elapsed}{outcome}{end}"));
    }

    #[expect(clippy::unused_self, reason = "only a step writes half lines")]
    fn write(&self, text: &str) {
        let mut stderr = io::stderr().lock();
        let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if self.open {
            self.write("failed\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        let read = |millis| human(Duration::from_millis(millis));
        assert_eq!(read(420), "0.4s");
        assert_eq!(read(12_900), "12s");
        assert_eq!(read(312_000), "5m12s");
    }
}
