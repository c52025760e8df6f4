//! The statements of presets.
//!
//! In PostgreSQL a user is a member of a group, which has the rights: rights of each user on each table
//! would fill the table's row in the catalogue at about 2,400 users. The group is made with the first
//! user; tables that came since are granted with the next. Nothing needs a superuser: the root makes
//! roles and may grant what it owns, or what a group owns, in all of which it is.

use crate::Problem;
use keystead_crds::DatabaseConnection;
use keystead_crds::condition::Reason;
use keystead_crds::database::{DatabasePlugin, Preset};
use keystead_vault::digest::short;
use keystead_vault::hcl::is_plain_segment;

/// How long PostgreSQL lets a name be, in bytes.
const LONGEST_NAME: usize = 63;

type Statements = (Vec<String>, Vec<String>);

/// How a user is made, and how it is taken away.
pub(super) fn statements(
    connection: &DatabaseConnection,
    preset: Preset,
    schema: Option<&str>,
) -> Result<Statements, Problem> {
    let spec = &connection.spec;
    if spec.plugin != DatabasePlugin::PostgreSql {
        return match schema {
            None => Ok((vec![redis(preset).to_owned()], Vec::new())),
            Some(_) => Err(Problem::new(
                Reason::Invalid,
                "spec.dynamic.schema is for PostgreSQL alone",
            )),
        };
    }
    let (database, schema) = (
        spec.database.as_deref().unwrap_or_default(),
        schema.unwrap_or("public"),
    );
    if schema.starts_with("pg_") || schema == "information_schema" {
        let message = format!(
            "spec.dynamic.schema: {schema} is the server's own, and may hold what opens it: name another"
        );
        return Err(Problem::new(Reason::NotPermitted, message));
    }
    // The API server sees to it at apply.
    if !is_plain_segment(schema) || !is_plain_segment(database) {
        let message = "spec.dynamic.schema must be letters, digits and '_'";
        return Err(Problem::new(Reason::Invalid, message));
    }
    Ok(postgres(preset, &group(database, schema, preset), schema))
}

fn redis(preset: Preset) -> &'static str {
    match preset {
        Preset::ReadOnly => r#"["~*", "+@read", "+@connection", "-@dangerous"]"#,
        Preset::ReadWrite => r#"["~*", "+@read", "+@write", "+@connection", "+@transaction", "-@dangerous"]"#,
        Preset::Owner => r#"["~*", "&*", "+@all", "-@admin"]"#,
    }
}

/// The name of a group. Roles are all databases' of a server.
fn group(database: &str, schema: &str, preset: Preset) -> String {
    let preset = match preset {
        Preset::ReadOnly => "read",
        Preset::ReadWrite => "write",
        Preset::Owner => "owner",
    };
    let name = format!("keystead:{database}:{schema}:{preset}");
    if name.len() <= LONGEST_NAME {
        return name;
    }
    format!("keystead:{:016x}:{preset}", short(&name))
}

fn postgres(preset: Preset, group: &str, schema: &str) -> Statements {
    let (tables, sequences, on_schema) = match preset {
        Preset::ReadOnly => ("SELECT", "SELECT", "USAGE"),
        Preset::ReadWrite => ("SELECT, INSERT, UPDATE, DELETE", "USAGE, SELECT", "USAGE"),
        Preset::Owner => ("ALL", "ALL", "USAGE, CREATE"),
    };
    // Granting what is granted already would write to the catalogue at each user. Asked for several rights,
    // PostgreSQL says whether there is one of them.
    let (right, use_of_schema) = match preset {
        Preset::ReadOnly => ("SELECT", "USAGE"),
        Preset::ReadWrite => ("INSERT", "USAGE"),
        Preset::Owner => ("TRUNCATE", "CREATE"),
    };
    let rights = format!(
        "DO $$ BEGIN
IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{group}') THEN
  CREATE ROLE \"{group}\" NOLOGIN;
  GRANT \"{group}\" TO CURRENT_USER;
END IF;
IF NOT has_schema_privilege('{group}', '{schema}', '{use_of_schema}') THEN
  GRANT {on_schema} ON SCHEMA \"{schema}\" TO \"{group}\";
END IF;
IF EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = '{schema}' AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    AND NOT has_table_privilege('{group}', c.oid, '{right}')) THEN
  GRANT {tables} ON ALL TABLES IN SCHEMA \"{schema}\" TO \"{group}\";
END IF;
IF EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = '{schema}'
    AND CASE WHEN c.relkind = 'S' THEN NOT has_sequence_privilege('{group}', c.oid, 'SELECT') END) THEN
  GRANT {sequences} ON ALL SEQUENCES IN SCHEMA \"{schema}\" TO \"{group}\";
END IF;
END $$;"
    );
    let user = format!(
        "CREATE ROLE \"{{{{name}}}}\" LOGIN PASSWORD '{{{{password}}}}' VALID UNTIL '{{{{expiration}}}}' IN ROLE \"{group}\";"
    );
    let mut creation = vec![rights, user];
    if preset == Preset::Owner {
        // What such a user makes is the group's, so it outlives the user.
        creation.push(format!("ALTER ROLE \"{{{{name}}}}\" SET ROLE = '{group}';"));
    }
    (creation, vec![REVOCATION.to_owned()])
}

/// A dropped role's sessions would go on, so they are ended. What the user made, against its rights, becomes
/// the root's: data are never dropped.
const REVOCATION: &str = r#"DO $$ BEGIN
IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{{name}}') THEN
  GRANT "{{name}}" TO CURRENT_USER;
  ALTER ROLE "{{name}}" NOLOGIN;
  PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{{name}}';
  REASSIGN OWNED BY "{{name}}" TO CURRENT_USER;
  DROP OWNED BY "{{name}}";
  DROP ROLE "{{name}}";
END IF;
END $$;"#;
