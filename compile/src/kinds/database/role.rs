//! `DatabaseRole` → a role of Vault's database engine.

use super::{connection as server, fixed, is_refusal, mount, presets};
use crate::kinds::provider;
use crate::{Key, Problem, World};
use keystead_crds::condition::{READY, Reason};
use keystead_crds::database::{DatabasePlugin, DynamicRole, default_port};
use keystead_crds::sidecar::DatabaseSource;
use keystead_crds::{DatabaseConnection, DatabaseRole, SecretProvider};
use keystead_vault::name::Letter;
use keystead_vault::object::{DatabaseRole as Role, RoleKind};
use keystead_vault::path::ApiPath;
use kube::ResourceExt as _;
use std::sync::Arc;
use std::time::Duration;

/// The connection that a role names.
pub fn connection<'a>(
    world: &'a World,
    key: &Key,
    role: &DatabaseRole,
) -> Result<&'a Arc<DatabaseConnection>, Problem> {
    let name = &role.spec.connection_ref.name;
    let found = world.database_connection(&Key::new(&key.namespace, name));
    found.ok_or_else(|| Problem::not_found("DatabaseConnection", name))
}

/// The provider whose Vault has the role, if it can be told: its connection's, or what that was.
pub fn provider_name<'a>(world: &'a World, key: &Key, role: &'a DatabaseRole) -> Option<&'a str> {
    if let Ok(connection) = connection(world, key, role) {
        return Some(&connection.spec.provider_ref.name);
    }
    role.status.as_ref()?.provider.as_deref()
}

/// What there should be in Vault.
pub fn compile(world: &World, key: &Key, role: &DatabaseRole) -> Result<Role, Problem> {
    let connection = connection(world, key, role)?;
    let provider = admit(world, key, connection)?;
    let kind = match (&role.spec.dynamic, &role.spec.r#static) {
        (Some(dynamic), None) => {
            if !dynamic.creation_statements.is_empty() {
                may_bring_statements(world, provider, &key.namespace)?;
            }
            self::dynamic(connection, dynamic)?
        }
        (None, Some(user)) => {
            fixed::check(world, key, role, &user.username)?;
            RoleKind::Static {
                username: user.username.clone(),
                rotation_period: Duration::from(user.rotation_period),
            }
        }
        _ => {
            return Err(Problem::new(
                Reason::Invalid,
                "spec needs exactly one of dynamic and static",
            ));
        }
    };
    named(world, provider, key, role, kind)
}

/// The provider, if the connection may use it.
pub(super) fn admit<'a>(
    world: &'a World,
    key: &Key,
    connection: &DatabaseConnection,
) -> Result<&'a SecretProvider, Problem> {
    let name = connection.name_any();
    let admitted = server::admit(world, &Key::new(&key.namespace, &name), connection);
    let admitted = admitted.map_err(|problem| {
        let message = format!("DatabaseConnection {name}: {problem}");
        Problem::new(problem.reason, message)
    });
    admitted.map(|(provider, _)| provider)
}

/// What goes from Vault of one that is refused.
pub fn withdrawal(world: &World, key: &Key, role: &DatabaseRole, problem: &Problem) -> Option<Role> {
    let is_refused = is_refusal(world, &key.namespace, problem);
    is_refused.then(|| removal(world, key, role).ok()).flatten()
}

/// What a deleted one leaves in Vault, by its name.
pub fn removal(world: &World, key: &Key, role: &DatabaseRole) -> Result<Role, Problem> {
    let provider = match provider_name(world, key, role) {
        Some(name) => provider::find(world, name)?,
        None => {
            return Err(Problem::not_found(
                "DatabaseConnection",
                &role.spec.connection_ref.name,
            ));
        }
    };
    let kind = match &role.spec.r#static {
        Some(fixed) => RoleKind::Static {
            username: fixed.username.clone(),
            rotation_period: Duration::ZERO,
        },
        None => RoleKind::Dynamic {
            creation: Vec::new(),
            revocation: Vec::new(),
            default_ttl: Duration::ZERO,
            max_ttl: Duration::ZERO,
        },
    };
    named(world, provider, key, role, kind)
}

