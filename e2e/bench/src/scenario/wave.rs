//! Many releases at once, beside others that rest.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{TAIL, add_requests, applications, since};
use crate::arena::Arena;
use crate::progress::pause;
use crate::report::Results;

pub async fn measure(arena: &mut Arena, number: u32, at_once: u32) -> Result<Results> {
    ensure!((1..=number).contains(&at_once), "{at_once} of {number} cannot be released");
    let mut results = Results::of(arena.contender.name());
    arena.start(true)?;
    arena.deploy(&applications(0, number), "v1").await?;
    arena.restart().await?;
    pause("left alone", arena.contender.warm_up()).await;
    release(arena, at_once, &mut results).await?;
    Ok(results)
}

/// Releases the first of those that are there.
pub(super) async fn release(arena: &Arena, at_once: u32, results: &mut Results) -> Result<()> {
    let released = applications(0, at_once);
    let each = f64::from(at_once);
    let window = arena.window()?;
    let releasing = arena.release(&released, "v2", Duration::ZERO);
    let (seen, ()) = tokio::try_join!(arena.settled(&released, "v2"), releasing)?;
    let promoted = window.used()?;
    results.spread("until promoted, min / median / max", since(window.began(), seen.values()));
    results.number("CPU until all are promoted", "s", promoted.processor);
    results.number("the same of each", "ms", promoted.processor * 1000.0 / each);
    results.number("requests until all are promoted", "", promoted.requests.without_leases() as f64);
    results.number("waited for a processor until then", "s", promoted.waited);
    results.number("peak memory until then", "MiB", promoted.peak);
    pause("its tail", TAIL).await;
    arena.expect_alive()?;
    let used = window.used()?;
    results.number("CPU of each with a tail of 45 s", "ms", used.processor * 1000.0 / each);
    add_requests(results, &used, each);
    results.requests("requests of each with the tail", &used.requests, each);
    Ok(())
}
