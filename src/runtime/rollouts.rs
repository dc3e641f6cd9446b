//! What `/metrics` says of each Rollout beside its phase and weight: kept in one small record, and written out when it is
//! asked for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

/// What is told of one Rollout.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// `canary` or `blueGreen`.
    pub strategy: &'static str,
    /// Hash of the revision that serves.
    pub stable: String,
    /// Hash of the one on trial; empty where there is none.
    pub canary: String,
    /// Commit of the declared template; empty where nobody says.
    pub commit: String,
    /// When the present step began, in seconds since 1970.
    pub step_started: Option<f64>,
    /// When a revision was promoted last, as the status says; only while none is under way.
    pub promoted: Option<f64>,
    /// The metrics of the release under way.
    pub gates: Vec<Gate>,
}

/// What a metric of a release shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gate {
    /// Its name.
    pub metric: String,
    /// The last value, where it is one number.
    pub canary: Option<f64>,
    /// The same of stable, where both are counted.
    pub stable: Option<f64>,
    /// What it may be, where that is a number.
    pub limit: Option<f64>,
}

/// All Rollouts that this instance works on, by namespace and name.
#[derive(Clone, Debug, Default)]
pub struct Rollouts(Arc<Mutex<BTreeMap<(String, String), Record>>>);

#[derive(Debug, Default)]
struct Record {
    told: Told,
    promoted: Option<f64>,
}

impl Rollouts {
    /// Where a Rollout stands.
    pub fn tell(&self, namespace: &str, name: &str, told: Told) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let record = all.entry((namespace.to_owned(), name.to_owned())).or_default();
        // The status knows whole seconds: what was seen is told for as long as it is newer.
        record.promoted = told.promoted.filter(|at| record.promoted.is_none_or(|seen| *at > seen)).or(record.promoted);
        record.told = told;
    }

    /// A revision was promoted, at so many seconds since 1970.
    pub fn promoted(&self, namespace: &str, name: &str, at: f64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry((namespace.to_owned(), name.to_owned())).or_default().promoted = Some(at);
    }

    /// A Rollout is gone.
    pub fn forget(&self, namespace: &str, name: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&(namespace.to_owned(), name.to_owned()));
    }
}

