//! What the panel shows: what clients are answered, and the Rollout as `kubectl leadsman get` draws it; and the one line of it
//! that a log gets.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use leadsman_api::{Rollout, RolloutStatus};
use leadsman_view::text::fitted;
use leadsman_view::{Objects, Style, release};

use super::story::{Answers, Story, Version};

const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";
const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const PLAIN: &str = "\x1b[0m";
/// By version, as in the picture.
const VERSIONS: [&str; 3] = ["\x1b[37m", "\x1b[94m", "\x1b[38;5;208m"];
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Shares and success rates are those of the last seconds.
const RECENT: usize = 3;
/// What stands before the timelines.
const TABLE: usize = 44;
/// Lines that the Rollout has, whatever there is to say of it: a panel that grows and shrinks makes the lines above it jump.
const ROLLOUT: usize = 16;
/// Characters of a message in a line of a log.
const LONGEST: usize = 120;

/// All that there is to show at a moment.
#[derive(Debug)]
pub(super) struct Now<'a> {
    /// What is being released.
    pub title: &'a str,
    /// Seconds since the story began.
    pub at: f64,
    /// The same on a clock.
    pub clock: Timestamp,
    /// The Rollout, once it was seen.
    pub rollout: Option<&'a Rollout>,
    /// What clients saw.
    pub story: &'a Story,
    /// By version, in the order of [`Story::versions`].
    pub revisions: &'a [String],
    /// What a version is called until it is promoted.
    pub trial: &'a str,
    /// Requests, those that a release failed itself, and those that nobody should have lost.
    pub requests: (u64, u64, u64),
}

impl Now<'_> {
    /// The panel; always of the same number of lines.
    pub(super) fn panel(&self, width: usize) -> Vec<String> {
        // The last column stays free: clearing to the end of a full line would take its last character.
        let width = width.saturating_sub(1);
        let rule = "─".repeat(width.saturating_sub(self.title.chars().count() + 11));
        let mut lines = vec![format!("{BOLD}── {}{PLAIN} {DIM}{rule}{PLAIN} {:>4.0} s", self.title, self.at)];
        lines.push(format!("{DIM}{:<15}{:>8}{:>10}{:>7}   share over time{PLAIN}", "", "share", "success", "pods"));
        lines.extend((0..self.story.versions.len()).map(|version| self.row(version, width)));
        lines.push(self.requests());
        lines.push(String::new());
        let first = lines.len();
        lines.extend(self.rollout.into_iter().flat_map(|rollout| self.drawn(rollout, width)));
        lines.resize(first + ROLLOUT, String::new());
        lines
    }

    /// As the plugin draws it.
    fn drawn(&self, rollout: &Rollout, width: usize) -> Vec<String> {
        let style = Style { width, colour: true, zone: TimeZone::system(), ..Style::default() };
        let release = release(&Objects::of(rollout.clone()), self.clock);
        fitted(&release, &style, false, ROLLOUT).iter().map(|line| line.drawn(&style)).collect()
    }

    fn status(&self) -> Option<&RolloutStatus> {
        self.rollout?.status.as_ref()
    }

    /// What has changed since the last line of a log is for the caller to know.
    pub(super) fn line(&self) -> String {
        let recent = self.story.last_seconds(RECENT);
        let seen = self.canary().and_then(|version| recent.share(version));
        let versions = self.story.versions.iter().enumerate();
        let rate = |(place, version): (usize, &Version)| {
            Some(format!("{} {}", version.name, percent(recent.of(place).success()?)))
        };
        let rates: Vec<_> = versions.filter_map(rate).collect();
        let (requests, _, lost) = self.requests;
        let (weight, in_force) = self.weights();
        format!(
            "{}, step {}, weight {}% ({}% in force), seen {}, success {}, {} requests, {lost} lost: {}",
            self.phase(),
            self.step(),
            weight,
            in_force,
            seen.map_or_else(|| "-".to_owned(), percent),
            rates.join(" "),
            grouped(requests),
            self.status().map(|status| shortened(&status.message)).unwrap_or_default(),
        )
    }

    fn row(&self, version: usize, width: usize) -> String {
        let recent = self.story.last_seconds(RECENT);
        let colour = VERSIONS.get(version).copied().unwrap_or_default();
        let name = self.story.versions.get(version).map_or("", |it| it.name.as_str());
        let is = |hash: &str| self.revisions.get(version).is_some_and(|it| it == hash);
        let status = self.status();
        let (stable, canary) = (status.and_then(|it| it.stable.as_ref()), status.and_then(|it| it.canary.as_ref()));
        let (role, pods) = match (stable, canary) {
            (Some(stable), _) if is(&stable.hash) => ("stable", Some((stable.ready_replicas, stable.replicas))),
            (_, Some(canary)) if is(&canary.hash) => (self.trial, Some((canary.ready_replicas, canary.replicas))),
            _ => ("", None),
        };
        let success = recent.of(version).success();
        let share = recent.share(version).filter(|share| *share > 0.0 || !role.is_empty());
        let rate_colour = match success {
            Some(rate) if rate < self.story.limit.unwrap_or_default() => RED,
            Some(_) => GREEN,
            None => DIM,
        };
        format!(
            "  {colour}{BOLD}{name:<4}{PLAIN}{role:<9}{:>8}{rate_colour}{:>10}{PLAIN}{:>7}   {}",
            share.map_or_else(String::new, percent),
            success.map_or_else(String::new, percent),
            pods.map_or_else(String::new, |(ready, wanted)| format!("{ready}/{wanted}")),
            self.timeline(version, colour, width.saturating_sub(TABLE)),
        )
    }

    /// A column for each second, or for several where there are more than columns; red where a version fails.
    fn timeline(&self, version: usize, colour: &str, width: usize) -> String {
        let each = self.story.seconds.len().div_ceil(width.max(1)).max(1);
        let mut line = String::new();
        let mut current = "";
        for part in self.story.seconds.chunks(each) {
            let total: u32 = part.iter().map(super::story::Second::total).sum();
            let own = part.iter().fold(Answers::default(), |sum, second| sum.and(second.of(version)));
            let fails = own.success().is_some_and(|rate| rate < self.story.limit.unwrap_or_default());
            let wanted = if fails { RED } else { colour };
            if wanted != current {
                line.push_str(wanted);
                current = wanted;
            }
            line.push(bar(own.all, total));
        }
        line + PLAIN
    }

    fn requests(&self) -> String {
        let (all, own, lost) = self.requests;
        let colour = if lost == 0 { GREEN } else { RED };
        let own = if own == 0 { String::new() } else { format!("{} failed in the release itself, ", grouped(own)) };
        format!("{DIM}  requests   {PLAIN}{}, {own}{colour}{} lost{PLAIN}", grouped(all), grouped(lost))
    }

    fn canary(&self) -> Option<usize> {
        let canary = self.status()?.canary.as_ref()?;
        self.revisions.iter().position(|hash| *hash == canary.hash)
    }

    fn phase(&self) -> String {
        self.status().and_then(|status| status.phase).map_or_else(|| "-".to_owned(), |phase| format!("{phase:?}"))
    }

    fn step(&self) -> &str {
        self.status().and_then(|status| status.step.as_ref()).map_or("-", |step| &step.display)
    }

    fn weights(&self) -> (i32, i32) {
        self.status()
            .and_then(|status| status.weight.as_ref())
            .map_or((0, 0), |weight| (weight.desired, weight.in_force))
    }
}

