mod fake;
mod modes;
mod refusals;

use super::*;
use crate::config::Environment;
use fake::Fake;
use keystead_crds::names;
use keystead_runtime::shutdown;
use keystead_vault::Request;
use serde_json::json;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

fn environment(dir: &TempDir) -> Environment {
    let on_change = json!({"signal": {"name": "SIGHUP", "container": "web"}});
    let config = json!({
        "version": 1,
        "vault": {
            "address": "http://127.0.0.1:1", "authMount": "jwt", "role": "r", "kvMount": "kv",
            "pathPrefix": "keystead", "environment": "production", "scopes": [{"level": "Global"}],
        },
        "secrets": [
            {"name": "crm", "from": {"service": "hubspot"}},
            {"name": "app", "from": {"path": "kv1/app"}},
        ],
        "files": [
            {"path": "key", "format": "Raw", "secret": "crm", "key": "api_key", "onChange": on_change},
            {"path": "app.env", "format": "Dotenv", "secret": "app"},
        ],
        "env": [{"name": "CRM_KEY", "secret": "crm", "key": "api_key"}],
        "fileMode": 0o440,
        "refreshMillis": 60_000,
    })
    .to_string();
    let mut environment = Environment::read(|name| (name == names::CONFIG_ENV).then(|| config.clone()));
    for (name, place) in [
        ("files", &mut environment.dirs.files),
        ("private", &mut environment.dirs.private),
    ] {
        *place = dir.path().join(name);
        fs::create_dir(&*place).unwrap();
    }
    environment
}

struct Bed {
    dir: TempDir,
    fake: Fake,
    pod: Pod,
    metrics: Metrics,
    ready: Condition,
    signals: Arc<Signals>,
}

/// Nobody runs in any container; counts who was looked for, as those are who get signals.
#[derive(Default)]
struct Signals(AtomicUsize);

impl notify::Processes for Signals {
    fn main(&self, _: &str) -> Result<Option<notify::Process>, notify::Error> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(None)
    }
}

fn bed() -> Bed {
    let dir = tempfile::tempdir().unwrap();
    let environment = environment(&dir);
    let settings = environment.settings().unwrap();
    let metrics = Metrics::new().unwrap();
    let ready = Readiness::default().register("secrets");
    let signals = Arc::new(Signals::default());
    let (_, shutdown) = shutdown::channel();
    let notifier = Notifier::start(&settings, Arc::clone(&signals) as _, &metrics, &shutdown);
    let pod = Pod::new(
        settings,
        &environment.dirs,
        Gate::new(&environment.dirs),
        notifier,
        metrics.clone(),
        ready.clone(),
        Report::default(),
    );
    Bed {
        dir,
        fake: Fake::new("one"),
        pod,
        metrics,
        ready,
        signals,
    }
}

impl Bed {
    /// Serves for so long, then asks for the end.
    async fn serve(&mut self, time: Duration, meanwhile: impl Future<Output = ()>) {
        let (trigger, shutdown) = shutdown::channel();
        let mut vault = self.fake.clone();
        let end = async {
            tokio::join!(tokio::time::sleep(time), meanwhile);
            trigger.drain();
        };
        tokio::join!(self.pod.serve(&mut vault, &shutdown), end);
    }

    fn file(&self) -> Option<String> {
        fs::read_to_string(self.dir.path().join("files/key")).ok()
    }

    fn gate(&self) -> Gate {
        let mut dirs = environment(&tempfile::tempdir().unwrap()).dirs;
        (dirs.files, dirs.private) = (self.pod.files.clone(), self.dir.path().join("private"));
        Gate::new(&dirs)
    }

    fn metric(&self, line: &str) -> bool {
        let page = prometheus::TextEncoder::new()
            .encode_to_string(&self.metrics.registry.gather())
            .unwrap();
        page.lines().any(|found| found == line)
    }
}

fn unreachable() -> VaultError {
    VaultError::Unreachable {
        address: "http://vault".into(),
        why: "refused".into(),
    }
}

