//! What may go wrong in a run, and every single thing that does: numbered as it is drawn, so that a run can be played again
//! with most of it left out.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use super::process::Fate;
use super::world::Dice;
use crate::traffic::Carrier;

/// What may go wrong in a run.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(super) struct Faults {
    pub(super) crashes: bool,
    pub(super) lag: bool,
    /// Writes that meet with 409, 429 or 500: a moment later they may succeed.
    pub(super) refusals: bool,
    /// Writes that are done although their answer is lost.
    pub(super) lost_answers: bool,
    /// Writes that time out and arrive seconds later, if what they were decided on still holds.
    pub(super) delayed_writes: bool,
    /// For minutes one kind cannot be written (a webhook, a quota), or the API server is gone.
    pub(super) outages: bool,
    pub(super) pods_fail: bool,
    pub(super) people: bool,
    /// An autoscaler.
    pub(super) scaling: bool,
    /// An operator that lost its lease makes one more pass beside its successor.
    pub(super) two_at_once: bool,
    /// The wall clock is set, forward and back.
    pub(super) clock_steps: bool,
    /// Proxies follow later than `settle`, now and then.
    pub(super) slow_proxies: bool,
    /// What Git declares of Services, routes and ports changes, at any time and in any order.
    pub(super) moves: bool,
    /// The mesh gives the share of a revision without a ready pod to the other one, as Linkerd does.
    pub(super) spilling: bool,
    /// What carries the traffic; no fault, but drawn with them.
    pub(super) carrier: Carrier,
}

impl Faults {
    /// The same with something else that carries the traffic. Where there are no routes, none are moved and none spill.
    pub(super) fn carried_by(self, carrier: Carrier) -> Self {
        let has_routes = carrier == Carrier::Routes;
        Self { carrier, moves: self.moves && has_routes, spilling: self.spilling && has_routes, ..self }
    }

    /// Each of them with even odds.
    pub(super) fn drawn(seed: u64) -> Self {
        let bit = |index: u64| (seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (20 + index)) & 1 == 1;
        Self {
            crashes: bit(0),
            lag: bit(1),
            refusals: bit(2),
            lost_answers: bit(3),
            pods_fail: bit(4),
            people: bit(5),
            two_at_once: bit(6),
            clock_steps: bit(7),
            delayed_writes: bit(8),
            outages: bit(9),
            scaling: bit(10),
            slow_proxies: bit(11) && bit(12),
            moves: bit(13),
            spilling: bit(14),
            carrier: Carrier::Routes,
        }
    }
}

/// What an undisturbed cluster takes to deliver a watch event.
const PROMPT: Duration = Duration::from_millis(20);

/// Everything that goes wrong in a run.
pub(super) struct Disturbances {
    dice: Dice,
    faults: Faults,
    drawn: u64,
    kept: Option<Rc<BTreeSet<u64>>>,
    struck: BTreeSet<u64>,
}

impl Disturbances {
    /// All that are drawn, or only those of these numbers.
    pub(super) fn new(seed: u64, faults: Faults, kept: Option<Rc<BTreeSet<u64>>>) -> Self {
        Self { dice: Dice::new(!seed), faults, drawn: 0, kept, struck: BTreeSet::new() }
    }

    /// Numbers the next one; true when it is to happen.
    pub(super) fn strikes(&mut self) -> bool {
        self.drawn += 1;
        let kept = self.kept.as_ref().is_none_or(|kept| kept.contains(&self.drawn));
        if kept {
            self.struck.insert(self.drawn);
        }
        kept
    }

    /// Those that happened.
    pub(super) fn struck(&self) -> &BTreeSet<u64> {
        &self.struck
    }

    /// How the next write ends.
    pub(super) fn fate(&mut self) -> Fate {
        let faults = self.faults;
        let late = self.dice.up_to(8_000);
        let fate = match self.dice.below(100) {
            0..3 if faults.crashes => Fate::CrashBefore,
            3..6 if faults.crashes => Fate::CrashAfter,
            6..14 if faults.refusals => Fate::Refused,
            14..20 if faults.lost_answers => Fate::AnswerLost,
            20..26 if faults.delayed_writes => Fate::Delayed(late),
            _ => return Fate::Done,
        };
        if self.strikes() { fate } else { Fate::Done }
    }

    /// How long something takes that a healthy cluster does at once, and a sick one within `most` milliseconds.
    pub(super) fn lag(&mut self, most: u64) -> Duration {
        let prompt = self.dice.up_to(u64::try_from(PROMPT.as_millis()).unwrap());
        if !self.faults.lag {
            return prompt;
        }
        let slow = self.dice.up_to(most);
        if self.strikes() { slow } else { prompt }
    }

    /// A die of its own for the next thing that somebody does, or `None` where that is left out.
    pub(super) fn mischief(&mut self) -> Option<Dice> {
        let dice = Dice::new(self.dice.bits());
        self.strikes().then_some(dice)
    }

    /// A delay up to `most` milliseconds that is no disturbance.
    pub(super) fn up_to(&mut self, most: u64) -> Duration {
        self.dice.up_to(most)
    }
}
