//! Images without Docker: a program and what it needs as an OCI image layout, one layer for each machine that it is for. The
//! same files make the same bytes.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

/// What a file of an image holds.
#[derive(Clone, Debug)]
pub enum Content {
    /// A copy of this file, executable if it is.
    Copy(PathBuf),
    /// This text, readable by all.
    Text(String),
}

/// An image to be: `name` is its reference, `files` go by their absolute path in it.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// Reference with tag: `localhost/app:bed`.
    pub name: String,
    /// Further references to the same.
    pub aliases: Vec<String>,
    /// Absolute path in the image, and content.
    pub files: Vec<(String, Content)>,
    /// Program and its first arguments.
    pub entrypoint: Vec<String>,
    /// `uid:gid` to run as; root where there is none.
    pub user: Option<String>,
    /// The machine that it is for.
    pub architecture: Architecture,
    /// `org.opencontainers.image.*`: what it is, and what it was made from.
    pub labels: BTreeMap<String, String>,
}

/// A machine that an image is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Architecture {
    /// `x86_64`.
    #[default]
    Amd64,
    /// `aarch64`.
    Arm64,
}

impl std::str::FromStr for Architecture {
    type Err = anyhow::Error;

    /// From a platform as registries name it: `linux/amd64`.
    fn from_str(platform: &str) -> Result<Self> {
        let named = |it: &Self| platform.strip_prefix("linux/") == Some(it.name());
        Self::ALL.into_iter().find(named).context("images are made for linux/amd64 and linux/arm64")
    }
}

impl Architecture {
    /// All that images are made for.
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// As image indexes name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// As Rust names it.
    pub fn target(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// As C compilers and Debian's packages of them name it.
    pub fn compiler(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-linux-gnu",
            Self::Arm64 => "aarch64-linux-gnu",
        }
    }

    /// That of this machine.
    pub fn own() -> Result<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Ok(Self::Amd64),
            "aarch64" => Ok(Self::Arm64),
            other => anyhow::bail!("no image is made for {other}"),
        }
    }
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
        Ok(Self {
            name: name.to_owned(),
            files,
            entrypoint: vec![inside],
            user: Some(user.to_owned()),
            ..Self::default()
        })
    }
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

    #[test]
    fn libraries_are_read_from_what_ldd_says() {
        let said = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let expected = ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(parse_ldd(said), expected.map(PathBuf::from));
        assert!(parse_ldd("\tnot a dynamic executable\n").is_empty());
    }
}
