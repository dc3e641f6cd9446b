//! What the API server's refusals mean to whoever typed the command.

use kube::Error;
use leadsman_core::text::{one_line, with_causes};

use crate::exit::{Exit, Failure};

/// Longest error, in characters.
const LONGEST: usize = 500;

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// As in "read Rollout shop/cart".
    pub what: &'a str,
    /// Kind and namespace/name of an object, where it is about one.
    pub object: Option<(&'a str, &'a str)>,
}

/// The failure of a request.
pub fn failure(asked: Asked<'_>, error: &Error) -> Failure {
    let cannot = |why: String| Failure::new(Exit::Unknown, format!("cannot {}: {why}", asked.what));
    match error {
        Error::Api(status) => match (status.code, asked.object) {
            // A kind that is not there is answered with a page, an object that is not there with its name.
            (404, _) if !status.message.contains("not found") || status.message.contains("page not found") => {
                cannot("this cluster does not know the kind".to_owned())
                    .advise("is Leadsman installed here? kubectl leadsman doctor")
            }
            (404, Some((kind, name))) => Failure::new(Exit::Unknown, format!("there is no {kind} {name}"))
                .advise("kubectl leadsman list -A shows where there are some"),
            (403, _) => cannot(format!("forbidden: {}", status.message))
                .advise("kubectl leadsman doctor lists the rights that it needs"),
            (401, _) => cannot("the API server does not know you (401)".to_owned()).advise("log in again"),
            _ => cannot(status.message.clone()),
        },
        other => cannot(chain(other)).advise("is the cluster reachable? kubectl version"),
    }
}

/// Whether asking again may help.
pub fn is_passing(error: &Error) -> bool {
    match error {
        Error::Api(status) => status.code >= 500 || status.code == 429 || status.code == 410,
        _ => true,
    }
}

/// An error with its causes on one line: the cause is what people know.
pub fn chain(error: &dyn std::error::Error) -> String {
    one_line(&with_causes(error, LONGEST), LONGEST)
}
