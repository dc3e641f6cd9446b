//! One result in the format that was asked for.

use leadsman_view::{Line, Style};
use serde_json::Value;

use super::drawn;
use crate::args::Printed;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Format;
use crate::session::Session;

/// A result, each form of it made only where it is printed.
pub(super) struct Document<'a> {
    /// As JSON and YAML have it.
    pub json: &'a dyn Fn() -> Value,
    /// Names, a line each.
    pub names: &'a dyn Fn() -> Vec<String>,
    /// For people.
    pub text: &'a dyn Fn(&Style) -> Vec<Line>,
    /// For merge requests.
    pub markdown: Option<&'a dyn Fn(&Style) -> String>,
    /// As a picture.
    pub svg: Option<&'a dyn Fn(&Style) -> String>,
}

pub(super) fn show(session: &mut Session, printed: &Printed, document: &Document<'_>) -> Outcome {
    let Document { json, names, text, markdown, svg } = *document;
    let lacking =
        |what: &str, advice: &str| Failure::new(Exit::Usage, format!("there is no {what} of this")).advise(advice);
    match printed.output {
        Some(Format::Json) => session.screen.json(&json())?,
        Some(Format::Yaml) => session.screen.yaml(&json())?,
        Some(Format::Name) => {
            let names = names();
            let lines = names.iter().flat_map(|name| ["rollout.leadsman.dev/", name, "\n"]);
            session.screen.write(&lines.collect::<String>())?;
        }
        Some(Format::Markdown) => {
            let markdown = markdown.ok_or_else(|| lacking("markdown", "get, explain and history have one"))?;
            let style = Style { colour: false, ..session.style() };
            session.screen.line(markdown(&style).trim_end())?;
        }
        Some(Format::Svg) => {
            let svg = svg.ok_or_else(|| lacking("picture", "explain has one"))?;
            session.screen.line(svg(&session.style()).trim_end())?;
        }
        format @ (None | Some(Format::Wide)) => {
            let page = drawn(session, format.is_some(), text);
            session.screen.write(&page)?;
        }
    }
    Ok(Exit::Done)
}
