//! Whether the API server serves a kind of route, and in which version. Asked again and again while it does not: a mesh
//! may be installed after us.

use std::time::Duration;

use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;

use crate::cluster::{Cluster, Result};
use crate::routers::RouteKind;

/// Between two questions.
pub const EVERY: Duration = Duration::from_secs(30);

/// The kind in the newest version that is served and that we understand.
pub async fn discover(cluster: &Cluster, kind: RouteKind) -> Result<Option<ApiResource>> {
    for version in kind.versions() {
        if cluster.discover(kind.group(), version).await?.is_some_and(|list| serves(&list, kind.plural())) {
            let kind_in_version = GroupVersionKind::gvk(kind.group(), version, kind.kind());
            return Ok(Some(ApiResource::from_gvk_with_plural(&kind_in_version, kind.plural())));
        }
    }
    Ok(None)
}

fn serves(list: &Value, plural: &str) -> bool {
    let resources = list.get("resources").and_then(Value::as_array);
    resources.into_iter().flatten().any(|resource| resource.get("name").and_then(Value::as_str) == Some(plural))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_group_that_is_served_need_not_have_the_kind() {
        let list = json!({"resources": [{"name": "gateways"}, {"name": "httproutes"}, {"name": "httproutes/status"}]});
        assert!(serves(&list, "httproutes"));
        assert!(!serves(&list, "grpcroutes"));
    }
}
