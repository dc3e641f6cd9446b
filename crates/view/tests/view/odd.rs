//! Objects that nobody would write: nothing panics, and every line stays within its width.

use leadsman_view::text::Columns;
use leadsman_view::{Charset, Style};
use proptest::prelude::*;
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use crate::fixtures::gathered;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("kubectl annotate".to_owned()),
        Just("\u{1b}[2J12:00:00Z\n\u{202e}".to_owned()),
        Just("日本語 ".repeat(40)),
        Just("99999999999999999999%".to_owned()),
        Just("1e308%".to_owned()),
        "\\PC{0,60}",
    ]
}

fn number() -> impl Strategy<Value = i32> {
    prop_oneof![Just(i32::MIN), Just(-1), Just(0), Just(100), Just(i32::MAX), any::<i32>()]
}

fn phase() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "Healthy",
        "Progressing",
        "Paused",
        "RollingBack",
        "RolledBack",
        "Degraded",
        "Invalid",
        "Odd",
        "",
    ])
}

prop_compose! {
    fn status()(phase in phase(), texts in prop::collection::vec(text(), 12), n in prop::collection::vec(number(), 8), far in any::<bool>()) -> Value {
        let at = if far { "9999-12-30T22:00:00Z" } else { "-009999-01-03T00:00:00Z" };
        let revision = |hash: &str| json!({"hash": hash, "revision": n[0], "commit": texts[0], "images": [texts[1], texts[2]], "replicas": n[1], "readyReplicas": n[2]});
        let recent: Vec<_> = texts.iter().map(|value| json!({"value": value, "verdict": "Success", "at": at})).collect();
        json!({
            "observedGeneration": n[3], "phase": phase, "message": texts[3], "replicas": n[4],
            "stable": revision("a"), "canary": revision(&texts[4]),
            "step": {"index": n[5], "of": n[6], "display": texts[5], "startedAt": at},
            "weight": {"desired": n[5], "written": n[6], "inForce": n[7], "seen": texts[6]},
            "waiting": {"reason": texts[7], "for": texts[3], "since": at, "deadline": at, "words": texts[8]},
            "next": {"at": at, "what": texts[9]},
            "commands": [{"verb": texts[10], "hash": texts[11]}, {"verb": "promote", "hash": "a"}],
            "rejected": [{"hash": texts[4], "revision": n[0], "reason": texts[7], "message": texts[3], "at": at, "query": texts[9]}],
            "analysis": [{"metric": texts[8], "verdict": texts[7], "value": texts[6], "measurements": n[1], "failed": n[2], "limit": texts[9], "samples": n[3], "message": texts[10], "recent": recent}],
        })
    }
}

fn objects(status: &Value) -> Vec<Value> {
    let spec = json!({
        "selector": {"matchLabels": {"app": "a"}}, "template": {},
        "strategy": {"canary": {"steps": [{"setWeight": 5}, {"pause": {}}, {}, {"analysis": {}}, {"setCanaryScale": {}}]}},
    });
    let revision = &status["canary"];
    let gate = json!({"metric": status["message"], "decided": true, "value": status["weight"]["seen"], "limit": status["message"], "verdict": "Failure", "samples": status["replicas"], "query": status["message"]});
    let at = &status["next"]["at"];
    let report = json!({
        "apiVersion": "leadsman.dev/v1alpha1", "kind": "RolloutReport", "metadata": {"name": "r"},
        "spec": {
            "rollout": "", "revision": revision["revision"], "outcome": status["waiting"]["reason"], "reason": status["message"], "beganAt": at, "endedAt": at,
            "canary": revision, "stable": revision, "mostWeight": status["replicas"], "gates": [gate],
            "requests": {"total": status["replicas"], "failed": i64::MIN, "metric": ""},
            "wayBack": {"decided": at, "written": "1970-01-01T00:00:00Z", "inForce": at},
            "facts": [{"index": 0, "at": at, "kind": "", "words": status["message"], "weight": status["replicas"], "step": status["step"]["index"]}],
            "pods": [{"pod": status["message"], "at": at, "words": status["message"], "log": [status["message"]], "same": [status["message"]]}],
        },
    });
    let rollout = json!({"apiVersion": "leadsman.dev/v1alpha1", "kind": "Rollout", "metadata": {}, "spec": spec, "status": status});
    vec![rollout, report]
}

proptest! {
    #[test]
    fn nothing_odd_makes_a_view_panic_or_a_line_too_wide(status in status(), width in 1..130_usize, ascii in any::<bool>(), attempt in prop::option::of(any::<i64>())) {
        let objects = gathered(&objects(&status));
        let now = "2026-11-26T12:00:00Z".parse().unwrap();
        let style = Style { width, charset: if ascii { Charset::Ascii } else { Charset::Unicode }, ..Style::default() };
        let release = leadsman_view::release(&objects, now);
        let rows = leadsman_view::list(std::slice::from_ref(&objects.rollout), now);
        let history = leadsman_view::history(&objects.rollout, &objects.reports, now);
        let mut lines = leadsman_view::text::release(&release, &style);
        lines.extend(leadsman_view::text::fitted(&release, &style, true, width / 4));
        lines.extend(leadsman_view::text::list(&rows, now, &style, Columns { namespace: true, wide: ascii }));
        lines.extend(leadsman_view::text::history(&history, &style));
        for attempt in [None, attempt, release.attempt] {
            let explanation = leadsman_view::explain(&objects, attempt, now);
            lines.extend(leadsman_view::text::explain(&explanation, &style));
            prop_assert!(leadsman_view::markdown::explain(&explanation, &style).chars().count() < 65_536);
            prop_assert!(!leadsman_view::json::explain(&explanation).to_string().contains("null"));
        }
        for line in lines {
            let line = line.plain();
            prop_assert!(line.width() <= width, "{width}: {line:?}");
            prop_assert!(!line.chars().any(char::is_control), "{line:?}");
        }
        leadsman_view::markdown::release(&release, &style);
        leadsman_view::markdown::history(&history, &style);
        leadsman_view::junit::release(&release);
    }
}
