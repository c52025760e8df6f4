use super::*;
use crate::args::{Args, Command};
use crate::bootstrap::change::Found;
use clap::Parser as _;

pub(in crate::bootstrap) fn args(line: &str) -> Bootstrap {
    let words = "x bootstrap --vault https://v --cluster c1".split(' ');
    let parsed = Args::parse_from(words.chain(line.split(' ').filter(|word| !word.is_empty())));
    let Command::Bootstrap(args) = parsed.command else {
        panic!("{line}")
    };
    args
}

fn facts(mounts: &[(&str, &str)]) -> Facts {
    let mount = |kind: &str| Mount {
        kind: kind.into(),
        options: (kind == "kv").then(|| [("version".to_owned(), "2".to_owned())].into()),
    };
    Facts {
        cluster: ClusterFacts {
            host: "https://10.0.0.1:6443".into(),
            ca: "CA\n".into(),
            issuer: "https://kubernetes".into(),
            keys: vec!["KEY 1".into(), "KEY 2".into()],
        },
        mounts: mounts
            .iter()
            .map(|(path, kind)| ((*path).to_owned(), mount(kind)))
            .collect(),
    }
}

pub(in crate::bootstrap) fn plan(line: &str) -> Vec<Change> {
    let args = args(line);
    let names = Names::new(&args).expect("the names are right");
    wanted(&args, &names, &facts(&[]).cluster)
}

