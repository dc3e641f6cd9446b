//! The API server's word on a template, before anything is made of it: a field that it would refuse or drop is found before
//! a pod is started, and no revision is rejected for it after minutes of waiting.

use std::time::Duration;

use super::Pass;
use super::hold::Hold;
use crate::observed::Trial;
use crate::spec::{Problem, Reason};
use crate::time::after;

/// A template that was refused is tried again after this: the refusal may have been a policy's or a quota's.
const AGAIN_AFTER: Duration = Duration::from_mins(1);
/// The same where the API server could not be asked.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// What keeps the declared template from being used; `None` once the API server has said that it would take it.
pub(super) fn hold(pass: &mut Pass<'_>) -> Option<Hold> {
    let (view, declared) = (pass.view, &pass.view.rollout.hash);
    if is_known(pass) {
        return None;
    }
    match &view.seen.trial {
        None => {
            pass.wants_trial = true;
            Some(Hold::Unseen("what the API server says of the template"))
        }
        Some(Trial::Accepted) => {
            pass.state.tried = Some(declared.clone());
            None
        }
        Some(Trial::Refused(words)) => {
            pass.wake_at(after(view.now, AGAIN_AFTER));
            let message = format!("the API server does not take spec.template as it is: {words}");
            Some(Hold::Problem(Problem::new(Reason::InvalidTemplate, message)))
        }
        Some(Trial::Unknown(words)) => {
            pass.wake_at(after(view.now, ASK_AGAIN_AFTER));
            Some(Hold::Trial(words.clone()))
        }
    }
}

/// True when the API server takes the declared template: it has said so, or holds a set of it.
pub(super) fn is_known(pass: &Pass<'_>) -> bool {
    let declared = &pass.view.rollout.hash;
    pass.state.tried.as_ref() == Some(declared) || pass.view.set(declared).is_some()
}
