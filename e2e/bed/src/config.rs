//! The nodes' configuration files, certificates and tokens, written to the run folder for each start.

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
    node::{INIT, MAIN, NODES, SPARE},
    paths::Paths,
    process::run,
    template::filled,
};

/// A file of each node's run folder, and what it is filled from.
const FILES: [(&str, &str); 4] = [
    ("containerd.toml", include_str!("../../cluster/node/containerd.toml")),
    ("cni/10-pods.conflist", include_str!("../../cluster/node/cni.conflist")),
    ("kubelet.yaml", include_str!("../../cluster/node/kubelet.yaml")),
    ("kube-proxy.yaml", include_str!("../../cluster/node/kube-proxy.yaml")),
];
const AUDIT_POLICY: &str = include_str!("../../cluster/node/audit-policy.yaml");
const KUBECONFIG: &str = include_str!("../../cluster/node/kubeconfig.yaml");

/// Writes all of it.
pub(crate) fn write(paths: &Paths) -> Result<()> {
    for node in NODES {
        let folder = node.run(paths);
        fs::create_dir_all(folder.join("cni"))?;
        let values = [
            ("RUN", &*folder.display().to_string()),
            ("NODE_IP", node.ip),
            ("NODE_PODS", node.pod_net),
            ("TAINTS", node.taints),
            ("DNS_IP", DNS_IP),
            ("POD_NET", POD_NET),
        ];
        for (file, template) in FILES {
            fs::write(folder.join(file), filled(template, &values)?)?;
        }
        fs::write(folder.join("resolv.conf"), format!("nameserver {DNS_IP}\n"))?;
    }
    fs::write(paths.run().join("audit-policy.yaml"), AUDIT_POLICY)?;
    certificates(&paths.pki())?;
    users(paths)
}

/// What the nodes are made from, for the fingerprint.
pub(crate) fn templates() -> String {
    FILES.map(|(_, template)| template).concat() + AUDIT_POLICY + KUBECONFIG + INIT + &format!("{NODES:?}")
}

/// One authority, the API server's certificate, the key for service accounts' tokens; as files of a folder, which is made.
/// The API server's is good for loopback as well.
///
/// # Errors
/// When there is no openssl, or the folder cannot be written to.
pub fn certificates(pki: &Path) -> Result<()> {
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

/// Node, file name, user and groups. Every component is itself to the API server, so that its authorization is real.
fn users(paths: &Paths) -> Result<()> {
    let kubelet = |node: &str| format!("system:node:{node}");
    let users = [
        (&MAIN, "admin", "admin", "system:masters"),
        (&MAIN, "kube-controller-manager", "system:kube-controller-manager", ""),
        (&MAIN, "kube-scheduler", "system:kube-scheduler", ""),
        (&MAIN, "kube-proxy", "system:kube-proxy", ""),
        (&MAIN, "cluster-dns", "system:cluster-dns", ""),
        (&MAIN, "kubelet", &kubelet(MAIN.name), "system:nodes"),
        (&SPARE, "kubelet", &kubelet(SPARE.name), "system:nodes"),
        (&SPARE, "kube-proxy", "system:kube-proxy", ""),
    ];
    let run_folder = paths.run().display().to_string();
    let mut tokens = String::new();
    for (node, file, user, groups) in users {
        let token = token()?;
        writeln!(tokens, "{token},{user},{user},\"{groups}\"")?;
        let values = [("NODE_IP", NODE_IP), ("RUN", &run_folder), ("USER", user), ("TOKEN", &token)];
        let folder = node.run(paths).join("pki");
        fs::create_dir_all(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        fs::write(folder.join(format!("{file}.kubeconfig")), filled(KUBECONFIG, &values)?)?;
    }
    Ok(fs::write(paths.pki().join("tokens.csv"), tokens)?)
}

/// A token that nobody guesses.
///
/// # Errors
/// When the machine gives no random bytes.
pub fn token() -> Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(hex(&bytes))
}
