//! A table in Markdown whose columns stand below each other in a terminal as well.

/// A table, row by row.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// One with these titles.
    pub fn new(titles: impl IntoIterator<Item = String>) -> Self {
        Self { rows: vec![titles.into_iter().collect()] }
    }

    /// Adds a row. It has as many cells as there are titles.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// All of it, with a line feed at the end.
    pub fn text(&self) -> String {
        let columns = self.rows.first().map(Vec::len).unwrap_or_default();
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!(" {cell:<width$} ")).collect();
            format!("|{}|\n", cells.join("|"))
        };
        let rule: Vec<_> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
        let mut lines: Vec<_> = self.rows.iter().map(line).collect();
        lines.insert(1, format!("|{}|\n", rule.join("|")));
        lines.concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_as_wide_as_its_widest_cell() {
        let mut table = Table::new(["a", "long title"].map(str::to_owned));
        table.row(["größer", "1"].map(str::to_owned));
        assert_eq!(table.text(), "| a      | long title |\n|--------|------------|\n| größer | 1          |\n");
    }
}
