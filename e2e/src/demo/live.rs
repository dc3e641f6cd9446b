//! The releases as they go: what the Rollout's status says, what its events say, and what clients are answered.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt as _;
use kube::runtime::{WatchStreamExt as _, watcher};
use leadsman_api::Rollout;
use leadsman_view::svg::marks::Tone;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout_at};

use super::manifests::{Commit, limit};
use super::screen::Screen;
use super::story::{Decision, Story, Version};
use super::strategy::Strategy;
use super::view::{Now, wrapped};
use crate::account::account;
use crate::audit::seconds;
use crate::load::Load;
use crate::namespace::Namespace;
use crate::routes::APP;

/// How often clients' records are read and the panel is drawn.
const TICK: Duration = Duration::from_millis(500);

/// What watches tell.
enum News {
    Status(Box<Rollout>),
    Event { at: Timestamp, reason: String, note: String },
}

/// Everything that is shown, and how.
pub(super) struct Live<'a> {
    namespace: &'a Namespace,
    strategy: Strategy,
    load: Load,
    /// Where it is shown.
    pub screen: Screen,
    news: UnboundedReceiver<News>,
    _watches: JoinSet<()>,
    start: f64,
    commits: Vec<Commit>,
    versions: Vec<Version>,
    revisions: Vec<String>,
    title: String,
    rollout: Option<Rollout>,
    decisions: Vec<Decision>,
    told: String,
}

