//! `doctor`: what can be found out by reading: versions, the operator and its lease, rights, the Gateway API.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{ListParams, PostParams};
use leadsman_api::crds::{SCHEMA_VERSION, SCHEMA_VERSION_ANNOTATION};
use serde::Serialize;

use crate::args::Printed;
use crate::cluster::Cluster;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Format;
use crate::session::Session;

/// What the plugin asks for: group, resource, subresource, verbs.
const RIGHTS: [(&str, &str, &str, &[&str]); 5] = [
    ("leadsman.dev", "rollouts", "", &["get", "list", "watch", "patch"]),
    ("leadsman.dev", "rolloutreports", "", &["list", "watch"]),
    ("apps", "replicasets", "", &["list", "watch"]),
    ("", "pods", "", &["list", "watch"]),
    ("", "pods", "log", &["get"]),
];

/// A finding.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    level: Level,
    words: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    advice: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Level {
    Fine,
    Warning,
    Problem,
}

/// What is installed, as far as it can be read.
pub(super) struct Installed {
    pub kubernetes: Result<String, Failure>,
    /// The schema of the Rollouts' CRD; `None` inside where it says none.
    pub schema: Result<Option<u32>, Failure>,
    pub operators: Result<Vec<Operator>, Failure>,
}

/// An operator's Deployment.
pub(super) struct Operator {
    pub namespace: String,
    pub name: String,
    pub image: String,
    pub ready: i32,
    pub wanted: i32,
}

/// Looks for what keeps Leadsman from working here. Ends with 4 where there is a problem.
///
/// # Errors
/// Where the cluster cannot be reached at all.
pub async fn doctor(session: &mut Session, printed: &Printed) -> Outcome {
    let installed = installed(&session.cluster).await;
    let mut findings = vec![fine(format!("Kubernetes {}", installed.kubernetes?)), schema(&installed.schema)];
    operators(&session.cluster, installed.operators, &mut findings).await;
    findings.push(rights(&session.cluster, &session.namespace).await);
    findings.push(gateway_api(&session.cluster).await);
    let has_problem = findings.iter().any(|finding| finding.level == Level::Problem);
    match printed.output {
        Some(Format::Json) => session.screen.json(&findings)?,
        Some(Format::Yaml) => session.screen.yaml(&findings)?,
        _ => print(session, &findings)?,
    }
    Ok(if has_problem { Exit::Stuck } else { Exit::Done })
}

fn print(session: &mut Session, findings: &[Finding]) -> Result<(), Failure> {
    let ascii = session.screen.look.ascii;
    for finding in findings {
        let glyph = match (finding.level, ascii) {
            (Level::Fine, false) => "✓",
            (Level::Fine, true) => "ok",
            (Level::Warning, _) => "!",
            (Level::Problem, false) => "✗",
            (Level::Problem, true) => "x",
        };
        session.screen.line(&format!("{glyph} {}", finding.words))?;
        if !finding.advice.is_empty() {
            session.screen.line(&format!("    {}", finding.advice))?;
        }
    }
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    session.screen.line(&format!("problems: {}, warnings: {}", count(Level::Problem), count(Level::Warning)))
}

pub(super) async fn installed(cluster: &Cluster) -> Installed {
    let crds: Api<CustomResourceDefinition> = Api::all(cluster.client().clone());
    let deployments: Api<Deployment> = Api::all(cluster.client().clone());
    let labelled = ListParams::default().labels("app.kubernetes.io/name=leadsman");
    let (kubernetes, crd, deployments) = tokio::join!(
        cluster.ask("ask for the version of Kubernetes", cluster.client().apiserver_version()),
        cluster.ask("read the CRD of Rollouts", crds.get("rollouts.leadsman.dev")),
        cluster.ask("look for the operator", deployments.list(&labelled)),
    );
    Installed {
        kubernetes: kubernetes.map(|version| version.git_version),
        schema: crd.map(|crd| crd.metadata.annotations?.get(SCHEMA_VERSION_ANNOTATION)?.parse().ok()),
        operators: deployments.map(|list| list.items.into_iter().map(operator).collect()),
    }
}

fn operator(deployment: Deployment) -> Operator {
    let (spec, status) = (deployment.spec.unwrap_or_default(), deployment.status.unwrap_or_default());
    let containers = spec.template.spec.map(|pod| pod.containers).unwrap_or_default();
    Operator {
        namespace: deployment.metadata.namespace.unwrap_or_default(),
        name: deployment.metadata.name.unwrap_or_default(),
        image: containers.into_iter().next().and_then(|container| container.image).unwrap_or_default(),
        ready: status.ready_replicas.unwrap_or(0),
        wanted: spec.replicas.unwrap_or(1),
    }
}

