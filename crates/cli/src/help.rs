//! The first page of help: the five verbs that one needs first, then the others.

use clap::{Command, CommandFactory};

use crate::args::Cli;

/// What one needs first.
const FIRST: [&str; 5] = ["list", "get", "status", "explain", "promote"];
const READ: [&str; 3] = ["history", "diff", "logs"];
const ACT: [&str; 7] = ["abort", "retry", "pause", "resume", "rollback", "restart", "set"];
const INSTALL: [&str; 3] = ["doctor", "version", "completion"];

const BEFORE: &str = "See what a release does, why it went back, and move it.

  kubectl leadsman VERB [NAME] [FLAGS]        NAME: cart, rollout/cart or shop/cart

";

const AFTER: &str = "Short forms: watch (get -w), wait (status -q), undo (rollback), set image.

Flags as in kubectl, after the verb: -n NAMESPACE, -A, -l LABELS, -o json|yaml|name|wide|markdown,
-w, --context, --cluster, --user, --kubeconfig, --as, --as-group, --request-timeout.
All flags of a verb: kubectl leadsman VERB --help
";

/// The page.
pub fn first_page() -> String {
    let command = Cli::command();
    let mut page = BEFORE.to_owned();
    for (title, verbs) in [("First:", &FIRST[..]), ("Read:", &READ), ("Act:", &ACT), ("Install:", &INSTALL)] {
        page.push_str(title);
        page.push('\n');
        let known = verbs.iter().filter_map(|verb| command.find_subcommand(verb));
        known.for_each(|verb| page.push_str(&line(verb)));
        page.push('\n');
    }
    page + AFTER
}

fn line(verb: &Command) -> String {
    format!("  {:<11} {}\n", verb.get_name(), verb.get_about().map(ToString::to_string).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_stands_on_the_first_page_once() {
        let listed: Vec<_> = [&FIRST[..], &READ, &ACT, &INSTALL].concat();
        let command = Cli::command();
        let mut known: Vec<_> = command.get_subcommands().map(Command::get_name).collect();
        let mut sorted = listed.clone();
        known.sort_unstable();
        sorted.sort_unstable();
        assert_eq!(sorted, known);
        assert!(first_page().lines().all(|line| line.len() <= 100), "{}", first_page());
    }

    #[test]
    fn the_flags_are_in_order() {
        Cli::command().debug_assert();
    }
}
