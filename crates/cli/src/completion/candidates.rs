//! What may stand where the cursor is.

use clap::{Command, CommandFactory};
use leadsman_api::{Phase, Rollout};

use crate::args::Cli;

/// What is wanted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Words that are known without a cluster, with what they mean.
    Words(Vec<(String, String)>),
    /// Names of Rollouts; for an acting verb, those that it would be carried out for.
    Names(Option<String>),
    /// Namespaces of the cluster.
    Namespaces,
    /// Contexts of the kubeconfig.
    Contexts,
    /// Nothing that could be offered.
    Nothing,
}

/// Verbs that the operator may refuse.
const REFUSABLE: [&str; 6] = ["promote", "abort", "retry", "pause", "resume", "rollback"];

/// What is wanted after these words, the last of which is begun and may be empty.
pub(super) fn wanted(so_far: &[String]) -> Wanted {
    let Some((begun, before)) = so_far.split_last() else { return Wanted::Nothing };
    let mut command = Cli::command();
    command.build();
    let (mut command, mut names, mut waits_for_value) = (&command, 0, None);
    for word in before {
        if waits_for_value.take().is_some() {
            continue;
        }
        if word.starts_with('-') {
            waits_for_value = value_of(command, word);
        } else if let Some(verb) = command.find_subcommand(canonical(word)) {
            command = verb;
        } else {
            names += 1;
        }
    }
    if let Some(wanted) = waits_for_value {
        return wanted;
    }
    if begun.starts_with('-') {
        return Wanted::Words(flags(command));
    }
    if command.has_subcommands() {
        return Wanted::Words(verbs(command));
    }
    let Some(first) = command.get_positionals().next() else { return Wanted::Nothing };
    match (first.get_id().as_str(), names) {
        ("name", 0) => {
            let verb = Some(command.get_name().to_owned()).filter(|verb| REFUSABLE.contains(&verb.as_str()));
            Wanted::Names(verb)
        }
        (_, 0) => Wanted::Words(possible(first)),
        _ => Wanted::Nothing,
    }
}

fn canonical(word: &str) -> &str {
    match word {
        "watch" => "get",
        "wait" => "status",
        other => other,
    }
}

/// What a flag takes, where it takes something and that does not stand in the same word.
fn value_of(command: &Command, word: &str) -> Option<Wanted> {
    let is_it = |argument: &&clap::Arg| match word.strip_prefix("--") {
        Some(long) => argument.get_long() == Some(long),
        None => {
            argument.get_short().is_some_and(|short| word.strip_prefix('-') == Some(short.encode_utf8(&mut [0; 4])))
        }
    };
    let argument = command.get_arguments().find(is_it)?;
    let takes_one = argument.get_action().takes_values() && !argument.is_require_equals_set();
    takes_one.then(|| match (argument.get_long(), possible(argument)) {
        (Some("namespace"), _) => Wanted::Namespaces,
        (Some("context"), _) => Wanted::Contexts,
        (_, values) if values.is_empty() => Wanted::Nothing,
        (_, values) => Wanted::Words(values),
    })
}

fn possible(argument: &clap::Arg) -> Vec<(String, String)> {
    let values = argument.get_possible_values();
    values
        .iter()
        .map(|value| (value.get_name().to_owned(), value.get_help().map(ToString::to_string).unwrap_or_default()))
        .collect()
}

fn flags(command: &Command) -> Vec<(String, String)> {
    let arguments = command.get_arguments().filter(|argument| !argument.is_hide_set());
    let help = |argument: &clap::Arg| argument.get_help().map(ToString::to_string).unwrap_or_default();
    arguments.filter_map(|argument| Some((format!("--{}", argument.get_long()?), help(argument)))).collect()
}

fn verbs(command: &Command) -> Vec<(String, String)> {
    let about = |verb: &Command| verb.get_about().map(ToString::to_string).unwrap_or_default();
    command.get_subcommands().map(|verb| (verb.get_name().to_owned(), about(verb))).collect()
}

/// Names with their phases. An operator that does not say which commands it would take is believed to take all.
pub(super) fn names(rollouts: &[Rollout], verb: Option<&str>) -> Vec<(String, String)> {
    let takes = |rollout: &&Rollout| {
        let Some(verb) = verb else { return true };
        let commands = rollout.status.as_ref().map(|status| status.commands.as_slice()).unwrap_or_default();
        commands.is_empty() || commands.iter().any(|command| command.verb == verb && command.refused.is_none())
    };
    let phase = |rollout: &Rollout| rollout.status.as_ref().and_then(|status| status.phase).map_or("", Phase::as_str);
    let named = |rollout: &Rollout| Some((rollout.metadata.name.clone()?, phase(rollout).to_owned()));
    rollouts.iter().filter(takes).filter_map(named).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn after(words: &[&str]) -> Wanted {
        wanted(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>())
    }

    fn words(wanted: Wanted) -> Vec<String> {
        let Wanted::Words(words) = wanted else { panic!("{wanted:?}") };
        words.into_iter().map(|(word, _)| word).collect()
    }

    #[test]
    fn what_is_offered_is_what_may_stand_there() {
        assert!(words(after(&["pro"])).contains(&"promote".to_owned()));
        assert_eq!(words(after(&["set", ""])), ["image"]);
        assert_eq!(after(&["get", ""]), Wanted::Names(None));
        assert_eq!(after(&["watch", ""]), Wanted::Names(None));
        assert_eq!(after(&["get", "-n", "shop", ""]), Wanted::Names(None));
        assert_eq!(after(&["promote", "--full", ""]), Wanted::Names(Some("promote".to_owned())));
        assert_eq!(after(&["undo", ""]), Wanted::Names(Some("rollback".to_owned())));
        assert_eq!(after(&["get", "cart", ""]), Wanted::Nothing);
        assert_eq!(after(&["get", "-n", ""]), Wanted::Namespaces);
        assert_eq!(after(&["list", "--context", ""]), Wanted::Contexts);
        assert_eq!(after(&["explain", "cart", "--attempt", ""]), Wanted::Nothing);
        assert!(words(after(&["get", "--"])).contains(&"--watch".to_owned()));
        assert_eq!(words(after(&["get", "-o", ""])), ["json", "yaml", "name", "wide", "markdown", "svg"]);
        assert!(words(after(&["completion", ""])).contains(&"install".to_owned()));
    }

    #[test]
    fn a_verb_is_offered_only_rollouts_that_it_would_be_carried_out_for() {
        let rollout = |name: &str, commands: serde_json::Value| -> Rollout {
            serde_json::from_value(json!({
                "apiVersion": "leadsman.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": name},
                "spec": {"selector": {"matchLabels": {"app": "a"}}, "template": {}, "strategy": {}},
                "status": {"phase": "Paused", "commands": commands},
            }))
            .unwrap()
        };
        let rollouts = [
            rollout("takes", json!([{"verb": "promote", "hash": "h"}])),
            rollout("refuses", json!([{"verb": "promote", "hash": "h", "refused": "no pause"}])),
            rollout("old", json!([])),
        ];
        let offered = |verb| names(&rollouts, verb).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(offered(Some("promote")), ["takes", "old"]);
        assert_eq!(offered(None), ["takes", "refuses", "old"]);
        assert_eq!(names(&rollouts, None)[0].1, "Paused");
    }
}
