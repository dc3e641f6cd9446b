//! What was measured, for people and for later runs to compare with: `target/e2e/figures.json`, and a table.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use anyhow::Result;
use serde_json::{Value, json};

static FIGURES: Mutex<BTreeMap<String, BTreeMap<String, Value>>> = Mutex::new(BTreeMap::new());

/// Keeps a figure of a scenario.
pub fn record(scenario: &str, name: &str, value: impl Into<Value>) {
    if let Ok(mut figures) = FIGURES.lock() {
        figures.entry(scenario.to_owned()).or_default().insert(name.to_owned(), value.into());
    }
}

/// Adds to a figure of a scenario, such as the requests of a second client.
pub fn add(scenario: &str, name: &str, number: u64) {
    if let Ok(mut figures) = FIGURES.lock() {
        let figure = figures.entry(scenario.to_owned()).or_default().entry(name.to_owned()).or_insert_with(|| 0.into());
        *figure = (figure.as_u64().unwrap_or_default() + number).into();
    }
}

/// Rounds for people: three digits behind the point.
pub fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Writes all of them into `figures.json` in a folder.
pub fn write(folder: &Path) -> Result<()> {
    let figures = FIGURES.lock().map(|figures| json!(*figures)).unwrap_or_default();
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("figures.json"), serde_json::to_string_pretty(&figures)? + "\n")?;
    Ok(())
}

/// A line per scenario.
pub fn table() -> String {
    let figures = FIGURES.lock().map(|figures| figures.clone()).unwrap_or_default();
    let width = figures.keys().map(String::len).max().unwrap_or_default();
    let line = |(scenario, values): (&String, &BTreeMap<String, Value>)| {
        let values: Vec<_> = values
            .iter()
            .filter(|(_, value)| !value.is_array() && !value.is_object())
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        format!("{scenario:<width$}  {}\n", values.join(", "))
    };
    figures.iter().map(line).collect()
}
