//! Whether the cluster is up: a check per component, in a fraction of a second.

use anyhow::Result;
use serde_json::Value;

use crate::{
    bed::Bed,
    components::{COMPONENTS, process_of},
    network::{DNS_IP, dns_answers},
    node::{NODE, processes},
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
        let processes = processes()?;
        let mut checks = Vec::new();
        for name in COMPONENTS {
            let process = process_of(name, &bed.paths.run(), &processes);
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

/// The node, and the Deployments that are part of the bed.
fn objects(bed: &Bed) -> Result<Vec<Check>> {
    let node: Value = serde_json::from_str(&bed.kubectl(["get", "node", NODE, "-o", "json"])?)?;
    let ready = each(&node, "/status/conditions")
        .find(|c| text(c, "/type") == "Ready")
        .is_some_and(|c| text(c, "/status") == "True");
    let detail = text(&node, "/status/nodeInfo/kubeletVersion").to_owned();
    let mut checks = vec![Check { name: format!("node {NODE}"), ok: ready, detail }];

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
    if checks.len() < 4 {
        checks.push(Check { name: "mesh".to_owned(), ok: false, detail: "not all of it is installed".to_owned() });
    }
    Ok(checks)
}

fn each<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
