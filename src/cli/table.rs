//! Tables for people: columns as wide as their content, the widest cut where the terminal ends.

use std::io;

use super::output::{Output, Style, clean};

/// Between columns.
const GAP: usize = 2;
/// No column is cut below this.
const COLUMN_MIN: usize = 8;

/// Rows under a heading.
pub struct Table {
    heading: Vec<&'static str>,
    rows: Vec<Vec<(String, Style)>>,
}

impl Table {
    /// A table with these columns.
    pub fn new(heading: &[&'static str]) -> Self {
        Self { heading: heading.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; one cell for each column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = (String, Style)>) {
        let cells: Vec<_> = cells.into_iter().map(|(text, style)| (clean(&text), style)).collect();
        debug_assert_eq!(cells.len(), self.heading.len());
        self.rows.push(cells);
    }

    /// Writes the table, or `nothing` where it has no rows.
    pub fn write(&self, output: &mut Output, nothing: &str) -> io::Result<()> {
        if self.rows.is_empty() {
            return output.line(nothing);
        }
        let widths = self.widths(output.width());
        let heading: Vec<_> = self.heading.iter().map(|text| (text.to_string(), Style::Strong)).collect();
        for row in std::iter::once(&heading).chain(&self.rows) {
            let line = line(row, &widths, output);
            output.line(line)?;
        }
        Ok(())
    }

    fn widths(&self, limit: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> = self.heading.iter().map(|text| text.chars().count()).collect();
        for row in &self.rows {
            for (width, (text, _)) in widths.iter_mut().zip(row) {
                *width = (*width).max(text.chars().count());
            }
        }
        let Some(limit) = limit else { return widths };
        let room = limit.saturating_sub(GAP * widths.len().saturating_sub(1));
        while widths.iter().sum::<usize>() > room {
            match widths.iter_mut().max() {
                Some(widest) if *widest > COLUMN_MIN => *widest -= 1,
                _ => break,
            }
        }
        widths
    }
}

fn line(row: &[(String, Style)], widths: &[usize], output: &Output) -> String {
    let mut line = String::new();
    let mut owed = 0;
    for ((text, style), width) in row.iter().zip(widths) {
        // Spaces are written only when something follows: no line ends in blanks.
        line.push_str(&" ".repeat(owed));
        let shown = cut(text, *width);
        owed = width - shown.chars().count() + GAP;
        line.push_str(&output.styled(&shown, *style));
    }
    line.trim_end().to_owned()
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("one thread").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn check(width: Option<usize>, expected: &str) {
        let mut table = Table::new(&["NAME", "NOTE", "N"]);
        table.row([
            ("a".into(), Style::Plain),
            ("long ".repeat(8), Style::Plain),
            ("1".into(), Style::Plain),
        ]);
        table.row([
            ("bé\x1b[31m".into(), Style::Plain),
            (String::new(), Style::Plain),
            (String::new(), Style::Plain),
        ]);
        let shared = Shared::default();
        table.write(&mut Output::plain(shared.clone(), width), "nothing").expect("written");
        let written = shared.0.lock().expect("one thread").clone();
        assert_eq!(String::from_utf8(written).expect("UTF-8"), expected);
    }

    #[test]
    fn the_widest_column_gives_way() {
        check(Some(30), "NAME     NOTE                N\na        long long long lo…  1\nbé\u{fffd}[31m\n");
        check(
            None,
            "NAME     NOTE                                      N\n\
             a        long long long long long long long long   1\n\
             bé\u{fffd}[31m\n",
        );
    }
}
