//! Ctrl-C, where stdout is no terminal.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::served::{Served, moving};

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_wait_ends_with_130_and_the_release_goes_on() {
    for words in [&["status", "cart"][..], &["get", "cart", "-w"]] {
        let served = Served::start("interrupted").await;
        served.say(&moving("pods"));
        let mut child = Command::new(env!("CARGO_BIN_EXE_kubectl-leadsman"))
            .args(words)
            .env("KUBECONFIG", &served.kubeconfig)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Its first line says that it is watching.
        let (out, line) = tokio::task::spawn_blocking({
            let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
            move || {
                let mut line = String::new();
                std::io::BufRead::read_line(&mut out, &mut line).unwrap();
                (out, line)
            }
        })
        .await
        .unwrap();
        assert!(line.contains("step 2/4"), "{line}");
        let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let mut code = None;
        for _ in 0..500 {
            code = child.try_wait().unwrap();
            if code.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(code.and_then(|code| code.code()), Some(130), "{words:?}");
        drop(out);
    }
}
