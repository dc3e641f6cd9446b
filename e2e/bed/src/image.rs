//! Images without Docker: a program and what it needs as an OCI image layout in a tarball, one layer. The same files make
//! the same bytes.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{Read, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use crate::binaries::hex;

/// What a file of an image holds.
#[derive(Clone, Debug)]
pub enum Content {
    /// A copy of this file, executable if it is.
    Copy(PathBuf),
    /// This text, readable by all.
    Text(String),
}

/// An image to be: `name` is its reference, `files` go by their absolute path in it.
#[derive(Clone, Debug)]
pub struct Image {
    /// Reference with tag: `localhost/app:bed`.
    pub name: String,
    /// Absolute path in the image, and content.
    pub files: Vec<(String, Content)>,
    /// Program and its first arguments.
    pub entrypoint: Vec<String>,
    /// `uid:gid` to run as; root where there is none.
    pub user: Option<String>,
}

impl Image {
    /// An image of one program, run as `user`; with its loader and libraries if it is not static. The program's path is
    /// the image's short name: `/app` in `localhost/app:bed`.
    pub fn of_program(name: &str, program: &Path, user: &str) -> Result<Self> {
        let inside = name.rsplit_once('/').map_or(name, |(_, last)| last);
        let inside = format!("/{}", inside.split_once(':').map_or(inside, |(short, _)| short));
        let mut files = vec![(inside.clone(), Content::Copy(program.to_owned()))];
        for library in libraries(program)? {
            files.push((library.display().to_string(), Content::Copy(library)));
        }
        if files.len() > 1 {
            files.push(("/etc/nsswitch.conf".to_owned(), Content::Text("hosts: files dns\n".to_owned())));
        }
        Ok(Self { name: name.to_owned(), files, entrypoint: vec![inside], user: Some(user.to_owned()) })
    }

    /// Writes the tarball; the image's digest, as containerd will show it.
    pub fn write(&self, tarball: &Path) -> Result<String> {
        let layer_path = tarball.with_extension("layer");
        let layer = self.write_layer(&layer_path)?;
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {"Env": ["PATH=/"], "Entrypoint": self.entrypoint, "User": self.user.as_deref().unwrap_or("")},
            "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
        });
        let config = Blob::of(&config);
        let manifest = Blob::of(&json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config.descriptor("application/vnd.oci.image.config.v1+json"),
            "layers": [layer.descriptor("application/vnd.oci.image.layer.v1.tar")],
        }));
        let mut listed = manifest.descriptor("application/vnd.oci.image.manifest.v1+json");
        if let Some(entry) = listed.as_object_mut() {
            entry.insert("platform".to_owned(), json!({"architecture": "amd64", "os": "linux"}));
            entry.insert("annotations".to_owned(), json!({"io.containerd.image.name": self.name}));
        }
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [listed],
        });

        let mut tar = Builder::new(File::create(tarball)?);
        text(&mut tar, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        text(&mut tar, "index.json", index.to_string().as_bytes())?;
        for blob in [&config, &manifest] {
            text(&mut tar, &blob.path(), &blob.bytes)?;
        }
        let mut layer_file = File::open(&layer_path)?;
        let mut header = header(EntryType::Regular, 0o644);
        header.set_size(layer.size);
        tar.append_data(&mut header, layer.path(), &mut layer_file)?;
        tar.into_inner()?.flush()?;
        std::fs::remove_file(layer_path)?;
        Ok(manifest.digest)
    }

    fn write_layer(&self, path: &Path) -> Result<Blob> {
        let mut tar = Builder::new(File::create(path)?);
        let mut folders = BTreeSet::new();
        let mut temporary = header(EntryType::Directory, 0o1777);
        tar.append_data(&mut temporary, "tmp/", std::io::empty())?;
        for (place, content) in &self.files {
            let place = place.trim_start_matches('/');
            for (at, _) in place.match_indices('/') {
                let folder = place.get(..=at).unwrap_or_default();
                if folders.insert(folder.to_owned()) {
                    tar.append_data(&mut header(EntryType::Directory, 0o755), folder, std::io::empty())?;
                }
            }
            match content {
                Content::Text(content) => text(&mut tar, place, content.as_bytes())?,
                Content::Copy(source) => {
                    let mut file = File::open(source).with_context(|| source.display().to_string())?;
                    let metadata = file.metadata()?;
                    let mode = if metadata.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 };
                    let mut header = header(EntryType::Regular, mode);
                    header.set_size(metadata.len());
                    tar.append_data(&mut header, place, &mut file)?;
                }
            }
        }
        tar.into_inner()?.flush()?;
        let (digest, size) = digest_of(&mut File::open(path)?)?;
        Ok(Blob { bytes: Vec::new(), digest, size })
    }
}

