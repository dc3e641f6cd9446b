//! The node's configuration files, certificates and tokens, written to the run folder for each start.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use anyhow::Result;

use crate::{
    binaries::hex,
    network::{DNS_IP, NODE_IP, POD_NET},
    node::{INIT, NODE},
    paths::Paths,
    process::run,
    template::filled,
};

/// A file of the run folder, and what it is filled from.
const FILES: [(&str, &str); 5] = [
    ("containerd.toml", include_str!("../../cluster/node/containerd.toml")),
    ("cni/10-pods.conflist", include_str!("../../cluster/node/cni.conflist")),
    ("kubelet.yaml", include_str!("../../cluster/node/kubelet.yaml")),
    ("kube-proxy.yaml", include_str!("../../cluster/node/kube-proxy.yaml")),
    ("audit-policy.yaml", include_str!("../../cluster/node/audit-policy.yaml")),
];
const KUBECONFIG: &str = include_str!("../../cluster/node/kubeconfig.yaml");

/// Writes all of it.
pub(crate) fn write(paths: &Paths) -> Result<()> {
    let folder = paths.run();
    fs::create_dir_all(folder.join("cni"))?;
    let run_folder = folder.display().to_string();
    let values = [("RUN", run_folder.as_str()), ("NODE_IP", NODE_IP), ("DNS_IP", DNS_IP), ("POD_NET", POD_NET)];
    for (file, template) in FILES {
        fs::write(folder.join(file), filled(template, &values)?)?;
    }
    fs::write(folder.join("resolv.conf"), format!("nameserver {DNS_IP}\n"))?;
    certificates(&paths.pki())?;
    users(paths, &run_folder)
}

/// What the node is made from, for the fingerprint.
pub(crate) fn templates() -> String {
    FILES.map(|(_, template)| template).concat() + KUBECONFIG + INIT
}

/// One authority, the API server's certificate, the key for service accounts' tokens.
fn certificates(pki: &Path) -> Result<()> {
    fs::create_dir_all(pki)?;
    fs::set_permissions(pki, fs::Permissions::from_mode(0o700))?;
    let openssl = |words: &str| {
        let words = words.replace("PKI", &pki.display().to_string());
        let mut all = vec!["openssl"];
        all.extend(words.split(' '));
        run(&all)
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!("req -x509 {key} -keyout PKI/ca.key -out PKI/ca.crt -subj /CN=bed-ca -days 365"))?;
    openssl(&format!("req {key} -keyout PKI/api.key -out PKI/api.csr -subj /CN=kube-apiserver"))?;
    fs::write(
        pki.join("api.ext"),
        format!("subjectAltName=IP:{NODE_IP},IP:127.0.0.1,IP:10.96.0.1,DNS:kubernetes.default.svc,DNS:localhost\n"),
    )?;
    openssl(
        "x509 -req -in PKI/api.csr -CA PKI/ca.crt -CAkey PKI/ca.key -CAcreateserial -days 365 -out PKI/api.crt -extfile PKI/api.ext",
    )?;
    openssl("ecparam -name prime256v1 -genkey -noout -out PKI/sa.key")?;
    openssl("ec -in PKI/sa.key -pubout -out PKI/sa.pub")?;
    Ok(())
}

/// File name, user and groups. Every component is itself to the API server, so that its authorization is real.
fn users(paths: &Paths, run_folder: &str) -> Result<()> {
    let node = format!("system:node:{NODE}");
    let users = [
        ("admin", "admin", "system:masters"),
        ("kube-controller-manager", "system:kube-controller-manager", ""),
        ("kube-scheduler", "system:kube-scheduler", ""),
        ("kube-proxy", "system:kube-proxy", ""),
        ("cluster-dns", "system:cluster-dns", ""),
        ("kubelet", node.as_str(), "system:nodes"),
    ];
    let mut tokens = String::new();
    for (file, user, groups) in users {
        let token = token()?;
        writeln!(tokens, "{token},{user},{user},\"{groups}\"")?;
        let values = [("NODE_IP", NODE_IP), ("RUN", run_folder), ("USER", user), ("TOKEN", &token)];
        fs::write(paths.pki().join(format!("{file}.kubeconfig")), filled(KUBECONFIG, &values)?)?;
    }
    Ok(fs::write(paths.pki().join("tokens.csv"), tokens)?)
}

fn token() -> Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(hex(&bytes))
}
