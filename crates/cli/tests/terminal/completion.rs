//! Completion as kubectl asks for it.

use std::path::Path;
use std::process::Command;

use crate::served::{Served, moving};

fn ask(program: &Path, kubeconfig: &Path, words: &[&str]) -> String {
    let output = Command::new(program).args(words).env("KUBECONFIG", kubeconfig).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_its_other_name_it_offers_names_with_their_phases() {
    let served = Served::start("completion").await;
    served.say(&moving("pods"));
    let program = Path::new(env!("CARGO_BIN_EXE_kubectl-leadsman"));
    let folder = std::env::temp_dir().join(format!("leadsman-link-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let link = folder.join("kubectl_complete-leadsman");
    std::os::unix::fs::symlink(program, &link).unwrap();
    let (config, nowhere) = (served.kubeconfig.clone(), Path::new("/nonexistent"));
    let answers = tokio::task::spawn_blocking(move || {
        [
            ask(&link, &config, &["get", ""]),
            ask(&link, &config, &["get", "-n", "elsewhere", ""]),
            ask(&link, &config, &["abort", "c"]),
            ask(&link, &config, &["promote", ""]),
            ask(&link, nowhere, &["get", ""]),
            ask(program, &config, &["__complete", "expl"]),
        ]
    })
    .await
    .unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let names = "cart\tProgressing\n:4\n";
    assert_eq!(answers[..5], [names, ":4\n", names, ":4\n", ":4\n"]);
    assert!(answers[5].starts_with("explain\t") && answers[5].ends_with("\n:4\n"), "{}", answers[5]);
}
