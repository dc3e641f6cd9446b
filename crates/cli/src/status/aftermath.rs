//! What is left of a release for a pipeline: files, and what GitHub and GitLab show by themselves.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use leadsman_api::{Phase, Rollout};
use leadsman_view::{Objects, markdown, text};

use crate::args::{self, LineFormat};
use crate::exit::{Exit, Failure};
use crate::fate::{End, Fate};
use crate::session::Session;

/// How long the report's last word is waited for.
const LAST_WORD: Duration = Duration::from_secs(10);

/// Writes what was asked for, and what the CI system that this runs in can show.
pub(super) async fn told(
    session: &mut Session,
    args: &args::Status,
    namespace: &str,
    name: &str,
    fate: &Fate,
    rollout: Option<&Rollout>,
    end: &End,
) -> Result<(), Failure> {
    let variable = |name: &str| session.environment.get(name).filter(|value| !value.is_empty()).cloned();
    let (summary, is_gitlab) = (variable("GITHUB_STEP_SUMMARY"), variable("GITLAB_CI").is_some());
    let is_text = args.output == LineFormat::Text && !session.screen.quiet;
    let wants = args.report.is_some() || args.junit.is_some() || summary.is_some() || (is_gitlab && is_text);
    let Some(rollout) = rollout.filter(|_| wants && fate.is_declared()) else { return Ok(()) };
    let phase = rollout.status.as_ref().and_then(|status| status.phase);
    let is_over = end.exit == Exit::Superseded || matches!(phase, Some(Phase::Healthy | Phase::RolledBack));
    if let Some(revision) = fate.revision().filter(|_| is_over) {
        let reported = session.cluster.until_reported(namespace, name, revision);
        // Without it the rest is told.
        let _ = tokio::time::timeout(LAST_WORD, reported).await;
    }
    let objects = gather(session, namespace, name, rollout).await;
    let style = leadsman_view::Style { colour: false, ..session.style() };
    let explanation = leadsman_view::explain(&objects, fate.revision(), session.now());
    let page = markdown::explain(&explanation, &style);
    if let Some(file) = &args.report {
        std::fs::write(file, &page).map_err(|error| unwritten(file, &error))?;
    }
    if let Some(file) = &args.junit {
        let release = leadsman_view::release(&objects, session.now());
        std::fs::write(file, leadsman_view::junit::release(&release)).map_err(|error| unwritten(file, &error))?;
    }
    if let Some(file) = summary.as_deref().map(Path::new) {
        append(file, &page).map_err(|error| unwritten(file, &error))?;
        if let Some(annotation) = annotation(name, end) {
            session.screen.complain(&annotation);
        }
    }
    if is_gitlab && is_text {
        let lines: Vec<_> = text::explain(&explanation, &style).iter().map(leadsman_view::Line::plain).collect();
        let section = section(session.now().as_second(), name, &lines);
        session.screen.write(&section)?;
    }
    Ok(())
}

/// What there is to explain; without the right to read pods, the rest is explained.
async fn gather(session: &Session, namespace: &str, name: &str, rollout: &Rollout) -> Objects {
    let cluster = &session.cluster;
    let (reports, sets, pods) =
        tokio::join!(cluster.reports(namespace, name), cluster.sets(namespace, name), cluster.pods(namespace, name));
    Objects {
        rollout: rollout.clone(),
        reports: reports.unwrap_or_default(),
        sets: sets.unwrap_or_default(),
        pods: pods.unwrap_or_default(),
    }
}

fn append(file: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file)?;
    writeln!(file, "{text}")
}

fn unwritten(file: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Unknown, format!("cannot write {}: {error}", file.display()))
}

/// What GitHub shows beside the run; nothing where all went well.
fn annotation(name: &str, end: &End) -> Option<String> {
    let (level, what) = match end.exit {
        Exit::Done => return None,
        Exit::Paused => ("warning", "waits for a person"),
        Exit::RolledBack => ("error", "rolled back"),
        Exit::Stuck => ("error", "will not go on"),
        Exit::TimeUp => ("error", "not done in time"),
        Exit::Superseded => ("error", "superseded"),
        Exit::Unknown | Exit::Usage | Exit::Interrupted => ("error", "not known"),
    };
    Some(format!("::{level} title={name} {what}::{}", escaped(&end.why)))
}

/// What GitHub reads as data and not as an end of it.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A section that GitLab shows collapsed. Its marks are escape sequences, which its log viewer takes out.
fn section(second: i64, name: &str, lines: &[String]) -> String {
    let key: String = name.chars().map(|it| if it.is_ascii_alphanumeric() { it } else { '_' }).collect();
    format!(
        "\u{1b}[0Ksection_start:{second}:leadsman_{key}[collapsed=true]\r\u{1b}[0Kexplain {name}\n{}\n\u{1b}[0Ksection_end:{second}:leadsman_{key}\r\u{1b}[0K\n",
        lines.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(exit: Exit) -> End {
        End { exit, word: "", why: "success-rate was 93%\n::error::forged".to_owned() }
    }

    #[test]
    fn what_others_wrote_cannot_be_a_command_to_github() {
        let line = annotation("cart", &end(Exit::RolledBack)).unwrap();
        assert_eq!(line, "::error title=cart rolled back::success-rate was 93%25%0A::error::forged");
        assert_eq!(annotation("cart", &end(Exit::Done)), None);
        assert!(annotation("cart", &end(Exit::Paused)).unwrap().starts_with("::warning "));
    }

    #[test]
    fn a_section_of_gitlab_begins_and_ends_with_the_same_key() {
        let section = section(7, "my-cart", &["why".to_owned()]);
        assert!(
            section.starts_with("\u{1b}[0Ksection_start:7:leadsman_my_cart[collapsed=true]\r\u{1b}[0K"),
            "{section}"
        );
        assert!(section.ends_with("why\n\u{1b}[0Ksection_end:7:leadsman_my_cart\r\u{1b}[0K\n"), "{section}");
    }
}
