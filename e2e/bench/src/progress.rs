//! What is going on, on stderr.

use std::time::{Duration, Instant};

/// How often something long says how far it is.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);

/// A line with the time since the start of the program.
pub fn say(line: &str) {
    eprintln!("{:>7.1}s  {line}", since_start().as_secs_f64());
}

fn since_start() -> Duration {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// How many of how many there are; said every two seconds, and at the end.
pub struct Count {
    what: String,
    of: usize,
    began: Instant,
    said: Instant,
}

impl Count {
    /// None so far; `what` completes "3 of 10 ...".
    pub fn new(what: &str, of: usize) -> Self {
        Self { what: what.to_owned(), of, began: Instant::now(), said: Instant::now() }
    }

    /// There are so many now.
    pub fn at(&mut self, number: usize) {
        if number >= self.of {
            say(&format!("{} {} ({:.1} s)", self.of, self.what, self.began.elapsed().as_secs_f64()));
        } else if self.said.elapsed() >= SIGN_OF_LIFE {
            say(&format!("  {number} of {} {}", self.of, self.what));
            self.said = Instant::now();
        }
    }
}

/// Waits, and says how long that takes.
pub async fn pause(what: &str, time: Duration) {
    say(&format!("{what}: {} s", time.as_secs()));
    tokio::time::sleep(time).await;
}
