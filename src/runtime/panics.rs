//! A panic ends what it happened in, and nothing else.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;

/// Does some work. Where that panics, gives the panic's words; whatever the work had borrowed to change may be half changed.
///
/// # Errors
/// When the work panicked.
pub async fn caught<W: Future>(work: W) -> Result<W::Output, String> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|panic| words(&*panic))
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no words".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn words_of_every_kind_are_given() {
        assert_eq!(caught(async { 7 }).await, Ok(7));
        assert_eq!(caught(async { panic!("boom") }).await, Err::<(), _>("boom".to_owned()));
        let number = 7;
        assert_eq!(caught(async { panic!("boom {number}") }).await, Err::<(), _>("boom 7".to_owned()));
        assert_eq!(caught(async { std::panic::panic_any(7) }).await, Err::<(), _>("no words".to_owned()));
    }
}
