//! Variables in queries: `{{args.NAME}}`, `{{namespace}}`, `{{canary.hash}}`, `{{window}}` and the rest of the list in
//! the API reference. Arguments and names are filled in when a release begins, the rest at each question.

use std::collections::BTreeMap;
use std::time::Duration;

/// Fills in what `known` gives a value for.
///
/// # Errors
/// A sentence that names the first variable which has none, and those that there are.
pub fn render(query: &str, known: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut rendered = String::with_capacity(query.len());
    let mut rest = query;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, behind)) = after.split_once("}}") else {
            return Err("has {{ without }}".to_owned());
        };
        let name = name.trim();
        let Some(value) = known(name) else {
            return Err(format!(
                "names {{{{{name}}}}}, which is not known here; known are {{{{args.NAME}}}} for declared arguments, {}",
                LATER.iter().chain(&FIRST).map(|name| format!("{{{{{name}}}}}")).collect::<Vec<_>>().join(", ")
            ));
        };
        rendered.push_str(before);
        rendered.push_str(&value);
        rest = behind;
    }
    rendered.push_str(rest);
    Ok(rendered)
}

/// Known when a release begins.
pub const FIRST: [&str; 4] = ["namespace", "rollout", "canary.service", "stable.service"];

/// Known only when a question is asked.
pub const LATER: [&str; 3] = ["canary.hash", "stable.hash", "window"];

/// Fills in arguments and names, and leaves the variables of [`LATER`] for each question.
///
/// # Errors
/// As [`render`]: an unknown variable or an argument without a value is found before any traffic moves.
pub fn prepare(
    query: &str,
    args: &BTreeMap<String, String>,
    names: &dyn Fn(&str) -> Option<String>,
) -> Result<String, String> {
    render(query, &|name| {
        if LATER.contains(&name) {
            return Some(format!("{{{{{name}}}}}"));
        }
        name.strip_prefix("args.").map_or_else(|| names(name), |arg| args.get(arg).cloned())
    })
}

/// True when another revision in the canary's place makes another query.
pub fn names_canary(query: &str) -> bool {
    let with = |canary: &str| complete(query, canary, "stable", Duration::ZERO);
    with("one") != with("another")
}

/// Fills in the rest. `window` is rounded down to whole seconds and at least one; what counts from look to look names it
/// to the millisecond.
pub fn complete(query: &str, canary: &str, stable: &str, window: Duration) -> String {
    let interval = format!("{}ms", window.as_millis().max(1));
    let window = format!("{}s", window.as_secs().max(1));
    let known = |name: &str| match name {
        "canary.hash" => Some(canary.to_owned()),
        "stable.hash" => Some(stable.to_owned()),
        "window" => Some(window.clone()),
        "interval" => Some(interval.clone()),
        _ => None,
    };
    render(query, &known).unwrap_or_else(|_| query.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_filled_in_in_two_stages() {
        let args = [("job".to_owned(), "shop".to_owned())].into();
        let names = |name: &str| (name == "namespace").then(|| "prod".to_owned());
        let query = r#"rate(r{job="{{ args.job }}",namespace="{{namespace}}",rev="{{canary.hash}}"}[{{window}}])"#;
        let prepared = prepare(query, &args, &names).unwrap();
        let complete = complete(&prepared, "abc", "def", Duration::from_millis(61_900));
        assert_eq!(complete, r#"rate(r{job="shop",namespace="prod",rev="abc"}[61s])"#);
    }

    #[test]
    fn an_unknown_variable_or_argument_is_named() {
        let none = |_: &str| None;
        let wrong = prepare("x{{args.job}}", &BTreeMap::new(), &none).unwrap_err();
        assert!(wrong.contains("{{args.job}}") && wrong.contains("{{window}}"), "{wrong}");
        assert!(prepare("x{{canry.hash}}", &BTreeMap::new(), &none).is_err());
        assert!(prepare("x{{window", &BTreeMap::new(), &none).is_err());
    }
}
