//! In every small world a token that logged in through a generated role may do what the model says, and
//! nothing else: `sys/capabilities` is asked about every path there could be. Then the world changes,
//! and the same token follows.
//!
//! `KEYSTEAD_SEED` repeats a run, `KEYSTEAD_WORLDS` says how many worlds it sees.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail, ensure};
use futures::future::try_join_all;
use keystead_vault::Client;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use tokio::runtime::Runtime;
use tokio::time::Instant;

use super::model::{self, Account, Grants};
use super::objects::{self, Wanted};
use super::paths;
use super::server::{self, Prepared, Server, Token};
use super::worlds::{ACCOUNTS, Declared, NODES, SPACES, Story, is_strange, stories};
use crate::rig::{self, Method};
use crate::stage::{PATIENCE, Stage};
use crate::{interrupt, ui};

const WORLDS: u32 = 300;
/// Smaller worlds to try when one fails.
const SHRINKS: u32 = 200;
const TOKENS: &str = "tokens";
const EXISTING: &str = "of existing paths";

pub(super) fn worlds(stage: &Stage) -> Result<()> {
    rig::run(stage, "acl-r", Method::Jwt, |rig| {
        let prepared = server::prepare(rig)?;
        let bed = stage.bed().context("this test needs a bed")?;
        rig::inside(bed, |inside| explore(&inside.runtime, inside.root, prepared))
    })
}

/// What was seen, by what it is.
#[derive(Default)]
struct Tally(RefCell<BTreeMap<&'static str, usize>>);

impl Tally {
    fn add(&self, what: &'static str, number: usize) {
        *self.0.borrow_mut().entry(what).or_default() += number;
    }

    fn sort(&self, grants: &BTreeMap<String, BTreeSet<String>>) {
        let sort = |path: &str| match path.split('/').collect::<Vec<_>>()[..] {
            ["kv", _, _, _, "company", ..] => "at companies",
            ["kv", _, _, _, "node", ..] => "at nodes",
            ["kv", ..] => "at global",
            ["auth", ..] => "of its own token",
            _ => EXISTING,
        };
        for path in grants.keys() {
            self.add(sort(path), 1);
        }
    }

    /// What was seen in a line. Worlds in which nothing is granted would prove nothing.
    fn close(&self, worlds: usize) -> Result<String> {
        let seen = self.0.borrow();
        let parts: Vec<String> = seen
            .iter()
            .map(|(what, number)| format!("{number} {what}"))
            .collect();
        let line = parts.join(", ");
        let enough = |what, least| seen.get(what).is_some_and(|number| *number >= least);
        let often = [TOKENS, "at companies", "at nodes", "at global"];
        ensure!(
            often.into_iter().all(|what| enough(what, worlds / 2)) && enough(EXISTING, worlds / 20),
            "too little: {line}"
        );
        Ok(line)
    }
}

fn explore(runtime: &Runtime, root: Client, prepared: Prepared) -> Result<()> {
    let server = runtime.block_on(Server::new(root, prepared))?;
    let millis = SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_nanos();
    let seed = number("KEYSTEAD_SEED")?.unwrap_or(millis);
    let cases = number("KEYSTEAD_WORLDS")?.unwrap_or(WORLDS);
    let config = Config {
        cases,
        max_shrink_iters: SHRINKS,
        failure_persistence: None,
        ..Config::default()
    };
    let seeds: Vec<u8> = seed.to_le_bytes().into_iter().cycle().take(32).collect();
    let tally = Tally::default();
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seeds));
    let result = runner.run(&stories(), |story| {
        let told = runtime.block_on(tell_through(&server, &story, &tally));
        told.map_err(|error| TestCaseError::fail(format!("{error:#}")))
    });
    result.map_err(|error| match error {
        TestError::Abort(why) => anyhow!("{why}"),
        TestError::Fail(why, story) => {
            anyhow!("{why}\nKEYSTEAD_SEED={seed}, the smallest world like it:\n{story:#?}")
        }
    })?;
    let summary = tally.close(usize::try_from(cases)?)?;
    ui::say(format_args!("{cases} worlds: {summary} (KEYSTEAD_SEED={seed})"));
    Ok(())
}

fn number(variable: &str) -> Result<Option<u32>> {
    let text = env::var(variable).ok();
    let number = text.map(|text| {
        text.parse()
            .with_context(|| format!("{variable}={text} is no number"))
    });
    number.transpose()
}

/// Tells a story again where the server was away for a moment, as on a machine with much else to do.
async fn tell_through(server: &Server, story: &Story, tally: &Tally) -> Result<()> {
    let start = Instant::now();
    loop {
        interrupt::check()?;
        match tell(server, story, tally).await {
            Err(error) if is_away(&error) && start.elapsed() < PATIENCE => {}
            told => return told,
        }
    }
}

fn is_away(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(keystead_vault::Error::Unreachable { .. })
    )
}

/// One world and what becomes of it. Nothing of it is left.
async fn tell(server: &Server, story: &Story, tally: &Tally) -> Result<()> {
    let told = chapters(server, story, tally).await;
    let accounts = accounts(story);
    let gone = Declared {
        providers: story.before.providers.clone(),
        ..Declared::default()
    };
    apply(server, &gone, &accounts).await?;
    told
}

