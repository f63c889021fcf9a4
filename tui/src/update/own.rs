//! What is done with the appliance's own system. What ends it, or cuts people off, is asked about first.

use std::collections::BTreeSet;

use ironwake_api::{OwnSystem, Problem, SystemAction, SystemPatch, UpdateRequest};

use super::{keys, machines, medium, settings};
use crate::bindings::Action;
use crate::human;
use crate::input::Input;
use crate::key::Key;
use crate::message::Asked;
use crate::model::overlay::{Code, Overlay, OwnEdit, Pick, Question};
use crate::model::own::{self, DHCP};
use crate::model::{Model, Screen};
use crate::request::Request;

/// Performs an action on the appliance.
pub(super) fn act(model: &mut Model, action: Action, requests: &mut Vec<Request>) {
    if action == Action::KeepAddress {
        return keep(model, requests);
    }
    if model.screen() != Screen::System {
        return;
    }
    let Some((what, system)) = action_of(action).zip(model.own.system.clone()) else {
        return model.toasts.hint("The daemon has not told yet", "ctrl-r asks again", model.now);
    };
    if let Some(why) = model.own.unavailable(what).map(str::to_owned) {
        return model.toasts.hint(format!("{}: not here", human::capital(own::word(what))), why, model.now);
    }
    match what {
        SystemAction::Hostname => edit(model, what, "", &system.hostname),
        SystemAction::NtpServers => edit(model, what, "", &system.clock.ntp_servers.join(" ")),
        SystemAction::Timezone => {
            let known = model.own.choices.as_ref().map(|choices| choices.timezones.clone());
            choose(model, what, Pick::Timezone, known, system.clock.timezone);
        }
        SystemAction::Keyboard => {
            let known = model.own.choices.as_ref().map(|choices| choices.keyboards.clone());
            choose(model, what, Pick::Keyboard, known, system.keyboard);
        }
        SystemAction::Ntp => {
            let on = system.clock.ntp != Some(true);
            let said = if on { "The clock is set from the network" } else { "The clock is not set any more" };
            let patch = SystemPatch { ntp: Some(on), ..SystemPatch::default() };
            requests.push(Request::ChangeSystem { what, patch, said: said.into() });
        }
        SystemAction::Network => interfaces(model, &system),
        SystemAction::Restart => {
            let units = system.services.iter().filter(|service| service.restartable);
            let items: Vec<_> = units.map(|service| (service.name.clone(), service.what.clone())).collect();
            if items.is_empty() {
                return model.toasts.hint("No service can be started again", "none is installed", model.now);
            }
            model.overlay = Some(machines::picker(model, Pick::Unit, items, BTreeSet::new()));
        }
        SystemAction::Reboot => ask_to_end(model, &system.hostname, false),
        SystemAction::PowerOff => ask_to_end(model, &system.hostname, true),
    }
}

/// Goes on with an update: what can be done next is done, and what is installed or restarted is asked about first.
pub(super) fn update(model: &mut Model, requests: &mut Vec<Request>) {
    if model.screen() != Screen::System {
        return;
    }
    let Some(update) = model.own.update.clone() else {
        return model.toasts.hint("The daemon has not told yet", "ctrl-r asks again", model.now);
    };
    if let Some(why) = &update.unavailable {
        return model.toasts.hint("No update can be installed here", why, model.now);
    }
    if update.progress.as_ref().is_some_and(|progress| !progress.is_over()) {
        return model.toasts.hint("An update is under way", "the screen shows how far it is", model.now);
    }
    let newer = update.available.as_ref().filter(|found| found.newer).map(|found| found.version.clone());
    let question = if update.restart_needed {
        let version = update.last.as_ref().map_or("it", |last| last.version.as_str());
        let lines = vec![
            "Machines that boot meanwhile are not answered.".to_owned(),
            format!("If it is not healthy, {} comes back by itself.", update.running),
        ];
        Question {
            title: format!("Restart into {version}?"),
            lines,
            yes: Request::EndSystem { power_off: false },
        }
    } else if let Some(stick) = update.sticks.first() {
        let request = UpdateRequest { stick: Some(stick.path.clone()), ..UpdateRequest::default() };
        install(format!("Install {}?", stick.path), request, &update.running)
    } else if let Some(version) = newer {
        install(format!("Install {version}?"), UpdateRequest::default(), &update.running)
    } else if update.channel.is_some() {
        return requests.push(Request::CheckUpdate);
    } else {
        let how = "plug in a stick with an update, or set update.url";
        return model.toasts.hint("No update is known", how, model.now);
    };
    model.overlay = Some(Overlay::Question(question));
}

