//! How many pods each side needs: one pure function, whatever carries the traffic.

use serde::{Deserialize, Serialize};

use super::{Carrier, Weight};

/// What a Rollout asks of its sizes, beside the share that is to be carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// What carries the traffic.
    pub carrier: Carrier,
    /// Pods at full size.
    pub replicas: u32,
    /// Stable never has less than this part of full size, before promotion.
    pub keep_stable: Weight,
    /// The canary never has fewer pods than this, where it has any.
    pub least_canary: u32,
}

/// Pods of both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Of stable.
    pub stable: u32,
    /// Of the canary.
    pub canary: u32,
}

impl Shape {
    /// The canary's part of all these pods, in percent; what it gets of the traffic where pods are all that shares it.
    pub fn share(self) -> Weight {
        share(self.stable, self.canary)
    }
}

/// The canary's part of so many pods, in percent, to the nearest.
pub fn share(stable: u32, canary: u32) -> Weight {
    let all = u64::from(stable) + u64::from(canary);
    let percent = (u64::from(canary) * 200 + all).checked_div(2 * all).unwrap_or(0);
    Weight::clamped(u32::try_from(percent).unwrap_or(100))
}

impl Sizes {
    /// Pods for a share. `least` is the least share that some proxy may still apply, `most` the largest; both are `asked`
    /// where nothing is moving.
    ///
    /// Where pods are all that shares the traffic, the shape is the one whose share is nearest to what is asked, with at
    /// least full size in all; of several the one with the smaller share, then the one with more stable pods.
    pub fn shape(self, asked: Weight, least: Weight, most: Weight) -> Shape {
        let Self { carrier, replicas, keep_stable, least_canary } = self;
        if replicas == 0 {
            return Shape { stable: 0, canary: 0 };
        }
        // Without one stable pod there is no way back.
        let kept = keep_stable.needs(replicas).max(1);
        let floor = least_canary.max(1);
        match carrier {
            Carrier::Routes => Shape {
                stable: least.rest().needs(replicas).max(kept),
                canary: asked.max(most).needs(replicas).max(floor),
            },
            Carrier::Service if asked == Weight::ZERO => Shape { stable: replicas, canary: floor },
            Carrier::Pods if asked == Weight::ZERO => Shape { stable: replicas, canary: 0 },
            Carrier::Service | Carrier::Pods if asked == Weight::FULL => {
                Shape { stable: kept, canary: replicas.max(floor) }
            }
            Carrier::Service | Carrier::Pods => nearest(asked, replicas, kept, floor.min(replicas)),
        }
    }
}

fn nearest(asked: Weight, replicas: u32, least_stable: u32, least_canary: u32) -> Shape {
    let (w, rest) = (u64::from(asked.percent()), u64::from(asked.rest().percent()));
    let canary_for = |stable: u32| {
        let exact = u64::from(stable) * w;
        let down = u32::try_from(exact.checked_div(rest).unwrap_or(0)).unwrap_or(u32::MAX);
        let least = least_canary.max(replicas.saturating_sub(stable));
        [down, down.saturating_add(1)].map(|canary| canary.clamp(least, replicas))
    };
    let shapes = (least_stable..=replicas).flat_map(|stable| canary_for(stable).map(|canary| Shape { stable, canary }));
    // How far from what is asked, as a fraction; compared without dividing.
    let off = |shape: &Shape| {
        let all = u64::from(shape.stable) + u64::from(shape.canary);
        (u128::from((100 * u64::from(shape.canary)).abs_diff(w * all)), u128::from(all))
    };
    let is_nearer = |a: &Shape, b: &Shape| {
        let ((a_off, a_all), (b_off, b_all)) = (off(a), off(b));
        let by_share = |shape: &Shape, all: u128| u128::from(shape.canary) * all;
        (a_off * b_all)
            .cmp(&(b_off * a_all))
            .then(by_share(a, b_all).cmp(&by_share(b, a_all)))
            .then(b.stable.cmp(&a.stable))
    };
    shapes.min_by(is_nearer).unwrap_or(Shape { stable: replicas, canary: least_canary })
}

/// A number of pods, or a part of full size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Amount {
    /// So many.
    Pods(u32),
    /// So much of full size, at least one.
    Percent(Weight),
}

impl Amount {
    /// In pods, at least one.
    pub fn of(self, replicas: u32) -> u32 {
        match self {
            Self::Pods(pods) => pods,
            Self::Percent(percent) => percent.needs(replicas),
        }
        .max(1)
    }
}

