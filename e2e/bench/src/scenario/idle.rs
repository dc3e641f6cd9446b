//! What settled objects cost: a fresh process with so many of them, and what it asks for while nothing happens.

use std::time::Duration;

use anyhow::Result;

use super::applications;
use crate::arena::Arena;
use crate::progress::pause;
use crate::report::Results;
use crate::requests::Requests;

pub async fn measure(arena: &mut Arena, numbers: &[u32], period: Duration) -> Result<Results> {
    let mut results = Results::of(arena.contender.name());
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut deployed = 0;
    let mut memory = Vec::new();
    for number in sorted {
        arena.start(true)?;
        arena.deploy(&applications(deployed, number), "v1").await?;
        deployed = number;
        // A fresh process, with its own limits.
        arena.restart().await?;
        pause("left alone", arena.contender.warm_up()).await;
        arena.expect_alive()?;
        let window = arena.window()?;
        pause("looked at", period).await;
        let used = window.used()?;
        let of = |what: &str| format!("{number} settled: {what}");
        results.number(of("resident memory"), "MiB", used.resident);
        results.number(of("peak"), "MiB", used.peak);
        results.number(of("CPU"), "s", used.processor);
        add_requests(&mut results, &of(""), &used.requests);
        memory.push((f64::from(number), used.resident));
        results.requests("requests in the last window", &used.requests, 1.0);
        arena.stop().await?;
    }
    if let Some(slope) = slope(&memory) {
        results.number("each further one", "KiB", slope * 1024.0);
    }
    Ok(results)
}

fn add_requests(results: &mut Results, of: &str, requests: &Requests) {
    results.number(format!("{of}requests without leases"), "", requests.without_leases() as f64);
    results.number(format!("{of}requests of the lease"), "", requests.leases() as f64);
    results.number(format!("{of}watches begun"), "", requests.watches as f64);
}

/// From the first to the last of them; none of a single one.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let ((first, before), (last, after)) = (points.first()?, points.last()?);
    (last > first).then(|| (after - before) / (last - first))
}

#[cfg(test)]
mod tests {
    use super::slope;

    #[test]
    fn one_number_has_no_slope() {
        assert_eq!(slope(&[(100.0, 20.0)]), None);
        assert_eq!(slope(&[(100.0, 20.0), (500.0, 25.0), (1100.0, 30.0)]), Some(0.01));
    }
}