fn schema(installed: &Result<Option<u32>, Failure>) -> Finding {
    let known = SCHEMA_VERSION;
    match installed {
        Err(failure) if failure.what.contains("forbidden") => warning(failure),
        Err(failure) => problem(failure.what.clone(), "install the CRDs: docs/install.md"),
        Ok(Some(schema)) if *schema == known => fine(format!("CRDs of schema {known}")),
        Ok(Some(schema)) if *schema > known => Finding {
            level: Level::Warning,
            words: format!("CRDs are of schema {schema}, this plugin knows {known}"),
            advice: "a newer plugin shows what is new".to_owned(),
        },
        Ok(schema) => problem(
            format!(
                "CRDs are of schema {}, this plugin wants {known}",
                schema.map_or("unknown".to_owned(), |it| it.to_string())
            ),
            "upgrade the CRDs: docs/upgrade.md",
        ),
    }
}

async fn operators(cluster: &Cluster, operators: Result<Vec<Operator>, Failure>, findings: &mut Vec<Finding>) {
    let operators = match operators {
        Ok(operators) => operators,
        Err(failure) => return findings.push(warning(&failure)),
    };
    if operators.is_empty() {
        let words = "no Deployment with the label app.kubernetes.io/name=leadsman".to_owned();
        findings.push(problem(words, "install the operator: docs/install.md"));
    }
    for operator in operators {
        let Operator { namespace, name, image, ready, wanted } = &operator;
        let words = format!("operator {namespace}/{name} ({image}): {ready} of {wanted} ready");
        findings.push(if ready >= wanted && *ready > 0 {
            fine(words)
        } else {
            problem(words, &format!("kubectl -n {namespace} describe deployment {name}"))
        });
        findings.push(lease(cluster, &operator).await);
    }
}

/// Who leads: the chart names the lease like the Deployment.
async fn lease(cluster: &Cluster, operator: &Operator) -> Finding {
    let api: Api<Lease> = Api::namespaced(cluster.client().clone(), &operator.namespace);
    match cluster.ask("read the operator's lease", api.get(&operator.name)).await {
        Err(failure) => warning(&failure),
        Ok(lease) => match lease.spec.and_then(|spec| spec.holder_identity).filter(|holder| !holder.is_empty()) {
            Some(holder) => fine(format!("leader {holder}")),
            None => problem("nobody holds the operator's lease".to_owned(), "look at the operator's log"),
        },
    }
}

async fn rights(cluster: &Cluster, namespace: &str) -> Finding {
    let api: Api<SelfSubjectAccessReview> = Api::all(cluster.client().clone());
    let (mut granted, mut missing) = (0, Vec::new());
    for (group, resource, subresource, verbs) in RIGHTS {
        for &verb in verbs {
            let review = review(namespace, (group, resource, subresource), verb);
            match cluster.ask("ask for my rights", api.create(&PostParams::default(), &review)).await {
                Err(failure) => return warning(&failure),
                Ok(answer) if answer.status.as_ref().is_some_and(|status| status.allowed) => granted += 1,
                Ok(_) if subresource.is_empty() => missing.push(format!("{verb} {resource}")),
                Ok(_) => missing.push(format!("{verb} {resource}/{subresource}")),
            }
        }
    }
    let all = granted + missing.len();
    let words = format!("rights in namespace {namespace}: {granted} of {all}");
    if missing.is_empty() {
        return fine(words);
    }
    problem(format!("{words}; missing: {}", missing.join(", ")), "the chart's user roles grant them: docs/security.md")
}

fn review(namespace: &str, (group, resource, subresource): (&str, &str, &str), verb: &str) -> SelfSubjectAccessReview {
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let attributes = ResourceAttributes {
        group: text(group),
        resource: text(resource),
        subresource: text(subresource),
        namespace: text(namespace),
        verb: text(verb),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
    SelfSubjectAccessReview { spec, ..Default::default() }
}

async fn gateway_api(cluster: &Cluster) -> Finding {
    let groups = match cluster.ask("ask which kinds there are", cluster.client().list_api_groups()).await {
        Ok(groups) => groups.groups,
        Err(failure) => return warning(&failure),
    };
    let has = |name: &str| groups.iter().any(|group| group.name == name);
    match (has("gateway.networking.k8s.io"), has("networking.istio.io")) {
        (true, true) => fine("Gateway API and Istio are here".to_owned()),
        (true, false) => fine("Gateway API is here".to_owned()),
        (false, true) => fine("Istio is here".to_owned()),
        (false, false) => Finding {
            level: Level::Warning,
            words: "neither the Gateway API nor Istio is here".to_owned(),
            advice: "canaries share pods instead of requests: docs/strategies.md".to_owned(),
        },
    }
}

fn fine(words: String) -> Finding {
    Finding { level: Level::Fine, words, advice: String::new() }
}

fn warning(failure: &Failure) -> Finding {
    Finding { level: Level::Warning, words: failure.what.clone(), advice: failure.advice.join("; ") }
}

fn problem(words: String, advice: &str) -> Finding {
    Finding { level: Level::Problem, words, advice: advice.to_owned() }
}
