//! Users of a real PostgreSQL that come and go, and passwords that change: an OpenBao of one's own, which may be
//! paused and started again, and sidecars' programs that have users of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use keystead_crds::binding::PathMethod;
use keystead_vault::hcl::{self, Paths};
use keystead_vault::path::ApiPath;
use serde_json::{Value, json};

use super::database::{FIRST, Postgres};
use super::manifest::{account, namespace};
use super::program::Program;
use super::server::Server;
use super::{Method, Rig};
use crate::stage::{PATIENCE, Stage};
use crate::wait;

/// A role that makes users with this life, and longest life, in seconds.
pub(crate) struct Life {
    pub(crate) name: String,
    pub(crate) first: u64,
    pub(crate) longest: u64,
}

/// An OpenBao with a database, and an account whose pods may have its users.
pub(crate) struct World<'a> {
    pub(crate) rig: &'a Rig<'a>,
    pub(crate) server: Server<'a>,
    pub(crate) postgres: Postgres<'a>,
}

/// How often the static user's password changes, in seconds: no sooner does OpenBao.
const PERIOD: u64 = 5;

/// Does something with a world whose OpenBao has these roles, and a static one.
pub(crate) fn run(
    stage: &Stage,
    short: &str,
    roles: &[Life],
    work: impl FnOnce(&mut World<'_>) -> Result<()>,
) -> Result<()> {
    super::run(stage, short, Method::Kubernetes, |rig| {
        rig.apply(&[namespace("shop", "team: a"), account("shop", "web")].concat())?;
        let bed = stage.bed().context("this test needs a bed")?;
        let server = Server::start_durable(rig)?;
        server.reviews(rig)?;
        let postgres = Postgres::new(bed, &rig.id)?;
        let mut world = World {
            rig,
            server,
            postgres,
        };
        world.connect(roles)?;
        work(&mut world)
    })
}

impl World<'_> {
    fn connect(&self, roles: &[Life]) -> Result<()> {
        let Self {
            rig,
            server,
            postgres,
            ..
        } = self;
        server.ask("bao secrets enable database")?;
        let at = postgres.server;
        server.write(
            "database/config/db",
            &json!({
                "plugin_name": "postgresql-database-plugin",
                "allowed_roles": "*",
                "connection_url": format!(
                    "postgresql://{{{{username}}}}:{{{{password}}}}@{}:{}/{}?sslmode=verify-full&sslrootcert={}",
                    at.host, at.port, postgres.database, at.ca.display()
                ),
                "username": postgres.root,
                "password": FIRST,
                "password_authentication": "scram-sha-256",
                "username_template": format!("{}-{{{{ random 20 }}}}", rig.id),
            }),
        )?;
        for Life { name, first, longest } in roles {
            let create =
                "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'";
            let body = json!({
                "db_name": "db", "creation_statements": [create], "default_ttl": first, "max_ttl": longest,
            });
            server.write(&format!("database/roles/{name}"), &body)?;
        }
        let fixed = self.fixed();
        postgres.administer("postgres", &format!("CREATE ROLE \"{fixed}\" LOGIN"))?;
        server.write(
            "database/static-roles/fixed",
            &json!({"db_name": "db", "username": fixed, "rotation_period": PERIOD}),
        )?;

        let names = roles.iter().map(|role| format!("database/creds/{}", role.name));
        let paths = names.chain(["database/static-creds/fixed".to_owned()]);
        let by = |path: &str, method| {
            let path = ApiPath::parse(path)?;
            Ok((path, BTreeSet::from([method])))
        };
        let paths = paths.map(|path| by(&path, PathMethod::Get));
        let paths: Result<Paths> = paths.chain([by("pki/issue/web", PathMethod::Post)]).collect();
        let role = rig.role(&format!("{}-shop", rig.id), "web");
        let policy = hcl::workload("a test's", &[], &paths?);
        server.write(&format!("sys/policies/acl/{role}"), &json!({"policy": policy}))?;
        server.write(
            &format!("auth/{}/role/{role}", rig.mount()),
            &json!({
                "bound_service_account_names": "web",
                "bound_service_account_namespaces": format!("{}-shop", rig.id),
                "audience": "vault",
                "token_policies": [role],
                "token_no_default_policy": true,
                "token_ttl": "10m",
            }),
        )
    }

    /// The static user.
    fn fixed(&self) -> String {
        format!("{}.fixed", self.rig.id)
    }

    /// The dynamic users that there are.
    pub(crate) fn users(&self) -> Result<Vec<String>> {
        let line = format!(
            "SELECT rolname FROM pg_roles WHERE rolname LIKE '{}-____________________'",
            self.rig.id
        );
        let found = self.postgres.administer("postgres", &line)?;
        Ok(found.lines().map(str::to_owned).collect())
    }

    /// A sidecar of its own, with the users of these paths in a file each, such as `creds/short`.
    pub(crate) fn sidecar(&self, name: &str, paths: &[&str]) -> Result<Sidecar<'_>> {
        let sidecar = Sidecar {
            world: self,
            folder: self.rig.path(name),
            config: self.config(paths).to_string(),
        };
        for folder in ["files", "private", "token"] {
            fs::create_dir_all(sidecar.folder.join(folder))?;
        }
        let token = self
            .rig
            .service_account_token(&format!("{}-shop", self.rig.id), "web")?;
        fs::write(sidecar.folder.join("token/vault"), token)?;
        Ok(sidecar)
    }

    fn config(&self, paths: &[&str]) -> Value {
        let at = self.postgres.server;
        let secret = |path: &&str| {
            json!({"name": path, "from": {"database": {
                "role": path, "path": format!("database/{path}"), "scheme": "postgresql",
                "host": at.host, "port": at.port, "database": self.postgres.database,
            }}})
        };
        let file = |path: &&str| json!({"path": format!("{path}.json"), "format": "Json", "secret": path});
        json!({
            "version": 1,
            "vault": {
                "address": self.server.address,
                "authMount": self.rig.mount(),
                "role": self.rig.role(&format!("{}-shop", self.rig.id), "web"),
                "kvMount": "kv",
                "pathPrefix": self.rig.id,
                "environment": "production",
                "scopes": [{"level": "Global"}],
            },
            "secrets": paths.iter().map(secret).collect::<Vec<_>>(),
            "files": paths.iter().map(file).collect::<Vec<_>>(),
            "fileMode": 0o440,
            "refreshMillis": 60_000,
        })
    }
}

