//! Waiting for pods: how many there are, what they say of themselves, and what counts as progress.

use std::time::Duration;

use super::Pass;
use super::hold::Hold;
use crate::names::Hash;
use crate::state::Clock;
use crate::time::after;

/// How often pods that do not come up are asked for their words: a crash loop need not change any status that is watched.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Waits for pods of a revision, and asks what keeps them.
pub(super) fn wait(pass: &mut Pass<'_>, hash: &Hash, available: u32, needed: u32) -> Hold {
    ask(pass, hash);
    Hold::Pods { available, needed, words: pass.view.words(hash) }
}

/// Asks for the pods' own words.
pub(super) fn ask(pass: &mut Pass<'_>, hash: &Hash) {
    pass.wants_words_of = Some(hash.clone());
    pass.wake_at(after(pass.view.now, ASK_AGAIN));
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
