//! What a Prometheus answered: the body of `/api/v1/query` as an outcome.
//!
//! Servers of several kinds speak this API, and each has its own words for what went wrong. What matters is whether asking
//! again can help: a query that is wrong is found at preflight and stays wrong, everything else is about the moment. The
//! first row that fits decides:
//!
//! | answer | means | seen from |
//! |---|---|---|
//! | no JSON, HTTP 400 or 422, plain text with one of [`QUERY_ERRORS`] | wrong query | older Cortex, proxies |
//! | no JSON, or JSON without `status` | passing | HTML of proxies and logins, vmauth, AMP's own refusals |
//! | error, `errorType: bad_data` | wrong query | Prometheus, Thanos, Mimir, AMP |
//! | error with one of the words of a [`PASSING`] trouble | passing | all, under `execution` and 422 too |
//! | error, `errorType` one of [`PASSING_TYPES`] | passing | Prometheus, Mimir |
//! | error, `errorType: execution` | wrong query: many-to-many matching, duplicate series, too many samples | Prometheus, Thanos, Mimir |
//! | error, HTTP 400 or 422, also as the text of `errorType` | wrong query | `VictoriaMetrics` |
//! | any other error | passing | |
//! | success with a code that is none | passing | |
//! | success, `isPartial: true` | passing: incomplete | `VictoriaMetrics` |
//! | success with warnings other than `PromQL info:` | passing: perhaps incomplete | Thanos, Prometheus |
//! | success with something else than up to 1,000 numbers | wrong query | |
//! | success | the numbers | |

use leadsman_core::analysis::condition::MAX_SAMPLES;
use leadsman_core::analysis::{Counted, Outcome};
use leadsman_core::text::one_line;
use reqwest::StatusCode;

use super::Failure;
use super::frame::{Frame, MOST_WORDS, Values};

/// Longest quotation of what is no answer.
const MOST_TEXT: usize = 100;

/// Words of parsers, in lower case.
const QUERY_ERRORS: [&str; 6] =
    ["parse error", "cannot parse", "when parsing", "unexpected token", "unknown function", "unknown func "];

/// Words of a trouble that passes, in lower case. Words with spaces or punctuation, since what a server says often quotes
/// the query, and metrics have names like `request_timeouts`.
const PASSING: [&str; 16] = [
    "timed out",
    "timeout exceeded",
    "deadline exceeded",
    "context canceled",
    "rpc error:",
    "i/o timeout",
    "connection refused",
    "connection reset",
    "broken pipe",
    "unexpected eof",
    "no such host",
    "too many outstanding",
    "concurrent requests",
    "try again",
    "service unavailable",
    "unhealthy ",
];

/// `errorType`s of a trouble that passes.
const PASSING_TYPES: [&str; 6] = ["timeout", "canceled", "internal", "unavailable", "too_many_requests", "not_found"];

/// An answer as it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply<'a> {
    pub status: StatusCode,
    /// `Content-Type` is plain text.
    pub is_text: bool,
    /// Whether its numbers have names, as the label `count`.
    pub counts: bool,
    pub body: &'a [u8],
    /// Whether its words may be told to whoever reads the status of a Rollout.
    pub words: Words,
}

/// What is told of what a source says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Words {
    /// Everything, as far as it is short.
    Told,
    /// Nothing: somebody has chosen the address to whom its answers may be none of their business.
    Withheld,
}

impl Words {
    /// The source's words behind our own.
    pub fn told(self, ours: &str, theirs: &str) -> String {
        match self {
            Self::Told if theirs.is_empty() => ours.to_owned(),
            Self::Told => format!("{ours}: {theirs}"),
            Self::Withheld => format!("{ours} (what it says is not quoted: --metric-address-allow does not list it)"),
        }
    }
}

/// Reads an answer. Everything that is not a complete result is a failure, with the source's own words.
pub(super) fn read(reply: Reply<'_>) -> Result<Outcome, Failure> {
    let Reply { status, words, counts, .. } = reply;
    let frame = serde_json::from_slice::<Frame>(reply.body).unwrap_or_default();
    match frame.status.text() {
        "" => Err(no_answer(reply, &frame)),
        "success" if status.is_success() => values(frame, words, counts),
        _ => Err(error(status, &frame, words)),
    }
}

