//! What a condition costs at the most, read off its parsed form before it is evaluated for the first time.
//!
//! Whoever may write an AnalysisTemplate writes a program that runs in the operator, beside everybody else's releases. CEL
//! always comes to an end, but loops inside loops, and lists or texts that are built in them, take any time and any memory.
//! The interpreter can be given no limit, so that its work is bounded here: for every part of the expression, how large
//! its value and how many steps it takes can be, with loops counted as often as they can run. The bounds are never too
//! low; where they are too high, a condition is refused that can be written in a simpler way.

use std::collections::BTreeMap;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, SelectExpr, operators};

/// Steps that one evaluation may take: about ten milliseconds.
const MOST_STEPS: u64 = 100_000;
/// Values that one evaluation may hold at the same time, of some 50 bytes each.
const MOST_CELLS: u64 = 100_000;
/// Bytes of a text that take as much room as a value.
const BYTES: u64 = 32;

/// What gives one small value, however large what it is given.
const SCALAR: [&str; 12] = [
    "isNaN",
    "isInf",
    "default",
    "double",
    "int",
    "uint",
    "bool",
    "type",
    "contains",
    "startsWith",
    "endsWith",
    "hasValue",
];

/// Names that stand for types.
const TYPES: [&str; 11] =
    ["bool", "bytes", "double", "dyn", "int", "list", "map", "null_type", "string", "type", "uint"];

/// Steps that one evaluation takes at the most, with `samples` samples.
///
/// # Errors
/// What is wrong with the condition, as the end of a sentence: it may take too long or too much memory, or names what there
/// is not.
pub(super) fn steps(expression: &IdedExpr, samples: u64, args: &BTreeMap<String, String>) -> Result<u64, String> {
    let mut meter = Meter { args, samples, scope: Vec::new(), optional: Vec::new(), steps: 0, cells: 0 };
    meter.measure(expression)?;
    let Meter { steps, cells, .. } = meter;
    if steps > MOST_STEPS || cells > MOST_CELLS {
        return Err(format!(
            "takes too much with {samples} samples (up to {steps} steps with {cells} values, {MOST_STEPS} with \
             {MOST_CELLS} are allowed): take loops over result out of other loops, and build no lists or texts in them"
        ));
    }
    Ok(steps)
}

/// How large a value can be.
#[derive(Clone, Debug, PartialEq)]
enum Shape {
    /// A number, a text or the like, as large as so many numbers.
    Cell(u64),
    /// So many elements, each no larger than this; a map's keys and values.
    List(u64, Box<Shape>),
}

impl Shape {
    const ONE: Self = Self::Cell(1);

    fn text(bytes: usize) -> Self {
        Self::Cell(1 + u64::try_from(bytes).unwrap_or(u64::MAX) / BYTES)
    }

    fn list(length: u64, of: Self) -> Self {
        Self::List(length, Box::new(of))
    }

    fn cells(&self) -> u64 {
        match self {
            Self::Cell(cells) => *cells,
            Self::List(length, of) => length.saturating_mul(of.cells()).saturating_add(1),
        }
    }

    fn length(&self) -> u64 {
        match self {
            Self::Cell(_) => 1,
            Self::List(length, _) => *length,
        }
    }

    fn element(self) -> Self {
        match self {
            Self::Cell(cells) => Self::Cell(cells),
            Self::List(_, of) => *of,
        }
    }

    /// As large as either can be.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Cell(a), Self::Cell(b)) => Self::Cell(a.max(b)),
            (Self::List(a, of), Self::List(b, other)) => Self::list(a.max(b), of.or(*other)),
            (Self::List(length, of), cell) | (cell, Self::List(length, of)) => Self::list(length.max(1), of.or(cell)),
        }
    }

    /// Both, one behind the other.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Cell(a), Self::Cell(b)) => Self::Cell(a.saturating_add(b)),
            (a, b) => Self::list(a.length().saturating_add(b.length()), a.element().or(b.element())),
        }
    }
}

/// What has been counted so far.
struct Meter<'a> {
    args: &'a BTreeMap<String, String>,
    samples: u64,
    /// Variables of the loops around, the innermost last.
    scope: Vec<(&'a str, Shape)>,
    /// Arguments that the condition asks for with `has`.
    optional: Vec<&'a str>,
    steps: u64,
    cells: u64,
}

