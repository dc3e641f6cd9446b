//! `status`: each exit code by its cause, and what a pipeline sees of it.

use std::time::Duration;

use leadsman_testkit::{Rule, Verb, kind};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::bench::{Bench, condition, healthy, moving, promoted, revision, rolled_back};

const PINNED: [&str; 4] = ["status", "cart", "--image", "cart:v2"];

fn before() -> Bench {
    let bench = Bench::new();
    bench.say(&healthy());
    bench
}

/// Git declares v2 after a while, and after another one the operator has come to this.
async fn story(bench: &Bench, end: &Value) {
    sleep(Duration::from_secs(30)).await;
    bench.declare("v2");
    sleep(Duration::from_secs(2)).await;
    bench.say(&moving());
    sleep(Duration::from_secs(200)).await;
    bench.say(end);
}

fn waiting() -> Value {
    let mut status = moving();
    status["phase"] = json!("Paused");
    status["waiting"] = json!({"reason": "Person", "for": "until promoted"});
    status
}

fn stalled() -> Value {
    let mut status = moving();
    status["conditions"] = json!([condition("Stalled", "RouteNotFound")]);
    status
}

#[tokio::test(start_paused = true)]
async fn each_end_has_its_code() {
    for (end, flags, code, word) in [
        (promoted(), &[][..], 0, "PROMOTED"),
        (rolled_back(), &[], 3, "ROLLED BACK"),
        (rolled_back(), &["--for", "rolledback"], 0, "ROLLED BACK"),
        (stalled(), &[], 4, "STALLED"),
        (waiting(), &["--exit-on-pause"], 7, "PAUSED"),
        (waiting(), &["--timeout", "5m"], 5, "TIME IS UP"),
    ] {
        let bench = before();
        let words = [&PINNED[..], flags].concat();
        let ended = bench.run_while(&words, story(&bench, &end)).await;
        assert_eq!(ended.code, code, "{word}: {} {}", ended.out, ended.err);
        assert!(ended.out.lines().last().unwrap().contains(word), "{}", ended.out);
        assert!(!ended.out.contains('\u{1b}'));
    }
}

#[tokio::test(start_paused = true)]
async fn a_newer_template_ends_with_6() {
    let bench = before();
    let story = async {
        story(&bench, &moving()).await;
        bench.declare("v3");
    };
    let ended = bench.run_while(&PINNED, story).await;
    assert_eq!(ended.code, 6, "{}", ended.out);
}

