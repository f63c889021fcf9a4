//! What screens are painted with: texts that fit, tables whose columns go by width, bars.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use crate::human;
use crate::look::{Look, Tone};

/// Columns between those of a table.
const GAP: u16 = 2;
/// Labels of facts are as wide as the longest.
pub const LABEL_COLUMNS: usize = 13;
/// Left of a table: the cursor and a mark.
pub const GUTTER: u16 = 2;

/// A text with its tone.
pub fn span(look: Look, text: impl AsRef<str>, tone: Tone) -> Span<'static> {
    Span::styled(human::clean(text.as_ref()), look.style(tone))
}

/// A line of texts with their tones.
pub fn line<const N: usize>(look: Look, parts: [(&str, Tone); N]) -> Line<'static> {
    Line::from(parts.map(|(text, tone)| span(look, text, tone)).to_vec())
}

/// A label and what belongs to it, aligned.
pub fn fact(look: Look, label: &str, value: impl AsRef<str>, tone: Tone) -> Line<'static> {
    Line::from(vec![span(look, format!("{label:<LABEL_COLUMNS$}"), Tone::Dim), span(look, value, tone)])
}

/// A line in at most `columns`, what is cut off marked.
pub fn fit(line: &Line<'static>, columns: usize, look: Look) -> Line<'static> {
    if line.width() <= columns {
        return line.clone();
    }
    let mut left = columns;
    let mut spans = Vec::new();
    for span in &line.spans {
        let width = span.content.width();
        if width < left || (width == left && std::ptr::eq(span, &line.spans[line.spans.len() - 1])) {
            left -= width;
            spans.push(span.clone());
            continue;
        }
        spans.push(Span::styled(
            human::fit(&format!("{}  ", span.content), left, look.symbols().cut),
            span.style,
        ));
        break;
    }
    Line::from(spans)
}

/// Puts a line at a place; what does not fit is cut.
pub fn put(buffer: &mut Buffer, x: u16, y: u16, columns: u16, line: &Line<'static>, look: Look) {
    if y < buffer.area.bottom() && x < buffer.area.right() {
        let columns = columns.min(buffer.area.right() - x);
        buffer.set_line(x, y, &fit(line, usize::from(columns), look), columns);
    }
}

/// Puts lines below one another, from `scroll` on, as many as fit.
pub fn lines(buffer: &mut Buffer, area: Rect, lines: &[Line<'static>], scroll: usize, look: Look) {
    for (row, line) in lines.iter().skip(scroll).take(usize::from(area.height)).enumerate() {
        put(buffer, area.x, area.y + row as u16, area.width, line, look);
    }
    let below = lines.len().saturating_sub(scroll + usize::from(area.height));
    if below > 0 && area.height > 0 && area.width > 10 {
        let more = format!(" {below} more {} ", look.symbols().descending);
        let x = area.right().saturating_sub(more.width() as u16);
        put(buffer, x, area.bottom() - 1, more.width() as u16, &line(look, [(&more, Tone::Dim)]), look);
    }
}

/// Fills a part of a row.
pub fn fill(buffer: &mut Buffer, x: u16, y: u16, columns: u16, symbol: &str, style: Style) {
    for x in x..(x + columns).min(buffer.area.right()) {
        if y < buffer.area.bottom() {
            buffer[(x, y)].set_symbol(symbol).set_style(style);
        }
    }
}

/// A bar of `columns`: heavy as far as it is done. Without a percentage a piece of it wanders.
pub fn bar(look: Look, columns: usize, percent: Option<u8>, beat: u64, tone: Tone) -> Vec<Span<'static>> {
    let symbols = look.symbols();
    let part = |symbol: &str, count: usize, tone| span(look, symbol.repeat(count), tone);
    match percent {
        Some(percent) => {
            let done = columns * usize::from(percent.min(100)) / 100;
            let tip = usize::from(done < columns && percent > 0);
            vec![
                part(symbols.heavy, done, tone),
                part(symbols.bar_tip, tip, tone),
                part(symbols.bar_rest, columns - done - tip, Tone::Faint),
            ]
        }
        None => {
            let piece = (columns / 4).max(1).min(columns);
            let way = (columns - piece).max(1) as u64;
            let place = beat % (2 * way);
            let before = (if place < way { place } else { 2 * way - place }) as usize;
            vec![
                part(symbols.bar_rest, before, Tone::Faint),
                part(symbols.heavy, piece, tone),
                part(symbols.bar_rest, columns.saturating_sub(before + piece), Tone::Faint),
            ]
        }
    }
}

/// The newest of some values as a line of `columns`, from nothing to the largest of them.
pub fn sparkline(look: Look, values: &[f64], columns: usize) -> Span<'static> {
    let levels = look.symbols().levels;
    let shown = &values[values.len().saturating_sub(columns)..];
    let most = shown.iter().copied().fold(0.0, f64::max);
    let level = |value: &f64| match *value > 0.0 {
        // What is little is still not nothing.
        true => ((value / most * (levels.len() - 1) as f64).round() as usize).clamp(1, levels.len() - 1),
        false => 0,
    };
    let drawn: String = shown.iter().map(|value| levels[level(value)]).collect();
    let before = levels[0].repeat(columns - shown.len());
    span(look, before + &drawn, Tone::Accent)
}

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its title.
    pub title: &'static str,
    /// Columns that it needs.
    pub least: u16,
    /// Columns that it can use.
    pub most: u16,
    /// What has the larger rank is left out first where there is no room.
    pub rank: u8,
    /// Whether it is aligned at the right.
    pub right: bool,
}