/// What nothing that speaks Prometheus's API says.
fn no_answer(Reply { status, is_text, body, words, .. }: Reply<'_>, frame: &Frame) -> Failure {
    let text = String::from_utf8_lossy(body.get(..body.len().min(8 * MOST_TEXT)).unwrap_or_default());
    let first_line = text.trim().lines().next().filter(|_| is_text).unwrap_or_default();
    let said = if frame.words().is_empty() { first_line } else { frame.words() };
    Failure {
        query_is_wrong: blames_request(status) && is_one_of(said, &QUERY_ERRORS),
        message: words.told(&format!("HTTP {status}, and not as a Prometheus answers"), &one_line(said, MOST_TEXT)),
    }
}

fn error(status: StatusCode, frame: &Frame, words: Words) -> Failure {
    let (kind, said) = (frame.error_type.text(), frame.words());
    let code = kind.parse().ok().and_then(|code: u16| StatusCode::from_u16(code).ok()).unwrap_or(status);
    let query_is_wrong = match kind {
        "bad_data" => true,
        _ if is_one_of(said, &PASSING) || PASSING_TYPES.contains(&kind) => false,
        "execution" => true,
        _ => blames_request(code),
    };
    let message = match words {
        Words::Told if kind.is_empty() && said.is_empty() => format!("HTTP {status}"),
        Words::Told if kind.is_empty() => said.to_owned(),
        Words::Told => words.told(kind, said),
        Words::Withheld => words.told(&format!("HTTP {status}"), ""),
    };
    Failure { query_is_wrong, message }
}

fn values(frame: Frame, words: Words, counts: bool) -> Result<Outcome, Failure> {
    if frame.is_partial() {
        return Err(Failure::passing(
            "the answer is incomplete: its source could not ask all of its storage (isPartial)",
        ));
    }
    let warnings = frame.warnings();
    if !warnings.is_empty() {
        let said = one_line(&warnings.join("; "), MOST_WORDS);
        return Err(Failure::passing(words.told("the answer may be incomplete, its source warns", &said)));
    }
    if counts {
        return counted(frame);
    }
    match frame.values() {
        Values::Numbers(numbers) if numbers.is_empty() => Ok(Outcome::Empty),
        Values::Numbers(numbers) => Ok(Outcome::Samples(numbers)),
        Values::TooMany(number) => Err(Failure::lasting(format!(
            "the query gives {number} series, more than {MAX_SAMPLES}: aggregate them, as in sum(...)"
        ))),
        Values::Histograms => Err(Failure::lasting(
            "the query gives native histograms, not numbers: take one of them, as in histogram_quantile(0.99, ...)",
        )),
        Values::OfType(kind) if kind == "matrix" => Err(Failure::lasting(
            "the query gives a range of values (matrix): make it one, as in rate(...[1m]) or without the [...]",
        )),
        Values::OfType(kind) if kind == "string" => {
            Err(Failure::lasting("the query gives a text (string), not numbers"))
        }
        Values::OfType(_) => Err(Failure::lasting("the query gives neither a vector nor a scalar")),
        Values::Unreadable => Err(Failure::passing("the answer cannot be read: it has other values than numbers")),
    }
}

/// Numbers by their names. What is no number counts for nothing, so that an answer with one is none.
fn counted(frame: Frame) -> Result<Outcome, Failure> {
    let numbers = frame
        .counts()
        .ok_or_else(|| Failure::lasting("the answer to a count has something else than numbers with names"))?;
    match numbers.iter().find(|counted| !counted.value.is_finite()) {
        _ if numbers.is_empty() => Ok(Outcome::Empty),
        Some(Counted { number, value, .. }) => {
            Err(Failure::passing(format!("{} is {value}, which is no count", number.as_str())))
        }
        None => Ok(Outcome::Counted(numbers)),
    }
}

/// Whether a code says that the request is at fault, and not what it was sent with or the moment.
fn blames_request(code: StatusCode) -> bool {
    matches!(code, StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY)
}

fn is_one_of(text: &str, known: &[&str]) -> bool {
    let text = text.to_lowercase();
    known.iter().any(|words| text.contains(words))
}
