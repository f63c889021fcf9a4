//! What keys, wheel and clicks do: to what is typed first, then by the key table.

use super::{access, first, machines, medium, own, rebuild, refresh, screens, settings, typing};
use crate::bindings::{self, Action};
use crate::key::{Code, Key};
use crate::list::Step;
use crate::model::machine::Tab;
use crate::model::overlay::Overlay;
use crate::model::wizard::Stage;
use crate::model::{Model, Screen};
use crate::request::Request;
use crate::view::area;
use crate::view::targets::{self, Target};

pub(super) fn key(model: &mut Model, key: Key, requests: &mut Vec<Request>) {
    if typing::key(model, key, requests) {
        return;
    }
    if let Some(action) = bindings::action(&model.contexts(), key) {
        act(model, action, requests);
    }
}

pub(super) fn wheel(model: &mut Model, lines: i16, requests: &mut Vec<Request>) {
    let step = if lines < 0 { Step::Up } else { Step::Down };
    let boots = model.overlay.is_none()
        && model.screen() == Screen::Machine
        && model.opened.as_ref().is_some_and(|opened| opened.tab == Tab::Boots);
    for _ in 0..lines.unsigned_abs() {
        match &mut model.overlay {
            // The boots beside the stages are few: what is long is turned.
            None if boots => screens::stages(model, step),
            Some(Overlay::Editor(editor)) => {
                let code = if step == Step::Up { Code::Up } else { Code::Down };
                editor.text.key(Key::plain(code));
            }
            _ => step_list(model, step, requests),
        }
    }
}

/// A click on a hint presses its key, one on a tab opens it, one on a line chooses it, and one on the chosen line opens it.
pub(super) fn click(model: &mut Model, column: u16, row: u16, requests: &mut Vec<Request>) {
    let Some(target) = targets::at(model, column, row) else { return };
    match target {
        Target::Key(pressed) => key(model, pressed, requests),
        Target::Tab(tab) => leave(model, tab, requests),
        Target::MachineTab(tab) => screens::machine_tab(model, tab, requests),
        Target::Sort(sort) if model.fleet.sort == sort => act(model, Action::SortReverse, requests),
        Target::Sort(sort) => {
            (model.fleet.sort, model.fleet.reverse) = (sort, false);
            model.fleet.rearrange();
        }
        Target::Mark(place) => {
            choose(model, place);
            act(model, Action::Mark, requests);
            choose(model, place);
        }
        Target::Line(place) if model.screen() == Screen::First => first::click(model, place, requests),
        Target::Line(place) => {
            if choose(model, place) {
                let open = match model.screen() {
                    Screen::Rebuild => Action::Next,
                    Screen::Settings => Action::EditSetting,
                    _ => Action::Open,
                };
                act(model, open, requests);
            }
            screens::follow_cursor(model, requests);
        }
        Target::Entry(place) => match &mut model.overlay {
            Some(Overlay::Palette(palette)) => {
                palette.list.cursor = place;
                act(model, Action::Accept, requests);
            }
            Some(Overlay::Picker(picker)) => {
                picker.list.cursor = place;
                match picker.what.is_one() {
                    true => act(model, Action::Accept, requests),
                    false => picker.toggle(),
                }
            }
            _ => {}
        },
        Target::Beside => back(model, requests),
    }
}

/// Puts the cursor of the list that is shown on an item; says whether it was there already.
fn choose(model: &mut Model, place: usize) -> bool {
    let cursor = match model.screen() {
        Screen::Machines => &mut model.fleet.list.cursor,
        Screen::Operations => &mut model.works.list.cursor,
        Screen::Events => &mut model.tail.list.cursor,
        Screen::Artifacts => &mut model.stock.list.cursor,
        Screen::Network => &mut model.leases.list.cursor,
        Screen::Settings => &mut model.settings.list.cursor,
        Screen::Machine => match &mut model.opened {
            Some(opened) if opened.tab == Tab::Boots => {
                opened.stages_top = None;
                &mut opened.attempt_list.cursor
            }
            Some(opened) => &mut opened.operation_list.cursor,
            None => return false,
        },
        Screen::Rebuild => match &mut model.wizard {
            Some(wizard) => match wizard.stage {
                Stage::Profile => &mut wizard.profile,
                // A value and a disk are chosen by a click, and taken by a key.
                Stage::Values => {
                    wizard.field = place;
                    return false;
                }
                Stage::Disk => {
                    wizard.disk = place;
                    return false;
                }
                Stage::Confirm => return false,
            },
            None => return false,
        },
        Screen::System | Screen::Operation | Screen::First => return false,
    };
    let again = std::mem::replace(cursor, place) == place;
    model.fleet.hold();
    model.tail.held |= model.screen() == Screen::Events;
    again
}

