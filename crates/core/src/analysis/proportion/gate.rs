//! Everything that is kept of one proportion during one attempt, and what follows from it.
//!
//! Intervals are counted one after the other and none twice: each begins where the one before it ended. Failure is final.
//! What may pass is looked at anew at each weight; what may fail goes on.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::evidence::Evidence;
use super::sequence::{ln_below, ln_under_share, lower};
use super::{Against, Baseline, Counts, Limit, Proportion, finite};
use crate::analysis::verdict::Verdict;
use crate::time::to_millisecond;

/// Counted intervals after which new money is put in.
const STAKE_EVERY: u32 = 10;
/// Intervals that say how a revision is doing now.
const RECENT: usize = 3;
/// Intervals of stable after which what is known lately is halved.
const LATELY: u32 = 60;
/// Different intervals with bad requests before the statistics may roll back.
const LEAST_BAD_INTERVALS: u32 = 2;
/// Evidence that the canary gets less than half of its share.
const UNDER_SHARE: f64 = 20.0;
/// Counted intervals at a weight before it may pass.
const LEAST_INTERVALS: u32 = 3;

/// What is kept of one proportion during one attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Gate {
    /// Until when requests have been counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Since when the weight has been in force that the window is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Why it failed: nothing is counted any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<Failed>,
    /// The canary in the whole attempt.
    pub whole: Counts,
    /// Stable in the whole attempt.
    pub whole_stable: Counts,
    /// Intervals with requests of the canary in the whole attempt.
    pub intervals: u32,
    /// The canary at the present weight, all of it.
    pub seen: Counts,
    /// Stable at the present weight, all of it.
    pub seen_stable: Counts,
    over_limit: Evidence,
    over_stable: Evidence,
    stakes: u32,
    since_stake: u32,
    stake_due: bool,
    /// Stable before the release.
    baseline: Baseline,
    /// The same and everything since.
    reference: Counts,
    /// Stable's last 30 to 60 intervals.
    lately: Counts,
    lately_intervals: u32,
    /// Stable's last intervals, the newest last.
    recent_stable: Vec<Counts>,
    /// The canary's last intervals at the present weight that are not void.
    recent: Vec<Counts>,
    bad_intervals: u32,
    /// Requests in the present run of intervals without a good one.
    all_bad: f64,
    /// Stable in the same run.
    all_bad_stable: Counts,
    /// The canary at the present weight, without void intervals.
    window: Counts,
    /// Stable in the same intervals.
    window_stable: Counts,
    window_intervals: u32,
    /// Stable failed the limit in the last interval: that says nothing about the canary.
    void: bool,
}

/// Why a proportion failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failed {
    /// Every request failed.
    AllFailed,
    /// More than may be.
    AboveLimit,
    /// More than stable's share and the margin.
    WorseThanStable,
    /// Stable fails too, and that counts as a failure.
    SharedFailure,
}

/// What a look says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is worse than it may be.
    Failed(Failed),
    /// No request of the canary at this weight.
    NoRequest,
    /// Stable fails the limit as well.
    SharedFailure,
    /// Too few intervals or requests at this weight.
    TooFew,
    /// It turned bad lately.
    WorseLately,
    /// Not yet shown to be below the limit.
    NotYetBelowLimit,
    /// Not yet shown to be as good as stable.
    NotYetAsGoodAsStable,
    /// It is good enough.
    Shown,
}

impl Finding {
    /// The verdict.
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Failed(_) => Verdict::Failure,
            Self::NoRequest => Verdict::NoData,
            Self::Shown => Verdict::Success,
            Self::SharedFailure
            | Self::TooFew
            | Self::WorseLately
            | Self::NotYetBelowLimit
            | Self::NotYetAsGoodAsStable => Verdict::Inconclusive,
        }
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::with_baseline(Baseline::default())
    }
}

impl Gate {
    /// Nothing counted yet, and so much known of stable.
    pub fn with_baseline(baseline: Baseline) -> Self {
        let baseline = Baseline { stable: baseline.stable.clean(), ..baseline };
        Self {
            until: None,
            since: None,
            failed: None,
            whole: Counts::default(),
            whole_stable: Counts::default(),
            intervals: 0,
            seen: Counts::default(),
            seen_stable: Counts::default(),
            over_limit: Evidence::default(),
            over_stable: Evidence::default(),
            stakes: 0,
            since_stake: 0,
            stake_due: true,
            baseline,
            reference: baseline.stable,
            lately: Counts::default(),
            lately_intervals: 0,
            recent_stable: Vec::new(),
            recent: Vec::new(),
            bad_intervals: 0,
            all_bad: 0.0,
            all_bad_stable: Counts::default(),
            window: Counts::default(),
            window_stable: Counts::default(),
            window_intervals: 0,
            void: false,
        }
    }

