//! Numbers in an answer that has several: each says what it is the number of.

use serde::{Deserialize, Serialize};

/// One number of an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counted {
    /// What it is the number of.
    pub number: Number,
    /// Who counted, where several are asked.
    pub reporter: Option<Reporter>,
    /// The upper boundary of a bucket of a histogram, in its unit.
    pub le: Option<f64>,
    /// How many.
    pub value: f64,
}

/// What a number is the number of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// Requests of the canary that went wrong.
    CanaryBad,
    /// Requests of the canary that went well.
    CanaryGood,
    /// Requests of the canary that took no longer than a boundary.
    CanaryWithin,
    /// All requests of the canary.
    CanaryTotal,
    /// Requests of stable that went wrong.
    StableBad,
    /// Requests of stable that went well.
    StableGood,
    /// Requests of stable that took no longer than a boundary.
    StableWithin,
    /// All requests of stable.
    StableTotal,
    /// Seconds between two scrapes.
    ScrapeInterval,
    /// Seconds since its counters are known.
    KnownFor,
}

/// Who counts the requests of a mesh, those before others that see more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reporter {
    /// A proxy in front of the Service.
    Waypoint,
    /// The proxies of those who send.
    Source,
    /// The proxies of the pods.
    Destination,
    /// The proxies of those who send, by route.
    Route,
    /// The proxies of the pods.
    Inbound,
}

/// What stands between a number and who counted it.
const BY: &str = " by ";

impl Counted {
    /// A number that one reporter gives and that is no bucket's.
    pub fn plain(number: Number, value: f64) -> Self {
        Self { number, reporter: None, le: None, value }
    }

    /// A number by the labels `count` and `le` of its series; `None` where they are no number's.
    pub fn named(count: &str, le: &str, value: f64) -> Option<Self> {
        let (number, reporter) = match count.split_once(BY) {
            Some((number, reporter)) => (number, Some(Reporter::of(reporter)?)),
            None => (count, None),
        };
        let le = if le.is_empty() { None } else { Some(le.parse().ok()?) };
        Some(Self { number: Number::ALL.into_iter().find(|it| it.as_str() == number)?, reporter, le, value })
    }
}

impl Number {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::CanaryBad,
        Self::CanaryGood,
        Self::CanaryWithin,
        Self::CanaryTotal,
        Self::StableBad,
        Self::StableGood,
        Self::StableWithin,
        Self::StableTotal,
        Self::ScrapeInterval,
        Self::KnownFor,
    ];

    /// Its name in an answer.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CanaryBad => "canary bad",
            Self::CanaryGood => "canary good",
            Self::CanaryWithin => "canary within",
            Self::CanaryTotal => "canary total",
            Self::StableBad => "stable bad",
            Self::StableGood => "stable good",
            Self::StableWithin => "stable within",
            Self::StableTotal => "stable total",
            Self::ScrapeInterval => "scrape interval",
            Self::KnownFor => "known for",
        }
    }

    /// The same where this reporter counts.
    pub fn by(self, reporter: Option<Reporter>) -> String {
        match reporter {
            Some(reporter) => format!("{}{BY}{}", self.as_str(), reporter.as_str()),
            None => self.as_str().to_owned(),
        }
    }
}

impl Reporter {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Waypoint, Self::Source, Self::Destination, Self::Route, Self::Inbound];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waypoint => "waypoint",
            Self::Source => "source",
            Self::Destination => "destination",
            Self::Route => "route",
            Self::Inbound => "inbound",
        }
    }

    fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reporter| reporter.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_known_by_its_name() {
        for number in Number::ALL {
            assert_eq!(Counted::named(number.as_str(), "", 1.0), Some(Counted::plain(number, 1.0)));
            for reporter in Reporter::ALL {
                let known = Counted::named(&number.by(Some(reporter)), "", 1.0);
                assert_eq!(known.map(|known| (known.number, known.reporter)), Some((number, Some(reporter))));
            }
        }
        assert_eq!(Counted::named("stable bad by nobody", "", 1.0), None);
        assert_eq!(Counted::named("canary within", "1.0", 1.0).and_then(|it| it.le), Some(1.0));
        assert_eq!(Counted::named("canary within", "+Inf", 1.0).and_then(|it| it.le), Some(f64::INFINITY));
        assert_eq!(Counted::named("canary within", "many", 1.0), None);
    }
}