impl<'a> Meter<'a> {
    /// The largest value of an expression, whose cost is added.
    fn measure(&mut self, expression: &'a IdedExpr) -> Result<Shape, String> {
        self.steps = self.steps.saturating_add(1);
        match &expression.expr {
            Expr::Literal(literal) => Ok(match literal {
                LiteralValue::String(text) => Shape::text(text.inner().len()),
                LiteralValue::Bytes(bytes) => Shape::text(bytes.inner().len()),
                _ => Shape::ONE,
            }),
            Expr::Ident(name) => self.variable(name),
            Expr::Select(select) => self.field(select),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => self.built(&list.elements.iter().collect::<Vec<_>>()),
            Expr::Map(map) => {
                let parts = map.entries.iter().flat_map(|entry| match &entry.expr {
                    EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
                    EntryExpr::StructField(field) => vec![&field.value],
                });
                self.built(&parts.collect::<Vec<_>>())
            }
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Struct(it) => Err(format!("names {}, which is not known here", it.type_name)),
            Expr::Unspecified => Err("has a part that is missing".to_owned()),
        }
    }

    fn variable(&self, name: &str) -> Result<Shape, String> {
        if let Some((_, shape)) = self.scope.iter().rev().find(|(known, _)| *known == name) {
            return Ok(shape.clone());
        }
        match name {
            "value" => Ok(Shape::ONE),
            "result" => Ok(Shape::list(self.samples, Shape::ONE)),
            "args" => {
                let texts = self.args.iter().flat_map(|(name, value)| [name.len(), value.len()]);
                let length = u64::try_from(self.args.len()).unwrap_or(u64::MAX);
                Ok(Shape::list(length.saturating_mul(2), Shape::text(texts.max().unwrap_or(0))))
            }
            name if TYPES.contains(&name) => Ok(Shape::ONE),
            name => Err(format!("names {name}, which is not known here; known are value, result and args")),
        }
    }

    fn field(&mut self, select: &'a SelectExpr) -> Result<Shape, String> {
        let of_args = matches!(&select.operand.expr, Expr::Ident(name) if name == "args")
            && !self.scope.iter().any(|(name, _)| *name == "args");
        if of_args && select.test {
            self.optional.push(&select.field);
        } else if of_args {
            return match self.args.get(&select.field) {
                Some(value) => Ok(Shape::text(value.len())),
                None if self.optional.contains(&select.field.as_str()) => Ok(Shape::ONE),
                None => Err(self.not_given(&select.field)),
            };
        }
        let operand = self.measure(&select.operand)?;
        Ok(if select.test { Shape::ONE } else { operand.element() })
    }

    fn not_given(&self, name: &str) -> String {
        let given: Vec<_> = self.args.keys().map(String::as_str).collect();
        let given = if given.is_empty() { "none".to_owned() } else { given.join(", ") };
        format!("names args.{name}, which is not given; given are {given}")
    }

    fn call(&mut self, call: &'a CallExpr) -> Result<Shape, String> {
        // The target of optional.of(...) is a name and no value.
        let target = call.target.as_deref().filter(|it| !matches!(&it.expr, Expr::Ident(name) if name == "optional"));
        let operands =
            target.into_iter().chain(&call.args).map(|it| self.measure(it)).collect::<Result<Vec<_>, _>>()?;
        let cells = operands.iter().fold(0_u64, |sum, it| sum.saturating_add(it.cells()));
        match (call.func_name.as_str(), operands.as_slice()) {
            (operators::CONDITIONAL, [_, then, otherwise]) => Ok(then.clone().or(otherwise.clone())),
            (operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT | "size" | "len", _) => {
                Ok(Shape::ONE)
            }
            (operators::INDEX, [of, _]) => {
                // One that fits no element fails with words about the whole list.
                self.steps = self.steps.saturating_add(if has_whole_index(call) { 0 } else { cells });
                Ok(of.clone().element())
            }
            (operators::ADD, [left, right]) => Ok(self.keep(left.clone().and(right.clone()))),
            (name, _) if SCALAR.contains(&name) || is_operator(name) => {
                self.steps = self.steps.saturating_add(cells);
                self.cells = self.cells.saturating_add(if is_operator(name) { 0 } else { cells });
                Ok(Shape::ONE)
            }
            _ => {
                let largest = operands.into_iter().fold(Shape::Cell(2), Shape::or);
                Ok(self.keep(largest))
            }
        }
    }

