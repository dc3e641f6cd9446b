//! Who declares a Rollout: what GitOps tools and Helm leave on the objects that they apply.

use leadsman_api::Rollout;

use crate::model::Source;

/// Who declares it; `None` where nobody left a trace.
pub fn of(rollout: &Rollout) -> Option<Source> {
    let metadata = &rollout.metadata;
    let label = |key: &str| metadata.labels.as_ref().and_then(|labels| labels.get(key)).map(String::as_str);
    let annotation = |key: &str| metadata.annotations.as_ref().and_then(|it| it.get(key)).map(String::as_str);
    let found = |tool: &str, object: String| Some(Source { tool: tool.to_owned(), object });
    for kind in ["kustomize", "helm"] {
        if let Some(name) = label(&format!("{kind}.toolkit.fluxcd.io/name")) {
            let namespace = label(&format!("{kind}.toolkit.fluxcd.io/namespace")).unwrap_or_default();
            return found("Flux", [namespace, name].join("/").trim_start_matches('/').to_owned());
        }
    }
    if let Some(tracked) = annotation("argocd.argoproj.io/tracking-id") {
        return found("Argo CD", tracked.split(':').next().unwrap_or_default().to_owned());
    }
    if label("app.kubernetes.io/managed-by") == Some("Helm") {
        return found("Helm", annotation("meta.helm.sh/release-name").unwrap_or_default().to_owned());
    }
    let managers = metadata.managed_fields.as_ref().into_iter().flatten().filter_map(|it| it.manager.as_deref());
    let tool = managers.into_iter().find_map(|manager| match manager {
        "kustomize-controller" | "helm-controller" => Some("Flux"),
        "argocd-controller" | "argocd-application-controller" => Some("Argo CD"),
        "helm" => Some("Helm"),
        _ => None,
    });
    tool.and_then(|tool| found(tool, String::new()))
}
