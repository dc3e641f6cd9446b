//! What the pages and files for pipelines tell people to type is what the plugin takes.

use std::path::Path;

use clap::Parser;
use leadsman_cli::args::{Cli, Verb, spelled_out};

/// Every command line in a text: from `kubectl leadsman` to what ends it there.
fn commands(text: &str) -> Vec<Vec<String>> {
    let ends = ['`', '\'', '\n', '#'];
    let starts = text.match_indices("kubectl leadsman ").map(|(at, _)| &text[at..]);
    starts.map(|rest| words(rest.split(ends).next().unwrap())).collect()
}

/// Words as a shell has them; quotes are taken off, and what is between them never has spaces in it here.
fn words(line: &str) -> Vec<String> {
    let all: Vec<_> = line.split_whitespace().map(|word| word.trim_matches('"').to_owned()).collect();
    [vec!["kubectl leadsman".to_owned()], all[2..].to_vec()].concat()
}

#[test]
fn every_command_that_is_shown_is_taken() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let mut pages = vec![docs.join("cli.md"), docs.join("explain.md")];
    pages.extend(std::fs::read_dir(docs.join("ci")).unwrap().map(|file| file.unwrap().path()));
    let mut waits = 0;
    for page in &pages {
        for command in commands(&std::fs::read_to_string(page).unwrap()) {
            let cli = Cli::try_parse_from(spelled_out(command.iter().map(Into::into)));
            let cli = cli.unwrap_or_else(|error| panic!("{}: {command:?}: {error}", page.display()));
            waits += usize::from(matches!(cli.verb, Some(Verb::Status(_))));
        }
    }
    assert!(pages.len() == 6 && waits >= 5, "{pages:?}: {waits}");
}