    /// A list of these.
    fn built(&mut self, parts: &[&'a IdedExpr]) -> Result<Shape, String> {
        let mut of = Shape::ONE;
        for part in parts {
            of = of.or(self.measure(part)?);
        }
        Ok(self.keep(Shape::list(u64::try_from(parts.len()).unwrap_or(u64::MAX), of)))
    }

    /// A value that is made and held.
    fn keep(&mut self, shape: Shape) -> Shape {
        self.steps = self.steps.saturating_add(shape.cells());
        self.cells = self.cells.saturating_add(shape.cells());
        shape
    }

    fn comprehension(&mut self, it: &'a ComprehensionExpr) -> Result<Shape, String> {
        let range = self.measure(&it.iter_range)?;
        let (times, element) = (range.length(), range.element());
        let start = self.measure(&it.accu_init)?;
        let (steps, depth) = (self.steps, self.scope.len());
        // What map and filter collect is counted as a whole behind the loop.
        let collects = matches!(start, Shape::List(..));
        self.scope.push((&it.accu_var, if collects { Shape::list(0, Shape::ONE) } else { start }));
        self.scope.push((&it.iter_var, element.clone()));
        self.measure(&it.loop_cond)?;
        let step = self.measure(&it.loop_step)?;
        let once = (self.steps - steps).saturating_add(element.cells());
        self.steps = steps.saturating_add(once.saturating_mul(times.max(1)));
        let collected = if collects {
            self.keep(Shape::list(times.saturating_mul(step.length().max(1)), step.element()))
        } else {
            Shape::ONE
        };
        self.scope.truncate(depth);
        self.scope.push((&it.accu_var, collected));
        let result = self.measure(&it.result);
        self.scope.truncate(depth);
        result
    }
}

fn has_whole_index(call: &CallExpr) -> bool {
    matches!(call.args.last().map(|it| &it.expr), Some(Expr::Literal(LiteralValue::Int(_) | LiteralValue::UInt(_))))
}

/// Operators that compare or compute and give one small value.
fn is_operator(name: &str) -> bool {
    name.starts_with('_') || name.starts_with('@') || name == operators::NEGATE
}

#[cfg(test)]
mod tests {
    use cel::{Context, Program, Value};
    use proptest::prelude::*;

    use super::*;

    fn args() -> BTreeMap<String, String> {
        [("x".to_owned(), "y".repeat(1024)), ("threshold".to_owned(), "0.99".to_owned())].into()
    }

    fn verdict(source: &str) -> Result<(), String> {
        steps(Program::compile(source).unwrap().expression(), 1000, &args()).map(drop)
    }

    #[test]
    fn what_people_write_is_accepted() {
        for source in [
            "value >= double(args.threshold)",
            "result.all(v, v < double(args.threshold))",
            "result.filter(v, v > 0.0).all(v, v < 2.0)",
            "result.filter(v, !isInf(v)).map(v, v * 100.0).exists(v, v > 99.0 || v < 1.0)",
            "result.filter(v, v > 0.9).size() * 2 >= size(result)",
            "result.all(v, v < 2.0 * result[0] && v > 0.5 * result[1])",
            "result.all(v, v < 1.0 / double(size(result)))",
            "result.all(v, v < 1.0 / double(len(result)))",
            "[0.5, 0.9, 0.99].exists(limit, result.all(v, v > limit))",
            "result.all(v, v in [0.0, 1.0])",
            "args.x + args.threshold != ''",
        ] {
            assert_eq!(verdict(source), Ok(()), "{source}");
        }
    }

