//! `status`: waits for what was deployed, and ends with what became of it. Watches one object by name and ends by itself.

mod aftermath;
mod line;

use std::time::Duration;

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use leadsman_api::{Rollout, RolloutReport, commit_of};
use leadsman_view::{is_behind, typed};
use tokio::time::{Instant, sleep_until};

use crate::args;
use crate::args::LineFormat;
use crate::cluster::Seen;
use crate::exit::{Exit, Failure, Outcome};
use crate::fate::{End, Fate, Goal};
use crate::session::Session;
use line::{Entry, Standing};
pub use line::{Standing as Words, measured};

/// `status`.
///
/// # Errors
/// Where nothing can be found out.
pub async fn status(session: &mut Session, args: &args::Status) -> Outcome {
    let (namespace, name) = session.resolve(&args.name);
    let rollout = session.cluster.rollout_if_any(&namespace, &name).await?;
    if !args.watch {
        let rollout = rollout.ok_or_else(|| absent(&namespace, &name))?;
        let entry = Standing::of(&rollout).words;
        print(session, args.output, &Entry::new(session.now(), "following", &entry, Some(&rollout)))?;
        return Ok(Exit::Done);
    }
    let pin = args.pin();
    // A Rollout that is still to come from Git is not declared yet; without a pin there is nothing to wait for.
    if rollout.is_none() && pin.is_none() {
        return Err(absent(&namespace, &name));
    }
    let (now, mut reports) = (session.now(), Vec::new());
    if rollout.is_some() {
        reports = session.cluster.reports(&namespace, &name).await.unwrap_or_default();
    }
    let mut fate = Fate::new(pin, args.goal, later(now, args.appear), later(now, args.timeout));
    fate.exit_on_pause = args.exit_on_pause;
    let mut follower = Follower::new(session, (namespace, name), fate, reports, args.output);
    let end = follower.run(args.heartbeat).await?;
    let Follower { session, namespace, name, fate, rollout, .. } = follower;
    aftermath::told(session, args, &namespace, &name, &fate, rollout.as_deref(), &end).await?;
    Ok(end.exit)
}

/// Goes on after a command as `status` does.
///
/// # Errors
/// As with [`status`].
pub async fn follow_command(
    session: &mut Session,
    namespace: &str,
    name: &str,
    goal: Goal,
    timeout: Duration,
) -> Outcome {
    let end_by = later(session.now(), timeout);
    let fate = Fate::new(None, goal, end_by, end_by);
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    let reports = session.cluster.reports(&namespace, &name).await.unwrap_or_default();
    let mut follower = Follower::new(session, (namespace, name), fate, reports, LineFormat::Text);
    Ok(follower.run(Duration::from_mins(1)).await?.exit)
}

struct Follower<'a> {
    session: &'a mut Session,
    namespace: String,
    name: String,
    fate: Fate,
    reports: Vec<RolloutReport>,
    output: LineFormat,
    last: Option<Standing>,
    rollout: Option<Box<Rollout>>,
    /// The attempt, once it was told.
    revision: Option<i64>,
}

impl<'a> Follower<'a> {
    /// Of whom nothing was seen yet.
    fn new(
        session: &'a mut Session,
        (namespace, name): (String, String),
        fate: Fate,
        reports: Vec<RolloutReport>,
        output: LineFormat,
    ) -> Self {
        Self { session, namespace, name, fate, reports, output, last: None, rollout: None, revision: None }
    }

    async fn run(&mut self, heartbeat: Duration) -> Result<End, Failure> {
        let mut seen = std::pin::pin!(self.session.cluster.follow(&self.namespace, &self.name));
        let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
        let mut beat = Instant::now() + heartbeat;
        loop {
            let left = Duration::try_from(self.fate.due().duration_since(self.session.now())).unwrap_or_default();
            tokio::select! {
                biased;
                _ = &mut interrupted => return Ok(interruption()),
                seen = seen.next() => {
                    let (end, has_spoken) = self.take(seen).await?;
                    if has_spoken {
                        beat = Instant::now() + heartbeat;
                    }
                    if let Some(end) = end {
                        return self.finish(end);
                    }
                }
                () = sleep_until(Instant::now() + left) => {
                    if let Some(end) = self.fate.time_up(self.session.now(), self.rollout.as_deref()) {
                        return self.finish(end);
                    }
                }
                () = sleep_until(beat) => {
                    beat = Instant::now() + heartbeat;
                    self.still()?;
                }
            }
        }
    }

    /// What the watch says: the end, if it is one, and whether anything was printed.
    async fn take(&mut self, seen: Option<Seen>) -> Result<(Option<End>, bool), Failure> {
        match seen {
            Some(Seen::Is(rollout)) => self.look(rollout).await,
            Some(Seen::Gone) if self.fate.pin.is_some() && !self.fate.is_declared() => {
                let is_news = self.last.is_none();
                let words = format!("there is no Rollout {}/{} yet", self.namespace, self.name);
                self.wait_for_declaration(&words, is_news)?;
                Ok((None, is_news))
            }
            Some(Seen::Gone) => Err(absent(&self.namespace, &self.name)),
            Some(Seen::Refused(failure)) => Err(failure),
            Some(Seen::Lost(why)) => {
                self.session.screen.note(&format!("connection lost, trying again: {why}"));
                Ok((None, false))
            }
            None => Err(Failure::new(Exit::Unknown, "the watch ended")),
        }
    }