impl<'a> Live<'a> {
    /// From now on. The versions are those that will be declared, in their order.
    pub(super) async fn start(
        (namespace, strategy): (&'a Namespace, Strategy),
        screen: Screen,
        mut load: Load,
        commits: &[Commit],
        versions: Vec<Version>,
    ) -> Result<Self> {
        load.until_answered(1).await?;
        let start = load.records().first().context("no record")?.sent;
        let (sender, news) = unbounded_channel();
        let mut watches = JoinSet::new();
        watches.spawn(watch_rollout(namespace.api(), sender.clone()));
        watches.spawn(watch_events(namespace.api(), sender, start));
        let revisions = commits.iter().map(|commit| commit.revision(strategy)).collect::<Result<_>>()?;
        Ok(Self {
            namespace,
            strategy,
            load,
            screen,
            news,
            _watches: watches,
            start,
            commits: commits.to_vec(),
            versions,
            revisions,
            title: "before the first release".to_owned(),
            rollout: None,
            decisions: Vec::new(),
            told: String::new(),
        })
    }

    /// Declares a version, and shows what follows until the Rollout is as wanted. Gives it, and the seconds it took.
    pub(super) async fn release(
        &mut self,
        title: &str,
        commit: &Commit,
        limit: Duration,
        over: impl Fn(&Rollout) -> bool,
    ) -> Result<(Rollout, f64)> {
        title.clone_into(&mut self.title);
        let began = seconds(Timestamp::now());
        let label = format!("{} declared", commit.version);
        self.tell(began, &label, "", Tone::Plain);
        self.decisions.push(Decision { at: began - self.start, label, tone: Tone::Plain });
        self.namespace.apply(&commit.rollout(self.strategy, &self.namespace.name)?).await?;
        let end = Instant::now() + limit;
        loop {
            let Ok(changed) = timeout_at(end, self.next()).await else {
                let last = self.rollout.as_ref().map(crate::status::message).unwrap_or_default();
                bail!("{title}: not over after {} s; last seen: {last}", limit.as_secs());
            };
            changed?;
            if let Some(rollout) = self.rollout.as_ref().filter(|rollout| over(rollout)) {
                return Ok((rollout.clone(), seconds(Timestamp::now()) - began));
            }
        }
    }

    /// Goes on showing for a while.
    pub(super) async fn linger(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while let Ok(shown) = timeout_at(end, self.next()).await {
            shown?;
        }
        Ok(())
    }

    /// Ends the load; gives it, and the story but for caption and what was written.
    pub(super) async fn finish(mut self) -> Result<(Load, Story, Screen, f64)> {
        self.load.finish().await?;
        self.draw();
        let mut story = self.story();
        self.decisions.sort_by(|a, b| a.at.total_cmp(&b.at));
        story.decisions = self.decisions;
        self.screen.keep_panel();
        Ok((self.load, story, self.screen, self.start))
    }

    /// The next thing that happens: news, or a look at the clients.
    async fn next(&mut self) -> Result<()> {
        let mut tick = interval(TICK);
        tick.tick().await;
        tokio::select! {
            news = self.news.recv() => match news.context("the watches have ended")? {
                News::Status(rollout) => self.rollout = Some(*rollout),
                News::Event { at, reason, note } => self.decided(at, &reason, &note),
            },
            _ = tick.tick() => drop(self.load.read().await?),
        }
        self.draw();
        Ok(())
    }

    fn decided(&mut self, at: Timestamp, reason: &str, note: &str) {
        let version =
            self.title.split_once(": ").and_then(|(_, rest)| rest.split([',', ' ']).next()).unwrap_or_default();
        let decision = match reason {
            // "step 1/4 done, canary at 10%"
            "StepCompleted" => Some((note.split(" done").next().unwrap_or(note).to_owned(), Tone::Plain)),
            "Promoted" => Some((format!("{version} promoted"), Tone::Good)),
            "RollingBack" => {
                let failed = note.starts_with("AnalysisFailed");
                Some((if failed { "analysis failed" } else { "rolling back" }.to_owned(), Tone::Bad))
            }
            "RolledBack" => Some(("rolled back".to_owned(), Tone::Bad)),
            _ => None,
        };
        let tone = decision.as_ref().map_or(Tone::Plain, |(_, tone)| *tone);
        self.tell(seconds(at), reason, note, tone);
        if let Some((label, tone)) = decision {
            self.decisions.push(Decision { at: seconds(at) - self.start, label, tone });
        }
    }

    fn tell(&mut self, at: f64, what: &str, note: &str, tone: Tone) {
        let colour = match tone {
            Tone::Plain => "",
            Tone::Good => "\x1b[32m",
            Tone::Bad => "\x1b[31m",
        };
        let (on, off) = if self.screen.is_live { (colour, "\x1b[0m") } else { ("", "") };
        let at = at - self.start;
        let room = if self.screen.is_live { self.screen.width.saturating_sub(28) } else { usize::MAX };
        let note = wrapped(note, room).join(&format!("\n{:27}", ""));
        self.screen.line(&format!("{at:>6.1} s  {on}{what:<16}{off} {note}"));
    }

    fn story(&self) -> Story {
        let story = Story::of_records(self.versions.clone(), self.load.records(), self.start);
        Story { limit: limit(self.strategy), ..story }
    }

    fn draw(&mut self) {
        let records = self.load.records();
        let may_fail: Vec<_> = self.commits.iter().filter(|it| it.error_rate > 0.0).map(|it| it.version).collect();
        let account = account(records, &may_fail);
        let story = self.story();
        let clock = Timestamp::now();
        let at = seconds(clock) - self.start;
        let requests = (account.requests, account.own_failures, account.lost.len() as u64);
        let trial = self.strategy.trial();
        let (title, rollout) = (&*self.title, self.rollout.as_ref());
        let now = Now { title, at, clock, rollout, story: &story, revisions: &self.revisions, trial, requests };
        if self.screen.is_live {
            let panel = now.panel(self.screen.width);
            self.screen.panel(&panel);
        } else {
            let status = rollout.and_then(|rollout| rollout.status.as_ref());
            let key = format!("{:?}", status.map(|it| (it.phase, &it.step, &it.weight, &it.message)));
            if key != self.told {
                let line = format!("{at:>6.1} s    {}", now.line());
                self.told = key;
                self.screen.line(&line);
            }
        }
    }
}

async fn watch_rollout(api: kube::Api<Rollout>, news: UnboundedSender<News>) {
    let mut seen = watcher::watch_object(api, APP).default_backoff().boxed();
    while let Some(next) = seen.next().await {
        if let Ok(Some(rollout)) = next
            && news.send(News::Status(Box::new(rollout))).is_err()
        {
            return;
        }
    }
}

/// Events of the Rollout from `start` on, each once.
async fn watch_events(api: kube::Api<Event>, news: UnboundedSender<News>, start: f64) {
    let mut known = HashSet::new();
    let mut seen = watcher(api, watcher::Config::default()).default_backoff().applied_objects().boxed();
    loop {
        let event = match seen.try_next().await {
            Ok(Some(event)) => event,
            Ok(None) => return,
            Err(_) => continue,
        };
        let about = event.regarding.as_ref().and_then(|about| about.kind.as_deref());
        let Some(at) = event.event_time.as_ref().map(|time| time.0) else { continue };
        if about != Some("Rollout") || seconds(at) < start || !known.insert(event.name_any()) {
            continue;
        }
        let (reason, note) = (event.reason.unwrap_or_default(), event.note.unwrap_or_default());
        if news.send(News::Event { at, reason, note }).is_err() {
            return;
        }
    }
}
