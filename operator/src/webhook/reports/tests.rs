use super::super::certs::Material;
use super::super::tls;
use super::*;
use keystead_runtime::shutdown;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use warp::http::Method;
use warp::path::FullPath;

/// An API server that knows the tokens of two pods, and takes events.
#[derive(Clone, Default)]
struct Api(Arc<Mutex<Asked>>);

#[derive(Default)]
struct Asked {
    reviews: usize,
    /// Method, last part of the path, and body.
    events: Vec<(String, String, Value)>,
    /// The status that events are answered with instead.
    refuses: Option<u16>,
}

impl Api {
    fn answer(&self, method: &Method, path: &str, body: &Value) -> Response<String> {
        let mut asked = self.0.lock().unwrap();
        let last = path.rsplit('/').next().unwrap().to_owned();
        if last == "tokenreviews" {
            asked.reviews += 1;
            assert_eq!(body["spec"]["audiences"], json!(["keystead"]));
            return plain(StatusCode::CREATED, review(body).to_string());
        }
        if let Some(code) = asked.refuses.take() {
            let status = json!({"kind": "Status", "status": "Failure", "code": code, "message": "no", "reason": if code == 404 { "NotFound" } else { "Forbidden" }});
            return plain(StatusCode::from_u16(code).unwrap(), status.to_string());
        }
        asked.events.push((method.to_string(), last, body.clone()));
        let mut event = body.clone();
        event["metadata"]["name"] = json!(format!("keystead-{}", asked.events.len()));
        plain(StatusCode::CREATED, event.to_string())
    }

    fn events(&self) -> Vec<(String, String, Value)> {
        std::mem::take(&mut self.0.lock().unwrap().events)
    }
}

/// The answer to a token: `pod-NAME` is one, whatever stands after a dot, `account` is a service account's without a pod.
fn review(body: &Value) -> Value {
    let token = body["spec"]["token"].as_str().unwrap();
    let extra = |name: &str| {
        json!({
            "authentication.kubernetes.io/pod-name": [name],
            "authentication.kubernetes.io/pod-uid": [format!("uid-{name}")],
        })
    };
    let name = token.strip_prefix("pod-").and_then(|name| name.split('.').next());
    let extra = name.map_or_else(|| json!({}), extra);
    let known = token == "account" || token.starts_with("pod-");
    let user = json!({"username": "system:serviceaccount:shop:web", "extra": extra});
    json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": {}, "spec": body["spec"],
        "status": {"authenticated": known, "audiences": ["keystead"], "user": user},
    })
}

async fn api() -> (Api, Arc<Handler>) {
    let api = Api::default();
    let answers = api.clone();
    let routes = warp::method()
        .and(warp::path::full())
        .and(warp::body::bytes())
        .map(move |method: Method, path: FullPath, body: Bytes| {
            let body = serde_json::from_slice(&body).unwrap();
            answers.answer(&method, path.as_str(), &body)
        });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    tokio::spawn(warp::serve(routes).incoming(listener).run());
    let config = kube::Config::new(format!("http://{address}").parse().unwrap());
    let client = Client::try_from(config).unwrap();
    let counter = IntCounterVec::new(prometheus::Opts::new("reports", "r"), &["outcome"]).unwrap();
    (api, Arc::new(Handler::new(client, counter)))
}

fn report(reason: &str, message: &str) -> String {
    json!({"reason": reason, "message": message}).to_string()
}

async fn send(handler: &Handler, token: &str, body: &str) -> Result<(), Refusal> {
    send_from(HERE, handler, token, body).await
}

async fn send_from(source: IpAddr, handler: &Handler, token: &str, body: &str) -> Result<(), Refusal> {
    let header = format!("Bearer {token}");
    handler.take(source, Some(&header), body.as_bytes()).await
}

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

const SENTENCE: &str = "no value for hubspot/api_key in company acme, global";

