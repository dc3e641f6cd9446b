//! The cluster as a whole: what one can ask of it, and bring into it.

use std::{
    ffi::OsStr,
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{
    binaries::{self, Binaries, GoProgram},
    components, crds,
    health::Health,
    http,
    image::Image,
    images, layout, manifests,
    node::MAIN,
    paths::Paths,
    process::{output, output_with_input},
    release,
};

/// The cluster on this machine.
#[derive(Clone, Debug)]
pub struct Bed {
    pub(crate) paths: Paths,
    pub(crate) binaries: Binaries,
    /// Whether Flux is a part of it.
    pub(crate) flux: bool,
}

impl Bed {
    /// The cluster that [`Bed::up`] made, without a look at it.
    pub fn attach() -> Result<Self> {
        let paths = Paths::from_environment()?;
        if !paths.kubeconfig().exists() {
            bail!("there is no cluster: cargo xtask cluster up");
        }
        let flux = Self::has_flux(&paths);
        Ok(Self { binaries: Binaries::located(&paths)?, paths, flux })
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

    /// The logs of the main node's components, `<component>.log`.
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

    /// Packs an image and brings it into the main node. For content that does not change under the same path: see
    /// [`Bed::load_operator_image`] for a program that is built anew all the time.
    pub fn load_image(&self, image: &Image) -> Result<String> {
        images::import(&images::pack(image, "", &self.paths)?, &MAIN, &self.paths)?;
        Ok(image.name.clone())
    }

    /// Brings in what a second implementation of the Gateway API needs of a cluster: Contour's image and CRDs. Gives what has
    /// to be applied to a namespace for one Gateway, [`BESIDE`](crate::BESIDE), with a Service of the same name: Deployments
    /// `contour` and `contour-envoy`, and what belongs to no namespace.
    pub fn contour(&self, namespace: &str) -> Result<String> {
        let image = self.load_built(&binaries::CONTOUR)?;
        let sources = crds::folder_of("contour", "github.com/projectcontour/contour")?;
        self.apply(&fs::read_to_string(sources.join("examples/contour/01-crds.yaml"))?)?;
        manifests::contour(namespace, &image)
    }

    /// Brings in what Flux needs of a cluster to look after `HelmRelease`s: its helm-controller's image and CRD. Gives what has
    /// to be applied to a namespace for a Deployment `helm-controller` that looks after that namespace alone.
    pub fn helm_controller(&self, namespace: &str) -> Result<String> {
        let image = self.load_built(&binaries::HELM_CONTROLLER)?;
        let sources = crds::folder_of("helm-controller", "github.com/fluxcd/helm-controller")?;
        let definition = sources.join("config/crd/bases/helm.toolkit.fluxcd.io_helmreleases.yaml");
        self.apply(&fs::read_to_string(definition)?)?;
        manifests::helm_controller(namespace, &image)
    }

    /// Brings in a program that [`build_operator`](crate::build_operator) made as the operator's image; its reference,
    /// `localhost/leadsman:<hash of the program>`. Cheap when it is there already.
    pub fn load_operator_image(&self, program: &Path) -> Result<String> {
        self.load_program("leadsman", program, |name| release::image(name, program, None))
    }

    /// Builds a program where it is not there yet, and brings in an image in which nobody in particular runs it.
    fn load_built(&self, built: &GoProgram) -> Result<String> {
        let program = binaries::made(built)?;
        self.load_program(built.name, &program, |name| Image::of_program(name, &program, "65534:65534"))
    }

    /// Brings in the image of a program; its reference, `localhost/<name>:<hash of the program>`.
    fn load_program(&self, name: &str, program: &Path, image: impl FnOnce(&str) -> Result<Image>) -> Result<String> {
        /// Two scenarios that want the same image would pack it in the same place.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let hash = images::hash_of_file(program)?;
        let image = image(&format!("localhost/{name}:{hash}"))?;
        images::import(&images::pack(&image, &hash, &self.paths)?, &MAIN, &self.paths)?;
        Ok(image.name)
    }

    /// Brings in the image of a layout that [`Release::write`](crate::Release::write) made; its reference,
    /// `localhost/leadsman:<digest>`.
    pub fn load_layout(&self, layout: &Path, digest: &str) -> Result<String> {
        let short: String = digest.trim_start_matches("sha256:").chars().take(12).collect();
        let name = format!("localhost/leadsman:{short}");
        let tarball = layout.with_extension("tar");
        layout::pack(layout, Some(&name), &tarball)?;
        images::import_file(&tarball, &MAIN, &self.paths)?;
        fs::remove_file(tarball)?;
        Ok(name)
    }

    /// Kills a component of a node (see [`COMPONENTS`]), as a crash would.
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

    /// What the gateway Envoy's admin interface answers to `GET <path>`: `/config_dump`, `/stats/prometheus`, `/clusters`.
    pub fn gateway_admin(&self, path: &str) -> Result<String> {
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
        Ok(http::get(address, path)?.body)
    }

    /// The routes that the gateway's Envoy has now. A route that retries has a `retry_policy`; none should.
    pub fn gateway_routes(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.gateway_admin("/config_dump?resource=dynamic_route_configs")?)?)
    }
}
