//! The Services of a Rollout and the one that clients call: whether they can be used.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use leadsman_api::names::{REVISION_LABEL, ROLLOUT_LABEL};
use leadsman_core::names::{Selection, Side};
use leadsman_core::observed::{Look, ParentService, ServiceView};
use leadsman_core::spec::{Problem, Reason};
use leadsman_core::traffic::{Carrier, Port, Targets};
use serde_json::Value;

use super::reading::{Reader, read_through};
use crate::cluster::kinds;
use crate::controller::cache::ServiceEntry;
use crate::controller::context::Context;
use crate::controller::expectations::Expectations;
use crate::controller::loaded::Loaded;

/// Looks at one Service of the Rollout's namespace.
pub async fn look(
    reader: &Reader,
    context: &Context,
    loaded: &Loaded,
    expectations: &Expectations<ServiceEntry>,
    name: &str,
) -> Look<Arc<ServiceEntry>> {
    let key = loaded.key.beside(name);
    read_through(reader, &kinds::SERVICES, (expectations, &*context.caches.services), &key).await
}

/// Looks at the two Services in force, and at those that are to be or were.
pub async fn look_at_all(
    reader: &Reader,
    context: &Context,
    loaded: &Loaded,
    expectations: &Expectations<ServiceEntry>,
) -> BTreeMap<String, Look<Arc<ServiceEntry>>> {
    let names = loaded.services().cloned().chain(loaded.other_services());
    let looks = names.map(async |name| {
        let found = look(reader, context, loaded, expectations, &name).await;
        (name, found)
    });
    join_all(looks).await.into_iter().collect()
}

/// Looks at the Service that is the routes' parent, where one is named.
pub async fn parent(
    reader: &Reader,
    context: &Context,
    loaded: &Loaded,
    expectations: &Expectations<ServiceEntry>,
) -> Option<Look<Arc<ServiceEntry>>> {
    let name = loaded.declared.service.as_deref()?;
    Some(look(reader, context, loaded, expectations, name).await)
}

/// The Service that clients call, of those that were looked at, where it is to carry the traffic itself.
pub fn carrier<'a>(
    loaded: &Loaded,
    services: &'a BTreeMap<String, Look<Arc<ServiceEntry>>>,
) -> Option<&'a Look<Arc<ServiceEntry>>> {
    let Targets { carrier, stable_service, .. } = &loaded.declared.core.targets;
    services.get(stable_service).filter(|_| *carrier == Carrier::Service)
}

/// A Service of the Rollout as the core sees it.
pub fn judge(loaded: &Loaded, name: &str, service: &Look<Arc<ServiceEntry>>) -> Look<ServiceView> {
    let service = match service {
        Look::Seen(service) => service,
        Look::Missing => return Look::Missing,
        Look::Stale => return Look::Stale,
    };
    let created_by_us = is_created_by(loaded, service);
    Look::Seen(ServiceView {
        selection: selection(&loaded.key.name, &loaded.declared.match_labels, service),
        warnings: if loaded.is_carrier(name) { warnings(name, service) } else { Vec::new() },
        created_by_us,
        conflict: conflict(loaded, name, service).map(|what| format!("Service {name} cannot be used: {what}")),
        orphaned: created_by_us && service.controller.is_none(),
        ports: service.ports.to_vec(),
    })
}

/// Whether we made the Service for this Rollout: it is its controller, or will be again. A Rollout that was deleted without
/// what belongs to it leaves Services behind that nobody controls; they are no Service of Git's.
pub fn is_created_by(loaded: &Loaded, service: &ServiceEntry) -> bool {
    match &service.controller {
        Some(owner) => owner.uid == loaded.uid,
        None => is_orphan_of(&loaded.key.name, service),
    }
}

fn is_orphan_of(rollout: &str, service: &ServiceEntry) -> bool {
    service.controller.is_none() && service.is_made_by_us && service.rollout.as_deref() == Some(rollout)
}

fn is_marked(rollout: &str, service: &ServiceEntry) -> bool {
    service.rollout.as_deref() == Some(rollout)
}

