//! `spec.strategy.blueGreen`, as steps: a preview of some size, what is asked of it, all pods, all traffic, and what is asked
//! then.

use leadsman_api::BlueGreen;
use leadsman_core::spec::{CanaryScale, Problem, Step};
use leadsman_core::traffic::Weight;

use super::{Way, amount, analysis, at_least_one, duration, optional};
use crate::declare::analysis::Catalog;
use crate::declare::invalid_spec;

const AT: &str = "spec.strategy.blueGreen";

pub(super) fn read(blue_green: &BlueGreen, around: &Catalog<'_>) -> Result<Way, Problem> {
    let of = |field: &str| format!("{AT}.{field}");
    let settle = duration(&of("settle"), &blue_green.settle)?;
    let given = optional(&of("overlap"), blue_green.overlap.as_ref())?;
    let overlap = match (given, &blue_green.routes) {
        (Some(_), Some(_)) => {
            return Err(invalid_spec(format!("{AT}.overlap must be left out with routes: they go over in one write")));
        }
        (None, Some(_)) => std::time::Duration::ZERO,
        // As long as any change is given, so that the way back needs no more than one write.
        (None, None) => settle,
        (Some(given), None) => given,
    };
    let settle_endpoints = blue_green.settle_endpoints.as_ref();
    let drain = duration(&of("drain"), &blue_green.drain)?;
    Ok(Way {
        settle,
        settle_endpoints: optional(&of("settleEndpoints"), settle_endpoints)?,
        drain,
        // While its pods are there, going back to the old revision takes no waiting for them.
        keep_warm: optional(&of("scaleDownDelay"), blue_green.scale_down_delay.as_ref())?.unwrap_or(drain),
        overlap,
        keep_stable: Weight::FULL,
        pods_at_once: amount(&of("podsAtOnce"), blue_green.pods_at_once.as_ref())?,
        least_canary: 0,
        bind_canary: None,
        steps: steps(blue_green, around)?,
        background: None,
    })
}

fn steps(blue_green: &BlueGreen, around: &Catalog<'_>) -> Result<Vec<Step>, Problem> {
    let whole = CanaryScale::Percent(Weight::FULL);
    let preview = match blue_green.preview_replicas {
        Some(pods) => CanaryScale::Replicas(at_least_one(&format!("{AT}.previewReplicas"), pods)?),
        None => whole,
    };
    let mut steps = vec![Step::Scale(preview)];
    if let Some(wanted) = &blue_green.pre_promotion_analysis {
        steps.push(analysis(format!("{AT}.prePromotionAnalysis"), wanted, around)?);
    }
    steps.extend(pause(blue_green)?);
    if preview != whole {
        steps.push(Step::Scale(whole));
    }
    steps.push(Step::SetWeight(Weight::FULL));
    if let Some(wanted) = &blue_green.post_promotion_analysis {
        steps.push(analysis(format!("{AT}.postPromotionAnalysis"), wanted, around)?);
    }
    Ok(steps)
}

/// What the preview waits for, where it waits.
fn pause(blue_green: &BlueGreen) -> Result<Option<Step>, Problem> {
    let after = optional(&format!("{AT}.autoPromotionAfter"), blue_green.auto_promotion_after.as_ref())?;
    match (blue_green.auto_promotion, after) {
        (true, None) => Ok(None),
        (true, after) => Ok(Some(Step::Pause(after))),
        (false, None) => Ok(Some(Step::Pause(None))),
        (false, Some(_)) => {
            Err(invalid_spec(format!("{AT}.autoPromotionAfter must be left out where autoPromotion is false")))
        }
    }
}
