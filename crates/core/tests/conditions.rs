//! What the costliest conditions that are accepted really take. In a process of its own, since it looks at the memory of
//! the whole process.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what the tests share may fail like the tests")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use leadsman_core::analysis::condition::{Condition, MAX_SAMPLES};

/// The most memory that this process has had at once, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn args() -> BTreeMap<String, String> {
    [("x".to_owned(), "y".repeat(1024))].into()
}

/// The condition that repeats a part as often as is accepted.
fn most(part: &str, between: &str, whole: impl Fn(&str) -> String) -> Option<Condition> {
    let repeated = |times| whole(&vec![part; times].join(between));
    (1..500).rev().find_map(|times| Condition::new(&repeated(times), &args()).ok())
}

#[cfg(target_os = "linux")]
#[test]
fn the_costliest_conditions_that_are_accepted_take_little_time_and_memory() {
    let began = Instant::now();
    let costly = [
        most("a", ",", |it| format!("result.map(a, [{it}]) == []")),
        most("result", "+", |it| format!("{it} == []")),
        most("result", ",", |it| format!("[{it}] == []")),
        most("args.x", "+", |it| format!("result.map(a, {it}) == []")),
        most("a in result", "||", |it| format!("result.all(a, {it})")),
        most("a > 1.5", "||", |it| format!("result.exists(a, {it})")),
        most("1", ",", |it| format!("[{it}].all(x, result.all(a, a > 0.0))")),
        most("result[0.5] > 1.0", "||", |it| format!("result.all(a, {it}) || true")),
        most("size(result + result)", "+", |it| format!("[1.0].all(a, {it} > 1)")),
    ];
    let before = peak();
    for condition in costly.into_iter().flatten() {
        let began = Instant::now();
        let held = condition.holds(&[1.0; MAX_SAMPLES], MAX_SAMPLES, &args());
        let took = began.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?} for {}: {held:?}", condition.as_str());
    }
    let grown = peak() - before;
    assert!(grown < 32 * 1024, "{grown} KiB");
    assert!(peak() < 96 * 1024, "{} KiB", peak());
    assert!(began.elapsed() < Duration::from_mins(1), "{:?}", began.elapsed());
}

/// More than ten gigabytes where it is evaluated, in less than 1,024 characters and with two loops.
#[test]
fn what_would_take_all_memory_is_refused_without_trying() {
    let began = Instant::now();
    let attack = format!("result.map(a, result.map(b, [{}])) == []", vec!["b"; 460].join(","));
    let error = Condition::new(&attack, &BTreeMap::new()).expect_err("refused");
    assert!(error.contains("takes too much with 1000 samples"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