    /// Stable before the release.
    pub fn baseline(&self) -> Baseline {
        self.baseline
    }

    /// Evidence that the limit is broken, and that stable is better, where 1 is none.
    pub fn evidence(&self) -> (f64, f64) {
        (self.over_limit.total(self.stakes), self.over_stable.total(self.stakes))
    }

    /// A weight is in force since `since`: what may pass is looked at anew.
    pub fn weigh(&mut self, since: Timestamp) {
        if self.since == Some(since) {
            return;
        }
        self.since = Some(since);
        // As it is asked about: a look that begins there goes on from it.
        self.until = Some(to_millisecond(since));
        (self.seen, self.seen_stable) = (Counts::default(), Counts::default());
        (self.window, self.window_stable, self.window_intervals) = (Counts::default(), Counts::default(), 0);
        self.recent.clear();
        self.void = false;
        self.stake_due = true;
    }

    /// Counts one interval: the canary, and stable where it is known.
    pub fn count(&mut self, proportion: &Proportion, canary: Counts, stable: Option<Counts>) {
        if self.failed.is_some() {
            return;
        }
        let (canary, stable) = (canary.clean(), stable.unwrap_or_default().clean());
        self.whole = self.whole.plus(canary);
        self.whole_stable = self.whole_stable.plus(stable);
        self.seen_stable = self.seen_stable.plus(stable);
        if stable.total > 0.0 {
            remember(&mut self.recent_stable, stable);
            self.lately = self.lately.plus(stable);
            self.lately_intervals = self.lately_intervals.saturating_add(1);
        }
        if canary.total > 0.0 {
            self.count_canary(proportion, canary, stable);
        }
        if stable.total > 0.0 && self.lately_intervals >= LATELY {
            self.lately = self.lately.half();
            self.lately_intervals /= 2;
        }
        self.reference = self.reference.plus(stable);
    }

    fn count_canary(&mut self, proportion: &Proportion, canary: Counts, stable: Counts) {
        self.intervals = self.intervals.saturating_add(1);
        if self.stake_due || self.since_stake >= STAKE_EVERY {
            (self.stake_due, self.since_stake) = (false, 0);
            self.stakes = self.stakes.saturating_add(1);
            self.over_limit.put_in(self.stakes);
            self.over_stable.put_in(self.stakes);
        }
        self.since_stake = self.since_stake.saturating_add(1);
        if let Some(Limit { max, .. }) = proportion.limit {
            self.over_limit.count(canary.bad, canary.total * self.at_least(max.as_f64(), stable));
        }
        if let Some(Against { margin, .. }) = proportion.against
            && let Some(usual) = self.usual().filter(|_| stable.total > 0.0)
        {
            let allowed = (self.at_least(usual, stable) + margin.as_f64()).min(1.0);
            self.over_stable.count(canary.bad, canary.total * allowed);
        }
        if canary.bad > 0.0 {
            self.bad_intervals = self.bad_intervals.saturating_add(1);
        }
        if canary.bad >= canary.total {
            self.all_bad += canary.total;
            self.all_bad_stable = self.all_bad_stable.plus(stable);
        } else {
            (self.all_bad, self.all_bad_stable) = (0.0, Counts::default());
        }
        self.void = proportion.limit.is_some_and(|limit| stable.is_clearly_above(limit.max.as_f64()));
        self.seen = self.seen.plus(canary);
        if !self.void {
            self.window = self.window.plus(canary);
            self.window_stable = self.window_stable.plus(stable);
            self.window_intervals = self.window_intervals.saturating_add(1);
            remember(&mut self.recent, canary);
        }
        self.failed = self.failure(proportion);
    }

    /// What stable's share usually is, one standard deviation in its favour; `None` while nothing is known of it.
    fn usual(&self) -> Option<f64> {
        let Counts { bad, total } = self.reference;
        let known = bad + 0.5;
        let before = (total > 0.0).then(|| (known + known.sqrt()) / (total + 1.0))?;
        let Counts { bad, total } = self.lately;
        Some(if total > 0.0 { before.max((bad + bad.sqrt()) / total) } else { before })
    }

