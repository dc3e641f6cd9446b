//! `get -w` on a terminal.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use serde_json::json;

use crate::served::{Served, moving, promoted};

/// The program on a terminal.
struct Terminal {
    screen: Arc<Mutex<vt100::Parser>>,
    master: Box<dyn portable_pty::MasterPty + Send>,
    keyboard: Box<dyn Write + Send>,
    child: Box<dyn portable_pty::Child + Send + Sync>,
}

impl Terminal {
    fn start(served: &Served, words: &[&str], lines: u16, columns: u16) -> Self {
        let size = PtySize { rows: lines, cols: columns, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_kubectl-leadsman"));
        command.args(words);
        command.env("KUBECONFIG", &served.kubeconfig);
        command.env("LANG", "C.UTF-8");
        command.env("TERM", "xterm-256color");
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(lines, columns, 10_000)));
        let (mut reader, written) = (pair.master.try_clone_reader().unwrap(), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut bytes) {
                written.lock().unwrap().process(&bytes[..length]);
            }
        });
        let keyboard = pair.master.take_writer().unwrap();
        Self { screen, master: pair.master, keyboard, child }
    }

    fn shows(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    fn scrolled(&self) -> usize {
        let mut parser = self.screen.lock().unwrap();
        parser.screen_mut().set_scrollback(usize::MAX);
        let scrolled = parser.screen().scrollback();
        parser.screen_mut().set_scrollback(0);
        scrolled
    }

    async fn until(&self, what: &str, is_so: impl Fn(&str) -> bool) {
        let began = Instant::now();
        while !is_so(&self.shows()) {
            assert!(began.elapsed() < Duration::from_secs(20), "{what}:\n{}", self.shows());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What it wrote last may still be on its way when the program has ended.
    async fn cursor_is_back(&self) {
        let began = Instant::now();
        while self.screen.lock().unwrap().screen().hide_cursor() {
            assert!(began.elapsed() < Duration::from_secs(20), "the cursor stays hidden");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn code(&mut self) -> u32 {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.exit_code();
            }
            assert!(began.elapsed() < Duration::from_secs(20), "it does not end:\n{}", self.shows());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_redraws_in_place_and_leaves_its_last_frame() {
    let served = Served::start("in-place").await;
    served.say(&moving("look 0"));
    let mut terminal = Terminal::start(&served, &["get", "cart", "-w"], 24, 80);
    terminal.until("the first frame", |shown| shown.contains("look 0")).await;
    for look in 1..=200 {
        served.say(&moving(&format!("look {look}")));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    terminal.until("the last look", |shown| shown.contains("look 200")).await;
    assert_eq!(terminal.scrolled(), 0, "a frame that fits scrolls nothing away");
    assert_eq!(terminal.shows().matches("look ").count(), 1, "{}", terminal.shows());
    served.say(&promoted());
    assert_eq!(terminal.code().await, 0);
    terminal.until("the last frame", |shown| shown.contains("Healthy")).await;
    terminal.cursor_is_back().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_sixty_pods_the_head_and_what_is_waited_for_stay() {
    let served = Served::start("pods").await;
    for pod in 0..60 {
        let labels =
            json!({"leadsman.dev/rollout": "cart", "leadsman.dev/revision": crate::served::revision("v2", 2)["hash"]});
        let pod = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("cart-{pod}"), "namespace": "shop", "labels": labels}, "spec": {"containers": []}});
        served.server.hand("kubelet").create(&pod).unwrap();
    }
    served.say(&moving("the canary's pods"));
    let terminal = Terminal::start(&served, &["get", "cart", "-w", "--pods"], 24, 80);
    let is_whole = |shown: &str| shown.contains("shop/cart") && shown.contains("the canary's pods");
    terminal.until("head and waits", is_whole).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(is_whole(&terminal.shows()), "{}", terminal.shows());
    assert_eq!(terminal.scrolled(), 0);
    let smaller = PtySize { rows: 12, cols: 60, pixel_width: 0, pixel_height: 0 };
    terminal.screen.lock().unwrap().screen_mut().set_size(12, 60);
    terminal.master.resize(smaller).unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    terminal.until("head and waits on a smaller terminal", is_whole).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_end_it_and_the_cursor_is_back() {
    for (key, code) in [(&b"q"[..], 0), (b"\x03", 130)] {
        let served = Served::start("keys").await;
        served.say(&moving("look 0"));
        let mut terminal = Terminal::start(&served, &["watch", "cart"], 24, 80);
        terminal.until("the first frame", |shown| shown.contains("look 0")).await;
        terminal.keyboard.write_all(b"?").unwrap();
        terminal.until("the keys", |shown| shown.contains("q quit")).await;
        terminal.keyboard.write_all(b"l").unwrap();
        terminal.until("that there is no pod", |shown| shown.contains("no pod of a new revision")).await;
        terminal.keyboard.write_all(b"l").unwrap();
        terminal.until("no log", |shown| !shown.contains("no pod of a new revision")).await;
        terminal.keyboard.write_all(key).unwrap();
        assert_eq!(terminal.code().await, code);
        terminal.cursor_is_back().await;
    }
}
