//! Keys of the live view: read on a thread of their own, since a terminal is read by waiting.

use std::time::Duration;

use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, poll, read};
use tokio::sync::mpsc;

/// What `?` shows.
pub(super) const HELP: &str = "keys: q quit   e explain   p pods   l logs   ? keys";

/// What a person wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// No more.
    Quit,
    /// Ctrl-C: in raw mode it is a key.
    Interrupt,
    /// Why.
    Explain,
    /// Pods or none.
    Pods,
    /// The log of a pod.
    Logs,
    /// The keys.
    Help,
    /// The terminal has another size: columns and lines.
    Resize((u16, u16)),
    /// Nothing that is known.
    Other,
}

/// The keys as they come. The thread ends with this.
pub(super) struct Keys(mpsc::UnboundedReceiver<Key>);

impl Keys {
    pub fn listen() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            // Looking up four times a second is how it notices that nobody listens any more.
            while !sender.is_closed() {
                match poll(Duration::from_millis(250)) {
                    Ok(true) => {}
                    Ok(false) => continue,
                    Err(_) => return,
                }
                let Ok(event) = read() else { return };
                if sender.send(key(&event)).is_err() {
                    return;
                }
            }
        });
        Self(receiver)
    }

    /// The next key; never, where there is no keyboard.
    pub async fn next(&mut self) -> Key {
        match self.0.recv().await {
            Some(key) => key,
            None => std::future::pending().await,
        }
    }
}

fn key(event: &Event) -> Key {
    match event {
        Event::Resize(columns, lines) => Key::Resize((*columns, *lines)),
        Event::Key(key) if key.kind != KeyEventKind::Release => match (key.code, key.modifiers) {
            (KeyCode::Char('c' | 'd'), KeyModifiers::CONTROL) => Key::Interrupt,
            (KeyCode::Char('q'), _) => Key::Quit,
            (KeyCode::Char('e'), _) => Key::Explain,
            (KeyCode::Char('p'), _) => Key::Pods,
            (KeyCode::Char('l'), _) => Key::Logs,
            (KeyCode::Char('?'), _) => Key::Help,
            _ => Key::Other,
        },
        _ => Key::Other,
    }
}
