//! Commands: those that would be carried out, and how a person gives them.

use leadsman_api::{CommandOutcome, Phase, RolloutStatus};

use crate::model::{Answered, Command};

/// The commands that the operator would answer, as it says; without its word, those that its phase allows.
pub fn of(status: &RolloutStatus) -> Vec<Command> {
    if status.commands.is_empty() {
        return guessed(status);
    }
    let told = |it: &leadsman_api::CommandStatus| Command {
        verb: it.verb.clone(),
        hash: it.hash.clone(),
        refused: it.refused.clone(),
    };
    status.commands.iter().map(told).collect()
}

/// What an operator of an earlier version would most likely carry out.
fn guessed(status: &RolloutStatus) -> Vec<Command> {
    let Some(trial) = &status.canary else { return Vec::new() };
    let verbs: &[&str] = match status.phase {
        Some(Phase::Paused) => &["promote", "abort"],
        Some(Phase::Progressing) => &["abort"],
        Some(Phase::RolledBack) => &["retry"],
        _ => &[],
    };
    verbs.iter().map(|verb| Command { verb: (*verb).to_owned(), hash: trial.hash.clone(), refused: None }).collect()
}

/// The last command that was answered.
pub fn answered(status: &RolloutStatus) -> Option<Answered> {
    let last = status.last_command.as_ref()?;
    Some(Answered {
        id: last.id.clone(),
        verb: last.verb.clone(),
        by: last.by.clone(),
        verified: last.verified,
        executed: match last.outcome {
            CommandOutcome::Executed => Some(true),
            CommandOutcome::Refused => Some(false),
            CommandOutcome::Unknown => None,
        },
        message: without_commands(&last.message),
        at: last.at,
    })
}

/// The plugin's command, ready to be pasted. The namespace stands before the name, so that it works in any context.
pub fn typed(verb: &str, namespace: &str, name: &str) -> String {
    let target = if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") };
    match verb {
        "promote-full" => format!("kubectl leadsman promote {target} --full"),
        verb => format!("kubectl leadsman {verb} {target}"),
    }
}

/// The operator's sentence without the kubectl commands in it: the view has its own, which are shorter.
pub fn without_commands(sentence: &str) -> String {
    let Some((before, _)) = sentence.split_once("kubectl annotate") else { return sentence.trim().to_owned() };
    let ends: Vec<_> = ["; ", ". "].iter().filter_map(|end| before.rfind(end)).collect();
    let upto = ends.into_iter().max().unwrap_or(before.len());
    before.get(..upto).unwrap_or(before).trim_end_matches([':', ' ']).to_owned()
}

/// The operator's sentence without the word that it waits, where another word beside it says so.
pub fn without_verb(sentence: &str) -> &str {
    ["waiting ", "holding: "].iter().find_map(|verb| sentence.strip_prefix(verb)).unwrap_or(sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_loses_its_command_and_what_leads_to_it() {
        for (sentence, told) in [
            (
                "waiting for a person: a pause; to go on: kubectl annotate --overwrite x",
                "waiting for a person: a pause",
            ),
            ("AnalysisFailed: p99 is 0.8. To run it again: kubectl annotate x", "AnalysisFailed: p99 is 0.8"),
            (
                "not started: stable fails (p99). To release it all the same: kubectl annotate x; past all: kubectl annotate y",
                "not started: stable fails (p99)",
            ),
            ("kubectl annotate x", ""),
            ("nothing of that kind", "nothing of that kind"),
        ] {
            assert_eq!(without_commands(sentence), told);
        }
    }

    #[test]
    fn a_command_works_in_any_namespace() {
        assert_eq!(typed("promote-full", "shop", "cart"), "kubectl leadsman promote shop/cart --full");
        assert_eq!(typed("abort", "", "cart"), "kubectl leadsman abort cart");
    }
}
