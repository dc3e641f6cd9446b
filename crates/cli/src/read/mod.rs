//! The reading verbs: a few requests, a view of what came, and a renderer.

mod diff;
mod doctor;
mod logs;
mod shown;
mod version;

use futures::StreamExt;
use leadsman_api::Phase;
use leadsman_view::text::Columns;
use leadsman_view::{Objects, Row, json, markdown, svg, text};

use crate::args::{self, Order, Printed};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Format;
use crate::session::{Session, style};
pub use diff::diff;
pub use doctor::doctor;
pub use logs::logs;
use shown::{Document, show};
pub use version::version;

/// `get`: one release as it stands.
///
/// # Errors
/// Where the Rollout cannot be read.
pub async fn get(session: &mut Session, args: &args::Get) -> Outcome {
    let (namespace, name) = session.resolve(&args.name);
    let objects = gather(session, &namespace, &name).await?;
    let release = leadsman_view::release(&objects, session.now());
    show(
        session,
        &args.printed,
        &Document {
            json: &|| json::release(&release),
            names: &|| vec![name.clone()],
            text: &|style| text::joined(text::sections(&release, style, args.pods)),
            markdown: Some(&|style| markdown::release(&release, style)),
            svg: None,
        },
    )
}

/// `explain`: why it stands where it stands, or why an attempt ended as it did.
///
/// # Errors
/// Where the Rollout cannot be read, or there was no such attempt.
pub async fn explain(session: &mut Session, args: &args::Explain) -> Outcome {
    let (namespace, name) = session.resolve(&args.name);
    let objects = gather(session, &namespace, &name).await?;
    let explanation = leadsman_view::explain(&objects, args.attempt, session.now());
    show(
        session,
        &args.printed,
        &Document {
            json: &|| json::explain(&explanation),
            names: &|| vec![name.clone()],
            text: &|style| {
                let draw = if args.all { text::explain_all } else { text::explain };
                draw(&explanation, style)
            },
            markdown: Some(&|style| markdown::explain(&explanation, style)),
            svg: Some(&|style| svg::explain(&explanation, style)),
        },
    )
}

/// `history`: attempts, the newest first.
///
/// # Errors
/// Where the Rollout or its reports cannot be read.
pub async fn history(session: &mut Session, args: &args::History) -> Outcome {
    let (namespace, name) = session.resolve(&args.name);
    let cluster = &session.cluster;
    let (rollout, reports) = tokio::try_join!(cluster.rollout(&namespace, &name), cluster.reports(&namespace, &name))?;
    let history = leadsman_view::history(&rollout, &reports, session.now());
    show(
        session,
        &args.printed,
        &Document {
            json: &|| json::history(&history),
            names: &|| history.attempts.iter().map(|attempt| format!("{name}-{}", attempt.revision)).collect(),
            text: &|style| text::history(&history, style),
            markdown: Some(&|style| markdown::history(&history, style)),
            svg: None,
        },
    )
}

/// `list`: what needs a person first.
///
/// # Errors
/// Where Rollouts cannot be listed.
pub async fn list(session: &mut Session, args: &args::List) -> Outcome {
    let phases = args.phase.iter().map(|phase| phase_of(phase)).collect::<Result<Vec<_>, _>>()?;
    let namespace = (!args.all_namespaces).then(|| session.namespace.clone());
    let labels = args.selector.clone().unwrap_or_default();
    list_once(session, args, namespace.as_deref(), &labels, &phases).await?;
    if !args.watch {
        return Ok(Exit::Done);
    }
    let cluster = session.cluster.clone();
    let mut changes = std::pin::pin!(cluster.any_change(namespace.as_deref(), &labels));
    while let Some(change) = changes.next().await {
        change?;
        list_once(session, args, namespace.as_deref(), &labels, &phases).await?;
    }
    Ok(Exit::Done)
}

async fn list_once(
    session: &mut Session,
    args: &args::List,
    namespace: Option<&str>,
    labels: &str,
    phases: &[Phase],
) -> Result<(), Failure> {
    let (rollouts, unread) = session.cluster.rollouts(namespace, labels).await?;
    if unread > 0 {
        session.screen.note(&format!("warning: {unread} Rollouts cannot be read by this version, and are left out"));
    }
    let now = session.now();
    let mut rows = leadsman_view::list(&rollouts, now);
    match args.sort_by {
        Order::Urgency => {}
        Order::Name => rows.sort_by(|one, other| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name))),
        Order::Since => rows.sort_by_key(|row| std::cmp::Reverse(row.since)),
    }
    rows.retain(|row| phases.is_empty() || row.phase.is_some_and(|phase| phases.contains(&phase)));
    if rows.is_empty() && args.printed.output.is_none() {
        let place = namespace.map_or_else(|| "this cluster".to_owned(), |namespace| format!("namespace {namespace}"));
        session.screen.note(&format!("no Rollouts in {place}"));
        return Ok(());
    }
    let columns = Columns { namespace: args.all_namespaces, wide: args.printed.output == Some(Format::Wide) };
    let printed = if args.watch { without_documents(&args.printed) } else { args.printed.clone() };
    show(
        session,
        &printed,
        &Document {
            json: &|| json::list(&rows),
            names: &|| rows.iter().map(|row| named(row, args.all_namespaces)).collect(),
            text: &|style| text::list(&rows, now, style, columns),
            markdown: None,
            svg: None,
        },
    )
    .map(drop)
}

/// What is printed again and again is one object a line.
fn without_documents(printed: &Printed) -> Printed {
    Printed { output: printed.output.filter(|format| *format != Format::Yaml) }
}

fn named(row: &Row, with_namespace: bool) -> String {
    if with_namespace { format!("{}/{}", row.namespace, row.name) } else { row.name.clone() }
}

fn phase_of(text: &str) -> Result<Phase, Failure> {
    let found = Phase::ALL.into_iter().find(|phase| phase.as_str().eq_ignore_ascii_case(text));
    found.ok_or_else(|| {
        let all: Vec<_> = Phase::ALL.iter().map(|phase| phase.as_str()).collect();
        Failure::new(Exit::Usage, format!("{text:?} is no phase")).advise(format!("phases are {}", all.join(", ")))
    })
}

/// A Rollout and what belongs to it, by four requests. Without the right to read some of it, the rest is shown.
///
/// # Errors
/// Where the Rollout itself cannot be read.
pub async fn gather(session: &mut Session, namespace: &str, name: &str) -> Result<Objects, Failure> {
    let cluster = &session.cluster;
    let rollout = cluster.rollout(namespace, name).await?;
    let (reports, sets, pods) =
        tokio::join!(cluster.reports(namespace, name), cluster.sets(namespace, name), cluster.pods(namespace, name));
    let problems = [reports.as_ref().err(), sets.as_ref().err(), pods.as_ref().err()];
    let problems: Vec<_> = problems.into_iter().flatten().map(|failure| failure.what.clone()).collect();
    for problem in problems {
        session.screen.note(&format!("warning: {problem}"));
    }
    Ok(Objects {
        rollout,
        reports: reports.unwrap_or_default(),
        sets: sets.unwrap_or_default(),
        pods: pods.unwrap_or_default(),
    })
}

/// Text as lines of this screen.
fn drawn(session: &Session, wide: bool, lines: &dyn Fn(&leadsman_view::Style) -> Vec<leadsman_view::Line>) -> String {
    let look = session.screen.look;
    let style = style(if wide { look.wide(session.screen.is_terminal) } else { look });
    lines(&style).iter().map(|line| line.drawn(&style).trim_end().to_owned() + "\n").collect()
}
