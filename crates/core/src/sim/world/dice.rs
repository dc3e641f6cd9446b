//! What the simulator throws.

use std::time::Duration;

pub(in crate::sim) use crate::dice::Dice;

impl Dice {
    pub(in crate::sim) fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound.max(1)
    }

    pub(in crate::sim) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(in crate::sim) fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()].clone()
    }

    /// A duration up to `most` milliseconds.
    pub(in crate::sim) fn up_to(&mut self, most: u64) -> Duration {
        Duration::from_millis(self.below(most + 1))
    }
}