#[tokio::test]
async fn a_report_is_an_event_on_the_pod_of_its_token() {
    let (api, handler) = api().await;
    let body = report("SecretsNotReady", SENTENCE);
    assert_eq!(send(&handler, "pod-a", &body).await, Ok(()));
    let events = api.events();
    let [(method, _, event)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(method, "POST");
    assert_eq!(
        event["regarding"],
        json!({"apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "a", "uid": "uid-a"})
    );
    assert_eq!(
        (&event["type"], &event["reason"], &event["note"]),
        (&json!("Warning"), &json!("SecretsNotReady"), &json!(SENTENCE))
    );

    let well = report("SecretsReady", "the secrets are there");
    assert_eq!(send(&handler, "pod-a", &well).await, Ok(()));
    assert_eq!(api.events()[0].2["type"], json!("Normal"));
    let told = handler.counter.with_label_values(&["told"]).get();
    assert_eq!(
        (told, api.0.lock().unwrap().reviews),
        (2, 1),
        "one question about one token"
    );
}

#[tokio::test]
async fn what_is_said_again_is_counted_on_the_event_that_there_is() {
    let (api, handler) = api().await;
    let body = report("SecretsNotReady", SENTENCE);
    for _ in 0..3 {
        send(&handler, "pod-a", &body).await.unwrap();
    }
    // Of another pod it is another event, and so is one in place of an event that is gone.
    send(&handler, "pod-b", &body).await.unwrap();
    api.0.lock().unwrap().refuses = Some(404);
    send(&handler, "pod-a", &body).await.unwrap();
    let events = api.events();
    let shown: Vec<(&str, &str, &Value)> = events
        .iter()
        .map(|(method, last, body)| (method.as_str(), last.as_str(), &body["series"]["count"]))
        .collect();
    let (two, three) = (json!(2), json!(3));
    assert_eq!(
        shown,
        [
            ("POST", "events", &Value::Null),
            ("PATCH", "keystead-1", &two),
            ("PATCH", "keystead-1", &three),
            ("POST", "events", &Value::Null),
            ("POST", "events", &Value::Null),
        ]
    );
}

#[tokio::test]
async fn only_a_pods_own_token_speaks() {
    let (api, handler) = api().await;
    let body = report("SecretsNotReady", SENTENCE);
    for token in ["account", "nobody"] {
        for _ in 0..2 {
            assert_eq!(
                send(&handler, token, &body).await,
                Err(Refusal::Unknown),
                "{token}"
            );
        }
    }
    assert_eq!(api.0.lock().unwrap().reviews, 2, "a refusal is remembered, too");
    for header in [None, Some("Basic pod-a"), Some("pod-a"), Some("Bearer pod a")] {
        assert_eq!(
            handler.take(HERE, header, body.as_bytes()).await,
            Err(Refusal::Unknown)
        );
    }
    assert!(api.events().is_empty());
}

#[tokio::test]
async fn what_is_not_one_plain_sentence_is_refused() {
    let (api, handler) = api().await;
    let another =
        json!({"reason": "SecretsNotReady", "message": "m", "pod": "b", "namespace": "kube-system"});
    for body in [
        "",
        "[]",
        r#"{"reason": "SecretsNotReady"}"#,
        &another.to_string(),
        &report("Scheduled", "m"),
        &report("SecretsNotReady", ""),
        &report("SecretsNotReady", " "),
        &report("SecretsNotReady", "two\nlines"),
        &report("SecretsNotReady", "\u{1b}[2J"),
        &report("SecretsNotReady", "a\u{202e}b"),
        &report("SecretsNotReady", &"m".repeat(1025)),
    ] {
        let refused = send(&handler, "pod-a", body).await;
        assert!(
            matches!(refused, Err(Refusal::Malformed(_))),
            "{body}: {refused:?}"
        );
    }
    let asked = api.0.lock().unwrap().reviews;
    assert_eq!(
        (asked, api.events()),
        (0, vec![]),
        "nobody is asked about rubbish"
    );
    let longest = report("SecretsNotReady", &"é".repeat(512));
    assert_eq!(send(&handler, "pod-a", &longest).await, Ok(()));
}

#[tokio::test]
async fn a_pod_that_says_too_much_is_not_heard_and_others_are() {
    let (api, handler) = api().await;
    let sentence = |n: u32| report("SecretsNotReady", &format!("sentence {n}"));
    for n in 0..EACH.burst {
        assert_eq!(send(&handler, "pod-a", &sentence(n)).await, Ok(()));
    }
    let n = api.events().len();
    assert_eq!(
        send(&handler, "pod-a", &sentence(99)).await,
        Err(Refusal::TooMany)
    );
    assert_eq!(send(&handler, "pod-b", &sentence(99)).await, Ok(()));
    assert_eq!((n, api.events().len()), (EACH.burst as usize, 1));
}

#[tokio::test]
async fn all_together_ask_no_more_than_so_much_and_who_is_known_need_not_ask() {
    let (api, handler) = api().await;
    let body = report("SecretsNotReady", SENTENCE);
    assert_eq!(send(&handler, "pod-a", &body).await, Ok(()));
    handler.identities.exhaust();
    for _ in 0..=IDLE.burst {
        assert_eq!(send(&handler, "pod-b", &body).await, Err(Refusal::TooMany));
    }
    assert_eq!(
        send(&handler, "pod-a", &body).await,
        Ok(()),
        "its address has no part in it"
    );
    assert_eq!(api.0.lock().unwrap().reviews, 1);
}

#[tokio::test]
async fn whoever_sends_rubbish_takes_nothing_from_others() {
    let (api, handler) = api().await;
    let body = report("SecretsNotReady", SENTENCE);
    for n in 0..IDLE.burst {
        assert_eq!(
            send(&handler, &format!("nobody-{n}"), &body).await,
            Err(Refusal::Unknown)
        );
    }
    for n in 0..1000 {
        assert_eq!(
            send(&handler, &format!("more-{n}"), &body).await,
            Err(Refusal::TooMany)
        );
    }
    assert_eq!(
        api.0.lock().unwrap().reviews,
        IDLE.burst as usize,
        "nobody is asked any more"
    );
    for n in 0..100 {
        let sent = send_from(THERE, &handler, &format!("pod-{n}"), &body).await;
        assert_eq!(sent, Ok(()), "many pods of one address are heard");
    }
}

#[tokio::test]
async fn many_tokens_of_one_pod_are_still_one_pod() {
    let (api, handler) = api().await;
    let body = |n: u32| report("SecretsNotReady", &format!("sentence {n}"));
    for n in 0..EACH.burst + 1000 {
        let sent = send(&handler, &format!("pod-a.{n}"), &body(n)).await;
        assert_eq!(sent.is_ok(), n < EACH.burst, "{n}: {sent:?}");
    }
    let most = EACH.burst + IDLE.burst;
    assert_eq!(api.0.lock().unwrap().reviews, most as usize);
}

#[tokio::test]
async fn an_event_that_is_not_taken_can_be_sent_again() {
    let (api, handler) = api().await;
    let body = report("SecretsNotReady", SENTENCE);
    api.0.lock().unwrap().refuses = Some(403);
    let refused = send(&handler, "pod-a", &body).await.unwrap_err();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.to_string(), "the API server does not take the event");
    assert_eq!(send(&handler, "pod-a", &body).await, Ok(()));
    assert_eq!(api.events().len(), 1);
}

#[tokio::test]
async fn over_http() {
    let (api, handler) = api().await;
    let routes = routes(Arc::clone(&handler), HERE);
    let ask = |path: &str, body: String| {
        let request = warp::test::request().method("POST").path(path);
        let request = request.header("authorization", "Bearer pod-a");
        let length = body.len();
        request.header("content-length", length).body(body)
    };
    let good = report("SecretsNotReady", SENTENCE);
    for (path, body, status) in [
        (names::REPORT_PATH, good.clone(), 204),
        (names::REPORT_PATH, "{}".into(), 400),
        (names::REPORT_PATH, "x".repeat(4097), 413),
        ("/v1/report", good.clone(), 404),
        ("/inject/pod", good, 404),
    ] {
        let answer = ask(path, body).reply(&routes).await;
        assert_eq!(answer.status(), status, "{path}: {:?}", answer.body());
    }
    let get = warp::test::request()
        .path(names::REPORT_PATH)
        .reply(&routes)
        .await;
    assert_eq!(get.status(), 400);
    assert_eq!(api.events().len(), 1);
}

/// A connection from this address of the machine's own.
async fn connect(from: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

/// Whether the other side has ended it; nothing was sent, so it says nothing of its own.
async fn is_ended(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut byte)).await;
    matches!(read, Ok(Ok(0) | Err(_)))
}

#[tokio::test]
async fn nobody_takes_all_connections() {
    let (_, handler) = api().await;
    let certificate = Arc::new(tls::Reloadable::default());
    let material = Material::for_tests("keystead.keystead-system.svc");
    certificate.replace(&material.tls_crt, &material.tls_key).unwrap();
    let config = Arc::new(tls::server_config(certificate).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_trigger, shutdown) = shutdown::channel();
    let task = tokio::spawn(serve(listener, config, handler, shutdown));
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS_OF_ONE {
        held.push(connect([127, 0, 0, 1], address).await);
    }
    assert!(is_ended(&mut connect([127, 0, 0, 1], address).await).await);
    let mut other = connect([127, 0, 0, 2], address).await;
    other.write_all(b"no handshake").await.unwrap();
    let mut alert = [0];
    assert_eq!(other.read(&mut alert).await.unwrap(), 1, "it is spoken with");
    task.abort();
}
