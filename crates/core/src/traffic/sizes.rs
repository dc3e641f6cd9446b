//! How many pods each side needs.

use crate::traffic::Weight;

/// Pods of the canary.
///
/// `asked` is the largest share that it is to carry, `reached` the largest that may still be sent to it. At least one pod,
/// so that a step without traffic has something to test; none where the Rollout is to have none.
pub fn canary(replicas: u32, asked: Weight, reached: Weight) -> u32 {
    asked.max(reached).needs(replicas).max(u32::from(replicas > 0))
}

/// The least number of stable pods that all traffic may be sent to at once: half of the full size.
pub fn half_of_stable(replicas: u32) -> u32 {
    replicas.div_ceil(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_has_the_pods_of_the_larger_share_and_at_least_one() {
        let size = |replicas, asked, reached| canary(replicas, Weight::clamped(asked), Weight::clamped(reached));
        for (replicas, asked, reached, pods) in [
            (4, 0, 0, 1),
            (4, 5, 0, 1),
            (4, 26, 0, 2),
            (4, 5, 60, 3),
            (4, 100, 0, 4),
            (10, 1, 0, 1),
            (0, 50, 50, 0),
            (1, 50, 0, 1),
        ] {
            assert_eq!(size(replicas, asked, reached), pods, "{asked}% of {replicas}, {reached}% still sent");
        }
    }

    #[test]
    fn half_of_an_odd_number_is_the_larger_half() {
        assert_eq!([0, 1, 2, 3, 4, 5].map(half_of_stable), [0, 1, 1, 2, 2, 3]);
    }
}
