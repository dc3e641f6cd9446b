//! What happened, second by second, as far as it can be told from outside: what clients were answered, what the route
//! said, what was decided. Times are seconds since the story began.

use leadsman_view::svg::marks::Tone;

use crate::load::Record;

/// Both releases.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// The versions, in the order in which they were declared.
    pub versions: Vec<Version>,
    /// What clients saw, a second after the other.
    pub seconds: Vec<Second>,
    /// The canary's weight in the route in percent, from each instant on.
    pub weights: Vec<(f64, f64)>,
    /// Which versions the Service selects that carries the traffic, from each instant on.
    pub selected: Vec<(f64, Vec<usize>)>,
    /// In the order of their times.
    pub decisions: Vec<Decision>,
    /// The success rate that a canary has to have, 0 to 1.
    pub limit: Option<f64>,
    /// The end, for people: how many requests, how many of them failed, and why.
    pub captions: Vec<String>,
}

/// A version of the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// What it says it is.
    pub name: String,
    /// What is special about it; may be empty.
    pub note: String,
}

/// What clients saw in a second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Second {
    /// By version, in the order of [`Story::versions`].
    pub answers: Vec<Answers>,
}

/// What a version answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// All of them.
    pub all: u32,
    /// Those that were errors.
    pub failed: u32,
}

/// An instant at which something was decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// When.
    pub at: f64,
    /// In a word or two.
    pub label: String,
    /// How to look at it.
    pub tone: Tone,
}

impl Second {
    /// Answers of all versions.
    pub fn total(&self) -> u32 {
        self.answers.iter().map(|answers| answers.all).sum()
    }

    /// The part of a version in the second's answers; `None` where there were none.
    pub fn share(&self, version: usize) -> Option<f64> {
        let total = self.total();
        (total > 0).then(|| f64::from(self.of(version).all) / f64::from(total))
    }

    /// What a version answered.
    pub fn of(&self, version: usize) -> Answers {
        self.answers.get(version).copied().unwrap_or_default()
    }
}

impl Answers {
    /// The part that did not fail; `None` without answers.
    pub fn success(self) -> Option<f64> {
        (self.all > 0).then(|| 1.0 - f64::from(self.failed) / f64::from(self.all))
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { all: self.all + other.all, failed: self.failed + other.failed }
    }
}

impl Story {
    /// Sorts records into seconds, from `start` (seconds since 1970) on. A last second that is not over is left out.
    pub fn of_records(versions: Vec<Version>, records: &[Record], start: f64) -> Self {
        let last = records.iter().map(|record| record.sent - start).fold(0.0, f64::max);
        let mut story = Self { versions, ..Self::default() };
        story.seconds.resize(whole(last), Second { answers: vec![Answers::default(); story.versions.len()] });
        story.add(records, start);
        story
    }

    fn add(&mut self, records: &[Record], start: f64) {
        for record in records {
            let at = record.sent - start;
            let place = self.versions.iter().position(|version| version.name == record.version);
            let (Some(place), true) = (place, at >= 0.0) else { continue };
            if let Some(answers) = self.seconds.get_mut(whole(at)).and_then(|it| it.answers.get_mut(place)) {
                *answers = answers.and(Answers { all: 1, failed: u32::from(record.failed()) });
            }
        }
    }

    /// Adds up the last seconds.
    pub fn last_seconds(&self, number: usize) -> Second {
        let mut sum = Second { answers: vec![Answers::default(); self.versions.len()] };
        for second in self.seconds.iter().rev().take(number) {
            for (place, answers) in sum.answers.iter_mut().enumerate() {
                *answers = answers.and(second.of(place));
            }
        }
        sum
    }

    /// What the Service selected, from what was written to it: the hash of a revision, or `any`, which is all that there are:
    /// the one that was alone before, and the one that was declared last.
    pub fn select(&mut self, written: &[(f64, String)], revisions: &[String]) {
        for (at, selection) in written {
            let only = revisions.iter().position(|revision| revision == selection);
            let versions = only.map_or_else(|| self.all_at(*at), |version| vec![version]);
            self.selected.push((at.max(0.0), versions));
        }
    }

