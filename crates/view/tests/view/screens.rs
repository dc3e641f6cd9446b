//! Screens, as people see them.

use jiff::tz::TimeZone;
use leadsman_view::text::Columns;
use leadsman_view::{Charset, Line, Named, Style};
use serde_json::json;

use crate::fixtures::{Fixture, all, named};

fn plain(lines: &[Line]) -> String {
    lines.iter().map(|line| line.plain() + "\n").collect()
}

fn drawn(lines: &[Line], style: &Style) -> String {
    lines.iter().map(|line| line.drawn(style).replace('\u{1b}', "^[") + "\n").collect()
}

fn terminal(fixture: &Fixture, style: &Style) -> String {
    let Fixture { objects, now, .. } = fixture;
    let release = leadsman_view::release(objects, *now);
    let explanation = leadsman_view::explain(objects, None, *now);
    let screens = [leadsman_view::text::release(&release, style), leadsman_view::text::explain(&explanation, style)];
    screens.map(|lines| drawn(&lines, style)).join("\n------\n\n")
}

#[test]
fn every_situation_on_eighty_columns() {
    for fixture in all() {
        insta::assert_snapshot!(format!("terminal-{}", fixture.name), terminal(&fixture, &Style::default()));
    }
}

#[test]
fn some_situations_in_every_form() {
    for name in ["canary-pausing", "rolled-back-gate", "held-pods", "blue-green-waiting", "many-steps", "degraded"] {
        for width in [60, 120] {
            let style = Style { width, ..Style::default() };
            insta::assert_snapshot!(format!("width-{width}-{name}"), terminal(&named(name), &style));
        }
        let ascii = Style { charset: Charset::Ascii, ..Style::default() };
        insta::assert_snapshot!(format!("ascii-{name}"), terminal(&named(name), &ascii));
        let coloured = Style { colour: true, zone: TimeZone::fixed(jiff::tz::offset(2)), ..Style::default() };
        insta::assert_snapshot!(format!("colour-{name}"), terminal(&named(name), &coloured));
    }
}

#[test]
fn what_a_screen_has_no_room_for_is_told_and_shown_by_all() {
    let Fixture { mut objects, now, .. } = named("rolled-back-gate");
    let report = objects.reports.iter_mut().max_by_key(|report| report.spec.revision).unwrap();
    let gate = report.spec.gates.iter_mut().find(|gate| gate.decided).unwrap();
    gate.query = (0..9).map(|index| format!("sum(part_{index})")).collect::<Vec<_>>().join("\n") + "\n";
    let explanation = leadsman_view::explain(&objects, None, now);
    let screen = plain(&leadsman_view::text::explain(&explanation, &Style::default()));
    assert!(
        screen.contains("part_5") && !screen.contains("part_6") && screen.contains("3 more lines: --all"),
        "{screen}"
    );
    let all = plain(&leadsman_view::text::explain_all(&explanation, &Style::default()));
    assert!(all.contains("part_8") && !all.contains("--all"), "{all}");
    assert!(all.contains("is in force") && !screen.contains("is in force"), "what happened when: {all}");
}

#[test]
fn an_attempt_as_a_picture() {
    for name in ["rolled-back-gate", "rolled-back-crash", "healthy-promoted"] {
        let Fixture { objects, now, .. } = named(name);
        let picture = leadsman_view::svg::explain(&leadsman_view::explain(&objects, None, now), &Style::default());
        insta::assert_snapshot!(format!("picture-{name}"), picture.replace(leadsman_view::svg::STYLE, ""));
    }
}

#[test]
fn reports_for_merge_requests_and_ci() {
    for name in [
        "rolled-back-gate",
        "rolled-back-crash",
        "rolled-back-deadline",
        "canary-pausing",
        "healthy-promoted",
        "aborted",
        "invalid-invalidspec",
        "unseen-rollout",
    ] {
        let Fixture { objects, now, .. } = named(name);
        let (release, style) = (leadsman_view::release(&objects, now), Style::default());
        let parts = [
            leadsman_view::markdown::explain(&leadsman_view::explain(&objects, None, now), &style),
            leadsman_view::markdown::release(&release, &style),
            leadsman_view::junit::release(&release),
        ];
        insta::assert_snapshot!(format!("reports-{name}"), parts.join("\n------\n\n"));
    }
}

#[test]
fn what_scripts_read() {
    for name in ["canary-pausing", "rolled-back-gate", "unseen-rollout"] {
        let Fixture { objects, now, .. } = named(name);
        let release = leadsman_view::json::release(&leadsman_view::release(&objects, now));
        let explanation = leadsman_view::json::explain(&leadsman_view::explain(&objects, None, now));
        let text = [release, explanation].map(|value| serde_json::to_string_pretty(&value).unwrap()).join("\n");
        insta::assert_snapshot!(format!("json-{name}"), text);
    }
}

