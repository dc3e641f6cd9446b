//! What a proportion asks a source of counters: how many requests there were between two looks, of both revisions, in one
//! query, so that all numbers are of one moment.
//!
//! `increase()` guesses what happened at the ends of its window and does not see what a series was born with. Here each
//! series gives its last value less the one that it had at the last look: nothing is counted twice and nothing is lost when
//! looks follow each other. A series that is new counts in full, and one that was reset from 0.

use std::time::Duration;

use super::{Counts, Latency};
use crate::analysis::{Counted, Number, Reporter};

/// How far back a series is looked for that has not been scraped since.
const LOOK_BACK: &str = "10m";
/// How far back stable is looked at before a release, in minutes.
pub const BASELINE_MINUTES: u64 = 30;
/// Over what time scrapes are counted.
const SCRAPES_OVER: &str = "5m";
/// How exactly it is known since when a series has been there.
const SCRAPES_OVER_EACH: &str = "15s";
/// Where the time between two looks stands in a query.
pub const INTERVAL: &str = "{{interval}}";
/// Where the same stands in a query that knows only how many there were in the last so many seconds.
pub const WINDOW: &str = "{{window}}";

/// The numbers of stable: bad, good, within, total.
const OF_STABLE: [Number; 4] = [Number::StableBad, Number::StableGood, Number::StableWithin, Number::StableTotal];

/// The counters of one revision, each of which counts a part of the requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Those of them that [`Part`] says.
    pub part: Vec<String>,
    /// All of them.
    pub total: Vec<String>,
}

/// Which of the requests are counted beside all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Those that went wrong.
    Bad,
    /// Those that went well.
    Good,
    /// Those that took no longer than each boundary of a histogram.
    Within,
}

/// The counters of a proportion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selectors {
    /// Whose counters they are, where others may have them too.
    pub reporter: Option<Reporter>,
    /// What is counted of all.
    pub part: Part,
    /// Of the canary.
    pub canary: Counters,
    /// Of stable, where both revisions are told apart by one selector.
    pub stable: Option<Counters>,
}

impl Selectors {
    /// The query of every look.
    pub fn counting(&self) -> String {
        let canary = [Number::CanaryBad, Number::CanaryGood, Number::CanaryWithin, Number::CanaryTotal];
        let canary = self.numbers(&self.canary, canary, None, increase);
        let stable = self.stable.iter().flat_map(|stable| self.numbers(stable, OF_STABLE, None, increase));
        canary.into_iter().chain(stable).collect::<Vec<_>>().join(" or ")
    }

    fn baseline(&self) -> Vec<String> {
        let so_far = |counter: &str, by: &str| {
            if counter.contains(WINDOW) {
                format!("sum{by}({})", counter.replace(WINDOW, &format!("{BASELINE_MINUTES}m")))
            } else {
                format!("sum{by}(increase({counter}[{BASELINE_MINUTES}m]))")
            }
        };
        let counters = self.stable.as_ref().unwrap_or(&self.canary);
        let mut all = self.numbers(counters, OF_STABLE, self.reporter, so_far);
        if let Some(total) = counters.total.first().filter(|total| !total.contains(WINDOW)) {
            all.push(named(&scrape_interval(total), &Number::ScrapeInterval.by(self.reporter)));
            all.push(named(&known_for(total), &Number::KnownFor.by(self.reporter)));
        }
        all
    }

    fn numbers(
        &self,
        counters: &Counters,
        [bad, good, within, total]: [Number; 4],
        reporter: Option<Reporter>,
        count: impl Fn(&str, &str) -> String,
    ) -> Vec<String> {
        // What was never counted is none.
        let or_none = |counter: &String| format!("({} or vector(0))", count(counter, ""));
        let all = |counters: &[String]| counters.iter().map(or_none).collect::<Vec<_>>().join(" + ");
        let (part, number) = match self.part {
            Part::Bad => (all(&counters.part), bad),
            Part::Good => (all(&counters.part), good),
            Part::Within => (counters.part.first().map(|it| count(it, " by (le) ")).unwrap_or_default(), within),
        };
        let total_of = match &counters.total[..] {
            [one] => count(one, ""),
            several => {
                let numbered = |(index, counter): (usize, &String)| {
                    format!("label_replace({}, \"part\", \"{index}\", \"\", \"\")", count(counter, ""))
                };
                format!("sum({})", several.iter().enumerate().map(numbered).collect::<Vec<_>>().join(" or "))
            }
        };
        vec![named(&part, &number.by(reporter)), named(&total_of, &total.by(reporter))]
    }
}