/// Performs an action where the console stands.
pub(super) fn act(model: &mut Model, action: Action, requests: &mut Vec<Request>) {
    match action {
        Action::Quit => quit(model, requests),
        Action::Help => model.overlay = Some(Overlay::Help { scroll: 0 }),
        Action::Palette => typing::open_palette(model),
        Action::Back => back(model, requests),
        Action::Next | Action::NextPane | Action::PreviousTab | Action::Choose | Action::Refresh
            if model.screen() == Screen::First =>
        {
            first::act(model, action, requests)
        }
        Action::Refresh => refresh(model, requests),
        Action::Lock => access::lock(model, requests),
        Action::Password => access::set_password(model, requests),
        Action::GoFirst => first::open(model, requests),
        Action::Up => step_list(model, Step::Up, requests),
        Action::Down => step_list(model, Step::Down, requests),
        Action::PageUp => step_list(model, Step::PageUp, requests),
        Action::PageDown => step_list(model, Step::PageDown, requests),
        Action::First => step_list(model, Step::First, requests),
        Action::Last => step_list(model, Step::Last, requests),
        Action::Yes => {
            if let Some(Overlay::Question(question)) = model.overlay.take() {
                requests.push(question.yes);
            }
        }
        Action::No => model.overlay = None,
        Action::GoSettings
        | Action::EditSetting
        | Action::UnsetSetting
        | Action::NewSetting
        | Action::FilterOrigin => settings::act(model, action),
        Action::SetHostname
        | Action::SetTimezone
        | Action::SetNtp
        | Action::SetNtpServers
        | Action::SetKeyboard
        | Action::SetAddress
        | Action::KeepAddress
        | Action::RestartUnit
        | Action::Reboot
        | Action::PowerOff => own::act(model, action, requests),
        Action::Update => own::update(model, requests),
        Action::InstallOnDisk => medium::choose(model, requests),
        Action::FactoryReset => medium::reset(model),
        Action::ShowCode => own::show_code(model),
        Action::StagesUp => screens::stages(model, Step::Up),
        Action::StagesDown => screens::stages(model, Step::Down),
        Action::Save => typing::save(model, requests),
        Action::Toggle => {
            let rows = area::picker_rows(model);
            if let Some(Overlay::Picker(picker)) = &mut model.overlay {
                picker.toggle();
                let len = picker.shown().len();
                picker.list.step(Step::Down, len, rows);
            }
        }
        Action::Search if model.search().is_some() => model.overlay = Some(Overlay::Search),
        Action::Accept | Action::Complete => typing::accept(model, requests),
        Action::GoMachines => leave(model, Screen::Machines, requests),
        Action::GoOperations => leave(model, Screen::Operations, requests),
        Action::GoEvents => leave(model, Screen::Events, requests),
        Action::GoArtifacts => leave(model, Screen::Artifacts, requests),
        Action::GoNetwork => leave(model, Screen::Network, requests),
        Action::GoSystem => leave(model, Screen::System, requests),
        Action::Next | Action::Choose => rebuild::act(model, action, requests),
        Action::NextPane | Action::NextTab | Action::PreviousTab => match model.screen() {
            Screen::Rebuild => rebuild::act(model, action, requests),
            _ => screens::beside(model, action, requests),
        },
        other => machines::act(model, other, requests),
    }
}

