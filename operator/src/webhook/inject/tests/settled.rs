//! What is, and what only looks as if it were, a pod that needs nothing.

use super::*;

#[test]
fn the_annotation_alone_is_no_injection() {
    let annotations = json!({"keystead.dev/injected": "copied"});
    let pod = json!({"metadata": {"annotations": annotations}, "spec": {"containers": [{"name": "c"}]}});
    let once = injected(&pod).unwrap();
    assert_eq!(once["spec"]["initContainers"][0]["name"], "keystead");
    assert_eq!(
        once["metadata"]["annotations"]["keystead.dev/injected"],
        "web,more"
    );
    assert_eq!(plan(&once, secrets(), &settings()), Ok(vec![]));
}

#[test]
fn mirror_pods_are_left_alone() {
    let annotations = json!({"kubernetes.io/config.mirror": "x"});
    let pod = json!({"metadata": {"annotations": annotations}, "spec": {"containers": [{"name": "c"}]}});
    assert_eq!(plan(&pod, secrets(), &settings()), Ok(vec![]));
}
