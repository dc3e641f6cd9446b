//! What stops no release, and somebody should hear of before it moves anything.

use std::time::Duration;

use super::fact::Doubt;
use super::{Fact, Pass};
use crate::analysis::metric::Metric;
use crate::analysis::proportion::words::{digits, long, percent, whole};
use crate::analysis::proportion::{BASELINE_MINUTES, Baseline, Limit, Proportion};
use crate::spec::Step;
use crate::state::{Release, in_step};
use crate::traffic::{Strategy, Weight};

/// Doubts that are told of one release at once.
const MOST: usize = 10;

/// A weight at which a metric has to pass, and how long the steps stay at it; `None` for a person's time.
#[derive(Clone, Copy)]
struct Stay {
    weight: Weight,
    lasts: Option<Duration>,
}

/// Of what is declared.
pub(super) fn of_declaration(pass: &mut Pass<'_>) {
    let metrics = pass.release().map(Release::metrics).unwrap_or_default();
    let of_metrics = metrics.iter().flat_map(Metric::warnings);
    let of_routes =
        pass.view.routes().flat_map(|(id, route)| route.warnings.iter().map(move |it| format!("{id}: {it}")));
    // They are about shares.
    let shares = pass.strategy() == Strategy::Canary;
    let service = pass.view.seen.stable_service.seen().filter(|_| shares);
    let of_service = service.into_iter().flat_map(|service| service.warnings.clone());
    let all = of_routes.chain(of_service).chain(of_metrics).map(|what| (Doubt::Declaration, what));
    let all = all.take(MOST).collect();
    tell(pass, all);
}

/// Of what stable has shown of the proportions, at the end of the preflight.
pub(super) fn of_baselines(pass: &mut Pass<'_>) {
    let Some(release) = pass.release() else { return };
    let metrics = release.metrics();
    let known = metrics.iter().filter_map(|metric| {
        let baseline = release.baselines.get(&metric.name)?;
        Some((metric, metric.proportion.as_ref()?, baseline))
    });
    let all = known.flat_map(|(metric, proportion, baseline)| {
        let name = &metric.name;
        let doubts = [
            raised(metric, baseline).map(|what| (Doubt::IntervalRaised, what)),
            interpolated(proportion, baseline).map(|what| (Doubt::Interpolated, what)),
            near(proportion, baseline).map(|what| (Doubt::LimitNearStable, what)),
            too_few(proportion, baseline, &stays(release, name)).map(|what| (Doubt::LowTraffic, what)),
        ];
        doubts.into_iter().flatten().map(move |(kind, what)| (kind, format!("metric {name}: {what}")))
    });
    let all = all.take(MOST).collect();
    tell(pass, all);
}

fn tell(pass: &mut Pass<'_>, all: Vec<(Doubt, String)>) {
    for (kind, what) in all {
        pass.tell(Fact::Doubtful { kind, what });
    }
}

fn raised(metric: &Metric, baseline: &Baseline) -> Option<String> {
    let (asked, every) = (metric.interval.as_secs_f64(), baseline.scrapes_every.as_secs_f64());
    let is_longer = every > asked + 0.5;
    is_longer.then(|| {
        format!(
            "interval {} is shorter than the {} between scrapes: looking every {}",
            long(asked),
            long(every),
            long(every)
        )
    })
}

fn interpolated(proportion: &Proportion, baseline: &Baseline) -> Option<String> {
    Some(proportion.latency.as_ref()?.of(baseline.reporter).interpolated(baseline.neighbours?))
}

fn near(proportion: &Proportion, baseline: &Baseline) -> Option<String> {
    let Limit { max, .. } = proportion.limit?;
    let (share, total) = (baseline.stable.share(), baseline.stable.total);
    (share > max.as_f64() / 2.0).then(|| {
        format!(
            "stable has {} of {} requests in the last {BASELINE_MINUTES} min, more than half of the limit of {max}: a \
             revision that is as good may stay undecided for long; a limit of three times what is usual decides soon",
            percent(share),
            whole(total)
        )
    })
}

/// The first weight at which it needs longer than the steps and its patience last.
fn too_few(proportion: &Proportion, baseline: &Baseline, stays: &[Stay]) -> Option<String> {
    let needed = proportion.requests_to_pass(baseline.stable.share())?;
    stays.iter().find_map(|Stay { weight, lasts }| {
        let (lasts, patience) = ((*lasts)?.as_secs_f64(), proportion.patience.as_secs_f64());
        let rate = baseline.rate() * weight.as_f64();
        let takes = needed as f64 / rate;
        (rate > 0.0 && takes > lasts + patience).then(|| {
            format!(
                "at {} requests/s ({weight} of {}/s) this gate needs about {} ({} requests); the step lasts {}, and its \
                 patience {}: give it a higher first weight, a longer patience, or onInconclusive: Proceed",
                digits(rate),
                digits(baseline.rate()),
                long(takes),
                whole(needed as f64),
                long(lasts),
                long(patience)
            )
        })
    })
}