/// A sidecar's program, and the folders it would have in a pod.
pub(crate) struct Sidecar<'a> {
    world: &'a World<'a>,
    pub(crate) folder: PathBuf,
    pub(crate) config: String,
}

impl Sidecar<'_> {
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Starts it, and waits until the gate is open.
    pub(crate) fn start(&self) -> Result<Program> {
        let stage = self.world.rig.stage;
        let mut program = Program::start(stage, "sidecar", &self.log(), |program: &mut Command| {
            program
                .arg("run")
                .env("KEYSTEAD_CONFIG", &self.config)
                .env("KEYSTEAD_LOG", "debug")
                .env("KEYSTEAD_FILES_DIR", self.folder.join("files"))
                .env("KEYSTEAD_PRIVATE_DIR", self.folder.join("private"))
                .env("KEYSTEAD_TOKEN_DIR", self.folder.join("token"));
        })?;
        let before = program.log().matches("the secrets are there").count();
        wait::until("the sidecar has its secrets", PATIENCE, Some(&self.log()), || {
            program.check()?;
            Ok(program.log().matches("the secrets are there").count() > before || self.is_open())
        })?;
        Ok(program)
    }

    fn is_open(&self) -> bool {
        fs::read(self.folder.join("private/ready")).is_ok_and(|found| !found.is_empty())
    }

    /// User and password of a path, as the application has them now.
    pub(crate) fn user(&self, path: &str) -> Result<(String, String)> {
        user(&self.folder, path)
    }
}

/// The same, by the sidecar's folder.
pub(crate) fn user(folder: &Path, path: &str) -> Result<(String, String)> {
    let file = folder.join(format!("files/{path}.json"));
    let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    let found: Value = serde_json::from_str(&text)?;
    let text = |key: &str| {
        found[key]
            .as_str()
            .map(str::to_owned)
            .with_context(|| format!("no {key}"))
    };
    let (name, password) = (text("username")?, text("password")?);
    ensure!(
        text("url")?.contains(&format!("://{name}:")),
        "the URL is another user's"
    );
    Ok((name, password))
}
