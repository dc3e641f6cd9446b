//! What a person can do about what is waited for: one clause for each reason that the operator gives, and for what pods say.

/// What helps, by what the pods say of themselves.
pub fn of_pods(words: &str) -> Option<&'static str> {
    let words = words.to_ascii_lowercase();
    let causes: [(&[&str], &str); 7] = [
        (
            &["imagepullbackoff", "errimagepull", "manifest unknown", "invalidimagename"],
            "push the image, or correct its name in Git",
        ),
        (&["oomkilled", "exit code 137"], "give the container more memory, or look for what uses it"),
        (&["unschedulable", "failedscheduling", "nodes are available"], "make room on the nodes, or ask for less"),
        (&["exceeded quota"], "raise the namespace's quota, or ask for less"),
        (
            &["createcontainerconfigerror", "not found", "couldn't find key"],
            "create the ConfigMap or Secret that it names",
        ),
        (&["crashloopbackoff", "exit code"], "look at its log"),
        (&["readiness gate"], "see who opens the readiness gate"),
    ];
    let says = |signs: &[&str]| signs.iter().any(|sign| words.contains(sign));
    causes.into_iter().find(|(signs, _)| says(signs)).map(|(_, cause)| cause)
}

/// What helps, by the word for what is waited for, or for what is wrong with the declaration.
pub fn of_reason(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "InvalidSpec" | "InvalidTemplate" => "correct the Rollout in Git",
        "InvalidAnalysis" => "correct the analysis, or the template that it names",
        "InvalidRoute" => "correct the route in Git, so that it names both Services",
        "RouteNotFound" => "create the route, or correct its name",
        "RouteNotAccepted" => "see why the route's parent refuses it",
        "RouteContended" => "find who else writes the weights of the route",
        "ServiceConflict" => "give the Service to the Rollout alone: take the selector out of Git",
        "ServiceNotFound" => "create the Service, or correct its name",
        "KindNotInstalled" => "install the CRDs of the route's kind",
        "SpecPaused" => "set spec.paused to false",
        "StableFails" => "mend what serves, or the limit, before the release",
        "StableWithoutData" => "correct the query, so that it finds what serves",
        "NoAnswer" => "see why the metric source does not answer",
        "Data" => "see whether the new pods show the metric at all",
        "SharedFailure" => "look beyond this release: what serves fails as well",
        "TrafficShare" => "see how clients reach the pods past the route",
        "StablePods" => "bring pods of what serves back",
        "ApiServer" => "see why the API server refuses the template",
        _ => return None,
    })
}

/// True where time or measurements have to come in as they were declared to; false where something is in the way.
pub fn is_as_declared(reason: &str) -> bool {
    matches!(reason, "Pause" | "Settling" | "Overlapping" | "Measurements" | "Observation")
}

/// True where a person has to decide.
pub fn is_for_a_person(reason: &str) -> bool {
    matches!(reason, "Person" | "SpecPaused" | "StableFails" | "StableWithoutData" | "NoAnswer")
}