    /// Each took seconds, gigabytes, or longer than anybody waits.
    #[test]
    fn what_takes_long_or_much_is_refused_before_it_is_evaluated() {
        let ten = "[1,1,1,1,1,1,1,1,1,1]";
        let nested = |of: &str, name: &str, depth: usize| {
            (0..depth).fold("1 < 2".to_owned(), |inner, _| format!("{of}.{name} (x, {inner})"))
        };
        for source in [
            nested(ten, "all", 12),
            nested(ten, "exists_one", 12),
            nested(ten, "existsOne", 12),
            nested(ten, "exists", 12),
            nested(ten, "filter", 12).replace("1 < 2", "true") + " == []",
            nested("result", "all", 2),
            nested("result", "existsOne", 3),
            format!("result.map(a, result.map(b, [{}])) == []", ["b"; 470].join(",")),
            format!("result.map(a, [{}]) == []", ["a"; 480].join(",")),
            "result.map(a, result) == []".to_owned(),
            "result.map(a, args) == []".to_owned(),
            "result.map(a, {'a': result}) == []".to_owned(),
            format!("result.map(a, {}) == []", ["args.x"; 100].join("+")),
            format!("{} == []", ["result"; 140].join("+")),
            format!("result.all(a, {} > 1)", ["size(result + result)"; 40].join("+")),
            format!("result.all(a, {})", ["a in result"; 60].join("||")),
            format!("result.all(a, {})", ["result[0.5] > 1.0"; 45].join("||")),
            format!("result.all(a, {})", ["result == result"; 45].join("&&")),
            "result.filter(a, result.exists(b, b > a)).size() > 3".to_owned(),
            "result.map(a, result).exists(l, l.all(x, x > 0.0))".to_owned(),
            "result.all // in a comment\n (a, result.all(b, b > 0.0))".to_owned(),
        ] {
            assert!(verdict(&source).is_err_and(|error| error.starts_with("takes too much")), "{source}");
        }
    }

    #[test]
    fn what_is_written_in_a_text_is_no_loop() {
        assert_eq!(
            verdict("result.all(v, v > 0.0) || 'result.all(a, result.all(b, result.all(c, true)))' == ''"),
            Ok(())
        );
    }

    /// So large a value really is.
    fn cells(value: &Value) -> u64 {
        match value {
            Value::String(text) => Shape::text(text.len()).cells(),
            Value::Bytes(bytes) => Shape::text(bytes.len()).cells(),
            Value::List(list) => 1 + list.iter().map(cells).sum::<u64>(),
            Value::Map(map) => 1 + map.map.values().map(|value| 1 + cells(value)).sum::<u64>(),
            _ => 1,
        }
    }

    fn expressions() -> impl Strategy<Value = String> {
        let leaf = prop::sample::select(vec!["result", "value", "1.5", "'abc'", "args.x", "args", "v", "[]", "b'ab'"]);
        leaf.prop_map(str::to_owned).prop_recursive(5, 24, 3, |inner| {
            let two = || (inner.clone(), inner.clone());
            prop_oneof![
                two().prop_map(|(a, b)| format!("({a} + {b})")),
                two().prop_map(|(a, b)| format!("[{a}, {b}]")),
                two().prop_map(|(a, b)| format!("{{'k': {a}, 'l': {b}}}")),
                two().prop_map(|(a, b)| format!("(size(result) > 1 ? {a} : {b})")),
                two().prop_map(|(a, b)| format!("{a}.map(v, {b})")),
                two().prop_map(|(a, b)| format!("{a}.map(v, size(result) > 1, {b})")),
                inner.clone().prop_map(|a| format!("{a}.filter(v, true)")),
                inner.clone().prop_map(|a| format!("{a}[0]")),
                inner.clone().prop_map(|a| format!("string({a})")),
                inner.clone().prop_map(|a| format!("dyn({a})")),
                inner.prop_map(|a| format!("optional.of({a}).value()")),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_value_is_larger_than_it_was_said_to_be(source in expressions(), samples in 1..4_usize) {
            let program = Program::compile(&source).unwrap();
            let args = args();
            let mut meter =
                Meter { args: &args, samples: samples as u64, scope: Vec::new(), optional: Vec::new(), steps: 0, cells: 0 };
            let Ok(shape) = meter.measure(program.expression()) else { return Ok(()) };
            prop_assume!(meter.steps < MOST_STEPS);
            let mut context = Context::default();
            context.add_variable("result", vec![1.0; samples]).unwrap();
            context.add_variable("value", 1.0).unwrap();
            let args: std::collections::HashMap<_, _> = args.clone().into_iter().collect();
            context.add_variable("args", args).unwrap();
            if let Ok(value) = program.execute(&context) {
                prop_assert!(cells(&value) <= shape.cells(), "{source}: {} > {shape:?}", cells(&value));
            }
        }
    }
}
