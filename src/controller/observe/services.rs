//! The Services of a Rollout and the one that clients call: whether they can be used.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use leadsman_api::names::{REVISION_LABEL, ROLLOUT_LABEL};
use leadsman_core::names::Hash;
use leadsman_core::observed::{Look, ParentService, ServiceView};
use leadsman_core::spec::{Problem, Reason};
use leadsman_core::traffic::Targets;
use serde_json::Value;

use super::reading::{Reader, read_through};
use crate::cluster::kinds;
use crate::controller::cache::ServiceEntry;
use crate::controller::context::Context;
use crate::controller::expectations::Expectations;
use crate::controller::key::Key;
use crate::controller::loaded::Loaded;

/// Looks at one Service of the Rollout's namespace.
pub async fn look(
    reader: &Reader,
    context: &Context,
    loaded: &Loaded,
    expectations: &Expectations<ServiceEntry>,
    name: &str,
) -> Look<Arc<ServiceEntry>> {
    let key = Key::new(&loaded.key.namespace, name);
    read_through(reader, &kinds::SERVICES, (expectations, &*context.caches.services), &key).await
}

/// Looks at the two Services in force, and at those that are to be or were.
pub async fn look_at_all(
    reader: &Reader,
    context: &Context,
    loaded: &Loaded,
    expectations: &Expectations<ServiceEntry>,
) -> BTreeMap<String, Look<Arc<ServiceEntry>>> {
    let Targets { stable_service, canary_service, .. } = &loaded.targets;
    let names = [stable_service.clone(), canary_service.clone()].into_iter().chain(loaded.other_services());
    let looks = names.map(async |name| {
        let found = look(reader, context, loaded, expectations, &name).await;
        (name, found)
    });
    join_all(looks).await.into_iter().collect()
}

/// Looks at the Service that clients call, where one is named.
pub async fn parent(
    reader: &Reader,
    context: &Context,
    loaded: &Loaded,
    expectations: &Expectations<ServiceEntry>,
) -> Option<Look<Arc<ServiceEntry>>> {
    let name = loaded.declared.service.as_deref()?;
    Some(look(reader, context, loaded, expectations, name).await)
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
        bound: bound(&loaded.key.name, service).map(Hash::new),
        created_by_us,
        conflict: conflict(loaded, service).map(|what| format!("Service {name} cannot be used: {what}")),
        orphaned: created_by_us && service.controller.is_none(),
        ports: service.ports.clone(),
    })
}

/// Whether we made the Service for this Rollout: it is its controller, or will be again. A Rollout that was deleted without
/// what belongs to it leaves Services behind that nobody controls; they are no Service of Git's.
pub fn is_created_by(loaded: &Loaded, service: &ServiceEntry) -> bool {
    match &service.controller {
        Some(owner) => *owner.uid == *loaded.uid,
        None => is_orphan_of(&loaded.key.name, service),
    }
}

fn is_orphan_of(rollout: &str, service: &ServiceEntry) -> bool {
    service.controller.is_none() && service.is_made_by_us && service.rollout.as_deref() == Some(rollout)
}

fn is_marked(rollout: &str, service: &ServiceEntry) -> bool {
    service.rollout.as_deref() == Some(rollout)
}

/// The revision that a Service is bound to. Selector and label are written as one, and count as one: were only one of them
/// edited by hand, slices would say one revision and list the pods of another.
fn bound<'a>(rollout: &str, service: &'a ServiceEntry) -> Option<&'a str> {
    let selected = service.selector.get(REVISION_LABEL)?;
    (is_marked(rollout, service) && service.revision.as_deref() == Some(selected)).then_some(selected)
}

/// Why a Service must not be touched, and what to do about it.
fn conflict(loaded: &Loaded, service: &ServiceEntry) -> Option<String> {
    if let Some(owner) = service.controller.as_ref().filter(|owner| *owner.uid != *loaded.uid) {
        return Some(format!("it belongs to {}: choose another name, or remove it", owner.words));
    }
    if service.is_external {
        return Some("it is of type ExternalName, which selects no pods: make it a ClusterIP, or remove it".to_owned());
    }
    if service.publishes_not_ready {
        return Some("it publishes addresses that are not ready: remove publishNotReadyAddresses".to_owned());
    }
    // Whatever labels and selector somebody gave to a Service of ours: they are put back.
    if service.controller.is_some() {
        return None;
    }
    match selects(&loaded.key.name, &loaded.declared.match_labels, service) {
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

/// What a Service that nobody controls selects, by its selector and labels.
#[derive(Debug, PartialEq, Eq)]
enum Selects<'a> {
    Nothing,
    /// A revision of this Rollout.
    OurRevision,
    /// A revision of another Rollout, which has this name.
    RevisionOf(&'a str),
    /// The pods of a Rollout that has let go of it, or of the next one of that name: whoever names it may have it.
    WhatItWasLeftWith,
    SomethingElse,
}

fn selects<'a>(rollout: &str, match_labels: &BTreeMap<String, String>, service: &'a ServiceEntry) -> Selects<'a> {
    let binds = service.selector.contains_key(REVISION_LABEL);
    match service.rollout.as_deref() {
        Some(other) if other != rollout && (binds || service.revision.is_some()) => Selects::RevisionOf(other),
        _ if service.selector.is_empty() => Selects::Nothing,
        Some(_) if binds => Selects::OurRevision,
        Some(_) if service.revision.is_none() => Selects::WhatItWasLeftWith,
        // It lost the label: nobody else writes such a selector.
        None if binds && match_labels.iter().all(|label| service.selector.get_key_value(label.0) == Some(label)) => {
            Selects::OurRevision
        }
        _ => Selects::SomethingElse,
    }
}

/// The Service that clients call, as the core sees it.
pub fn judge_parent(loaded: &Loaded, parent: Option<&Look<Arc<ServiceEntry>>>) -> ParentService {
    let Some(parent) = parent else { return ParentService::NotNamed };
    let name = loaded.declared.service.as_deref().unwrap_or_default();
    let wrong = |reason, message: String| ParentService::Wrong(Problem::new(reason, message));
    let missing = |message: String| ParentService::Wrong(Problem::missing(Reason::ServiceNotFound, message));
    match parent {
        Look::Stale => ParentService::Stale,
        Look::Missing if name == loaded.declared.core.targets.stable_service && loaded.declared.ports.is_some() => {
            ParentService::Fits
        }
        Look::Missing => missing(format!(
            "Service {name} does not exist: create it, or correct spec.strategy.canary.traffic.service"
        )),
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
                     it only when they run, leave service out and give spec.strategy.canary.traffic.ports, \
                     stableService and canaryService"
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
    let selected = service.selector.iter().map(|(label, value)| (label.as_str(), value.as_str()));
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
            bound("shop", &ServiceEntry::of(&object)).map(str::to_owned)
        };
        assert_eq!(of("abc", "abc").as_deref(), Some("abc"));
        assert_eq!(of("abc", "def"), None);
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
            format!("{:?}", selects("shop", &ours, &service))
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
    }
}
