//! Conditions in CEL: `value >= double(args.threshold)`.
//!
//! A condition is asked only about numbers: an answer without one is `NoData` and never gets to it, and series that have
//! none beside others that have are left out. Infinities are numbers. What a condition can name:
//!
//! - `result`: the numbers, one a series;
//! - `value`: the only one of a query that gives one series. With several series there is no `value`, however many of them
//!   have a number: which one it is must not depend on which others are idle;
//! - `args`: the arguments, as texts.
//!
//! Beside CEL's own functions there are `len(list)`, `isNaN(number)`, `isInf(number)` and `default(list, number)`, which
//! is the list's first element, or the number where the list is empty.

mod cost;
mod no_data;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock, OnceLock};

use cel::common::traits::Sizer;
use cel::common::types::LIST_TYPE;
use cel::common::value::CowVal;
use cel::{Context, Env, ExecutionError, Program, Value};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text::one_line;

/// Longest condition that is accepted, in bytes.
pub const MAX_LENGTH: usize = 1024;
/// Most samples that a condition is asked about.
pub const MAX_SAMPLES: usize = 1000;

/// Longest quotation of CEL's words.
const MOST_WORDS: usize = 300;

/// Answers that a new condition is tried with: how many samples, and which. One that judges none of them never judges any.
const TRIALS: [(usize, f64); 5] = [(1, 1.0), (1, 2.5), (2, 1.0), (10, 1.0), (MAX_SAMPLES, 1.0)];

/// CEL's own functions, and `len`, which must not look at each element.
static FUNCTIONS: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut functions = Env::stdlib();
    // Where this fails, every condition with len is refused.
    let _ = functions.add_overload("len", "len_list", vec![LIST_TYPE], length);
    Arc::new(functions)
});

/// A condition that is known to compile, to name nothing unknown, and to take bounded time and memory.
///
/// On the wire it is its source. It is compiled when it is first needed, and once for all its clones.
#[derive(Clone)]
pub struct Condition {
    source: String,
    program: Arc<OnceLock<Result<Program, String>>>,
}

impl Condition {
    /// Compiles and tries the condition, so that a mistake in it is found before any traffic moves.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence on one line: it does not compile, names what is not there, may take
    /// too long or too much memory, or can judge no answer at all.
    pub fn new(source: &str, args: &BTreeMap<String, String>) -> Result<Self, String> {
        let condition = Self::unchecked(source.to_owned());
        let mut first = Ok(());
        for (number, sample) in TRIALS {
            match condition.holds(&vec![sample; number], number, args) {
                Ok(_) => return Ok(condition),
                Err(error) => first = first.and(Err(error)),
            }
        }
        first.map(|()| condition)
    }

    /// One that has not been looked at yet.
    fn unchecked(source: String) -> Self {
        Self { source, program: Arc::default() }
    }

    /// The source.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Whether the condition holds for an answer of so many series, of which these are the numbers.
    ///
    /// # Errors
    /// CEL's own words, on one line: a condition may fail on data that it was not written for (`value` of several series).
    pub fn holds(&self, numbers: &[f64], series: usize, args: &BTreeMap<String, String>) -> Result<bool, String> {
        // One that was persisted may have been written by somebody else.
        self.most_steps(args)?;
        let mut context = Context::with_env(Arc::clone(&FUNCTIONS));
        declare(&mut context, numbers, series, args)?;
        match self.program()?.execute(&context) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(other) => Err(format!("gives {} where true or false is needed", kind(&other))),
            Err(ExecutionError::UndeclaredReference(name)) if *name == "value" => {
                Err(format!("value is the sample of the only series, and there are {series}: use result, or aggregate"))
            }
            Err(error) => Err(words(&error)),
        }
    }

    /// Steps of the interpreter that asking it takes at the most: some ten of them take a microsecond.
    ///
    /// # Errors
    /// As [`Condition::new`].
    pub fn most_steps(&self, args: &BTreeMap<String, String>) -> Result<u64, String> {
        cost::steps(self.program()?.expression(), MAX_SAMPLES as u64, args)
    }

    /// How the condition asks for what it is never asked about, an answer without a number: `isNaN(...)`,
    /// `len(result) == 0`. Nothing where it does not.
    pub fn asks_for_no_data(&self) -> Option<&'static str> {
        self.program().ok().and_then(|program| no_data::asked(program.expression()))
    }

    fn program(&self) -> Result<&Program, String> {
        let compile = || {
            // The parser recurses as deep as the source is nested.
            if self.source.len() > MAX_LENGTH {
                return Err(format!("is longer than {MAX_LENGTH} characters"));
            }
            Program::compile(&self.source).map_err(|error| words(&error))
        };
        self.program.get_or_init(compile).as_ref().map_err(Clone::clone)
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::unchecked)
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.source)
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Condition {}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.source).finish()
    }
}

/// What a condition can name.
fn declare(
    context: &mut Context<'_, '_>,
    numbers: &[f64],
    series: usize,
    args: &BTreeMap<String, String>,
) -> Result<(), String> {
    context.add_variable("result", numbers.to_vec()).map_err(|error| words(&error))?;
    if let ([value], 1) = (numbers, series) {
        context.add_variable("value", *value).map_err(|error| words(&error))?;
    }
    let args: std::collections::HashMap<String, String> = args.clone().into_iter().collect();
    context.add_variable("args", args).map_err(|error| words(&error))?;
    context.add_function("isNaN", |value: f64| value.is_nan()).map_err(|error| words(&error))?;
    context.add_function("isInf", |value: f64| value.is_infinite()).map_err(|error| words(&error))?;
    let or = move |list: Arc<Vec<Value>>, otherwise: f64| match list.first() {
        // The first of several would be any of them, as value would.
        _ if series > 1 => Err(ExecutionError::function_error("default", format!("there are {series} series"))),
        Some(Value::Float(first)) => Ok(*first),
        _ => Ok(otherwise),
    };
    context.add_function("default", or).map_err(|error| words(&error))
}

