//! What the engine works out while it compiles: expressions of constants, which may be as large as they like
//! unless somebody looks before.

use crate::LARGEST;
use crate::bound::TOO_LARGE;
use crate::error::{Error, Why};
use minijinja::machinery::ast::{BinOpKind, CallArg, Expr, Stmt, UnaryOpKind};
use minijinja::value::Value;

/// Refuses a template whose constants would be larger, all together, than any text that it may make.
pub(crate) fn check(template: &Stmt<'_>) -> Result<(), Error> {
    Constants { left: LARGEST }.statement(template)
}

/// How large those that come may be.
struct Constants {
    left: usize,
}

/// What is known of one.
#[derive(Clone, Copy)]
enum Constant {
    Number(i128),
    /// A text or a list, and its size.
    Large(usize),
}

impl Constants {
    fn statement(&mut self, statement: &Stmt<'_>) -> Result<(), Error> {
        let (expressions, bodies) = parts(statement);
        for expression in expressions {
            self.known(expression)?;
        }
        bodies
            .into_iter()
            .flatten()
            .try_for_each(|inner| self.statement(inner))
    }

    /// What an expression is, if the engine works it out.
    fn known(&mut self, expression: &Expr<'_>) -> Result<Option<Constant>, Error> {
        let mut operands = Vec::new();
        for operand in self::operands(expression) {
            operands.push(self.known(operand)?);
        }
        let known = match (expression, &*operands) {
            (Expr::Const(constant), _) => Some(of(&constant.value)),
            (Expr::UnaryOp(operation), [Some(Constant::Number(number))]) => Some(match operation.op {
                UnaryOpKind::Neg => Constant::Number(number.saturating_neg()),
                UnaryOpKind::Not => Constant::Number(1),
            }),
            (Expr::BinOp(operation), [Some(left), Some(right)]) => {
                Some(together(operation.op, *left, *right))
            }
            (Expr::Compare(_), _) => Some(Constant::Number(1)),
            (Expr::List(_) | Expr::Tuple(_), items) => list(items),
            _ => None,
        };
        if let (Expr::BinOp(_), Some(Constant::Large(size))) = (expression, known) {
            self.left = self.left.checked_sub(size).ok_or_else(|| Error {
                line: Some(usize::from(expression.span().start_line)),
                why: Why::Other(TOO_LARGE),
            })?;
        }
        Ok(known)
    }
}

fn of(value: &Value) -> Constant {
    match (value.as_str(), i128::try_from(value.clone())) {
        (Some(text), _) => Constant::Large(text.len()),
        (None, Ok(number)) => Constant::Number(number),
        // A fraction, true, false or none.
        (None, Err(_)) => Constant::Large(size_of::<Value>()),
    }
}

/// What an operation makes of two constants.
fn together(operation: BinOpKind, left: Constant, right: Constant) -> Constant {
    use Constant::{Large, Number};
    let number = |number: Option<i128>| Number(number.unwrap_or(i128::MAX));
    match (operation, left, right) {
        (BinOpKind::Mul, Number(left), Number(right)) => number(left.checked_mul(right)),
        (BinOpKind::Mul, Large(size), Number(times)) | (BinOpKind::Mul, Number(times), Large(size)) => {
            Large(size.saturating_mul(usize::try_from(times.max(0)).unwrap_or(usize::MAX)))
        }
        (BinOpKind::Add, Number(left), Number(right)) => number(left.checked_add(right)),
        (BinOpKind::Sub, Number(left), Number(right)) => number(left.checked_sub(right)),
        (BinOpKind::FloorDiv, Number(left), Number(right)) => number(left.checked_div_euclid(right)),
        (BinOpKind::Rem, Number(left), Number(right)) => number(left.checked_rem_euclid(right)),
        (BinOpKind::Pow, Number(left), Number(right)) => number(
            u32::try_from(right)
                .ok()
                .and_then(|right| left.checked_pow(right)),
        ),
        (_, Number(left), Number(right)) => Number(left.max(right).max(1)),
        // It has no size yet: a number may come of what looks like a text, and the other way about.
        (BinOpKind::Mul, Large(_), Large(_)) => Large(usize::MAX),
        (_, left, right) => Large(left.size().saturating_add(right.size())),
    }
}

