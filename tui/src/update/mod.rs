//! What a message changes, and what is to be asked for because of it. Pure: time and answers come in as messages.

mod access;
mod answer;
pub(crate) mod first;
mod keys;
mod machines;
mod medium;
mod operations;
mod own;
mod rebuild;
mod screens;
mod settings;
mod typing;

use ironwake_api::{EventKind, Millis};

use crate::first::Ask;
use crate::message::{Answer, Message};
use crate::model::fleet::Wanted;
use crate::model::past::{PAGE_EVENTS, Scope};
use crate::model::{Link, Model, Screen};
use crate::request::Request;
use crate::view::area;

/// How often leases, or the appliance's own load, are asked for while they are shown: no event tells of them.
const SHOWN_EVERY: Millis = 5_000;
/// Events of a machine that the panel beside the list has room for.
const PANEL_EVENTS: usize = 50;
/// How often it is asked how far an installation is, while it is shown.
const INSTALL_EVERY: Millis = 1_000;
/// How often the open machine or operation is asked for again while it is shown, should an event be missed.
const SLOW_EVERY: Millis = 60_000;

/// Takes a message; gives what is to be done.
pub fn update(model: &mut Model, message: Message) -> Vec<Request> {
    update_all(model, [message])
}

/// Takes messages that came together: lists are put in order once, not once for each of a thousand machines.
pub fn update_all(model: &mut Model, messages: impl IntoIterator<Item = Message>) -> Vec<Request> {
    let mut requests = Vec::new();
    for message in messages {
        // A person acts on what is listed, so that has to be in order first.
        let is_person = matches!(
            message,
            Message::Key(_) | Message::Paste(_) | Message::Wheel(_) | Message::Click { .. }
        );
        if is_person {
            settle(model, &mut requests);
        }
        model.unsettled |= is_person || moves_lists(&message);
        let is_key = matches!(message, Message::Key(_) | Message::Paste(_));
        apply(model, message, &mut requests);
        if is_key && model.access.wants_renewal(model.now) {
            requests.push(Request::Renew);
        }
    }
    settle(model, &mut requests);
    model.access.remember(&requests);
    requests
}

/// Whether operations or events may be listed otherwise after a message. Of machines the fleet knows itself.
fn moves_lists(message: &Message) -> bool {
    match message {
        Message::Tick { .. } => false,
        Message::Answer(answer) => matches!(
            **answer,
            Answer::Operations(_)
                | Answer::OperationsOf { .. }
                | Answer::OlderOperations { .. }
                | Answer::Operation(_)
                | Answer::Made(_)
                | Answer::MadeMany(_)
                | Answer::Past { .. }
        ),
        _ => true,
    }
}

fn apply(model: &mut Model, message: Message, requests: &mut Vec<Request>) {
    match message {
        Message::Key(key) => keys::key(model, key, requests),
        Message::Paste(text) => typing::paste(model, &text, requests),
        Message::Wheel(lines) => keys::wheel(model, lines, requests),
        Message::Click { column, row } => keys::click(model, column, row, requests),
        Message::Resize { columns, rows } => (model.setup.columns, model.setup.rows) = (columns, rows),
        Message::Tick { now } => tick(model, now, requests),
        Message::Connected { last_event } => connected(model, last_event, requests),
        Message::Lost { why, retry_at } => {
            let since = match model.link {
                Link::Lost { since, .. } => since,
                Link::Connecting | Link::Live => model.now,
            };
            model.link = Link::Lost { why, since, retry_at };
            first::lost(model);
        }
        Message::Locked { why } => access::locked(model, &why, requests),
        Message::Events(events) => {
            for event in &events {
                model.fleet.event(event);
                model.works.event(event);
                model.stock.event(event);
                if let Some(opened) = &mut model.opened
                    && event.machine.as_ref() == Some(&opened.id)
                {
                    opened.event(event);
                }
                first::event(model, &event.kind, requests);
                match event.kind {
                    EventKind::OtherDhcpServer { .. } | EventKind::OtherDhcpServerGone { .. } => {
                        requests.push(Request::Health);
                    }
                    EventKind::SettingsChanged { .. } if model.access.shows_settings() => {
                        requests.push(Request::Settings);
                    }
                    EventKind::InstallBegun { .. } | EventKind::InstallEnded { .. } => {
                        requests.push(Request::InstallState);
                    }
                    EventKind::NetworkChanging { .. } => requests.push(Request::System),
                    EventKind::NetworkConfirmed { .. } | EventKind::NetworkTakenBack { .. } => {
                        model.own.settled();
                        requests.push(Request::System);
                    }
                    EventKind::UpdateFound { .. }
                    | EventKind::UpdateStarted { .. }
                    | EventKind::UpdateInstalled { .. }
                    | EventKind::UpdateFailed { .. }
                    | EventKind::UpdateStayed { .. }
                    | EventKind::UpdateFellBack { .. } => requests.push(Request::Update),
                    EventKind::PasswordChanged { .. } => requests.push(Request::Whoami),
                    EventKind::MachineDeleted if is_gone(model, event.machine.as_deref()) => {
                        model.screens.truncate(1);
                        model.opened = None;
                    }
                    _ => {}
                }
            }
            model.tail.put(events);
        }
        Message::Answer(answer) => answer::answer(model, *answer, requests),
        Message::Refused { asked, problem } => answer::refused(model, &asked, &problem, requests),
    }
}

fn is_gone(model: &Model, machine: Option<&str>) -> bool {
    model.opened.as_ref().is_some_and(|opened| Some(opened.id.as_str()) == machine)
}

