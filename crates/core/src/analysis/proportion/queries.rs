//! What a proportion asks a source of counters: how many requests there were between two looks, of both revisions, in one
//! query, so that all numbers are of one moment.
//!
//! `increase()` guesses what happened at the ends of its window and does not see what a series was born with. Here each
//! series gives its last value less the one that it had at the last look: nothing is counted twice and nothing is lost when
//! looks follow each other. A series that is new counts in full, and one that was reset from 0.

use std::time::Duration;

use super::Counts;
use crate::analysis::Number;

/// How far back a series is looked for that has not been scraped since.
const LOOK_BACK: &str = "10m";
/// How far back stable is looked at before a release, in minutes.
pub const BASELINE_MINUTES: u64 = 30;
/// Over what time scrapes are counted.
const SCRAPES_OVER: &str = "5m";
/// Where the time between two looks stands in a query.
pub const INTERVAL: &str = "{{interval}}";
/// Where the same stands in a query that knows only how many there were in the last so many seconds.
pub const WINDOW: &str = "{{window}}";

/// The counters of one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Requests that went wrong, or, where the proportion is written so, that went well.
    pub part: String,
    /// All requests.
    pub total: String,
}

/// The counters of a proportion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selectors {
    /// Of the canary.
    pub canary: Counters,
    /// Of stable, where both revisions are told apart by one selector.
    pub stable: Option<Counters>,
    /// True where `part` are the requests that went well.
    pub is_good: bool,
}

impl Selectors {
    /// The query of every look.
    pub fn counting(&self) -> String {
        let canary = self.numbers(&self.canary, [Number::CanaryBad, Number::CanaryGood, Number::CanaryTotal], increase);
        let stable = self.stable.iter().flat_map(|stable| {
            self.numbers(stable, [Number::StableBad, Number::StableGood, Number::StableTotal], increase)
        });
        canary.into_iter().chain(stable).collect::<Vec<_>>().join(" or ")
    }

    /// The query before anything moves, with stable in the canary's place where one selector is for both: what it has shown,
    /// and how often it is scraped.
    pub fn baseline(&self) -> String {
        let so_far = |counter: &str| {
            if counter.contains(WINDOW) {
                format!("sum({})", counter.replace(WINDOW, &format!("{BASELINE_MINUTES}m")))
            } else {
                format!("sum(increase({counter}[{BASELINE_MINUTES}m]))")
            }
        };
        let numbers = [Number::StableBad, Number::StableGood, Number::StableTotal];
        let counters = self.stable.as_ref().unwrap_or(&self.canary);
        let mut all = self.numbers(counters, numbers, so_far);
        if !counters.total.contains(WINDOW) {
            all.push(named(&scrape_interval(&counters.total), Number::ScrapeInterval));
        }
        all.join(" or ")
    }

    fn numbers(
        &self,
        counters: &Counters,
        [bad, good, total]: [Number; 3],
        count: impl Fn(&str) -> String,
    ) -> Vec<String> {
        let part = if self.is_good { good } else { bad };
        // What was never counted is none.
        let counted = format!("({} or vector(0))", count(&counters.part));
        vec![named(&counted, part), named(&count(&counters.total), total)]
    }
}

fn increase(counter: &str) -> String {
    if counter.contains(WINDOW) {
        return format!("sum({counter})");
    }
    let last = format!("last_over_time({counter}[{LOOK_BACK}])");
    let before = format!("last_over_time({counter}[{LOOK_BACK}] offset {INTERVAL})");
    format!("sum(({last} - {before}) >= 0 or {last})")
}

/// Seconds from the first scrape to the last one, by how many there were: a series may be younger than the time that is looked
/// at.
fn scrape_interval(counter: &str) -> String {
    let at = |which: &str| format!("{which}_over_time(timestamp({counter})[{SCRAPES_OVER}:1s])");
    let times = format!("((count_over_time({counter}[{SCRAPES_OVER}]) > 1) - 1)");
    format!("min(({} - {}) / {times})", at("max"), at("min"))
}

fn named(expression: &str, number: Number) -> String {
    format!("label_replace({expression}, \"count\", \"{}\", \"\", \"\")", number.as_str())
}

/// What is asked about of a counter: the name of a metric, matchers, or both.
///
/// # Errors
/// What it is instead.
pub fn check_counter(selector: &str) -> Result<(), &'static str> {
    let text = selector.trim();
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
    let matchers = text.trim_start_matches(is_of_name);
    if matchers.is_empty() && !text.is_empty() {
        return Ok(());
    }
    let inside = matchers.strip_prefix('{').ok_or("it is no counter")?;
    let mut quote = None;
    let mut letters = inside.char_indices();
    while let Some((at, letter)) = letters.next() {
        match (quote, letter) {
            (Some(open), '\\') if open != '`' => drop(letters.next()),
            (Some(open), letter) if letter == open => quote = None,
            (None, '"' | '\'' | '`') => quote = Some(letter),
            (None, '}') => {
                let behind = inside.get(at + 1..).unwrap_or_default().trim();
                return if behind.is_empty() { Ok(()) } else { Err("something stands behind its matchers") };
            }
            (None, '{') => return Err("it has { within its matchers"),
            _ => {}
        }
    }
    Err("its matchers do not end")
}

