//! Conditions in CEL: `value >= double(args.threshold)`.
//!
//! `result` is the list of sample values, `value` its only one (absent when there are several), `args` the arguments as
//! strings. Beside CEL's own functions there are `len`, `isNaN`, `isInf` and `default`.

use std::collections::BTreeMap;

use cel::{Context, Program, Value};
use serde::{Deserialize, Serialize};

/// Longest condition that is accepted, in bytes. Evaluation time is bounded by this, the number of samples and [`MOST_LOOPS`].
pub const MAX_LENGTH: usize = 1024;

/// CEL's loops, as they are called.
const LOOPS: [&str; 5] = ["all(", "exists(", "exists_one(", "filter(", "map("];
/// Loops in one condition: `result.filter(...).all(...)` is fine, and ten inside one another outlast any release.
const MOST_LOOPS: usize = 2;

/// The source of a condition that is known to compile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Condition(String);

impl Condition {
    /// Compiles and tries the condition with a value, so that an unknown name is found before any traffic moves.
    ///
    /// # Errors
    /// CEL's own words, on one line.
    pub fn new(source: &str, args: &BTreeMap<String, String>) -> Result<Self, String> {
        if source.len() > MAX_LENGTH {
            return Err(format!("is longer than {MAX_LENGTH} characters"));
        }
        refuse_what_takes_long(source)?;
        let condition = Self(source.to_owned());
        condition.holds(&[1.0], args)?;
        Ok(condition)
    }

    /// The source.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the condition holds for these samples.
    ///
    /// # Errors
    /// CEL's own words: a condition may fail on data that it was not written for (`value` of several series).
    pub fn holds(&self, samples: &[f64], args: &BTreeMap<String, String>) -> Result<bool, String> {
        let program = Program::compile(&self.0).map_err(|error| one_line(&error.to_string()))?;
        let mut context = Context::default();
        let bind = |error: &dyn std::fmt::Display| one_line(&error.to_string());
        context.add_variable("result", samples.to_vec()).map_err(|error| bind(&error))?;
        if let [value] = samples {
            context.add_variable("value", *value).map_err(|error| bind(&error))?;
        }
        let owned: std::collections::HashMap<String, String> = args.clone().into_iter().collect();
        context.add_variable("args", owned).map_err(|error| bind(&error))?;
        register(&mut context).map_err(|error| one_line(&error))?;
        match program.execute(&context) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(other) => Err(format!("gives {} where true or false is needed", kind(&other))),
            Err(error) => Err(one_line(&error.to_string())),
        }
    }
}

/// Counted in the text and not in the parsed condition, where strings that look like loops count as well: no trick of
/// quoting hides one.
fn refuse_what_takes_long(source: &str) -> Result<(), String> {
    if source.contains("//") {
        return Err("has a comment, which a condition cannot have".to_owned());
    }
    let dense: String = source.split_whitespace().collect();
    let loops: usize = LOOPS.iter().map(|name| dense.matches(name).count()).sum();
    if loops > MOST_LOOPS {
        return Err(format!("has {loops} loops ({}...)), at most {MOST_LOOPS} are allowed", LOOPS.join("...), ")));
    }
    Ok(())
}