    /// `rate`, or what stable shows at present where that is clearly more: in this interval, or in its last ones.
    fn at_least(&self, rate: f64, stable: Counts) -> f64 {
        if stable.total <= 0.0 {
            return rate;
        }
        let lately: Counts = self.recent_stable.iter().copied().sum();
        let shown = [stable, lately].into_iter().filter(|shown| shown.is_clearly_above(rate));
        shown.map(Counts::share).fold(rate, f64::max)
    }

    fn failure(&self, proportion: &Proportion) -> Option<Failed> {
        let is_shared = self.all_bad_stable.bad > 0.5 * self.all_bad_stable.total;
        let hard = f64::from(proportion.hard_failure);
        if hard > 0.0 && self.all_bad >= hard && !is_shared {
            return Some(Failed::AllFailed);
        }
        if self.bad_intervals < LEAST_BAD_INTERVALS {
            return None;
        }
        let (over_limit, over_stable) = self.evidence();
        if proportion.limit.is_some() && over_limit >= proportion.threshold() {
            return Some(Failed::AboveLimit);
        }
        (proportion.against.is_some() && over_stable >= proportion.threshold()).then_some(Failed::WorseThanStable)
    }

    /// What the last look says.
    pub fn finding(&self, proportion: &Proportion) -> Finding {
        if let Some(failed) = self.failed {
            return Finding::Failed(failed);
        }
        if self.seen.total <= 0.0 {
            return Finding::NoRequest;
        }
        if self.void {
            return Finding::SharedFailure;
        }
        let too_few = self.window_intervals < LEAST_INTERVALS || self.window.total < f64::from(proportion.min_samples);
        if too_few || self.window.total <= 0.0 {
            return Finding::TooFew;
        }
        let wanted = -proportion.alpha().ln();
        let lately: Counts = self.recent.iter().copied().sum();
        let Counts { bad, total } = self.window;
        let share = self.window.share();
        if let Some(Limit { max, pass_below }) = proportion.limit {
            if lately.is_clearly_above(max.as_f64()) {
                return Finding::WorseLately;
            }
            if share > max.as_f64() || ln_below(bad, total, pass_below.as_f64()) < wanted {
                return Finding::NotYetBelowLimit;
            }
        }
        if let Some(Against { margin, pass_within }) = proportion.against {
            // What stable shows in all, and at this weight: the greater of both.
            let known = [self.reference, self.window_stable];
            let usual = known.map(Counts::share).into_iter().fold(0.0, f64::max);
            if lately.is_clearly_above(usual + margin.as_f64()) {
                return Finding::WorseLately;
            }
            let alpha = proportion.alpha();
            let is_within = |stable: &Counts| {
                let most = lower(stable.bad, stable.total, alpha / 4.0) + pass_within.as_f64();
                most >= 1.0 || ln_below(bad, total, most) >= -(alpha / 2.0).ln()
            };
            if share > usual + margin.as_f64() || !known.iter().any(is_within) {
                return Finding::NotYetAsGoodAsStable;
            }
        }
        Finding::Shown
    }

    /// The canary at this weight without void intervals: what may pass.
    pub fn window(&self) -> Counts {
        self.window
    }

    /// The canary as it is shown: at its present weight, or, once it failed, in the whole attempt; `None` without requests.
    pub fn shown(&self) -> Option<Counts> {
        Some(if self.failed.is_some() { self.whole } else { self.seen }).filter(|counts| counts.total > 0.0)
    }

    /// Stable over the same time.
    pub fn shown_of_stable(&self) -> Option<Counts> {
        Some(if self.failed.is_some() { self.whole_stable } else { self.seen_stable })
            .filter(|counts| counts.total > 0.0)
    }

    /// Requests of the canary in a second at the present weight, where there were any.
    pub fn rate(&self) -> Option<f64> {
        let seconds = self.until?.duration_since(self.since?).as_secs_f64();
        (seconds > 0.0 && self.seen.total > 0.0).then(|| self.seen.total / seconds)
    }

    /// True where the canary gets less than half of its share of the requests at this weight, beyond doubt.
    pub fn is_under(&self, share: f64) -> bool {
        let (canary, stable) = (self.seen.total, self.seen_stable.total);
        self.failed.is_none() && canary + stable > 0.0 && ln_under_share(canary, stable, share) >= UNDER_SHARE.ln()
    }

    /// True where stable failed the limit in the last interval, so that it says nothing about the canary.
    pub fn is_void(&self) -> bool {
        self.failed.is_none() && self.void
    }

