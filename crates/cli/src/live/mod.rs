//! `get -w`: one release as it moves, driven by watch events; a tick of a second redraws relative times only.
//!
//! On a terminal it redraws in place and leaves its last frame in the scrollback. Where stdout is no terminal there are no
//! frames and no escape sequences: one line per change, as `status` prints them.

mod end;
mod frame;
mod kept;
mod keys;
mod plain;
mod tail;

use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use leadsman_api::Phase;
use leadsman_core::text::one_line;
use leadsman_view::{Line, Span, text};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::args;
use crate::cluster::changes;
use crate::exit::{Exit, Failure, Outcome};
use crate::session::Session;
use end::Followed;
use frame::Frame;
use kept::{Kept, News};
use keys::{Key, Keys};
use tail::Tail;

/// At most five frames a second.
const BETWEEN_FRAMES: Duration = Duration::from_millis(200);

/// Follows a release until it ends.
///
/// # Errors
/// Where the Rollout cannot be read, or is deleted.
pub async fn watch(session: &mut Session, args: &args::Get) -> Outcome {
    let (namespace, name) = session.resolve(&args.name);
    if !session.screen.is_terminal || args.printed.output.is_some() {
        return plain::watch(session, args, &namespace, &name).await;
    }
    let frame = Frame::begin(crossterm::terminal::size().unwrap_or((80, 24)));
    let mut live = Live {
        kept: Kept::default(),
        frame,
        shown: Shown { pods: args.pods, ..Shown::default() },
        tail: None,
        lost: None,
        followed: Followed::default(),
        goes_on: args.follow,
        dirty_since: None,
        last_drawn: Instant::now(),
    };
    let outcome = live.run(session, &namespace, &name).await;
    live.finish(session)?;
    outcome
}

/// What a person has chosen to see.
#[derive(Clone, Copy, Debug, Default)]
struct Shown {
    /// `e`: the explanation below.
    explains: bool,
    /// `p`: each pod.
    pods: bool,
    /// `?`: the keys.
    helps: bool,
}

impl Shown {
    /// A key was pressed.
    fn turn(&mut self, key: Key) {
        match key {
            Key::Explain => self.explains = !self.explains,
            Key::Pods => self.pods = !self.pods,
            Key::Help => self.helps = !self.helps,
            Key::Logs | Key::Quit | Key::Interrupt | Key::Resize(_) | Key::Other => {}
        }
    }
}

/// Waits for a further line of a log; for ever, where none is read.
async fn further(tail: &mut Option<Tail>) {
    match tail {
        Some(tail) => tail.next().await,
        None => std::future::pending().await,
    }
}

struct Live {
    kept: Kept,
    frame: Frame,
    shown: Shown,
    /// `l`: a pod's log.
    tail: Option<Tail>,
    /// Since when nothing is heard.
    lost: Option<Timestamp>,
    followed: Followed,
    /// Whether it goes on after an end.
    goes_on: bool,
    dirty_since: Option<Instant>,
    last_drawn: Instant,
}

impl Live {
    async fn run(&mut self, session: &mut Session, namespace: &str, name: &str) -> Outcome {
        let mut changes = changes(&session.cluster, namespace, name);
        let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
        let mut keys = Keys::listen();
        let mut tick = interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = self.dirty_since.map(|_| self.last_drawn + BETWEEN_FRAMES);
            tokio::select! {
                biased;
                _ = &mut interrupted => return Ok(Exit::Interrupted),
                key = keys.next() => match key {
                    Key::Quit => return Ok(Exit::Done),
                    Key::Interrupt => return Ok(Exit::Interrupted),
                    Key::Logs => {
                        let closed = self.tail.take().is_some();
                        let objects = self.kept.objects().filter(|_| !closed);
                        self.tail = objects.map(|objects| Tail::of(&session.cluster, objects));
                    }
                    Key::Resize(size) => self.frame.resize(size),
                    key => self.shown.turn(key),
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.draw(session)?;
                    if self.is_over() {
                        return Ok(Exit::Done);
                    }
                    continue;
                }
                change = changes.next() => match self.kept.take(change) {
                    News::Something => self.lost = None,
                    News::Nothing => continue,
                    News::Lost => { self.lost.get_or_insert(session.now()); }
                    News::Deleted => return Err(Failure::new(Exit::Unknown, format!("Rollout {namespace}/{name} is not there any more"))),
                    News::Refused(failure) => return Err(failure),
                },
                () = further(&mut self.tail) => {}
                _ = tick.tick() => {}
            }
            self.dirty_since.get_or_insert_with(Instant::now);
        }
    }

    /// Whether the release has ended. What stood still from the first look is shown once.
    fn is_over(&mut self) -> bool {
        let Some(objects) = self.kept.objects().filter(|_| self.kept.is_complete()) else { return false };
        self.followed.has_ended(&objects.rollout) && !self.goes_on
    }

    fn draw(&mut self, session: &mut Session) -> Result<(), Failure> {
        self.dirty_since = None;
        self.last_drawn = Instant::now();
        let lines = self.lines(session, Some(self.frame.height()));
        let text = self.frame.update(&lines);
        session.screen.write(&text)
    }

    /// The last frame in full, and after a rollback why.
    fn finish(&mut self, session: &mut Session) -> Result<(), Failure> {
        let lines = self.lines(session, None);
        let text = self.frame.end(&lines);
        session.screen.write(&text)
    }

    fn lines(&self, session: &Session, height: Option<usize>) -> Vec<String> {
        let mut style = session.style();
        style.width = self.frame.width();
        let Some(objects) = self.kept.objects() else { return vec!["waiting for the first look".to_owned()] };
        let now = session.now();
        let mut notes: Vec<String> = Vec::new();
        if height.is_some() {
            notes.extend(self.tail.iter().flat_map(Tail::lines).map(|line| fitting(line, style.width)));
        }
        if let Some(since) = self.lost {
            let seconds = now.duration_since(since).as_secs();
            notes.push(format!("connection lost {seconds}s ago, trying again"));
        }
        let release = leadsman_view::release(objects, now);
        let explains = self.shown.explains || (height.is_none() && release.phase == Some(Phase::RolledBack));
        let mut lines = match height {
            Some(height) => {
                let help = usize::from(self.shown.helps);
                text::fitted(&release, &style, self.shown.pods, height.saturating_sub(notes.len() + help))
            }
            None => text::joined(text::sections(&release, &style, self.shown.pods)),
        };
        if explains {
            let why = text::explain(&leadsman_view::explain(objects, None, now), &style);
            let room = height.map_or(3, |height| height.saturating_sub(lines.len() + notes.len() + 2));
            lines.push(Line::default());
            lines.extend(why.into_iter().take(room));
        }
        lines.extend(notes.into_iter().map(|note| Line { spans: vec![Span { text: note, ..Span::default() }] }));
        if height.is_some() && self.shown.helps {
            lines.push(Line { spans: vec![Span { text: keys::HELP.to_owned(), ..Span::default() }] });
        }
        lines.iter().map(|line| line.drawn(&style)).collect()
    }
}

/// As much of a line as fits.
fn fitting(line: &str, width: usize) -> String {
    one_line(line, width.saturating_sub(1))
}
