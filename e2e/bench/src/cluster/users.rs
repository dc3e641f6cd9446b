//! Who asks the API server, and how each of them does.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use leadsman_bed::token;
use serde_json::json;

use crate::contender::{self, NAMESPACE};

/// File name, user and groups.
fn users() -> [(&'static str, String, String); 5] {
    let of_accounts = format!("system:serviceaccounts,system:serviceaccounts:{NAMESPACE},system:authenticated");
    [
        ("admin", "admin".to_owned(), "system:masters".to_owned()),
        ("kwok", "kwok".to_owned(), "system:masters".to_owned()),
        ("controller-manager", "system:kube-controller-manager".to_owned(), "system:masters".to_owned()),
        ("contender", contender::user(), of_accounts),
        // A person with the plugin.
        ("reader", "reader".to_owned(), "system:masters".to_owned()),
    ]
}

/// Their tokens, by file name.
pub struct Users {
    tokens: BTreeMap<&'static str, String>,
    folder: PathBuf,
}

impl Users {
    /// Writes `tokens.csv`, for the API server, into the folder.
    pub fn write(folder: &Path) -> Result<Self> {
        let mut file = String::new();
        let mut tokens = BTreeMap::new();
        for (name, user, groups) in users() {
            let token = token()?;
            writeln!(file, "{token},{user},{user},\"{groups}\"")?;
            tokens.insert(name, token);
        }
        std::fs::write(folder.join("tokens.csv"), file)?;
        Ok(Self { tokens, folder: folder.to_owned() })
    }

    /// Writes the kubeconfig of one of them, for an API server at this port.
    pub fn kubeconfig(&self, name: &str, port: u16) -> Result<PathBuf> {
        let token = self.tokens.get(name).with_context(|| format!("there is no user {name}"))?;
        let authority = self.folder.join("pki/ca.crt");
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{
                "name": "bench",
                "cluster": {"server": format!("https://127.0.0.1:{port}"), "certificate-authority": authority},
            }],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": name, "namespace": NAMESPACE}}],
            "current-context": "bench",
        });
        let path = self.folder.join(format!("{name}.kubeconfig"));
        std::fs::write(&path, config.to_string())?;
        Ok(path)
    }
}
