//! The node's network: a namespace of its own, joined to the machine by one pair of links, and routes on the machine, so
//! that node, pod and service addresses answer there as they do inside.

use std::{net::UdpSocket, path::Path, time::Duration};

use anyhow::{Result, bail};

use crate::process::run;

/// The network namespace's name; also that of the machine's end of the link.
pub(crate) const NETNS: &str = "leadsman";
/// Where the API server answers, at port 6443.
pub const NODE_IP: &str = "192.168.77.1";
/// The machine, as seen from pods.
pub const HOST_IP: &str = "192.168.77.254";
/// The cluster's DNS server.
pub const DNS_IP: &str = "10.96.0.10";
pub(crate) const POD_NET: &str = "10.244.0.0/24";
pub(crate) const SERVICE_NET: &str = "10.96.0.0/16";

pub(crate) fn netns_file() -> &'static Path {
    Path::new("/var/run/netns/leadsman")
}

/// Makes namespace, link and routes. What an earlier run left must be gone.
pub(crate) fn create() -> Result<()> {
    for net in [NODE_IP, POD_NET, SERVICE_NET] {
        let routes = run(&["ip", "-o", "route", "show", "to", "match", net])?;
        if let Some(taken) = routes.lines().find(|route| !route.starts_with("default")) {
            bail!("the cluster's addresses ({net}) are taken on this machine: {taken}");
        }
    }
    let inside = |words: &str| ip(&format!("-n {NETNS} {words}"));
    ip(&format!("netns add {NETNS}"))?;
    inside("link set lo up")?;
    ip(&format!("link add {NETNS} type veth peer name node netns {NETNS}"))?;
    inside(&format!("addr add {NODE_IP}/24 dev node"))?;
    inside("link set node up")?;
    ip(&format!("addr add {HOST_IP}/24 dev {NETNS}"))?;
    ip(&format!("link set {NETNS} up"))?;
    inside(&format!("route add default via {HOST_IP}"))?;
    ip(&format!("route add {POD_NET} via {NODE_IP}"))?;
    ip(&format!("route add {SERVICE_NET} via {NODE_IP}"))?;
    run(&["ip", "netns", "exec", NETNS, "sysctl", "-qw", "net.ipv4.ip_forward=1"])?;
    Ok(())
}

/// Removes it; the routes go with the link.
pub(crate) fn delete() -> Result<()> {
    if ip(&format!("link show {NETNS}")).is_ok() {
        ip(&format!("link del {NETNS}"))?;
    }
    if netns_file().exists() {
        ip(&format!("netns del {NETNS}"))?;
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
