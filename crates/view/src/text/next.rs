//! What is waited for, what follows by itself, where the users are, and what a person can do.

use leadsman_api::Phase;

use crate::instants::{said, seconds_between};
use crate::line::Meaning;
use crate::model::{Next, Release, Waiting};
use crate::numbers::duration;
use crate::text::page::{Page, span};
use crate::text::release::label;
use crate::{causes, commands, phases};

/// What follows, and what there is to do.
pub fn draw(page: &mut Page<'_>, release: &Release) {
    let is_moving = phases::is_moving(release.phase);
    match (release.phase, &release.waiting) {
        (None, _) => unknown(page, release),
        (Some(Phase::RolledBack), _) => {}
        (Some(Phase::Healthy), _) => healthy(page, release),
        (Some(Phase::Degraded | Phase::Invalid), None) => {
            page.prose(&label("!", "now", Meaning::Waiting), &release.message, Meaning::Plain);
        }
        (Some(phase), Some(waiting)) => waits(page, waiting, release, phase),
        (Some(_), None) if !release.message.is_empty() => {
            page.prose(&label("", "now", Meaning::Moving), &release.message, Meaning::Plain);
        }
        (Some(_), None) => {}
    }
    if let Some(why) = &release.why {
        let text = format!("{} at {}: {}", why.reason, said(why.at, release.at), why.message);
        page.prose(&label("✗", "why", Meaning::Bad), &text, Meaning::Plain);
        let more = commands::typed("explain", &release.namespace, &release.name);
        page.line(vec![span("         ", Meaning::Plain), span(more, Meaning::Strong)]);
    }
    let is_told = is_moving || matches!(release.phase, Some(Phase::RolledBack | Phase::Degraded));
    if is_told && !release.users.is_empty() {
        page.prose(&label("", "users", Meaning::Past), &release.users, Meaning::Plain);
    }
    if let Some(next) = release.next.as_ref().filter(|_| is_moving) {
        follows(page, next, release);
    }
    you(page, release);
}

fn unknown(page: &mut Page<'_>, release: &Release) {
    if release.is_seen {
        page.prose(&label("!", "now", Meaning::Waiting), &release.message, Meaning::Plain);
        let words = "the phase is a word of a later version of the operator: a newer plugin knows it";
        page.prose(&label("", "", Meaning::Past), words, Meaning::Past);
        return;
    }
    page.prose(
        &label("!", "now", Meaning::Waiting),
        "no operator has seen this Rollout yet: it has no status",
        Meaning::Plain,
    );
    page.line(vec![label("", "you", Meaning::Past), span("kubectl leadsman doctor", Meaning::Strong)]);
}

/// What became of the last attempt.
fn healthy(page: &mut Page<'_>, release: &Release) {
    page.prose(&label("", "now", Meaning::Good), &release.message, Meaning::Plain);
    let (Some(outcome), Some(ended)) = (&release.outcome, release.ended_at) else { return };
    let took =
        release.began_at.map(|began| format!(", in {}", duration(seconds_between(began, ended)))).unwrap_or_default();
    let attempt = release.attempt.map(|attempt| format!("revision {attempt}: ")).unwrap_or_default();
    page.prose(
        &label("", "last", Meaning::Past),
        &format!("{attempt}{outcome} at {}{took}", said(ended, release.at)),
        Meaning::Plain,
    );
}

fn waits(page: &mut Page<'_>, waiting: &Waiting, release: &Release, phase: Phase) {
    // What runs as it was declared to is told by what follows.
    if !waiting.is_held && release.next.is_some() {
        return;
    }
    let since = waiting.since.filter(|_| waiting.is_held).map(|at| format!("; since {}", said(at, release.at)));
    let until = waiting.deadline.filter(|_| waiting.is_held && release.next.is_none()).map(|at| {
        let ends = if phase == Phase::RollingBack { "" } else { ", then rolled back" };
        format!("; until {}{ends}", said(at, release.at))
    });
    let text = [Some(commands::without_verb(&waiting.what).to_owned()), since, until]
        .into_iter()
        .flatten()
        .collect::<String>();
    let (glyph, meaning) = match (causes::is_for_a_person(&waiting.reason), waiting.is_held) {
        (true, _) => ("‖", Meaning::Waiting),
        (false, true) => ("!", Meaning::Waiting),
        (false, false) => ("", Meaning::Moving),
    };
    let word = if phase == Phase::Invalid { "wrong" } else { "waits" };
    page.prose(&label(glyph, word, meaning), &text, Meaning::Plain);
    if let Some(words) = waiting.words.as_ref().filter(|words| !waiting.what.contains(words.as_str())) {
        page.prose(&span("         ", Meaning::Plain), words, Meaning::Bad);
    }
}

fn follows(page: &mut Page<'_>, next: &Next, release: &Release) {
    let when = next.at.map(|at| match seconds_between(release.at, at) {
        0 => "now: ".to_owned(),
        seconds => format!("{}, in {}: ", said(at, release.at), duration(seconds)),
    });
    page.prose(
        &label("", "next", Meaning::Moving),
        &format!("{}{}", when.unwrap_or_default(), next.what),
        Meaning::Plain,
    );
}

/// Each way on a line of its own, so that a command can be copied.
fn you(page: &mut Page<'_>, release: &Release) {
    for (index, way) in release.you.iter().enumerate() {
        let begin = label("", if index == 0 { "you" } else { "" }, Meaning::Past);
        let what = format!("{}: ", way.what);
        match &way.command {
            None => page.prose(&begin, &way.what, Meaning::Plain),
            Some(command) if page.has_room(&[&begin.text, &what, command]) => {
                page.line(vec![begin, span(what, Meaning::Plain), span(command, Meaning::Strong)]);
            }
            Some(command) => {
                page.line(vec![begin, span(what.trim_end(), Meaning::Plain)]);
                page.line(vec![label("", "", Meaning::Past), span(format!("  {command}"), Meaning::Strong)]);
            }
        }
    }
}