#[test]
fn a_list_of_every_situation() {
    let rollouts: Vec<_> = all()
        .into_iter()
        .map(|fixture| {
            let mut rollout = fixture.objects.rollout;
            rollout.metadata.name = Some(fixture.name);
            rollout
        })
        .collect();
    let now = named("canary-pausing").now;
    let rows = leadsman_view::list(&rollouts, now);
    for (form, width, columns) in [
        ("narrow", 60, Columns::default()),
        ("usual", 80, Columns::default()),
        ("wide", 160, Columns { namespace: true, wide: true }),
    ] {
        let style = Style { width, ..Style::default() };
        insta::assert_snapshot!(format!("list-{form}"), plain(&leadsman_view::text::list(&rows, now, &style, columns)));
    }
    insta::assert_snapshot!("list-json", serde_json::to_string_pretty(&leadsman_view::json::list(&rows[..3])).unwrap());
}

#[test]
fn a_list_as_teams_have_it() {
    let names = [
        ("cart", "canary-pausing"),
        ("search", "rolled-back-gate"),
        ("mail", "paused-until-promoted"),
        ("worker", "degraded"),
        ("checkout", "healthy-promoted"),
        ("basket", "held-data"),
    ];
    let team = names.map(|(name, situation)| {
        let mut rollout = named(situation).objects.rollout;
        rollout.metadata.name = Some(name.to_owned());
        rollout
    });
    let now = "2026-11-26T12:03:05Z".parse().unwrap();
    let rows = leadsman_view::list(&team, now);
    let wide = Columns { namespace: true, wide: true };
    let narrow = leadsman_view::text::list(&rows, now, &Style::default(), Columns::default());
    let wide = leadsman_view::text::list(&rows, now, &Style { width: 120, ..Style::default() }, wide);
    insta::assert_snapshot!("list-of-a-team", format!("{}\n{}", plain(&narrow), plain(&wide)));
}

#[test]
fn histories() {
    for name in
        ["history", "healthy-reverted", "healthy-no-reports", "rolled-back-report-gone", "superseded-next-moving"]
    {
        let Fixture { objects, now, .. } = named(name);
        let history = leadsman_view::history(&objects.rollout, &objects.reports, now);
        let text = plain(&leadsman_view::text::history(&history, &Style::default()));
        insta::assert_snapshot!(
            format!("history-{name}"),
            format!("{text}\n{}", leadsman_view::markdown::history(&history, &Style::default()))
        );
    }
}

#[test]
fn attempts_of_the_past_are_explained_by_their_reports_alone() {
    let Fixture { mut objects, now, .. } = named("history");
    objects.rollout.status.as_mut().unwrap().canary = None;
    let texts: Vec<_> = (1..=6)
        .map(|revision| {
            plain(&leadsman_view::text::explain(
                &leadsman_view::explain(&objects, Some(revision), now),
                &Style::default(),
            ))
        })
        .collect();
    insta::assert_snapshot!("attempts-of-the-past", texts.join("\n------\n\n"));
}

#[test]
fn a_difference_is_a_tree() {
    let template = |image: &str, ttl: &str| {
        json!({"metadata": {"annotations": {"checksum/config": ttl}}, "spec": {"containers": [
            {"name": "cart", "image": image, "env": [{"name": "CACHE_TTL", "value": ttl}, {"name": "A", "value": "1"}]},
        ]}})
    };
    let revision = |revision: i64, role: &str, image: &str, ttl: &str| Named {
        name: format!("revision {revision}"),
        commit: Some("91be0aa".to_owned()),
        role: role.to_owned(),
        template: template(image, ttl),
    };
    let (before, after) = (
        revision(4, "stable", "registry.example/cart:1.4.1", "30"),
        revision(5, "rolled back", "registry.example/cart:1.4.2", "0"),
    );
    let mut difference = leadsman_view::difference(&before, &after);
    difference
        .notes
        .push("ConfigMap shop/cart-config changed at 11:58 under the same name, so both revisions read it.".to_owned());
    let none = leadsman_view::difference(&before, &before);
    let texts = [&difference, &none].map(|it| plain(&leadsman_view::text::difference(it, &Style::default())));
    insta::assert_snapshot!(
        "difference",
        format!("{}\n{:#}\n", texts.join("\n"), leadsman_view::json::difference(&difference))
    );
}

#[test]
fn a_view_that_is_higher_than_its_terminal_keeps_its_head_and_what_follows() {
    let Fixture { mut objects, now, .. } = named("canary-pausing");
    let pod = objects.pods[0].clone();
    objects.pods.extend((0..60).map(|number| {
        let mut pod = pod.clone();
        pod.metadata.name = Some(format!("cart-6d4cf56db6-{number:05}"));
        pod
    }));
    let release = leadsman_view::release(&objects, now);
    let fitted = |height| leadsman_view::text::fitted(&release, &Style::default(), true, height);
    insta::assert_snapshot!("fitted-24", plain(&fitted(24)));
    insta::assert_snapshot!("fitted-14", plain(&fitted(14)));
    for height in 1..100 {
        assert!(fitted(height).len() <= height, "{height}");
        assert!(height < 12 || plain(&fitted(height)).contains("next"), "{height}");
    }
}