/// A column of a table.
pub const fn column(title: &'static str, least: u16, most: u16, rank: u8) -> Column {
    Column { title, least, most, rank, right: false }
}

/// A column that is aligned at the right.
pub const fn right(title: &'static str, least: u16, most: u16, rank: u8) -> Column {
    Column { title, least, most, rank, right: true }
}

/// How wide each column is, 0 for what is left out.
pub fn widths(columns: &[Column], width: u16) -> Vec<u16> {
    let mut order: Vec<usize> = (0..columns.len()).collect();
    order.sort_by_key(|place| columns[*place].rank);
    let mut widths = vec![0; columns.len()];
    let mut left = width + GAP;
    for place in &order {
        let wanted = columns[*place].least + GAP;
        if wanted > left {
            break;
        }
        widths[*place] = columns[*place].least;
        left -= wanted;
    }
    // What is left goes to each that can use it, in turn, so that none has all of it.
    while left > 0 {
        let before = left;
        for place in &order {
            if widths[*place] > 0 && widths[*place] < columns[*place].most && left > 0 {
                widths[*place] += 1;
                left -= 1;
            }
        }
        if left == before {
            break;
        }
    }
    widths
}

/// Puts the titles of a list's table, below its counts, and gives the columns' place and widths.
pub fn table(
    buffer: &mut Buffer,
    area: Rect,
    columns: &[Column],
    sorted: (&str, &str),
    look: Look,
) -> (Rect, Vec<u16>) {
    let table = Rect { x: area.x + GUTTER, width: area.width.saturating_sub(GUTTER + 1), ..area };
    let widths = widths(columns, table.width);
    titles(buffer, Rect { y: area.y + 1, height: 1, ..table }, columns, &widths, sorted, look);
    (table, widths)
}

/// The title at a column of the screen, in the titles of a table that `area` has.
pub fn title_at(area: Rect, columns: &[Column], column: u16) -> Option<&'static str> {
    let mut x = area.x + GUTTER;
    let widths = widths(columns, area.width.saturating_sub(GUTTER + 1));
    for (title, width) in
        columns.iter().map(|column| column.title).zip(widths).filter(|(_, width)| *width > 0)
    {
        if (x..x + width + GAP).contains(&column) {
            return Some(title);
        }
        x += width + GAP;
    }
    None
}

/// Puts the titles of a table; `sorted` is the title that it is sorted by, and its symbol.
fn titles(
    buffer: &mut Buffer,
    area: Rect,
    columns: &[Column],
    widths: &[u16],
    sorted: (&str, &str),
    look: Look,
) {
    let cells = columns.iter().map(|column| {
        let mut title = column.title.to_uppercase();
        let is_sorted = !sorted.0.is_empty() && column.title == sorted.0;
        if is_sorted {
            title.push_str(&format!(" {}", sorted.1));
        }
        Line::from(span(look, title, if is_sorted { Tone::Accent } else { Tone::Dim }))
    });
    row(buffer, area, columns, widths, &cells.collect::<Vec<_>>(), look);
}

