//! Sidecars and credentials that go without a word.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::rig::leases::{Life, Sidecar, World, run};
use crate::stage::{PATIENCE, Stage};
use crate::wait;

const PATH: &str = "creds/hour";
/// How soon it shows that a credential is gone.
const NOTICED: Duration = Duration::from_secs(30);

pub(super) fn killed(stage: &Stage) -> Result<()> {
    run(stage, "killed", &[hour()], |world| {
        let sidecar = world.sidecar("pod", &[PATH])?;
        let mut program = sidecar.start()?;
        let first = sidecar.user(PATH)?;
        works(world, &first)?;
        for _ in 0..20 {
            program.kill()?;
            program = sidecar.start()?;
            ensure!(sidecar.user(PATH)? == first, "it has another user");
        }
        ensure!(world.users()? == [first.0.clone()], "{:?}", world.users()?);
        works(world, &first)?;
        program.stop()?;
        // Vault takes its users away before it answers.
        ensure!(world.users()?.is_empty(), "{:?}", world.users()?);
        let log = program.log();
        ensure!(!log.contains(&first.1), "the password is in the log");
        Ok(())
    })
}

pub(super) fn noticed(stage: &Stage) -> Result<()> {
    run(stage, "noticed", &[hour()], |world| {
        let sidecar = world.sidecar("pod", &[PATH])?;
        let mut program = sidecar.start()?;
        let first = sidecar.user(PATH)?;
        world
            .server
            .ask("bao lease revoke -sync -prefix database/creds/hour")?;
        let second = another(world, &sidecar, &first)?;
        let dropped = format!("DROP ROLE \"{}\"", second.0);
        world.postgres.administer("postgres", &dropped)?;
        let third = another(world, &sidecar, &second)?;
        program.stop()?;
        ensure!(world.users()?.is_empty(), "{:?}", world.users()?);
        ensure!(!program.log().contains(&third.1), "the password is in the log");
        Ok(())
    })
}

fn hour() -> Life {
    Life {
        name: "hour".to_owned(),
        first: 3600,
        longest: 86_400,
    }
}

/// Waits for a user that is another and works; answers it.
fn another(world: &World<'_>, sidecar: &Sidecar<'_>, old: &(String, String)) -> Result<(String, String)> {
    let mut found = old.clone();
    wait::until("another user is there", NOTICED, Some(&sidecar.log()), || {
        found = sidecar.user(PATH)?;
        Ok(found != *old)
    })?;
    works(world, &found)?;
    wait::until("the old one is gone", PATIENCE, Some(&sidecar.log()), || {
        Ok(world.users()? == [found.0.clone()])
    })?;
    Ok(found)
}

fn works(world: &World<'_>, (name, password): &(String, String)) -> Result<()> {
    let answer = world.postgres.login(name, password, "SELECT 1")?;
    ensure!(answer == Ok("1".to_owned()), "{name} can't log in: {answer:?}");
    Ok(())
}
