//! Which screens are open, and what moves in them.

use super::keys::scrolled;
use crate::bindings::Action;
use crate::list::Step;
use crate::model::machine::{Opened, Tab};
use crate::model::{Model, Screen};
use crate::request::Request;
use crate::view::{self, area};

/// Opens a tab; what was open above it is left. What no event tells of is asked for.
pub(super) fn tab(model: &mut Model, tab: Screen, requests: &mut Vec<Request>) {
    model.screens = vec![tab];
    model.opened = None;
    model.works.open = None;
    match tab {
        Screen::Network => requests.push(Request::Leases),
        Screen::System => {
            requests.extend([Request::System, Request::SystemChoices, Request::Update]);
            // What an appliance runs from stays what it is.
            if model.medium.disks.is_none() {
                requests.extend([Request::ApplianceDisks, Request::InstallState]);
            }
        }
        _ => {}
    }
}

/// Leaves the screen that is shown.
pub(super) fn pop(model: &mut Model) {
    let left = model.screens.pop();
    if left == Some(Screen::Operation) {
        model.works.open = None;
    }
    if left == Some(Screen::Machine) && !model.screens.contains(&Screen::Machine) {
        model.opened = None;
    }
    if model.screens.is_empty() {
        model.screens.push(Screen::Machines);
    }
}

/// Opens a machine.
pub(super) fn machine(model: &mut Model, id: String) {
    if model.opened.as_ref().is_none_or(|opened| opened.id != id) {
        model.opened = Some(Opened::new(id));
    }
    // Going from a machine to its operation and to its machine leads back.
    if let Some(place) = model.screens.iter().position(|screen| *screen == Screen::Machine) {
        model.screens.truncate(place);
        model.works.open = None;
    }
    model.screens.push(Screen::Machine);
}

/// Opens an operation.
pub(super) fn operation(model: &mut Model, id: &str, requests: &mut Vec<Request>) {
    model.works.open = model.works.all.get(id).cloned();
    model.works.scroll = 0;
    if model.works.open.is_some() {
        model.screens.push(Screen::Operation);
        requests.push(Request::Operation(id.to_owned()));
    }
}

/// Opens a tab of the machine that is open.
pub(super) fn machine_tab(model: &mut Model, tab: Tab, requests: &mut Vec<Request>) {
    if let Some(opened) = &mut model.opened {
        (opened.tab, opened.scroll, opened.stages_top) = (tab, 0, None);
    }
    follow_cursor(model, requests);
}

/// Goes to the tab beside: of the machine that is open, else of the console.
pub(super) fn beside(model: &mut Model, action: Action, requests: &mut Vec<Request>) {
    let step: isize = if action == Action::PreviousTab { -1 } else { 1 };
    if model.screen() == Screen::Machine {
        if let Some(opened) = &mut model.opened {
            (opened.tab, opened.scroll) = (opened.tab.beside(step), 0);
        }
        return;
    }
    let count = Screen::TABS.len() as isize;
    let place = Screen::TABS.iter().position(|tab| *tab == model.tab()).unwrap_or(0) as isize;
    let next = Screen::TABS[(place + step).rem_euclid(count) as usize];
    tab(model, next, requests);
}

/// Drops search, filter and marks of the screen that is shown, one at a time.
pub(super) fn clear(model: &mut Model) {
    if let Some(search) = model.search_mut()
        && !search.is_empty()
    {
        *search = crate::input::Input::default();
        return model.fleet.rearrange();
    }
    match model.screen() {
        Screen::Machines if model.fleet.only.is_some() || !model.fleet.tagged.is_empty() => {
            model.fleet.only = None;
            model.fleet.tagged.clear();
            model.fleet.rearrange();
        }
        Screen::Machines => model.fleet.marked.clear(),
        Screen::Operations => model.works.only = crate::model::works::Only::All,
        Screen::Events if model.tail.scope.machine.is_some() => model.tail.scope.machine = None,
        Screen::Events if !model.tail.scope.about.is_empty() => model.tail.scope.about.clear(),
        Screen::Events if model.tail.held => model.tail.held = false,
        Screen::Events => model.tail.level = crate::model::tail::Level::All,
        _ => {}
    }
}

/// Moves in the tab of the machine that is open.
pub(super) fn step_machine(model: &mut Model, step: Step) {
    let screen = area::area(model);
    let lines = view::machine::scrolled_lines(model, screen.width);
    let Some(opened) = &mut model.opened else { return };
    let height = area::machine_height(screen);
    match opened.tab {
        Tab::Boots if matches!(step, Step::PageUp | Step::PageDown) => stages(model, step),
        Tab::Boots => {
            opened.attempt_list.step(step, opened.attempts.len(), area::attempts_height(screen));
            opened.stages_top = None;
        }
        Tab::Operations => {
            let len = model.works.of_machine(&opened.id).count();
            opened.operation_list.step(step, len, height.saturating_sub(1));
        }
        Tab::Overview | Tab::Hardware | Tab::Host | Tab::Notes => {
            scrolled(&mut opened.scroll, step, lines, height);
        }
    }
}

/// Moves in the stages of the boot that is shown. At their end they are followed.
pub(super) fn stages(model: &mut Model, step: Step) {
    let screen = area::area(model);
    let (lines, height) = view::boots::stages_size(model, screen);
    let most = lines.saturating_sub(height);
    let Some(opened) = model.opened.as_mut().filter(|opened| opened.tab == Tab::Boots) else { return };
    let mut top = opened.stages_top.unwrap_or(most);
    scrolled(&mut top, step, lines, height);
    opened.stages_top = (top < most).then_some(top);
}

/// Asks for the stages of the boot under the cursor.
pub(super) fn follow_cursor(model: &Model, requests: &mut Vec<Request>) {
    let boots = model.screen() == Screen::Machine && model.overlay.is_none();
    if let Some(opened) = model.opened.as_ref().filter(|opened| boots && opened.tab == Tab::Boots) {
        requests.extend(opened.attempt_wanted().map(Request::Attempt));
    }
}
