//! Services: bind to a revision, unbind.

use std::collections::BTreeMap;

use leadsman_api::names::{FIELD_MANAGER, MANAGED_BY_LABEL, REVISION_LABEL, ROLLOUT_LABEL};
use leadsman_core::names::{Hash, Side};
use leadsman_core::observed::Look;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::{Applying, remember, unseen};
use crate::cluster::{Error, Result, kinds};
use crate::controller::cache::{Port, ServiceEntry, Slim};
use crate::controller::loaded::Loaded;
use crate::controller::observe::is_created_by;

/// Binds a Service to a revision: selector and labels in one write, so that the endpoint slices get both from one version.
///
/// One that is missing is created, and only created. One that we made is changed in the fields that we made, one that Git
/// declares by an apply of selector and labels alone.
pub async fn bind(applying: &mut Applying<'_>, side: Side, hash: &Hash) -> Result<()> {
    let name = applying.loaded.service(side).to_owned();
    let services = applying.context.cluster.objects(&kinds::SERVICES, &applying.loaded.key.namespace);
    let answer = match applying.objects.service(side) {
        Look::Stale => return Err(unseen(&format!("Service {name}"))),
        Look::Missing => services.create(&new(applying, side, hash)?).await,
        Look::Seen(service) if is_created_by(applying.loaded, service) => {
            services.merge(&name, &change(applying, side, service, hash)?).await
        }
        Look::Seen(service) => services.apply(&name, &fragment(applying.loaded, side, service, Some(hash)), true).await,
    };
    if answer.as_ref().is_err_and(Error::is_already_exists) {
        // Not ours unless it says so: it has to be looked at before anything is done to it.
        applying.memory.services.unknown(&name, Instant::now());
        return Err(Error::Outdated(format!("somebody else has just created Service {name}")));
    }
    remember(&applying.memory.services, &name, answer).map(drop)
}

/// Lets go of a Service that is declared in Git: it selects the Rollout's pods of whatever revision. Without a selector its
/// slices would list dead pods' addresses for ever. The Rollout's label stays and says where the selector came from.
pub async fn unbind(applying: &mut Applying<'_>, side: Side) -> Result<()> {
    let name = applying.loaded.service(side).to_owned();
    let Look::Seen(service) = applying.objects.service(side) else { return Err(unseen(&format!("Service {name}"))) };
    let fragment = fragment(applying.loaded, side, service, None);
    let services = applying.context.cluster.objects(&kinds::SERVICES, &applying.loaded.key.namespace);
    let answer = services.apply(&name, &fragment, true).await;
    remember(&applying.memory.services, &name, answer).map(drop)
}

fn selector(loaded: &Loaded, hash: Option<&Hash>) -> BTreeMap<String, String> {
    let mut selector = loaded.declared.match_labels.clone();
    selector.extend(hash.map(|hash| (REVISION_LABEL.to_owned(), hash.to_string())));
    selector
}

fn labels(loaded: &Loaded, hash: Option<&Hash>) -> BTreeMap<&'static str, String> {
    let revision = hash.map(|hash| (REVISION_LABEL, hash.to_string()));
    [(ROLLOUT_LABEL, loaded.key.name.to_string())].into_iter().chain(revision).collect()
}

fn our_labels(loaded: &Loaded, hash: &Hash) -> BTreeMap<&'static str, String> {
    let mut labels = labels(loaded, Some(hash));
    labels.insert(MANAGED_BY_LABEL, FIELD_MANAGER.to_owned());
    labels
}

fn ports(applying: &Applying<'_>, side: Side) -> Result<Vec<Value>> {
    let ports = applying.objects.ports(side).filter(|ports| !ports.is_empty());
    let Some(ports) = ports else {
        return Err(Error::Unsendable(format!(
            "the ports of Service {} are not known: name a Service with ports, or give spec.strategy.canary.traffic.ports",
            applying.loaded.service(side)
        )));
    };
    Ok(ports.iter().map(Port::to_value).collect())
}

/// A Service of our own.
fn new(applying: &Applying<'_>, side: Side, hash: &Hash) -> Result<Value> {
    let loaded = &*applying.loaded;
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": loaded.service(side),
            "namespace": &*loaded.key.namespace,
            "labels": our_labels(loaded, hash),
            "ownerReferences": [loaded.owner_reference()],
        },
        "spec": {
            "type": "ClusterIP",
            "selector": selector(loaded, Some(hash)),
            "ports": ports(applying, side)?,
        },
    }))
}

/// A merge patch for a Service of our own in the version that was seen: selector and ports become what they should be, our
/// labels are put on, and everything else stays as others wrote it.
fn change(applying: &Applying<'_>, side: Side, service: &ServiceEntry, hash: &Hash) -> Result<Value> {
    let loaded = &*applying.loaded;
    let wanted = selector(loaded, Some(hash));
    let foreign = service.selector.keys().filter(|label| !wanted.contains_key(*label)).cloned();
    let mut selector: Map<String, Value> = foreign.map(|label| (label, Value::Null)).collect();
    selector.extend(wanted.into_iter().map(|(label, value)| (label, json!(value))));
    let mut metadata = json!({
        "uid": &*service.identity().uid,
        "resourceVersion": service.identity().version_text(),
        "labels": our_labels(loaded, hash),
    });
    if let (None, Some(metadata)) = (&service.controller, metadata.as_object_mut()) {
        metadata.insert("ownerReferences".to_owned(), loaded.owners(&service.owners));
    }
    Ok(json!({"metadata": metadata, "spec": {"selector": selector, "ports": ports(applying, side)?}}))
}

/// All that we apply to a Service that Git declares, in the version that was seen.
fn fragment(loaded: &Loaded, side: Side, service: &ServiceEntry, hash: Option<&Hash>) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": loaded.service(side),
            "namespace": &*loaded.key.namespace,
            "uid": &*service.identity().uid,
            "resourceVersion": service.identity().version_text(),
            "labels": labels(loaded, hash),
        },
        "spec": {"selector": selector(loaded, hash)},
    })
}