    /// A persisted state is data: what no gate can be counts for nothing, and what is later than `now` is now.
    pub fn make_sound(&mut self, now: Timestamp) {
        self.until = self.until.map(|until| until.min(now));
        self.since = self.since.filter(|since| *since <= now);
        self.over_limit.make_sound();
        self.over_stable.make_sound();
        self.all_bad = finite(self.all_bad);
        for recent in [&mut self.recent_stable, &mut self.recent] {
            keep_newest(recent);
        }
        let sums = [
            &mut self.whole,
            &mut self.whole_stable,
            &mut self.seen,
            &mut self.seen_stable,
            &mut self.baseline.stable,
            &mut self.reference,
            &mut self.lately,
            &mut self.all_bad_stable,
            &mut self.window,
            &mut self.window_stable,
        ];
        let all = sums.into_iter().chain(&mut self.recent_stable).chain(&mut self.recent);
        all.for_each(|counts| *counts = counts.clean());
    }
}

fn remember(recent: &mut Vec<Counts>, counts: Counts) {
    recent.push(counts);
    keep_newest(recent);
}

fn keep_newest(recent: &mut Vec<Counts>) {
    recent.drain(..recent.len().saturating_sub(RECENT));
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::Share;
    use super::super::tests::{close, vectors};
    use super::super::trials::limited_to;
    use super::*;

    fn counts(pair: &Value) -> Counts {
        Counts { bad: pair[0].as_f64().unwrap(), total: pair[1].as_f64().unwrap() }
    }

    fn share(config: &Value, name: &str) -> Option<Share> {
        config[name].as_f64().map(|share| Share(format!("{:.0}", share * 1e6).parse().unwrap()))
    }

    fn proportion(config: &Value) -> Proportion {
        Proportion {
            limit: share(config, "max").map(|max| Limit { max, pass_below: max.twice() }),
            against: share(config, "margin").map(|margin| Against { margin, pass_within: Share(margin.0 * 2) }),
            confidence: share(config, "confidence").unwrap_or(Share(950_000)),
            ..limited_to(Share(10_000))
        }
    }

    fn reason(finding: Finding) -> String {
        match finding {
            Finding::Failed(failed) => format!("{failed:?}"),
            Finding::NoRequest => "no request".to_owned(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn the_first_look_begins_at_the_millisecond_of_the_weight() {
        let mut gate = Gate::default();
        gate.weigh(Timestamp::from_nanosecond(1_999_999).unwrap());
        assert_eq!(gate.until, Some(Timestamp::from_millisecond(1).unwrap()));
    }

    #[test]
    fn every_vector_of_the_reference_comes_out_as_there() {
        let vectors = vectors();
        for case in vectors["gates"].as_array().unwrap() {
            let proportion = proportion(&case["config"]);
            let baseline = Baseline { stable: counts(&case["baseline"]), ..Baseline::default() };
            let mut gate = Gate::with_baseline(baseline);
            gate.weigh(Timestamp::UNIX_EPOCH);
            let mut after = case["after"].as_array().unwrap().iter();
            for (index, interval) in case["intervals"].as_array().unwrap().iter().enumerate() {
                if interval == "weight" {
                    gate.weigh(Timestamp::from_second(i64::try_from(index).unwrap() + 1).unwrap());
                    continue;
                }
                let Some(after) = after.next() else { break };
                let stable = interval.get(1).map(counts);
                gate.count(&proportion, counts(&interval[0]), stable);
                // Every pass reads it anew.
                gate = serde_json::from_str(&serde_json::to_string(&gate).unwrap()).unwrap();
                gate.make_sound(Timestamp::MAX);
                let (over_limit, over_stable) = gate.evidence();
                let at = format!("{} after {index}", case["name"]);
                let unused = |used: bool, evidence: f64| if used { evidence } else { 1.0 };
                let over_limit = unused(proportion.limit.is_some(), over_limit);
                let over_stable = unused(proportion.against.is_some(), over_stable);
                assert!(close(over_limit, after["overMax"].as_f64().unwrap()), "{at}: {over_limit}");
                assert!(close(over_stable, after["overStable"].as_f64().unwrap()), "{at}: {over_stable}");
                let finding = gate.finding(&proportion);
                assert_eq!(format!("{:?}", finding.verdict()), after["verdict"], "{at}");
                assert_eq!(reason(finding), after["reason"], "{at}");
            }
            assert!(after.next().is_none(), "{}: too few intervals", case["name"]);
        }
    }
}