fn install(title: String, request: UpdateRequest, running: &str) -> Question {
    let lines = vec![
        format!("It is written beside {running}, which goes on running."),
        "A restart tries it then; that is asked about again.".to_owned(),
    ];
    Question { title, lines, yes: Request::InstallUpdate(request) }
}

fn action_of(action: Action) -> Option<SystemAction> {
    Some(match action {
        Action::SetHostname => SystemAction::Hostname,
        Action::SetTimezone => SystemAction::Timezone,
        Action::SetNtp => SystemAction::Ntp,
        Action::SetNtpServers => SystemAction::NtpServers,
        Action::SetKeyboard => SystemAction::Keyboard,
        Action::SetAddress => SystemAction::Network,
        Action::RestartUnit => SystemAction::Restart,
        Action::Reboot => SystemAction::Reboot,
        Action::PowerOff => SystemAction::PowerOff,
        _ => return None,
    })
}

/// Keeps the address that was given from here.
fn keep(model: &mut Model, requests: &mut Vec<Request>) {
    let waits = model.own.waiting(model.now).is_some();
    match (waits, model.own.keeps()) {
        (true, Some(confirm)) => requests.push(Request::KeepAddress(confirm)),
        (true, None) => {
            let how = "whoever changed it was told what keeps it: `ironwake system confirm`";
            model.toasts.hint("It was not changed from here", how, model.now);
        }
        (false, _) => model.toasts.hint("No address waits to be kept", "", model.now),
    }
}

fn edit(model: &mut Model, what: SystemAction, interface: &str, typed: &str) {
    model.overlay = Some(Overlay::Own(OwnEdit {
        what,
        interface: interface.to_owned(),
        input: Input::new(typed),
        refused: Vec::new(),
        sending: false,
    }));
}

/// Opens the choice of one name; where this host lists none, it is typed.
fn choose(
    model: &mut Model,
    what: SystemAction,
    pick: Pick,
    known: Option<Vec<String>>,
    chosen: Option<String>,
) {
    match known {
        None => model.toasts.hint("The daemon has not told yet", "ctrl-r asks again", model.now),
        Some(names) if names.is_empty() => edit(model, what, "", &chosen.unwrap_or_default()),
        Some(names) => {
            let items = names.into_iter().map(|name| (name, String::new())).collect();
            model.overlay = Some(machines::picker(model, pick, items, chosen.into_iter().collect()));
        }
    }
}

/// Chooses the interface that is to have another address, where there are several.
fn interfaces(model: &mut Model, system: &OwnSystem) {
    match system.interfaces.as_slice() {
        [] => model.toasts.hint("There is no interface", "none but the loopback", model.now),
        [one] => edit_address(model, &one.name),
        several => {
            let items = several.iter().map(|one| (one.name.clone(), one.addresses.join(" "))).collect();
            model.overlay = Some(machines::picker(model, Pick::Interface, items, BTreeSet::new()));
        }
    }
}

fn edit_address(model: &mut Model, interface: &str) {
    let system = model.own.system.as_ref();
    let found = system.and_then(|system| system.interfaces.iter().find(|one| one.name == interface));
    let is_v4 = |address: &&String| !address.contains(':');
    let address = found.and_then(|found| found.addresses.iter().find(is_v4).cloned());
    edit(model, SystemAction::Network, interface, &address.unwrap_or_else(|| DHCP.into()));
}

