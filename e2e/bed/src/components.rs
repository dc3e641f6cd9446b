//! The processes of the nodes: their command lines, starting, stopping, and whether they run.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    binaries::Binaries,
    network::{NODE_IP, SERVICE_NET},
    node::{self, MAIN, Node, SPARE},
    paths::Paths,
};

/// Every component that is a process of a node, in the order of their start; those of the spare node with its name in
/// front.
pub const COMPONENTS: [&str; 11] = [
    "containerd",
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "cluster-dns",
    SPARE_COMPONENTS[0],
    SPARE_COMPONENTS[1],
    SPARE_COMPONENTS[2],
];
pub(crate) const SPARE_COMPONENTS: [&str; 3] = ["spare/containerd", "spare/kubelet", "spare/kube-proxy"];

/// The node that a component runs on, and its name there.
fn place(component: &str) -> (&'static Node, &str) {
    component.strip_prefix("spare/").map_or((&MAIN, component), |name| (&SPARE, name))
}

/// The words of a component's command; paths are relative to its node's run folder, where it is started.
pub(crate) fn command(component: &str, binaries: &Binaries) -> Result<Vec<String>> {
    let (node, name) = place(component);
    let control = format!("--kubeconfig=pki/{name}.kubeconfig --leader-elect=false --bind-address=127.0.0.1");
    let arguments = match name {
        "containerd" => "--config containerd.toml".to_owned(),
        "etcd" => "--data-dir=etcd --unsafe-no-fsync --log-level=warn \
                   --listen-client-urls=http://127.0.0.1:2379 --advertise-client-urls=http://127.0.0.1:2379 \
                   --listen-peer-urls=http://127.0.0.1:2380 --initial-advertise-peer-urls=http://127.0.0.1:2380 \
                   --initial-cluster=default=http://127.0.0.1:2380"
            .to_owned(),
        "kube-apiserver" => format!(
            "--etcd-servers=http://127.0.0.1:2379 --bind-address={NODE_IP} --advertise-address={NODE_IP} \
             --tls-cert-file=pki/api.crt --tls-private-key-file=pki/api.key \
             --service-account-key-file=pki/sa.pub --service-account-signing-key-file=pki/sa.key \
             --service-account-issuer=https://kubernetes.default.svc --token-auth-file=pki/tokens.csv \
             --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
             --service-cluster-ip-range={SERVICE_NET} --allow-privileged \
             --kubelet-preferred-address-types=InternalIP \
             --audit-policy-file=audit-policy.yaml --audit-log-path=log/audit.jsonl --audit-log-maxsize=10000"
        ),
        "kube-controller-manager" => format!(
            "{control} --service-account-private-key-file=pki/sa.key --root-ca-file=pki/ca.crt \
             --use-service-account-credentials \
             --horizontal-pod-autoscaler-sync-period=2s --horizontal-pod-autoscaler-downscale-stabilization=10s \
             --horizontal-pod-autoscaler-cpu-initialization-period=5s \
             --horizontal-pod-autoscaler-initial-readiness-delay=2s"
        ),
        "kube-scheduler" => control,
        "kubelet" => format!(
            "--kubeconfig=pki/kubelet.kubeconfig --config=kubelet.yaml --root-dir=$PWD/kubelet \
             --hostname-override={} --node-ip={}",
            node.name, node.ip
        ),
        "kube-proxy" => format!("--config=kube-proxy.yaml --hostname-override={}", node.name),
        "cluster-dns" => format!("--kubeconfig=pki/cluster-dns.kubeconfig --listen={NODE_IP}:53"),
        other => bail!("no component is called {other}; there are {}", COMPONENTS.join(", ")),
    };
    let program = match name {
        "containerd" => "containerd".to_owned(),
        _ => format!("{} {name}", binaries.hyperkube.display()),
    };
    Ok(program.split_whitespace().chain(arguments.split_whitespace()).map(str::to_owned).collect())
}

/// Starts a component; its output is appended to `log/<name>.log` of its node.
pub(crate) fn start(component: &str, paths: &Paths, binaries: &Binaries) -> Result<()> {
    let (node, name) = place(component);
    let words = command(component, binaries)?.join(" ");
    // The pid is the component's own, since exec keeps it.
    node::tell(node, paths, &format!("echo $$ > pids/{name}; exec {words} >> log/{name}.log 2>&1"))
}

/// Kills a component and waits until it is gone.
pub(crate) fn stop(component: &str, paths: &Paths) -> Result<()> {
    if !COMPONENTS.contains(&component) {
        bail!("no component is called {component}; there are {}", COMPONENTS.join(", "));
    }
    let Some(process) = running(component, paths)? else { return Ok(()) };
    crate::process::run(&["kill", "-KILL", &process.pid.to_string()])?;
    wait(Duration::from_secs(10), &format!("{component} to end"), || Ok(running(component, paths)?.is_none()))
}

/// The component's process, if there is one.
pub(crate) fn running(component: &str, paths: &Paths) -> Result<Option<node::Process>> {
    Ok(running_of(&[component], paths)?.into_iter().find_map(|(_, process)| process))
}

/// Each component with its process, if there is one.
pub(crate) fn running_of<'a>(components: &[&'a str], paths: &Paths) -> Result<Vec<(&'a str, Option<node::Process>)>> {
    let mut seen: BTreeMap<&str, BTreeMap<u32, node::Process>> = BTreeMap::new();
    let mut found = Vec::new();
    for component in components {
        let (node, name) = place(component);
        let processes = match seen.entry(node.name) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(node::processes(node)?),
        };
        let pid = fs::read_to_string(node.run(paths).join("pids").join(name)).unwrap_or_default();
        let process = pid.trim().parse().ok().and_then(|pid: u32| processes.get(&pid).copied());
        found.push((*component, process));
    }
    Ok(found)
}

/// Looks every 50 ms until `ready` says so.
pub(crate) fn wait(limit: Duration, what: &str, mut ready: impl FnMut() -> Result<bool>) -> Result<()> {
    let started = Instant::now();
    loop {
        let answer = ready();
        if matches!(answer, Ok(true)) {
            return Ok(());
        }
        if started.elapsed() > limit {
            return answer
                .and(Err(anyhow::anyhow!("not within {} s", limit.as_secs())))
                .with_context(|| format!("waiting for {what}"));
        }
        sleep(Duration::from_millis(50));
    }
}

/// As [`wait`], but over at once when the component ends, with the end of its log.
pub(crate) fn wait_for(name: &str, paths: &Paths, ready: impl Fn() -> Result<bool>) -> Result<()> {
    let started = Instant::now();
    wait(Duration::from_mins(1), name, || {
        // The pid file is written by the process itself, a moment after the start.
        if started.elapsed() > Duration::from_secs(2) && running(name, paths)?.is_none() {
            let (node, program) = place(name);
            bail!("ended:\n{}", tail(&node.run(paths).join("log").join(format!("{program}.log"))));
        }
        ready()
    })
}

/// The last lines of a log.
pub(crate) fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines.get(lines.len().saturating_sub(15)..).unwrap_or_default().join("\n")
}