/// Whether Vault lets the connection's users be made by this role; not yet where the connection's own
/// reconcile is still to come, which queues its roles.
pub fn is_allowed(world: &World, key: &Key, role: &DatabaseRole) -> Result<bool, Problem> {
    let connection = connection(world, key, role)?;
    let Some(status) = &connection.status else {
        return Ok(false);
    };
    if status.roles.contains(&key.name) {
        return Ok(true);
    }
    let mut conditions = status.basic.conditions.iter();
    if conditions.any(|found| found.type_ == READY && found.status == "True") {
        return Ok(false);
    }
    let name = connection.name_any();
    let message = format!("waiting for DatabaseConnection {name}, which is not ready: see there");
    Err(Problem::new(Reason::NotFound, message))
}

/// Where the service accounts of a binding get what a role gives, if the binding may name it.
pub fn granted(
    world: &World,
    provider: &SecretProvider,
    namespace: &str,
    name: &str,
) -> Result<ApiPath, Problem> {
    let key = Key::new(namespace, name);
    let role = world.database_role(&key);
    let role = role.ok_or_else(|| Problem::not_found("DatabaseRole", name))?;
    let of = &connection(world, &key, role)?.spec.provider_ref.name;
    if *of != provider.name_any() {
        let message = format!("DatabaseRole {name} is of SecretProvider {of}, and the binding of another");
        return Err(Problem::new(Reason::Invalid, message));
    }
    let path = removal(world, &key, role)?.credentials();
    ApiPath::parse(&path).map_err(|error| Problem::new(Reason::Invalid, error.to_string()))
}

/// What the pods of a binding are told of a role.
pub fn source(
    world: &World,
    provider: &SecretProvider,
    namespace: &str,
    name: &str,
) -> Result<DatabaseSource, Problem> {
    let path = granted(world, provider, namespace, name)?.to_string();
    let key = Key::new(namespace, name);
    let role = world.database_role(&key);
    let role = role.ok_or_else(|| Problem::not_found("DatabaseRole", name))?;
    let spec = &connection(world, &key, role)?.spec;
    Ok(DatabaseSource {
        role: name.to_owned(),
        path,
        scheme: match spec.plugin {
            DatabasePlugin::PostgreSql => "postgresql",
            // Clients of either know this one.
            DatabasePlugin::Redis | DatabasePlugin::Valkey => "redis",
        }
        .to_owned(),
        host: spec.host.clone(),
        port: spec.port.unwrap_or_else(|| default_port(spec.plugin)),
        database: spec.database.clone(),
    })
}

fn named(
    world: &World,
    provider: &SecretProvider,
    key: &Key,
    role: &DatabaseRole,
    kind: RoleKind,
) -> Result<Role, Problem> {
    let prefix = provider::prefix(world, provider);
    let connection = &role.spec.connection_ref.name;
    Ok(Role {
        mount: mount(provider)?.to_owned(),
        name: prefix.name(Letter::DatabaseRole, &key.namespace, &key.name),
        connection: prefix.name(Letter::DatabaseConnection, &key.namespace, connection),
        kind,
    })
}

/// Statements are a tenant's text that Vault runs as the database's root.
fn may_bring_statements(world: &World, provider: &SecretProvider, namespace: &str) -> Result<(), Problem> {
    let selector = provider.spec.databases.free_statements.as_ref();
    if selector.is_some_and(|selector| world.selects(selector, namespace)) {
        return Ok(());
    }
    Err(Problem::new(
        Reason::NotPermitted,
        format!(
            "spec.dynamic.creationStatements: SecretProvider {} does not allow namespace {namespace} statements of its own \
             (spec.databases.freeStatements): use a preset",
            provider.name_any()
        ),
    ))
}

fn dynamic(connection: &DatabaseConnection, dynamic: &DynamicRole) -> Result<RoleKind, Problem> {
    let (creation, revocation) = match dynamic.preset {
        Some(preset) => presets::statements(connection, preset, dynamic.schema.as_deref())?,
        None => (
            dynamic.creation_statements.clone(),
            dynamic.revocation_statements.clone(),
        ),
    };
    Ok(RoleKind::Dynamic {
        creation,
        revocation,
        default_ttl: Duration::from(dynamic.default_ttl),
        max_ttl: Duration::from(dynamic.max_ttl),
    })
}

#[cfg(test)]
mod tests;
