//! What an image is made with beside Rust and a C compiler. Each is kept in the cache, by its version.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{
    image::Architecture,
    packages,
    paths::Paths,
    process::{output, run},
    progress::Progress,
};

/// From `PyPI`: the certificates that browsers trust.
const CERTIFICATES: &str = "certifi==2026.10.19.post1";
/// From crates.io: what writes the list of dependencies into the program, and what writes it beside the image.
const CRATES: [&str; 2] = ["cargo-auditable@0.7.7", "cargo-cyclonedx@0.5.9"];

/// What is there to make an image with.
pub(crate) struct Tools {
    venv: PathBuf,
    cargo: PathBuf,
}

impl Tools {
    /// Makes what is missing.
    pub(crate) fn make(progress: &Progress) -> Result<Self> {
        let venv = kept("certificates", &[CERTIFICATES], |venv| {
            progress.stage("certificates from PyPI", || packages::from_pypi(CERTIFICATES, venv))
        })?;
        let cargo = kept("cargo", &CRATES, |root| {
            let mut install = Command::new(cargo());
            // Built where cargo likes: nothing of it belongs to the work tree.
            install.args(["install", "--locked", "--root"]).arg(root).args(CRATES).env_remove("CARGO_TARGET_DIR");
            progress.long("building cargo-auditable and cargo-cyclonedx (cold: 2 min)", &mut install)
        })?;
        Ok(Self { venv, cargo })
    }

    /// cargo with its helpers at hand.
    pub(crate) fn cargo(&self) -> Result<Command> {
        let others = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([self.cargo.join("bin")].into_iter().chain(std::env::split_paths(&others)))?;
        let mut command = Command::new(cargo());
        command.env("PATH", path);
        Ok(command)
    }

    /// The certificates that browsers trust, one file.
    pub(crate) fn certificates(&self) -> Result<PathBuf> {
        let found = output(Command::new(self.venv.join("bin/python")).args(["-m", "certifi"]))?;
        Ok(PathBuf::from(found.trim()))
    }
}

/// What another machine's programs take: Rust's library for it, and a C compiler with its library.
pub(crate) fn add_target(architecture: Architecture, progress: &Progress) -> Result<()> {
    let target = architecture.target();
    if !sysroot()?.join("lib/rustlib").join(target).exists() {
        let name = format!("Rust's library for {target}");
        progress.stage(&name, || run(&["rustup", "target", "add", target]).map(drop))?;
    }
    if architecture == Architecture::own()? {
        return Ok(());
    }
    let (compiler, name) = (architecture.compiler(), architecture.name());
    let (program, library) = (format!("/usr/bin/{compiler}-gcc"), format!("/usr/{compiler}/lib/libc.a"));
    let packages = [format!("gcc-{compiler}"), format!("libc6-dev-{name}-cross")];
    packages::install(&[(&program, &packages[0]), (&library, &packages[1])], progress)
}

/// Where this Rust and its libraries are.
pub(crate) fn sysroot() -> Result<PathBuf> {
    let said = output(Command::new("rustc").args(["--print", "sysroot"]))?;
    Ok(PathBuf::from(said.trim()))
}

/// The cargo that this was started by.
pub(crate) fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// A folder of the cache that is made once for these versions, and what was there of others is gone.
fn kept(name: &str, versions: &[&str], make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let built = Paths::from_environment()?.built();
    fs::create_dir_all(&built)?;
    let folder = built.join(format!("{name}-tools"));
    let (complete, wanted) = (folder.join("complete"), versions.join("\n"));
    if fs::read_to_string(&complete).is_ok_and(|there| there == wanted) {
        return Ok(folder);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    make(&folder).with_context(|| wanted.replace('\n', ", "))?;
    fs::write(complete, wanted)?;
    Ok(folder)
}
