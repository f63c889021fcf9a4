//! Where things lie on the screen: shared by what draws and by what moves.

use ratatui::layout::Rect;

use crate::model::machine::Tab;
use crate::model::{Model, Screen};

/// The row of the tabs.
pub const TABS_ROW: u16 = 1;
/// Header, tabs and the rule below them.
const TOP_ROWS: u16 = 3;
/// The footer.
const BOTTOM_ROWS: u16 = 1;
/// A list has a line of counts and one of titles above it.
pub const LIST_HEAD_ROWS: u16 = 2;
/// The tabs of a machine, its name, and a line between.
pub const MACHINE_HEAD_ROWS: u16 = 3;
/// Entries of the palette that are shown.
pub const PALETTE_ROWS: usize = 12;
/// From this width on, the chosen machine is shown beside the list.
const PANEL_FROM_COLUMNS: u16 = 150;
/// The panel beside the list.
pub const PANEL_COLUMNS: u16 = 46;
/// From this width on, a machine's boots are listed beside the stages.
pub const SPLIT_FROM_COLUMNS: u16 = 120;
/// Boots above the stages, where they are not beside them.
const ATTEMPTS_ABOVE_ROWS: u16 = 5;
/// Lines of one network on the network screen.
pub const NETWORK_ROWS: u16 = 2;

/// The part of the screen below the tabs and above the footer.
pub fn area(model: &Model) -> Rect {
    let top = TOP_ROWS + u16::from(model.is_lost());
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

/// List and panel of the machines screen.
pub fn with_panel(area: Rect) -> (Rect, Option<Rect>) {
    if area.width < PANEL_FROM_COLUMNS {
        return (area, None);
    }
    let width = area.width - PANEL_COLUMNS;
    let panel = Rect { x: area.x + width, width: PANEL_COLUMNS, ..area };
    (Rect { width, ..area }, Some(panel))
}

/// Rows of what a machine's tab shows.
pub fn machine_height(area: Rect) -> usize {
    usize::from(area.height.saturating_sub(MACHINE_HEAD_ROWS))
}

/// Rows of a machine's list of boots.
pub fn attempts_height(area: Rect) -> usize {
    let height = machine_height(area).saturating_sub(1);
    if area.width >= SPLIT_FROM_COLUMNS { height } else { height.min(usize::from(ATTEMPTS_ABOVE_ROWS)) }
}

/// Rows of the help screen.
pub fn help_height(area: Rect) -> usize {
    usize::from(area.height)
}

/// Rows of the leases, below the networks.
pub fn leases_height(model: &Model, area: Rect) -> usize {
    let networks = model.health.as_ref().map_or(0, |health| health.networks.len()) as u16;
    // A heading and an empty line around the networks, and the leases' counts and titles.
    usize::from(area.height.saturating_sub(networks * NETWORK_ROWS + 2 + LIST_HEAD_ROWS))
}

/// Rows of the settings, below the checks.
pub fn settings_height(model: &Model, area: Rect) -> usize {
    let above = super::system::lines(model, area.width).len() as u16;
    usize::from(area.height.saturating_sub(above + LIST_HEAD_ROWS)).max(3)
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
