//! The network: a namespace for each node, a bridge of the machine's that joins them, and routes to each node's pods, so that
//! node, pod and service addresses answer everywhere.

use std::{
    net::UdpSocket,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Result, bail};

use crate::{
    node::{NODES, Node},
    process::run,
};

const BRIDGE: &str = "leadsman-bridge";
/// Where the API server answers, at port 6443.
pub const NODE_IP: &str = "192.168.77.1";
/// The machine, as seen from pods.
pub const HOST_IP: &str = "192.168.77.254";
/// The cluster's DNS server.
pub const DNS_IP: &str = "10.96.0.10";
/// The addresses of all pods; each node has a part of them.
pub(crate) const POD_NET: &str = "10.244.0.0/16";
pub(crate) const SERVICE_NET: &str = "10.96.0.0/16";

pub(crate) fn netns_file(node: &Node) -> PathBuf {
    Path::new("/var/run/netns").join(node.netns)
}

/// Makes bridge, namespaces, links and routes. What an earlier run left must be gone.
pub(crate) fn create() -> Result<()> {
    for net in [NODE_IP, POD_NET, SERVICE_NET] {
        let routes = run(&["ip", "-o", "route", "show", "to", "match", net])?;
        if let Some(taken) = routes.lines().find(|route| !route.starts_with("default")) {
            bail!("the cluster's addresses ({net}) are taken on this machine: {taken}");
        }
    }
    ip(&format!("link add {BRIDGE} type bridge"))?;
    ip(&format!("addr add {HOST_IP}/24 dev {BRIDGE}"))?;
    ip(&format!("link set {BRIDGE} up"))?;
    for node in NODES {
        join(node)?;
    }
    ip(&format!("route add {SERVICE_NET} via {NODE_IP}"))?;
    Ok(())
}

/// One node's namespace, its link to the bridge, and its routes.
fn join(node: &Node) -> Result<()> {
    let Node { netns, ip: address, pod_net, .. } = node;
    let inside = |words: &str| ip(&format!("-n {netns} {words}"));
    ip(&format!("netns add {netns}"))?;
    inside("link set lo up")?;
    ip(&format!("link add {netns} type veth peer name node netns {netns}"))?;
    inside(&format!("addr add {address}/24 dev node"))?;
    inside("link set node up")?;
    ip(&format!("link set {netns} master {BRIDGE} up"))?;
    inside(&format!("route add default via {HOST_IP}"))?;
    ip(&format!("route add {pod_net} via {address}"))?;
    for other in NODES.iter().filter(|other| other.name != node.name) {
        inside(&format!("route add {} via {}", other.pod_net, other.ip))?;
    }
    run(&["ip", "netns", "exec", netns, "sysctl", "-qw", "net.ipv4.ip_forward=1"])?;
    Ok(())
}

/// Removes it; the routes go with the links.
pub(crate) fn delete() -> Result<()> {
    for link in NODES.iter().map(|node| node.netns).chain([BRIDGE]) {
        if ip(&format!("link show {link}")).is_ok() {
            ip(&format!("link del {link}"))?;
        }
    }
    for node in NODES {
        if netns_file(node).exists() {
            ip(&format!("netns del {}", node.netns))?;
        }
    }
    Ok(())
}

/// Whether the cluster's DNS server answers at its Service's address. Until it does, no pod may ask: a first packet sent
/// before kube-proxy's rules are there makes the kernel remember the wrong way for all that follow from the same socket.
pub(crate) fn dns_answers() -> Result<bool> {
    let mut query = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in ["kubernetes", "default", "svc", "cluster", "local"] {
        query.push(u8::try_from(label.len())?);
        query.extend(label.as_bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    // A new socket each time, for the same reason.
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    socket.send_to(&query, (DNS_IP, 53))?;
    let mut answer = [0; 512];
    // Byte 7 is the number of answers.
    Ok(socket.recv(&mut answer).is_ok() && answer.get(7) == Some(&1))
}

fn ip(words: &str) -> Result<String> {
    let mut all = vec!["ip"];
    all.extend(words.split(' '));
    run(&all)
}
