//! How the cluster comes up and goes down.

use std::{
    fs::{self, File, TryLockError},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::{
    bed::Bed,
    binaries::{Binaries, short_hex},
    components::{self, COMPONENTS, SPARE_COMPONENTS, wait, wait_for},
    config,
    images::{self, Packed},
    installed::{DEPLOYMENTS, FLUX, FLUX_NAMESPACE, always, dns_manifest, manifests},
    network,
    node::{self, MAIN, NODES, Node, SPARE},
    packages,
    paths::Paths,
    progress::Progress,
};

impl Bed {
    /// Makes the cluster, or finds it up and as it should be. What an interrupted run left is removed first. Where only
    /// images have changed, they are brought up to date in place.
    pub fn up() -> Result<Self> {
        Self::up_with(true)
    }

    /// The same without Flux, which the demo does not show: on a clean machine it would take minutes to build. A cluster that
    /// has it already keeps it.
    pub fn up_without_flux() -> Result<Self> {
        Self::up_with(false)
    }

    fn up_with(flux: bool) -> Result<Self> {
        let progress = Progress::new();
        let paths = Paths::from_environment()?;
        let _lock = locked(&paths, &progress)?;
        packages::check_machine(paths.cache())?;
        let located = Self { binaries: Binaries::located(&paths)?, paths, flux };
        let current = fs::read_to_string(located.paths.fingerprint()).unwrap_or_default();
        let is_current = |wanted: &str| wanted.lines().all(|line| current.lines().any(|it| it == line));
        if is_current(&located.fingerprint()?) && located.health()?.ok() {
            progress.say("the cluster is up");
            return Ok(located);
        }
        packages::install(&packages::OF_THE_NODE, &progress)?;
        let bed = Self { binaries: Binaries::make(&located.paths, &progress, flux)?, ..located };
        let packed = progress.stage("images packed", || bed.pack_own())?;
        let wanted = bed.fingerprint()?;
        if current.lines().next() == wanted.lines().next() && bed.control_plane_runs()? {
            progress.stage("images imported", || bed.import(&packed, &MAIN))?;
            progress.stage("the spare node", || bed.restore_spare(&packed))?;
        } else {
            progress.stage("nothing left of an earlier cluster", || bed.remove())?;
            bed.start_nodes(&packed, &progress)?;
        }
        bed.install(&packed, &progress)?;
        fs::write(bed.paths.fingerprint(), wanted)?;
        progress.say("the cluster is up");
        Ok(bed)
    }

    /// Ends the cluster and removes all of it but the cache of what was built.
    pub fn down() -> Result<()> {
        let progress = Progress::new();
        let paths = Paths::from_environment()?;
        let _lock = locked(&paths, &progress)?;
        let bed = Self { binaries: Binaries::located(&paths)?, paths, flux: true };
        progress.stage("the cluster is down", || bed.remove())
    }

    /// Whether the cluster that is there was made with Flux.
    pub(crate) fn has_flux(paths: &Paths) -> bool {
        fs::read_to_string(paths.fingerprint()).is_ok_and(|current| current.lines().count() > 2)
    }

    /// What is installed in it, with its namespace.
    pub(crate) fn deployments(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        DEPLOYMENTS.into_iter().filter(|(namespace, _)| self.flux || *namespace != FLUX_NAMESPACE)
    }

    /// Ends everything on the spare node, at once, as a power cut would. [`Bed::up`] starts it again.
    pub fn lose_spare_node(&self) -> Result<()> {
        node::kill(&SPARE)
    }

    fn control_plane_runs(&self) -> Result<bool> {
        let of_main: Vec<_> = COMPONENTS.into_iter().filter(|name| !SPARE_COMPONENTS.contains(name)).collect();
        Ok(self.all_run(&of_main)? && self.api_ready())
    }

    fn all_run(&self, components: &[&str]) -> Result<bool> {
        Ok(components::running_of(components, &self.paths)?.iter().all(|(_, process)| process.is_some()))
    }

    fn remove(&self) -> Result<()> {
        for node in NODES {
            node::kill(node)?;
        }
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
        images::own(&self.binaries, self.flux)?.iter().map(|image| images::pack(image, &key, &self.paths)).collect()
    }

    fn import(&self, packed: &[Packed], node: &Node) -> Result<()> {
        let wanted = packed.iter().filter(|image| node.name == MAIN.name || images::is_for_spare(image));
        wanted.into_iter().try_for_each(|image| images::import(image, node, &self.paths))
    }

    /// Both nodes and the control plane, with the images in.
    fn start_nodes(&self, packed: &[Packed], progress: &Progress) -> Result<()> {
        let paths = &self.paths;
        fs::create_dir_all(paths.logs())?;
        config::write(paths)?;
        progress.stage("network", network::create)?;
        progress.stage("node", || node::start(&MAIN, paths))?;
        let start = |name| components::start(name, paths, &self.binaries);
        for name in ["containerd", "etcd", "kube-apiserver"] {
            start(name)?;
        }
        let import = || -> Result<()> {
            wait_for("containerd", paths, || Ok(images::containerd_answers(&MAIN, paths)))?;
            self.import(packed, &MAIN)
        };
        thread::scope(|scope| {
            let importing = scope.spawn(move || progress.stage("images imported", import));
            progress.stage("API server", || wait_for("kube-apiserver", paths, || Ok(self.api_ready())))?;
            for name in ["kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"] {
                start(name)?;
            }
            progress.stage("spare node", || self.start_spare(packed))?;
            self.apply(&dns_manifest()?)?;
            start("cluster-dns")?;
            progress.stage("CRDs", || self.apply_crds())?;
            importing.join().map_err(|_| anyhow::anyhow!("the thread that imports images panicked"))?
        })?;
        for node in NODES {
            progress.stage(&format!("{} Ready", node.name), || self.until_ready(node))?;
        }
        progress.stage("DNS", || wait(Duration::from_secs(30), "DNS", network::dns_answers))
    }

    /// The spare node's processes; it is Ready some seconds later.
    fn start_spare(&self, packed: &[Packed]) -> Result<()> {
        node::start(&SPARE, &self.paths)?;
        for name in SPARE_COMPONENTS {
            components::start(name, &self.paths, &self.binaries)?;
        }
        let [containerd, ..] = SPARE_COMPONENTS;
        wait_for(containerd, &self.paths, || Ok(images::containerd_answers(&SPARE, &self.paths)))?;
        self.import(packed, &SPARE)
    }

    /// Starts the spare node again where it was lost, with nothing on it.
    fn restore_spare(&self, packed: &[Packed]) -> Result<()> {
        if self.all_run(&SPARE_COMPONENTS)? {
            return self.import(packed, &SPARE);
        }
        node::kill(&SPARE)?;
        for leftover in ["commands", "containerd", "kubelet", "pids"] {
            let path = SPARE.run(&self.paths).join(leftover);
            let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        }
        self.start_spare(packed)?;
        self.until_ready(&SPARE)
    }

    fn until_ready(&self, node: &Node) -> Result<()> {
        wait(Duration::from_mins(1), node.name, || {
            let node = format!("node/{}", node.name);
            self.kubectl(["wait", "--for=condition=Ready", &node, "--timeout=30s"]).map(|_| true)
        })
    }

    fn apply_crds(&self) -> Result<()> {
        let crds = self.binaries.crds.display().to_string();
        self.kubectl(["apply", "--server-side", "--force-conflicts", "-f", &crds])?;
        self.kubectl(["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]).map(drop)
    }

    /// Mesh, Prometheus, Git server and Flux.
    fn install(&self, packed: &[Packed], progress: &Progress) -> Result<()> {
        let manifests = self.manifests(packed)?;
        progress.stage("manifests applied", || {
            wait(Duration::from_secs(20), "the manifests", || self.apply(&manifests).map(|()| true))
        })?;
        for (namespace, name) in self.deployments() {
            progress.stage(name, || {
                let deployment = format!("deployment/{name}");
                let status = self.kubectl(["-n", namespace, "rollout", "status", &deployment, "--timeout=120s"]);
                status.map(drop).with_context(|| self.why_not_ready(namespace))
            })?;
        }
        progress.stage("gateway programmed", || {
            let gateway = "gateway.gateway.networking.k8s.io/ingress";
            self.kubectl(["-n", "gw", "wait", "--for=condition=Programmed", gateway, "--timeout=60s"]).map(drop)
        })
    }

    /// What nodes, pods and events say where pods of a namespace do not become ready.
    fn why_not_ready(&self, namespace: &str) -> String {
        let conditions = "custom-columns=NODE:.metadata.name,CONDITION:.status.conditions[*].type,\
                          IS:.status.conditions[*].status,TAINTS:.spec.taints[*].key";
        let asked = [
            vec!["get", "nodes", "-o", conditions],
            vec!["-n", namespace, "get", "pods", "-o", "wide"],
            vec!["-n", namespace, "get", "events", "--sort-by=.lastTimestamp"],
        ];
        let said = asked.map(|words| self.kubectl(words).unwrap_or_else(|error| format!("{error:#}")));
        format!("what the cluster says:\n{}", said.join("\n\n"))
    }

    /// What the cluster is made from: a line for node and manifests, one for the images of what runs in it, and one for Flux.
    fn fingerprint(&self) -> Result<String> {
        let mut fixed = config::templates() + &always(&[])? + &self.binaries.crds.display().to_string();
        for name in COMPONENTS {
            fixed.push_str(&components::command(name, &self.binaries)?.join(" "));
        }
        let images = self.binaries.names() + images::ENVOY_BOOTSTRAP + &images::VERSIONS.concat();
        let hash = |text: String| short_hex(&Sha256::digest(text));
        let mut lines = vec![hash(fixed), hash(images)];
        if self.flux {
            lines.push(hash(manifests(&[FLUX], &[])? + &self.binaries.names_of_flux()));
        }
        Ok(lines.join("\n") + "\n")
    }

    fn manifests(&self, packed: &[Packed]) -> Result<String> {
        let mut all = always(packed)?;
        if self.flux {
            all = all + "\n---\n" + &manifests(&[FLUX], packed)?;
        }
        Ok(all)
    }
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