/// The query before anything moves, with stable in the canary's place where one selector is for both: what it has shown, and
/// how often it is scraped, by everybody who may have counted.
pub fn baseline(all: &[Selectors]) -> String {
    all.iter().flat_map(Selectors::baseline).collect::<Vec<_>>().join(" or ")
}

fn increase(counter: &str, by: &str) -> String {
    if counter.contains(WINDOW) {
        return format!("sum{by}({counter})");
    }
    let last = format!("last_over_time({counter}[{LOOK_BACK}])");
    let before = format!("last_over_time({counter}[{LOOK_BACK}] offset {INTERVAL})");
    format!("sum{by}(({last} - {before}) >= 0 or {last})")
}

/// Seconds from the first scrape to the last one, by how many there were: a series may be younger than the time that is looked
/// at.
fn scrape_interval(counter: &str) -> String {
    let at = |which: &str| format!("{which}_over_time(timestamp({counter})[{SCRAPES_OVER}:1s])");
    let times = format!("((count_over_time({counter}[{SCRAPES_OVER}]) > 1) - 1)");
    format!("min(({} - {}) / {times})", at("max"), at("min"))
}

/// Seconds since its oldest series was first scraped, in the time that is looked at.
fn known_for(counter: &str) -> String {
    format!("time() - min(min_over_time(timestamp({counter})[{BASELINE_MINUTES}m:{SCRAPES_OVER_EACH}]))")
}