fn quit(model: &mut Model, requests: &mut Vec<Request>) {
    rebuild::abandon(model, requests);
    model.ended = true;
    requests.push(Request::Quit);
}

fn leave(model: &mut Model, tab: Screen, requests: &mut Vec<Request>) {
    rebuild::abandon(model, requests);
    screens::tab(model, tab, requests);
}

/// Leaves the innermost thing that is open.
fn back(model: &mut Model, requests: &mut Vec<Request>) {
    if model.overlay.is_some() {
        return typing::leave(model, requests);
    }
    match model.screen() {
        Screen::Rebuild => rebuild::back(model, requests),
        Screen::First => first::leave(model),
        Screen::Settings if settings::clear(model) => {}
        Screen::Machine | Screen::Operation | Screen::Settings => screens::pop(model),
        _ => {
            if model.toasts.0.pop_back().is_some() {
                return;
            }
            screens::clear(model);
        }
    }
}

fn step_list(model: &mut Model, step: Step, requests: &mut Vec<Request>) {
    let screen = area::area(model);
    let below = model.screen().context();
    let (palette_rows, picker_rows) = (area::palette_rows(model), area::picker_rows(model));
    match &mut model.overlay {
        Some(Overlay::Help { scroll }) => {
            let (lines, height) = (crate::view::help::height(&model.setup, below), area::help_height(screen));
            return scrolled(scroll, step, lines, height);
        }
        Some(Overlay::Palette(palette)) => {
            return palette.list.step(step, palette.entries.len(), palette_rows);
        }
        Some(Overlay::Picker(picker)) => {
            let len = picker.shown().len();
            return picker.list.step(step, len, picker_rows);
        }
        Some(Overlay::Search) | None => {}
        Some(_) => return,
    }
    match model.screen() {
        Screen::Machines => model.fleet.step(step, area::machines_height(screen)),
        Screen::Operations => {
            model.works.list.step(step, model.works.shown.len(), area::list_height(screen));
        }
        Screen::Events => {
            model.tail.list.step(step, model.tail.shown.len(), area::list_height(screen));
            // Going up means reading; at the end one follows again.
            model.tail.held = model.tail.list.cursor + 1 < model.tail.shown.len();
        }
        Screen::Artifacts => {
            let len = model.stock.shown().len();
            model.stock.list.step(step, len, area::list_height(screen));
        }
        Screen::Network => {
            let (len, height) = (model.leases.shown().len(), area::leases_height(model, screen));
            model.leases.list.step(step, len, height);
        }
        Screen::System => {
            let lines = crate::view::system::height(model, screen.width);
            scrolled(&mut model.own.scroll, step, lines, usize::from(screen.height));
        }
        Screen::Settings => {
            let len = model.settings.shown().len();
            model.settings.list.step(step, len, area::settings_height(screen));
        }
        Screen::Machine => screens::step_machine(model, step),
        Screen::Operation => {
            let lines = crate::view::operation::lines(model, screen.width).len();
            scrolled(&mut model.works.scroll, step, lines, usize::from(screen.height));
        }
        Screen::Rebuild => rebuild::step(model, step, requests),
        Screen::First => first::step(model, step, requests),
    }
}

/// Moves a text of `lines` of which `height` are shown.
pub(super) fn scrolled(scroll: &mut usize, step: Step, lines: usize, height: usize) {
    let most = lines.saturating_sub(height);
    let page = height.saturating_sub(1).max(1);
    *scroll = match step {
        Step::Up => scroll.saturating_sub(1),
        Step::Down => *scroll + 1,
        Step::PageUp => scroll.saturating_sub(page),
        Step::PageDown => *scroll + page,
        Step::First => 0,
        Step::Last => most,
    }
    .min(most);
}

/// A key that edits a line, rather than moving in a list beside it.
pub(super) fn edits(key: Key) -> bool {
    key.typed().is_some()
        || matches!(
            key.code,
            Code::Backspace | Code::Delete | Code::Left | Code::Right | Code::Home | Code::End
        )
        || (key.ctrl && matches!(key.code, Code::Char('a' | 'e' | 'u' | 'w')))
}
