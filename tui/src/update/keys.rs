//! What keys, wheel and clicks do: to what is typed first, then by the key table.

use super::{access, machines, rebuild, refresh, screens, typing};
use crate::bindings::{self, Action};
use crate::key::{Code, Key};
use crate::list::Step;
use crate::model::overlay::Overlay;
use crate::model::{Model, Screen};
use crate::request::Request;
use crate::view::area;

pub(super) fn key(model: &mut Model, key: Key, requests: &mut Vec<Request>) {
    if typing::key(model, key, requests) {
        return;
    }
    if let Some(action) = bindings::action(&model.contexts(), key) {
        act(model, action, requests);
    }
}

pub(super) fn wheel(model: &mut Model, lines: i16) {
    let step = if lines < 0 { Step::Up } else { Step::Down };
    for _ in 0..lines.unsigned_abs() {
        step_list(model, step);
    }
}

/// A click on a tab opens it, one on a line chooses it, and one on the chosen line opens it.
pub(super) fn click(model: &mut Model, column: u16, row: u16, requests: &mut Vec<Request>) {
    if model.overlay.is_some() {
        return;
    }
    let screen = area::area(model);
    if row == area::TABS_ROW {
        if let Some(tab) = area::tab_at(model, column) {
            screens::tab(model, tab);
        }
        return;
    }
    let Some(line) = row.checked_sub(screen.y + area::LIST_HEAD_ROWS).map(usize::from) else { return };
    let (list, len) = match model.screen() {
        Screen::Machines => (&mut model.fleet.list, model.fleet.shown.len()),
        Screen::Operations => (&mut model.works.list, model.works.shown.len()),
        Screen::Events => (&mut model.tail.list, model.tail.shown.len()),
        _ => return,
    };
    let place = list.top + line;
    if place >= len {
        return;
    }
    let again = std::mem::replace(&mut list.cursor, place) == place;
    model.fleet.hold();
    model.tail.held |= model.screen() == Screen::Events;
    if again {
        act(model, Action::Open, requests);
    }
}

/// Performs an action where the console stands.
pub(super) fn act(model: &mut Model, action: Action, requests: &mut Vec<Request>) {
    match action {
        Action::Quit => quit(model, requests),
        Action::Help => model.overlay = Some(Overlay::Help { scroll: 0 }),
        Action::Palette => typing::open_palette(model),
        Action::Back => back(model, requests),
        Action::Refresh => refresh(model, requests),
        Action::Lock => access::lock(model, requests),
        Action::Password => access::set_password(model),
        Action::Up => step_list(model, Step::Up),
        Action::Down => step_list(model, Step::Down),
        Action::PageUp => step_list(model, Step::PageUp),
        Action::PageDown => step_list(model, Step::PageDown),
        Action::First => step_list(model, Step::First),
        Action::Last => step_list(model, Step::Last),
        Action::Yes => {
            if let Some(Overlay::Question(question)) = model.overlay.take() {
                requests.push(question.yes);
            }
        }
        Action::No => model.overlay = None,
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
    screens::tab(model, tab);
    if tab == Screen::Network {
        requests.push(Request::Leases);
    }
}

/// Leaves the innermost thing that is open.
fn back(model: &mut Model, requests: &mut Vec<Request>) {
    if model.overlay.is_some() {
        return typing::leave(model);
    }
    match model.screen() {
        Screen::Rebuild => rebuild::back(model, requests),
        Screen::Machine | Screen::Operation => screens::pop(model),
        _ => {
            if model.toasts.0.pop_back().is_some() {
                return;
            }
            screens::clear(model);
        }
    }
}

fn step_list(model: &mut Model, step: Step) {
    let screen = area::area(model);
    match &mut model.overlay {
        Some(Overlay::Help { scroll }) => {
            let (lines, height) =
                (crate::view::help::lines(model.setup.columns).len(), area::help_height(screen));
            return scrolled(scroll, step, lines, height);
        }
        Some(Overlay::Palette(palette)) => {
            return palette.list.step(step, palette.entries.len(), area::PALETTE_ROWS);
        }
        Some(Overlay::Search) | None => {}
        Some(_) => return,
    }
    match model.screen() {
        Screen::Machines => model.fleet.step(step, area::list_height(screen)),
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
            let (len, height) = (model.settings_shown().len(), area::settings_height(model, screen));
            model.settings_list.step(step, len, height);
        }
        Screen::Machine => screens::step_machine(model, step),
        Screen::Operation => {
            let lines = crate::view::operation::lines(model, screen.width).len();
            scrolled(&mut model.works.scroll, step, lines, usize::from(screen.height));
        }
        Screen::Rebuild => rebuild::step(model, step),
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
