//! Many fail at once at 50%: how long it takes from when Prometheus serves the failing values until each route has weight 0.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{TAIL, add_requests, applications, since};
use crate::arena::Arena;
use crate::progress::{pause, say};
use crate::report::Results;

/// Measurements that succeed before all fail.
const SUCCEED: u32 = 3;

pub async fn measure(arena: &mut Arena, number: u32, interval: Duration) -> Result<Results> {
    let mut results = Results::of(arena.contender.name());
    let all = applications(0, number);
    arena.start(true)?;
    arena.deploy(&all, "v1").await?;
    arena.restart().await?;
    pause("left alone", arena.contender.warm_up()).await;
    // Over a whole interval, so that measurements fall anywhere in it.
    tokio::try_join!(arena.weighed(&all, 50), arena.release(&all, "v2", interval))?;
    pause("measurements succeed", interval * SUCCEED + Duration::from_secs(2)).await;
    arena.expect_alive()?;
    let window = arena.window()?;
    let source = arena.source.as_ref().context("nothing is measured")?;
    say("all fail from now on");
    let (seen, served) = tokio::try_join!(arena.weighed(&all, 0), source.fail())?;
    let used = window.used()?;
    results.spread("from Prometheus to weight 0, min / median / max", since(served, seen.values()));
    results.spread("from the failure to weight 0, min / median / max", since(window.began(), seen.values()));
    results.number("CPU until all are at 0", "s", used.processor);
    pause("its tail", TAIL).await;
    arena.expect_alive()?;
    let used = window.used()?;
    results.number("CPU with a tail of 45 s", "s", used.processor);
    results.number("waited for a processor", "s", used.waited);
    results.number("peak memory", "MiB", used.peak);
    add_requests(&mut results, &used, f64::from(number));
    results.requests("requests of one abort with its tail", &used.requests, f64::from(number));
    Ok(results)
}
