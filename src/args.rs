//! The command line. Each flag has an environment variable; with none of them it runs in a cluster.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use clap::builder::NonEmptyStringValueParser;
use clap::{Parser, ValueEnum};

use crate::controller::cache::EVERYTHING;
use crate::measure::AddressPattern;

/// Progressive delivery for Kubernetes: runs Rollouts (rollouts.leadsman.dev).
#[allow(clippy::doc_markdown, reason = "what is written on fields is what --help prints, as plain text")]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[derive(Clone, Debug, Parser)]
#[command(name = "leadsman")]
pub struct Args {
    /// Prometheus that metrics ask when they name no address
    #[arg(long, env = "LEADSMAN_PROMETHEUS_ADDRESS", value_name = "URL")]
    pub prometheus_address: Option<String>,

    /// Addresses that metrics may name beside --prometheus-address: scheme://host:port, host, *.domain, * or a network
    /// like 10.0.0.0/8; may be repeated, or list several with commas. Left out: every address but those of loopback,
    /// link-local, unspecified, multicast and cloud metadata, also where a name leads there; what other addresses than
    /// --prometheus-address say is not quoted then
    #[arg(long, env = "LEADSMAN_METRIC_ADDRESS_ALLOW", value_name = "PATTERN", value_delimiter = ',')]
    pub metric_address_allow: Vec<AddressPattern>,

    /// Make no routes and change no spec of one: a Rollout that declares the spec of a route is refused, and only weights of
    /// routes that others made are written
    #[arg(long, env = "LEADSMAN_NO_OWNED_ROUTES")]
    pub no_owned_routes: bool,

    /// The API server itself puts down who gives a command (policy leadsman-actor): such names are shown as verified
    #[arg(long, env = "LEADSMAN_COMMANDERS_RECORDED")]
    pub commanders_recorded: bool,

    /// Kinds that are not used, so that no right to them is needed; several with commas. A Rollout that names one is told so
    #[arg(long, env = "LEADSMAN_WITHOUT", value_enum, value_name = "KIND", value_delimiter = ',')]
    pub without: Vec<Without>,

    /// Watch these namespaces only, instead of all; may be repeated, or list several with commas
    #[arg(long, env = "LEADSMAN_NAMESPACE", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    pub namespace: Vec<String>,

    /// The operator's own namespace: where its lease is, and the Secrets that cluster-wide templates name. Default: that
    /// of the service account, or of the kubeconfig's context
    #[arg(long, env = "LEADSMAN_OPERATOR_NAMESPACE", value_name = "NAMESPACE")]
    pub operator_namespace: Option<String>,

    /// Where /livez, /readyz and /metrics are served
    #[arg(long, env = "LEADSMAN_ADMIN_ADDRESS", default_value = "0.0.0.0:8080", value_name = "ADDRESS")]
    pub admin_address: SocketAddr,

    /// Ask the API server whether everything that the operator needs is granted, say what is not, and end
    #[arg(long)]
    pub check: bool,

    /// Run without a lease; only where no second instance can run
    #[arg(long, env = "LEADSMAN_NO_LEADER_ELECTION")]
    pub no_leader_election: bool,

    /// Name of the lease
    #[arg(long, env = "LEADSMAN_LEASE", default_value = "leadsman", value_name = "NAME")]
    pub lease: String,

    /// How log lines are written; LEADSMAN_LOG chooses which, like info or leadsman=debug
    #[arg(long, env = "LEADSMAN_LOG_FORMAT", default_value = "json", value_enum)]
    pub log_format: LogFormat,

    /// Rollouts that are worked on at the same time; nearly all of that is waiting for answers
    #[arg(long, env = "LEADSMAN_WORKERS", default_value_t = 256, value_name = "NUMBER")]
    pub workers: u16,
}

impl Args {
    /// What each watch covers: every namespace that is watched, once, or everything.
    pub fn scopes(&self) -> Vec<Box<str>> {
        let namespaces: BTreeSet<&str> = self.namespace.iter().map(String::as_str).collect();
        let everything = namespaces.is_empty().then_some(EVERYTHING);
        everything.into_iter().chain(namespaces).map(Box::from).collect()
    }
}

/// What an operator may go without.
#[allow(clippy::doc_markdown, reason = "what is written on values is what --help prints, as plain text")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Without {
    /// HTTPRoutes and GRPCRoutes
    GatewayApi,
    /// VirtualServices
    Istio,
    /// ClusterAnalysisTemplates, which belong to no namespace
    ClusterTemplates,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_arguments_it_watches_everything_and_wants_a_lease() {
        let args = Args::parse_from(["leadsman"]);
        assert_eq!(args.scopes(), [EVERYTHING.into()]);
        assert!(!args.no_leader_election);
        assert_eq!(args.admin_address.port(), 8080);
        assert_eq!(args.metric_address_allow, []);
    }

    #[test]
    fn namespaces_may_be_listed_in_several_ways_and_an_empty_one_is_no_way_to_say_all() {
        let flag = "--namespace";
        let args = Args::parse_from(["leadsman", flag, "b,a", flag, "c", "--namespace=a"]);
        assert_eq!(args.scopes(), ["a", "b", "c"].map(Box::from));
        assert!(Args::try_parse_from(["leadsman", "--namespace="]).is_err());
        assert!(Args::try_parse_from(["leadsman", "--namespace=a,"]).is_err());
    }

    #[test]
    fn addresses_of_metrics_may_be_listed_in_several_ways() {
        let flag = "--metric-address-allow";
        let args =
            Args::parse_from(["leadsman", flag, "10.0.0.0/8,http://thanos:9090", &format!("{flag}=*.example.com")]);
        let expected = ["10.0.0.0/8", "http://thanos:9090", "*.example.com"].map(|text| text.parse().unwrap());
        assert_eq!(args.metric_address_allow, expected);
        let error = Args::try_parse_from(["leadsman", flag, "http://a/path"]).unwrap_err().to_string();
        assert!(error.contains("\"http://a/path\" is no address"), "{error}");
    }
}
