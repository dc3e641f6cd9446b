//! The table that controllers are compared by: figures of several scenarios, measured one after the other on one machine.

use std::time::Duration;

use crate::arguments::{Common, What};
use crate::report::{Report, Results};

/// The figures that are taken from the scenarios, in their order: which of the scenarios, what it is called there, and here.
const FIGURES: [(usize, &str, &str); 21] = [
    (0, "until promoted, min / median / max", "one release: until promoted, min / median / max"),
    (0, "CPU until promoted", "one release: CPU until promoted"),
    (0, "CPU with a tail of 45 s", "one release: CPU with a tail of 45 s"),
    (0, "requests without leases", "one release: requests without leases"),
    (0, "writes without events", "one release: writes without events"),
    (0, "of them of a status", "one release: of them of a status"),
    (0, "events", "one release: events"),
    (0, "peak memory", "ten releases: peak memory"),
    (1, "100 settled: resident memory", "100 settled: resident memory"),
    (1, "500 settled: resident memory", "500 settled: resident memory"),
    (1, "1000 settled: resident memory", "1000 settled: resident memory"),
    (1, "each further one", "each further one"),
    (1, "1000 settled: requests without leases", "1000 settled: requests without leases in 60 s"),
    (1, "1000 settled: requests of the lease", "1000 settled: requests of the lease in 60 s"),
    (1, "1000 settled: CPU", "1000 settled: CPU of 60 s"),
    (2, "until promoted, min / median / max", "100 of 500 at once: until promoted, min / median / max"),
    (2, "the same of each", "100 of 500 at once: CPU of each until all are promoted"),
    (2, "peak memory until then", "100 of 500 at once: peak memory"),
    (3, "from Prometheus to weight 0, min / median / max", "20 fail, every 5 s: to weight 0, min / median / max"),
    (3, "requests without leases", "20 fail: requests of one"),
    (4, "from Prometheus to weight 0, min / median / max", "100 fail, every 10 s: to weight 0, min / median / max"),
];

/// The scenarios.
pub fn parts(common: &Common) -> [What; 5] {
    let common = || common.clone();
    let rollback =
        |objects, seconds| What::Rollback { objects, interval: Duration::from_secs(seconds), common: common() };
    [
        What::Release { objects: 10, common: common() },
        What::Idle { objects: vec![100, 500, 1000], window: Duration::from_mins(1), common: common() },
        What::Wave { objects: 500, at_once: 100, common: common() },
        rollback(20, 5),
        rollback(100, 10),
    ]
}

/// The table of what was measured in them.
pub fn of(reports: &[Report], scenario: &'static str, work: String) -> Report {
    let machine = reports.last().map(|report| report.machine.clone()).unwrap_or_default();
    let contenders = reports.first().map(|report| &report.results[..]).unwrap_or_default();
    let results = contenders.iter().enumerate().map(|(index, of)| {
        let mut results = Results::of(&of.contender);
        for (scenario, name, title) in FIGURES {
            let part = reports.get(scenario).and_then(|report| report.results.get(index));
            let figure = part.and_then(|results| results.figure(name));
            results.figures.extend(figure.map(|figure| figure.named(title)));
        }
        results
    });
    Report { scenario, work, machine, results: results.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Arguments;
    use clap::Parser as _;

    #[test]
    fn figures_of_all_scenarios_stand_beside_each_other_for_each_contender() {
        let line = ["bench", "table", "--operator", "x"];
        let What::Table { common } = Arguments::parse_from(line).what else { panic!("not the table") };
        let report = |seconds: f64| {
            let results = ["Leadsman", "Flagger"].map(|name| {
                let mut results = Results::of(name);
                results.number("requests without leases", "", seconds);
                results
            });
            Report {
                scenario: "x",
                work: String::new(),
                machine: crate::machine::Machine::default(),
                results: results.into(),
            }
        };
        let reports: Vec<_> = parts(&common).iter().zip(1..).map(|(_, number)| report(f64::from(number))).collect();
        let table = of(&reports, "table", String::new());
        assert_eq!(table.results.len(), 2);
        let names: Vec<_> = table.results[1].figures.iter().map(|figure| figure.name.as_str()).collect();
        assert_eq!(names, ["one release: requests without leases", "20 fail: requests of one"]);
    }
}
