//! Another process begins with what there is, as after a deployment of the operator: how long until it has looked at the
//! last object, and what it writes although nothing has changed. Then what it asks for while nothing happens, and a wave of
//! releases among all that rest.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::{applications, wave};
use crate::arena::Arena;
use crate::progress::{Count, pause};
use crate::report::Results;

/// How often it is asked what it has looked at. To answer is work as well, which is part of the CPU that is counted.
const LOOK: Duration = Duration::from_millis(500);
const LIMIT: Duration = Duration::from_mins(10);
/// What it writes, it has written by then.
const AFTERWARDS: Duration = Duration::from_secs(10);

pub async fn measure(arena: &mut Arena, number: u32, at_once: u32, period: Duration) -> Result<Results> {
    ensure!(at_once <= number, "{at_once} of {number} cannot be released");
    let mut results = Results::of(arena.contender.name());
    ensure!(arena.contender.looked_at().is_some(), "{} does not say what it has looked at", arena.contender.name());
    // An API server that has given out ten thousand addresses needs a second for each further one.
    arena.work.headless = true;
    arena.start(true)?;
    arena.deploy(&applications(0, number), "v1").await?;
    // What remains to be written about the last ones is not the next process's.
    pause("left alone", arena.contender.warm_up()).await;
    arena.stop().await?;
    let began = Instant::now();
    arena.start(false)?;
    let window = arena.window()?;
    let waiting = async {
        let mut count = Count::new("are looked at", usize::try_from(number)?);
        loop {
            let done = arena.looked_at().await?;
            count.at(done);
            if done >= usize::try_from(number)? {
                return anyhow::Ok(began.elapsed());
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let took = tokio::time::timeout(LIMIT, waiting).await.context("it does not look at all of them")??;
    let used = window.used()?;
    results.number("until the last one is looked at (to half a second)", "s", took.as_secs_f64());
    results.number("CPU until then", "s", used.processor);
    results.number("waited for a processor until then", "s", used.waited);
    results.number("peak memory until then", "MiB", used.peak);
    pause("what is written", AFTERWARDS).await;
    arena.expect_alive()?;
    let used = window.used()?;
    results.number("requests of the takeover", "", used.requests.without_leases() as f64);
    results.number("writes of the takeover, without events", "", used.requests.writes() as f64);
    results.number("watches begun", "", used.requests.watches as f64);
    results.requests("requests of the takeover", &used.requests, 1.0);
    let window = arena.window()?;
    pause("looked at", period).await;
    let used = window.used()?;
    results.number("resident memory", "MiB", used.resident);
    results.number("CPU while nothing happens", "s", used.processor);
    results.number("requests while nothing happens", "", used.requests.without_leases() as f64);
    if at_once > 0 {
        wave::release(arena, at_once, &mut results).await?;
    }
    Ok(results)
}
