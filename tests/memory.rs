//! What a settled Rollout costs in memory: bytes that live, as the allocator counts them. Pages, and what an allocator keeps for
//! later, are for `cargo xtask bench`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "all of it is tests")]

#[path = "shell/bed.rs"]
#[allow(dead_code, reason = "the tests of the shell use the rest")]
mod bed;

use std::alloc::System;

use leadsman_testkit::Application;
use leadsman_testkit::object::text;
use serde_json::{Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use crate::bed::{Bed, NAMESPACE, is_at_rest, is_current};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes that are allocated now.
fn live() -> isize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated.cast_signed() - stats.bytes_deallocated.cast_signed()
}

/// As teams have it: two containers with their environment, resources and probes, applied by kubectl.
fn application(number: usize) -> Application {
    let variable = |index: usize| json!({"name": format!("SETTING_{index}"), "value": format!("value-of-{index}")});
    let probe = json!({"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 5, "failureThreshold": 3});
    let resources = json!({"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}});
    let container = |name: &str, image: &str| {
        json!({
            "name": name, "image": image, "resources": resources, "readinessProbe": probe, "livenessProbe": probe,
            "env": (0..10).map(variable).collect::<Vec<_>>(), "ports": [{"name": "http", "containerPort": 8080}],
        })
    };
    let application = Application::new(NAMESPACE, &format!("application-{number:04}"))
        .watched_by("errors")
        .steps(&json!([{"setWeight": 50}]));
    let image = application.image();
    application.set(
        "/spec/template/spec/containers",
        json!([container("app", &image), container("proxy", "registry.example/proxy:1.2.3")]),
    )
}

/// Declared as kubectl does it, with all that was declared in an annotation.
fn applied(application: &Application) -> Application {
    let text = application.rollout().to_string();
    application.set("/metadata/annotations", json!({"kubectl.kubernetes.io/last-applied-configuration": text}))
}

/// Bytes that an operator holds once so many Rollouts have had a release and are settled.
async fn held_by(rollouts: usize) -> isize {
    let bed = Bed::new();
    bed.prometheus.says_value("errors", 0.0);
    let first: Vec<_> = (0..rollouts).map(application).collect();
    for application in &first {
        bed.declare(&applied(application));
    }
    let operator = bed.operator("leadsman-a");
    for application in &first {
        bed.until(application, |rollout| is_settled(rollout, &application.hash())).await;
    }
    let second: Vec<_> = first
        .iter()
        .map(|application| application.set("/spec/template/spec/containers/0/image", json!("registry.example/app:v2")))
        .collect();
    for application in &second {
        bed.release(&applied(application));
    }
    for application in &second {
        bed.until(application, |rollout| is_settled(rollout, &application.hash())).await;
    }
    let with = live();
    operator.stop.cancel();
    operator.ended().await.expect("it ends by itself").expect("and well");
    with - live()
}

fn is_settled(rollout: &Value, hash: &str) -> bool {
    let serves = text(rollout, "/status/phase") == "Healthy" && text(rollout, "/status/stable/hash") == hash;
    is_current(rollout) && is_at_rest(rollout) && serves
}

#[tokio::test(start_paused = true)]
async fn a_settled_rollout_costs_few_bytes() {
    let (few, many) = (held_by(10).await, held_by(40).await);
    let each = (many - few) / 30;
    println!("{each} bytes for each settled Rollout; {few} with 10, {many} with 40");
    // 11,595 when this was written, 12,670 with uids as texts, and 24,431 before Rollouts and routes were packed.
    assert!(each < 13_500, "{each} bytes for each settled Rollout");
}
