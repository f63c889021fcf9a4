//! What lies under the mouse. A click means what a key would, and never more: the layout is asked where the thing lies that
//! is shown there.

use ratatui::layout::Rect;

use super::{area, boots, dialogs, first, frame, machine, machines, paint, rebuild};
use crate::key::Key;
use crate::model::machine::Tab;
use crate::model::order::SortBy;
use crate::model::overlay::Overlay;
use crate::model::wizard::Stage;
use crate::model::{Model, Screen};

/// What was clicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A hint: its key is pressed.
    Key(Key),
    /// A tab of the console.
    Tab(Screen),
    /// A tab of the machine that is open.
    MachineTab(Tab),
    /// A title of the table of machines.
    Sort(SortBy),
    /// A line of the list that is shown, by its place in it.
    Line(usize),
    /// The place of a mark beside a line.
    Mark(usize),
    /// An entry of what lies above the screen, by its place in it.
    Entry(usize),
    /// Beside what lies above the screen.
    Beside,
}

/// What lies at a place of the screen.
pub fn at(model: &Model, column: u16, row: u16) -> Option<Target> {
    if !super::has_room(model.setup.columns, model.setup.rows) {
        return None;
    }
    if row + 1 == model.setup.rows {
        let hint =
            frame::hints(model).into_iter().find(|hint| (hint.x..hint.x + hint.columns).contains(&column));
        return hint.and_then(|hint| hint.binding.keys[0].parse().ok()).map(Target::Key);
    }
    match &model.overlay {
        None | Some(Overlay::Search) => {}
        Some(Overlay::Help { .. } | Overlay::Code(_)) => return None,
        Some(_) => return above(model, column, row),
    }
    if model.screen() == Screen::First {
        return first::step_at(model, column, row).map(Target::Line);
    }
    if row == area::TABS_ROW {
        return area::tab_at(model, column).map(Target::Tab);
    }
    let screen = area::area(model);
    match model.screen() {
        Screen::Machines => in_machines(model, screen, column, row),
        Screen::Machine => in_machine(model, screen, column, row),
        Screen::Rebuild => in_rebuild(model, screen, row),
        Screen::Operations => {
            line(area::below_head(screen), column, row, model.works.list.top, model.works.shown.len())
        }
        Screen::Events => {
            line(area::below_head(screen), column, row, model.tail.list.top, model.tail.shown.len())
        }
        Screen::Artifacts => {
            line(area::below_head(screen), column, row, model.stock.list.top, model.stock.shown().len())
        }
        Screen::Network => {
            let body = area::below_head(area::leases(model, screen));
            line(body, column, row, model.leases.list.top, model.leases.shown().len())
        }
        Screen::Settings => {
            let body = area::below_head(area::settings(screen).0);
            line(body, column, row, model.settings.list.top, model.settings.shown().len())
        }
        Screen::System | Screen::Operation | Screen::First => None,
    }
}

/// In what lies above the screen: an entry, an answer, or beside it.
fn above(model: &Model, column: u16, row: u16) -> Option<Target> {
    let inside = |rect: Rect| rect.contains((column, row).into());
    let (rect, entries) = match &model.overlay {
        Some(Overlay::Palette(palette)) => {
            let rect = dialogs::palette_box(model);
            (rect, Some((palette.list.top, palette.entries.len(), area::palette_rows(model))))
        }
        Some(Overlay::Picker(picker)) => {
            let rect = dialogs::picker_box(model);
            (rect, Some((picker.list.top, picker.shown().len(), area::picker_rows(model))))
        }
        Some(Overlay::Question(question)) => {
            let answers = dialogs::answers(model, question);
            if let Some((_, key)) = answers.into_iter().find(|(rect, _)| inside(*rect)) {
                return Some(Target::Key(key));
            }
            (dialogs::question_box(model, question), None)
        }
        // What is typed there would be lost by a click that went astray.
        _ => return None,
    };
    if !inside(rect) {
        return Some(Target::Beside);
    }
    let (top, len, rows) = entries?;
    // All that is around them is above them, but for the frame.
    let place = usize::from(row.checked_sub(rect.y + area::ENTRIES_AROUND_ROWS - 1)?);
    (place < rows && top + place < len).then_some(Target::Entry(top + place))
}

/// A line of a list whose first row is the first of `body`.
fn line(body: Rect, column: u16, row: u16, top: usize, len: usize) -> Option<Target> {
    if !body.contains((column, row).into()) {
        return None;
    }
    let place = top + usize::from(row - body.y);
    (place < len).then_some(Target::Line(place))
}

fn in_machines(model: &Model, screen: Rect, column: u16, row: u16) -> Option<Target> {
    let list = area::machines(screen).list;
    let fleet = &model.fleet;
    if row == list.y + 1 && !fleet.shown.is_empty() {
        let title = paint::title_at(list, &machines::COLUMNS, column)?;
        return SortBy::ALL.into_iter().find(|sort| sort.word() == title).map(Target::Sort);
    }
    match line(area::below_head(list), column, row, fleet.list.top, fleet.shown.len())? {
        Target::Line(place) if column < list.x + paint::GUTTER => Some(Target::Mark(place)),
        line => Some(line),
    }
}

fn in_machine(model: &Model, screen: Rect, column: u16, row: u16) -> Option<Target> {
    if row == screen.y + 1 {
        return machine::tab_at(screen, column).map(Target::MachineTab);
    }
    let opened = model.opened.as_ref()?;
    let body = area::machine_body(screen);
    match opened.tab {
        Tab::Boots => {
            let (list, _) = boots::places(opened, body, screen);
            line(list, column, row, opened.attempt_list.top, opened.attempts.len())
        }
        Tab::Operations => {
            let len = model.works.of_machine(&opened.id).count();
            line(body, column, row, opened.operation_list.top, len)
        }
        Tab::Overview | Tab::Hardware | Tab::Host | Tab::Notes => None,
    }
}

fn in_rebuild(model: &Model, screen: Rect, row: u16) -> Option<Target> {
    let wizard = model.wizard.as_ref()?;
    let body = rebuild::body(screen);
    let below = usize::from(row.checked_sub(body.y)?);
    let place = match wizard.stage {
        Stage::Profile => Some(below).filter(|place| *place < wizard.profiles(model.profiles.as_ref()).len()),
        Stage::Values => {
            let (top, height) = rebuild::fields_shown(wizard, body);
            Some(top + below).filter(|place| below < height && *place < wizard.fields.len())
        }
        Stage::Disk => rebuild::choice_rows(model.setup.look, wizard, body)
            .into_iter()
            .position(|(from, rows)| (from..from + rows).contains(&row)),
        Stage::Confirm => None,
    };
    place.map(Target::Line)
}
