//! `leadsman --check`: whether the account that it runs as may do what the operator needs. What `helm test` runs.

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::{Api, PostParams};
use kube::{Client, Config};

use crate::args::{Args, Without};
use crate::controller::cache::EVERYTHING;
use crate::runtime::rbac::{Feature, LEASE_RULES, RULES, Rule};

/// Asks for every right, and prints those that are missing.
///
/// # Errors
/// What is missing and needed, or why it could not be asked.
pub async fn run(args: &Args) -> Result<(), String> {
    let config =
        Config::infer().await.map_err(|error| format!("cannot find out how to reach the API server: {error}"))?;
    let own = args.operator_namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let client = Client::try_from(config).map_err(|error| format!("cannot make a client: {error}"))?;
    let reviews = Api::all(client);
    let mut missing = 0;
    let scopes = args.scopes();
    let watched = scopes.iter().flat_map(|scope| {
        let used = RULES.iter().filter(|rule| is_used(args, rule.3));
        used.map(|rule| (rule, (**scope != *EVERYTHING).then_some(&**scope)))
    });
    for (rule, namespace) in watched.chain(LEASE_RULES.iter().map(|rule| (rule, Some(&*own)))) {
        for verb in rule.2 {
            if is_allowed(&reviews, rule, verb, namespace).await? {
                continue;
            }
            let needed = !matches!(rule.3, Feature::Eviction | Feature::Secrets | Feature::Jobs);
            let place = namespace.map_or_else(|| "in the cluster".to_owned(), |namespace| format!("in {namespace}"));
            println!("{}: {verb} {} {place}", if needed { "missing" } else { "not granted" }, name(rule));
            missing += u32::from(needed);
        }
    }
    if missing == 0 {
        println!("everything that the operator needs is granted");
        return Ok(());
    }
    Err(format!("{missing} rights are missing"))
}

/// Resource and group, as people write them.
fn name((group, resource, ..): &Rule) -> String {
    if group.is_empty() { (*resource).to_owned() } else { format!("{resource}.{group}") }
}

/// True for what an operator with these flags does. Whether it restarts pods, reads Secrets or logs or runs Jobs, Rollouts decide.
fn is_used(args: &Args, feature: Feature) -> bool {
    let with = |kind| !args.without.contains(&kind);
    match feature {
        Feature::Always | Feature::Eviction | Feature::Secrets | Feature::Jobs | Feature::Logs => true,
        Feature::GatewayApi => with(Without::GatewayApi),
        Feature::OwnGatewayRoutes => with(Without::GatewayApi) && !args.no_owned_routes,
        Feature::Istio => with(Without::Istio),
        Feature::OwnVirtualServices => with(Without::Istio) && !args.no_owned_routes,
        Feature::ClusterTemplates => with(Without::ClusterTemplates),
    }
}

async fn is_allowed(
    reviews: &Api<SelfSubjectAccessReview>,
    (group, resource, ..): &Rule,
    verb: &str,
    namespace: Option<&str>,
) -> Result<bool, String> {
    let (resource, subresource) = resource.split_once('/').map_or((*resource, None), |(of, sub)| (of, Some(sub)));
    let attributes = ResourceAttributes {
        group: Some((*group).to_owned()),
        resource: Some(resource.to_owned()),
        subresource: subresource.map(str::to_owned),
        verb: Some(verb.to_owned()),
        namespace: namespace.map(str::to_owned),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let answer = reviews.create(&PostParams::default(), &review).await;
    let answer = answer.map_err(|error| format!("whether {verb} {resource} is allowed cannot be asked: {error}"))?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}
