//! `DatabaseConnection` → a connection of Vault's database engine.

use super::{is_refusal, mount, role};
use crate::kinds::provider;
use crate::{Key, Problem, World};
use keystead_crds::condition::Reason;
use keystead_crds::database::{DatabasePlugin, default_port};
use keystead_crds::names::ROOT_PASSWORD_ANNOTATION;
use keystead_crds::provider::{DatabaseHost, DatabaseTls};
use keystead_crds::{DatabaseConnection, SecretProvider};
use keystead_vault::hcl::is_plain_segment;
use keystead_vault::name::Letter;
use keystead_vault::object::{
    Authority, ClosedConnection, DatabaseConnection as Connection, DatabaseServer, Root, SecretKey, Tls,
};
use kube::ResourceExt as _;

/// What there should be in Vault.
pub fn compile(world: &World, key: &Key, object: &DatabaseConnection) -> Result<Connection, Problem> {
    let spec = &object.spec;
    let (provider, opened) = admit(world, key, object)?;
    let prefix = provider::prefix(world, provider);
    Ok(Connection {
        mount: mount(provider)?.to_owned(),
        name: prefix.name(Letter::DatabaseConnection, &key.namespace, &key.name),
        server: match spec.plugin {
            DatabasePlugin::PostgreSql => DatabaseServer::PostgreSql {
                database: spec.database.clone().unwrap_or_default(),
                // All its roles are of its namespace.
                prefix: prefix.name(Letter::DatabaseRole, &key.namespace, ""),
            },
            DatabasePlugin::Redis => DatabaseServer::Redis,
            DatabasePlugin::Valkey => DatabaseServer::Valkey,
        },
        host: spec.host.clone(),
        port: spec.server().1,
        tls: tls(provider, spec.plugin, opened)?,
        username: spec.username.clone(),
        password: SecretKey {
            namespace: key.namespace.clone(),
            name: spec.root_password_ref.name.clone(),
            key: spec.root_password_ref.key.clone(),
        },
        rotate: spec.rotate_root,
        root: root(object),
        allowed_roles: roles(world, key)
            .map(|role| prefix.name(Letter::DatabaseRole, &role.namespace, &role.name))
            .collect(),
    })
}

/// The provider, and what it says of the server, if it opens it to the namespace.
pub(super) fn admit<'a>(
    world: &'a World,
    key: &Key,
    object: &DatabaseConnection,
) -> Result<(&'a SecretProvider, &'a DatabaseHost), Problem> {
    let provider = provider::find(world, &object.spec.provider_ref.name)?;
    provider::admit(world, provider, &key.namespace)?;
    check(object)?;
    let opened = open(world, provider, &key.namespace, object)?;
    Ok((provider, opened))
}

/// The roles that may use it: those that name it, but for what is refused to them.
pub fn roles<'a>(world: &'a World, key: &'a Key) -> impl Iterator<Item = &'a Key> {
    let roles = world.database_roles_of(key).filter(|(key, role)| {
        let compiled = role::compile(world, key, role);
        !compiled.is_err_and(|problem| is_refusal(world, &key.namespace, &problem))
    });
    roles.map(|(key, _)| key)
}

/// What is left in Vault of one that is refused: all of it, but no role may use it.
pub fn closed(
    world: &World,
    key: &Key,
    object: &DatabaseConnection,
    problem: &Problem,
) -> Option<ClosedConnection> {
    if !is_refusal(world, &key.namespace, problem) {
        return None;
    }
    let Connection { mount, name, .. } = removal(world, key, object).ok()?;
    Some(ClosedConnection { mount, name })
}

/// What a deleted one leaves in Vault, by its name.
pub fn removal(world: &World, key: &Key, object: &DatabaseConnection) -> Result<Connection, Problem> {
    let provider = provider::find(world, &object.spec.provider_ref.name)?;
    let name = provider::prefix(world, provider).name(Letter::DatabaseConnection, &key.namespace, &key.name);
    Ok(Connection {
        mount: mount(provider)?.to_owned(),
        name,
        server: DatabaseServer::Redis,
        host: object.spec.host.clone(),
        port: 0,
        tls: Tls::Off,
        username: object.spec.username.clone(),
        password: SecretKey {
            namespace: String::new(),
            name: String::new(),
            key: String::new(),
        },
        rotate: false,
        root: root(object),
        allowed_roles: Vec::new(),
    })
}

