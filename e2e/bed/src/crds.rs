//! The custom resource definitions of what is installed in the cluster, from the Go modules' own files.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;

use crate::{
    binaries::{go_in, hash_of_module},
    process::output,
};

/// Which module of `e2e/cluster` names the version, the Go module, the file or folder in it, and what goes in front of
/// the files' names.
const SOURCES: [(&str, &str, &str, &str); 4] = [
    ("istiod", "istio.io/istio", "manifests/charts/base/files/crd-all.gen.yaml", "istio-"),
    ("istiod", "sigs.k8s.io/gateway-api", "config/crd/standard", "gateway-api-"),
    ("flux", "github.com/fluxcd/source-controller", "config/crd/bases", ""),
    ("flux", "github.com/fluxcd/kustomize-controller", "config/crd/bases", ""),
];

/// Where they are when they have been collected.
pub(crate) fn location(built: &Path) -> Result<PathBuf> {
    Ok(built.join(format!("crds-{}-{}", hash_of_module("istiod")?, hash_of_module("flux")?)))
}

/// Copies all of them into one folder.
pub(crate) fn collect(location: &Path) -> Result<()> {
    let unfinished = location.with_extension("new");
    let _ = fs::remove_dir_all(&unfinished);
    fs::create_dir_all(&unfinished)?;
    for (module, dependency, place, prefix) in SOURCES {
        let place = folder_of(module, dependency)?.join(place);
        let files = if place.is_dir() {
            fs::read_dir(&place)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?
        } else {
            vec![place]
        };
        for file in files {
            let Some(name) = file.file_name().filter(|name| *name != "kustomization.yaml") else { continue };
            if file.extension().is_some_and(|extension| extension == "yaml") {
                let mut named = OsString::from(prefix);
                named.push(name);
                fs::write(unfinished.join(named), fs::read(&file)?)?;
            }
        }
    }
    fs::rename(unfinished, location)?;
    Ok(())
}

/// Where Go keeps a module that another one depends on; downloaded if it is not there.
pub(crate) fn folder_of(module: &str, dependency: &str) -> Result<PathBuf> {
    let go = |arguments: &[&str]| output(go_in(module)?.args(arguments));
    let folder = || go(&["list", "-m", "-f", "{{.Dir}}", dependency]).map(|text| PathBuf::from(text.trim()));
    let present = folder()?;
    if present.is_dir() {
        return Ok(present);
    }
    go(&["mod", "download", dependency])?;
    folder()
}
