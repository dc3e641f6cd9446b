//! What the README shows works as it stands there.

use leadsman_api::Rollout;
use leadsman_core::observed::Acceptance;
use leadsman_core::traffic::Weight;
use serde_json::{Value, json};

use super::super::declare;
use crate::routers::{Backends, view};

const README: &str = include_str!("../../../README.md");

/// The blocks of YAML in the README, in their order.
fn blocks() -> Vec<Value> {
    let blocks = README.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.map(|yaml| serde_saphyr::from_str(yaml).unwrap()).collect()
}

#[test]
fn the_rollout_in_the_readme_is_sound_and_fits_its_route() {
    let [mut rollout, mut route] = <[Value; 2]>::try_from(blocks()).expect("a Rollout and its route");
    rollout["metadata"]["namespace"] = json!("shop");
    let rollout: Rollout = serde_json::from_value(rollout).unwrap();
    let declared = declare(&rollout, "leadsman-system", &|_| None);
    let spec = declared.core.spec.expect("a sound spec");
    assert_eq!(spec.steps.len(), 4);
    assert!(spec.background.is_some());

    route["metadata"]["generation"] = json!(1);
    let backends = Backends {
        stable: &declared.core.targets.stable_service,
        canary: &declared.core.targets.canary_service,
        namespace: "shop",
    };
    let seen = view(&declared.routes[0], &route, &backends);
    assert_eq!(seen.problem, None);
    assert!(seen.is_at(Weight::ZERO), "at rest");
    let Acceptance::Pending(who) = seen.acceptance else { panic!("nobody has looked at it yet") };
    assert_eq!(who, "Gateway gateways/public, which has said nothing of it");
}
