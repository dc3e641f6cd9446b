//! `set image`: a change of what is declared, and so only where this is the place to declare it.

use leadsman_api::Rollout;
use serde_json::{Value, json};

use super::declared::{Declared, declared};
use crate::args;
use crate::exit::{Exit, Failure, Outcome};
use crate::session::Session;

/// Changes the images of containers, or says where that has to be done instead.
///
/// # Errors
/// Where Git declares the Rollout, a container is not there, or it cannot be written.
pub async fn set_image(session: &mut Session, args: &args::Image) -> Outcome {
    let (namespace, name) = session.resolve(&args.name);
    let rollout = session.cluster.rollout(&namespace, &name).await?;
    let (containers, changes) = changed(&rollout, &args.images)?;
    if changes.is_empty() {
        session.screen.line(&format!("{namespace}/{name} declares that already"))?;
        return Ok(Exit::Done);
    }
    match declared(session, &rollout) {
        Declared::InGit { by } if !args.anyway => return Err(in_git(&name, &by, &changes)),
        Declared::InGit { by } => {
            let question = format!("Git ({by}) will write its own image again. Do it all the same?");
            if !session.screen.confirm(&question, args.yes)? {
                return Ok(Exit::Done);
            }
        }
        Declared::ByHelm { release } => {
            session
                .screen
                .note(&format!("warning: Helm declares it: the next upgrade of {release} writes its own image again"));
        }
        Declared::ByHand => {}
    }
    let patch = json!({
        "metadata": {"resourceVersion": rollout.metadata.resource_version},
        "spec": {"template": {"spec": {"containers": containers}}},
    });
    if session.cluster.patch(&namespace, &name, &patch).await?.is_err() {
        let what = format!("{namespace}/{name} changed meanwhile, and nothing was written");
        return Err(Failure::new(Exit::Unknown, what).advise("look at it, and try again"));
    }
    session.screen.line(&format!("{namespace}/{name}: {}", told(&changes)))?;
    session.screen.note(&format!("follow it: kubectl leadsman get -n {namespace} {name} -w"));
    Ok(Exit::Done)
}

/// An image that changes.
struct Change {
    container: String,
    before: String,
    after: String,
}

/// All containers with their new images, and what differs.
fn changed(rollout: &Rollout, wanted: &[(String, String)]) -> Result<(Vec<Value>, Vec<Change>), Failure> {
    let template = rollout.spec.template.as_value();
    let mut containers = template.pointer("/spec/containers").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut changes = Vec::new();
    for (name, image) in wanted {
        let known: Vec<_> = containers.iter().filter_map(|it| it.get("name")?.as_str()).map(str::to_owned).collect();
        let found = containers.iter_mut().find(|it| it.get("name").and_then(Value::as_str) == Some(name));
        let Some(container) = found.and_then(Value::as_object_mut) else {
            let what = format!("there is no container {name}");
            return Err(Failure::new(Exit::Usage, what).advise(format!("there is {}", known.join(", "))));
        };
        let before = container.insert("image".to_owned(), json!(image));
        let before = before.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
        if before != *image {
            changes.push(Change { container: name.clone(), before, after: image.clone() });
        }
    }
    Ok((containers, changes))
}

fn in_git(name: &str, by: &str, changes: &[Change]) -> Failure {
    let what = format!("{name} is declared in Git ({by}); the change would be undone");
    let mut failure = Failure::new(Exit::Stuck, what).advise("in Git:");
    for change in changes {
        failure =
            failure.advise(format!("  -   image: {}", change.before)).advise(format!("  +   image: {}", change.after));
    }
    failure.advise("--anyway does it all the same")
}

fn told(changes: &[Change]) -> String {
    let all = changes.iter().map(|it| format!("container {}: {} -> {}", it.container, it.before, it.after));
    all.collect::<Vec<_>>().join(", ")
}
