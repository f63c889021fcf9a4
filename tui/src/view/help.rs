//! The help screen: the key table, in as many columns as the screen is wide, what counts on the screen below first.

use std::collections::HashSet;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;
use unicode_width::UnicodeWidthStr;

use super::paint;
use crate::bindings::{self, Binding, Context};
use crate::human;
use crate::look::Tone;
use crate::model::overlay::Overlay;
use crate::model::{Model, Setup};

/// A column is at least so wide: at 200 columns all of it is on one screen.
const COLUMN_MIN: usize = 46;
/// More is only white.
const COLUMN_MAX: usize = 84;
/// Between columns.
const GAP: usize = 4;

/// Paints it over the whole screen.
pub fn show(model: &Model, buffer: &mut Buffer, area: Rect) {
    let Some(Overlay::Help { scroll }) = &model.overlay else { return };
    let look = model.setup.look;
    let (width, columns) = laid(&model.setup, model.screen().context());
    let mut longest = 0;
    for (place, lines) in columns.iter().enumerate() {
        longest = longest.max(lines.len());
        let x = area.x + 2 + (place * (width + GAP)) as u16;
        for (row, line) in lines.iter().skip(*scroll).take(usize::from(area.height)).enumerate() {
            paint::put(buffer, x, area.y + row as u16, width as u16, line, look);
        }
    }
    let below = longest.saturating_sub(scroll + usize::from(area.height));
    if below > 0 {
        let more = format!(" {below} more {} ", look.symbols().descending);
        let columns = more.width() as u16;
        let x = area.right().saturating_sub(columns + 1);
        paint::put(buffer, x, area.bottom() - 1, columns, &paint::line(look, [(&more, Tone::Dim)]), look);
    }
}

/// How many lines the longest column has, to know how far it scrolls.
pub fn height(setup: &Setup, here: Context) -> usize {
    laid(setup, here).1.iter().map(Vec::len).max().unwrap_or(0)
}

/// The width of a column, and the lines of each.
fn laid(setup: &Setup, here: Context) -> (usize, Vec<Vec<Line<'static>>>) {
    let room = usize::from(setup.columns).saturating_sub(3);
    let count = ((room + GAP) / (COLUMN_MIN + GAP)).max(1);
    let width = ((room + GAP) / count).saturating_sub(GAP).min(COLUMN_MAX);
    // What counts once in an appliance's life takes no room elsewhere.
    let apart = [here, Context::Everywhere, Context::First];
    let others = Context::ALL.into_iter().filter(|context| !apart.contains(context));
    let contexts = [here, Context::Everywhere].into_iter().chain(others);
    let mut seen = HashSet::new();
    let entries: Vec<Entry> = contexts.flat_map(|context| block(setup, context, width, &mut seen)).collect();
    // The least height in which all of it fits: no column is much longer than the others.
    let total: usize = entries.iter().map(|entry| entry.lines.len()).sum();
    let least = (total / count..=total).find(|height| filled(&entries, *height).len() <= count);
    (width, filled(&entries, least.unwrap_or(total)))
}

/// A title or a key, with its lines: what is not torn between columns.
struct Entry {
    lines: Vec<Line<'static>>,
    is_title: bool,
}

/// Columns of at most `height` lines. No title stands alone at the end of one.
fn filled(entries: &[Entry], height: usize) -> Vec<Vec<Line<'static>>> {
    let mut columns: Vec<Vec<Line<'static>>> = vec![Vec::new()];
    for (place, entry) in entries.iter().enumerate() {
        let next = entries.get(place + 1).filter(|_| entry.is_title);
        let needed = entry.lines.len() + next.map_or(0, |next| next.lines.len());
        let column = columns.last_mut().expect("there is always one");
        if !column.is_empty() && column.len() + needed > height {
            columns.push(Vec::new());
        }
        let column = columns.last_mut().expect("there is always one");
        // The empty line above a title separates it from nothing at the top.
        let skipped = usize::from(entry.is_title && column.is_empty());
        column.extend(entry.lines.iter().skip(skipped).cloned());
    }
    columns
}

/// The keys of one context below its title. What is the same on every tab, or in every list above a screen, is told once.
fn block(setup: &Setup, context: Context, width: usize, seen: &mut HashSet<&'static str>) -> Vec<Entry> {
    let look = setup.look;
    let title = paint::heading(look, context.title(), "", width);
    let mut entries = vec![Entry { lines: vec![Line::default(), title], is_title: true }];
    let everywhere = |binding: &Binding| {
        binding.context.is_modal() || binding.name == "next tab" || binding.name == "previous tab"
    };
    let bindings: Vec<&'static Binding> =
        bindings::of(context).filter(|binding| !everywhere(binding) || seen.insert(binding.name)).collect();
    let keys_columns = bindings.iter().map(|binding| binding.keys.join("  ").len()).max().unwrap_or(0);
    for binding in bindings {
        let keys = binding.keys.join("  ");
        let wrapped = human::wrap(binding.help, width.saturating_sub(keys_columns + 4));
        let line = |(row, text): (usize, &String)| {
            let keys = if row == 0 { keys.as_str() } else { "" };
            let lead = format!("  {keys:<keys_columns$}  ");
            paint::line(look, [(&lead, Tone::Accent), (text, Tone::Plain)])
        };
        entries.push(Entry { lines: wrapped.iter().enumerate().map(line).collect(), is_title: false });
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::look::{Colours, Look};

    fn setup(columns: u16) -> Setup {
        let look = Look { colours: Colours::None, ascii: true };
        Setup { name: String::new(), place: String::new(), look, columns, rows: 60, now: 0 }
    }

    #[test]
    fn columns_go_by_width_and_none_is_much_longer_than_the_others() {
        let check = |columns, count| {
            let (width, laid) = laid(&setup(columns), Context::Events);
            assert_eq!(laid.len(), count, "{columns}");
            assert!(count * (width + GAP) <= usize::from(columns) + GAP);
            assert!(laid[0][0].to_string().starts_with("Events"), "what counts here is first");
            let (longest, all) = (laid.iter().map(Vec::len).max(), laid.iter().map(Vec::len).sum::<usize>());
            assert!(longest.is_some_and(|longest| longest < all / count + 6), "{longest:?} of {all}");
        };
        check(80, 1);
        check(120, 2);
        check(200, 4);
    }
}
