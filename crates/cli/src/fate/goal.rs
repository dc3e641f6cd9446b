//! What is waited for.

use std::str::FromStr;

/// What is waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Goal {
    /// It serves.
    #[default]
    Promoted,
    /// Any end.
    Settled,
    /// It is a person's turn.
    Paused,
    /// A step has begun; the first is 1.
    Step(i32),
    /// It has so many percent of the traffic in force.
    Weight(i32),
    /// It was rolled back: for drills.
    RolledBack,
    /// What is declared was accepted, and stable serves.
    Serving,
}

impl FromStr for Goal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || {
            format!("{text:?} is nothing to wait for: promoted, settled, paused, step=N, weight=N, rolledback, serving")
        };
        let number = |number: &str| number.trim_end_matches('%').parse::<i32>().map_err(|_| unknown());
        match (text, text.split_once('=')) {
            ("promoted", _) => Ok(Self::Promoted),
            ("settled", _) => Ok(Self::Settled),
            ("paused", _) => Ok(Self::Paused),
            ("rolledback", _) => Ok(Self::RolledBack),
            ("serving", _) => Ok(Self::Serving),
            (_, Some(("step", value))) => number(value).map(Self::Step),
            (_, Some(("weight", value))) => number(value).map(Self::Weight),
            _ => Err(unknown()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_read() {
        assert_eq!("step=3".parse(), Ok(Goal::Step(3)));
        assert_eq!("weight=20%".parse(), Ok(Goal::Weight(20)));
        assert_eq!("rolledback".parse(), Ok(Goal::RolledBack));
        assert!("healthy".parse::<Goal>().unwrap_err().contains("promoted, settled"));
    }
}
