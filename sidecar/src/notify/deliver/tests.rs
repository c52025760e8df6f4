use super::*;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// Clones speak of the same receiver.
#[derive(Clone)]
struct Fake {
    number: usize,
    state: Arc<Mutex<State>>,
}

struct State {
    start: Instant,
    /// What comes of the next tries; all after them work.
    outcomes: VecDeque<Result<Outcome, Error>>,
    /// How long each takes.
    takes: Duration,
    /// Which messages were tried, and when.
    tried: Vec<(usize, Duration)>,
}

impl Message for Fake {
    async fn tell(&self) -> Result<Outcome, Error> {
        let (takes, outcome) = {
            let mut state = self.state.lock().unwrap();
            let since = state.start.elapsed();
            state.tried.push((self.number, since));
            (state.takes, state.outcomes.pop_front())
        };
        sleep(takes).await;
        outcome.unwrap_or(Ok(Outcome::Told))
    }
}

impl Display for Fake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "message {}", self.number)
    }
}

struct Bed {
    messages: watch::Sender<Option<Fake>>,
    state: Arc<Mutex<State>>,
    metrics: Metrics,
    sent: usize,
}

impl Bed {
    fn new() -> Self {
        let (messages, heard) = watch::channel(None);
        let metrics = Metrics::new().unwrap();
        let counts = metrics.clone();
        tokio::spawn(async move { serve(heard, &counts).await });
        let state = State {
            start: Instant::now(),
            outcomes: VecDeque::new(),
            takes: Duration::ZERO,
            tried: Vec::new(),
        };
        Self {
            messages,
            state: Arc::new(Mutex::new(state)),
            metrics,
            sent: 0,
        }
    }

    fn send(&mut self) {
        self.sent += 1;
        let state = Arc::clone(&self.state);
        let number = self.sent;
        self.messages.send_replace(Some(Fake { number, state }));
    }

    fn fails(&self, times: usize, error: &Error) {
        let outcomes = std::iter::repeat_n(Err(error.clone()), times);
        self.state.lock().unwrap().outcomes.extend(outcomes);
    }

    fn tried(&self) -> Vec<(usize, Duration)> {
        self.state.lock().unwrap().tried.clone()
    }

    fn counted(&self, result: &str, count: usize) -> bool {
        let page = prometheus::TextEncoder::new()
            .encode_to_string(&self.metrics.registry.gather())
            .unwrap();
        let line = format!("keystead_notifications_total{{result=\"{result}\"}} {count}");
        page.lines().any(|found| found == line)
    }
}

fn refused() -> Error {
    Error::Http {
        port: 80,
        path: "/".into(),
        why: "refused".into(),
    }
}

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test(start_paused = true)]
async fn ten_changes_at_once_are_told_once() {
    let mut bed = Bed::new();
    for _ in 0..10 {
        bed.send();
        sleep(QUIET / 2).await;
    }
    sleep(HOUR).await;
    let last = QUIET / 2 * 9;
    assert_eq!(bed.tried(), [(10, last + QUIET)]);
    bed.send();
    sleep(HOUR).await;
    assert_eq!(bed.tried().len(), 2, "and one much later once more");
    assert!(bed.counted("sent", 2) && bed.counted("failed", 0));
}

#[tokio::test(start_paused = true)]
async fn changes_without_an_end_are_told_all_the_same() {
    let mut bed = Bed::new();
    for _ in 0..100 {
        bed.send();
        sleep(QUIET / 2).await;
    }
    sleep(HOUR).await;
    let tried = bed.tried();
    assert_eq!(tried[0].1, LONGEST);
    assert!(tried.len() >= 5 && tried.len() <= 6, "{tried:?}");
    assert_eq!(tried.last().unwrap().0, 100, "the last one too");
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_tried_again_and_given_up_after_a_while() {
    let mut bed = Bed::new();
    bed.fails(2, &refused());
    bed.send();
    sleep(HOUR).await;
    assert_eq!(bed.tried().len(), 3);
    assert!(bed.counted("sent", 1) && bed.counted("failed", 0));

    bed.fails(100, &refused());
    bed.send();
    sleep(HOUR).await;
    assert_eq!(bed.tried().len(), 3 + 5);
    assert!(bed.counted("sent", 1) && bed.counted("failed", 1));

    bed.state.lock().unwrap().outcomes.clear();
    bed.send();
    sleep(HOUR).await;
    assert!(bed.counted("sent", 2), "the next change is told");
}

#[tokio::test(start_paused = true)]
async fn a_retry_tells_the_newest_and_that_is_enough() {
    let mut bed = Bed::new();
    bed.fails(1, &refused());
    bed.send();
    sleep(QUIET + Duration::from_millis(10)).await;
    assert_eq!(bed.tried().len(), 1);
    bed.send();
    sleep(HOUR).await;
    let numbers: Vec<usize> = bed.tried().into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_is_cut_off_and_what_comes_meanwhile_is_not_lost() {
    let mut bed = Bed::new();
    bed.state.lock().unwrap().takes = HOUR;
    bed.send();
    sleep(QUIET + DEADLINE / 2).await;
    bed.send();
    bed.state.lock().unwrap().takes = Duration::ZERO;
    sleep(HOUR).await;
    let numbers: Vec<usize> = bed.tried().into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, [1, 2]);
    assert!(bed.counted("sent", 1));
}

#[tokio::test(start_paused = true)]
async fn what_can_not_pass_is_not_tried_again() {
    let mut bed = Bed::new();
    let unsent = Error::Unsent {
        container: "web".into(),
        why: "not permitted".into(),
    };
    bed.fails(1, &unsent);
    bed.send();
    sleep(HOUR).await;
    assert_eq!(bed.tried().len(), 1);
    assert!(bed.counted("sent", 0) && bed.counted("failed", 1));
    bed.state.lock().unwrap().outcomes.push_back(Ok(Outcome::Nobody));
    bed.send();
    sleep(HOUR).await;
    assert!(
        bed.counted("sent", 0) && bed.counted("failed", 1),
        "nobody is neither"
    );
}