async fn chapters(server: &Server, story: &Story, tally: &Tally) -> Result<()> {
    let (accounts, after) = (accounts(story), story.after());
    apply(server, &story.before, &accounts).await?;
    let real: Vec<&Account> = accounts
        .iter()
        .filter(|account| account.is_real(&story.before))
        .collect();
    let look = real
        .iter()
        .map(|account| first_look(server, story, account, tally));
    let tokens: Vec<Option<Token>> = try_join_all(look).await?;
    apply(server, &after, &accounts).await?;
    let tokens = real
        .iter()
        .zip(&tokens)
        .filter_map(|(account, token)| Some((*account, token.as_ref()?)));
    let look = tokens.map(|token| second_look(server, story, &after, token, tally));
    try_join_all(look).await?;
    Ok(())
}

/// Makes Vault have what the world gives these accounts, all at once.
async fn apply(server: &Server, declared: &Declared, accounts: &BTreeSet<Account>) -> Result<()> {
    let world = objects::world(declared, &server.run)?;
    let mut wanted = Vec::new();
    for account in accounts {
        let new = objects::wanted(&world, declared, &server.run, account);
        let strange = !account.is_real(declared) && !matches!(new, Wanted::Nothing);
        ensure!(
            !strange,
            "{account:?} can't be, and something is done in Vault by its name"
        );
        wanted.push(new);
    }
    try_join_all(wanted.iter().map(|wanted| server.apply(wanted))).await?;
    Ok(())
}

/// Logs in and asks about every path.
async fn first_look(
    server: &Server,
    story: &Story,
    account: &Account,
    tally: &Tally,
) -> Result<Option<Token>> {
    let (run, node) = (&server.run, NODES[story.node]);
    let (mount, role) = (
        run.mount(&story.before, account),
        run.role(&story.before, account),
    );
    let stranger = account.neighbour();
    ensure!(
        server.log_in(&stranger, mount, &role, node).await?.is_none(),
        "{stranger:?} can log in by the role of {account:?}"
    );
    let token = server.log_in(account, mount, &role, node).await?;
    match (
        &token,
        model::grants(&story.before, account, &run.id, &run.real(node)),
    ) {
        (Some(token), Some(grants)) => {
            let paths = paths::all(&story.before, run, account);
            let missed = grants.keys().find(|path| !paths.contains(path));
            ensure!(missed.is_none(), "the test does not ask about {missed:?}");
            compare(server, account, token, &grants, &paths, tally).await?;
            tally.add(TOKENS, 1);
        }
        (None, None) => {}
        (Some(_), None) => bail!("{account:?} can log in, and nothing is bound to it"),
        (None, Some(_)) => bail!("{account:?} can't log in"),
    }
    Ok(token)
}

/// Asks again, of a token that was there before the world changed.
async fn second_look(
    server: &Server,
    story: &Story,
    after: &Declared,
    (account, token): (&Account, &Token),
    tally: &Tally,
) -> Result<()> {
    let (run, node) = (&server.run, NODES[story.node]);
    let grants = model::grants(after, account, &run.id, &run.real(node));
    let paths = paths::few(story, after, run, account);
    let wanted = grants.as_ref().unwrap_or(const { &Grants::new() });
    let compared = compare(server, account, token, wanted, &paths, tally).await;
    compared.context("after a change, with the token of before")?;
    if grants.is_some() {
        return server.live_and_end(token).await;
    }
    server.end(token).await?;
    let (mount, role) = (run.mount(after, account), run.role(after, account));
    let again = server.log_in(account, mount, &role, node).await?;
    ensure!(
        again.is_none(),
        "{account:?} can still log in, and nothing is bound to it any more"
    );
    Ok(())
}

/// Holds that a token may do what is granted and nothing else.
async fn compare(
    server: &Server,
    account: &Account,
    token: &Token,
    grants: &Grants,
    paths: &[String],
    tally: &Tally,
) -> Result<()> {
    let found = server.capabilities(token, paths).await?;
    let none = BTreeSet::new();
    let mut wrong = Vec::new();
    for path in paths {
        // Asked about a folder, Vault speaks of the path without the slash. No read or write takes it so.
        let grant = grants.get(path.trim_end_matches('/'));
        let wanted: BTreeSet<String> = grant.map(ToString::to_string).into_iter().collect();
        let found = found.get(path).unwrap_or(&none);
        if *found != wanted {
            wrong.push(format!("{path}: expected {wanted:?}, found {found:?}"));
        }
    }
    tally.add("answers", paths.len());
    tally.sort(&found);
    ensure!(
        wrong.is_empty(),
        "{account:?} on {} paths of {}:\n{}",
        wrong.len(),
        paths.len(),
        wrong.join("\n")
    );
    Ok(())
}

/// The accounts that any binding names, before or after.
fn accounts(story: &Story) -> BTreeSet<Account> {
    let bindings = story.before.changing.bindings.iter().chain(&story.then.bindings);
    let accounts = bindings.flat_map(|binding| {
        let (provider, space) = (binding.provider, binding.space);
        binding.accounts.iter().map(move |name| Account {
            provider,
            space,
            name,
        })
    });
    accounts.collect()
}

impl Account {
    /// Whether there can be such an account; then the cluster has it.
    fn is_real(&self, declared: &Declared) -> bool {
        let provider = declared.providers.get(self.provider);
        provider.is_some_and(|provider| ![provider.name, self.space, self.name].into_iter().any(is_strange))
    }

    /// Another account that the cluster has.
    fn neighbour(&self) -> Self {
        let all: Vec<_> = SPACES
            .into_iter()
            .flat_map(|space| ACCOUNTS.map(|name| (space, name)))
            .collect();
        let mine = all
            .iter()
            .position(|other| *other == (self.space, self.name))
            .unwrap_or_default();
        let (space, name) = all[(mine + 1) % all.len()];
        Self {
            provider: self.provider,
            space,
            name,
        }
    }
}
