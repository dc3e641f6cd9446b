//! Whether a condition asks for an answer without a number.
//!
//! In other tools "no traffic is fine" is written into the condition: `isNaN(result[0]) || result[0] >= 0.99`. Here such an
//! answer never gets to the condition (`onNoData` says what it means), so that this would be a promise that is not kept.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, operators};

/// How it asks, if it does. `len(result) > 1` and `isInf(...)` do not: these are questions about numbers.
pub(super) fn asked(expression: &IdedExpr) -> Option<&'static str> {
    let own = if let Expr::Call(call) = &expression.expr { asks(call) } else { None };
    own.or_else(|| parts(expression).into_iter().find_map(asked))
}

fn asks(call: &CallExpr) -> Option<&'static str> {
    match (call.func_name.as_str(), call.args.first()) {
        ("isNaN", Some(of)) if is_sample(of) => return Some("isNaN(...)"),
        ("default", Some(of)) if is_result(of) => return Some("default(...)"),
        _ => {}
    }
    let [left, right] = call.args.as_slice() else { return None };
    if let (Expr::Ident(left), Expr::Ident(right)) = (&left.expr, &right.expr)
        && left == right
        && is_equality(&call.func_name)
    {
        return Some("a number that is not equal to itself");
    }
    let empty_list = |it: &IdedExpr| matches!(&it.expr, Expr::List(list) if list.elements.is_empty());
    let compared = is_result(left) && empty_list(right) || is_result(right) && empty_list(left);
    if is_equality(&call.func_name) && compared {
        return Some("an empty result");
    }
    let tells_empty = match (length(left), number(right), number(left), length(right)) {
        (true, Some(number), ..) => tells_nothing_from_something(&call.func_name, number),
        (_, _, Some(number), true) => tells_nothing_from_something(mirrored(&call.func_name), number),
        _ => false,
    };
    tells_empty.then_some("an empty result")
}

/// `value`, a loop's variable or an element, and nothing that is computed of them: 0.0 / 0.0 gives NaN of two numbers.
fn is_sample(expression: &IdedExpr) -> bool {
    match &expression.expr {
        Expr::Ident(_) => true,
        Expr::Call(call) => call.func_name == operators::INDEX && call.args.first().is_some_and(is_result),
        _ => false,
    }
}

fn is_result(expression: &IdedExpr) -> bool {
    matches!(&expression.expr, Expr::Ident(name) if name == "result")
}

fn is_equality(operator: &str) -> bool {
    matches!(operator, operators::EQUALS | operators::NOT_EQUALS)
}

/// Whether comparing a length with this number comes out one way for 0 and the other for everything above.
fn tells_nothing_from_something(operator: &str, number: i64) -> bool {
    let holds = |length: i64| match operator {
        operators::EQUALS => length == number,
        operators::NOT_EQUALS => length != number,
        operators::LESS => length < number,
        operators::LESS_EQUALS => length <= number,
        operators::GREATER => length > number,
        operators::GREATER_EQUALS => length >= number,
        _ => true,
    };
    holds(0) != holds(1) && holds(1) == holds(2)
}

fn mirrored(operator: &str) -> &str {
    match operator {
        operators::LESS => operators::GREATER,
        operators::LESS_EQUALS => operators::GREATER_EQUALS,
        operators::GREATER => operators::LESS,
        operators::GREATER_EQUALS => operators::LESS_EQUALS,
        other => other,
    }
}

/// Whether this is the length of `result`.
fn length(expression: &IdedExpr) -> bool {
    let Expr::Call(call) = &expression.expr else { return false };
    let of = call.target.as_deref().or(call.args.first());
    matches!(call.func_name.as_str(), "len" | "size") && of.is_some_and(is_result)
}

fn number(expression: &IdedExpr) -> Option<i64> {
    match &expression.expr {
        Expr::Literal(LiteralValue::Int(number)) => Some(*number.inner()),
        Expr::Literal(LiteralValue::UInt(number)) => i64::try_from(*number.inner()).ok(),
        _ => None,
    }
}

/// The expressions that an expression is made of.
fn parts(expression: &IdedExpr) -> Vec<&IdedExpr> {
    match &expression.expr {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => {
            let entries = map.entries.iter().flat_map(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
                EntryExpr::StructField(field) => vec![&field.value],
            });
            entries.collect()
        }
        Expr::Comprehension(it) => vec![&it.iter_range, &it.loop_step],
        Expr::Struct(_) | Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::Condition;

    fn asks(source: &str) -> Option<&'static str> {
        Condition::new(source, &BTreeMap::new()).unwrap().asks_for_no_data()
    }

    #[test]
    fn every_way_to_ask_for_no_data_is_known() {
        for (source, how) in [
            ("isNaN(value) || value >= 0.99", "isNaN(...)"),
            ("len(result) == 0 || isNaN(result[0]) || result[0] >= 0.99", "an empty result"),
            ("!isNaN(value) && value > 0.5", "isNaN(...)"),
            ("result.all(v, isNaN(v) || v < 0.05)", "isNaN(...)"),
            ("result.filter(v, !isNaN(v)).all(v, v < 0.05)", "isNaN(...)"),
            ("[isNaN(value)][0]", "isNaN(...)"),
            ("{'a': isNaN(value)}.a", "isNaN(...)"),
            ("value != value || value > 0.5", "a number that is not equal to itself"),
            ("default(result, 1.0) > 0.5", "default(...)"),
            ("len(result) == 0 || value > 0.5", "an empty result"),
            ("size(result) == 0u || value > 0.5", "an empty result"),
            ("result.size() == 0 || value > 0.5", "an empty result"),
            ("0 == size(result) || value > 0.5", "an empty result"),
            ("size(result) > 0 ? value > 0.5 : true", "an empty result"),
            ("size(result) < 1 || value > 0.5", "an empty result"),
            ("1 > size(result) || value > 0.5", "an empty result"),
            ("size(result) >= 1 && value > 0.5", "an empty result"),
            ("!(size(result) != 0) || value > 0.5", "an empty result"),
            ("size(result) <= 0 || value > 0.5", "an empty result"),
            ("result == [] || value > 0.5", "an empty result"),
            ("[] != result && value > 0.5", "an empty result"),
        ] {
            assert_eq!(asks(source), Some(how), "{source}");
        }
    }

    #[test]
    fn questions_about_numbers_are_no_questions_for_no_data() {
        for source in [
            "value > 0.5",
            "value < 0.0 || value == 0",
            "isInf(value)",
            "len(result) == 2 && result[1] > 0.5",
            "size(result) > 1",
            "size(result) < 2 || result[0] == result[1]",
            "result.all(v, v < 0.05)",
            "result.filter(v, v > 0.05).size() == 0",
            "result.filter(v, v > 0.05) == []",
            "default(result.filter(v, v > 0.05), 0.0) == 0.0",
            "isNaN(result[0] / 0.0) || result[0] > 0.5",
            "result == [1.0]",
        ] {
            assert_eq!(asks(source), None, "{source}");
        }
    }
}
