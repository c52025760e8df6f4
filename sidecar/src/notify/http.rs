//! A POST on the pod's loopback: a connection of its own, no body, no redirects, no proxy.

use super::Error;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::fmt::Display;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::net::TcpStream;

/// Succeeds with an answer of 2xx.
pub(super) async fn post(port: u16, path: &str) -> Result<(), Error> {
    let failed = |why: &dyn Display| Error::Http {
        port,
        path: path.to_owned(),
        why: why.to_string(),
    };
    let status = status(port, path).await.map_err(|why| failed(&*why))?;
    if status.is_success() {
        Ok(())
    } else {
        Err(failed(&format_args!("it answered {status}")))
    }
}

async fn status(port: u16, path: &str) -> Result<StatusCode, Box<dyn std::error::Error + Send + Sync>> {
    let loopback = [
        SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
    ];
    let stream = TcpStream::connect(loopback.as_slice()).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the sender.
    tokio::spawn(connection);
    let request = Request::post(path)
        .header(HOST, format!("localhost:{port}"))
        .header(CONNECTION, "close")
        // Some servers insist on it.
        .header(CONTENT_LENGTH, 0)
        .body(String::new())?;
    Ok(sender.send_request(request).await?.status())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// Answers one connection; answers what was asked.
    async fn asked(listener: TcpListener, answer: &str) -> String {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.unwrap());
        }
        client.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(head).unwrap()
    }

    #[tokio::test]
    async fn it_is_a_plain_post_and_2xx_is_success() {
        for (answer, wanted) in [
            ("HTTP/1.1 204 No Content\r\n\r\n", Ok(())),
            (
                "HTTP/1.1 500 Internal Server Error\r\n\r\n",
                Err("it answered 500 Internal Server Error"),
            ),
            (
                "HTTP/1.1 302 Found\r\nLocation: http://example.org/\r\n\r\n",
                Err("it answered 302 Found"),
            ),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let (told, head) = tokio::join!(post(port, "/-/reload?x=1"), asked(listener, answer));
            let wanted = wanted.map_err(|why| format!("POST http://localhost:{port}/-/reload?x=1: {why}"));
            assert_eq!(told.map_err(|error| error.to_string()), wanted);
            let head = head.to_lowercase();
            let expected = format!(
                "post /-/reload?x=1 http/1.1\r\nhost: localhost:{port}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            );
            assert_eq!(head, expected);
        }
    }

    #[tokio::test]
    async fn the_other_loopback_serves_too_and_none_is_an_error() {
        let listener = TcpListener::bind("[::1]:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (told, _) = tokio::join!(post(port, "/"), asked(listener, "HTTP/1.1 200 OK\r\n\r\n"));
        assert_eq!(told, Ok(()));
        let error = post(port, "/").await.unwrap_err().to_string();
        assert!(error.contains("refused"), "{error}");
    }
}
