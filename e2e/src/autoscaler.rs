//! An autoscaler of a Rollout, driven by Kubernetes' own controller. The cluster's metrics API gives it a
//! request per second of a pod as 1m of cpu (`e2e/cluster/app/autoscaling.go`), so that it follows the load.

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use serde_json::{Value, json};

use crate::namespace::Namespace;
use crate::routes::APP;
use crate::wait::wait_for;

/// Who changes sizes on its behalf, as the audit log has it.
pub const AUTOSCALER: &str = "system:serviceaccount:kube-system:horizontal-pod-autoscaler";

/// An autoscaler of the Rollout that keeps so many requests per second on each pod, on average over all of its pods.
pub fn autoscaler(namespace: &str, least: u32, most: u32, requests_per_pod: u32) -> Value {
    let target = json!({"type": "AverageValue", "averageValue": format!("{requests_per_pod}m")});
    json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": APP, "namespace": namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": "leadsman.dev/v1alpha1", "kind": "Rollout", "name": APP},
            "minReplicas": least,
            "maxReplicas": most,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    })
}

/// Waits until it scales by what pods use: the metrics API, which nobody else waits for, has answered.
pub async fn until_scaling(namespace: &Namespace) -> Result<()> {
    let active = |scaler: Option<&HorizontalPodAutoscaler>| {
        let conditions = scaler.and_then(|it| it.status.as_ref()?.conditions.as_ref());
        conditions.is_some_and(|all| all.iter().any(|it| it.type_ == "ScalingActive" && it.status == "True"))
    };
    let api = namespace.api::<HorizontalPodAutoscaler>();
    wait_for(api, APP, "to scale by metrics", Duration::from_mins(1), active).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_autoscaler_is_one_as_kubernetes_knows_it() {
        let built: HorizontalPodAutoscaler = serde_json::from_value(autoscaler("shop", 2, 8, 20)).unwrap();
        let spec = built.spec.unwrap();
        assert_eq!(spec.scale_target_ref.kind, "Rollout");
        let metric = spec.metrics.unwrap().remove(0).resource.unwrap();
        assert_eq!(metric.target.average_value.unwrap().0, "20m");
    }
}
