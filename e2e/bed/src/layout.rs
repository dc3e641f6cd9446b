//! An OCI image layout: a folder of blobs that are named by their digests, and an index that says which of them is what.
//! <https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md>

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use crate::{
    binaries::hex,
    image::{Architecture, Content, Image},
};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const CREATED: &str = "org.opencontainers.image.created";

/// How layers are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layers {
    /// As they are: written, and read, at once.
    Plain,
    /// With gzip: sent over a network.
    Compressed,
}

/// A layout that is being written.
pub(crate) struct Layout {
    folder: PathBuf,
}

impl Layout {
    /// An empty one; what was in the folder is gone.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        fs::create_dir_all(folder.join("blobs/sha256")).with_context(|| folder.display().to_string())?;
        fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Writes one image for one machine; the digest of its manifest, as containerd will show it.
    pub(crate) fn write(&self, image: &Image) -> Result<String> {
        let manifest = self.add(image, Layers::Plain)?;
        let digest = text(&manifest, "digest");
        self.name(manifest, &image.name)?;
        Ok(digest)
    }

    /// Writes an image for several machines; the digest of their index, by which it is pulled. All have the name of the
    /// first.
    pub(crate) fn write_index(&self, images: &[Image]) -> Result<String> {
        let first = images.first().context("no image")?;
        let manifests = images.iter().map(|image| self.add(image, Layers::Compressed)).collect::<Result<Vec<_>>>()?;
        let index = json!({
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": manifests,
            "annotations": first.labels,
        });
        let index = self.blob(INDEX, index.to_string().as_bytes())?;
        let digest = text(&index, "digest");
        self.name(index, &first.name)?;
        Ok(digest)
    }

    /// Names what the layout is about, in place of what it was called before.
    fn name(&self, mut described: Value, name: &str) -> Result<()> {
        let tag = name.rsplit_once(':').map_or("latest", |(_, tag)| tag);
        if let Some(members) = described.as_object_mut() {
            let annotations = json!({"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag});
            members.insert("annotations".to_owned(), annotations);
        }
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [described]});
        Ok(fs::write(self.folder.join("index.json"), index.to_string())?)
    }

    /// Adds the blobs of an image; its manifest, described.
    fn add(&self, image: &Image, layers: Layers) -> Result<Value> {
        let (layer, uncompressed) = self.layer(image, layers)?;
        let mut config = json!({
            "architecture": image.architecture.name(),
            "os": "linux",
            "created": image.labels.get(CREATED).map_or("1970-01-01T00:00:00Z", String::as_str),
            "config": {
                "Env": ["PATH=/"],
                "Entrypoint": image.entrypoint,
                "User": image.user.as_deref().unwrap_or(""),
                "WorkingDir": "/",
            },
            "rootfs": {"type": "layers", "diff_ids": [uncompressed]},
        });
        if let Some(config) = config.pointer_mut("/config").and_then(Value::as_object_mut)
            && !image.labels.is_empty()
        {
            config.insert("Labels".to_owned(), json!(image.labels));
        }
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.blob(CONFIG, config.to_string().as_bytes())?,
            "layers": [layer],
            "annotations": image.labels,
        });
        let mut manifest = self.blob(MANIFEST, manifest.to_string().as_bytes())?;
        if let Some(members) = manifest.as_object_mut() {
            members.insert("platform".to_owned(), platform(image.architecture));
        }
        Ok(manifest)
    }

    fn blob(&self, media_type: &str, bytes: &[u8]) -> Result<Value> {
        let digest = hex(&Sha256::digest(bytes));
        fs::write(self.folder.join("blobs/sha256").join(&digest), bytes)?;
        Ok(json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len()}))
    }

    /// The layer of an image, described, and the digest of what it is unpacked.
    fn layer(&self, image: &Image, layers: Layers) -> Result<(Value, String)> {
        let unnamed = self.folder.join("layer");
        let mut plain = Hashing::new(match layers {
            Layers::Plain => Sink::Plain(Hashing::new(File::create(&unnamed)?)),
            Layers::Compressed => {
                Sink::Compressed(GzEncoder::new(Hashing::new(File::create(&unnamed)?), Compression::best()))
            }
        });
        archive(image, &mut plain)?;
        let uncompressed = plain.digest();
        let written = match plain.inner {
            Sink::Plain(written) => written,
            Sink::Compressed(encoder) => encoder.finish()?,
        };
        let (digest, size) = (written.digest(), written.size);
        fs::rename(unnamed, self.folder.join("blobs").join(digest.replace(':', "/")))?;
        let media_type = match layers {
            Layers::Plain => LAYER.to_owned(),
            Layers::Compressed => format!("{LAYER}+gzip"),
        };
        Ok((json!({"mediaType": media_type, "digest": digest, "size": size}), uncompressed))
    }
}