/// The least number of stable pods that all traffic may be sent to at once: half of the full size.
pub fn half_of_stable(replicas: u32) -> u32 {
    replicas.div_ceil(2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shape(carrier: Carrier, replicas: u32, keep: u32, asked: u32) -> (u32, u32) {
        let sizes = Sizes { carrier, replicas, keep_stable: Weight::clamped(keep), least_canary: 1 };
        let asked = Weight::clamped(asked);
        let Shape { stable, canary } = sizes.shape(asked, asked, asked);
        (stable, canary)
    }

    #[test]
    fn behind_routes_a_canary_has_the_pods_of_its_share_and_at_least_one() {
        for (replicas, keep, asked, pods) in [
            (4, 100, 0, (4, 1)),
            (4, 100, 5, (4, 1)),
            (4, 100, 26, (4, 2)),
            (4, 100, 100, (4, 4)),
            (10, 100, 1, (10, 1)),
            (0, 100, 50, (0, 0)),
            (1, 100, 50, (1, 1)),
            (10, 50, 30, (7, 3)),
            (10, 50, 80, (5, 8)),
            (10, 0, 100, (1, 10)),
        ] {
            assert_eq!(shape(Carrier::Routes, replicas, keep, asked), pods, "{asked}% of {replicas}, {keep}% kept");
        }
        let sizes = Sizes { carrier: Carrier::Routes, replicas: 4, keep_stable: Weight::ZERO, least_canary: 2 };
        let moving = sizes.shape(Weight::clamped(5), Weight::ZERO, Weight::clamped(60));
        assert_eq!((moving.stable, moving.canary), (4, 3), "what some proxy may still apply is carried on both sides");
        let calm = sizes.shape(Weight::clamped(5), Weight::clamped(5), Weight::clamped(5));
        assert_eq!(calm.canary, 2, "minCanaryPods");
    }

    #[test]
    fn without_a_proxy_the_share_is_that_of_the_pods() {
        for (replicas, keep, asked, pods) in [
            (4, 100, 5, (4, 1)),
            (4, 100, 25, (4, 1)),
            (4, 100, 40, (4, 3)),
            (4, 100, 50, (4, 4)),
            (4, 50, 60, (2, 3)),
            (4, 0, 80, (1, 4)),
            (1, 100, 1, (1, 1)),
            (1, 0, 99, (1, 1)),
            (10, 100, 9, (10, 1)),
            (5, 0, 75, (2, 5)),
            (4, 100, 0, (4, 1)),
            (4, 100, 100, (4, 4)),
            (4, 50, 100, (2, 4)),
            (0, 100, 50, (0, 0)),
        ] {
            assert_eq!(shape(Carrier::Service, replicas, keep, asked), pods, "{asked}% of {replicas}, {keep}% kept");
        }
        assert_eq!(shape(Carrier::Pods, 4, 100, 0), (4, 0), "a worker without a share has no pod");
        assert_eq!(shape(Carrier::Pods, 4, 100, 25), (4, 1));
    }

    #[test]
    fn an_amount_is_at_least_one_pod() {
        assert_eq!([Amount::Pods(0), Amount::Pods(3)].map(|amount| amount.of(10)), [1, 3]);
        assert_eq!(Amount::Percent(Weight::clamped(25)).of(10), 3);
        assert_eq!(Amount::Percent(Weight::ZERO).of(10), 1);
    }

    #[test]
    fn half_of_an_odd_number_is_the_larger_half() {
        assert_eq!([0, 1, 2, 3, 4, 5].map(half_of_stable), [0, 1, 1, 2, 2, 3]);
    }

    proptest! {
        #[test]
        fn capacity_never_falls_below_full_size_and_stable_never_below_what_is_kept(
            replicas in 1u32..60, keep in 0u32..=100, asked in 0u32..=100, pods in any::<bool>(),
        ) {
            let carrier = if pods { Carrier::Pods } else { Carrier::Service };
            let (stable, canary) = shape(carrier, replicas, keep, asked);
            prop_assert!(stable + canary >= replicas);
            prop_assert!(stable >= Weight::clamped(keep).needs(replicas) && stable <= replicas);
            prop_assert!(canary <= replicas);
        }

        #[test]
        fn no_other_shape_is_nearer_to_what_is_asked(replicas in 1u32..25, keep in 0u32..=100, asked in 1u32..100) {
            let (stable, canary) = shape(Carrier::Service, replicas, keep, asked);
            let off = |s: u32, c: u32| (f64::from(100 * c) / f64::from(s + c) - f64::from(asked)).abs();
            let least = Weight::clamped(keep).needs(replicas).max(1);
            for s in least..=replicas {
                for c in 1..=replicas {
                    prop_assert!(s + c < replicas || off(stable, canary) <= off(s, c) + 1e-9, "({s},{c})");
                }
            }
        }
    }
}
