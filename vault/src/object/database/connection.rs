//! A connection: a server, and the user (its root) by whom Vault makes others there.
//!
//! The root password is sent when the connection is made, and never again: Vault rotates it, and
//! an old one would lock it out. Each write has Vault log in before it believes what was written, so a
//! password that Vault keeps is shown to no server but the one that it is of.

use crate::client::Client;
use crate::engine::{Action, Planned};
use crate::error::Error;
use crate::object::ValueStore;
use crate::object::fields::{Fields, differences, fields};
use crate::sensitive::Sensitive;
use serde::Deserialize;
use serde_json::{Value, json};

/// What Vault says when it could not log in with what was written.
const UNVERIFIED: &str = "error verifying connection";

/// A connection as it should be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DatabaseConnection {
    /// Path of the database engine.
    pub mount: String,
    /// Name.
    pub name: String,
    /// The server.
    pub server: DatabaseServer,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How it is known to be the right one.
    pub tls: Tls,
    /// The root user.
    pub username: String,
    /// Where the root password is, as long as people know it.
    pub password: SecretKey,
    /// Whether Vault gives the root user a password that nobody else knows.
    pub rotate: bool,
    /// What is known of the root password.
    pub root: Root,
    /// Which roles may use it, sorted.
    pub allowed_roles: Vec<String>,
}

/// What sort of server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DatabaseServer {
    /// PostgreSQL.
    PostgreSql {
        /// The database to connect to.
        database: String,
        /// What the roles' names have in front, and users' names have not.
        prefix: String,
    },
    /// Redis.
    Redis,
    /// Valkey; Vault has no plugin for it, OpenBao has.
    Valkey,
}

/// How a server is known to be the right one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Tls {
    /// By a certificate that this authority signed.
    Verified(Authority),
    /// Not at all; the connection is encrypted.
    Unverified,
    /// Not at all, and nothing is encrypted.
    Off,
}

/// Who signed a server's certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Authority {
    /// One of those that Vault's machine trusts.
    System,
    /// One in this file on Vault's machine.
    File(String),
    /// One of these certificates, as PEM.
    Bundle(String),
}

/// A key of a Kubernetes Secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SecretKey {
    /// The Secret's namespace.
    pub namespace: String,
    /// The Secret.
    pub name: String,
    /// The key.
    pub key: String,
}

/// What is known of the root password.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Root {
    /// It is the one that was given, if Vault has one at all.
    Given,
    /// Vault has made it, and nobody else knows it.
    Rotated,
    /// Somebody asks that the given one is sent once more.
    Again,
}

type Found = Option<Fields>;

impl DatabaseConnection {
    pub(crate) async fn plan(&self, client: &Client) -> Result<Planned, Error> {
        self.compare(&self.read(client).await?)
    }

    /// Makes it as it should be.
    pub(crate) async fn reconcile(&self, client: &Client, store: &impl ValueStore) -> Result<Action, Error> {
        let found = self.read(client).await?;
        let action = self.compare(&found)?.action;
        if action == Action::Unchanged {
            return Ok(action);
        }
        let differs = found
            .as_ref()
            .is_none_or(|found| !differences(&self.fields(), found).is_empty());
        if found.is_none() || self.root == Root::Again {
            self.write_with_password(client, store, found.as_ref()).await?;
        } else if differs {
            client.write(&self.path(), &self.body(None)).await?;
        }
        if self.rotate && self.root != Root::Rotated {
            let path = format!("{}/rotate-root/{}", self.mount, self.name);
            client.write(&path, &json!({})).await?;
        }
        Ok(action)
    }

    /// Sends the given password. Where it is rotated, one that is refused does no harm if Vault's own is
    /// good: then it was sent and rotated before, by somebody who was killed before he could say so.
    async fn write_with_password(
        &self,
        client: &Client,
        store: &impl ValueStore,
        found: Option<&Fields>,
    ) -> Result<(), Error> {
        let SecretKey { namespace, name, key } = &self.password;
        let password = store.secret_key(namespace, name, key).await?;
        let written = client.write(&self.path(), &self.body(Some(&password))).await;
        let Err(error) = written else { return Ok(()) };
        let refused = matches!(&error, Error::Refused { why, .. } if why.contains(UNVERIFIED));
        let has_own = self.rotate && found.is_some_and(|found| self.is_at(found));
        if has_own && refused && client.write(&self.path(), &self.body(None)).await.is_ok() {
            return Ok(());
        }
        Err(without(error, &password))
    }

    pub(crate) async fn is_there(&self, client: &Client) -> Result<bool, Error> {
        Ok(self.read(client).await?.is_some())
    }

    pub(crate) async fn delete(&self, client: &Client) -> Result<(), Error> {
        client.delete(&self.path()).await
    }