fn only(line: &str, part: &str) -> Change {
    let mut found = plan(line);
    found.retain(|change| change.to_string().starts_with(part));
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn found(value: Value) -> Found {
    fields(value)
}

fn why(state: State, wanted_option: &str) -> String {
    match state {
        State::Foreign { why, option } if option == wanted_option => why,
        other => panic!("expected it to be foreign, with {wanted_option}: {other:?}"),
    }
}

#[test]
fn everything_is_named_after_the_cluster() {
    let lines: Vec<String> = plan("").iter().map(ToString::to_string).collect();
    let starts = [
        "mount kv (version 2) at kv",
        "mount kubernetes at auth/kubernetes-c1",
        "write auth/kubernetes-c1/config",
        "mount jwt at auth/jwt-c1",
        "write auth/jwt-c1/config: the 2 public",
        "write sys/policies/acl/keystead-operator-c1",
        "write auth/kubernetes-c1/role/keystead-operator-c1: lets in keystead-system/keystead",
    ];
    assert_eq!(lines.len(), starts.len(), "{lines:?}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
    let next = next_steps(&args(""), &Names::new(&args("")).expect("the names are right"));
    assert!(
        next.contains("mount: kubernetes-c1,") && next.contains("mount: jwt-c1,"),
        "{next}"
    );
}

#[test]
fn an_operator_that_mounts_the_engine_may_do_so() {
    let policy = |line: &str| only(line, "write sys/policies/acl/").body()["policy"].to_string();
    assert!(!policy("").contains("sys/mounts"));
    assert!(policy("--manage-mounts --kv team/kv").contains("sys/mounts/team/kv"));
    let lines = plan("--manage-mounts");
    assert!(
        !lines
            .iter()
            .any(|change| change.to_string().starts_with("mount kv")),
        "{lines:?}"
    );
    let args = args("--manage-mounts");
    let next = next_steps(&args, &Names::new(&args).expect("the names are right"));
    assert!(next.contains("manageMounts: true"), "{next}");
}

#[test]
fn the_operator_never_logs_in_through_the_mount_it_maintains() {
    let lines: Vec<String> = plan("--workload-method kubernetes")
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(
        lines.contains(&"mount kubernetes at auth/kubernetes-c1-workloads".to_owned()),
        "{lines:?}"
    );
    for line in [
        "--workload-method kubernetes --workload-mount kubernetes-c1",
        "--operator-mount jwt-c1",
        "--operator-mount a --workload-mount A",
        "--operator-mount a --workload-mount a/",
    ] {
        let error = Names::new(&args(line)).err().map(|error| error.to_string());
        let error = error.unwrap_or_default();
        assert!(
            error.contains("--operator-mount and --workload-mount"),
            "{line}: {error}"
        );
    }
}

#[test]
fn another_api_server_is_somebody_elses() {
    let config = |host: &str, ca: &str| {
        Some(found(json!({
            "kubernetes_host": host, "kubernetes_ca_cert": ca, "disable_local_ca_jwt": true,
            "token_reviewer_jwt_set": true,
        })))
    };
    let change = only("", "write auth/kubernetes-c1/config");
    assert_eq!(change.compare(None), State::Missing);
    assert_eq!(
        change.compare(config("https://10.0.0.1:6443/", "CA").as_ref()),
        State::Done
    );
    let other = change.compare(config("https://10.0.0.2:6443", "CA\n").as_ref());
    assert!(why(other, "--operator-mount").contains("10.0.0.2"));
    let other = change.compare(config("https://10.0.0.1:6443", "other CA").as_ref());
    assert!(why(other, "--operator-mount").contains("kubernetes_ca_cert"));

    let workloads = only(
        "--workload-method kubernetes",
        "write auth/kubernetes-c1-workloads/config",
    );
    let other = workloads.compare(config("https://other", "CA").as_ref());
    why(other, "--workload-mount");
}

#[test]
fn our_config_without_a_reviewer_is_outdated() {
    let change = only("", "write auth/kubernetes-c1/config");
    let mut config = change.body();
    config.insert("token_reviewer_jwt_set".into(), false.into());
    assert_eq!(change.compare(Some(&config)), State::Missing);
    config.insert("token_reviewer_jwt_set".into(), true.into());
    config.insert("disable_local_ca_jwt".into(), false.into());
    assert_eq!(change.compare(Some(&config)), State::Missing);
}

#[test]
fn another_clusters_signing_keys_are_somebody_elses() {
    let config = |issuer: &str, keys: &[&str], url: &str| {
        let all = json!({"bound_issuer": issuer, "jwt_validation_pubkeys": keys, "jwks_url": url});
        Some(found(all))
    };
    let change = only("", "write auth/jwt-c1/config");
    let compare = |config: Option<Found>| change.compare(config.as_ref());
    let ours = "https://kubernetes";
    assert_eq!(compare(None), State::Missing);
    assert_eq!(compare(config(ours, &["KEY 1", "KEY 2"], "")), State::Done);
    // While the cluster rotates its keys.
    assert_eq!(
        compare(config(ours, &["OLD", "KEY 2\n", "KEY 1"], "")),
        State::Done
    );
    assert_eq!(compare(config(ours, &["OLD", "KEY 1"], "")), State::Missing);
    assert_eq!(compare(config(ours, &[], "https://keys")), State::Done);
    assert_eq!(compare(config("", &[], "")), State::Missing);

    let option = "--workload-mount";
    assert!(why(compare(config("https://other", &["KEY 1"], "")), option).contains("https://other"));
    assert!(why(compare(config(ours, &["OTHER"], "")), option).contains("signing keys"));
    why(compare(config("https://other", &[], "https://keys")), option);
    why(compare(config("", &[], "https://keys")), option);
}

#[test]
fn a_persons_policy_is_not_overwritten() {
    let change = only("", "write sys/policies/acl/");
    let ours = change.body();
    let compare = |text: &str| change.compare(Some(&found(json!({ "policy": text }))));
    assert_eq!(change.compare(Some(&ours)), State::Done);
    let text = ours["policy"].as_str().expect("a policy is text");
    // An older version of ours.
    assert_eq!(
        compare(text.split('\n').next().unwrap_or_default()),
        State::Missing
    );
    why(compare("path \"*\" {}"), "--operator-role");
    why(
        compare(&text.replace("cluster c1 may", "cluster c10 may")),
        "--operator-role",
    );
}

#[test]
fn a_mount_of_another_type_stands_in_the_way() {
    let mount = only("", "mount jwt");
    let state = |mounts: &[(&str, &str)]| facts(mounts).mounted(&mount);
    assert_eq!(state(&[]).ok(), Some(Some(State::Missing)));
    assert_eq!(state(&[("auth/jwt-c1/", "jwt")]).ok(), Some(Some(State::Done)));
    assert!(state(&[("auth/jwt-c1/", "kubernetes")]).is_err());
    let kv = only("", "mount kv");
    assert!(facts(&[("kv/", "generic")]).mounted(&kv).is_err());
}

#[test]
fn nothing_is_asked_below_a_mount_that_is_not_there() {
    let facts = facts(&[("auth/kubernetes-c1/", "kubernetes")]);
    assert!(facts.has("auth/kubernetes-c1/config") && facts.has("sys/policies/acl/x"));
    assert!(!facts.has("auth/kubernetes-c1-workloads/config") && !facts.has("auth/jwt-c1/config"));
}
