//! Logins with what is in the files, all the time.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, bail, ensure};
use tokio::time::Instant;

use crate::rig::database::Postgres;
use crate::rig::leases::{Life, Sidecar, World, run, user};
use crate::rig::program::Program;
use crate::stage::Stage;
use crate::ui::note;
use crate::wait;

/// A login each.
const EVERY: Duration = Duration::from_millis(50);
/// Of each sort.
const ROTATIONS: usize = 10;
/// A static user's new password is in the file after this time at the latest.
const STALE: Duration = Duration::from_secs(1);
const STATIC: &str = "static-creds/fixed";
/// Of the users of a server in trouble, at most.
const LIFE: Duration = Duration::from_secs(75);
/// Until all rotations are seen.
const LONG: Duration = Duration::from_mins(5);

/// What logins have shown.
#[derive(Default)]
struct Seen {
    logins: usize,
    /// Users, and passwords of the static one.
    dynamic: BTreeSet<String>,
    passwords: BTreeSet<String>,
    /// Of a static user: since when logins fail, and for how long they did at most.
    failing: Option<Instant>,
    longest: Duration,
}

pub(super) fn undisturbed(stage: &Stage) -> Result<()> {
    let role = Life {
        name: "short".to_owned(),
        first: 12,
        longest: 12,
    };
    run(stage, "logins", &[role], |world| {
        let sidecars = [world.sidecar("pod", &["creds/short", STATIC])?];
        let programs = vec![sidecars[0].start()?];
        let seen = log_in(world, &sidecars, "creds/short", || Ok(()))?;
        ended(programs, &seen)?;
        ensure!(world.users()?.is_empty(), "{:?}", world.users()?);
        Ok(())
    })
}

pub(super) fn disturbed(stage: &Stage) -> Result<()> {
    // A third of its life is longer than the pause.
    let role = Life {
        name: "minute".to_owned(),
        first: LIFE.as_secs(),
        longest: LIFE.as_secs(),
    };
    run(stage, "troubled", &[role], |world| {
        let paths = ["creds/minute", STATIC];
        let names = ["one", "two", "three", "four", "five"];
        let sidecars: Result<Vec<Sidecar<'_>>> =
            names.iter().map(|name| world.sidecar(name, &paths)).collect();
        let (sidecars, mut programs) = (sidecars?, Vec::new());
        for sidecar in &sidecars {
            programs.push(sidecar.start()?);
            // They come one after another, so that some need another user while the server is paused.
            thread::sleep(Duration::from_secs(6));
        }
        let seen = log_in(world, &sidecars, "creds/minute", || {
            thread::sleep(Duration::from_secs(22));
            world.server.pause(Duration::from_secs(20))?;
            thread::sleep(Duration::from_secs(15));
            world.server.restart()
        })?;
        ended(programs, &seen)?;
        // One that the server made for nobody, because it was paused or ended meanwhile, goes with its lease.
        wait::until("all users have gone", LIFE, None, || {
            Ok(world.users()?.is_empty())
        })
    })
}

/// Logs in all the time, as one user and another, until enough rotations of both sorts are seen and what is
/// done `meanwhile` is over.
fn log_in(
    world: &World<'_>,
    sidecars: &[Sidecar<'_>],
    dynamic: &str,
    meanwhile: impl FnOnce() -> Result<()>,
) -> Result<Seen> {
    let (seen, over) = (Mutex::new(Seen::default()), AtomicBool::new(false));
    let folders: Vec<&Path> = sidecars.iter().map(|sidecar| &*sidecar.folder).collect();
    let (postgres, wanted) = (&world.postgres, (folders.len() + ROTATIONS, 1 + ROTATIONS));
    thread::scope(|scope| {
        let logins = scope.spawn(|| {
            for tick in 0.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let begun = Instant::now();
                let folder = folders[tick / 2 % folders.len()];
                let path = if tick % 2 == 0 { dynamic } else { STATIC };
                try_one(postgres, folder, path, &seen)?;
                thread::sleep(EVERY.saturating_sub(begun.elapsed()));
            }
            anyhow::Ok(())
        });
        let outcome = meanwhile().and_then(|()| {
            wait::until("all rotations are seen", LONG, Some(&sidecars[0].log()), || {
                ensure!(!logins.is_finished(), "logins have ended");
                let seen = lock(&seen);
                Ok(seen.dynamic.len() >= wanted.0 && seen.passwords.len() >= wanted.1)
            })
        });
        over.store(true, Ordering::Relaxed);
        let logins = logins.join().map_err(|_| anyhow!("who logs in has died"))?;
        logins.and(outcome)
    })?;
    Ok(seen.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// One login with what is in the file. A dynamic user's works; a static one's may fail while its password changes.
fn try_one(postgres: &Postgres<'_>, folder: &Path, path: &str, seen: &Mutex<Seen>) -> Result<()> {
    let (name, password) = user(folder, path)?;
    let answer = postgres.login(&name, &password, "SELECT 1")?;
    let mut seen = lock(seen);
    seen.logins += 1;
    let now = Instant::now();
    match (path == STATIC, answer) {
        (false, Ok(_)) => drop(seen.dynamic.insert(name)),
        (false, Err(words)) => {
            let at = folder.display();
            bail!("login {} of {at} as {name} failed: {words}", seen.logins)
        }
        (true, Ok(_)) => {
            seen.passwords.insert(password);
            seen.failing = None;
        }
        (true, Err(_)) => {
            let failed = now - *seen.failing.get_or_insert(now);
            seen.longest = seen.longest.max(failed);
            ensure!(
                failed <= STALE,
                "logins of the static user have failed for {failed:?}"
            );
        }
    }
    Ok(())
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the sidecars, and says what was seen.
fn ended(programs: Vec<Program>, seen: &Seen) -> Result<()> {
    for mut program in programs {
        program.stop()?;
    }
    note(format_args!(
        "{} logins, {} users, {} static passwords; a static login failed for {} ms at most",
        seen.logins,
        seen.dynamic.len(),
        seen.passwords.len(),
        seen.longest.as_millis()
    ));
    Ok(())
}
