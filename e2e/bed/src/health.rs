//! Whether the cluster is up: a check per component, in a fraction of a second.

use anyhow::Result;
use serde_json::Value;

use crate::{
    bed::Bed,
    components::{COMPONENTS, running_of},
    network::{DNS_IP, dns_answers},
    node::NODES,
};

/// One thing looked at.
#[derive(Clone, Debug)]
pub struct Check {
    /// Component.
    pub name: String,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was seen.
    pub detail: String,
}

/// All that was looked at.
#[derive(Clone, Debug)]
pub struct Health {
    /// In the order of their start.
    pub checks: Vec<Check>,
}

impl Health {
    /// Whether everything is as it should be.
    pub fn ok(&self) -> bool {
        self.checks.iter().all(|check| check.ok)
    }

    pub(crate) fn of(bed: &Bed) -> Result<Self> {
        let mut checks = Vec::new();
        for (name, process) in running_of(&COMPONENTS, &bed.paths)? {
            let detail = process.map_or("not running".to_owned(), |p| format!("pid {}, {} MiB", p.pid, p.memory));
            checks.push(Check { name: name.to_owned(), ok: process.is_some(), detail });
        }
        // Without processes there is nobody to ask.
        if checks.iter().all(|check| check.ok) {
            let ready = bed.kubectl(["get", "--raw", "/readyz"]);
            let detail = ready.as_ref().map_or_else(|error| format!("{error:#}"), Clone::clone);
            checks.push(Check { name: "API /readyz".to_owned(), ok: ready.is_ok_and(|said| said == "ok"), detail });
            let dns = dns_answers().unwrap_or(false);
            checks.push(Check { name: "DNS".to_owned(), ok: dns, detail: format!("at {DNS_IP}") });
            checks.extend(objects(bed).unwrap_or_else(|error| {
                vec![Check { name: "objects".to_owned(), ok: false, detail: format!("{error:#}") }]
            }));
        }
        Ok(Self { checks })
    }
}

/// The nodes, and the Deployments that are part of the bed.
fn objects(bed: &Bed) -> Result<Vec<Check>> {
    let list: Value = serde_json::from_str(&bed.kubectl(["get", "nodes", "-o", "json"])?)?;
    let mut checks = Vec::new();
    for node in NODES {
        let seen = each(&list, "/items").find(|it| text(it, "/metadata/name") == node.name);
        let ready = seen.is_some_and(|node| {
            each(node, "/status/conditions").any(|it| text(it, "/type") == "Ready" && text(it, "/status") == "True")
        });
        let detail = seen.map_or("", |node| text(node, "/status/nodeInfo/kubeletVersion")).to_owned();
        checks.push(Check { name: format!("node {}", node.name), ok: ready, detail });
    }

    let list = bed.kubectl(["get", "deployments", "-A", "-l", "leadsman.dev/bed", "-o", "json"])?;
    let list: Value = serde_json::from_str(&list)?;
    for deployment in each(&list, "/items") {
        let count = |pointer| deployment.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
        let (ready, wanted) = (count("/status/readyReplicas"), count("/spec/replicas"));
        let current = count("/status/observedGeneration") == count("/metadata/generation")
            && count("/status/updatedReplicas") == wanted;
        checks.push(Check {
            name: format!("{}/{}", text(deployment, "/metadata/namespace"), text(deployment, "/metadata/name")),
            ok: current && ready >= wanted,
            detail: format!("{ready} of {wanted} ready"),
        });
    }
    for (namespace, name) in bed.deployments() {
        let name = format!("{namespace}/{name}");
        if !checks.iter().any(|check| check.name == name) {
            checks.push(Check { name, ok: false, detail: "not installed".to_owned() });
        }
    }
    Ok(checks)
}

fn each<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
