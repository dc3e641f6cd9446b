//! What scenarios take for granted of the cluster: every kind of route splits traffic as its weights say, on both sides
//! of the mesh, and no request fails or is sent twice. Needs the cluster: `cargo test -p leadsman-bed -- --ignored`.

// As in any test; clippy knows only those functions as tests that carry the attribute.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{
    net::SocketAddr,
    thread::sleep,
    time::{Duration, Instant},
};

use leadsman_bed::{App, Bed, LoadClient, Way, http};
use serde_json::{Value, json};

const NAMESPACE: &str = "bed-mesh";

/// Removes the namespace, also when the test fails.
struct Namespace<'a>(&'a Bed);

impl<'a> Namespace<'a> {
    fn new(bed: &'a Bed) -> Self {
        let delete = ["delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait"];
        bed.kubectl(delete).unwrap();
        bed.kubectl(["create", "namespace", NAMESPACE]).unwrap();
        Self(bed)
    }
}

impl Drop for Namespace<'_> {
    fn drop(&mut self) {
        let _ = self.0.kubectl(["delete", "namespace", NAMESPACE, "--wait=false"]);
    }
}

fn weighted(weights: [u32; 2], port: u16) -> Value {
    json!([
        {"name": "podinfo-stable", "port": port, "weight": weights[0]},
        {"name": "podinfo-canary", "port": port, "weight": weights[1]},
    ])
}

fn route(kind: &str, name: &str, parent: &Value, hostname: Option<&str>, port: u16) -> Value {
    let mut spec = json!({"parentRefs": [parent], "rules": [{"backendRefs": weighted([90, 10], port)}]});
    if let Some(hostname) = hostname {
        spec["hostnames"] = json!([hostname]);
    }
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    })
}

/// For a Service of its own, since a route with a Service as parent wins over a VirtualService.
fn virtual_service() -> Value {
    let to = |name: &str, weight: u32| json!({"destination": {"host": name, "port": {"number": 80}}, "weight": weight});
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "podinfo", "namespace": NAMESPACE},
        "spec": {
            "hosts": ["podinfo-vs", "podinfo.vs.test"],
            "gateways": ["gw/ingress", "mesh"],
            "http": [{"name": "primary", "route": [to("podinfo-stable", 90), to("podinfo-canary", 10)]}],
        },
    })
}

fn applications() -> Vec<Value> {
    let mut objects = vec![
        App::service(NAMESPACE, "podinfo", &[("part", "podinfo")]),
        App::service(NAMESPACE, "podinfo-vs", &[("part", "podinfo")]),
    ];
    for (name, version) in [("podinfo-stable", "v1"), ("podinfo-canary", "v2")] {
        objects.push(App::service(NAMESPACE, name, &[("app", name)]));
        let mut deployment = App::new(version).deployment(NAMESPACE, name, 2);
        deployment["spec"]["template"]["metadata"]["labels"]["part"] = json!("podinfo");
        objects.push(deployment);
    }
    objects
}

/// Names of their own: istiod takes an HTTPRoute and a GRPCRoute of one name for one route, and drops one of them.
fn routes() -> Vec<Value> {
    let gateway = json!({"name": "ingress", "namespace": "gw"});
    let service = |port: u16| json!({"group": "", "kind": "Service", "name": "podinfo", "port": port});
    vec![
        route("HTTPRoute", "gateway", &gateway, Some("podinfo.http.test"), 80),
        route("HTTPRoute", "service", &service(80), None, 80),
        route("GRPCRoute", "grpc-gateway", &gateway, Some("podinfo.grpc.test"), 9090),
        route("GRPCRoute", "grpc-service", &service(9090), None, 9090),
        virtual_service(),
    ]
}

/// Way, gRPC, and whether the weights apply.
fn clients() -> Vec<(&'static str, Way, bool, bool)> {
    let gateway = |port, host: &str| Way::Gateway { port, host: host.to_owned() };
    let sidecar = |port, service: &str| Way::Sidecar { port, host: format!("{service}.{NAMESPACE}") };
    vec![
        ("httproute-gateway", gateway(81, "podinfo.http.test"), false, true),
        ("httproute-service", sidecar(80, "podinfo"), false, true),
        ("grpcroute-gateway", gateway(81, "podinfo.grpc.test"), true, true),
        ("grpcroute-service", sidecar(9090, "podinfo"), true, true),
        ("virtualservice-gateway", gateway(80, "podinfo.vs.test"), false, true),
        ("virtualservice-sidecar", sidecar(80, "podinfo-vs"), false, true),
        ("direct", Way::Direct { address: format!("podinfo-stable.{NAMESPACE}:80") }, false, false),
    ]
}

fn apply(bed: &Bed, objects: &[Value]) {
    bed.apply(&json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()).unwrap();
}

fn summary(address: SocketAddr, stop: bool) -> Value {
    let response = if stop { http::post(address, "/stop") } else { http::get(address, "/summary") };
    serde_json::from_str(&response.unwrap().body).unwrap()
}

#[test]
#[ignore = "needs the cluster"]
fn every_kind_of_route_splits_traffic_and_loses_nothing() {
    let bed = Bed::up().unwrap();
    let namespace = Namespace::new(&bed);
    apply(&bed, &applications());
    apply(&bed, &routes());
    for name in ["podinfo-stable", "podinfo-canary"] {
        bed.kubectl(["-n", NAMESPACE, "rollout", "status", "deployment", name, "--timeout=60s"]).unwrap();
    }
    // Until every Envoy has routes and endpoints; after that nothing may fail.
    sleep(Duration::from_secs(3));
    let clients = clients();
    let pods = clients.iter().map(|(name, way, grpc, _)| {
        let mut client = LoadClient::new(NAMESPACE, name, way.clone(), 60.0);
        client.grpc = *grpc;
        client.manifest()
    });
    apply(&bed, &pods.collect::<Vec<_>>());
    bed.kubectl(["-n", NAMESPACE, "wait", "--for=condition=Ready", "pod", "-l", "app=load", "--timeout=60s"]).unwrap();
    let started = Instant::now();
    sleep(Duration::from_secs(20));

    for (name, _, _, split) in &clients {
        let address = bed.pod_address(NAMESPACE, name, 8090).unwrap();
        let summary = summary(address, true);
        let count = |key: &str| summary["counts"][key].as_f64().unwrap_or(0.0);
        let (stable, canary) = (count("v1 200"), count("v2 200"));
        let share = canary / (stable + canary);
        eprintln!("{name:<24} {:>6} sent, canary {:.1}%", summary["sent"], share * 100.0);
        if summary["failed"] != 0 {
            let records = http::get(address, "/records?since=0").unwrap().body;
            let failed: Vec<_> = records.lines().filter(|line| line.contains("\"e\"")).take(3).collect();
            panic!("{name}: {summary}\n{}", failed.join("\n"));
        }
        assert!(stable + canary >= 60.0 * started.elapsed().as_secs_f64() * 0.9, "{name} kept its rate: {summary}");
        let expected = if *split { 0.05..0.16 } else { 0.0..0.001 };
        assert!(expected.contains(&share), "{name}: {share}");
    }
    let routes = bed.gateway_routes().unwrap().to_string();
    assert!(routes.contains("podinfo-canary") && !routes.contains("retry_policy"), "the gateway retries: {routes}");
    drop(namespace);
}
