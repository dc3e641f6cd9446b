//! What one release costs. Several are made at once, so that hundredths of a second are enough to count the CPU by.

use std::time::Duration;

use anyhow::Result;

use super::{TAIL, add_requests, applications, since};
use crate::arena::Arena;
use crate::progress::pause;
use crate::report::Results;

pub async fn measure(arena: &mut Arena, number: u32) -> Result<Results> {
    let mut results = Results::of(arena.contender.name());
    let all = applications(0, number);
    let each = f64::from(number);
    arena.start(true)?;
    arena.deploy(&all, "v1").await?;
    arena.restart().await?;
    pause("left alone", arena.contender.warm_up()).await;
    let window = arena.window()?;
    let (seen, ()) = tokio::try_join!(arena.settled(&all, "v2"), arena.release(&all, "v2", Duration::ZERO))?;
    let promoted = window.used()?;
    results.spread("until promoted, min / median / max", since(window.began(), seen.values()));
    results.number("CPU until promoted", "ms", promoted.processor * 1000.0 / each);
    pause("its tail", TAIL).await;
    arena.expect_alive()?;
    let used = window.used()?;
    results.number("CPU with a tail of 45 s", "ms", used.processor * 1000.0 / each);
    add_requests(&mut results, &used, each);
    results.number("waited for a processor", "s", used.waited);
    results.number("peak memory", "MiB", used.peak);
    results.requests("requests of one release", &used.requests, each);
    Ok(results)
}