impl Collector for Rollouts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut gauge = |name: &str, help: &str, values: &mut dyn Iterator<Item = (Vec<(&str, &str)>, f64)>| {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (labels, value) in values {
                let labels = labels.as_slice();
                ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
            }
            Ok::<_, fmt::Error>(())
        };
        let gates = || {
            all.iter().flat_map(|((namespace, name), record)| {
                record.told.gates.iter().map(move |gate| {
                    let (namespace, name) = (("namespace", namespace.as_str()), ("name", name.as_str()));
                    ([namespace, name, ("metric", gate.metric.as_str())], gate)
                })
            })
        };
        gauge(
            "rollout_info",
            "1, with what serves, what is on trial, and the commit that is declared",
            &mut all.iter().map(|((namespace, name), record)| {
                let told = &record.told;
                let labels = vec![
                    ("namespace", namespace.as_str()),
                    ("name", name.as_str()),
                    ("strategy", told.strategy),
                    ("stable", told.stable.as_str()),
                    ("canary", told.canary.as_str()),
                    ("commit", told.commit.as_str()),
                ];
                (labels, 1.0)
            }),
        )?;
        gauge(
            "revision_info",
            "1 for each revision that serves (stable) or is on trial (canary)",
            &mut all.iter().flat_map(|((namespace, name), record)| {
                let revisions = [("stable", &record.told.stable), ("canary", &record.told.canary)];
                revisions.into_iter().filter(|(_, revision)| !revision.is_empty()).map(move |(role, revision)| {
                    let labels = vec![
                        ("namespace", namespace.as_str()),
                        ("name", name.as_str()),
                        ("revision", revision.as_str()),
                        ("role", role),
                    ];
                    (labels, 1.0)
                })
            }),
        )?;
        gauge(
            "rollout_step_started_timestamp_seconds",
            "When the present step of a release began",
            &mut all.iter().filter_map(|((namespace, name), record)| {
                Some((vec![("namespace", namespace.as_str()), ("name", name.as_str())], record.told.step_started?))
            }),
        )?;
        gauge(
            "promoted_timestamp_seconds",
            "When a revision was promoted last; where a release was under way as this instance began, once it has ended",
            &mut all.iter().filter_map(|((namespace, name), record)| {
                Some((vec![("namespace", namespace.as_str()), ("name", name.as_str())], record.promoted?))
            }),
        )?;
        gauge(
            "gate_value",
            "The last value of each metric of a release under way, by the side that it is about",
            &mut gates().flat_map(|(labels, gate)| {
                let sides = [("canary", gate.canary), ("stable", gate.stable)];
                let of = move |side| labels.into_iter().chain([("side", side)]).collect();
                sides.into_iter().filter_map(move |(side, value)| Some((of(side), value?)))
            }),
        )?;
        gauge(
            "gate_limit",
            "The share of requests that may go wrong, of each metric of a release under way that counts them",
            &mut gates().filter_map(|(labels, gate)| Some((labels.to_vec(), gate.limit?))),
        )
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn a_rollout_is_told_of_and_leaves_nothing_behind() {
        let rollouts = Rollouts::default();
        let mut registry = Registry::with_prefix("leadsman");
        registry.register_collector(Box::new(rollouts.clone()));
        let text = || {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            text
        };
        let told = Told {
            strategy: "canary",
            stable: "a1".to_owned(),
            canary: "b2".to_owned(),
            step_started: Some(1_700_000_000.0),
            gates: vec![Gate {
                metric: "errors".to_owned(),
                canary: Some(0.03),
                stable: Some(0.002),
                limit: Some(0.01),
            }],
            ..Told::default()
        };
        rollouts.tell("shop", "cart", told.clone());
        rollouts.promoted("shop", "cart", 1_700_000_100.0);
        for line in [
            r#"leadsman_rollout_info{namespace="shop",name="cart",strategy="canary",stable="a1",canary="b2",commit=""} 1.0"#,
            r#"leadsman_revision_info{namespace="shop",name="cart",revision="a1",role="stable"} 1.0"#,
            r#"leadsman_revision_info{namespace="shop",name="cart",revision="b2",role="canary"} 1.0"#,
            r#"leadsman_rollout_step_started_timestamp_seconds{namespace="shop",name="cart"} 1700000000.0"#,
            r#"leadsman_promoted_timestamp_seconds{namespace="shop",name="cart"} 1700000100.0"#,
            r#"leadsman_gate_value{namespace="shop",name="cart",metric="errors",side="canary"} 0.03"#,
            r#"leadsman_gate_value{namespace="shop",name="cart",metric="errors",side="stable"} 0.002"#,
            r#"leadsman_gate_limit{namespace="shop",name="cart",metric="errors"} 0.01"#,
        ] {
            assert!(text().contains(line), "{line}\n{}", text());
        }
        let rested = Told { canary: String::new(), step_started: None, gates: Vec::new(), ..told };
        rollouts.tell("shop", "cart", rested.clone());
        for gone in ["step_started_timestamp_seconds{", "gate_value{", "role=\"canary\""] {
            assert!(!text().contains(gone), "{gone}\n{}", text());
        }
        for (of_status, told) in [(1_700_000_099.0, "1700000100.0"), (1_700_000_200.0, "1700000200.0")] {
            rollouts.tell("shop", "cart", Told { promoted: Some(of_status), ..rested.clone() });
            let line = format!(r#"leadsman_promoted_timestamp_seconds{{namespace="shop",name="cart"}} {told}"#);
            assert!(text().contains(&line), "{line}\n{}", text());
        }
        rollouts.forget("shop", "cart");
        assert!(!text().contains("cart"), "{}", text());
    }
}
