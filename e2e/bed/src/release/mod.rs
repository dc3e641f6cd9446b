//! The operator's image: one static program, the certificates that browsers trust, a user, and nothing else.

mod tools;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{
    image::{Architecture, Content, Image},
    layout::Layout,
    paths::workspace,
    process::{output, shown},
    progress::Progress,
};
use tools::Tools;

/// Who the operator runs as in its image.
const USER: &str = "65532:65532";
const PASSWD: &str = "leadsman:x:65532:65532:leadsman:/:/sbin/nologin\n";
const GROUP: &str = "leadsman:x:65532:\n";
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// What the work tree is called in what is built.
const INSIDE: &str = "/leadsman";
const COMMIT_TIME: &str = "--date=format-local:%Y-%m-%dT%H:%M:%SZ";

/// An image to be published.
#[derive(Clone, Debug)]
pub struct Release {
    /// The folder of the layout; what is in it is replaced.
    pub output: PathBuf,
    /// Reference with tag.
    pub name: String,
    /// The machines that it is for.
    pub architectures: Vec<Architecture>,
}

impl Release {
    /// Builds it, and writes the layout and a bill of materials (`CycloneDX`) for each machine beside it:
    /// `<output>.<architecture>.cdx.json`. The same commit and the same Rust make the same bytes. Gives the digest by which
    /// it is pulled.
    ///
    /// # Errors
    /// When a tool cannot be had, or something cannot be built.
    pub fn write(&self) -> Result<String> {
        let progress = Progress::new();
        let tools = Tools::make(&progress)?;
        fs::create_dir_all(self.output.parent().context("the root is no place for an image")?)?;
        let packages = packages()?;
        let operator = packages.iter().find(|it| it.get("name").is_some_and(|name| name == "leadsman"));
        let labels = labels(operator.context("the workspace has no package leadsman")?)?;
        let mut images = Vec::new();
        for architecture in self.architectures.iter().copied() {
            tools::add_target(architecture, &progress)?;
            let mut cargo = tools.cargo()?;
            cargo.arg("auditable");
            let program = build(cargo, architecture, "release", OPERATOR)?;
            let mut image = image(&self.name, &program, Some(&tools.certificates()?))?;
            image.architecture = architecture;
            image.labels.clone_from(&labels);
            images.push(image);
            let mut beside = self.output.clone().into_os_string();
            beside.push(format!(".{}.cdx.json", architecture.name()));
            fs::write(beside, bill_of_materials(&tools, architecture, &packages)?)?;
        }
        Layout::new(&self.output)?.write_index(&images)
    }
}

/// The operator for the cluster on this machine, built for tests; the program's path.
///
/// # Errors
/// When it cannot be built.
pub fn build_operator() -> Result<PathBuf> {
    build_for_tests(OPERATOR)
}

/// The operator for this machine exactly as its image has it, long link and all; the program's path.
///
/// # Errors
/// When it cannot be built.
pub fn build_released_operator() -> Result<PathBuf> {
    build(Command::new(tools::cargo()), Architecture::own()?, "release", OPERATOR)
}

/// The plugin for this machine as it is published; the program's path.
///
/// # Errors
/// When it cannot be built.
pub fn build_released_plugin() -> Result<PathBuf> {
    build(Command::new(tools::cargo()), Architecture::own()?, "plugin", PLUGIN)
}

/// The plugin for this machine, built in the same way as by [`build_operator`].
///
/// # Errors
/// When it cannot be built.
pub fn build_plugin() -> Result<PathBuf> {
    build_for_tests(PLUGIN)
}

fn build_for_tests(program: Program) -> Result<PathBuf> {
    run(Command::new(tools::cargo()).args(["build", "--locked", "--package", program.0]))?;
    Ok(built_for_tests(program))
}

fn built_for_tests((_, program): Program) -> PathBuf {
    target_folder().join("debug").join(program)
}

/// The operator and the plugin that `cargo test --workspace` has built for its own tests: for whoever has just run it. To
/// build them alone is to compile most dependencies once more, since others of the workspace's ask for more of them.
pub fn tested_programs() -> [PathBuf; 2] {
    [OPERATOR, PLUGIN].map(built_for_tests)
}

/// The image of a program that was built by [`build_operator`] or for a release.
pub(crate) fn image(name: &str, program: &Path, certificates: Option<&Path>) -> Result<Image> {
    let mut image = Image::of_program(name, program, USER)?;
    let text = |place: &str, text: &str| (place.to_owned(), Content::Text(text.to_owned()));
    image.files.extend([text("/etc/passwd", PASSWD), text("/etc/group", GROUP)]);
    image.files.extend(certificates.map(|file| (CERTIFICATES.to_owned(), Content::Copy(file.to_owned()))));
    Ok(image)
}

/// A package, and the program that it builds.
type Program = (&'static str, &'static str);

const OPERATOR: Program = ("leadsman", "leadsman");
const PLUGIN: Program = ("leadsman-cli", "kubectl-leadsman");

