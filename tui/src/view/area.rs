//! Where things lie on the screen: shared by what draws and by what moves.

use ratatui::layout::Rect;

use crate::model::machine::Tab;
use crate::model::{Model, Screen};

/// The row of the tabs.
pub const TABS_ROW: u16 = 1;
/// Header, tabs and the rule below them.
pub const TOP_ROWS: u16 = 3;
/// The footer.
const BOTTOM_ROWS: u16 = 1;
/// A list has a line of counts and one of titles above it.
pub const LIST_HEAD_ROWS: u16 = 2;
/// The tabs of a machine, its name, and a line between.
pub const MACHINE_HEAD_ROWS: u16 = 3;
/// Entries of the palette that are shown.
const PALETTE_ROWS: u16 = 12;
/// Lines of a picker that are shown.
const PICKER_ROWS: u16 = 11;
/// Around the entries of palette and picker: a frame, what is typed, and a line between.
pub const ENTRIES_AROUND_ROWS: u16 = 4;
/// Above and below what lies above the screen.
const BESIDE_ROWS: u16 = 3;
/// From this width on, the chosen machine is shown beside the list.
const PANEL_FROM_COLUMNS: u16 = 150;
/// The panel beside the list has a third of the screen, and at least so much.
const PANEL_COLUMNS_MIN: u16 = 46;
/// Longer lines are harder to read than to wrap.
const PANEL_COLUMNS_MAX: u16 = 72;
/// From this height on, the chosen machine is told below a list that has no panel beside it.
const STRIP_FROM_ROWS: u16 = 18;
/// From this height on, more of it is told.
const STRIP_TALL_FROM_ROWS: u16 = 30;
/// A rule, a setting in two lines, and where it comes from.
const SETTING_ROWS: u16 = 4;
/// Rows of that strip with its rule.
const STRIP_ROWS: u16 = 3;
/// The same of the taller one.
const STRIP_TALL_ROWS: u16 = 5;
/// From this width on, a machine's boots are listed beside the stages.
pub const SPLIT_FROM_COLUMNS: u16 = 120;
/// Boots above the stages, where they are not beside them.
const ATTEMPTS_ABOVE_ROWS: u16 = 5;
/// Some leases are shown however many networks there are: counts, titles and a few lines.
const LEASES_ROWS_MIN: u16 = 7;

/// The part of the screen below the tabs and above the footer.
pub fn area(model: &Model) -> Rect {
    let top = TOP_ROWS + model.banner_rows();
    Rect {
        x: 0,
        y: top,
        width: model.setup.columns,
        height: model.setup.rows.saturating_sub(top + BOTTOM_ROWS),
    }
}

/// What of a list's part is below its counts and titles.
pub fn below_head(area: Rect) -> Rect {
    Rect { y: area.y + LIST_HEAD_ROWS, height: area.height.saturating_sub(LIST_HEAD_ROWS), ..area }
}

/// Rows of a list.
pub fn list_height(area: Rect) -> usize {
    usize::from(below_head(area).height)
}

/// The parts of the machines screen.
#[derive(Debug, Clone, Copy)]
pub struct Machines {
    /// The list with its counts and titles.
    pub list: Rect,
    /// The chosen machine beside it, where the screen is wide enough.
    pub panel: Option<Rect>,
    /// The chosen machine below it in a few lines, where there is no panel.
    pub strip: Option<Rect>,
}

/// The parts of the machines screen.
pub fn machines(area: Rect) -> Machines {
    if area.width >= PANEL_FROM_COLUMNS {
        let beside = (area.width * 3 / 10).clamp(PANEL_COLUMNS_MIN, PANEL_COLUMNS_MAX);
        let width = area.width - beside;
        let panel = Rect { x: area.x + width, width: beside, ..area };
        return Machines { list: Rect { width, ..area }, panel: Some(panel), strip: None };
    }
    let rows = match area.height {
        STRIP_TALL_FROM_ROWS.. => STRIP_TALL_ROWS,
        STRIP_FROM_ROWS.. => STRIP_ROWS,
        _ => return Machines { list: area, panel: None, strip: None },
    };
    let strip = Rect { y: area.bottom() - rows, height: rows, ..area };
    Machines { list: Rect { height: area.height - rows, ..area }, panel: None, strip: Some(strip) }
}

/// Rows of the list of machines.
pub fn machines_height(area: Rect) -> usize {
    list_height(machines(area).list)
}

/// Rows of what a machine's tab shows.
pub fn machine_height(area: Rect) -> usize {
    usize::from(area.height.saturating_sub(MACHINE_HEAD_ROWS))
}

/// What a machine's tab has of the screen.
pub fn machine_body(area: Rect) -> Rect {
    let height = area.height.saturating_sub(MACHINE_HEAD_ROWS);
    Rect { y: area.y + MACHINE_HEAD_ROWS, height, ..area }
}

/// Rows of a machine's list of boots.
pub fn attempts_height(area: Rect) -> usize {
    let height = machine_height(area);
    if area.width >= SPLIT_FROM_COLUMNS { height } else { height.min(usize::from(ATTEMPTS_ABOVE_ROWS)) }
}

/// Rows of the help screen.
pub fn help_height(area: Rect) -> usize {
    usize::from(area.height)
}

/// The leases, below the networks.
pub fn leases(model: &Model, area: Rect) -> Rect {
    let networks = super::network::networks(model, area.width).len() as u16;
    let above = networks.min(area.height.saturating_sub(LEASES_ROWS_MIN));
    Rect { y: area.y + above, height: area.height - above, ..area }
}

/// Rows of the leases.
pub fn leases_height(model: &Model, area: Rect) -> usize {
    list_height(leases(model, area))
}

/// The list of settings, and the chosen one in full below it, where there is room.
pub fn settings(area: Rect) -> (Rect, Option<Rect>) {
    if area.height < STRIP_FROM_ROWS {
        return (area, None);
    }
    let strip = Rect { y: area.bottom() - SETTING_ROWS, height: SETTING_ROWS, ..area };
    (Rect { height: area.height - SETTING_ROWS, ..area }, Some(strip))
}

/// Rows of the list of settings.
pub fn settings_height(area: Rect) -> usize {
    list_height(settings(area).0)
}

/// Entries of the palette that are shown.
pub fn palette_rows(model: &Model) -> usize {
    entries_rows(model, PALETTE_ROWS)
}

/// Lines of a picker that are shown.
pub fn picker_rows(model: &Model) -> usize {
    entries_rows(model, PICKER_ROWS)
}

fn entries_rows(model: &Model, most: u16) -> usize {
    usize::from(model.setup.rows.saturating_sub(BESIDE_ROWS + ENTRIES_AROUND_ROWS).clamp(1, most))
}

/// Whether the tab of a machine is a text that scrolls.
pub fn scrolls(tab: Tab) -> bool {
    !matches!(tab, Tab::Boots | Tab::Operations)
}

/// The tab at a column of the tabs' row.
pub fn tab_at(model: &Model, column: u16) -> Option<Screen> {
    let mut x = 1;
    for (place, tab) in Screen::TABS.into_iter().enumerate() {
        let width = super::frame::tab_width(model, place, tab);
        if (x..x + width).contains(&column) {
            return Some(tab);
        }
        x += width;
    }
    None
}