/// What a Service selects. Selector and label are written as one, and count as one: were only one of them edited by hand,
/// slices would say one thing and list the pods of another.
fn selection(rollout: &str, ours: &BTreeMap<String, String>, service: &ServiceEntry) -> Option<Selection> {
    let label = service.revision.as_deref().filter(|_| is_marked(rollout, service))?;
    let selection = Selection::from(label.to_owned());
    let selects = match &selection {
        Selection::Only(hash) => service.selector.get(REVISION_LABEL) == Some(hash.as_str()),
        Selection::Any => service.selector.is(ours),
    };
    selects.then_some(selection)
}

/// Why a share of connections to this Service may not be what was meant by a share.
fn warnings(name: &str, service: &ServiceEntry) -> Vec<String> {
    let sticks = service.sticks_to_clients.then(|| {
        format!("Service {name} has sessionAffinity: ClientIP: each client stays with its pod, so that a share is one of clients")
    });
    let long_lived = service.ports.iter().find(|port| keeps_connections(port)).map(|Port { port, .. }| {
        format!(
            "port {port} of Service {name} is one for connections that last (HTTP/2, gRPC, WebSocket): a share is one of \
             connections, and those that are open stay where they are; a share of requests takes routes"
        )
    });
    sticks.into_iter().chain(long_lived).collect()
}

/// By the application protocol, or by the name as meshes read it: `grpc` or `grpc-api`.
fn keeps_connections(port: &Port) -> bool {
    let said = port.app_protocol.as_deref().or_else(|| port.name.as_deref()?.split('-').next());
    let said = said.map(str::to_ascii_lowercase).unwrap_or_default();
    let protocol = said.strip_prefix("kubernetes.io/").unwrap_or(&said);
    matches!(protocol, "h2" | "h2c" | "http2" | "grpc" | "ws" | "wss")
}

/// Why a Service must not be touched, and what to do about it.
fn conflict(loaded: &Loaded, name: &str, service: &ServiceEntry) -> Option<String> {
    if let Some(owner) = service.controller.as_ref().filter(|owner| owner.uid != loaded.uid) {
        return Some(format!("it belongs to {}: choose another name, or remove it", owner.words));
    }
    if service.is_external {
        return Some("it is of type ExternalName, which selects no pods: make it a ClusterIP, or remove it".to_owned());
    }
    if service.publishes_not_ready {
        return Some("it publishes addresses that are not ready: remove publishNotReadyAddresses".to_owned());
    }
    if service.is_headless && loaded.is_carrier(name) {
        let what = "it is headless (clusterIP: None), and clients keep the pods that DNS gave them: take that out, or name \
                    another Service";
        return Some(what.to_owned());
    }
    // Whatever labels and selector somebody gave to a Service of ours: they are put back.
    if service.controller.is_some() {
        return None;
    }
    let (rollout, ours) = (&loaded.key.name, &loaded.declared.match_labels);
    match selects(rollout, ours, service, holds(loaded, name, service)) {
        Selects::Nothing | Selects::OurRevision | Selects::WhatItWasLeftWith => None,
        Selects::RevisionOf(other) => Some(format!(
            "it belongs to Rollout {other} (label {ROLLOUT_LABEL}): give each Rollout Services of its own"
        )),
        Selects::SomethingElse => Some(
            "it has a selector of its own: remove spec.selector from its declaration, it is set for each revision"
                .to_owned(),
        ),
    }
}

/// Whether a Service that carries the traffic is ours to put back, whatever somebody made of its selector or of its labels:
/// the labels say so, or what was decided last is just what it selects.
fn holds(loaded: &Loaded, name: &str, service: &ServiceEntry) -> bool {
    if !loaded.is_carrier(name) {
        return false;
    }
    let is_labelled = is_marked(&loaded.key.name, service) && service.revision.is_some();
    let decided = loaded.state.as_ref().map(|state| &state.bindings.of(Side::Stable).decided);
    is_labelled || decided == Some(&Selection::Any) && service.selector.is(&loaded.declared.match_labels)
}

/// What a Service that nobody controls selects, by its selector and labels.
#[derive(Debug, PartialEq, Eq)]
enum Selects<'a> {
    Nothing,
    /// A revision of this Rollout, or all of them.
    OurRevision,
    /// A revision of another Rollout, which has this name.
    RevisionOf(&'a str),
    /// The pods of a Rollout that has let go of it, or of the next one of that name: whoever names it may have it.
    WhatItWasLeftWith,
    SomethingElse,
}

