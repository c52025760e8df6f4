//! A file's own mode, in pods whose containers could read it and in such whose could not; and how much
//! a sidecar can be told.

use super::*;
use keystead_crds::binding::FileFormat;
use keystead_crds::sidecar::{FileConfig, TemplateConfig};

fn with_mode(pod: &Value, mode: u32) -> Result<Vec<Operation>, Refusal> {
    let mut secrets = secrets();
    secrets.config.files = vec![FileConfig {
        path: "tls/key".to_owned(),
        format: FileFormat::Raw,
        secret: Some("hubspot".to_owned()),
        template: None,
        key: Some("api_key".to_owned()),
        mode: Some(mode),
        on_change: None,
    }];
    plan(pod, secrets, &settings())
}

#[test]
fn a_mode_lets_the_containers_read() {
    let user = json!({"runAsUser": 1000});
    let web = || json!({"name": "web", "image": "web:1", "securityContext": user});
    let root = || json!({"name": "root", "image": "root:1", "securityContext": {"runAsUser": 0}});
    let nobody = json!({"containers": [{"name": "web", "image": "web:1"}]});
    let same = json!({"containers": [web(), web()]});
    let mesh = json!({"containers": [web()], "initContainers": [root()]});
    let mixed = json!({"containers": [web(), root()]});
    let group =
        json!({"containers": [web(), root()], "securityContext": {"fsGroup": 2000, "runAsUser": 1000}});
    for (spec, refused) in [
        (nobody, vec![0o400, 0o440, 0o500, 0o550]),
        (same, vec![]),
        (mesh, vec![]),
        (mixed, vec![0o400, 0o440, 0o500, 0o550]),
        (group, vec![0o400, 0o500]),
    ] {
        let pod = json!({"metadata": {"name": "web"}, "spec": spec});
        for mode in [0o400, 0o440, 0o444, 0o500, 0o550, 0o555] {
            let planned = with_mode(&pod, mode);
            assert_eq!(
                planned.is_err(),
                refused.contains(&mode),
                "{mode:o} in {pod}: {planned:?}"
            );
        }
    }
}

#[test]
fn one_that_does_not_is_refused_with_what_would() {
    let pod =
        json!({"metadata": {"name": "web"}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}});
    assert_eq!(
        with_mode(&pod, 0o440).unwrap_err().to_string(),
        "the SecretBinding's file tls/key has mode 0440, by which this pod's containers can't read it: set one \
         runAsUser other than 0 for all of them or an fsGroup, or give the file another mode or none"
    );
    let said = with_mode(&pod, 0o400).unwrap_err().to_string();
    assert!(said.contains("for all of them, or give"), "{said}");
}

#[test]
fn a_config_that_no_program_could_be_started_with_is_refused() {
    let pod =
        json!({"metadata": {"name": "web"}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}});
    let with = |length: usize| {
        let mut secrets = secrets();
        secrets.config.files = vec![FileConfig {
            path: "conf".to_owned(),
            format: FileFormat::Template,
            secret: None,
            template: Some(TemplateConfig {
                text: "x".repeat(length),
                prefix: "web/".to_owned(),
            }),
            key: None,
            mode: None,
            on_change: None,
        }];
        plan(&pod, secrets, &settings())
    };
    assert!(with(90_000).is_ok());
    let said = with(100_000).unwrap_err().to_string();
    assert!(
        said.starts_with("what this pod's SecretBindings say has 100 KB"),
        "{said}"
    );
}
