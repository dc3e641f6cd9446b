//! What holds for every situation.

use jiff::Timestamp;
use leadsman_view::text::Columns;
use leadsman_view::{Charset, Explanation, History, Line, Release, Row, Style};
use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use crate::fixtures::{Fixture, all, named};

/// What there is to draw of a situation.
struct Models {
    release: Release,
    explanation: Explanation,
    rows: Vec<Row>,
    history: History,
    now: Timestamp,
}

fn models(Fixture { objects, now, .. }: &Fixture) -> Models {
    Models {
        release: leadsman_view::release(objects, *now),
        explanation: leadsman_view::explain(objects, None, *now),
        rows: leadsman_view::list(std::slice::from_ref(&objects.rollout), *now),
        history: leadsman_view::history(&objects.rollout, &objects.reports, *now),
        now: *now,
    }
}

fn screens(models: &Models, style: &Style) -> Vec<Line> {
    let Models { release, explanation, rows, history, now } = models;
    let mut lines = leadsman_view::text::joined(leadsman_view::text::sections(release, style, true));
    lines.extend(leadsman_view::text::explain(explanation, style));
    lines.extend(leadsman_view::text::list(rows, *now, style, Columns { namespace: true, wide: true }));
    lines.extend(leadsman_view::text::list(rows, *now, style, Columns::default()));
    lines.extend(leadsman_view::text::history(history, style));
    lines
}

#[test]
fn no_line_is_wider_than_asked() {
    let fixtures: Vec<_> = all().into_iter().map(|fixture| (models(&fixture), fixture.name)).collect();
    for charset in [Charset::Unicode, Charset::Ascii] {
        for width in 40..=160 {
            let style = Style { width, charset, ..Style::default() };
            for (models, name) in &fixtures {
                for line in screens(models, &style) {
                    let line = line.plain();
                    assert!(line.width() <= width, "{name} at {width}: {line}");
                    assert!(charset == Charset::Unicode || line.is_ascii(), "{name}: {line}");
                    assert!(!line.chars().any(char::is_control), "{name}: {line:?}");
                }
            }
        }
    }
}

#[test]
fn colours_change_no_text() {
    for fixture in all() {
        for line in screens(&models(&fixture), &Style { colour: true, ..Style::default() }) {
            let mut text = line.ansi();
            while let Some(begin) = text.find('\u{1b}') {
                let end = text[begin..].find('m').unwrap();
                text.replace_range(begin..=begin + end, "");
            }
            assert_eq!(text, line.plain());
        }
    }
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(fields) => fields.values().any(has_null),
        _ => false,
    }
}

#[test]
fn what_is_not_known_is_absent_from_json() {
    for Fixture { name, now, objects } in all() {
        let release = leadsman_view::release(&objects, now);
        let documents = [
            leadsman_view::json::release(&release),
            leadsman_view::json::list(&leadsman_view::list(std::slice::from_ref(&objects.rollout), now)),
            leadsman_view::json::history(&leadsman_view::history(&objects.rollout, &objects.reports, now)),
            leadsman_view::json::explain(&leadsman_view::explain(&objects, None, now)),
        ];
        for document in documents {
            assert!(!has_null(&document), "{name}: {document:#}");
            assert_eq!(document["apiVersion"], "view.leadsman.dev/v1alpha1");
            assert!(document["kind"].is_string());
        }
    }
}

