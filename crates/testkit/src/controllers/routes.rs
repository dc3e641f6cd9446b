//! Who implements the Gateway API: says of each route whether it took it over.

use serde_json::json;

use super::Habits;
use crate::object::{Name, list, number, set, text};
use crate::server::ApiServer;

/// Says something about the present generation of a route.
pub(super) fn sync(server: &ApiServer, habits: &Habits, name: &Name) {
    let Some(route) = server.get(name.kind, &name.namespace, &name.name) else { return };
    let generation = number(&route, "/metadata/generation");
    let (status, reason, message) = match &habits.refuses_routes {
        None => ("True", "Accepted", ""),
        Some((reason, message)) => ("False", reason.as_str(), message.as_str()),
    };
    let condition = |kind: &str, status: &str, reason: &str| {
        let mut condition = json!({"type": kind, "status": status, "reason": reason, "message": message});
        if !habits.linkerd {
            set(&mut condition, "/observedGeneration", json!(generation));
        }
        condition
    };
    let conditions = json!([condition("Accepted", status, reason), condition("ResolvedRefs", "True", "ResolvedRefs")]);
    let parents: Vec<_> = list(&route, "/spec/parentRefs")
        .iter()
        .map(|parent| {
            let mut parent = parent.clone();
            if habits.linkerd && text(&parent, "/kind") == "Service" {
                set(&mut parent, "/group", json!("core"));
                set(&mut parent, "/namespace", json!(name.namespace));
            }
            let by = if habits.linkerd { "linkerd.io/policy-controller" } else { "example.com/mesh" };
            json!({"controllerName": by, "parentRef": parent, "conditions": conditions})
        })
        .collect();
    server.hand("mesh").edit_status(name, |route| set(route, "/status", json!({"parents": parents})));
}