fn named(expression: &str, number: &str) -> String {
    format!("label_replace({expression}, \"count\", \"{number}\", \"\", \"\")")
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
///
/// # Errors
/// Where a histogram does not tell how many took longer than the limit.
pub fn counts(
    numbers: &[Counted],
    reporter: Option<Reporter>,
    latency: Option<&Latency>,
) -> Result<(Option<Counts>, Option<Counts>), String> {
    let of = |wanted: Number| {
        numbers.iter().find(|it| it.number == wanted && it.reporter == reporter).map(|counted| counted.value)
    };
    let revision = |bad: Number, good: Number, within: Number, total: Number| {
        if let Some(latency) = latency.filter(|latency| !latency.native) {
            return latency.counts(numbers, reporter, [within, total]);
        }
        let Some(total) = of(total) else { return Ok(None) };
        let bad = of(bad).or_else(|| Some(total - of(good)?));
        Ok(bad.map(|bad| Counts { bad, total }.clean()))
    };
    let canary = revision(Number::CanaryBad, Number::CanaryGood, Number::CanaryWithin, Number::CanaryTotal)?;
    let [bad, good, within, total] = OF_STABLE;
    Ok((canary, revision(bad, good, within, total)?))
}

/// A time among the numbers, where it is known.
pub fn time(numbers: &[Counted], reporter: Option<Reporter>, wanted: Number) -> Option<Duration> {
    let seconds = numbers.iter().find(|it| it.number == wanted && it.reporter == reporter)?.value;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selectors() -> Selectors {
        let of = |revision: &str| Counters {
            part: vec![format!("bad{{r=\"{revision}\"}}")],
            total: vec![format!("all{{r=\"{revision}\"}}")],
        };
        Selectors { reporter: None, part: Part::Bad, canary: of("new"), stable: Some(of("old")) }
    }

    #[test]
    fn all_numbers_of_a_look_are_in_one_query() {
        let query = selectors().counting();
        assert!(query.starts_with(
            "label_replace((sum((last_over_time(bad{r=\"new\"}[10m]) - last_over_time(bad{r=\"new\"}[10m] offset \
             {{interval}})) >= 0 or last_over_time(bad{r=\"new\"}[10m])) or vector(0)), \"count\", \"canary bad\", \"\", \"\")"
        ), "{query}");
        assert_eq!(query.matches("label_replace").count(), 4);
        let alone = Selectors { stable: None, part: Part::Good, ..selectors() }.counting();
        assert!(alone.contains("canary good") && !alone.contains("stable"), "{alone}");
        let baseline = baseline(&[selectors()]);
        assert!(
            baseline.contains("sum(increase(all{r=\"old\"}[30m]))") && baseline.contains("stable total"),
            "{baseline}"
        );
        assert!(
            baseline.contains(
                "label_replace(min((max_over_time(timestamp(all{r=\"old\"})[5m:1s]) - min_over_time(timestamp(all{r=\"old\"})\
                 [5m:1s])) / ((count_over_time(all{r=\"old\"}[5m]) > 1) - 1)), \"count\", \"scrape interval\", \"\", \"\")"
            ),
            "{baseline}"
        );
    }

    #[test]
    fn a_source_that_knows_only_the_last_seconds_is_asked_for_them() {
        let windowed = Counters {
            part: vec!["increase(bad[{{window}}])".to_owned()],
            total: vec!["increase(all[{{window}}])".to_owned()],
        };
        let selectors = Selectors { reporter: None, part: Part::Bad, canary: windowed, stable: None };
        let query = selectors.counting();
        assert!(
            query.contains("(sum(increase(bad[{{window}}])) or vector(0))") && !query.contains("offset"),
            "{query}"
        );
        let baseline = baseline(&[selectors]);
        assert!(baseline.contains("sum(increase(all[30m]))") && !baseline.contains("scrape"));
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
        let plain = Counted::plain;
        let numbers =
            [plain(Number::CanaryGood, 97.0), plain(Number::CanaryTotal, 100.0), plain(Number::StableBad, 5.0)];
        assert_eq!(counts(&numbers, None, None), Ok((Some(Counts { bad: 3.0, total: 100.0 }), None)));
        let every = |seconds| time(&[plain(Number::ScrapeInterval, seconds)], None, Number::ScrapeInterval);
        assert_eq!((every(30.0), every(-1.0)), (Some(Duration::from_secs(30)), None));
    }

    #[test]
    fn what_several_count_is_asked_of_all_and_read_of_one() {
        let several = |reporter| Selectors {
            reporter: Some(reporter),
            canary: Counters {
                part: vec!["bad".to_owned(), "worse".to_owned()],
                total: vec!["http".to_owned(), "grpc".to_owned()],
            },
            stable: None,
            part: Part::Bad,
        };
        let all = baseline(&[several(Reporter::Waypoint), several(Reporter::Source)]);
        let bad = "label_replace((sum(increase(bad[30m])) or vector(0)) + (sum(increase(worse[30m])) or vector(0)), \"count\", \
                   \"stable bad by source\", \"\", \"\")";
        assert!(all.contains(bad), "{all}");
        let total = "label_replace(sum(label_replace(sum(increase(http[30m])), \"part\", \"0\", \"\", \"\") or label_replace(\
                     sum(increase(grpc[30m])), \"part\", \"1\", \"\", \"\")), \"count\", \"stable total by waypoint\", \"\", \"\")";
        assert!(all.contains(total), "{all}");
        let by = |reporter: Reporter, value| Counted {
            reporter: Some(reporter),
            ..Counted::plain(Number::StableTotal, value)
        };
        let bad = Counted { reporter: Some(Reporter::Source), ..Counted::plain(Number::StableBad, 1.0) };
        let numbers = [by(Reporter::Waypoint, 7.0), by(Reporter::Source, 9.0), bad];
        let of_source = counts(&numbers, Some(Reporter::Source), None);
        assert_eq!(of_source, Ok((None, Some(Counts { bad: 1.0, total: 9.0 }))));
    }

    #[test]
    fn a_histogram_is_asked_for_all_its_buckets() {
        let of = || Counters { part: vec!["h_bucket".to_owned()], total: vec!["h_count".to_owned()] };
        let selectors = Selectors { reporter: None, part: Part::Within, canary: of(), stable: Some(of()) };
        let query = selectors.counting();
        assert!(query.starts_with("label_replace(sum by (le) ((last_over_time(h_bucket[10m]) - "), "{query}");
        assert!(query.contains("\"canary within\"") && query.contains("\"stable total\""), "{query}");
    }
}