/// Builds one static program: with glibc, which keeps less memory than musl does (`docs/image.md`).
fn build(mut cargo: Command, architecture: Architecture, profile: &str, program: Program) -> Result<PathBuf> {
    let (package, program) = program;
    let target = architecture.target();
    cargo.args(["build", "--locked", "--profile", profile, "--target", target, "--package", package]);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags()?);
    if architecture != Architecture::own()? {
        let compiler = format!("{}-gcc", architecture.compiler());
        let of_target = target.replace('-', "_");
        cargo.env(format!("CC_{of_target}"), &compiler);
        cargo.env(format!("CARGO_TARGET_{}_LINKER", of_target.to_uppercase()), &compiler);
    }
    run(&mut cargo)?;
    Ok(target_folder().join(target).join(profile).join(program))
}

/// What cargo says goes to stderr.
fn run(cargo: &mut Command) -> Result<()> {
    forget_outer_cargo(cargo);
    let status = cargo.current_dir(workspace()).status().with_context(|| format!("cannot run {}", shown(cargo)))?;
    if !status.success() {
        bail!("{}: {status}", shown(cargo));
    }
    Ok(())
}

/// The cargo that this was started by, as a command of its own.
pub fn cargo_command() -> Command {
    let mut cargo = Command::new(tools::cargo());
    forget_outer_cargo(&mut cargo);
    cargo
}

/// What cargo tells the program that it runs is not for the next cargo: build scripts that look would run anew.
fn forget_outer_cargo(cargo: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            cargo.env_remove(name);
        }
    }
}

/// Everything in one file, and no path of this machine in it.
fn flags() -> Result<String> {
    let home = std::env::var_os("HOME").map(PathBuf::from).context("HOME is not set")?;
    let cargo = std::env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
    let places = [(workspace(), INSIDE), (&cargo, "/cargo"), (&tools::sysroot()?, "/rust")];
    let remapped = places.map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()));
    let flags = ["-C", "target-feature=+crt-static"].map(str::to_owned).into_iter().chain(remapped);
    Ok(flags.collect::<Vec<_>>().join("\u{1f}"))
}

/// What the image says of itself. The instant is that of the commit, so that it does not differ from build to build.
fn labels(package: &Value) -> Result<BTreeMap<String, String>> {
    let git =
        |arguments: &[&str]| output(Command::new("git").current_dir(workspace()).env("TZ", "UTC").args(arguments));
    let instant = git(&["log", "-1", COMMIT_TIME, "--format=%cd"])?;
    let revision = git(&["rev-parse", "HEAD"])?;
    let changed = if git(&["status", "--porcelain"])?.is_empty() { "" } else { "-changed" };
    let of = |member: &str| package.get(member).and_then(Value::as_str).unwrap_or_default().to_owned();
    let labels = [
        ("title", of("name")),
        ("description", of("description")),
        ("version", of("version")),
        ("licenses", of("license")),
        ("source", of("repository")),
        ("revision", format!("{}{changed}", revision.trim())),
        ("created", instant.trim().to_owned()),
    ];
    Ok(labels.into_iter().map(|(name, value)| (format!("org.opencontainers.image.{name}"), value)).collect())
}

/// What cargo knows of the workspace's packages.
fn packages() -> Result<Vec<Value>> {
    let mut cargo = Command::new(tools::cargo());
    let said = output(cargo.current_dir(workspace()).args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&said)?;
    Ok(metadata.get("packages").and_then(Value::as_array).cloned().unwrap_or_default())
}

/// Which crates the program is made of, without what differs from run to run and from machine to machine.
fn bill_of_materials(tools: &Tools, architecture: Architecture, packages: &[Value]) -> Result<String> {
    let stem = format!("leadsman-{}", std::process::id());
    let mut cargo = tools.cargo()?;
    cargo.current_dir(workspace()).args(["cyclonedx", "--quiet", "--format", "json", "--spec-version", "1.5"]);
    output(cargo.args(["--no-build-deps", "--target", architecture.target(), "--override-filename", &stem]))?;
    // It writes one into the folder of each package.
    let manifests = packages.iter().filter_map(|package| package.get("manifest_path")?.as_str());
    let written = manifests.map(|manifest| Path::new(manifest).with_file_name(format!("{stem}.json")));
    let (mut own, others): (Vec<_>, Vec<_>) = written.partition(|file| file.parent() == Some(workspace()));
    let own = own.pop().context("the workspace has no package of its own")?;
    let bill = fs::read_to_string(&own).with_context(|| own.display().to_string())?;
    for file in others.iter().chain([&own]).filter(|file| file.exists()) {
        fs::remove_file(file)?;
    }
    let mut bill: Value = serde_json::from_str(&bill.replace(&workspace().display().to_string(), INSIDE))?;
    if let Some(bill) = bill.as_object_mut() {
        bill.remove("serialNumber");
    }
    if let Some(metadata) = bill.pointer_mut("/metadata").and_then(Value::as_object_mut) {
        metadata.remove("timestamp");
    }
    Ok(serde_json::to_string_pretty(&bill)? + "\n")
}

/// `CARGO_TARGET_DIR` may be relative to where cargo runs.
fn target_folder() -> PathBuf {
    workspace().join(std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from))
}