impl Constant {
    /// How large it is, as a text.
    const fn size(self) -> usize {
        match self {
            Self::Number(_) => 40,
            Self::Large(size) => size,
        }
    }
}

/// Nothing is known of a list with something unknown in it.
fn list(items: &[Option<Constant>]) -> Option<Constant> {
    let sizes = items
        .iter()
        .map(|item| Some(item.as_ref()?.size() + size_of::<Value>()));
    sizes.sum::<Option<usize>>().map(Constant::Large)
}

type Parts<'a, 's> = (Vec<&'a Expr<'s>>, Vec<&'a [Stmt<'s>]>);

/// The expressions and the bodies of a statement.
fn parts<'a, 's>(statement: &'a Stmt<'s>) -> Parts<'a, 's> {
    match statement {
        Stmt::Template(template) => (vec![], vec![&template.children]),
        Stmt::EmitExpr(emit) => (vec![&emit.expr], vec![]),
        Stmt::EmitRaw(_) => (vec![], vec![]),
        Stmt::ForLoop(each) => (
            [&each.iter].into_iter().chain(&each.filter_expr).collect(),
            vec![&each.body, &each.else_body],
        ),
        Stmt::IfCond(condition) => (
            vec![&condition.expr],
            vec![&condition.true_body, &condition.false_body],
        ),
        Stmt::WithBlock(with) => (
            with.assignments.iter().map(|(_, value)| value).collect(),
            vec![&with.body],
        ),
        Stmt::Set(set) => (vec![&set.expr], vec![]),
        Stmt::SetBlock(set) => (set.filter.iter().collect(), vec![&set.body]),
        Stmt::AutoEscape(escape) => (vec![&escape.enabled], vec![&escape.body]),
        Stmt::FilterBlock(block) => (vec![&block.filter], vec![&block.body]),
        Stmt::Do(call) => (arguments(&call.call.args), vec![]),
    }
}

/// What an expression is made of.
fn operands<'a, 's>(expression: &'a Expr<'s>) -> Vec<&'a Expr<'s>> {
    let with = |first: &'a Expr<'s>, more: &mut dyn Iterator<Item = &'a Expr<'s>>| {
        std::iter::once(first).chain(more).collect()
    };
    match expression {
        Expr::Var(_) | Expr::Const(_) => vec![],
        Expr::Slice(slice) => with(
            &slice.expr,
            &mut slice.start.iter().chain(&slice.stop).chain(&slice.step),
        ),
        Expr::UnaryOp(operation) => vec![&operation.expr],
        Expr::BinOp(operation) => vec![&operation.left, &operation.right],
        Expr::Compare(compare) => with(&compare.expr, &mut compare.ops.iter().map(|next| &next.expr)),
        Expr::IfExpr(choice) => {
            let both = [&choice.true_expr].into_iter();
            with(&choice.test_expr, &mut both.chain(&choice.false_expr))
        }
        Expr::Filter(filter) => filter.expr.iter().chain(arguments(&filter.args)).collect(),
        Expr::Test(test) => with(&test.expr, &mut arguments(&test.args).into_iter()),
        Expr::GetAttr(attribute) => vec![&attribute.expr],
        Expr::GetItem(item) => vec![&item.expr, &item.subscript_expr],
        Expr::Call(call) => with(&call.expr, &mut arguments(&call.args).into_iter()),
        Expr::List(list) => list.items.iter().collect(),
        Expr::Tuple(tuple) => tuple.items.iter().collect(),
        Expr::Map(map) => map.keys.iter().chain(&map.values).collect(),
    }
}

fn arguments<'a, 's>(arguments: &'a [CallArg<'s>]) -> Vec<&'a Expr<'s>> {
    let value = |argument: &'a CallArg<'s>| match argument {
        CallArg::Pos(value)
        | CallArg::Kwarg(_, value)
        | CallArg::PosSplat(value)
        | CallArg::KwargSplat(value) => value,
    };
    arguments.iter().map(value).collect()
}