    async fn look(&mut self, rollout: Box<Rollout>) -> Result<(Option<End>, bool), Failure> {
        if self.fate.needs_reports(&rollout) {
            // What became of it may have been decided while nobody looked.
            if let Ok(reports) = self.session.cluster.reports(&self.namespace, &self.name).await {
                self.reports = reports;
            }
        }
        let was_declared = self.fate.is_declared();
        let end = self.fate.look(&rollout, &self.reports);
        let standing = Standing::of(&rollout);
        // What is said of the declaration before is no news.
        let is_behind = rollout.status.as_ref().is_some_and(|status| is_behind(&rollout, status));
        let is_news = !is_behind && self.last.as_ref().is_none_or(|last| standing.differs(last));
        let commit = commit_of(&rollout.metadata);
        self.rollout = Some(rollout);
        if end.is_some() {
            return Ok((end, true));
        }
        let has_spoken = is_news || !was_declared && self.fate.is_declared();
        if self.fate.is_declared() {
            if !was_declared && self.fate.pin.is_some() {
                let commit = commit.map(|commit| format!(": commit {commit}")).unwrap_or_default();
                self.say("following", &format!("declared{commit}"))?;
            }
            if is_news {
                let revision = self.fate.revision().filter(|_| self.revision.is_none());
                self.revision = self.revision.or(revision);
                let begins = revision.map(|revision| format!("revision {revision}, ")).unwrap_or_default();
                self.say("following", &format!("{begins}{}", standing.words))?;
            }
        } else {
            let images = self.rollout.as_ref().map(|rollout| rollout.spec.template.images().join(", "));
            let words = format!("now {}", images.unwrap_or_default());
            self.wait_for_declaration(&words, self.last.is_none())?;
        }
        if !is_behind {
            self.last = Some(standing);
        }
        Ok((None, has_spoken))
    }

    fn wait_for_declaration(&mut self, now: &str, is_news: bool) -> Result<(), Failure> {
        if !is_news {
            return Ok(());
        }
        self.last.get_or_insert_with(Standing::absent);
        let pinned = self.fate.pin.as_ref().map(crate::fate::Pin::words).unwrap_or_default();
        let by = self.fate.due();
        self.say("waiting", &format!("waiting until {pinned} is declared ({now}), until {}", clock(by)))
    }

    /// A sign of life, with what was measured last.
    fn still(&mut self) -> Result<(), Failure> {
        let Some(rollout) = &self.rollout else { return self.say("waiting", "still waiting") };
        if !self.fate.is_declared() {
            return self.say("waiting", "still not declared");
        }
        let (words, measured) = (Standing::of(rollout).words, measured(rollout));
        let measured = if measured.is_empty() { measured } else { format!("; {measured}") };
        self.say("following", &format!("still {words}{measured}"))
    }

    fn finish(&mut self, end: End) -> Result<End, Failure> {
        let (at, revision) = (self.session.now(), self.fate.revision());
        let words = format!("{}  {}", end.word, end.why);
        let words = match end.exit {
            Exit::RolledBack => format!("{words}; kubectl leadsman explain -n {} {}", self.namespace, self.name),
            Exit::Paused => format!("{words}; to go on: {}", typed("promote", &self.namespace, &self.name)),
            _ => words,
        };
        let mut entry = Entry::new(at, "ended", &words, self.rollout.as_deref());
        entry.revision = revision;
        entry.exit = Some(end.exit.code());
        let text = (self.output == LineFormat::Text).then(|| format!("{}  {words}", clock(at)));
        match text {
            // With --quiet this is the result.
            Some(text) => self.session.screen.line(&text)?,
            None => self.session.screen.json_line(&entry.value())?,
        }
        Ok(end)
    }

    fn say(&mut self, stage: &str, words: &str) -> Result<(), Failure> {
        if self.session.screen.quiet {
            return Ok(());
        }
        let mut entry = Entry::new(self.session.now(), stage, words, self.rollout.as_deref());
        entry.revision = self.fate.revision();
        print(self.session, self.output, &entry)
    }
}

fn print(session: &mut Session, output: LineFormat, entry: &Entry<'_>) -> Result<(), Failure> {
    match output {
        LineFormat::Text => {
            let line = format!("{}  {}", clock(entry.at), entry.words);
            session.screen.line(&line)
        }
        LineFormat::Json => {
            let value = entry.value();
            session.screen.json_line(&value)
        }
    }
}

fn interruption() -> End {
    End { exit: Exit::Interrupted, word: "INTERRUPTED", why: "the release goes on without being watched".to_owned() }
}

fn absent(namespace: &str, name: &str) -> Failure {
    Failure::new(Exit::Unknown, format!("there is no Rollout {namespace}/{name}"))
        .advise("kubectl leadsman list -A shows where there are some")
}

/// The time of day in UTC, as logs have it.
fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%SZ").to_string()
}

fn later(now: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| now.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}
