//! The appliance on another disk, and factory reset: what is destroyed is shown, and a name is typed.

use std::collections::BTreeSet;

use ironwake_api::{ApplianceDisks, ApprovedDisk, InstallPhase, InstallState};

use super::machines;
use crate::confirm::Demand;
use crate::input::Input;
use crate::model::medium::{Awaited, about};
use crate::model::overlay::{Demanded, Overlay, Permits, Pick, Question};
use crate::model::{Model, Screen};
use crate::request::Request;

/// Reads the disks, to choose one of them.
pub(super) fn choose(model: &mut Model, requests: &mut Vec<Request>) {
    if model.screen() != Screen::System {
        return;
    }
    if let Some(running) = model.medium.running() {
        let disk = running.disk.clone().unwrap_or_default();
        return model.toasts.hint(format!("It is being installed on {disk}"), "one at a time", model.now);
    }
    ask(model, Awaited::Choice, requests);
}

/// Offers an appliance that was set up just now a disk.
pub(super) fn offer(model: &mut Model, requests: &mut Vec<Request>) {
    ask(model, Awaited::Offer, requests);
}

pub(super) fn ask(model: &mut Model, awaited: Awaited, requests: &mut Vec<Request>) {
    model.medium.awaited = awaited;
    requests.push(Request::ApplianceDisks);
}

/// Takes the disks.
pub(super) fn told(model: &mut Model, disks: ApplianceDisks) {
    let awaited = std::mem::take(&mut model.medium.awaited);
    let targets: Vec<(String, String)> =
        disks.targets().map(|found| (found.disk.name.clone(), about(found))).collect();
    let why = disks
        .disks
        .iter()
        .find_map(|found| Some(format!("{}: {}", found.disk.name, found.refused.as_ref()?)));
    model.medium.disks = Some(disks);
    match (awaited, targets.is_empty()) {
        (Awaited::Nothing, _) => {}
        (Awaited::Choice, true) => {
            model.toasts.hint("There is no disk to install on", why.unwrap_or_default(), model.now);
        }
        (Awaited::Choice, false) => {
            model.overlay = Some(machines::picker(model, Pick::Disk, targets, BTreeSet::new()));
        }
        (Awaited::Offer, none) => {
            if none || model.medium.stick().is_none() || model.overlay.is_some() {
                return;
            }
            model.medium.awaited = Awaited::Choice;
            let title = "Install it on a disk?".to_owned();
            let lines = vec![
                "The appliance runs from a stick. On a disk of its own it needs none.".to_owned(),
                "The disk is chosen next, and nothing is written before its name is typed. Later: i on the System screen."
                    .to_owned(),
            ];
            model.overlay = Some(Overlay::Question(Question { title, lines, yes: Request::ApplianceDisks }));
        }
    }
}

/// The disks cannot be told; says whether somebody waits for them.
pub(super) fn refused(model: &mut Model) -> bool {
    std::mem::take(&mut model.medium.awaited) == Awaited::Choice
}

/// Asks for the name of the disk that was chosen.
pub(super) fn chosen(model: &mut Model, name: &str) {
    let Some(found) = model.medium.disk(name) else { return };
    let mut lines = vec![format!("{name}  {}", about(found))];
    let told = ApprovedDisk::from(&found.disk).told();
    lines.extend(told.iter().map(|line| format!("  {line}")));
    if told.is_empty() {
        lines.push("  nothing that is known is on it".to_owned());
    }
    lines.push(
        "Configuration and state of this appliance are copied. Then take out what it was booted from."
            .to_owned(),
    );
    let title = format!("Install the appliance on {name}: this is overwritten");
    let demand = Demand::new(name, vec![found.digest.clone()]);
    model.overlay = Some(Overlay::Demanded(Demanded {
        permits: Permits::Install,
        title,
        lines,
        demand,
        input: Input::default(),
    }));
}

/// Asks for the appliance's name before it goes back to how it was made.
pub(super) fn reset(model: &mut Model) {
    if model.screen() != Screen::System {
        return;
    }
    let Some(system) = &model.own.system else {
        return model.toasts.hint("The daemon has not told yet", "ctrl-r asks again", model.now);
    };
    let name = system.hostname.clone();
    let lines = vec![
        "Its configuration, machines, keys, images and the administrator's password.".to_owned(),
        "It restarts, and is set up anew. Machines that it installed stay as they are.".to_owned(),
    ];
    let demand = Demand::new(name.clone(), vec![name.clone()]);
    model.overlay = Some(Overlay::Demanded(Demanded {
        permits: Permits::FactoryReset,
        title: format!("Factory reset of {name}: this is destroyed"),
        lines,
        demand,
        input: Input::default(),
    }));
}

/// Takes how far an installation is; its end is said once.
pub(super) fn progress(model: &mut Model, state: InstallState) {
    let ran = model.medium.running().is_some();
    let disk = state.disk.clone().unwrap_or_default();
    match state.phase {
        InstallPhase::Done if ran => {
            let next = "take out what it was booted from, then R restarts it";
            model.toasts.hint(format!("The appliance is installed on {disk}"), next, model.now);
        }
        InstallPhase::Failed if ran => {
            let why = state.problem.clone().unwrap_or_default();
            model.toasts.hint(format!("It is not installed on {disk}"), why, model.now);
        }
        _ => {}
    }
    model.medium.install = Some(state);
}
