//! The help screen: the key table, and nothing else.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::paint;
use crate::bindings::{self, Context};
use crate::look::{Colours, Look, Tone};
use crate::model::Model;
use crate::model::overlay::Overlay;

/// Columns of the keys.
const KEYS_COLUMNS: usize = 18;

/// Paints it over the whole screen.
pub fn show(model: &Model, buffer: &mut Buffer, area: Rect) {
    let Some(Overlay::Help { scroll }) = &model.overlay else { return };
    let area = Rect { x: area.x + 2, width: area.width.saturating_sub(3), ..area };
    paint::lines(buffer, area, &styled(model.setup.look, model.setup.columns), *scroll, model.setup.look);
}

/// Its lines, to know how far it scrolls.
pub fn lines(columns: u16) -> Vec<Line<'static>> {
    styled(Look { colours: Colours::None, ascii: true }, columns)
}

fn styled(look: Look, columns: u16) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for context in Context::ALL {
        lines.push(paint::heading(look, context.title(), "", usize::from(columns.saturating_sub(4).min(96))));
        for binding in bindings::of(context) {
            let keys = format!("{:<KEYS_COLUMNS$}", binding.keys.join("  "));
            lines.push(paint::line(
                look,
                [("  ", Tone::Plain), (&keys, Tone::Accent), (binding.help, Tone::Plain)],
            ));
        }
        lines.push(Line::default());
    }
    lines.pop();
    lines
}
