use super::*;
use crate::socket::understand;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\n\r\n{body}")
}

fn found(value: &str) -> String {
    answer(
        "200 OK",
        &format!(r#"{{"service":"s","key":"k","value":"{value}","version":1}}"#),
    )
}

#[test]
fn answers_are_told_apart() {
    let text = r#"{"key":"k","value":"v","scope":{"level":"Company","id":"acme"},"version":3,"expiresAt":"2026-01-02T03:04:05Z"}"#;
    let secret: Secret = understand(answer("200 OK", text).as_bytes()).unwrap();
    assert_eq!((secret.value.expose(), secret.version), ("v", Some(3)));
    assert_eq!(secret.scope.unwrap().id.as_deref(), Some("acme"));
    let refused = |status| {
        let text = answer(status, r#"{"error":"X","message":"a sentence"}"#);
        understand::<Secret>(text.as_bytes()).unwrap_err()
    };
    assert!(matches!(refused("404 Not Found"), Error::NotFound(why) if why == "a sentence"));
    assert!(matches!(refused("403 Forbidden"), Error::AccessDenied(why) if why == "a sentence"));
    assert!(matches!(refused("503 Service Unavailable"), Error::Unavailable(why) if why == "a sentence"));
    assert!(matches!(refused("405 Method Not Allowed"), Error::Unreadable(_)));
    for strange in ["", "hello", "HTTP/1.1 200 OK\r\n\r\n{\"value\":\"piece"] {
        let error = understand::<Secret>(strange.as_bytes()).unwrap_err();
        assert!(
            matches!(&error, Error::Unreadable(_)) && !error.to_string().contains("piece"),
            "{error}"
        );
    }
}

#[test]
fn a_value_says_nothing_of_itself() {
    let secret: Secret = understand(found("hunter2").as_bytes()).unwrap();
    assert!(!format!("{secret:?}").contains("hunter2"));
}

#[test]
fn only_files_of_bindings_are_read() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), "text").unwrap();
    let secrets = Secrets::at(folder.path());
    assert_eq!(secrets.read("a").unwrap().expose(), "text");
    for other in ["b", "../a", "/etc/passwd", "./../a"] {
        assert!(matches!(secrets.read(other), Err(Error::NotFound(_))), "{other}");
    }
    assert!(
        matches!(secrets.get("s", "k"), Err(Error::Unavailable(_))),
        "there is no sidecar"
    );
}

#[test]
fn a_watch_tells_changes_only() {
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join(".socket")).unwrap();
    let gone = answer("404 Not Found", r#"{"error":"NotFound","message":"gone"}"#);
    let away = answer(
        "503 Service Unavailable",
        r#"{"error":"NotReady","message":"soon"}"#,
    );
    let told = [
        found("one"),
        found("one"),
        away,
        found("two"),
        gone.clone(),
        gone,
        found("two"),
    ];
    let server = thread::spawn(move || {
        for answer in told {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(&stream).lines();
            assert!(lines.any(|line| line.unwrap().is_empty()), "a request ends");
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    let watch = Secrets::at(folder.path())
        .watch("s", "k")
        .every(Duration::from_millis(1));
    let (sender, seen) = mpsc::channel();
    // It blocks until there is something to tell, and that must not be for ever here.
    thread::spawn(move || watch.map(|now| sender.send(now)).all(|sent| sent.is_ok()));
    let seen: Vec<String> = (0..4)
        .map(|_| seen.recv_timeout(Duration::from_secs(30)).unwrap())
        .map(|now| {
            now.map_or_else(
                |error| error.to_string(),
                |secret| secret.value.expose().to_owned(),
            )
        })
        .collect();
    assert_eq!(seen, ["one", "two", "gone", "two"]);
    server.join().unwrap();
}

#[test]
fn the_folder_is_the_one_that_the_container_is_told() {
    let folder = |told: Option<&str>| Secrets::told(told.map(Into::into)).folder;
    assert_eq!(folder(Some("/etc/app")), Path::new("/etc/app"));
    for nothing in [None, Some("")] {
        assert_eq!(folder(nothing), Path::new(FOLDER));
    }
}
