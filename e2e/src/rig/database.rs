//! The bed's databases, as a test sees them: a database of its own, and logins.

use anyhow::{Context, Result, anyhow};
use std::process::Command;

use crate::bed::{Bed, Database};

/// The bed's PostgreSQL, with a database of the test's own.
pub(crate) struct Postgres<'a> {
    bed: &'a Bed,
    pub(crate) server: &'a Database,
    /// The test's database.
    pub(crate) database: String,
    /// The role that owns it and may make others.
    pub(crate) root: String,
}

/// The root's first password.
pub(crate) const FIRST: &str = "the-first-password";

impl<'a> Postgres<'a> {
    /// Makes the database `name`, its root with the password [`FIRST`], and a table `things` in it.
    pub(crate) fn new(bed: &'a Bed, name: &str) -> Result<Self> {
        let server = bed
            .postgres
            .as_ref()
            .context("this test needs the bed's PostgreSQL")?;
        let postgres = Self {
            bed,
            server,
            database: name.to_owned(),
            root: format!("{name}-root"),
        };
        let root = &postgres.root;
        for line in [
            format!("CREATE ROLE \"{root}\" LOGIN CREATEROLE PASSWORD '{FIRST}'"),
            format!("CREATE DATABASE \"{name}\" OWNER \"{root}\""),
        ] {
            postgres.administer("postgres", &line)?;
        }
        let table = format!(
            "SET ROLE \"{root}\"; CREATE TABLE things (name text); INSERT INTO things VALUES ('one')"
        );
        postgres.administer(name, &format!("GRANT CREATE ON SCHEMA public TO \"{root}\""))?;
        postgres.administer(name, &table)?;
        Ok(postgres)
    }

    /// What the administrator is answered in a database.
    pub(crate) fn administer(&self, database: &str, line: &str) -> Result<String> {
        let password = self.server.password()?;
        self.run(&self.server.user, &password, database, line)?
            .map_err(|words| anyhow!("{line}: {words}"))
    }

    /// What a user is answered in the test's database: an answer, or the server's refusal.
    pub(crate) fn login(&self, user: &str, password: &str, line: &str) -> Result<Result<String, String>> {
        self.run(user, password, &self.database, line)
    }

    fn run(&self, user: &str, password: &str, database: &str, line: &str) -> Result<Result<String, String>> {
        let mut command = self.bed.command("psql");
        command
            .args(["-h", &self.server.host, "-p", &self.server.port.to_string()])
            .args(["-U", user, "-d", database, "-v", "ON_ERROR_STOP=1", "-Atqc", line])
            .env("PGPASSWORD", password)
            .env("PGSSLMODE", "verify-full")
            .env("PGSSLROOTCERT", &self.server.ca);
        answer(&mut command)
    }
}

/// What a user of the bed's Redis is answered: an answer, or the server's refusal.
pub(crate) fn redis(bed: &Bed, user: &str, password: &str, words: &[&str]) -> Result<Result<String, String>> {
    let server = bed.redis.as_ref().context("this test needs the bed's Redis")?;
    let mut command = bed.command("redis-cli");
    command
        .args([
            "-h",
            &server.host,
            "-p",
            &server.port.to_string(),
            "--tls",
            "-e",
            "--cacert",
        ])
        .arg(&server.ca)
        .args(["--user", user, "--no-auth-warning"])
        .args(words)
        .env("REDISCLI_AUTH", password);
    answer(&mut command)
}

/// Makes a user of the bed's Redis who may make others, with the password [`FIRST`].
pub(crate) fn redis_root(bed: &Bed, name: &str) -> Result<()> {
    let server = bed.redis.as_ref().context("this test needs the bed's Redis")?;
    let given = format!(">{FIRST}");
    let entry = ["ACL", "SETUSER", name, "ON", &given, "~*", "&*", "+@all"];
    redis(bed, &server.user, &server.password()?, &entry)?
        .map(drop)
        .map_err(|words| anyhow!("{words}"))
}

fn answer(command: &mut Command) -> Result<Result<String, String>> {
    let output = command.output().context("start a database's client")?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    Ok(if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    })
}
