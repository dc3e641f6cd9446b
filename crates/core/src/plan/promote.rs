//! Promotion moves no pod: `stableService` follows to the new revision, then the split goes back to rest.

use super::{Fact, Next, Pass, follows};
use crate::names::Side;
use crate::state::Stage;
use crate::traffic::Weight;

pub(super) fn follow(pass: &mut Pass<'_>) -> Next {
    let (view, stable) = (pass.view, pass.state.stable.hash.clone());
    if let Some(hold) = pass.wait_for_binding(Side::Stable, &stable, view.replicas()) {
        return Next::Wait(hold);
    }
    if pass.state.split.decided != Weight::ZERO {
        // The same pods stand behind both Services: what is ready behind one is as good behind the other.
        let there = view.ready(Side::Canary, &stable);
        let needed = view.replicas().min(there).max(u32::from(view.replicas() > 0));
        let ready = view.endpoints(Side::Stable, &stable).unwrap_or(0);
        if ready < needed {
            return Next::Wait(view.lacks_endpoints(Side::Stable, &stable, needed));
        }
        follows::decide_rest(pass);
    }
    if let Some(hold) = pass.wait_for_split(Weight::ZERO) {
        return Next::Wait(hold);
    }
    pass.tell(Fact::Promoted { hash: stable, number: Some(pass.state.stable.number) });
    pass.state.stage = Stage::Resting;
    Next::Again
}
