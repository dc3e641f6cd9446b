//! What implementations of the Gateway API say of a route's present generation.
//!
//! Their word says that they read the route, not that any proxy has it: what `settle` is for. Not all of them go by the
//! book, so what they leave unsaid holds nothing up where another parent has accepted the route.

use leadsman_api::AcceptancePolicy;
use leadsman_core::observed::Acceptance;
use serde_json::Value;

use super::Backends;
use super::gateway_api::refers_to_others;
use super::json::{filled, list, quoted, text, told};
use super::parent;
use super::rule::Rule;

/// What one parent's reports come to.
#[derive(Debug, PartialEq, Eq)]
enum Word {
    /// Accepted at this generation, by a controller that says which or by one that never does; with what is worth a
    /// warning.
    Accepted(Option<String>),
    /// It counts generations, and has not come to this one, or to a decision on it.
    Behind(String),
    /// Refused at this generation.
    Refused(String),
    /// Nothing that says anything.
    Silent,
}

/// What the reports on a route come to, and what is worth a warning.
pub(super) fn judge(
    policy: AcceptancePolicy,
    object: &Value,
    rules: &[Rule<'_>],
    backends: &Backends<'_>,
) -> (Acceptance, Vec<String>) {
    let reader = Reader { object, rules, backends, generation: generation(object) };
    let words: Vec<_> = parent::with_reports(object, backends.namespace)
        .into_iter()
        .map(|(parent, reports)| (parent.to_string(), reader.word(&reports)))
        .collect();
    let mut warnings: Vec<String> = words
        .iter()
        .filter_map(
            |(parent, word)| if let Word::Accepted(Some(warning)) = word { Some((parent, warning)) } else { None },
        )
        .map(|(parent, warning)| format!("{parent}: {warning}"))
        .collect();
    let refusals = words.iter().filter_map(|(parent, word)| match word {
        Word::Refused(words) => Some(format!("{parent}: {words}")),
        _ => None,
    });
    let refusals: Vec<_> = refusals.collect();
    let accepts = |(_, word): &(String, Word)| matches!(word, Word::Accepted(_));
    let acceptance = match policy {
        AcceptancePolicy::Ignore => {
            warnings.extend(refusals);
            Acceptance::Accepted
        }
        _ if words.is_empty() => {
            Acceptance::Refused("spec.parentRefs is empty, so no gateway and no mesh serves it".to_owned())
        }
        AcceptancePolicy::Any if words.iter().any(accepts) => {
            warnings.extend(refusals);
            behind(&words).map_or(Acceptance::Accepted, Acceptance::Behind)
        }
        AcceptancePolicy::Any => waited_for(&words, &refusals, behind(&words).is_some(), " or "),
        AcceptancePolicy::All if words.iter().all(accepts) => Acceptance::Accepted,
        AcceptancePolicy::All => waited_for(&words, &refusals, false, " and "),
    };
    (acceptance, warnings)
}

fn generation(object: &Value) -> i64 {
    object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0)
}

/// The parents that lag behind; `None` where none does.
fn behind(words: &[(String, Word)]) -> Option<String> {
    let behind = words.iter().filter_map(|(parent, word)| match word {
        Word::Behind(why) => Some(format!("{parent}, which {why}")),
        _ => None,
    });
    let behind: Vec<_> = behind.collect();
    (!behind.is_empty()).then(|| told(&behind, " and "))
}

/// Where it is not enough: refused, unless somebody who lags behind may yet accept it.
fn waited_for(words: &[(String, Word)], refusals: &[String], may_yet: bool, or: &str) -> Acceptance {
    if !refusals.is_empty() && !may_yet {
        return Acceptance::Refused(told(refusals, "; "));
    }
    let open = words.iter().filter_map(|(parent, word)| match word {
        Word::Behind(why) => Some(format!("{parent}, which {why}")),
        Word::Silent => Some(format!("{parent}, which has said nothing of it")),
        Word::Accepted(_) | Word::Refused(_) => None,
    });
    let open = told(&open.collect::<Vec<_>>(), or);
    Acceptance::Pending(if refusals.is_empty() { open } else { format!("{open} ({})", told(refusals, "; ")) })
}

/// Reads the reports on one route.
struct Reader<'a> {
    object: &'a Value,
    rules: &'a [Rule<'a>],
    backends: &'a Backends<'a>,
    generation: i64,
}

/// What a condition says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Yes,
    No,
    /// `Unknown`, at a generation that is counted.
    Undecided,
    /// About an earlier generation.
    Earlier(i64),
    /// It is not there, or says nothing.
    Nothing,
}

