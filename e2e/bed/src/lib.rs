//! A real Kubernetes with a real mesh on one Linux machine, without Docker and without a registry of images.
//!
//! [`Bed::up`] makes it, or finds it already there: etcd, API server, controller manager, scheduler, kubelet, kube-proxy,
//! containerd and a DNS server as processes of one namespaced node; istiod, an ingress Envoy, Prometheus, Flux and a Git
//! server as pods in it.
//! Every component is built from source or taken from a package and kept in a cache outside the work tree. Node, pod and
//! service addresses answer on the machine itself.
//!
//! Needs root, Go, Python 3 and cgroup v1; one cluster per machine.

mod backends;
mod bed;
mod binaries;
mod charts;
mod client;
mod components;
mod config;
mod crds;
mod health;
pub mod http;
mod image;
mod images;
mod installed;
mod layout;
mod lifecycle;
mod manifests;
mod network;
mod node;
mod packages;
mod paths;
mod process;
mod progress;
mod release;
mod template;

pub use backends::Backend;
pub use bed::Bed;
pub use binaries::{actionlint, argocd_tables, helm, helm3, hyperkube, kwok, mesh_definitions, promtool};
pub use charts::{charts, rendered_charts, write_rendered_charts};
pub use client::{Connections, LoadClient, Way};
pub use components::COMPONENTS;
pub use config::{certificates, token};
pub use health::{Check, Health};
pub use image::{Architecture, Content, Image};
pub use manifests::{App, BESIDE, container_security, pod_security, prometheus_manifest};
pub use network::{DNS_IP, HOST_IP, NODE_IP};
pub use node::SPARE_NODE;
pub use release::{
    Release, build_operator, build_plugin, build_released_operator, build_released_plugin, cargo_command,
    tested_programs,
};
