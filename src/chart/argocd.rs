//! What Argo CD is told of Rollouts: one action for each verb, and everything once more as it stands in `argocd-cm`.

use std::path::Path;

use leadsman_core::spec::Verb;

const FOLDER: &str = "argocd/resource_customizations/leadsman.dev/Rollout";

/// An action. The id makes one command of a button that is pressed twice while nothing has changed.
const ACTION: &str = "-- Written by cargo xtask chart. The command goes to the revision that the operator offers it for.
local verb = \"{verb}\"
local hash = nil
for _, command in ipairs(obj.status ~= nil and obj.status.commands or {}) do
  if command.verb == verb then
    hash = command.hash
  end
end
if hash == nil then
  error(verb .. \" is not offered in phase \" .. tostring(obj.status ~= nil and obj.status.phase))
end
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations[\"leadsman.dev/command\"] = verb .. \"/\" .. hash .. \"/argo-cd-\" .. obj.metadata.resourceVersion
obj.metadata.annotations[\"leadsman.dev/command-by\"] = \"Argo CD\"
return obj
";

/// Each file's path, with its contents.
pub(super) fn files() -> Vec<(String, String)> {
    let actions = Verb::ALL.map(|verb| (verb.as_str(), ACTION.replace("{verb}", verb.as_str())));
    let path = |verb| format!("{FOLDER}/actions/{verb}/action.lua");
    let map = ("argocd/argocd-cm.yaml".to_owned(), config_map(&actions));
    actions.iter().map(|(verb, text)| (path(verb), text.clone())).chain([map]).collect()
}

fn config_map(actions: &[(&str, String)]) -> String {
    let restart = ("restart", read("actions/restart/action.lua"));
    let definition = |(name, text): &(&str, String)| format!("- name: {name}\n  action.lua: |\n{}", indented(text, 4));
    let definitions: String = actions.iter().chain([&restart]).map(definition).collect();
    let discovery = indented(&read("actions/discovery.lua"), 2);
    let data = [
        ("health", read("health.lua")),
        ("actions", format!("discovery.lua: |\n{discovery}definitions:\n{definitions}")),
        // Or `cpu: 100m` in Git and `cpu: 0.1` are a difference.
        ("knownTypeFields", "- field: spec.template.spec\n  type: core/v1/PodSpec\n".to_owned()),
    ];
    let head = "# Written by cargo xtask chart.
apiVersion: v1
kind: ConfigMap
metadata:
  name: argocd-cm
  namespace: argocd
  labels: {app.kubernetes.io/name: argocd-cm, app.kubernetes.io/part-of: argocd}
data:
";
    let entry = |(what, text): (&str, String)| {
        format!("  resource.customizations.{what}.leadsman.dev_Rollout: |\n{}", indented(&text, 4))
    };
    [head.to_owned()].into_iter().chain(data.map(entry)).collect()
}

fn read(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER).join(file)).unwrap()
}

fn indented(text: &str, by: usize) -> String {
    let line = |line: &str| if line.is_empty() { "\n".to_owned() } else { format!("{:by$}{line}\n", "") };
    text.lines().map(line).collect()
}
