//! A person's way into a bed.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Bed;

/// Variables that would send a program's requests past the bed.
const PROXIES: [&str; 8] = [
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
];

/// Becomes a shell, or the given command, inside the bed. Returns only when that fails.
pub fn shell(name: &str, words: &[OsString]) -> Result<()> {
    let Some(bed) = Bed::load(name) else {
        bail!("there is no bed {name}: start it with `cargo e2e up`")
    };
    bed.enter()?;
    let mut command = if let [program, arguments @ ..] = words {
        let mut command = Command::new(program);
        command.args(arguments);
        command
    } else {
        crate::ui::note(format_args!(
            "In the bed {name}: kubectl, bao, helm and ctr are set up. `exit` leaves."
        ));
        let mut command = Command::new(env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into()));
        command.env("PS1", format!("({name}) \\w \\$ "));
        command
    };
    for name in PROXIES {
        command.env_remove(name);
    }
    let path = env::var("PATH").unwrap_or_default();
    command
        .env("PATH", format!("{}:{path}", bed.state.join("bin").display()))
        .envs(bed.variables());
    // `exec` looks the program up in this program's PATH unless it is told where it is.
    let own = words
        .first()
        .map(|word| bed.state.join("bin").join(word))
        .filter(|own| own.is_file());
    if let Some(own) = own {
        let mut exact = Command::new(own);
        exact.args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => exact.env(name, value),
                None => exact.env_remove(name),
            };
        }
        command = exact;
    }
    let program = command.get_program().to_owned();
    Err(command.exec()).with_context(|| format!("run {}", program.display()))
}
