//! What other people have in the cluster: Services without anything to do with releases, each with an `EndpointSlice` of
//! three pods.

use anyhow::Result;
use kube::Client;
use serde_json::{Value, json};

use crate::application::NAMESPACES;
use crate::cluster::bring_in;
use crate::progress::Count;

/// Makes so many Services with their slices.
pub async fn create(client: &Client, number: u32) -> Result<()> {
    let all = (0..number).flat_map(objects);
    bring_in(client, all, Count::new("foreign objects are there", 2 * usize::try_from(number)?)).await
}

fn objects(index: u32) -> [Value; 2] {
    let name = format!("foreign-{index:05}");
    let namespace = format!("bench-{}", index % NAMESPACES);
    let labels = json!({"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "something"});
    let endpoint = |pod: u32| {
        json!({
            "addresses": [format!("10.{}.{}.{}", 10 + pod, index / 250, index % 250)],
            "conditions": {"ready": true, "serving": true, "terminating": false},
            "nodeName": "node-0",
            "targetRef": {"kind": "Pod", "name": format!("{name}-{pod}"), "namespace": namespace},
        })
    };
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        // Without a selector: its slice is not the cluster's to keep.
        "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    });
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{name}-x7k2p"),
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": name, "app.kubernetes.io/name": name},
        },
        "addressType": "IPv4",
        "endpoints": [endpoint(0), endpoint(1), endpoint(2)],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    });
    [service, slice]
}