/// A part of the image, by its digest. The layer's bytes stay in a file.
struct Blob {
    bytes: Vec<u8>,
    digest: String,
    size: u64,
}

impl Blob {
    fn of(value: &Value) -> Self {
        let bytes = value.to_string().into_bytes();
        let digest = format!("sha256:{}", hex(&Sha256::digest(&bytes)));
        Self { size: bytes.len() as u64, digest, bytes }
    }

    fn descriptor(&self, media_type: &str) -> Value {
        json!({"mediaType": media_type, "digest": self.digest, "size": self.size})
    }

    fn path(&self) -> String {
        format!("blobs/sha256/{}", self.digest.trim_start_matches("sha256:"))
    }
}

/// Digest and length of what is read to the end.
pub(crate) fn digest_of(reader: &mut impl Read) -> Result<(String, u64)> {
    let mut hash = Sha256::new();
    let mut size = 0;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = reader.read(&mut buffer)?;
        let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else {
            return Ok((format!("sha256:{}", hex(&hash.finalize())), size));
        };
        hash.update(part);
        size += part.len() as u64;
    }
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

fn text(tar: &mut Builder<File>, place: &str, content: &[u8]) -> Result<()> {
    let mut header = header(EntryType::Regular, 0o644);
    header.set_size(content.len() as u64);
    Ok(tar.append_data(&mut header, place, content)?)
}

/// The loader and libraries that a program is linked with; none for a static one.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output().context("cannot run ldd")?;
    Ok(parse_ldd(&String::from_utf8_lossy(&output.stdout)))
}

fn parse_ldd(said: &str) -> Vec<PathBuf> {
    said.lines()
        .filter_map(|line| {
            let line = line.split_once("=>").map_or(line, |(_, file)| file).trim();
            let file = line.split_once(" (0x").map_or(line, |(file, _)| file);
            file.starts_with('/').then(|| PathBuf::from(file))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(folder: &Path) -> Image {
        let program = folder.join("program");
        std::fs::write(&program, "#!/bin/true\n").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        Image {
            name: "localhost/example:bed".to_owned(),
            files: vec![
                ("/usr/bin/program".to_owned(), Content::Copy(program)),
                ("/usr/share/text".to_owned(), Content::Text("hello".to_owned())),
            ],
            entrypoint: vec!["/usr/bin/program".to_owned()],
            user: Some("1000:1000".to_owned()),
        }
    }

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("leadsman-bed-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn the_same_files_make_the_same_bytes() {
        let folder = folder("same");
        let image = example(&folder);
        let first = image.write(&folder.join("first.tar")).unwrap();
        let second = image.write(&folder.join("second.tar")).unwrap();
        assert_eq!(first, second);
        let read = |name| std::fs::read(folder.join(name)).unwrap();
        assert_eq!(read("first.tar"), read("second.tar"));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn every_blob_is_named_by_its_digest() {
        let folder = folder("digest");
        example(&folder).write(&folder.join("image.tar")).unwrap();
        let mut archive = tar::Archive::new(File::open(folder.join("image.tar")).unwrap());
        let mut blobs = 0;
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            if let Some(name) = path.strip_prefix("blobs/sha256/") {
                assert_eq!(digest_of(&mut entry).unwrap().0, format!("sha256:{name}"));
                blobs += 1;
            }
        }
        assert_eq!(blobs, 3);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn folders_come_once_and_before_what_is_in_them() {
        let folder = folder("folders");
        let layer = folder.join("layer");
        example(&folder).write_layer(&layer).unwrap();
        let mut archive = tar::Archive::new(File::open(layer).unwrap());
        let names: Vec<_> =
            archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().display().to_string()).collect();
        assert_eq!(names, ["tmp/", "usr/", "usr/bin/", "usr/bin/program", "usr/share/", "usr/share/text"]);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn libraries_are_read_from_what_ldd_says() {
        let said = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let expected = ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(parse_ldd(said), expected.map(PathBuf::from));
        assert!(parse_ldd("\tnot a dynamic executable\n").is_empty());
    }
}
