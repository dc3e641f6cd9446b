//! Implementations that are known to follow slowly, by the names that their controllers have in a route's status.
//!
//! The figures are read from reports of users and from the vendors' documentation; docs/gateways.md has the sources.

use std::time::Duration;

use serde_json::Value;

use super::json::{filled, quoted};
use super::parent;

/// How long the proxies are given to follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settle {
    /// A written weight.
    pub weights: Duration,
    /// A Service that selects other pods.
    pub endpoints: Duration,
}

/// What an implementation needs, by the beginning of its controller's name.
const SLOW: [(&str, Settle); 3] = [
    ("networking.gke.io/", settle(10, 45)),
    ("gateway.k8s.aws/", settle(10, 45)),
    ("application-networking.k8s.aws/", settle(30, 60)),
];

const fn settle(weights: u64, endpoints: u64) -> Settle {
    Settle { weights: Duration::from_secs(weights), endpoints: Duration::from_secs(endpoints) }
}

/// The parents of a route whose implementation needs more time than it is given, each with what to set.
pub(super) fn warnings(object: &Value, namespace: &str, given: Settle) -> Vec<String> {
    let slow = parent::with_reports(object, namespace).into_iter().filter_map(|(parent, reports)| {
        let (controller, needed) = reports.iter().find_map(|report| {
            let controller = filled(report, "controllerName")?;
            let (_, needed) = SLOW.iter().find(|(prefix, _)| controller.starts_with(prefix))?;
            Some((controller, needed))
        })?;
        let (weights, endpoints) = (needed.weights.as_secs(), needed.endpoints.as_secs());
        (given.weights < needed.weights || given.endpoints < needed.endpoints).then(|| {
            format!(
                "{parent} is served by {}, which needs about {endpoints} s to follow endpoints and {weights} s for weights: \
                 set traffic.settleEndpoints and traffic.settle",
                quoted(controller)
            )
        })
    });
    slow.collect()
}
