//! Draws the model. Nothing here changes anything, and only rows that are on the screen are made.

pub mod area;
mod artifacts;
pub mod boots;
mod code;
mod dialogs;
mod disks;
mod events;
pub mod first;
pub mod frame;
mod hardware;
pub mod help;
pub mod machine;
mod machines;
mod medium;
mod network;
pub mod operation;
mod operations;
mod paint;
mod panel;
mod rebuild;
mod settings;
pub mod system;
pub mod targets;
mod update;

use ratatui::Frame;
use ratatui::buffer::Buffer;

use crate::look::Tone;
use crate::model::overlay::Overlay;
use crate::model::{Model, Screen};

/// Below this nothing useful can be shown.
const COLUMNS_MIN: u16 = 40;
/// The same for rows.
const ROWS_MIN: u16 = 10;

/// Whether there is room for more than the wish for more room.
pub fn has_room(columns: u16, rows: u16) -> bool {
    columns >= COLUMNS_MIN && rows >= ROWS_MIN
}

/// Draws everything.
pub fn draw(model: &Model, frame: &mut Frame<'_>) {
    show(model, frame.buffer_mut());
}

/// Paints everything into a buffer of the size that the model was told.
pub fn show(model: &Model, buffer: &mut Buffer) {
    let look = model.setup.look;
    let (columns, rows) =
        (model.setup.columns.min(buffer.area.width), model.setup.rows.min(buffer.area.height));
    if !has_room(columns, rows) {
        let text = format!("{COLUMNS_MIN}x{ROWS_MIN} at least");
        return paint::put(buffer, 0, 0, columns, &paint::line(look, [(&text, Tone::Warn)]), look);
    }
    let area = area::area(model);
    match &model.overlay {
        Some(Overlay::Help { .. }) => help::show(model, buffer, area),
        _ => match model.screen() {
            Screen::Machines => machines::show(model, buffer, area),
            Screen::Machine => machine::show(model, buffer, area),
            Screen::Operations => operations::show(model, buffer, area),
            Screen::Operation => operation::show(model, buffer, area),
            Screen::Events => events::show(model, buffer, area),
            Screen::Artifacts => artifacts::show(model, buffer, area),
            Screen::Network => network::show(model, buffer, area),
            Screen::System => system::show(model, buffer, area),
            Screen::Settings => settings::show(model, buffer, area),
            Screen::Rebuild => rebuild::show(model, buffer, area),
            Screen::First => first::show(model, buffer, area),
        },
    }
    frame::top(model, buffer);
    frame::footer(model, buffer);
    frame::toasts(model, buffer);
    dialogs::show(model, buffer);
    if let Some(Overlay::Code(code)) = &model.overlay {
        code::show(model, code, buffer);
    }
}
