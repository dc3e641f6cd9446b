//! Whatever stands in a Rollout or in a template: it is read, and planned for, without a panic.

use jiff::Timestamp;
use leadsman_core::observed::{Endpoints, Look, Observed, ParentService, Sighted};
use leadsman_core::plan::plan;
use proptest::prelude::*;

use super::*;
use crate::shapes::spoiled;

/// A cluster in which nothing of the Rollout exists yet.
fn nothing_yet() -> Observed {
    Observed {
        now: Timestamp::UNIX_EPOCH,
        first_pass: true,
        live: true,
        sets: Look::Seen(std::collections::BTreeMap::new()),
        service: ParentService::Fits,
        ports: None,
        named_ports: None,
        other_services: Vec::new(),
        old_pods: None,
        stable_service: Look::Missing,
        canary_service: Look::Missing,
        stable_endpoints: Endpoints::default(),
        canary_endpoints: Endpoints::default(),
        routes: Vec::new(),
        answers: Vec::new(),
        words: None,
        trial: None,
        reports: std::collections::BTreeMap::new(),
        finalizer: false,
        refused: Vec::new(),
        sighted: Sighted::default(),
    }
}

proptest! {
    #[test]
    fn nothing_in_a_rollout_or_a_template_makes_reading_or_planning_panic(
        rollout in spoiled(podinfo()),
        success_rate in spoiled(success_rate()),
        latency in spoiled(latency()),
    ) {
        // What the schema refuses never gets here; what the types refuse is told as unreadable.
        let Ok(rollout) = serde_json::from_value::<Rollout>(rollout) else { return Ok(()) };
        let template = |reference: &TemplateRef| {
            let spec = if reference.template_name == "latency" { &latency } else { &success_rate };
            serde_json::from_value::<AnalysisTemplateSpec>(spec.clone()).ok()
        };
        let declared = declare(&rollout, "leadsman", &template);
        plan(&declared.core, None, &nothing_yet());
    }
}