/// A block as high as the part is large; what is there at all is seen.
fn bar(part: u32, total: u32) -> char {
    let height = (part * 8 + total / 2).checked_div(total).unwrap_or_default().max(u32::from(part > 0));
    BARS.get(height as usize).copied().unwrap_or('█')
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

/// 12,345.
pub(super) fn grouped(number: u64) -> String {
    leadsman_core::text::grouped(&number.to_string())
}

/// Enough of a message for a line of a log: what decides is told in full elsewhere.
fn shortened(message: &str) -> String {
    let mut short: String = message.chars().take(LONGEST).collect();
    if short.len() < message.len() {
        short.push('…');
    }
    short
}

/// Words in lines of at most this many characters; a longer word has a line of its own.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::story::{Second, tests::versions};
    use super::*;

    fn rollout() -> Rollout {
        let status = json!({
            "phase": "Progressing",
            "message": "pausing, until 12:03:10Z",
            "stable": {"hash": "b", "revision": 2, "replicas": 4, "readyReplicas": 4},
            "canary": {"hash": "c", "revision": 3, "replicas": 1, "readyReplicas": 1},
            "step": {"index": 1, "of": 4, "display": "2/4"},
            "weight": {"desired": 50, "written": 50, "inForce": 10},
            "analysis": [{"metric": "success-rate", "verdict": "Failure", "value": "0.7", "limit": "value >= 0.95", "measurements": 1, "failed": 1}],
        });
        serde_json::from_value(json!({
            "apiVersion": "leadsman.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "podinfo", "namespace": "demo"},
            "spec": {"selector": {"matchLabels": {"app": "podinfo"}}, "template": {}, "strategy": {"canary": {"steps": [
                {"setWeight": 10}, {"pause": {"duration": "10s"}}, {"setWeight": 50}, {"pause": {"duration": "10s"}},
            ]}}},
            "status": status,
        }))
        .unwrap()
    }

    fn plain(line: &str) -> String {
        let mut plain = String::new();
        let mut parts = line.split('\x1b');
        plain.push_str(parts.next().unwrap());
        parts.for_each(|part| plain.push_str(part.split_once('m').unwrap().1));
        plain
    }

    #[test]
    fn the_panel_says_where_the_release_stands_and_who_answers() {
        let answers = |all, failed| Answers { all, failed };
        let second = Second { answers: vec![answers(0, 0), answers(180, 0), answers(20, 6)] };
        let story = Story { versions: versions(), seconds: vec![second; 5], limit: Some(0.95), ..Story::default() };
        let revisions = ["a", "b", "c"].map(str::to_owned);
        let now = Now {
            title: "release 2 of 2: v3",
            at: 84.4,
            clock: "2026-11-26T12:03:00Z".parse().unwrap(),
            rollout: Some(&rollout()),
            story: &story,
            revisions: &revisions,
            trial: "canary",
            requests: (12345, 30, 0),
        };
        let panel: Vec<_> = now.panel(100).iter().map(|line| plain(line)).collect();
        let text = panel.join("\n");
        for words in [
            "v2  stable      90.0%    100.0%    4/4   ▇▇▇▇▇",
            "v3  canary      10.0%     70.0%    1/1   ▁▁▁▁▁",
            "12,345, 30 failed in the release itself, 0 lost",
            "demo/podinfo",
            "Progressing  step 2/4",
            "success-rate",
            "≥ 0.95",
        ] {
            assert!(text.contains(words), "{words}\n{text}");
        }
        assert_eq!(panel[0].chars().count(), 99);
        assert_eq!(panel.len(), Now { rollout: None, ..now }.panel(100).len());
        assert!(now.line().contains("seen 10.0%"), "{}", now.line());
    }

    #[test]
    fn long_messages_are_wrapped_between_words() {
        assert_eq!(wrapped("one two three four", 9), ["one two", "three", "four"]);
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
