use super::super::certs::Material;
use super::super::https::DRAIN;
use super::super::review::tests::{self as reviews, review};
use super::super::tls::{self, Reloadable};
use super::*;
use keystead_runtime::shutdown::{self, Trigger};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const NAME: &str = "keystead.keystead-system.svc";

struct Server {
    address: SocketAddr,
    certificate: Arc<Reloadable>,
    material: Material,
    trigger: Trigger,
    task: JoinHandle<()>,
}

async fn server() -> Server {
    let material = Material::for_tests(NAME);
    let certificate = Arc::new(Reloadable::default());
    certificate.replace(&material.tls_crt, &material.tls_key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = Arc::new(tls::server_config(Arc::clone(&certificate)).unwrap());
    let (trigger, shutdown) = shutdown::channel();
    let task = tokio::spawn(serve(listener, config, handlers(), shutdown));
    Server {
        address,
        certificate,
        material,
        trigger,
        task,
    }
}

fn handlers() -> Arc<Handlers> {
    let inject = reviews::handler(&prometheus::Registry::new());
    let validate = validate::tests::handler(Arc::clone(&inject.directory));
    Arc::new(Handlers { inject, validate })
}

async fn connect(address: SocketAddr, material: &Material) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(material.authorities());
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config))
        .connect(ServerName::try_from(NAME).unwrap(), stream)
        .await
}

/// Sends a request and reads its answer: status and body.
async fn send(stream: &mut TlsStream<TcpStream>, head: &str, body: &str) -> io::Result<(u16, String)> {
    let request = format!(
        "{head} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    read(stream).await
}

async fn read(stream: &mut TlsStream<TcpStream>) -> io::Result<(u16, String)> {
    let mut answer = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&answer).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .unwrap();
            if body.len() == length.parse::<usize>().unwrap() {
                return Ok((head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned()));
            }
        }
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