/// What asks for the given password to be sent once more. What was followed before asks for nothing.
pub fn asked(object: &DatabaseConnection) -> Option<&String> {
    let status = object.status.as_ref();
    let followed = status.and_then(|status| status.root_password.as_ref());
    let asked = object.annotations().get(ROOT_PASSWORD_ANNOTATION);
    asked.filter(|asked| Some(*asked) != followed)
}

fn root(object: &DatabaseConnection) -> Root {
    let rotated = object
        .status
        .as_ref()
        .is_some_and(|status| status.root_rotated_at.is_some());
    match (asked(object), rotated) {
        (Some(_), _) => Root::Again,
        (None, true) => Root::Rotated,
        (None, false) => Root::Given,
    }
}

/// What becomes part of a URL means itself there. The API server sees to it at apply.
fn check(object: &DatabaseConnection) -> Result<(), Problem> {
    let spec = &object.spec;
    let wrong = if !is_plain_segment(&spec.host) {
        "spec.host must be a host name or an IPv4 address"
    } else if !spec.database.as_deref().is_none_or(is_plain_segment) {
        "spec.database must be letters, digits, '-', '_' and '.'"
    } else if spec.database.is_none() && spec.plugin == DatabasePlugin::PostgreSql {
        "spec.database is needed for PostgreSQL"
    } else {
        return Ok(());
    };
    Err(Problem::new(Reason::Invalid, wrong))
}

/// What the provider says of a host, if it opens it to the namespace. Where it says something of the host by
/// its own name no wildcard counts.
fn open<'a>(
    world: &World,
    provider: &'a SecretProvider,
    namespace: &str,
    object: &DatabaseConnection,
) -> Result<&'a DatabaseHost, Problem> {
    let (host, port) = object.spec.server();
    let hosts = &provider.spec.databases.hosts;
    let below = |pattern: &str| {
        pattern
            .strip_prefix('*')
            .is_some_and(|domain| host.ends_with(domain))
    };
    let is_named = hosts.iter().any(|entry| entry.host == host);
    let fits = |entry: &&DatabaseHost| entry.host == host || (!is_named && below(&entry.host));
    let mut fitting = hosts.iter().filter(fits);
    let open = fitting.find(|entry| world.selects(&entry.namespaces, namespace));
    let refused = |message| Problem::new(Reason::NotPermitted, message);
    let name = provider.name_any();
    let open = open.ok_or_else(|| {
        refused(format!(
            "spec.host: SecretProvider {name} does not open the database host {host} to namespace {namespace}: \
             its spec.databases.hosts needs an entry for this host whose namespaces select this one"
        ))
    })?;
    let is_usual = open.ports.is_empty() && port == default_port(object.spec.plugin);
    if is_usual || open.ports.contains(&i32::from(port)) {
        return Ok(open);
    }
    Err(refused(format!(
        "spec.port: SecretProvider {name} does not open port {port} of the database host {host}: \
         its spec.databases.hosts[{}] needs it among its ports",
        open.host
    )))
}

fn tls(provider: &SecretProvider, plugin: DatabasePlugin, host: &DatabaseHost) -> Result<Tls, Problem> {
    let authority = match plugin {
        DatabasePlugin::PostgreSql => Some(host.ca_file.clone().map_or(Authority::System, Authority::File)),
        DatabasePlugin::Redis | DatabasePlugin::Valkey => host.ca_bundle.clone().map(Authority::Bundle),
    };
    match host.tls {
        DatabaseTls::Off => Ok(Tls::Off),
        DatabaseTls::Unverified => Ok(Tls::Unverified),
        DatabaseTls::Verified => authority.map(Tls::Verified).ok_or_else(|| {
            Problem::new(
                Reason::Invalid,
                format!(
                    "SecretProvider {}: spec.databases.hosts[{}] needs a caBundle: Vault's plugins for Redis and Valkey trust no other",
                    provider.name_any(),
                    host.host
                ),
            )
        }),
    }
}

#[cfg(test)]
mod tests;
