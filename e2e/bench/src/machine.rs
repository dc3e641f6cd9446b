//! What the figures were measured on, and what else it had to do.

use std::fs;
use std::time::Instant;

use serde::Serialize;

/// The machine, without its name.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Machine {
    pub cores: usize,
    /// GiB.
    pub memory: u64,
    pub kernel: String,
    pub processor: String,
    /// Processes that run or want to, on average of a minute: before the bench.
    pub load_before: String,
    /// The same after it.
    pub load_after: String,
    /// Percent of the time in which something waited for a processor.
    pub pressure: f64,
}

/// What the machine is compared with afterwards.
pub struct Before {
    at: Instant,
    pressure: f64,
}

impl Machine {
    /// As it is before anything is measured.
    pub fn here() -> (Self, Before) {
        let machine = Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory: memory_in(&read("/proc/meminfo")),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            processor: processor_in(&read("/proc/cpuinfo")),
            load_before: load(),
            load_after: String::new(),
            pressure: 0.0,
        };
        (machine, Before { at: Instant::now(), pressure: pressure_in(&read("/proc/pressure/cpu")) })
    }

    /// The same, now that everything has been measured.
    pub fn afterwards(&mut self, before: &Before) {
        self.load_after = load();
        let waited = pressure_in(&read("/proc/pressure/cpu")) - before.pressure;
        self.pressure = (waited / before.at.elapsed().as_secs_f64() * 100.0).round();
    }

    /// A line for people.
    pub fn line(&self) -> String {
        let Self { cores, memory, kernel, processor, load_before, load_after, pressure } = self;
        format!(
            "{cores} cores ({processor}), {memory} GiB, Linux {kernel}; load {load_before} before, {load_after} after; \
             something waited for a processor {pressure}% of the time"
        )
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Seconds since the machine was started in which something waited.
fn pressure_in(text: &str) -> f64 {
    let total = text.lines().find(|line| line.starts_with("some")).and_then(|line| line.rsplit_once("total="));
    let microseconds: u64 = total.and_then(|(_, total)| total.trim().parse().ok()).unwrap_or_default();
    microseconds as f64 / 1e6
}

fn load() -> String {
    read("/proc/loadavg").split_whitespace().next().unwrap_or_default().to_owned()
}

/// GiB, rounded up: some is taken before anything is counted.
fn memory_in(text: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or_default();
    let kibibytes: u64 = line.split_whitespace().next().and_then(|it| it.parse().ok()).unwrap_or_default();
    kibibytes.div_ceil(1 << 20)
}

fn processor_in(text: &str) -> String {
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map(|(_, name)| name.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_processor_are_read_as_the_kernel_writes_them() {
        assert_eq!(memory_in("MemTotal:       24606940 kB\nMemFree: 1 kB\n"), 24);
        assert_eq!(processor_in("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n"), "Some CPU @ 2 GHz");
        assert_eq!(memory_in(""), 0);
    }

    #[test]
    fn pressure_is_the_total_of_those_that_waited() {
        let text = "some avg10=58.01 avg60=74.37 avg300=80.60 total=13508924324\nfull avg10=0.00 total=7\n";
        assert!((pressure_in(text) - 13_508.924_324).abs() < 1e-6);
        assert!(pressure_in("") < 1e-9);
    }
}
