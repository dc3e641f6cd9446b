//! `get -w` where stdout is no terminal, and what it asks for.

use std::time::Duration;

use leadsman_testkit::{Rule, Verb, kind};
use serde_json::json;
use tokio::time::sleep;

use crate::bench::{Bench, moving, promoted};

#[tokio::test(start_paused = true)]
async fn without_a_terminal_it_is_a_line_per_change_and_no_escape_byte() {
    let bench = Bench::new();
    bench.declare("v2");
    bench.say(&moving());
    let story = async {
        sleep(Duration::from_secs(5)).await;
        let mut further = moving();
        further["step"] = json!({"index": 2, "of": 4, "display": "3/4"});
        bench.say(&further);
        sleep(Duration::from_secs(5)).await;
        bench.say(&promoted());
    };
    let ended = bench.run_while(&["get", "cart", "-w"], story).await;
    assert_eq!((ended.code, ended.out.lines().count()), (0, 3), "{} {}", ended.out, ended.err);
    assert!(!ended.out.contains('\u{1b}'));
}

#[tokio::test(start_paused = true)]
async fn after_the_first_lists_there_are_only_watches() {
    let bench = Bench::new();
    bench.declare("v2");
    bench.say(&moving());
    let story = async {
        sleep(Duration::from_hours(2)).await;
        bench.say(&promoted());
    };
    let ended = bench.run_while(&["watch", "cart"], story).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert_eq!(bench.asked(), 4, "{:?}", bench.requests());
}

#[tokio::test(start_paused = true)]
async fn a_missing_right_to_pods_does_not_end_it_and_one_to_the_rollout_does() {
    let bench = Bench::new();
    bench.say(&promoted());
    let forbidden = || Rule::refusing(403, "Forbidden", "no").verbs(&[Verb::List, Verb::Watch]);
    bench.server.inject(forbidden().kind(&kind::POD));
    assert_eq!(bench.run(&["get", "cart", "-w"]).await.code, 0);
    bench.server.inject(forbidden().kind(&kind::ROLLOUT));
    assert_eq!(bench.run(&["get", "cart", "-w"]).await.code, 1);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_rollout_ends_it() {
    let bench = Bench::new();
    bench.say(&moving());
    let story = async {
        sleep(Duration::from_secs(5)).await;
        bench.server.hand("ann").delete(&crate::bench::name(), "");
    };
    let ended = bench.run_while(&["get", "cart", "-w"], story).await;
    assert!(ended.code == 1 && ended.err.contains("is not there any more"), "{}", ended.err);
}
