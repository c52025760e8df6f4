//! A sidecar that is an init container, and one whose variables go to `exec`.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_init_container_ends_when_everything_is_there_and_leaves_it() {
    let mut bed = bed();
    bed.pod.settings.once = true;
    bed.fake.trouble(unreachable(), 2);
    let (_trigger, shutdown) = shutdown::channel();
    let mut vault = bed.fake.clone();
    bed.pod.serve(&mut vault, &shutdown).await;
    assert!(bed.pod.is_done());
    assert_eq!(bed.file().unwrap(), "one");
    assert!(bed.gate().is_open(), "its gate stays as it is");
    let state = bed.fake.0.borrow();
    let calls: Vec<&str> = state.calls.iter().map(|(call, _)| *call).collect();
    assert_eq!(
        calls.iter().filter(|call| **call == "read").count(),
        3,
        "{calls:?}"
    );
    assert_eq!(calls.last(), Some(&"revoke"));
}

#[tokio::test(start_paused = true)]
async fn an_init_container_that_is_asked_to_end_early_is_not_done() {
    let mut bed = bed();
    bed.pod.settings.once = true;
    bed.fake.set("it's");
    let last_words = bed.dir.path().join("termination-log");
    fs::write(&last_words, "").unwrap();
    bed.pod.report = Report::new(&last_words);
    bed.serve(Duration::from_mins(1), std::future::ready(())).await;
    assert!(!bed.pod.is_done() && !bed.gate().is_open());
    assert_eq!(
        fs::read_to_string(last_words).unwrap(),
        "the value of hubspot/api_key can't travel as an environment variable because it has a single quote: \
         mount it as a file instead (files[].format: Raw)"
    );
}

#[tokio::test(start_paused = true)]
async fn exec_finds_the_program_and_whatever_the_value_is() {
    let mut bed = bed();
    bed.pod.settings.exec = true;
    bed.pod.gate = bed.pod.gate.clone().for_exec(0o440);
    bed.fake.set("it's");
    let files = bed.pod.files.clone();
    let variables = files.join(names::VARIABLES_FILE);
    bed.serve(Duration::from_secs(2), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(fs::read(&variables).unwrap(), b"CRM_KEY=it's\0");
        assert!(files.join(names::PROGRAM_FILE).exists());
    })
    .await;
    assert!(!variables.exists(), "no container starts after the end");
}