/// Writes a layout as a tarball that `ctr images import` reads, under another name where one is given.
pub(crate) fn pack(folder: &Path, name: Option<&str>, tarball: &Path) -> Result<()> {
    if let Some(name) = name {
        let index: Value = serde_json::from_slice(&fs::read(folder.join("index.json"))?)?;
        let described = index.pointer("/manifests/0").context("index.json names nothing")?;
        Layout { folder: folder.to_owned() }.name(described.clone(), name)?;
    }
    let mut tar = Builder::new(File::create(tarball)?);
    let mut blobs: Vec<_> =
        fs::read_dir(folder.join("blobs/sha256"))?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    blobs.sort();
    for file in ["oci-layout", "index.json"].map(|name| folder.join(name)).into_iter().chain(blobs) {
        copy(&mut tar, &file.strip_prefix(folder)?.display().to_string(), &file, 0o644)?;
    }
    Ok(tar.into_inner()?.flush()?)
}

fn text(described: &Value, member: &str) -> String {
    described.get(member).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn platform(architecture: Architecture) -> Value {
    match architecture {
        Architecture::Amd64 => json!({"architecture": "amd64", "os": "linux"}),
        Architecture::Arm64 => json!({"architecture": "arm64", "os": "linux", "variant": "v8"}),
    }
}

/// The files of an image, each folder once and before what is in it.
fn archive(image: &Image, into: impl Write) -> Result<()> {
    let mut tar = Builder::new(into);
    let mut folders = BTreeSet::new();
    let mut temporary = header(EntryType::Directory, 0o1777);
    tar.append_data(&mut temporary, "tmp/", io::empty())?;
    for (place, content) in &image.files {
        let place = place.trim_start_matches('/');
        for (at, _) in place.match_indices('/') {
            let folder = place.get(..=at).unwrap_or_default();
            if folders.insert(folder.to_owned()) {
                tar.append_data(&mut header(EntryType::Directory, 0o755), folder, io::empty())?;
            }
        }
        match content {
            Content::Text(content) => {
                let mut header = header(EntryType::Regular, 0o644);
                header.set_size(content.len() as u64);
                tar.append_data(&mut header, place, content.as_bytes())?;
            }
            Content::Copy(source) => {
                let metadata = fs::metadata(source).with_context(|| source.display().to_string())?;
                let mode = if metadata.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 };
                copy(&mut tar, place, source, mode)?;
            }
        }
    }
    Ok(tar.into_inner()?.flush()?)
}

fn copy(tar: &mut Builder<impl Write>, place: &str, source: &Path, mode: u32) -> Result<()> {
    let mut file = File::open(source).with_context(|| source.display().to_string())?;
    let mut header = header(EntryType::Regular, mode);
    header.set_size(file.metadata()?.len());
    Ok(tar.append_data(&mut header, place, &mut file)?)
}

fn header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// Where a layer is written to.
enum Sink<W: Write> {
    Plain(W),
    Compressed(GzEncoder<W>),
}

impl<W: Write> Write for Sink<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(inner) => inner.write(bytes),
            Self::Compressed(inner) => inner.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(inner) => inner.flush(),
            Self::Compressed(inner) => inner.flush(),
        }
    }
}

/// Digest and length of what goes through.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
    size: u64,
}