    fn all_at(&self, at: f64) -> Vec<usize> {
        let is_declared = |version: &Version| {
            let label = format!("{} declared", version.name);
            self.decisions.iter().any(|decision| decision.at <= at && decision.label == label)
        };
        let newest = self.versions.iter().rposition(is_declared);
        let another = |versions: &Vec<usize>| match versions[..] {
            [only] if Some(only) != newest => Some(only),
            _ => None,
        };
        let before = self.selected.iter().rev().find_map(|(_, versions)| another(versions));
        before.into_iter().chain(newest).collect()
    }

    /// When it ends: what was seen, written or decided last.
    pub fn end(&self) -> f64 {
        let decided = self.decisions.iter().map(|decision| decision.at);
        let written = self.weights.iter().map(|(at, _)| *at);
        let selected = self.selected.iter().map(|(at, _)| *at);
        decided.chain(written).chain(selected).fold(self.seconds.len() as f64, f64::max)
    }
}

/// Whole seconds of a time that is not negative.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few minutes, never negative")]
fn whole(seconds: f64) -> usize {
    seconds.max(0.0) as usize
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn versions() -> Vec<Version> {
        let version = |name: &str, note: &str| Version { name: name.to_owned(), note: note.to_owned() };
        vec![version("v1", ""), version("v2", "good"), version("v3", "30% errors")]
    }

    fn record(sent: f64, version: &str, status: u16) -> Record {
        Record {
            sent,
            milliseconds: 1.0,
            status,
            version: version.to_owned(),
            pod: String::new(),
            error: String::new(),
        }
    }

    #[test]
    fn records_are_counted_in_their_second_and_the_last_one_is_left_out() {
        let records = [
            record(10.1, "v1", 200),
            record(10.9, "v2", 500),
            record(11.0, "v1", 200),
            record(11.2, "?", 200),
            record(12.3, "v1", 200),
        ];
        let story = Story::of_records(versions(), &records, 10.0);
        let seen: Vec<_> =
            story.seconds.iter().map(|it| it.answers.iter().map(|a| a.all).collect::<Vec<_>>()).collect();
        assert_eq!(seen, [[1, 1, 0], [1, 0, 0]]);
        assert_eq!(story.seconds[0].of(1).success(), Some(0.0));
        assert_eq!(story.seconds[0].share(1), Some(0.5));
        assert_eq!(story.seconds[1].of(2).success(), None);
    }

    #[test]
    fn any_is_what_was_selected_before_and_what_was_declared_last() {
        let declared = |at: f64, label: &str| Decision { at, label: label.to_owned(), tone: Tone::Plain };
        let decisions = vec![declared(5.0, "v2 declared"), declared(30.0, "v3 declared")];
        let mut story = Story { versions: versions(), decisions, ..Story::default() };
        let written = [(-9.0, "a"), (10.0, "any"), (13.0, "b"), (35.0, "any"), (39.0, "c"), (44.0, "any"), (47.0, "b")];
        let written = written.map(|(at, what)| (at, what.to_owned()));
        story.select(&written, &["a", "b", "c"].map(str::to_owned));
        let seen: Vec<_> = story.selected.iter().map(|(at, versions)| (*at, &versions[..])).collect();
        let there = [(0.0, &[0][..]), (10.0, &[0, 1]), (13.0, &[1])];
        let and_back = [(35.0, &[1, 2][..]), (39.0, &[2]), (44.0, &[1, 2]), (47.0, &[1])];
        assert_eq!(seen, [&there[..], &and_back].concat());
    }

    #[test]
    fn the_last_seconds_are_added_up() {
        let records: Vec<_> = (0..50).map(|i| record(f64::from(i) / 10.0, "v1", 200)).collect();
        let story = Story::of_records(versions(), &records, 0.0);
        assert_eq!(story.last_seconds(3).of(0), Answers { all: 30, failed: 0 });
        assert_eq!(story.last_seconds(100).total(), 40);
    }
}
