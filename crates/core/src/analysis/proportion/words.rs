//! What a proportion shows, in one line for people: shares with two digits, whole requests.

use super::sequence::{lower, requests_to_pass, upper};
use super::{Counts, Failed, Finding, Gate, Proportion};

/// Share of the canary as it is shown: at its present weight, or, once it failed, in the whole attempt.
pub fn value(gate: &Gate, finding: Finding) -> String {
    let counts = counts(gate, finding);
    if counts.total > 0.0 { percent(counts.share()) } else { String::new() }
}

fn counts(gate: &Gate, finding: Finding) -> Counts {
    if matches!(finding, Finding::Failed(_)) { gate.whole } else { gate.seen }
}

/// What the numbers are, what they are held against, and how sure that is.
pub fn because(gate: &Gate, proportion: &Proportion, finding: Finding) -> String {
    let counts = counts(gate, finding);
    let Counts { bad, total } = counts;
    let of = format!("{} of {} requests", whole(bad), whole(total));
    let stable = if matches!(finding, Finding::Failed(_)) { gate.whole_stable } else { gate.seen_stable };
    let beside = if stable.total > 0.0 {
        format!("; stable {} of {}", percent(stable.share()), whole(stable.total))
    } else {
        String::new()
    };
    let confidence = proportion.confidence;
    let limit = proportion.limit.map(|limit| format!(", limit {}", limit.max)).unwrap_or_default();
    let margin = proportion.against.map(|against| points(against.margin.as_f64())).unwrap_or_default();
    match finding {
        Finding::Failed(Failed::AllFailed) => {
            format!("{of}{limit}: every one of the last failed{beside}")
        }
        Finding::Failed(Failed::AboveLimit) => {
            let (least, looks) = (percent(lower(bad, total, proportion.alpha())), gate.intervals);
            format!(
                "{of}{limit}: above it at {confidence} however often one looks ({looks} looks){beside}; the true share is \
                 above {least} if requests fail independently"
            )
        }
        Finding::Failed(Failed::WorseThanStable) => {
            format!(
                "{of}{limit}: worse than stable by more than {margin} at {confidence} however often one looks{beside}"
            )
        }
        Finding::SharedFailure => {
            format!("{of}{limit}{beside}: both are above it, nothing is held against the new revision")
        }
        Finding::Failed(Failed::SharedFailure) => {
            format!("{of}{limit}{beside}: both are above it, which counts as a failure (onSharedFailure: Fail)")
        }
        Finding::NoRequest => {
            format!("no request reached the new revision{beside}")
        }
        Finding::Shown => {
            let below = proportion.limit.map(|limit| format!("below {} at {confidence}", limit.pass_below));
            let within = proportion
                .against
                .map(|against| format!("no more than {} above stable", points(against.pass_within.as_f64())));
            format!("{of}{limit}: {}{beside}", below.into_iter().chain(within).collect::<Vec<_>>().join(", "))
        }
        Finding::TooFew | Finding::WorseLately | Finding::NotYetBelowLimit | Finding::NotYetAsGoodAsStable => {
            format!("{of}{limit}: {}{beside}", undecided(gate, proportion, finding))
        }
    }
}

fn undecided(gate: &Gate, proportion: &Proportion, finding: Finding) -> String {
    let Counts { bad, total } = gate.window();
    let (over_limit, over_stable) = gate.evidence();
    let evidence = format!("evidence {:.1} of {:.0}", over_limit.max(over_stable), proportion.threshold());
    match (finding, proportion.limit, proportion.against) {
        (Finding::TooFew, ..) => "not decided, too few looks yet".to_owned(),
        (Finding::NotYetBelowLimit, Some(limit), _) => {
            let (below, alpha) = (limit.pass_below, proportion.alpha());
            let needed = requests_to_pass(gate.window().share(), below.as_f64(), alpha);
            let after = needed.map(|needed| format!(", after about {} requests", whole(needed as f64)));
            let shown = percent(upper(bad, total, alpha));
            let after = after.unwrap_or_default();
            format!("not decided, below {shown} so far (passes below {below}{after}); {evidence}")
        }
        (Finding::NotYetAsGoodAsStable, _, Some(against)) => {
            let within = points(against.pass_within.as_f64());
            format!("not yet shown to be within {within} of stable; {evidence}")
        }
        _ => format!("not decided, worse lately; {evidence}"),
    }
}

/// A share with two digits that tell: 3.1%, 0.33%, 12%.
pub fn percent(share: f64) -> String {
    format!("{}%", digits(share * 100.0))
}

fn points(share: f64) -> String {
    format!("{} points", digits(share * 100.0))
}

fn digits(number: f64) -> String {
    let decimals: usize = match number {
        number if number >= 10.0 || number == 0.0 => 0,
        number if number >= 1.0 => 1,
        number if number >= 0.1 => 2,
        number if number >= 0.01 => 3,
        _ => 4,
    };
    let text = format!("{number:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A count as people write it: 1,204.
pub fn whole(count: f64) -> String {
    let digits = format!("{:.0}", count.max(0.0));
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_write_them() {
        assert_eq!([0.0, 12.4, 1204.0, 1_234_567.8].map(whole), ["0", "12", "1,204", "1,234,568"]);
        assert_eq!(
            [0.0, 0.000_33, 0.003_33, 0.031, 0.1234, 1.0].map(percent),
            ["0%", "0.033%", "0.33%", "3.1%", "12%", "100%"]
        );
    }
}
