//! What there was when a scenario failed: files in `target/e2e/<scenario>/`, and what people read first as text.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;
use leadsman_api::names::GROUP;

use crate::namespace::Namespace;
use crate::runtime::blocking;

/// Each file with the kubectl arguments that fill it; the last of them is written out as text as well.
const FILES: [(&str, &str, bool); 9] = [
    ("rollouts.yaml", "get rollouts.leadsman.dev -o yaml", false),
    ("rollouts.txt", "get rollouts.leadsman.dev -o wide", true),
    ("events.txt", "get events --sort-by=.metadata.creationTimestamp", false),
    ("routes.yaml", "get httproutes,grpcroutes,virtualservices -o yaml", false),
    ("services.txt", "get services -o wide", false),
    ("slices.yaml", "get endpointslices -o yaml", false),
    ("replicasets.yaml", "get replicasets -o yaml", false),
    ("pods.txt", "get pods,replicasets -o wide", true),
    ("operator.log", "logs deployment/leadsman --tail=2000", false),
];

/// Dumps a namespace; gives the essentials.
pub async fn dump(namespace: &Namespace) -> String {
    match try_dump(namespace).await {
        Ok(text) => text,
        Err(error) => format!("(and it could not be dumped: {error:#})"),
    }
}

async fn try_dump(namespace: &Namespace) -> Result<String> {
    let folder = namespace.cluster.output.join(&namespace.scenario);
    std::fs::create_dir_all(&folder)?;
    let mut text = String::new();
    for (file, arguments, shown) in FILES {
        let mut command = namespace.cluster.bed.kubectl_command();
        command.args(["-n", &namespace.name]).args(arguments.split(' '));
        let said = blocking(move || said(command)).await?;
        std::fs::write(folder.join(file), &said)?;
        if shown {
            let _ = writeln!(text, "--- {arguments}\n{said}");
        }
    }
    write_lines(&folder.join("requests.txt"), namespace.requests()?.iter().map(crate::audit::Request::describe))?;
    let answers = namespace.proxy.answers();
    write_lines(
        &folder.join("answers.txt"),
        answers.iter().map(|it| format!("{:.3} {} {} {}", it.at, it.status, it.question, it.body)),
    )?;
    let decisions = std::fs::read_to_string(folder.join("operator.log"))?;
    let last: Vec<_> = decisions.lines().rev().take(15).collect();
    let _ = writeln!(text, "--- the operator's last lines");
    for line in last.iter().rev() {
        let _ = writeln!(text, "{}", line.chars().take(400).collect::<String>());
    }
    let _ = writeln!(text, "--- more in {} ({GROUP} objects, events, routes, logs, requests)", folder.display());
    Ok(text)
}

fn write_lines(path: &Path, lines: impl Iterator<Item = String>) -> Result<()> {
    Ok(std::fs::write(path, lines.collect::<Vec<_>>().join("\n"))?)
}

fn said(mut command: Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}