#[tokio::test]
async fn reviews_are_answered_over_one_connection() {
    let server = server().await;
    let mut stream = connect(server.address, &server.material).await.unwrap();
    for _ in 0..3 {
        let body = review(Some("web")).to_string();
        let (status, answer) = send(&mut stream, "POST /inject/pod", &body).await.unwrap();
        assert_eq!(status, 200);
        assert!(
            answer.contains(r#""allowed":true,"patchType":"JSONPatch","patch":""#),
            "{answer}"
        );
    }
    let body = review(Some("nobody")).to_string();
    let (status, answer) = send(&mut stream, "POST /inject/namespace", &body).await.unwrap();
    assert_eq!((status, answer.contains(r#""allowed":true"#)), (200, true));
    let (status, answer) = send(&mut stream, "POST /validate", "{}").await.unwrap();
    assert_eq!(
        (status, answer.contains(r#""allowed":true,"warnings":["#)),
        (200, true)
    );
    let (status, _) = send(&mut stream, "POST /validate/namespace", "{}").await.unwrap();
    assert_eq!(status, 400, "what can't be read is left to the failure policy");
    let (status, answer) = send(&mut stream, "POST /inject/pod", "{}").await.unwrap();
    assert_eq!(
        (status, answer.starts_with("the body is not an AdmissionReview")),
        (400, true)
    );
    assert_eq!(send(&mut stream, "POST /elsewhere", "{}").await.unwrap().0, 404);
}

#[tokio::test]
async fn a_huge_body_is_not_read() {
    let server = server().await;
    let mut stream = connect(server.address, &server.material).await.unwrap();
    let head = format!(
        "POST /inject/pod HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        body::MAX + 1
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(
        read(&mut stream).await.unwrap(),
        (413, "the review is too large\n".to_owned())
    );
}

/// Says that a body of this length comes, and sends the beginning of it.
async fn begin(server: &Server, length: usize) -> TlsStream<TcpStream> {
    let mut stream = connect(server.address, &server.material).await.unwrap();
    let head = format!("POST /inject/pod HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{{");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn whoever_sends_slowly_keeps_nobody_out_and_is_sent_away() {
    let server = server().await;
    let mut slow = Vec::new();
    for _ in 0..=body::LARGE_AT_ONCE {
        slow.push(begin(&server, body::MAX).await);
    }
    // Until the server has read the beginnings.
    sleep(Duration::from_millis(100)).await;
    let mut stream = connect(server.address, &server.material).await.unwrap();
    let review = review(Some("web")).to_string();
    let answered = timeout(
        Duration::from_secs(2),
        send(&mut stream, "POST /inject/pod", &review),
    );
    assert_eq!(answered.await.unwrap().unwrap().0, 200);
    for mut stream in slow {
        let answer = timeout(2 * body::DEADLINE, read(&mut stream)).await.unwrap();
        assert_eq!(
            answer.unwrap(),
            (408, "the review did not arrive in time\n".to_owned())
        );
    }
}

#[tokio::test]
async fn a_large_review_is_answered() {
    let server = server().await;
    let mut stream = connect(server.address, &server.material).await.unwrap();
    let mut large = review(Some("web"));
    large["request"]["object"]["metadata"]["annotations"] = serde_json::json!({"x": "x".repeat(3 << 20)});
    let answer = send(&mut stream, "POST /inject/pod", &large.to_string()).await;
    assert_eq!(answer.unwrap().0, 200);
}

#[tokio::test]
async fn a_certificate_is_swapped_under_open_connections() {
    let server = server().await;
    let mut open = connect(server.address, &server.material).await.unwrap();
    let next = Material::for_tests(NAME);
    server.certificate.replace(&next.tls_crt, &next.tls_key).unwrap();

    let body = review(Some("web")).to_string();
    assert_eq!(send(&mut open, "POST /inject/pod", &body).await.unwrap().0, 200);
    assert!(
        connect(server.address, &server.material).await.is_err(),
        "the old one is still served"
    );
    let mut new = connect(server.address, &next).await.unwrap();
    assert_eq!(send(&mut new, "POST /inject/pod", &body).await.unwrap().0, 200);
}

#[tokio::test]
async fn a_pair_that_does_not_match_is_refused_and_the_old_one_stays() {
    let server = server().await;
    let other = Material::for_tests(NAME);
    let mismatch = server
        .certificate
        .replace(&other.tls_crt, &server.material.tls_key);
    assert!(matches!(mismatch, Err(tls::Error::Mismatch(_))), "{mismatch:?}");
    assert!(matches!(
        server.certificate.replace(b"", b"nonsense"),
        Err(tls::Error::Key)
    ));
    assert!(connect(server.address, &server.material).await.is_ok());
}

#[tokio::test]
async fn without_a_certificate_nobody_gets_in() {
    let server = server().await;
    let config = tls::server_config(Arc::new(Reloadable::default())).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_trigger, shutdown) = shutdown::channel();
    tokio::spawn(serve(listener, Arc::new(config), handlers(), shutdown));
    assert!(connect(address, &server.material).await.is_err());
}

#[tokio::test]
async fn the_end_waits_for_answers_and_not_for_silence() {
    let server = server().await;
    let mut idle = connect(server.address, &server.material).await.unwrap();
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    silent.write_all(b"\x16").await.unwrap();
    let mut busy = connect(server.address, &server.material).await.unwrap();
    let body = review(Some("web")).to_string();
    assert_eq!(send(&mut idle, "POST /inject/pod", &body).await.unwrap().0, 200);
    let head = format!(
        "POST /inject/pod HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    busy.write_all(head.as_bytes()).await.unwrap();
    busy.write_all(&body.as_bytes()[..10]).await.unwrap();
    // Until the server has read the beginning.
    sleep(Duration::from_millis(100)).await;

    server.trigger.drain();
    let closed = timeout(Duration::from_secs(5), idle.read_buf(&mut Vec::new()))
        .await
        .unwrap();
    assert!(matches!(closed, Ok(0)), "an idle connection stayed: {closed:?}");
    assert!(
        TcpStream::connect(server.address).await.is_err(),
        "still listening"
    );
    busy.write_all(&body.as_bytes()[10..]).await.unwrap();
    assert_eq!(read(&mut busy).await.unwrap().0, 200);
    timeout(2 * DRAIN, server.task).await.unwrap().unwrap();
}