fn denied() -> VaultError {
    VaultError::Denied {
        request: Request {
            method: "GET",
            path: "kv/data/x".into(),
        },
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_lives_and_ends() {
    let mut bed = bed();
    let (fake, gate, ready) = (bed.fake.clone(), bed.gate(), bed.ready.clone());
    let key = bed.dir.path().join("files/key");
    let env = bed.dir.path().join("private/env");
    bed.serve(Duration::from_mins(5), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(gate.is_open() && ready.is_met());
        assert_eq!(fs::read_to_string(&key).unwrap(), "one");
        assert_eq!(fs::read_to_string(&env).unwrap(), "CRM_KEY='one'\n");
        fake.set("two");
        tokio::time::sleep(Duration::from_secs(66)).await;
        assert_eq!(fs::read_to_string(&key).unwrap(), "two");
        assert_eq!(fs::read_to_string(&env).unwrap(), "CRM_KEY='two'\n");
    })
    .await;
    assert!(
        !bed.gate().is_open() && !bed.ready.is_met(),
        "taken away at the end"
    );
    assert_eq!(bed.file().unwrap(), "two", "files stay until the volume goes");
    let calls = bed.fake.calls();
    assert_eq!(
        calls.iter().filter(|call| **call == "log in").count(),
        1,
        "{calls:?}"
    );
    assert!(
        (5..=6).contains(&calls.iter().filter(|call| **call == "read").count()),
        "{calls:?}"
    );
    assert_eq!(calls.last(), Some(&"revoke"));
}

#[tokio::test(start_paused = true)]
async fn the_application_is_told_of_changes_and_not_of_its_first_files() {
    let mut bed = bed();
    let (fake, signals) = (bed.fake.clone(), Arc::clone(&bed.signals));
    bed.serve(Duration::from_mins(5), async {
        tokio::time::sleep(Duration::from_secs(70)).await;
        assert_eq!(signals.0.load(Ordering::Relaxed), 0);
        fake.set("two");
        tokio::time::sleep(Duration::from_secs(140)).await;
        assert_eq!(signals.0.load(Ordering::Relaxed), 1, "once for each change");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_start_without_vault_goes_on_until_it_is_back() {
    let mut bed = bed();
    bed.fake.trouble(unreachable(), 20);
    // What an earlier life of the volume left.
    bed.gate().open().unwrap();
    let (gate, ready) = (bed.gate(), bed.ready.clone());
    bed.serve(Duration::from_secs(100), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(
            !gate.is_open() && !ready.is_met(),
            "the old files must not start an application"
        );
        tokio::time::sleep(Duration::from_secs(95)).await;
        assert!(gate.is_open() && ready.is_met());
    })
    .await;
    assert!(bed.metric("vault_secret_requests_total{result=\"error\"} 20"));
    let tries: Vec<Duration> = bed
        .fake
        .0
        .borrow()
        .calls
        .iter()
        .filter(|(call, _)| *call == "read")
        .map(|(_, at)| *at)
        .collect();
    let longest = tries[..21]
        .windows(2)
        .map(|pair| pair[1].saturating_sub(pair[0]))
        .max()
        .unwrap();
    assert!(longest <= Duration::from_secs(6), "{longest:?}");
    assert!(
        tries[20] > Duration::from_secs(20),
        "{:?}: retries must slow down",
        tries[20]
    );
}

#[tokio::test(start_paused = true)]
async fn an_outage_later_changes_nothing() {
    let mut bed = bed();
    let (fake, gate, ready) = (bed.fake.clone(), bed.gate(), bed.ready.clone());
    let key = bed.dir.path().join("files/key");
    bed.serve(Duration::from_mins(10), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        fake.trouble(unreachable(), 8);
        fake.set("two");
        tokio::time::sleep(Duration::from_mins(2)).await;
        assert!(gate.is_open() && ready.is_met());
        assert_eq!(fs::read_to_string(&key).unwrap(), "one");
        tokio::time::sleep(Duration::from_mins(5)).await;
        assert_eq!(fs::read_to_string(&key).unwrap(), "two");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_replaced_once() {
    let mut bed = bed();
    bed.fake.trouble(denied(), 1);
    bed.serve(Duration::from_secs(1), async {}).await;
    assert_eq!(
        bed.fake.calls(),
        ["log in", "read", "forget", "log in", "read", "revoke"]
    );
    assert_eq!(bed.file().unwrap(), "one");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_stays_does_not_pile_up_tokens() {
    let mut bed = bed();
    bed.fake.trouble(denied(), usize::MAX);
    bed.serve(Duration::from_mins(4), async {}).await;
    let calls = bed.fake.calls();
    assert_eq!(
        calls.iter().filter(|call| **call == "log in").count(),
        2,
        "{calls:?}"
    );
    assert!(
        calls.iter().filter(|call| **call == "read").count() > 40,
        "{calls:?}"
    );
    assert!(!bed.gate().is_open());
}

#[tokio::test(start_paused = true)]
async fn the_token_is_renewed_between_refreshes() {
    let mut bed = bed();
    bed.fake.0.borrow_mut().period = Duration::from_secs(10);
    bed.serve(Duration::from_secs(35), async {}).await;
    assert_eq!(
        bed.fake.calls(),
        ["log in", "read", "renew", "renew", "renew", "revoke"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_always_due_does_not_make_the_loop_spin() {
    let mut bed = bed();
    bed.fake.0.borrow_mut().period = Duration::ZERO;
    bed.serve(Duration::from_secs(35), async {}).await;
    let calls = bed.fake.calls();
    assert!((30..40).contains(&calls.len()), "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn the_end_does_not_wait_for_a_silent_vault() {
    let mut bed = bed();
    bed.fake.0.borrow_mut().revocation_hangs = true;
    let start = Instant::now();
    bed.serve(Duration::from_secs(1), async {}).await;
    assert!(start.elapsed() <= Duration::from_secs(1) + REVOKE_DEADLINE + Duration::from_millis(10));
    assert!(!bed.gate().is_open());
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_is_finished_before_the_token_goes() {
    let mut bed = bed();
    // A read takes a millisecond, and may make something.
    bed.serve(Duration::from_micros(500), async {}).await;
    assert_eq!(bed.fake.calls(), ["log in", "read", "revoke"]);
    assert_eq!(bed.file().as_deref(), Some("one"), "it was not cut short");
}

#[tokio::test(start_paused = true)]
async fn an_end_during_a_start_ends_it() {
    let mut bed = bed();
    bed.fake.trouble(unreachable(), usize::MAX);
    bed.serve(Duration::from_secs(3), async {}).await;
    assert!(bed.file().is_none());
    assert_eq!(bed.fake.calls().last(), Some(&"revoke"));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_rendered_counts_and_the_gate_stays_closed() {
    let mut bed = bed();
    bed.fake.set("it's");
    let fake = bed.fake.clone();
    let gate = bed.gate();
    bed.serve(Duration::from_secs(10), async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(!gate.is_open());
        fake.set("fine");
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert!(gate.is_open());
    })
    .await;
    assert!(!bed.metric("keystead_render_errors_total 0"));
}

#[tokio::test(start_paused = true)]
async fn a_config_that_cannot_work_keeps_the_process_and_closes_the_gate() {
    let dir = tempfile::tempdir().unwrap();
    let mut environment = environment(&dir);
    environment.config = Some(r#"{"version": 9}"#.into());
    let gate = Gate::new(&environment.dirs);
    gate.open().unwrap();
    let (trigger, shutdown) = shutdown::channel();
    let end = async {
        tokio::time::sleep(Duration::from_hours(1)).await;
        assert!(!gate.is_open());
        trigger.drain();
    };
    let (outcome, ()) = tokio::join!(run(&environment, &shutdown), end);
    assert!(
        matches!(outcome, Err(Failure::Early)),
        "an init container must not seem to have done its work: {outcome:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_gate_opens_last() {
    let mut bed = bed();
    // The files can be written, the variables can't: a directory stands in their place.
    let env = bed.dir.path().join("private/env");
    fs::create_dir(&env).unwrap();
    let (gate, ready) = (bed.gate(), bed.ready.clone());
    bed.serve(Duration::from_secs(20), async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(!gate.is_open() && !ready.is_met());
        fs::remove_dir(&env).unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(gate.is_open() && ready.is_met());
    })
    .await;
    assert_eq!(bed.file().unwrap(), "one");
}
