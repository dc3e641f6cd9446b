//! What is installed in the cluster, as manifests.

use anyhow::Result;

use crate::{
    images::Packed,
    manifests::prometheus,
    network::{DNS_IP, NODE_IP},
    template::filled,
};

/// What every cluster has.
pub(crate) fn always(packed: &[Packed]) -> Result<String> {
    // No names: every namespace.
    let prometheus = prometheus("monitoring", "", digest(packed, "prometheus"))?;
    Ok(manifests(&MANIFESTS, packed)? + "\n---\n" + &prometheus)
}

/// In the order in which they are applied, after the DNS server's.
const MANIFESTS: [&str; 7] = [
    include_str!("../../cluster/manifests/namespaces.yaml"),
    include_str!("../../cluster/manifests/istiod.yaml"),
    include_str!("../../cluster/manifests/gateway.yaml"),
    include_str!("../../cluster/manifests/istio-metrics.yaml"),
    include_str!("../../cluster/manifests/git.yaml"),
    include_str!("../../cluster/manifests/metrics-api.yaml"),
    include_str!("../../cluster/manifests/linkerd-route.yaml"),
];
pub(crate) const FLUX: &str = include_str!("../../cluster/manifests/flux.yaml");
pub(crate) const FLUX_NAMESPACE: &str = "flux-system";
/// What they install, with its namespace; but for the metrics API, which only scenarios with an autoscaler wait for.
pub(crate) const DEPLOYMENTS: [(&str, &str); 6] = [
    ("istio-system", "istiod"),
    ("gw", "ingress"),
    ("monitoring", "prometheus"),
    ("git", "git"),
    (FLUX_NAMESPACE, "source-controller"),
    (FLUX_NAMESPACE, "kustomize-controller"),
];
const DNS: &str = include_str!("../../cluster/manifests/dns.yaml");

pub(crate) fn dns_manifest() -> Result<String> {
    filled(DNS, &[("NODE_IP", NODE_IP), ("DNS_IP", DNS_IP)])
}

/// Several as one stream. An image's digest in its pods' annotations replaces them when the image changes.
pub(crate) fn manifests(manifests: &[&str], packed: &[Packed]) -> Result<String> {
    let values = [
        ("ISTIOD_DIGEST", digest(packed, "istiod")),
        ("ENVOY_DIGEST", digest(packed, "envoy")),
        ("GIT_DIGEST", digest(packed, "git")),
        ("APP_DIGEST", digest(packed, "app")),
        ("SOURCE_CONTROLLER_DIGEST", digest(packed, "source-controller")),
        ("KUSTOMIZE_CONTROLLER_DIGEST", digest(packed, "kustomize-controller")),
    ];
    Ok(manifests.iter().map(|manifest| filled(manifest, &values)).collect::<Result<Vec<_>>>()?.join("\n---\n"))
}

/// The digest of an image of the cluster's own, where it has been packed.
fn digest<'a>(packed: &'a [Packed], short: &str) -> &'a str {
    let name = format!("localhost/{short}:bed");
    packed.iter().find(|image| image.name == name).map_or("", |image| image.digest.as_str())
}

#[cfg(test)]
mod tests {
    use super::{FLUX, always, dns_manifest, manifests};

    #[test]
    fn every_manifest_is_filled_in() {
        let all = always(&[]).unwrap() + &manifests(&[FLUX], &[]).unwrap() + &dns_manifest().unwrap();
        assert!(!all.contains("${"));
        for kind in ["kind: Gateway", "kind: EnvoyFilter", "kind: Deployment", "kind: EndpointSlice"] {
            assert!(all.contains(kind), "{kind}");
        }
    }
}
