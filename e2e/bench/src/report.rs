//! What was measured: printed as a table or as JSON, and kept as JSON.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Serialize;

use crate::machine::Machine;
use crate::requests::Requests;
use crate::spread::Spread;
use crate::table::Table;

/// All of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Which scenario, like `wave`.
    pub scenario: &'static str,
    /// With what, in a sentence.
    pub work: String,
    pub machine: Machine,
    /// In the order in which they were measured.
    pub results: Vec<Results>,
}

/// Of one controller.
#[derive(Debug, Serialize)]
pub struct Results {
    pub contender: String,
    pub figures: Vec<Figure>,
    /// By verb and kind, what stands in the title of the table.
    pub requests: Vec<(String, f64)>,
    /// What that is: "requests of one release".
    pub requests_title: String,
}

/// One thing that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    pub name: String,
    pub unit: &'static str,
    pub value: Measured,
}

/// A number, or several that belong together.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Measured {
    Number(f64),
    Spread(Spread),
}

impl Figure {
    /// The same under another name.
    pub fn named(&self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self.clone() }
    }
}

impl Results {
    /// Nothing yet.
    pub fn of(contender: &str) -> Self {
        Self {
            contender: contender.to_owned(),
            figures: Vec::new(),
            requests: Vec::new(),
            requests_title: String::new(),
        }
    }

    /// Adds a number.
    pub fn number(&mut self, name: impl Into<String>, unit: &'static str, value: f64) {
        self.figures.push(Figure { name: name.into(), unit, value: Measured::Number(value) });
    }

    /// Adds seconds, where there are any.
    pub fn spread(&mut self, name: impl Into<String>, values: impl IntoIterator<Item = f64>) {
        let spread = Spread::of(values).map(Measured::Spread);
        self.figures.extend(spread.map(|value| Figure { name: name.into(), unit: "s", value }));
    }

    /// Adds the requests, divided by how many caused them.
    pub fn requests(&mut self, title: &str, requests: &Requests, divided_by: f64) {
        title.clone_into(&mut self.requests_title);
        self.requests =
            requests.by_kind().into_iter().map(|(kind, number)| (kind, number as f64 / divided_by)).collect();
    }

    /// The figure of this name.
    pub fn figure(&self, name: &str) -> Option<&Figure> {
        self.figures.iter().find(|it| it.name == name)
    }
}

impl Report {
    /// For people, as Markdown.
    pub fn text(&self) -> String {
        let mut text = format!("{}: {}\n{}\n\n", self.scenario, self.work, self.machine.line());
        text.push_str(&self.figures());
        if self.results.iter().any(|it| !it.requests.is_empty()) {
            text.push('\n');
            text.push_str(&self.requests());
        }
        text
    }

    fn head(&self, first: &str) -> Table {
        let columns = self.results.iter().map(|it| it.contender.clone());
        Table::new([first.to_owned()].into_iter().chain(columns))
    }

    fn figures(&self) -> String {
        let mut table = self.head("");
        for (name, unit) in self.named() {
            let cell = |results: &Results| results.figure(name).map(|it| shown(&it.value)).unwrap_or_default();
            let title = if unit.is_empty() { name.to_owned() } else { format!("{name}, {unit}") };
            table.row([title].into_iter().chain(self.results.iter().map(cell)));
        }
        table.text()
    }

    /// What any of them has, in the order of the first.
    fn named(&self) -> Vec<(&str, &'static str)> {
        let mut named: Vec<(&str, &'static str)> = Vec::new();
        for figure in self.results.iter().flat_map(|it| &it.figures) {
            if named.iter().all(|(name, _)| *name != figure.name) {
                named.push((&figure.name, figure.unit));
            }
        }
        named
    }

    fn requests(&self) -> String {
        let title = self.results.first().map(|it| it.requests_title.as_str()).unwrap_or_default();
        let mut table = self.head(title);
        let mut kinds: Vec<&str> = Vec::new();
        for (kind, _) in self.results.iter().flat_map(|it| &it.requests) {
            if !kinds.contains(&kind.as_str()) {
                kinds.push(kind);
            }
        }
        for kind in kinds {
            let cell = |results: &Results| {
                let found = results.requests.iter().find(|(it, _)| it == kind);
                found.map(|(_, number)| rounded(*number)).unwrap_or_default()
            };
            table.row([kind.to_owned()].into_iter().chain(self.results.iter().map(cell)));
        }
        table.text()
    }

    /// Writes it to `<scenario>.json` in a folder; where it is.
    pub fn keep(&self, folder: &Path) -> Result<PathBuf> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(format!("{}.json", self.scenario));
        std::fs::write(&path, self.json()? + "\n")?;
        Ok(path)
    }

    /// For programs.
    pub fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }
}

fn shown(value: &Measured) -> String {
    match value {
        Measured::Number(number) => rounded(*number),
        Measured::Spread(Spread { min, median, p90: _, max }) => {
            format!("{} / {} / {}", rounded(*min), rounded(*median), rounded(*max))
        }
    }
}

/// As many digits as mean something: three, and no point behind what is large.
fn rounded(number: f64) -> String {
    let digits = match number.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{number:.digits$}");
    // 4.00 is 4.
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut one = Results::of("One");
        one.number("memory", "MiB", 30.25);
        one.spread("time, min / median / max", [1.0, 2.0, 4.5]);
        one.requests = vec![("patch a".to_owned(), 5.0)];
        one.requests_title = "requests".to_owned();
        let mut other = Results::of("Other");
        other.number("memory", "MiB", 1234.5);
        other.requests = vec![("patch a".to_owned(), 7.5), ("get b".to_owned(), 0.25)];
        let machine = Machine {
            cores: 2,
            memory: 24,
            kernel: "6.1".to_owned(),
            processor: "CPU".to_owned(),
            load_before: "0.10".to_owned(),
            load_after: "2.00".to_owned(),
            pressure: 40.0,
        };
        Report { scenario: "wave", work: "100 of 500".to_owned(), machine, results: vec![one, other] }
    }

    #[test]
    fn controllers_stand_side_by_side() {
        let expected = "\
wave: 100 of 500
2 cores (CPU), 24 GiB, Linux 6.1; load 0.10 before, 2.00 after; something waited for a processor 40% of the time

|                             | One         | Other |
|-----------------------------|-------------|-------|
| memory, MiB                 | 30.2        | 1234  |
| time, min / median / max, s | 1 / 2 / 4.5 |       |

| requests | One | Other |
|----------|-----|-------|
| patch a  | 5   | 7.5   |
| get b    |     | 0.25  |
";
        assert_eq!(report().text(), expected);
    }

    #[test]
    fn programs_read_the_same_figures() {
        let json: serde_json::Value = serde_json::from_str(&report().json().unwrap()).unwrap();
        assert_eq!(json["results"][1]["figures"][0]["value"], 1234.5);
        assert_eq!(json["results"][0]["figures"][1]["value"]["median"], 2.0);
        assert_eq!(json["machine"]["cores"], 2);
    }

    #[test]
    fn numbers_have_as_many_digits_as_mean_something() {
        assert_eq!(
            [0.0, 0.012_34, 1.234, 12.34, 123.4, 4.0, 100.0].map(rounded),
            ["0", "0.012", "1.23", "12.3", "123", "4", "100"]
        );
    }
}