/// Both revisions in one interval, as far as they are known, by the names of the numbers.
pub fn counts(numbers: &[(Number, f64)]) -> (Option<Counts>, Option<Counts>) {
    let of = |wanted: Number| numbers.iter().find(|(number, _)| *number == wanted).map(|(_, value)| *value);
    let revision = |bad: Number, good: Number, total: Number| {
        let total = of(total)?;
        let bad = of(bad).or_else(|| Some(total - of(good)?))?;
        Some(Counts { bad, total }.clean())
    };
    (
        revision(Number::CanaryBad, Number::CanaryGood, Number::CanaryTotal),
        revision(Number::StableBad, Number::StableGood, Number::StableTotal),
    )
}

/// How often stable is scraped, where that is known.
pub fn scrapes_every(numbers: &[(Number, f64)]) -> Option<Duration> {
    let seconds = numbers.iter().find(|(number, _)| *number == Number::ScrapeInterval)?.1;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selectors() -> Selectors {
        let of = |revision: &str| Counters {
            part: format!("bad{{r=\"{revision}\"}}"),
            total: format!("all{{r=\"{revision}\"}}"),
        };
        Selectors { canary: of("new"), stable: Some(of("old")), is_good: false }
    }

    #[test]
    fn all_numbers_of_a_look_are_in_one_query() {
        let query = selectors().counting();
        assert!(query.starts_with(
            "label_replace((sum((last_over_time(bad{r=\"new\"}[10m]) - last_over_time(bad{r=\"new\"}[10m] offset \
             {{interval}})) >= 0 or last_over_time(bad{r=\"new\"}[10m])) or vector(0)), \"count\", \"canary bad\", \"\", \"\")"
        ), "{query}");
        assert_eq!(query.matches("label_replace").count(), 4);
        let alone = Selectors { stable: None, is_good: true, ..selectors() }.counting();
        assert!(alone.contains("canary good") && !alone.contains("stable"), "{alone}");
        let baseline = selectors().baseline();
        assert!(
            baseline.contains("sum(increase(all{r=\"old\"}[30m]))") && baseline.contains("stable total"),
            "{baseline}"
        );
        assert!(
            baseline.ends_with(
                "label_replace(min((max_over_time(timestamp(all{r=\"old\"})[5m:1s]) - min_over_time(timestamp(all{r=\"old\"})\
                 [5m:1s])) / ((count_over_time(all{r=\"old\"}[5m]) > 1) - 1)), \"count\", \"scrape interval\", \"\", \"\")"
            ),
            "{baseline}"
        );
    }

    #[test]
    fn a_source_that_knows_only_the_last_seconds_is_asked_for_them() {
        let windowed =
            Counters { part: "increase(bad[{{window}}])".to_owned(), total: "increase(all[{{window}}])".to_owned() };
        let selectors = Selectors { canary: windowed, stable: None, is_good: false };
        let query = selectors.counting();
        assert!(
            query.contains("(sum(increase(bad[{{window}}])) or vector(0))") && !query.contains("offset"),
            "{query}"
        );
        assert!(selectors.baseline().contains("sum(increase(all[30m]))") && !selectors.baseline().contains("scrape"));
    }

    #[test]
    fn a_counter_is_a_name_with_matchers_and_nothing_else() {
        for good in ["requests", "requests_total{}", r#"{__name__="a",code=~"5..|}"}"#, r" a:b{c='}\'',d=`\`} "] {
            assert_eq!(check_counter(good), Ok(()), "{good}");
        }
        for bad in
            ["", "rate(a[1m])", "a[1m]", "a{b=\"c\"} offset 1m", "a / b", "sum(a)", "a{b=\"c\"", "a{b=\"c}", "{a{b}}"]
        {
            assert!(check_counter(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_went_well_is_taken_from_all() {
        let numbers = [(Number::CanaryGood, 97.0), (Number::CanaryTotal, 100.0), (Number::StableBad, 5.0)];
        assert_eq!(counts(&numbers), (Some(Counts { bad: 3.0, total: 100.0 }), None));
        assert_eq!(scrapes_every(&[(Number::ScrapeInterval, 30.0)]), Some(Duration::from_secs(30)));
        assert_eq!(scrapes_every(&[(Number::ScrapeInterval, -1.0)]), None);
    }
}