fn register(context: &mut Context<'_, '_>) -> Result<(), String> {
    context.add_function("isNaN", |value: f64| value.is_nan()).map_err(|error| error.to_string())?;
    context.add_function("isInf", |value: f64| value.is_infinite()).map_err(|error| error.to_string())?;
    let length = |list: std::sync::Arc<Vec<Value>>| i64::try_from(list.len()).unwrap_or(i64::MAX);
    context.add_function("len", length).map_err(|error| error.to_string())?;
    let or = |list: std::sync::Arc<Vec<Value>>, otherwise: f64| match list.first() {
        Some(Value::Float(first)) => *first,
        _ => otherwise,
    };
    context.add_function("default", or).map_err(|error| error.to_string())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Int(_) | Value::UInt(_) | Value::Float(_) => "a number",
        Value::String(_) => "a string",
        Value::List(_) => "a list",
        Value::Map(_) => "a map",
        _ => "something else",
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> BTreeMap<String, String> {
        [("threshold".to_owned(), "0.99".to_owned())].into()
    }

    fn holds(source: &str, samples: &[f64]) -> Result<bool, String> {
        Condition::new(source, &args()).and_then(|condition| condition.holds(samples, &args()))
    }

    #[test]
    fn a_threshold_from_an_argument_is_compared() {
        assert_eq!(holds("value >= double(args.threshold)", &[0.995]), Ok(true));
        assert_eq!(holds("value >= double(args.threshold)", &[0.98]), Ok(false));
    }

    #[test]
    fn several_samples_are_a_list_and_have_no_value() {
        assert_eq!(holds("result.all(v, v < 2.0)", &[1.0, 1.5]), Ok(true));
        assert_eq!(holds("len(result) == 2", &[1.0, 1.5]), Ok(true));
        assert!(holds("value < 2.0", &[1.0, 1.5]).is_err());
    }

    #[test]
    fn the_registered_functions_are_there() {
        assert_eq!(holds("isNaN(value) || isInf(value)", &[f64::INFINITY]), Ok(true));
        assert_eq!(holds("default(result, 0.0) > 0.5", &[0.7]), Ok(true));
    }

    #[test]
    fn what_does_not_compile_or_names_nothing_is_refused_at_once() {
        for wrong in ["value >=", "value >= args.nothing", "vlaue > 1.0", "1.0", "value > 'x'"] {
            assert!(Condition::new(wrong, &args()).is_err(), "{wrong}");
        }
        assert!(Condition::new(&"value > 1.0 || ".repeat(100), &args()).is_err());
    }

    #[test]
    fn loops_inside_loops_are_refused_however_they_are_written() {
        assert_eq!(holds("result.filter(v, v > 0.0).all(v, v < 2.0)", &[1.0, 1.5]), Ok(true));
        let ten = "[1,1,1,1,1,1,1,1,1,1]";
        let nested = (0..12).fold("1 < 2".to_owned(), |inner, _| format!("{ten}.all (x, {inner})"));
        assert!(Condition::new(&nested, &args()).unwrap_err().contains("12 loops"), "{nested}");
        assert!(Condition::new("result.map // \n (x, x) == result", &args()).is_err());
    }

    #[test]
    fn the_most_that_is_allowed_comes_to_an_end() {
        let most = vec![1.0; 1000];
        assert_eq!(holds("result.all(a, result.all(b, b > 0.0))", &most), Ok(true));
    }

    /// Deep conditions recurse in the parser and in the interpreter; a thread of the operator has two megabytes of stack.
    #[test]
    fn no_condition_of_the_accepted_length_overflows_the_stack() {
        let deep =
            [("(", "1", ")"), ("[", "1", "]"), ("!", "true", ""), ("-", "1", ""), ("{1:", "1", "}"), ("a(", "1", ")")];
        let chained = [("1?1:", "1", ""), ("1+", "1", ""), ("a.", "a", ""), ("1&&", "1", "")];
        for (open, inner, close) in deep.into_iter().chain(chained) {
            let times = (MAX_LENGTH - inner.len()) / (open.len() + close.len());
            let source = format!("{}{inner}{}", open.repeat(times), close.repeat(times));
            let judge = move || drop(Condition::new(&source, &BTreeMap::new()));
            std::thread::Builder::new().stack_size(2 << 20).spawn(judge).unwrap().join().unwrap();
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_written_as_a_condition_panics(
            parts in proptest::collection::vec(proptest::sample::select(PARTS.to_vec()), 0..40),
            samples in proptest::collection::vec(proptest::num::f64::ANY, 0..4),
        ) {
            let source = parts.concat();
            if let Ok(condition) = Condition::new(&source, &args()) {
                let _ = condition.holds(&samples, &args());
            }
        }
    }

    /// What conditions are made of, and what breaks them.
    const PARTS: [&str; 40] = [
        "value",
        "result",
        "args",
        ".threshold",
        "[0]",
        "[-1]",
        "[9999999999]",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "?",
        ":",
        ",",
        " && ",
        " || ",
        "!",
        "-",
        "+",
        "*",
        "/",
        "%",
        " == ",
        " >= ",
        " in ",
        "0",
        "1.5",
        "1e999",
        "'x'",
        "\"",
        "double(",
        "len(",
        "isNaN(",
        "default(",
        ".all(v, ",
        ".map(v, ",
        "9223372036854775807",
        "ä",
    ];
}