impl Reader<'_> {
    /// One controller that accepts is enough, one that refuses counts only where none accepts.
    fn word(&self, reports: &[&Value]) -> Word {
        let mut words: Vec<_> = reports.iter().map(|report| self.word_of(report)).collect();
        let rank = |word: &Word| match word {
            Word::Accepted(_) => 0,
            Word::Refused(_) => 1,
            Word::Behind(_) => 2,
            Word::Silent => 3,
        };
        words.sort_by_key(rank);
        words.into_iter().next().unwrap_or(Word::Silent)
    }

    fn word_of(&self, report: &Value) -> Word {
        // A rule was dropped, or all of the route is still served as it was. Which rule stands in free text, if at all.
        if self.says(report, "PartiallyInvalid") == Says::Yes {
            return Word::Refused(words_of(report, "PartiallyInvalid", "True"));
        }
        let behind = |observed| {
            Word::Behind(format!("reports on generation {observed} of {generation}", generation = self.generation))
        };
        let undecided = || Word::Behind("has not decided on it".to_owned());
        match (self.says(report, "Accepted"), self.says(report, "ResolvedRefs")) {
            (Says::No, _) => Word::Refused(words_of(report, "Accepted", "False")),
            (Says::Earlier(observed), _) | (Says::Yes | Says::Nothing, Says::Earlier(observed)) => behind(observed),
            (Says::Undecided, _) | (Says::Yes, Says::Undecided) => undecided(),
            (Says::Nothing, _) => Word::Silent,
            (Says::Yes, Says::No) => self.unresolved(report),
            // Nobody says that a reference does not resolve.
            (Says::Yes, Says::Yes | Says::Nothing) => Word::Accepted(None),
        }
    }

    fn says(&self, report: &Value, kind: &str) -> Says {
        let Some(condition) = condition(report, kind) else { return Says::Nothing };
        let observed = condition.get("observedGeneration").and_then(Value::as_i64).filter(|observed| *observed > 0);
        match (text(condition, "status"), observed) {
            (_, Some(observed)) if observed < self.generation => Says::Earlier(observed),
            (Some("True"), _) => Says::Yes,
            (Some("False"), _) => Says::No,
            (_, Some(_)) => Says::Undecided,
            (_, None) => Says::Nothing,
        }
    }

    /// `ResolvedRefs=False` is about the whole route. It is somebody else's where our own rules refer to nothing but the two
    /// Services, some other rule refers to more, and the controller does not name ours.
    fn unresolved(&self, report: &Value) -> Word {
        let words = words_of(report, "ResolvedRefs", "False");
        let condition = condition(report, "ResolvedRefs");
        let reason = condition.and_then(|condition| text(condition, "reason")).unwrap_or_default();
        let message = condition.and_then(|condition| text(condition, "message")).unwrap_or_default();
        let refers = |(index, _): &(usize, &Rule<'_>)| refers_to_others(self.object, *index, self.backends);
        let numbered = || self.rules.iter().enumerate();
        let could_be_ours = numbered().filter(|(_, rule)| rule.is_split).any(|rule| refers(&rule));
        let could_be_another = numbered().filter(|(_, rule)| !rule.is_split).any(|rule| refers(&rule));
        let names_ours = [self.backends.stable, self.backends.canary].into_iter().any(|name| names(message, name));
        let is_reference = ["BackendNotFound", "RefNotPermitted", "InvalidKind"].contains(&reason);
        if is_reference && could_be_another && !could_be_ours && !names_ours {
            Word::Accepted(Some(format!(
                "{words} (of another rule: those that are split refer to the two Services only)"
            )))
        } else {
            Word::Refused(words)
        }
    }
}

fn condition<'a>(report: &'a Value, kind: &str) -> Option<&'a Value> {
    list(report.get("conditions")).find(|condition| text(condition, "type") == Some(kind))
}

/// What a controller says, with its own words.
fn words_of(report: &Value, kind: &str, status: &str) -> String {
    let condition = condition(report, kind);
    let words = ["reason", "message"].map(|field| condition.and_then(|it| filled(it, field)).map(quoted));
    let words = words.into_iter().flatten().collect::<Vec<_>>().join(": ");
    let by = filled(report, "controllerName").map_or_else(|| "its controller".to_owned(), quoted);
    if words.is_empty() { format!("{by} says {kind}={status}") } else { format!("{by} says {kind}={status}: {words}") }
}

/// Whether a text has a name as a word of its own: `shop-canary` is not named where `shop-canary-old` is.
fn names(text: &str, name: &str) -> bool {
    let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '-'));
    words.into_iter().any(|word| word == name)
}