#[tokio::test(start_paused = true)]
async fn what_never_is_declared_ends_with_5_in_time() {
    let bench = before();
    let began = tokio::time::Instant::now();
    let ended = bench.run(&["status", "cart", "--image", "cart:v9", "--appear", "3m"]).await;
    assert_eq!((ended.code, began.elapsed().as_secs()), (5, 180));
    assert!(ended.out.contains("waiting until cart:v9 is declared (now app=cart:v1)"), "{}", ended.out);
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_is_still_to_come_is_waited_for_where_it_was_pinned() {
    let mut bench = Bench::new();
    bench.server = leadsman_testkit::ApiServer::new();
    assert_eq!(bench.run(&["status", "cart"]).await.code, 1);
    let story = async {
        sleep(Duration::from_secs(20)).await;
        bench.server.hand("git").create(&crate::bench::application().version("v2").rollout()).unwrap();
        let status = json!({"phase": "Healthy", "stable": revision("v2", 1),
            "conditions": [condition("Promoted", "DeclaredIsStable")]});
        bench.say(&status);
    };
    let ended = bench.run_while(&PINNED, story).await;
    assert_eq!(ended.code, 0, "{} {}", ended.out, ended.err);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_rollout_ends_with_1() {
    let bench = before();
    bench.declare("v2");
    bench.say(&moving());
    let story = async {
        sleep(Duration::from_secs(5)).await;
        bench.server.hand("ann").delete(&crate::bench::name(), "");
    };
    let ended = bench.run_while(&PINNED, story).await;
    assert_eq!((ended.code, ended.err.lines().next()), (1, Some("error: there is no Rollout shop/cart")));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_polled_and_a_broken_watch_is_taken_up_again() {
    let bench = before();
    bench.declare("v2");
    bench.say(&moving());
    let story = async {
        sleep(Duration::from_mins(10)).await;
        bench.server.inject(Rule::refusing(503, "ServiceUnavailable", "later").verbs(&[Verb::Watch]).times(2));
        bench.server.close_watches(&kind::ROLLOUT);
        sleep(Duration::from_mins(10)).await;
        bench.say(&promoted());
    };
    let ended = bench.run_while(&PINNED, story).await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.err.contains("connection lost, trying again"), "{}", ended.err);
    // The first look, the reports, and the list of each watch that had to begin anew.
    assert!(bench.asked() <= 6, "{:#?}", bench.requests());
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_missing_ends_it() {
    let bench = before();
    bench.server.inject(Rule::refusing(403, "Forbidden", "no watching").verbs(&[Verb::List, Verb::Watch]));
    let ended = bench.run(&PINNED).await;
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("no watching"), "{}", ended.err);
}

#[tokio::test(start_paused = true)]
async fn a_silent_release_still_gives_a_line_a_minute() {
    let bench = before();
    bench.declare("v2");
    let mut status = moving();
    status["analysis"] = json!([{"metric": "errors", "value": "0.4%", "limit": "value < 0.05", "samples": 518}]);
    bench.say(&status);
    let story = async {
        sleep(Duration::from_secs(310)).await;
        bench.say(&promoted());
    };
    let ended = bench.run_while(&PINNED, story).await;
    let still: Vec<_> = ended.out.lines().filter(|line| line.contains("still")).collect();
    assert_eq!(still.len(), 5, "{}", ended.out);
    assert!(still[0].contains("errors 0.4% of 518 (value < 0.05)"), "{}", still[0]);
}

#[tokio::test(start_paused = true)]
async fn json_is_one_object_a_line_and_quiet_is_the_last_line_alone() {
    let bench = before();
    let words = [&PINNED[..], &["-o", "json"]].concat();
    let ended = bench.run_while(&words, story(&bench, &rolled_back())).await;
    let lines: Vec<Value> = ended.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.first().unwrap()["stage"], json!("waiting"));
    assert_eq!((&lines.last().unwrap()["exit"], &lines.last().unwrap()["revision"]), (&json!(3), &json!(2)));

    let bench = before();
    let quiet = bench.run_while(&["wait", "cart", "--image", "cart:v2"], story(&bench, &promoted())).await;
    assert_eq!((quiet.code, quiet.out.lines().count()), (0, 1), "{}", quiet.out);
}

#[tokio::test(start_paused = true)]
async fn files_and_what_github_shows_are_written_at_the_end() {
    let folder = std::env::temp_dir().join(format!("leadsman-cli-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let (report, junit, summary) = (file("release.md"), file("gates.xml"), file("summary.md"));
    let mut bench = before();
    bench.environment.insert("GITHUB_STEP_SUMMARY".to_owned(), summary.clone());
    let words = [&PINNED[..], &["--report", &report, "--junit", &junit]].concat();
    let ended = bench.run_while(&words, story(&bench, &rolled_back())).await;
    assert_eq!(ended.code, 3, "{}", ended.err);
    assert!(ended.err.contains("::error title=cart rolled back::AnalysisFailed: errors 6.94%25"), "{}", ended.err);
    let written = [&report, &junit, &summary].map(|file| std::fs::read_to_string(file).unwrap());
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(written.iter().all(|text| !text.trim().is_empty()), "{written:?}");
}

#[tokio::test(start_paused = true)]
async fn without_watching_it_says_how_it_stands() {
    let bench = before();
    bench.declare("v2");
    bench.say(&rolled_back());
    let ended = bench.run(&["status", "cart", "--watch=false"]).await;
    assert_eq!((ended.code, ended.out.lines().count(), bench.requests().len()), (0, 1, 1));
}
