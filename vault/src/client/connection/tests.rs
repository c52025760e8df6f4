use super::*;

fn connection() -> Connection {
    // Another test may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Connection {
        address: "https://10.0.0.7:8200".into(),
        ..Connection::default()
    }
}

/// A certificate and its key; `name` makes it differ.
fn identity(name: &str) -> (String, String) {
    let signed = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    (signed.cert.pem(), signed.signing_key.serialize_pem())
}

#[test]
fn an_address_is_scheme_host_and_port() {
    let url = |address: &str| {
        Connection {
            address: address.into(),
            ..Connection::default()
        }
        .url()
    };
    for good in [
        "https://vault.vault.svc:8200",
        "http://127.0.0.1:8200",
        "https://[::1]:8200/",
    ] {
        assert!(url(good).is_ok(), "{good}");
    }
    for bad in [
        "",
        "vault:8200",
        "ftp://vault",
        "https://vault/prefix",
        "https://me@vault",
        "https://vault?x=1",
    ] {
        assert!(matches!(url(bad), Err(Error::Address { .. })), "{bad}");
    }
}

#[test]
fn the_server_name_takes_the_hosts_place_and_the_port_stays() {
    let named = |name: &str| Connection {
        server_name: Some(name.into()),
        ..connection()
    };
    let target = named("vault.example").target().unwrap();
    assert_eq!(target.as_str(), "https://vault.example:8200/");
    assert!(named("vault.example").http().is_ok());
    assert_eq!(named("10.0.0.7").target(), connection().target());
    for bad in ["10.0.0.8", "a b", "[::1]", ""] {
        let error = named(bad).target().unwrap_err().to_string();
        assert!(
            error.contains("TLS server name") && error.contains("DNS name"),
            "{error}"
        );
    }
    let mut plain = named("vault.example");
    plain.address = "http://10.0.0.7:8200".into();
    assert_eq!(plain.target().unwrap().host_str(), Some("10.0.0.7"));
    let mut both = named("vault.example");
    both.proxy = Some("http://proxy:3128".into());
    assert!(both.target().unwrap_err().to_string().contains("proxy"));
}

#[tokio::test]
async fn the_server_name_is_looked_up_as_the_host() {
    let resolver = Renamed {
        name: "vault.example".into(),
        host: "127.0.0.7".into(),
    };
    let mut found = resolver.resolve("Vault.Example".parse().unwrap()).await.unwrap();
    assert_eq!(found.next().unwrap().ip().to_string(), "127.0.0.7");
    let mut other = resolver.resolve("127.0.0.8".parse().unwrap()).await.unwrap();
    assert_eq!(other.next().unwrap().ip().to_string(), "127.0.0.8");
}

#[test]
fn a_wrong_identity_is_named_and_not_repeated() {
    let with = |pem: String| Connection {
        identity: Some(pem.into()),
        ..connection()
    };
    let (one, other) = (identity("one"), identity("other"));
    assert!(with(format!("{}{}", one.0, one.1)).http().is_ok());
    for bad in [
        String::new(),
        "hunter2".into(),
        one.0.clone(),
        one.1.clone(),
        format!("{}{}", one.0, other.1),
    ] {
        let error = with(bad.clone()).http().unwrap_err().to_string();
        assert!(
            error.starts_with("the client certificate for https://10.0.0.7:8200 can't be used: "),
            "{error}"
        );
        let key = bad
            .lines()
            .find(|line| !line.starts_with("---"))
            .unwrap_or("hunter2");
        assert!(!error.contains(key), "{error}");
    }
}

#[test]
fn a_wrong_ca_is_not_blamed_on_the_identity() {
    let (certificate, key) = identity("one");
    let wrong = Connection {
        ca: Some("no certificate".into()),
        identity: Some(format!("{certificate}{key}").into()),
        ..connection()
    };
    let error = wrong.http().unwrap_err().to_string();
    assert!(error.starts_with("the CA certificates for "), "{error}");
}

#[test]
fn a_wrong_proxy_is_named_and_not_repeated() {
    for bad in [
        "",
        "proxy:3128",
        "socks5://proxy",
        "http://me:hunter2@proxy",
        "http://proxy/x",
    ] {
        let wrong = Connection {
            proxy: Some(bad.into()),
            ..connection()
        };
        let error = wrong.http().unwrap_err().to_string();
        assert!(
            error.starts_with("the proxy for ") && !error.contains("hunter2"),
            "{error}"
        );
    }
}

#[test]
fn a_namespace_fits_into_a_header() {
    let with = |name: &str| Connection {
        namespace: Some(name.into()),
        ..connection()
    };
    assert_eq!(with("/team/prod/").namespace(), Ok(Some("team/prod".into())));
    assert_eq!(with("/").namespace(), Ok(None));
    for bad in ["a b", "a\nb", "ä"] {
        assert!(with(bad).namespace().is_err(), "{bad:?}");
    }
}
