//! Services: have them select a revision or all, let go, delete.

use std::collections::BTreeMap;

use leadsman_api::names::{FIELD_MANAGER, MANAGED_BY_LABEL, REVISION_LABEL, ROLLOUT_LABEL};
use leadsman_core::names::Selection;
use leadsman_core::observed::Look;
use leadsman_core::traffic::Port;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::{Applying, remember, unseen};
use crate::cluster::{Api, Error, Result, kinds};
use crate::controller::cache::{ServiceEntry, Slim};
use crate::controller::loaded::Loaded;
use crate::controller::observe::is_created_by;

/// A Service, and what it is to select.
pub struct Binding<'a> {
    /// Its name.
    pub service: &'a str,
    /// Pods of one revision, or of all.
    pub selection: &'a Selection,
    /// The ports of one that we make.
    pub ports: &'a [Port],
}

/// Has a Service select a revision, or all: selector, labels and ports in one write, so that the endpoint slices get all of them from
/// one version.
///
/// One that is missing is created, and only created. One that we made is changed in the fields that we made, one that Git
/// declares by an apply of selector and labels alone.
pub async fn bind(applying: &mut Applying<'_>, binding: &Binding<'_>) -> Result<()> {
    let name = binding.service;
    let services = services(applying);
    let answer = match applying.objects.service(name) {
        Look::Stale => return Err(unseen(&format!("Service {name}"))),
        Look::Missing => services.create(&new(applying.loaded, binding)?).await,
        Look::Seen(service) if is_created_by(applying.loaded, service) => {
            services.merge(name, &change(applying.loaded, binding, service)?).await
        }
        Look::Seen(service) => {
            services.apply(name, &fragment(applying.loaded, name, service, Some(binding.selection)), true).await
        }
    };
    if answer.as_ref().is_err_and(Error::is_already_exists) {
        // Not ours unless it says so: it has to be looked at before anything is done to it.
        applying.memory.services.unknown(name, Instant::now());
        return Err(Error::Outdated(format!("somebody else has just created Service {name}")));
    }
    remember(&applying.memory.services, name, answer).map(drop)
}

/// Lets go of a Service: it selects the Rollout's pods of whatever revision. Without a selector its slices would list dead
/// pods' addresses for ever. The Rollout's label stays and says where the selector came from.
pub async fn loosen(applying: &mut Applying<'_>, name: &str) -> Result<()> {
    let Look::Seen(service) = applying.objects.service(name) else { return Err(unseen(&format!("Service {name}"))) };
    let services = services(applying);
    let answer = if is_created_by(applying.loaded, service) {
        let patch = json!({
            "metadata": {
                "uid": service.identity().uid,
                "resourceVersion": service.identity().version_text(),
                "labels": {REVISION_LABEL: null},
            },
            "spec": {"selector": {REVISION_LABEL: null}},
        });
        services.merge(name, &patch).await
    } else {
        services.apply(name, &fragment(applying.loaded, name, service, None), true).await
    };
    remember(&applying.memory.services, name, answer).map(drop)
}

/// Deletes a Service that we made and that the Rollout does not name any more, in the version that was seen.
pub async fn delete(applying: &mut Applying<'_>, name: &str) -> Result<()> {
    let service = match applying.objects.service(name) {
        Look::Seen(service) if is_created_by(applying.loaded, service) => service,
        Look::Missing => return Ok(()),
        Look::Seen(_) | Look::Stale => return Err(unseen(&format!("Service {name}"))),
    };
    let identity = service.identity();
    match services(applying).delete(name, &identity.uid.to_string(), &identity.version_text()).await {
        Err(error) if !error.is_not_found() => remember(&applying.memory.services, name, Err(error)).map(drop),
        _ => {
            applying.memory.services.deleted(name, &identity.uid, Instant::now());
            Ok(())
        }
    }
}

fn services<'a>(applying: &Applying<'a>) -> Api<'a> {
    let context = applying.context;
    context.cluster.objects(&kinds::SERVICES, &applying.loaded.key.namespace)
}

/// The Rollout's labels, and that of the revision where it is one.
fn selector(loaded: &Loaded, selection: Option<&Selection>) -> BTreeMap<String, String> {
    let mut selector = loaded.declared.match_labels.clone();
    let only = selection.and_then(Selection::only);
    selector.extend(only.map(|hash| (REVISION_LABEL.to_owned(), hash.to_string())));
    selector
}

/// The label says what is selected, also where the selector names no revision: slices copy it.
fn labels(loaded: &Loaded, selection: Option<&Selection>) -> BTreeMap<&'static str, String> {
    let revision = selection.map(|selection| (REVISION_LABEL, selection.as_str().to_owned()));
    [(ROLLOUT_LABEL, loaded.key.name.to_string())].into_iter().chain(revision).collect()
}

fn our_labels(loaded: &Loaded, selection: &Selection) -> BTreeMap<&'static str, String> {
    let mut labels = labels(loaded, Some(selection));
    labels.insert(MANAGED_BY_LABEL, FIELD_MANAGER.to_owned());
    labels
}

fn ports(loaded: &Loaded, binding: &Binding<'_>) -> Result<Value> {
    if binding.ports.is_empty() {
        return Err(Error::Unsendable(format!(
            "the ports of Service {} are not known: name a Service with ports, or give {}.ports",
            binding.service, loaded.declared.at
        )));
    }
    Ok(json!(binding.ports))
}

/// A Service of our own.
fn new(loaded: &Loaded, binding: &Binding<'_>) -> Result<Value> {
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": binding.service,
            "namespace": &*loaded.key.namespace,
            "labels": our_labels(loaded, binding.selection),
            "ownerReferences": [loaded.owner_reference()],
        },
        "spec": {
            "type": "ClusterIP",
            "selector": selector(loaded, Some(binding.selection)),
            "ports": ports(loaded, binding)?,
        },
    }))
}

/// A merge patch for a Service of our own in the version that was seen: selector and ports become what they should be, our
/// labels are put on, and everything else stays as others wrote it.
fn change(loaded: &Loaded, binding: &Binding<'_>, service: &ServiceEntry) -> Result<Value> {
    let wanted = selector(loaded, Some(binding.selection));
    let foreign = service.selector.labels().map(|(label, _)| label).filter(|label| !wanted.contains_key(*label));
    let mut selector: Map<String, Value> = foreign.map(|label| (label.to_owned(), Value::Null)).collect();
    selector.extend(wanted.into_iter().map(|(label, value)| (label, json!(value))));
    let mut metadata = json!({
        "uid": service.identity().uid,
        "resourceVersion": service.identity().version_text(),
        "labels": our_labels(loaded, binding.selection),
    });
    if let (None, Some(metadata)) = (&service.controller, metadata.as_object_mut()) {
        metadata.insert("ownerReferences".to_owned(), loaded.owners(&service.owners));
    }
    Ok(json!({"metadata": metadata, "spec": {"selector": selector, "ports": ports(loaded, binding)?}}))
}

/// All that we apply to a Service that Git declares, in the version that was seen. A selector is owned as a whole: one without
/// the revision takes the place of one with it.
fn fragment(loaded: &Loaded, name: &str, service: &ServiceEntry, selection: Option<&Selection>) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": &*loaded.key.namespace,
            "uid": service.identity().uid,
            "resourceVersion": service.identity().version_text(),
            "labels": labels(loaded, selection),
        },
        "spec": {"selector": selector(loaded, selection)},
    })
}
