//! A user of a database, with all it takes to get in.

use super::Values;
use crate::sensitive::Sensitive;
use keystead_crds::sidecar::DatabaseSource;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stands for itself in any part of a URL.
const UNSAFE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Leaves `username` and `password` of what Vault said, and adds `host`, `port`, `database` and `url`.
pub(super) fn complete(values: &mut Values, at: &DatabaseSource) {
    values.retain(|key, _| matches!(key.as_str(), "username" | "password"));
    let encoded = |key: &str| {
        let value = values.get(key).map_or("", |value| value.expose());
        Sensitive::new(utf8_percent_encode(value, UNSAFE).to_string())
    };
    let mut url = format!(
        "{}://{}:{}@{}:{}",
        at.scheme,
        encoded("username").expose(),
        encoded("password").expose(),
        at.host,
        at.port
    );
    if let Some(database) = &at.database {
        url.push('/');
        url.extend(utf8_percent_encode(database, UNSAFE));
        values.insert("database".to_owned(), database.clone().into());
    }
    values.insert("host".to_owned(), at.host.clone().into());
    values.insert("port".to_owned(), at.port.to_string().into());
    values.insert("url".to_owned(), url.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_takes_any_password() {
        let mut at = DatabaseSource {
            role: "orders-reader".into(),
            path: "database/creds/x".into(),
            scheme: "postgresql".into(),
            host: "db.shop".into(),
            port: 5432,
            database: Some("orders".into()),
        };
        let said = [("username", "v-a"), ("password", "a/b@c:d%é ?#"), ("ttl", "5")];
        let said: Values = said.map(|(key, value)| (key.to_owned(), value.into())).into();
        let mut values = said.clone();
        complete(&mut values, &at);
        let shown: Vec<(&str, &str)> = values
            .iter()
            .map(|(key, value)| (key.as_str(), value.expose().as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                ("database", "orders"),
                ("host", "db.shop"),
                ("password", "a/b@c:d%é ?#"),
                ("port", "5432"),
                (
                    "url",
                    "postgresql://v-a:a%2Fb%40c%3Ad%25%C3%A9%20%3F%23@db.shop:5432/orders"
                ),
                ("username", "v-a"),
            ]
        );
        (at.scheme, at.database) = ("redis".into(), None);
        let mut values = said;
        complete(&mut values, &at);
        assert!(
            values["url"].expose().ends_with("@db.shop:5432"),
            "{:?}",
            values["url"].expose()
        );
        assert!(!values.contains_key("database") && !values.contains_key("ttl"));
    }
}
