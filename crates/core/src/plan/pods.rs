//! Waiting for pods: how many there are, what they say of themselves, and what counts as progress.

use std::time::Duration;

use super::Pass;
use super::hold::Hold;
use crate::names::Hash;
use crate::state::Clock;
use crate::time::after;

/// How often pods that do not come up are asked for their words: a crash loop need not change any status that is watched.
const ASK_AGAIN: Duration = Duration::from_secs(5);
const ASK_AGAIN_AT_REST: Duration = Duration::from_mins(1);

/// Waits for pods of a revision, and asks what keeps them.
pub(super) fn wait(pass: &mut Pass<'_>, hash: &Hash, available: u32, needed: u32) -> Hold {
    ask(pass, hash);
    Hold::Pods { available, needed, words: pass.view.what_keeps(hash) }
}

/// Asks for the pods' own words.
pub(super) fn ask(pass: &mut Pass<'_>, hash: &Hash) {
    ask_every(pass, hash, ASK_AGAIN);
}

/// The same where nothing is under way: a set may lack pods for days.
pub(super) fn ask_at_rest(pass: &mut Pass<'_>, hash: &Hash) {
    ask_every(pass, hash, ASK_AGAIN_AT_REST);
}

fn ask_every(pass: &mut Pass<'_>, hash: &Hash, every: Duration) {
    pass.wants_words_of = Some(hash.clone());
    pass.wake_at(after(pass.view.now, every));
}

/// More canary pods than ever in this step is progress: the deadline's clock starts anew.
pub(super) fn note_ready(pass: &mut Pass<'_>, ready: u32) {
    if let Some(release) = pass.release_mut()
        && ready > release.most_ready
    {
        release.most_ready = ready;
        release.clock = Clock::default();
    }
}
