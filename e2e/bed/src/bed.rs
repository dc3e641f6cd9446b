//! The cluster as a whole: up, down, and what one can ask of it.

use std::{
    ffi::OsStr,
    fs::{self, File, TryLockError},
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{
    binaries::{Binaries, short_hex},
    components::{self, COMPONENTS, wait, wait_for},
    config,
    health::Health,
    http,
    image::Image,
    images::{self, Packed},
    manifests::prometheus,
    network::{self, DNS_IP, NODE_IP},
    node, packages,
    paths::{Paths, sources},
    process::{output, output_with_input},
    progress::Progress,
    template::filled,
};

/// The cluster on this machine.
#[derive(Clone, Debug)]
pub struct Bed {
    pub(crate) paths: Paths,
    pub(crate) binaries: Binaries,
}

impl Bed {
    /// Makes the cluster, or finds it up and as it should be. What an interrupted run left is removed first. Where only
    /// manifests or images have changed, they are brought up to date in place.
    pub fn up() -> Result<Self> {
        let progress = Progress::new();
        packages::check_machine()?;
        let paths = Paths::from_environment()?;
        let _lock = locked(&paths, &progress)?;
        let located = Self { binaries: Binaries::located(&paths)?, paths };
        let current = fs::read_to_string(located.paths.fingerprint()).unwrap_or_default();
        if current == located.fingerprint()? && located.health()?.ok() {
            progress.say("the cluster is up");
            return Ok(located);
        }
        packages::install(&progress)?;
        let bed = Self { binaries: Binaries::make(&located.paths, &progress)?, ..located };
        let packed = progress.stage("images packed", || bed.pack_own())?;
        let node_is_current =
            current.lines().next().is_some_and(|line| line == bed.node_fingerprint().unwrap_or_default());
        if node_is_current && bed.components_run()? {
            progress
                .stage("images imported", || packed.iter().try_for_each(|image| images::import(image, &bed.paths)))?;
        } else {
            progress.stage("nothing left of an earlier cluster", || bed.remove())?;
            bed.start_node(&packed, &progress)?;
        }
        bed.install(&packed, &progress)?;
        fs::write(bed.paths.fingerprint(), bed.fingerprint()?)?;
        progress.say("the cluster is up");
        Ok(bed)
    }

    /// The cluster that [`Bed::up`] made, without a look at it.
    pub fn attach() -> Result<Self> {
        let paths = Paths::from_environment()?;
        if !paths.kubeconfig().exists() {
            bail!("there is no cluster: cargo xtask cluster up");
        }
        Ok(Self { binaries: Binaries::located(&paths)?, paths })
    }

    /// Ends the cluster and removes all of it but the cache of what was built.
    pub fn down() -> Result<()> {
        let progress = Progress::new();
        let paths = Paths::from_environment()?;
        let _lock = locked(&paths, &progress)?;
        let bed = Self { binaries: Binaries::located(&paths)?, paths };
        progress.stage("the cluster is down", || bed.remove())
    }

    /// Looks at every component.
    pub fn health(&self) -> Result<Health> {
        Health::of(self)
    }

    /// The administrator's kubeconfig; works on the machine itself.
    pub fn kubeconfig(&self) -> PathBuf {
        self.paths.kubeconfig()
    }

    /// The API server's audit log, a JSON event per line.
    pub fn audit_log(&self) -> PathBuf {
        self.paths.audit_log()
    }

    /// The logs of the node's components, `<component>.log`.
    pub fn log_dir(&self) -> PathBuf {
        self.paths.logs()
    }

    /// The folder with a `kubectl` for PATH.
    pub fn bin_dir(&self) -> PathBuf {
        self.paths.bin()
    }

    /// kubectl as the administrator; what it writes to stdout.
    pub fn kubectl<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<String> {
        output(self.kubectl_command().args(arguments))
    }

    /// kubectl as a command, to be run as the caller likes.
    pub fn kubectl_command(&self) -> Command {
        let mut kubectl = Command::new(&self.binaries.hyperkube);
        kubectl.arg("kubectl").arg("--kubeconfig").arg(self.kubeconfig());
        // The usual place would remember what other clusters at this address have.
        kubectl.arg("--cache-dir").arg(self.paths.run().join("kubectl-cache"));
        kubectl
    }

    /// Server-side apply of YAML or JSON, as field manager `bed`.
    pub fn apply(&self, manifest: &str) -> Result<()> {
        let mut kubectl = self.kubectl_command();
        kubectl.args(["apply", "--server-side", "--force-conflicts", "--field-manager=bed", "-f", "-"]);
        output_with_input(&mut kubectl, manifest).map(drop)
    }

    /// A pod's address, which answers on the machine itself.
    pub fn pod_address(&self, namespace: &str, pod: &str, port: u16) -> Result<SocketAddr> {
        let ip = self.kubectl(["-n", namespace, "get", "pod", pod, "-o", "jsonpath={.status.podIP}"])?;
        let ip: IpAddr = ip.parse().with_context(|| format!("pod {namespace}/{pod} has no address yet"))?;
        Ok(SocketAddr::new(ip, port))
    }

    /// Packs an image and brings it in. For content that does not change under the same path: see
    /// [`Bed::load_operator_image`] for a program that is built anew all the time.
    pub fn load_image(&self, image: &Image) -> Result<String> {
        images::import(&images::pack(image, "", &self.paths)?, &self.paths)?;
        Ok(image.name.clone())
    }

    /// Brings in `binary` as the operator's image; its reference, `localhost/leadsman:<hash of the program>`. Cheap when
    /// it is there already.
    pub fn load_operator_image(&self, binary: &Path) -> Result<String> {
        let hash = images::hash_of_file(binary)?;
        let image = Image::of_program(&format!("localhost/leadsman:{hash}"), binary, "65532:65532")?;
        images::import(&images::pack(&image, &hash, &self.paths)?, &self.paths)?;
        Ok(image.name)
    }

    /// Kills a component of the node (see [`COMPONENTS`]), as a crash would.
    pub fn stop_component(&self, name: &str) -> Result<()> {
        components::stop(name, &self.paths)
    }

    /// Starts a component that was stopped. Does not wait until it is ready.
    pub fn start_component(&self, name: &str) -> Result<()> {
        if components::running(name, &self.paths)?.is_some() {
            return Ok(());
        }
        components::start(name, &self.paths, &self.binaries)
    }

    /// Whether the API server answers.
    pub fn api_ready(&self) -> bool {
        self.kubectl(["get", "--raw", "/readyz"]).is_ok_and(|said| said == "ok")
    }

    /// The gateway's configuration as its Envoy has it now (`/config_dump`).
    pub fn gateway_config(&self) -> Result<Value> {
        let ip = self.kubectl([
            "-n",
            "gw",
            "get",
            "pod",
            "-l",
            "istio=ingressgateway",
            "--field-selector=status.phase=Running",
            "-o",
            "jsonpath={.items[0].status.podIP}",
        ])?;
        let address = SocketAddr::new(ip.parse().context("the gateway has no pod")?, 15000);
        Ok(serde_json::from_str(&http::get(address, "/config_dump")?.body)?)
    }

    fn components_run(&self) -> Result<bool> {
        let processes = node::processes()?;
        let run = self.paths.run();
        Ok(COMPONENTS.iter().all(|name| components::process_of(name, &run, &processes).is_some()) && self.api_ready())
    }

    fn remove(&self) -> Result<()> {
        node::kill()?;
        network::delete()?;
        match fs::remove_dir_all(self.paths.run()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| self.paths.run().display().to_string())
            }
            _ => Ok(()),
        }
    }

    fn pack_own(&self) -> Result<Vec<Packed>> {
        let key = self.binaries.names();
        images::own(&self.binaries)?.iter().map(|image| images::pack(image, &key, &self.paths)).collect()
    }

    /// The node and the control plane, with the images in.
    fn start_node(&self, packed: &[Packed], progress: &Progress) -> Result<()> {
        let paths = &self.paths;
        fs::create_dir_all(paths.logs())?;
        config::write(paths)?;
        progress.stage("network", network::create)?;
        progress.stage("node", || node::start(paths))?;
        let start = |name| components::start(name, paths, &self.binaries);
        for name in ["containerd", "etcd", "kube-apiserver"] {
            start(name)?;
        }
        let import = || -> Result<()> {
            wait_for("containerd", paths, || Ok(images::containerd_answers(paths)))?;
            packed.iter().try_for_each(|image| images::import(image, paths))
        };
        thread::scope(|scope| {
            let importing = scope.spawn(move || progress.stage("images imported", import));
            progress.stage("API server", || wait_for("kube-apiserver", paths, || Ok(self.api_ready())))?;
            for name in ["kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"] {
                start(name)?;
            }
            progress.stage("CRDs", || self.apply_crds())?;
            importing.join().map_err(|_| anyhow::anyhow!("the thread that imports images panicked"))?
        })?;
        progress.stage("node Ready", || {
            wait(Duration::from_secs(60), "the node", || {
                let node = format!("node/{}", node::NODE);
                self.kubectl(["wait", "--for=condition=Ready", &node, "--timeout=30s"]).map(|_| true)
            })
        })
    }

    fn apply_crds(&self) -> Result<()> {
        let crds = self.binaries.crds.display().to_string();
        self.kubectl(["apply", "--server-side", "--force-conflicts", "-f", &crds])?;
        self.kubectl(["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]).map(drop)
    }

    /// DNS, mesh and Prometheus.
    fn install(&self, packed: &[Packed], progress: &Progress) -> Result<()> {
        let manifests = manifests(packed)?;
        progress.stage("manifests applied", || {
            wait(Duration::from_secs(20), "the manifests", || self.apply(&manifests).map(|()| true))
        })?;
        self.start_component("cluster-dns")?;
        for (namespace, name) in [("istio-system", "istiod"), ("gw", "ingress"), ("monitoring", "prometheus")] {
            progress.stage(name, || {
                let deployment = format!("deployment/{name}");
                self.kubectl(["-n", namespace, "rollout", "status", &deployment, "--timeout=120s"]).map(drop)
            })?;
        }
        progress.stage("gateway programmed", || {
            let gateway = "gateway.gateway.networking.k8s.io/ingress";
            self.kubectl(["-n", "gw", "wait", "--for=condition=Programmed", gateway, "--timeout=60s"]).map(drop)
        })
    }

    /// Two lines: what the node is made from, and what is installed in it.
    fn fingerprint(&self) -> Result<String> {
        let mut system = self.binaries.names();
        for name in MANIFESTS {
            system.push_str(&manifest(name)?);
        }
        system.push_str(&fs::read_to_string(sources().join("images/envoy.yaml"))?);
        Ok(format!("{}\n{}\n", self.node_fingerprint()?, short_hex(&Sha256::digest(system))))
    }

    fn node_fingerprint(&self) -> Result<String> {
        let mut node = config::templates()?;
        for name in COMPONENTS {
            node.push_str(&components::command(name, &self.binaries)?.join(" "));
        }
        Ok(short_hex(&Sha256::digest(node)))
    }
}

/// In the order in which they are applied.
const MANIFESTS: [&str; 6] =
    ["namespaces.yaml", "dns.yaml", "istiod.yaml", "gateway.yaml", "istio-metrics.yaml", "prometheus.yaml"];

fn manifest(name: &str) -> Result<String> {
    Ok(fs::read_to_string(sources().join("manifests").join(name))?)
}

/// All of them as one stream. An image's digest in its pods' annotations replaces them when the image changes.
fn manifests(packed: &[Packed]) -> Result<String> {
    let digest = |short: &str| {
        let name = format!("localhost/{short}:bed");
        packed.iter().find(|image| image.name == name).map_or("", |image| image.digest.as_str())
    };
    let values = [
        ("NODE_IP", NODE_IP),
        ("DNS_IP", DNS_IP),
        ("ISTIOD_DIGEST", digest("istiod")),
        ("ENVOY_DIGEST", digest("envoy")),
    ];
    let mut all = Vec::new();
    for name in MANIFESTS {
        all.push(match name {
            // No names: every namespace.
            "prometheus.yaml" => prometheus("monitoring", "", digest("prometheus"))?,
            _ => filled(&manifest(name)?, &values)?,
        });
    }
    Ok(all.join("\n---\n"))
}

/// Held while the cluster is being started or stopped.
fn locked(paths: &Paths, progress: &Progress) -> Result<File> {
    fs::create_dir_all(paths.cache())?;
    let lock = File::create(paths.lock())?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            progress.say("another run is starting or stopping the cluster; waiting for it");
            lock.lock()?;
        }
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use super::manifests;

    #[test]
    fn every_manifest_is_filled_in() {
        let all = manifests(&[]).unwrap();
        assert!(!all.contains("${"));
        for kind in ["kind: Gateway", "kind: EnvoyFilter", "kind: Deployment", "kind: EndpointSlice"] {
            assert!(all.contains(kind), "{kind}");
        }
    }
}