fn length<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let list = args.into_iter().next();
    let length = list.as_ref().and_then(|list| list.as_sizer()).map(Sizer::size);
    length.map(CowVal::owned).ok_or_else(ExecutionError::missing_argument_or_target)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Int(_) | Value::UInt(_) | Value::Float(_) => "a number",
        Value::String(_) => "a text",
        Value::List(_) => "a list",
        Value::Map(_) => "a map",
        _ => "something else",
    }
}

fn words(error: &dyn fmt::Display) -> String {
    one_line(&error.to_string(), MOST_WORDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> BTreeMap<String, String> {
        [("threshold".to_owned(), "0.99".to_owned())].into()
    }

    fn holds(source: &str, samples: &[f64]) -> Result<bool, String> {
        Condition::new(source, &args()).and_then(|condition| condition.holds(samples, samples.len(), &args()))
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

    /// What is never evaluated when it is tried would be found in the middle of a release.
    #[test]
    fn an_unknown_name_is_found_behind_what_is_not_evaluated() {
        for (wrong, words) in [
            ("size(result) == 2 && vlaue > 1.0", "names vlaue, which is not known here"),
            (
                "value > 100.0 && value > double(args.nothing)",
                "names args.nothing, which is not given; given are threshold",
            ),
            ("result.all(v, v < 2.0) || w > 1.0", "names w"),
            ("result.all(v, v < 2.0) || v > 1.0", "names v"),
            ("value > 100.0 && Sample{x: 1}.x > 1", "names Sample"),
        ] {
            assert!(Condition::new(wrong, &args()).unwrap_err().contains(words), "{wrong}");
        }
        assert_eq!(holds("has(args.nothing) ? value > double(args.nothing) : value > 0.5", &[0.7]), Ok(true));
        assert_eq!(holds("type(value) == double && type(result) == list", &[0.7]), Ok(true));
    }

    /// How many series there are is not known before the query is asked.
    #[test]
    fn a_condition_is_accepted_when_some_answer_can_be_judged_by_it() {
        for (fine, samples) in [
            ("result[1] < 1.0", &[1.5, 0.5][..]),
            ("size(result) == 2 && result[1] < 1.0", &[1.5, 0.5]),
            ("result[0] / result[1] < 2.0 && result[2] < 1.0", &[1.0, 1.0, 0.5]),
            ("result[30] < 1.0", &[0.5; 31]),
            ("1 / int(value) < 2 || 1 / (1 - int(value)) < 2", &[0.0]),
        ] {
            assert_eq!(holds(fine, samples), Ok(true), "{fine}");
        }
        for never in
            ["result[1000] < 1.0", "result[-1] < 1.0", "result[0.5] < 1.0", "result < 1.0", "result[0]", "args"]
        {
            assert!(Condition::new(never, &args()).is_err(), "{never}");
        }
    }

    #[test]
    fn of_several_series_neither_value_nor_the_first_is_taken() {
        let condition = Condition::new("value < 0.05", &args()).unwrap();
        let words = "value is the sample of the only series, and there are 2: use result, or aggregate";
        assert_eq!(condition.holds(&[0.01], 2, &args()), Err(words.to_owned()));
        let condition = Condition::new("default(result, 1.0) < 0.05", &args()).unwrap();
        assert!(condition.holds(&[0.01, 0.9], 2, &args()).unwrap_err().contains("there are 2 series"));
        assert_eq!(condition.holds(&[0.01], 1, &args()), Ok(true));
    }

    /// NaN is left out before a condition is asked, so that it can only come of the condition itself.
    #[test]
    fn comparing_what_is_not_a_number_is_an_error_and_neither_true_nor_false() {
        for source in ["result[0] / result[1] < 0.05", "!(result[0] / result[1] > 0.05)"] {
            assert!(holds(source, &[0.0, 0.0]).is_err(), "{source}");
        }
    }

    #[test]
    fn words_about_a_condition_are_on_one_line() {
        let error = Condition::new("value >\n  >\n 1.0", &args()).unwrap_err();
        assert!(!error.contains('\n') && error.chars().count() <= MOST_WORDS + 1, "{error}");
    }

    #[test]
    fn on_the_wire_a_condition_is_its_source() {
        let condition = Condition::new("value > 0.5", &args()).unwrap();
        let wire = serde_json::to_value(&condition).unwrap();
        assert_eq!(wire, "value > 0.5");
        let read: Condition = serde_json::from_value(wire).unwrap();
        assert_eq!((read == condition, read.holds(&[0.7], 1, &args())), (true, Ok(true)));
        let broken: Condition = serde_json::from_value("value >".into()).unwrap();
        assert!(broken.holds(&[0.7], 1, &args()).is_err());
        let deep: Condition = serde_json::from_value("(".repeat(1_000_000).into()).unwrap();
        assert!(deep.holds(&[0.7], 1, &args()).unwrap_err().contains("is longer than"));
        let costly: Condition = serde_json::from_value("result.all(a, result.all(b, a == b))".into()).unwrap();
        assert!(costly.holds(&[0.7], 1, &args()).unwrap_err().contains("takes too much"));
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
                let _ = condition.holds(&samples, samples.len(), &args());
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
