//! Services: bind to a revision, unbind.

use std::sync::Arc;

use leadsman_api::names::{FIELD_MANAGER, MANAGED_BY_LABEL, REVISION_LABEL, ROLLOUT_LABEL};
use leadsman_core::names::{Hash, Side};
use leadsman_core::observed::Look;
use serde_json::{Value, json};

use super::{Applying, remember, unseen};
use crate::cluster::{Error, Result, kinds};
use crate::controller::cache::{Port, ServiceEntry, Slim};
use crate::controller::observe::is_created_by;

/// Binds a Service to a revision: selector and labels in one write, so that the endpoint slices get both from one version.
pub async fn bind(applying: &mut Applying<'_>, side: Side, hash: &Hash) -> Result<()> {
    let name = applying.loaded.service(side).to_owned();
    let service = match applying.objects.service(side) {
        Look::Seen(service) => Some(Arc::clone(service)),
        Look::Missing => None,
        Look::Stale => return Err(unseen(&format!("Service {name}"))),
    };
    let mut fragment = fragment(applying, &name, service.as_deref());
    let mut selector = applying.loaded.declared.match_labels.clone();
    selector.insert(REVISION_LABEL.to_owned(), hash.to_string());
    let mut labels = json!({
        ROLLOUT_LABEL: &*applying.loaded.key.name,
        REVISION_LABEL: hash.as_str(),
    });
    set(&mut fragment, "spec", "selector", json!(selector));
    let ours = service.as_ref().is_none_or(|service| is_created_by(applying.loaded, service));
    if ours {
        if let Some(labels) = labels.as_object_mut() {
            labels.insert(MANAGED_BY_LABEL.to_owned(), json!(FIELD_MANAGER));
        }
        let ports = applying.objects.ports(side).filter(|ports| !ports.is_empty());
        let Some(ports) = ports else {
            return Err(Error::Unsendable(format!(
                "the ports of Service {name} are not known: name a Service with ports, or give spec.strategy.canary.traffic.ports"
            )));
        };
        set(&mut fragment, "spec", "ports", ports.iter().map(Port::to_value).collect());
        set(&mut fragment, "spec", "type", json!("ClusterIP"));
        set(&mut fragment, "metadata", "ownerReferences", json!([applying.loaded.owner_reference()]));
    }
    set(&mut fragment, "metadata", "labels", labels);
    // One that was not there is created without force: should somebody have been faster, that is a conflict.
    let force = service.is_some();
    let services = applying.context.cluster.objects(&kinds::SERVICES, &applying.loaded.key.namespace);
    let answer = services.apply(&name, &fragment, force).await;
    remember(&mut applying.memory.services, &name, answer).map(drop)
}

/// Takes our selector and labels off a Service that is declared in Git: applies a fragment without them.
pub async fn unbind(applying: &mut Applying<'_>, side: Side) -> Result<()> {
    let name = applying.loaded.service(side).to_owned();
    let Look::Seen(service) = applying.objects.service(side) else { return Err(unseen(&format!("Service {name}"))) };
    let fragment = fragment(applying, &name, Some(service));
    let services = applying.context.cluster.objects(&kinds::SERVICES, &applying.loaded.key.namespace);
    let answer = services.apply(&name, &fragment, true).await;
    remember(&mut applying.memory.services, &name, answer).map(drop)
}

/// The least that an apply needs; to an existing Service with its uid and resourceVersion.
fn fragment(applying: &Applying<'_>, name: &str, service: Option<&ServiceEntry>) -> Value {
    let mut metadata = json!({"name": name, "namespace": &*applying.loaded.key.namespace});
    if let (Some(metadata), Some(service)) = (metadata.as_object_mut(), service) {
        metadata.insert("uid".to_owned(), json!(&*service.identity().uid));
        metadata.insert("resourceVersion".to_owned(), json!(service.identity().version_text()));
    }
    json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata})
}

fn set(fragment: &mut Value, part: &str, field: &str, value: Value) {
    if let Some(fragment) = fragment.as_object_mut() {
        let part = fragment.entry(part).or_insert_with(|| json!({}));
        if let Some(part) = part.as_object_mut() {
            part.insert(field.to_owned(), value);
        }
    }
}