fn selects<'a>(
    rollout: &str,
    match_labels: &BTreeMap<String, String>,
    service: &'a ServiceEntry,
    is_held: bool,
) -> Selects<'a> {
    let binds = service.selector.get(REVISION_LABEL).is_some();
    match service.rollout.as_deref() {
        Some(other) if other != rollout && (binds || service.revision.is_some()) => Selects::RevisionOf(other),
        _ if service.selector.is_empty() => Selects::Nothing,
        Some(_) if binds => Selects::OurRevision,
        _ if is_held => Selects::OurRevision,
        Some(_) if service.revision.is_none() => Selects::WhatItWasLeftWith,
        // It lost the label: nobody else writes such a selector.
        None if binds && match_labels.iter().all(|(label, value)| service.selector.get(label) == Some(value)) => {
            Selects::OurRevision
        }
        _ => Selects::SomethingElse,
    }
}

/// The Service that clients call, as the core sees it.
pub fn judge_parent(loaded: &Loaded, parent: Option<&Look<Arc<ServiceEntry>>>) -> ParentService {
    let Some(parent) = parent else { return ParentService::NotNamed };
    let declared = &loaded.declared;
    let at = declared.at;
    let wrong = |reason, message: String| ParentService::Wrong(Problem::new(reason, message));
    let missing = |message: String| ParentService::Wrong(Problem::missing(Reason::ServiceNotFound, message));
    let Some(name) = declared.service.as_deref() else {
        let name = &declared.core.targets.stable_service;
        return match parent {
            Look::Stale => ParentService::Stale,
            Look::Missing if declared.ports.is_none() => missing(format!(
                "Service {name} does not exist: create it, without a selector, or give {at}.ports, so that it is made"
            )),
            // Whether it can be used is said of it as of the other one.
            Look::Missing | Look::Seen(_) => ParentService::Fits,
        };
    };
    match parent {
        Look::Stale => ParentService::Stale,
        Look::Missing if name == declared.core.targets.stable_service && declared.ports.is_some() => {
            ParentService::Fits
        }
        Look::Missing => missing(format!("Service {name} does not exist: create it, or correct {at}.service")),
        Look::Seen(service) if service.is_external => wrong(
            Reason::ServiceConflict,
            format!("Service {name} is of type ExternalName: name the Service whose ports are to be used"),
        ),
        Look::Seen(service) => match foreign_label(loaded, service) {
            None => ParentService::Fits,
            Some((label, value)) => wrong(
                Reason::ServiceConflict,
                format!(
                    "Service {name} selects {label}={value}, which the pods of spec.template do not have; where they get \
                     it only when they run, leave service out and give {at}.ports and both other Services"
                ),
            ),
        },
    }
}