fn tick(model: &mut Model, now: Millis, requests: &mut Vec<Request>) {
    let before = model.now;
    let passes = |every: Millis| now / every != before / every;
    let (shown, slow) = (passes(SHOWN_EVERY), passes(SLOW_EVERY));
    first::tick(model, passes, requests);
    model.now = now;
    model.toasts.tick(now);
    if slow {
        model.fleet.tick(now);
    }
    if model.link != Link::Live {
        return;
    }
    if passes(INSTALL_EVERY) && model.screen() == Screen::System && model.medium.running().is_some() {
        requests.push(Request::InstallState);
    }
    match model.screen() {
        Screen::Network if shown => requests.push(Request::Leases),
        Screen::System if shown => requests.extend([Request::System, Request::Update]),
        _ => {}
    }
    if slow && let Some(opened) = &mut model.opened {
        opened.stale = true;
    }
}

/// Everything is asked for: what happened while nothing was heard is not known.
fn connected(model: &mut Model, last_event: Option<i64>, requests: &mut Vec<Request>) {
    if model.is_lost() {
        model.toasts.done("The daemon answers again", model.now);
    }
    model.link = Link::Live;
    model.last_event = last_event;
    refresh(model, requests);
    requests.push(Request::First(Ask::State { servers: false }));
    model.tail.known.forget();
    requests.extend(model.tail.known.older(&Scope::default(), PAGE_EVENTS).map(Request::Past));
}

/// Asks for everything.
fn refresh(model: &mut Model, requests: &mut Vec<Request>) {
    model.fleet.forget();
    model.works.forget();
    (model.stock.stale, model.stock.asked) = (true, false);
    requests.extend([
        Request::Health,
        Request::Version,
        Request::System,
        Request::Update,
        Request::Operations,
        Request::Profiles,
        Request::Leases,
        Request::Whoami,
    ]);
    // Who may not see them is not refused each time.
    requests.extend(model.access.shows_settings().then_some(Request::Settings));
    if let Some(opened) = &mut model.opened {
        (opened.stale, opened.attempts_stale) = (true, true);
    }
}

/// Puts lists in order, cursors where they are legal, and asks for what has become stale.
fn settle(model: &mut Model, requests: &mut Vec<Request>) {
    let screen = area::area(model);
    model.fleet.arrange();
    model.fleet.list.settle(model.fleet.shown.len(), area::machines_height(screen));
    if std::mem::take(&mut model.unsettled) {
        let fleet = &model.fleet;
        model.works.arrange(|id| fleet.name(id));
        model.tail.arrange(area::list_height(screen), |id| fleet.name(id));
    }
    model.works.list.settle(model.works.shown.len(), area::list_height(screen));
    model.tail.list.settle(model.tail.shown.len(), area::list_height(screen));
    let artifacts = model.stock.shown().len();
    model.stock.list.settle(artifacts, area::list_height(screen));
    let leases = model.leases.shown().len();
    model.leases.list.settle(leases, area::leases_height(model, screen));
    let settings = model.settings.shown().len();
    model.settings.list.settle(settings, area::settings_height(screen));
    if model.link != Link::Live {
        return;
    }
    match model.fleet.wanted() {
        Some(Wanted::All) => requests.push(Request::Machines),
        Some(Wanted::Some(ids)) => requests.extend(ids.into_iter().map(Request::Machine)),
        None => {}
    }
    if model.tab() == Screen::Machines && model.screens.len() == 1 {
        let has_panel = area::machines(screen).panel.is_some();
        let unread = has_panel.then(|| model.fleet.unread()).flatten().map(Request::Machine);
        // It may be asked for anyway, since its record has changed.
        requests.extend(unread.filter(|unread| !requests.contains(unread)));
        let chosen = model.fleet.chosen().filter(|_| has_panel).map(|row| Scope::of_machine(&row.machine.id));
        let unasked = chosen.filter(|scope| !model.tail.known.was_asked(scope));
        requests.extend(
            unasked.and_then(|scope| model.tail.known.older(&scope, PANEL_EVENTS)).map(Request::Past),
        );
        let chosen = model.fleet.chosen().filter(|_| has_panel).map(|row| row.machine.id.clone());
        requests.extend(chosen.filter(|id| model.works.wants(id)).map(Request::OperationsOf));
    }
    if model.screen() == Screen::Operations {
        let height = area::list_height(screen);
        requests.extend(model.works.older(height).map(Request::OlderOperations));
    }
    if model.screen() == Screen::Events && model.tail.wants_older(area::list_height(screen)) {
        requests.extend(model.tail.known.older(&model.tail.scope, PAGE_EVENTS).map(Request::Past));
    }
    for id in std::mem::take(&mut model.works.stale) {
        if !requests.contains(&Request::Operation(id.clone())) {
            requests.push(Request::Operation(id));
        }
    }
    if model.stock.stale && !model.stock.asked {
        (model.stock.stale, model.stock.asked) = (false, true);
        requests.extend([Request::Artifacts, Request::Builds, Request::Usage]);
    }
    if let Some(opened) = &mut model.opened {
        if std::mem::take(&mut opened.stale) {
            requests.push(Request::Machine(opened.id.clone()));
        }
        if std::mem::take(&mut opened.attempts_stale) {
            requests.push(Request::Attempts(opened.id.clone()));
        }
        if model.works.wants(&opened.id) {
            requests.push(Request::OperationsOf(opened.id.clone()));
        }
        opened.attempt_list.settle(opened.attempts.len(), area::attempts_height(screen));
    }
}
