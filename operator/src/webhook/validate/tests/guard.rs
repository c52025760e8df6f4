//! Who may be a tenant: what is asked, and what an answer leads to.

use super::super::guard::{Question, decide, questions};
use super::*;
use std::sync::Mutex;

fn request(before: Option<Value>, after: Value) -> Request {
    let namespace =
        |labels: Value| json!({"kind": "Namespace", "metadata": {"name": "shop", "labels": labels}});
    let operation = if before.is_some() { "UPDATE" } else { "CREATE" };
    let before = before.map_or(Value::Null, namespace);
    let mut review = review(operation, &namespace(after), &before);
    serde_json::from_value(review["request"].take()).unwrap()
}

fn asked(request: &Request) -> Vec<String> {
    let world = known();
    let questions = questions(&world.world.read().unwrap(), request).unwrap();
    questions.iter().map(ToString::to_string).collect()
}

/// Decides with an API server that denies this much.
async fn decided(request: &Request, denies: &[&str]) -> Verdict {
    let world = known();
    let questions = questions(&world.world.read().unwrap(), request).unwrap();
    decide(request, questions, |question: Question| async {
        let may_not = denies.contains(&question.to_string().as_str());
        Ok(may_not.then_some(question))
    })
    .await
}

fn refusal(message: &str) -> Verdict {
    Verdict::refuse(FORBIDDEN, message.to_owned())
}

#[tokio::test(start_paused = true)]
async fn joining_and_leaving_need_the_right() {
    let joins = request(Some(json!({})), json!({"company": "acme"}));
    assert_eq!(asked(&joins), ["secretscopes/acme"]);
    assert_eq!(decided(&joins, &[]).await, Verdict::allow());
    assert_eq!(
        decided(&joins, &["secretscopes/acme"]).await,
        refusal(
            "namespace shop: adding label company=acme would make it a member of SecretScope acme, and user jane may \
             not update secretscopes/acme"
        )
    );
    let leaves = request(Some(json!({"company": "acme"})), json!(null));
    assert_eq!(
        decided(&leaves, &["secretscopes/acme"]).await,
        refusal(
            "namespace shop: removing label company would end its membership of SecretScope acme, and user jane may \
             not update secretscopes/acme"
        )
    );
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_about_other_labels() {
    let other = request(
        Some(json!({"company": "acme"})),
        json!({"company": "acme", "tier": "web"}),
    );
    assert_eq!(asked(&other), Vec::<String>::new());
    let mut deleted = request(Some(json!({})), json!({"company": "acme"}));
    deleted.operation = "DELETE".into();
    assert_eq!(asked(&deleted), Vec::<String>::new());
    // Pods may still run in a namespace that is being deleted.
    let mut ending = request(Some(json!({})), json!({"company": "acme"}));
    ending.object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(asked(&ending), ["secretscopes/acme"]);
}

#[tokio::test(start_paused = true)]
async fn a_new_namespace_has_a_name_for_a_label() {
    let world = known();
    let mut named = company("named");
    named["spec"]["writers"]["namespaceSelector"]["matchLabels"] =
        json!({"kubernetes.io/metadata.name": "shop"});
    let named = Arc::new(serde_json::from_value(named).unwrap());
    world.world.write().unwrap().set_scope("named", Some(named));
    let asked = questions(&world.world.read().unwrap(), &request(None, json!(null))).unwrap();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].to_string(), "secretscopes/named");
}

/// The known world, with so many more companies that select the same namespaces.
fn with_companies(count: usize) -> Arc<Known> {
    let world = known();
    for number in 0..count {
        let name = format!("s{number}");
        let scope = serde_json::from_value(company(&name)).unwrap();
        world
            .world
            .write()
            .unwrap()
            .set_scope(&name, Some(Arc::new(scope)));
    }
    world
}

#[tokio::test(start_paused = true)]
async fn many_objects_are_one_question() {
    let world = with_companies(40);
    let joins = request(Some(json!({})), json!({"company": "acme"}));
    let asked = questions(&world.world.read().unwrap(), &joins).unwrap();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].to_string(), "secretscopes, of which it changes many");
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_nobody_is_a_tenant() {
    let joins = request(Some(json!({})), json!({"company": "acme"}));
    let world = known();
    let questions = questions(&world.world.read().unwrap(), &joins).unwrap();
    let begun = Instant::now();
    let verdict = decide(&joins, questions, |_| std::future::pending()).await;
    assert!(
        matches!(
            verdict,
            Verdict::Refuse {
                code: UNAVAILABLE,
                ..
            }
        ),
        "{verdict:?}"
    );
    assert_eq!(begun.elapsed(), Duration::from_secs(2));

    // An API server that can't be reached.
    let namespace = |labels| json!({"kind": "Namespace", "metadata": {"name": "shop", "labels": labels}});
    let review = review(
        "UPDATE",
        &namespace(json!({"company": "acme"})),
        &namespace(json!({})),
    );
    let answer = answer(&handler(known()), Entry::Namespace, &review).await;
    assert_eq!(answer["status"]["code"], 503);
}

#[tokio::test(start_paused = true)]
async fn questions_are_asked_some_at_a_time() {
    let running = Mutex::new((0, 0));
    let world = with_companies(20);
    let joins = request(Some(json!({})), json!({"company": "acme"}));
    let questions = questions(&world.world.read().unwrap(), &joins).unwrap();
    assert_eq!(questions.len(), 21);
    let verdict = decide(&joins, questions, |_| async {
        {
            let mut running = running.lock().unwrap();
            running.0 += 1;
            running.1 = running.1.max(running.0);
        }
        sleep(Duration::from_millis(10)).await;
        running.lock().unwrap().0 -= 1;
        Ok(None)
    })
    .await;
    assert_eq!(verdict, Verdict::allow());
    assert_eq!(running.lock().unwrap().1, 8);
}

#[test]
fn labels_that_can_not_be_read_make_no_tenant() {
    let odd = request(Some(json!({})), json!({"company": 7}));
    let world = known();
    assert!(questions(&world.world.read().unwrap(), &odd).is_err());
}