    fn compare(&self, found: &Found) -> Result<Planned, Error> {
        let rotation = (self.rotate && self.root != Root::Rotated)
            .then(|| format!("the password of {} is rotated", self.username));
        let Some(found) = found else {
            if self.root == Root::Rotated {
                return Err(Error::RootLost {
                    connection: self.name.clone(),
                    username: self.username.clone(),
                });
            }
            let detail = format!("connects to {}:{} as {}", self.host, self.port, self.username);
            let details = [detail].into_iter().chain(rotation).collect();
            return Ok(Planned::new(Action::Create, details));
        };
        if self.root != Root::Again && !self.is_at(found) {
            return Err(Error::Moved {
                connection: self.name.clone(),
                there: address(found),
                declared: self.address(),
            });
        }
        let mut details = differences(&self.fields(), found);
        if self.root == Root::Again {
            details.push(format!("the password of {} is sent again", self.username));
        }
        details.extend(rotation);
        Ok(Planned::of_changes(details))
    }

    /// What Vault has, with the plugin's own settings among the others.
    async fn read(&self, client: &Client) -> Result<Found, Error> {
        #[derive(Deserialize)]
        struct Config {
            #[serde(default)]
            connection_details: Fields,
            #[serde(flatten)]
            others: Fields,
        }
        let found: Option<Config> = client.read_optional(&self.path()).await?;
        Ok(found.map(|found| {
            let mut all = found.others;
            all.extend(found.connection_details);
            all
        }))
    }

    fn path(&self) -> String {
        format!("{}/config/{}", self.mount, self.name)
    }

    fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Whether what Vault has is of the same server.
    fn is_at(&self, found: &Fields) -> bool {
        address(found) == self.address()
    }

    fn body(&self, password: Option<&Sensitive<String>>) -> Value {
        let mut body = self.fields();
        body.insert("verify_connection".into(), true.into());
        if let Some(password) = password {
            body.insert("password".into(), password.expose().as_str().into());
        }
        Value::Object(body)
    }

    /// What we set, in the form in which Vault answers it.
    fn fields(&self) -> Fields {
        let mut all = fields(json!({
            "allowed_roles": self.allowed_roles,
            "username": self.username,
        }));
        all.extend(match &self.server {
            DatabaseServer::PostgreSql { database, prefix } => self.postgres(database, prefix),
            DatabaseServer::Redis => self.redis("redis-database-plugin"),
            DatabaseServer::Valkey => self.redis("valkey-database-plugin"),
        });
        all
    }

    fn postgres(&self, database: &str, prefix: &str) -> Fields {
        let mode = match &self.tls {
            Tls::Verified(Authority::File(file)) => format!("verify-full&sslrootcert={file}"),
            Tls::Verified(_) => "verify-full".to_owned(),
            Tls::Unverified => "require".to_owned(),
            Tls::Off => "disable".to_owned(),
        };
        let Self { host, port, .. } = self;
        fields(json!({
            "plugin_name": "postgresql-database-plugin",
            "connection_url":
                format!("postgresql://{{{{username}}}}:{{{{password}}}}@{host}:{port}/{database}?sslmode={mode}"),
            // The server, its log and its replicas never see a password.
            "password_authentication": "scram-sha-256",
            // PostgreSQL cuts names at 63 bytes: 3 + 28 + 1 + 20 + 1 + 10.
            "username_template": format!(
                "ks-{{{{ .RoleName | replace \"{prefix}\" \"\" | truncate 28 }}}}-{{{{ random 20 }}}}-{{{{ unix_time }}}}"
            ),
        }))
    }

    fn redis(&self, plugin: &str) -> Fields {
        let mut all = fields(json!({
            "plugin_name": plugin,
            "host": self.host,
            "port": self.port,
            "tls": self.tls != Tls::Off,
            "insecure_tls": self.tls == Tls::Unverified,
        }));
        if let Tls::Verified(Authority::Bundle(bundle)) = &self.tls {
            all.insert("ca_cert".into(), bundle.trim().into());
        }
        all
    }
}

/// Host and port of the server that Vault connects to.
fn address(found: &Fields) -> String {
    let text = |name: &str| match found.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let url = text("connection_url");
    let server = url
        .rsplit_once('@')
        .and_then(|(_, server)| server.split('/').next());
    server.map_or_else(|| format!("{}:{}", text("host"), text("port")), str::to_owned)
}

/// The server's own words, less the password that it was asked with, in whatever spelling.
fn without(error: Error, password: &Sensitive<String>) -> Error {
    match error {
        Error::Refused { request, code, why } => {
            let password = password.expose();
            // As a path, as a user of a URL, and as a query, by the rules of Vault's own language.
            let (path, user) = (escaped(password, "-_.~$&+=:@"), escaped(password, "-_.~$&+,;="));
            let query = escaped(password, "-_.~ ").replace(' ', "+");
            let why = [password, &path, &user, &query]
                .into_iter()
                .filter(|text| !text.is_empty())
                .fold(why, |why, text| why.replace(text.as_str(), "[redacted]"));
            Error::Refused { request, code, why }
        }
        other => other,
    }
}

/// A text in which `%` and two digits stand for each byte but letters, digits and `kept`.
fn escaped(text: &str, kept: &str) -> String {
    let escape = |byte: u8| {
        let stays = byte.is_ascii_alphanumeric() || kept.as_bytes().contains(&byte);
        if stays {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests;