impl<W> Hashing<W> {
    fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new(), size: 0 }
    }

    fn digest(&self) -> String {
        format!("sha256:{}", hex(&self.hash.clone().finalize()))
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Digest and length of what is read to the end.
pub(crate) fn digest_of(reader: &mut impl Read) -> Result<(String, u64)> {
    let mut hashing = Hashing::new(io::sink());
    io::copy(reader, &mut hashing)?;
    Ok((hashing.digest(), hashing.size))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn example(folder: &Path, architecture: Architecture) -> Image {
        let program = folder.join("program");
        fs::write(&program, "#!/bin/true\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Image {
            name: "localhost/example:bed".to_owned(),
            files: vec![
                ("/usr/bin/program".to_owned(), Content::Copy(program)),
                ("/usr/share/text".to_owned(), Content::Text("hello".to_owned())),
            ],
            entrypoint: vec!["/usr/bin/program".to_owned()],
            user: Some("1000:1000".to_owned()),
            architecture,
            labels: BTreeMap::from([(CREATED.to_owned(), "2026-01-01T00:00:00Z".to_owned())]),
            ..Image::default()
        }
    }

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("leadsman-bed-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn read(folder: &Path, digest: &str) -> Vec<u8> {
        fs::read(folder.join("blobs").join(digest.replace(':', "/"))).unwrap()
    }

    fn json(folder: &Path, digest: &str) -> Value {
        serde_json::from_slice(&read(folder, digest)).unwrap()
    }

    #[test]
    fn the_same_files_make_the_same_bytes() {
        let folder = folder("same");
        let images = Architecture::ALL.map(|architecture| example(&folder, architecture));
        let packed = |name: &str| {
            let (layout, tarball) = (folder.join(name), folder.join(format!("{name}.tar")));
            let digest = Layout::new(&layout).unwrap().write_index(&images).unwrap();
            pack(&layout, None, &tarball).unwrap();
            (digest, fs::read(tarball).unwrap())
        };
        assert!(packed("first") == packed("second"));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn every_blob_is_named_by_its_digest() {
        let folder = folder("digest");
        let layout = folder.join("layout");
        Layout::new(&layout).unwrap().write(&example(&folder, Architecture::Amd64)).unwrap();
        let mut blobs = 0;
        for entry in fs::read_dir(layout.join("blobs/sha256")).unwrap() {
            let path = entry.unwrap().path();
            let (digest, _) = digest_of(&mut File::open(&path).unwrap()).unwrap();
            assert_eq!(digest, format!("sha256:{}", path.file_name().unwrap().display()));
            blobs += 1;
        }
        assert_eq!(blobs, 3);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn an_index_leads_to_an_image_for_each_machine_and_each_to_its_files() {
        let folder = folder("index");
        let layout = folder.join("layout");
        let images = Architecture::ALL.map(|architecture| example(&folder, architecture));
        let digest = Layout::new(&layout).unwrap().write_index(&images).unwrap();
        let top: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
        assert_eq!(top["manifests"][0]["digest"], json!(digest));
        let index = json(&layout, &digest);
        assert_eq!(index["manifests"][1]["platform"], platform(Architecture::Arm64));
        for (at, architecture) in Architecture::ALL.into_iter().enumerate() {
            let manifest = json(&layout, index["manifests"][at]["digest"].as_str().unwrap());
            let config = json(&layout, manifest["config"]["digest"].as_str().unwrap());
            assert_eq!(config["architecture"], architecture.name());
            assert_eq!(config["created"], "2026-01-01T00:00:00Z");
            let layer = read(&layout, manifest["layers"][0]["digest"].as_str().unwrap());
            let mut unpacked = Vec::new();
            flate2::read::GzDecoder::new(&layer[..]).read_to_end(&mut unpacked).unwrap();
            assert_eq!(config["rootfs"]["diff_ids"][0], json!(digest_of(&mut &unpacked[..]).unwrap().0));
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn another_name_changes_no_blob() {
        let folder = folder("name");
        let (layout, tarball) = (folder.join("layout"), folder.join("image.tar"));
        let digest = Layout::new(&layout).unwrap().write(&example(&folder, Architecture::Amd64)).unwrap();
        pack(&layout, Some("localhost/other:1"), &tarball).unwrap();
        let top: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
        assert_eq!(top["manifests"][0]["digest"], json!(digest));
        assert_eq!(top["manifests"][0]["annotations"]["io.containerd.image.name"], "localhost/other:1");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn folders_come_once_and_before_what_is_in_them() {
        let folder = folder("folders");
        let mut layer = Vec::new();
        archive(&example(&folder, Architecture::Amd64), &mut layer).unwrap();
        let mut archive = tar::Archive::new(&layer[..]);
        let names: Vec<_> =
            archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().display().to_string()).collect();
        assert_eq!(names, ["tmp/", "usr/", "usr/bin/", "usr/bin/program", "usr/share/", "usr/share/text"]);
        fs::remove_dir_all(folder).unwrap();
    }
}