/// A label that the Service selects and the template's pods do not have. Ours are not the template's concern.
fn foreign_label<'a>(loaded: &Loaded, service: &'a ServiceEntry) -> Option<(&'a str, &'a str)> {
    let labels = loaded.declared.template.pointer("/metadata/labels");
    let has = |label: &str, value: &str| {
        let theirs = labels.and_then(|labels| labels.get(label)).and_then(Value::as_str);
        theirs == Some(value) || label == REVISION_LABEL || label == ROLLOUT_LABEL
    };
    let selected = service.selector.labels();
    selected.into_iter().find(|(label, value)| !has(label, value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::controller::cache::Slim;

    #[test]
    fn selector_and_label_make_a_binding_together() {
        let of = |label: &str, selector: &str| {
            let labels = json!({ROLLOUT_LABEL: "shop", REVISION_LABEL: label});
            let object = json!({"metadata": {"labels": labels}, "spec": {"selector": {REVISION_LABEL: selector}}});
            selection("shop", &BTreeMap::new(), &ServiceEntry::of(&object))
        };
        assert_eq!(of("abc", "abc"), Some(Selection::from("abc".to_owned())));
        assert_eq!(of("abc", "def"), None);
    }

    #[test]
    fn every_revision_is_selected_by_the_rollout_s_labels_and_nothing_else() {
        let ours = [("app".to_owned(), "shop".to_owned())].into();
        let of = |label: &str, selector: Value| {
            let labels = json!({ROLLOUT_LABEL: "shop", REVISION_LABEL: label});
            let object = json!({"metadata": {"labels": labels}, "spec": {"selector": selector}});
            selection("shop", &ours, &ServiceEntry::of(&object))
        };
        assert_eq!(of("any", json!({"app": "shop"})), Some(Selection::Any));
        assert_eq!(of("any", json!({"app": "shop", "tier": "front"})), None);
        assert_eq!(of("any", json!({"app": "shop", REVISION_LABEL: "abc"})), None);
        assert_eq!(of("abc", json!({"app": "shop"})), None, "somebody took the revision off");
    }

    #[test]
    fn what_makes_a_share_of_connections_something_else_is_told() {
        let of = |spec: Value| warnings("shop", &ServiceEntry::of(&json!({"spec": spec})));
        assert_eq!(of(json!({"ports": [{"name": "http", "port": 80}]})), [""; 0]);
        assert!(of(json!({"sessionAffinity": "ClientIP"}))[0].contains("sessionAffinity"));
        for port in [
            json!({"name": "grpc-api", "port": 81}),
            json!({"port": 81, "appProtocol": "kubernetes.io/h2c"}),
            json!({"name": "http", "port": 81, "appProtocol": "HTTP2"}),
        ] {
            let told = of(json!({"ports": [{"name": "http", "port": 80}, port]}));
            assert!(told.len() == 1 && told[0].contains("port 81"), "{told:?}");
        }
    }

    #[test]
    fn a_service_that_we_made_and_nobody_owns_is_ours_again_and_one_of_gits_is_not() {
        let of = |labels: Value, owners: Value| {
            is_orphan_of("shop", &ServiceEntry::of(&json!({"metadata": {"labels": labels, "ownerReferences": owners}})))
        };
        let made = json!({ROLLOUT_LABEL: "shop", REVISION_LABEL: "abc", "app.kubernetes.io/managed-by": "leadsman"});
        let declared = json!({ROLLOUT_LABEL: "shop", REVISION_LABEL: "abc", "app.kubernetes.io/managed-by": "Helm"});
        let owner = json!([{"kind": "Rollout", "name": "shop", "uid": "1", "controller": true}]);
        assert!(of(made.clone(), json!([])));
        assert!(!of(made, owner));
        assert!(!of(declared, json!([])));
        assert!(!of(json!({"app.kubernetes.io/managed-by": "leadsman"}), json!([])));
    }

    #[test]
    fn a_service_belongs_to_whose_revision_it_selects() {
        let ours = [("app".to_owned(), "shop".to_owned())].into();
        let of = |labels: Value, selector: Value| {
            let service = ServiceEntry::of(&json!({"metadata": {"labels": labels}, "spec": {"selector": selector}}));
            format!("{:?}", selects("shop", &ours, &service, false))
        };
        let bound = || json!({"app": "shop", REVISION_LABEL: "abc"});
        assert_eq!(of(json!({}), json!({})), "Nothing");
        assert_eq!(of(json!({ROLLOUT_LABEL: "shop", REVISION_LABEL: "abc"}), bound()), "OurRevision");
        assert_eq!(of(json!({}), bound()), "OurRevision");
        assert_eq!(of(json!({}), json!({"app": "cart", REVISION_LABEL: "abc"})), "SomethingElse");
        assert_eq!(of(json!({ROLLOUT_LABEL: "cart"}), bound()), "RevisionOf(\"cart\")");
        assert_eq!(of(json!({ROLLOUT_LABEL: "cart", REVISION_LABEL: "abc"}), json!({})), "RevisionOf(\"cart\")");
        assert_eq!(of(json!({ROLLOUT_LABEL: "cart"}), json!({"app": "shop"})), "WhatItWasLeftWith");
        assert_eq!(of(json!({ROLLOUT_LABEL: "shop"}), json!({"app": "shop"})), "WhatItWasLeftWith");
        assert_eq!(of(json!({}), json!({"app": "shop"})), "SomethingElse");
        let held = ServiceEntry::of(&json!({"spec": {"selector": {"app": "shop"}}}));
        assert_eq!(
            selects("shop", &ours, &held, true),
            Selects::OurRevision,
            "it carries the traffic, and is put back"
        );
    }
}