fn ask_to_end(model: &mut Model, name: &str, power_off: bool) {
    let (title, what) = match power_off {
        false => (format!("Restart {name}?"), "Machines that boot meanwhile are not answered."),
        true => (format!("Switch {name} off?"), "Until somebody switches it on, no machine is answered."),
    };
    let mut lines = vec![what.to_owned()];
    if model.works.running() > 0 {
        let running = human::count(model.works.running(), "operation");
        lines.push(format!("{running} that has not ended will have to wait, and may fail."));
    }
    let yes = Request::EndSystem { power_off };
    model.overlay = Some(Overlay::Question(Question { title, lines, yes }));
}

/// Does what was chosen.
pub(super) fn picked(model: &mut Model, pick: Pick, name: String, requests: &mut Vec<Request>) {
    match pick {
        Pick::Tags | Pick::About => {}
        Pick::Interface => edit_address(model, &name),
        Pick::Disk => medium::chosen(model, &name),
        Pick::Timezone => requests.push(change(SystemAction::Timezone, &name)),
        Pick::Keyboard => requests.push(change(SystemAction::Keyboard, &name)),
        Pick::Unit => {
            let title = format!("Start {name} again?");
            let lines = vec!["What it is at is broken off; where it can go on, it does.".to_owned()];
            let yes = Request::RestartUnit(name);
            model.overlay = Some(Overlay::Question(Question { title, lines, yes }));
        }
    }
}

/// The change of one thing that is a text.
fn change(what: SystemAction, text: &str) -> Request {
    let text = text.trim().to_owned();
    let mut said = format!("The {} is {text}", own::word(what));
    let mut patch = SystemPatch::default();
    match what {
        SystemAction::Hostname => patch.hostname = Some(text),
        SystemAction::Timezone => patch.timezone = Some(text),
        SystemAction::Keyboard => patch.keyboard = Some(text),
        _ => {
            patch.ntp_servers = Some(text.split_whitespace().map(str::to_owned).collect());
            said = match text.is_empty() {
                true => "The time servers are those of the system".into(),
                false => format!("The time servers are {text}"),
            };
        }
    }
    Request::ChangeSystem { what, patch, said }
}

/// A key where something is typed; says whether it was taken.
pub(super) fn key(edit: &mut OwnEdit, key: Key) -> bool {
    if edit.sending || !keys::edits(key) {
        return false;
    }
    edit.refused.clear();
    edit.input.key(key)
}

/// Sends what was typed.
pub(super) fn send(model: &mut Model, mut edit: OwnEdit, requests: &mut Vec<Request>) {
    let text = edit.input.text();
    let request = match edit.what {
        SystemAction::Network => own::address(&text)
            .map(|address| Request::ChangeAddress { interface: edit.interface.clone(), address }),
        what => Ok(change(what, &text)),
    };
    match request {
        _ if edit.sending => {}
        Ok(request) => {
            edit.sending = true;
            requests.push(request);
        }
        Err(why) => edit.refused = vec![why],
    }
    model.overlay = Some(Overlay::Own(edit));
}

/// The daemon has taken a change.
pub(super) fn changed(model: &mut Model, asked: &Asked) {
    if matches!(&model.overlay, Some(Overlay::Own(edit)) if *asked == Asked::System(edit.what)) {
        model.overlay = None;
    }
}

/// Shows a refusal below what was typed; says whether that is still there.
pub(super) fn refused(model: &mut Model, what: SystemAction, problem: &Problem) -> bool {
    let Some(Overlay::Own(edit)) = &mut model.overlay else { return false };
    if edit.what != what {
        return false;
    }
    edit.sending = false;
    edit.refused = settings::reasons(problem);
    true
}

/// Shows where a browser finds the appliance, or the machine that is open.
pub(super) fn show_code(model: &mut Model) {
    let Some(system) = &model.own.system else {
        return model.toasts.hint("The daemon has not told yet", "ctrl-r asks again", model.now);
    };
    let Some(url) = &system.url else {
        let how = "`listen` of [api] in the settings serves it, such as 0.0.0.0:8443";
        return model.toasts.hint("The appliance is not reached over the network", how, model.now);
    };
    let (title, url) = match &model.opened {
        Some(opened) => (model.fleet.name(&opened.id), format!("{url}/machines/{}", opened.id)),
        None => (system.hostname.clone(), format!("{url}/")),
    };
    model.overlay = Some(Overlay::Code(Code { title, url }));
}