#[test]
fn the_answer_says_which_metric_value_and_limit_decided() {
    let Fixture { mut objects, now, .. } = named("rolled-back-gate");
    objects.pods.clear();
    let explanation = leadsman_view::explain(&objects, None, now);
    let answer = explanation.answer.join(" ");
    for part in ["cart 1.4.2 was rolled back", "12:03:31Z", "errors", "6.9%", "≤ 1%", "Stable: 0.3%"] {
        assert!(answer.contains(part), "{answer}");
    }
    let lines = leadsman_view::text::explain(&explanation, &Style { width: 120, ..Style::default() });
    let text: String = lines.iter().map(|line| line.plain() + "\n").collect();
    for part in [
        "576 requests",
        "http_requests_total",
        "3f2c9e1",
        "CACHE_TTL 30 → 0",
        "1,149 requests reached 1.4.2, 43 failed (3.7%)",
        "git revert 3f2c9e1",
        "retry shop/cart",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let crash = named("rolled-back-crash");
    let lines =
        leadsman_view::text::explain(&leadsman_view::explain(&crash.objects, None, crash.now), &Style::default());
    let text: String = lines.iter().map(|line| line.plain() + "\n").collect();
    assert!(text.contains("panic: config: missing key SMTP_RELAY") && text.contains("nobody"), "{text}");
}

#[test]
fn no_command_is_offered_that_the_operator_would_refuse() {
    for Fixture { name, now, objects } in all() {
        let release = leadsman_view::release(&objects, now);
        let explanation = leadsman_view::explain(&objects, None, now);
        let may = |verb: &str| release.commands.iter().any(|command| command.verb == verb && command.refused.is_none());
        for way in release.you.iter().chain(&explanation.to_go_on) {
            let Some(typed) = &way.command else { continue };
            let Some(verb) = typed.strip_prefix("kubectl leadsman ").and_then(|rest| rest.split(' ').next()) else {
                continue;
            };
            let verb = if typed.ends_with("--full") { "promote-full" } else { verb };
            assert!(matches!(verb, "logs" | "explain" | "doctor") || may(verb), "{name}: {typed}");
        }
    }
}

/// Every gate with a long query, every pod with a long log: what a report of 64 KiB can hold, and more.
#[test]
fn markdown_of_the_largest_report_fits_into_a_comment() {
    let Fixture { mut objects, now, .. } = named("rolled-back-crash");
    let spec = &mut objects.reports[0].spec;
    let pod = spec.pods[0].clone();
    let long = "x".repeat(200);
    spec.pods = (0..40)
        .map(|_| {
            let mut pod = pod.clone();
            pod.log = vec![long.clone(); 40];
            pod
        })
        .collect();
    let fact = spec.facts[0].clone();
    spec.facts = vec![fact; 2_000];
    let markdown = leadsman_view::markdown::explain(&leadsman_view::explain(&objects, None, now), &Style::default());
    assert!(markdown.chars().count() < 65_536 && markdown.chars().count() > 30_000, "{}", markdown.chars().count());
    assert!(markdown.contains("left out"));
    assert_eq!(markdown.matches("```").count() % 2, 0);
}

#[test]
fn every_picture_stays_within_its_frame() {
    for Fixture { name, now, objects } in all() {
        let picture = leadsman_view::svg::explain(&leadsman_view::explain(&objects, None, now), &Style::default());
        assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"), "{name}");
        // Texts apart; what is no number is in no interval.
        let elements = picture.split('<').map(|element| element.split('>').next().unwrap_or_default());
        for number in elements.flat_map(|element| element.split(['"', ' ', 'M', 'L', 'H', 'V', 'Z'])) {
            let number = number.parse::<f64>();
            assert!(number.as_ref().map_or(true, |it| (-90.0..=960.0).contains(it)), "{name}: {number:?}");
        }
    }
}

#[test]
fn an_attempt_is_over_when_the_rollout_says_so_even_if_its_report_lags() {
    let Fixture { mut objects, now, .. } = named("rolled-back-gate");
    let report = objects.reports.iter_mut().max_by_key(|report| report.spec.revision).unwrap();
    report.spec.outcome = "Progressing".to_owned();
    (report.spec.ended_at, report.spec.reason) = (None, String::new());
    let revision = report.spec.revision;
    let explanation = leadsman_view::explain(&objects, Some(revision), now);
    assert!(explanation.answer[0].contains("was rolled back"), "{:?}", explanation.answer);
}