/// Where a metric has to pass: the background's at each weight, that of a step at its weight.
fn stays(release: &Release, name: &str) -> Vec<Stay> {
    let recipe = &release.recipe;
    let in_background = recipe.background.as_ref().filter(|it| it.metrics.iter().any(|metric| metric.name == name));
    let mut stays: Vec<(Stay, bool)> = Vec::new();
    for (index, step) in recipe.steps.iter().enumerate() {
        let runs = in_background.is_some_and(|background| index >= background.starting_step);
        match (step, stays.last_mut()) {
            (Step::SetWeight(weight), _) => {
                stays.push((Stay { weight: *weight, lasts: Some(Duration::ZERO) }, runs));
            }
            (Step::Pause(duration), Some((stay, wanted))) => {
                stay.lasts = stay.lasts.zip(*duration).map(|(lasts, more)| lasts.saturating_add(more));
                *wanted |= runs;
            }
            (Step::Analysis(metrics), Some((_, wanted))) => {
                *wanted |=
                    runs || metrics.iter().any(|metric| metric.name == name || in_step(&metric.name, index) == name);
            }
            (Step::Pause(_) | Step::Analysis(_), None) | (Step::Scale(_), _) => {}
        }
    }
    let wanted = stays.into_iter().filter(|(stay, wanted)| *wanted && stay.weight != Weight::ZERO);
    wanted.map(|(stay, _)| stay).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::proportion::{Counts, Gate};
    use crate::analysis::tally::tests::counted;
    use crate::analysis::tally::{Last, Tally};
    use crate::analysis::verdict::{Judgement, Verdict};
    use crate::plan::scene::Scene;
    use crate::spec::Background;

    /// The words that are told as the preflight ends, where stable has shown this.
    fn told(baseline: Baseline, change: impl Fn(Proportion) -> Proportion) -> Vec<(&'static str, String)> {
        let mut scene = Scene::preflight();
        let errors = counted("errors", change);
        let release = scene.release();
        release.recipe.background = Some(Background { starting_step: 0, metrics: vec![errors.clone()] });
        release.recipe.steps = vec![
            Step::SetWeight(Weight::FIVE),
            Step::Pause(Some(Duration::from_mins(5))),
            Step::SetWeight(Weight::HALF),
        ];
        let mut tally = Tally { gate: Some(Box::new(Gate::with_baseline(baseline))), ..Tally::default() };
        tally.last = Some(Last {
            at: scene.seen.now,
            since: scene.seen.now,
            judgement: Judgement { verdict: Verdict::Success, value: String::new(), because: String::new() },
            query: String::new(),
        });
        scene.state().tried = Some("new".into());
        scene.rollout.spec = Ok(scene.release().recipe.clone());
        let preflight = scene.release().preflight.as_mut().unwrap();
        preflight.measured.insert("errors".to_owned(), tally);
        let facts = scene.pass().facts;
        let doubts = facts.iter().filter(|fact| matches!(fact, Fact::Doubtful { .. }));
        doubts.map(|fact| (fact.reason(), fact.to_string())).collect()
    }

    fn stable(bad: f64, total: f64) -> Baseline {
        Baseline { stable: Counts { bad, total }, ..Baseline::default() }
    }

    #[test]
    fn a_small_request_rate_is_told_before_anything_moves() {
        let all = told(stable(32.4, 10_800.0), |it| it);
        let [(reason, what)] = &all[..] else { panic!("{all:?}") };
        assert_eq!(*reason, "LowTraffic");
        assert!(
            what.starts_with(
                "metric errors: at 0.3 requests/s (5% of 6/s) this gate needs about 17 min (311 requests); the step lasts 5 \
                 min, and its patience 10 min"
            ),
            "{what}"
        );
        let patient = |it| Proportion { patience: Duration::from_mins(20), ..it };
        assert_eq!(told(stable(32.4, 10_800.0), patient), []);
        let young = Baseline { known_for: Duration::from_mins(3), ..stable(32.4, 10_800.0) };
        assert_eq!(told(young, |it| it), [], "all of that in three minutes");
        let many = |it| Proportion { min_samples: 1000, ..it };
        assert_eq!(told(stable(0.0, 36_000.0), many)[0].0, "LowTraffic");
    }

    #[test]
    fn a_stable_near_the_limit_and_a_longer_time_between_scrapes_are_told() {
        let near = told(stable(600.0, 100_000.0), |it| it);
        assert_eq!(near[0].0, "LimitNearStable");
        assert!(near[0].1.contains("stable has 0.6% of 100,000 requests"), "{near:?}");
        let slow = Baseline { scrapes_every: Duration::from_secs(30), ..stable(0.0, 1e6) };
        let slow = told(slow, |it| it);
        assert_eq!(slow[0].0, "IntervalRaised");
        assert!(slow[0].1.ends_with("interval 10 s is shorter than the 30 s between scrapes: looking every 30 s"));
    }
}
