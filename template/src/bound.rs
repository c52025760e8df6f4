//! What keeps a template small. The engine counts steps, and one step can make a text twice as long: so
//! whatever makes texts is looked at before it does, and all of them together have a bound.

use crate::LARGEST;
use crate::error::raise;
use minijinja::machinery::{Instruction, Instructions};
use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error};
use std::fmt::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that a template may make in all: its text, and everything on the way to it.
const MADE: usize = 16 * LARGEST;
/// What is said of one that makes more.
const TOO_MUCH: &str = "what it makes on the way is larger than 16 MiB in all";
/// What is said of one text, or list, that is larger than [`LARGEST`].
pub(crate) const TOO_LARGE: &str = "what it makes is larger than 1 MiB";
/// What an entry of a list takes besides its text.
const ENTRY: usize = size_of::<Value>();

/// Filters that no template can name. They answer what they are given.
const ONE: &str = "<one>";
const TWO: &str = "<two>";
const TIMES: &str = "<times>";
const RAW: &str = "<raw>";
/// How the engine marks a filter that it should not remember by number.
const UNNUMBERED: u8 = !0;

/// How much is left.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<AtomicUsize>);

impl Default for Budget {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(MADE)))
    }
}

impl Budget {
    /// Gives templates what [`guarded`] programs need.
    pub(crate) fn add(&self, environment: &mut Environment<'_>) {
        let budget = self.clone();
        environment.add_filter(ONE, move |value: &Value| {
            budget.take(size(value)?).map(|()| value.clone())
        });
        let budget = self.clone();
        environment.add_filter(TWO, move |left: &Value, right: &Value| {
            budget.take(size(left)?.saturating_add(size(right)?))?;
            Ok(Value::from(vec![left.clone(), right.clone()]))
        });
        let budget = self.clone();
        environment.add_filter(TIMES, move |left: &Value, right: &Value| {
            let (times, thing) = if left.is_number() {
                (left, right)
            } else {
                (right, left)
            };
            if !thing.is_number() {
                let times = times.as_usize().unwrap_or(1);
                budget.take(size(thing)?.saturating_mul(times))?;
            }
            Ok(Value::from(vec![left.clone(), right.clone()]))
        });
        let budget = self.clone();
        environment.add_filter(RAW, move |bytes: usize| budget.take(bytes).map(|()| bytes));
    }

    /// Takes so many bytes for one value, if they are left.
    fn take(&self, bytes: usize) -> Result<(), Error> {
        fits(bytes)?;
        let left = self.0.load(Ordering::Relaxed).checked_sub(bytes);
        let left = left.ok_or_else(|| raise(TOO_MUCH))?;
        self.0.store(left, Ordering::Relaxed);
        Ok(())
    }
}

/// What a value takes, or would as a text.
fn size(value: &Value) -> Result<usize, Error> {
    if let Some(text) = value.as_str() {
        return Ok(text.len());
    }
    if !matches!(
        value.kind(),
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map
    ) {
        return Ok(ENTRY);
    }
    let entries = value.len().unwrap_or_default().saturating_mul(ENTRY);
    // Lists in lists may be shared, and short for what they are as a text.
    Ok(entries.saturating_add(length(value)?))
}

/// Says of a text that is too long for any on the way that it is.
pub(crate) fn fits(bytes: usize) -> Result<(), Error> {
    if bytes > LARGEST {
        return Err(raise(TOO_LARGE));
    }
    Ok(())
}

/// How long a value is as a text.
pub(crate) fn length(value: &Value) -> Result<usize, Error> {
    let mut room = Room(LARGEST);
    write!(room, "{value}").map_err(|_| raise(TOO_LARGE))?;
    Ok(LARGEST - room.0)
}

/// Counts a text without keeping it, and ends it where it gets too long.
struct Room(usize);

impl Write for Room {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.checked_sub(text.len()).ok_or(fmt::Error)?;
        Ok(())
    }
}

/// The same program, with a look at the budget wherever something is made.
pub(crate) fn guarded<'s>(program: &Instructions<'s>) -> Instructions<'s> {
    let all = || (0..).map_while(|index| program.get(index));
    let mut starts = Vec::new();
    let mut next = 0_u32;
    for instruction in all() {
        starts.push(next);
        let (before, after) = guards(instruction);
        next += u32::try_from(before.len() + 1 + after.len()).unwrap_or(u32::MAX);
    }
    // Some go on at the end.
    starts.push(next);
    let mut guarded = Instructions::new(program.name(), program.source());
    for (index, instruction) in (0..).zip(all()) {
        let (before, after) = guards(instruction);
        let instruction = moved(instruction, &starts);
        for instruction in before.into_iter().chain([instruction]).chain(after) {
            match program.get_line(index).and_then(|line| u16::try_from(line).ok()) {
                Some(line) => guarded.add_with_line(instruction, line),
                None => guarded.add(instruction),
            };
        }
    }
    guarded
}

type Guards<'s> = (Vec<Instruction<'s>>, Vec<Instruction<'s>>);

/// What stands before and after an instruction.
fn guards<'s>(instruction: &Instruction<'s>) -> Guards<'s> {
    let filter = |name, count| Instruction::ApplyFilter(name, Some(count), UNNUMBERED);
    // The filter answers both operands as a list.
    let both = |name| vec![filter(name, 2), Instruction::UnpackList(2), Instruction::Swap];
    match instruction {
        Instruction::Add | Instruction::StringConcat => (both(TWO), vec![]),
        Instruction::Mul => (both(TIMES), vec![]),
        Instruction::Emit => (vec![filter(ONE, 1)], vec![]),
        Instruction::EmitRaw(text) => {
            let bytes = Instruction::LoadConst(Value::from(text.len()));
            (vec![bytes, filter(RAW, 1), Instruction::DiscardTop], vec![])
        }
        Instruction::ApplyFilter(..) | Instruction::Slice => (vec![], vec![filter(ONE, 1)]),
        _ => (vec![], vec![]),
    }
}

/// An instruction that goes on where its target has moved to.
fn moved<'s>(instruction: &Instruction<'s>, starts: &[u32]) -> Instruction<'s> {
    let to = |target: &u32| starts.get(*target as usize).copied().unwrap_or(u32::MAX);
    match instruction {
        Instruction::Iterate(target) => Instruction::Iterate(to(target)),
        Instruction::Jump(target) => Instruction::Jump(to(target)),
        Instruction::JumpIfFalse(target) => Instruction::JumpIfFalse(to(target)),
        Instruction::JumpIfFalseOrPop(target) => Instruction::JumpIfFalseOrPop(to(target)),
        Instruction::JumpIfTrueOrPop(target) => Instruction::JumpIfTrueOrPop(to(target)),
        other => other.clone(),
    }
}
