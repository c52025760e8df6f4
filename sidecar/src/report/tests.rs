use super::teller::{Takes, serve};
use super::*;
use keystead_vault::Error as VaultError;
use std::fs;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

const SECOND: Duration = Duration::from_secs(1);

fn error(n: u64) -> Error {
    Error::Taken(n.to_string().into())
}

fn outage() -> Error {
    VaultError::Unreachable {
        address: "https://vault".into(),
        why: "connection refused".into(),
    }
    .into()
}

#[test]
fn each_sentence_is_said_once_and_again_much_later() {
    let mut report = Report::default();
    let start = Instant::now();
    let mut is_news =
        |trouble, sentence: &str, seconds| report.is_news(trouble, sentence, start + SECOND * seconds);
    assert!(is_news(Trouble::NotReady, "a", 0));
    assert!(is_news(Trouble::NotReady, "b", 1));
    assert!(
        !is_news(Trouble::NotReady, "a", 2),
        "in turn with another one too"
    );
    assert!(is_news(Trouble::TakenAway, "a", 2), "it means something else");
    assert!(!is_news(Trouble::NotReady, "a", 299));
    assert!(is_news(Trouble::NotReady, "a", 300));
    assert!(report.clear() && !report.clear());
    assert!(report.is_news(Trouble::NotReady, "b", start + REPEAT));
}

#[test]
fn it_remembers_a_bounded_number() {
    let mut report = Report::default();
    let start = Instant::now();
    let mut is_news = |n: u64, seconds: u64| {
        report.is_news(
            Trouble::NotReady,
            &n.to_string(),
            start + Duration::from_secs(seconds),
        )
    };
    assert!((0..100).all(|n| is_news(n, n)));
    assert!(!is_news(99, 100));
    assert!(is_news(0, 100), "forgotten long ago");
    assert_eq!(report.said.len(), CAPACITY);
}

#[test]
fn the_last_words_are_what_is_wrong_now() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("termination-log");
    let mut report = Report::new(&path);
    report.say(Trouble::NotReady, &error(1));
    assert!(!path.exists(), "only the kubelet makes it");

    fs::write(&path, "").unwrap();
    let said = || fs::read_to_string(&path).unwrap();
    report.end_early();
    assert_eq!(said(), "asked to end before the secrets were there");
    report.say(Trouble::NotReady, &outage());
    assert_eq!(said(), "cannot reach https://vault: connection refused");
    report.end_early();
    assert_eq!(said(), "cannot reach https://vault: connection refused");
    report.clear();
    assert_eq!(said(), "");
}

/// Takes reports, when it does.
#[derive(Clone, Default)]
struct Operator {
    taken: Arc<Mutex<Vec<(PodReason, String, u64)>>>,
    /// How many of the next it does not take.
    failing: Arc<Mutex<u32>>,
    since: Option<Instant>,
}

impl Takes for Operator {
    async fn post(&self, report: &PodReport) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let mut failing = self.failing.lock().unwrap();
        if *failing > 0 {
            *failing -= 1;
            return Err("away".into());
        }
        let at = self.since.unwrap().elapsed().as_secs();
        self.taken
            .lock()
            .unwrap()
            .push((report.reason, report.message.clone(), at));
        Ok(())
    }
}

/// What an operator hears that fails so often, when these are said at these seconds.
async fn told(failing: u32, said: &[(u64, PodReason, &str)]) -> Vec<(PodReason, String, u64)> {
    let since = Instant::now();
    let operator = Operator {
        failing: Arc::new(Mutex::new(failing)),
        since: Some(since),
        ..Operator::default()
    };
    let (latest, heard) = watch::channel(None);
    let serving = serve(operator.clone(), since, heard);
    let saying = async move {
        for (at, reason, message) in said {
            tokio::time::sleep_until(since + Duration::from_secs(*at)).await;
            latest.send_replace(Some(PodReport::new(*reason, message)));
        }
        // Until the last is told or given up.
        tokio::time::sleep(Duration::from_mins(10)).await;
    };
    tokio::join!(saying, serving);
    let taken = operator.taken.lock().unwrap();
    taken.clone()
}

use PodReason::{SecretsNotCurrent, SecretsNotReady, SecretsReady, SecretsTakenAway};

#[tokio::test(start_paused = true)]
async fn what_passes_by_itself_is_not_told() {
    let said = [(0, SecretsNotReady, "a"), (1, SecretsReady, "r")];
    assert_eq!(told(0, &said).await, []);
    let said = [(60, SecretsNotCurrent, "a"), (61, SecretsReady, "r")];
    assert_eq!(told(0, &said).await, []);
}

#[tokio::test(start_paused = true)]
async fn what_stays_is_told_soon_and_so_is_its_end() {
    let said = [
        (0, SecretsNotReady, "a"),
        (1, SecretsNotReady, "b"),
        (9, SecretsNotReady, "c"),
        (20, SecretsReady, "r"),
        (30, SecretsTakenAway, "t"),
        (40, SecretsReady, "r"),
    ];
    let expected = [
        (SecretsNotReady, "b", 2),
        // A start that has waited for long has nothing more to wait for.
        (SecretsNotReady, "c", 9),
        (SecretsReady, "r", 22),
        (SecretsTakenAway, "t", 32),
        (SecretsReady, "r", 42),
    ];
    let expected = expected.map(|(reason, message, at)| (reason, message.to_owned(), at));
    assert_eq!(told(0, &said).await, expected);
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_is_away_is_tried_again_and_not_for_ever() {
    let one = [(0, SecretsNotReady, "a")];
    let taken = told(7, &one).await;
    assert_eq!(taken.len(), 1, "the eighth try");
    assert_eq!(told(8, &one).await, []);
    // What is newer is told in place of what is older.
    let two = [(0, SecretsNotReady, "a"), (3, SecretsNotReady, "b")];
    let taken = told(1, &two).await;
    let last = taken.last().unwrap();
    assert_eq!((last.0, last.1.as_str()), (SecretsNotReady, "b"));
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_a_pod_that_runs_is_the_providers_to_tell() {
    let mut report = Report::default();
    report.say(Trouble::NotCurrent, &outage());
    assert!(report.teller.is_silent());
    report.say(Trouble::NotReady, &outage());
    assert!(!report.teller.is_silent());
    let mut report = Report::default();
    report.say(Trouble::NotCurrent, &error(1));
    assert!(!report.teller.is_silent());
}