/// Puts the cells of one row.
pub fn row(
    buffer: &mut Buffer,
    area: Rect,
    columns: &[Column],
    widths: &[u16],
    cells: &[Line<'static>],
    look: Look,
) {
    let mut x = area.x;
    for ((column, width), cell) in columns.iter().zip(widths).zip(cells) {
        if *width == 0 {
            continue;
        }
        let used = (cell.width() as u16).min(*width);
        let indent = if column.right { *width - used } else { 0 };
        put(buffer, x + indent, area.y, *width - indent, cell, look);
        x += width + GAP;
    }
}

/// Shows that a row is chosen, and whether it is marked.
pub fn choose(buffer: &mut Buffer, area: Rect, y: u16, chosen: bool, marked: bool, look: Look) {
    let symbols = look.symbols();
    if chosen {
        buffer.set_style(Rect { y, height: 1, ..area }, look.chosen());
        put(buffer, area.x, y, 1, &line(look, [(symbols.cursor, Tone::Accent)]), look);
    }
    if marked {
        put(buffer, area.x + 1, y, 1, &line(look, [(symbols.marked, Tone::Accent)]), look);
    }
}

/// A sentence in the middle of an empty screen, and what to do about it.
pub fn empty(buffer: &mut Buffer, area: Rect, what: &str, next: &[&str], look: Look) {
    let rows = next.len() as u16 + 2;
    let mut y = area.y + area.height.saturating_sub(rows) / 2;
    let mut centred = |text: &str, tone| {
        let x = area.x + area.width.saturating_sub(text.width() as u16) / 2;
        put(buffer, x, y, area.width, &line(look, [(text, tone)]), look);
        y += 1;
    };
    centred(what, Tone::Strong);
    centred("", Tone::Dim);
    for text in next {
        centred(text, Tone::Dim);
    }
}

/// A heading with a rule to the right of it.
pub fn heading(look: Look, title: &str, rest: &str, columns: usize) -> Line<'static> {
    let rest = if rest.is_empty() { String::new() } else { format!(" {rest}") };
    let used = title.width() + rest.width() + 1;
    let rule = look.symbols().rule.repeat(columns.saturating_sub(used));
    line(look, [(title, Tone::Accent), (&rest, Tone::Dim), (" ", Tone::Plain), (&rule, Tone::Faint)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_go_by_width() {
        let columns = [column("a", 4, 8, 0), column("b", 4, 4, 2), column("c", 4, 6, 1)];
        assert_eq!(widths(&columns, 4), [4, 0, 0]);
        assert_eq!(widths(&columns, 10), [4, 0, 4]);
        assert_eq!(widths(&columns, 16), [4, 4, 4]);
        assert_eq!(widths(&columns, 19), [6, 4, 5]);
        assert_eq!(widths(&columns, 80), [8, 4, 6]);
        assert_eq!(widths(&columns, 1), [0, 0, 0]);
    }

    #[test]
    fn sparklines_end_with_the_newest() {
        let look = Look { colours: crate::look::Colours::None, ascii: false };
        let text = |values: &[f64]| sparkline(look, values, 5).content.to_string();
        assert_eq!(text(&[]), "     ");
        assert_eq!(text(&[0.0, 4.0, 8.0]), "   ▄█");
        assert_eq!(text(&[9.0, 0.01, 0.0, 100.0, 50.0, 100.0]), "▁ █▄█");
    }

    #[test]
    fn bars_have_their_width() {
        let look = Look { colours: crate::look::Colours::None, ascii: true };
        let text = |percent, beat| {
            bar(look, 10, percent, beat, Tone::Busy).iter().map(|s| s.content.to_string()).collect::<String>()
        };
        assert_eq!(text(Some(0), 0), "..........");
        assert_eq!(text(Some(42), 0), "====>.....");
        assert_eq!(text(Some(100), 0), "==========");
        assert_eq!(text(None, 0), "==........");
        assert_eq!(text(None, 9), ".......==.");
    }
}
