//! Log lines on standard error: one for each decision, as JSON or for people.

use std::{fmt, io};

use leadsman_core::text::one_line;
use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

use crate::args::LogFormat;

/// Which lines are written, in the syntax of tracing's filters.
const VARIABLE: &str = "LEADSMAN_LOG";
/// Longest value of a field that people are shown, in characters.
const LONGEST: usize = 4_000;

/// Starts logging. A second call changes nothing.
pub fn init(format: LogFormat) {
    // kube's own lines repeat what we say of each watch and request.
    let filter = EnvFilter::try_from_env(VARIABLE)
        .unwrap_or_else(|_| EnvFilter::new("info,kube_runtime=error,kube_client::client::builder=off"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match format {
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
        LogFormat::Text => lines.with_target(false).fmt_fields(fields()).try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "logging was started before");
    }
}

/// Fields of an event for people. What others wrote must not look like a line of ours, nor do anything to a terminal.
fn fields() -> impl for<'w> FormatFields<'w> + 'static {
    let one = |writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug| {
        let value = one_line(&format!("{value:?}"), LONGEST);
        if field.name() == "message" { write!(writer, "{value}") } else { write!(writer, "{}={value}", field.name()) }
    };
    debug_fn(one).delimited(" ")
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_one_line_however_its_words_are_broken() {
        let kept = Kept::default();
        let writer = kept.clone();
        let lines = tracing_subscriber::fmt().with_writer(move || writer.clone()).fmt_fields(fields()).finish();
        tracing::subscriber::with_default(lines, || {
            tracing::info!(words = %"one\ntwo\r\nthree\u{1b}[2J", number = 7, text = "a\nb", "message\nof two");
            tracing::info!("another");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        let fields = "message of two words=one two three\u{fffd}[2J number=7 text=\"a\\nb\"";
        assert!(lines[0].ends_with(fields), "{text}");
    }
}
