//! The cluster's own images, and bringing images into containerd.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::{
    binaries::{Binaries, short_hex},
    image::{Content, Image},
    layout::{self, Layout},
    node::Node,
    paths::Paths,
    process::output,
};

pub(crate) const ENVOY_BOOTSTRAP: &str = include_str!("../../cluster/images/envoy.yaml");

/// Both are linked with the same libraries.
const GIT: [&str; 2] = ["/usr/bin/git", "/usr/lib/git-core/git-http-backend"];

/// Tags by which the sample application can be had, so that versions of it are images of their own, as they are elsewhere.
pub(crate) const VERSIONS: [&str; 9] = ["v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9"];

/// An image as a file in the cache.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    pub(crate) name: String,
    aliases: Vec<String>,
    pub(crate) digest: String,
    tarball: PathBuf,
}

/// The images that the cluster is made with, with or without Flux. The first is what every pod needs.
pub(crate) fn own(binaries: &Binaries, flux: bool) -> Result<Vec<Image>> {
    let mut envoy = Image::of_program("localhost/envoy:bed", &binaries.envoy, "1337:1337")?;
    envoy.files.push(("/etc/envoy/bootstrap.yaml".to_owned(), Content::Text(ENVOY_BOOTSTRAP.to_owned())));
    let mut app = Image::of_program("localhost/app:bed", &binaries.app, "65534:65534")?;
    app.aliases = VERSIONS.map(|version| format!("localhost/app:{version}")).to_vec();
    let mut images = vec![
        Image::of_program("localhost/pause:bed", &binaries.pause, "65535:65535")?,
        Image::of_program("localhost/istiod:bed", &binaries.istiod, "1337:1337")?,
        envoy,
        Image::of_program("localhost/prometheus:bed", &binaries.prometheus, "65534:65534")?,
        app,
        git(binaries)?,
    ];
    if flux {
        let controller = |name, program: &Path| Image::of_program(name, program, "65534:65534");
        images.push(controller("localhost/source-controller:bed", &binaries.source_controller)?);
        images.push(controller("localhost/kustomize-controller:bed", &binaries.kustomize_controller)?);
    }
    Ok(images)
}

/// The machine's own git behind a server.
fn git(binaries: &Binaries) -> Result<Image> {
    let mut image = Image::of_program("localhost/git:bed", Path::new(GIT[0]), "65534:65534")?;
    image.files.retain(|(place, _)| place != "/git");
    let copied = |program: &str| (program.to_owned(), Content::Copy(PathBuf::from(program)));
    image.files.extend(GIT.map(copied));
    image.files.push(("/git-server".to_owned(), Content::Copy(binaries.git_server.clone())));
    image.entrypoint = vec!["/git-server".to_owned()];
    Ok(image)
}

/// Packs an image, unless the cache has it. `key` stands for the content of the files that are copied.
pub(crate) fn pack(image: &Image, key: &str, paths: &Paths) -> Result<Packed> {
    let mut hash = Sha256::new();
    hash.update(key);
    hash.update(format!("{image:?}"));
    let short = image.name.rsplit('/').next().unwrap_or_default().split(':').next().unwrap_or_default();
    let stem = format!("{short}-{}", short_hex(&hash.finalize()));
    let tarball = paths.images().join(format!("{stem}.tar"));
    // Written last: what it says is complete.
    let digest_file = paths.images().join(format!("{stem}.digest"));
    if let Ok(digest) = fs::read_to_string(&digest_file)
        && tarball.exists()
    {
        return Ok(Packed { name: image.name.clone(), aliases: image.aliases.clone(), digest, tarball });
    }
    fs::create_dir_all(paths.images())?;
    remove_older(short, paths)?;
    let layout = tarball.with_extension("layout");
    let written = || {
        let digest = Layout::new(&layout)?.write(image)?;
        layout::pack(&layout, None, &tarball)?;
        anyhow::Ok(digest)
    };
    let digest = written().with_context(|| format!("image {}", image.name))?;
    fs::remove_dir_all(layout)?;
    fs::write(&digest_file, &digest)?;
    Ok(Packed { name: image.name.clone(), aliases: image.aliases.clone(), digest, tarball })
}

/// One version of each image is enough: a hundred megabytes a piece.
fn remove_older(short: &str, paths: &Paths) -> Result<()> {
    for entry in fs::read_dir(paths.images())? {
        let path = entry?.path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        if stem.rsplit_once('-').is_some_and(|(name, _)| name == short) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Whether pods that tolerate the spare node's taint are made of this: the sample application, and nothing else.
pub(crate) fn is_for_spare(packed: &Packed) -> bool {
    ["localhost/pause:bed", "localhost/app:bed"].contains(&packed.name.as_str())
}

/// Brings an image into a node, unless it is there.
pub(crate) fn import(packed: &Packed, node: &Node, paths: &Paths) -> Result<()> {
    let is_there = |name: &str| -> Result<bool> { Ok(present(name, node, paths)?.as_deref() == Some(&packed.digest)) };
    if !is_there(&packed.name)? {
        import_file(&packed.tarball, node, paths)?;
    }
    for alias in &packed.aliases {
        if !is_there(alias)? {
            output(ctr(node, paths).args(["images", "tag", "--force", &packed.name, alias]))?;
        }
    }
    Ok(())
}

/// Brings the image of a tarball into a node.
pub(crate) fn import_file(tarball: &Path, node: &Node, paths: &Paths) -> Result<()> {
    output(ctr(node, paths).args(["images", "import"]).arg(tarball)).map(drop)
}

/// The digest that a node's containerd has by this name.
fn present(name: &str, node: &Node, paths: &Paths) -> Result<Option<String>> {
    let listed = output(ctr(node, paths).args(["images", "list", &format!("name=={name}")]))?;
    Ok(listed
        .lines()
        .skip(1)
        .find_map(|line| line.split_whitespace().find(|word| word.starts_with("sha256:")))
        .map(str::to_owned))
}

/// Whether a node's containerd answers.
pub(crate) fn containerd_answers(node: &Node, paths: &Paths) -> bool {
    output(ctr(node, paths).arg("version")).is_ok()
}

fn ctr(node: &Node, paths: &Paths) -> Command {
    let mut ctr = Command::new("ctr");
    ctr.arg("--address").arg(node.run(paths).join("containerd.sock")).args(["--namespace", "k8s.io"]);
    ctr
}

/// SHA-256 of a file, 12 hexadecimal digits.
pub(crate) fn hash_of_file(path: &Path) -> Result<String> {
    let mut file = fs::File::open(path).with_context(|| path.display().to_string())?;
    let (digest, _) = layout::digest_of(&mut file)?;
    Ok(digest.trim_start_matches("sha256:").chars().take(12).collect())
}
