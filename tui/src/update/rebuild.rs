//! The steps of a rebuild or a wipe. Operations are recorded unarmed when the last step opens; only the word typed in full
//! arms them, and whoever leaves takes them back.

use ironwake_api::{DryRun, Machine, Operation, OperationKind, Problem, ProfileFit, ProfileSummary};

use super::{keys, machines, screens};
use crate::bindings::Action;
use crate::key::Key;
use crate::list::Step;
use crate::model::wizard::{self, Stage, Wizard};
use crate::model::{Model, Screen};
use crate::request::Request;

/// Opens the steps for the machines that are concerned.
pub(super) fn open(model: &mut Model, kind: OperationKind, requests: &mut Vec<Request>) {
    let ids = machines::concerned(model);
    let Some(first) = ids.first().cloned() else {
        return model.toasts.hint("No machine is chosen", "choose one with the arrow keys", model.now);
    };
    let names = ids.iter().map(|id| model.fleet.name(id)).collect();
    let opened = model.opened.as_ref().filter(|opened| opened.id == first);
    let inventory = opened.and_then(|opened| opened.machine.as_ref()?.inventory.clone());
    if ids.len() == 1 {
        requests.extend((kind == OperationKind::Rebuild).then(|| Request::Fits(first.clone())));
        requests.extend(inventory.is_none().then_some(Request::Machine(first)));
    }
    let inventory = inventory.filter(|_| ids.len() == 1);
    model.wizard = Some(Wizard::new(kind, ids, names, inventory));
    model.screens.push(Screen::Rebuild);
    requests.push(Request::Profiles);
}

/// Takes which profiles fit the one machine that the steps are for.
pub(super) fn fits(model: &mut Model, machine: &str, fits: Vec<ProfileFit>) {
    if let Some(wizard) = model.wizard.as_mut().filter(|wizard| wizard.machines == [machine]) {
        wizard.fits = fits;
    }
}

/// Takes what the daemon would record, if that was asked for last.
pub(super) fn ran(model: &mut Model, number: u64, run: Result<Box<DryRun>, Box<Problem>>) {
    let Some(wizard) = model.wizard.as_mut().filter(|wizard| wizard.check == number) else { return };
    // What is recorded meanwhile is in the way of the same again, and is no mistake.
    if wizard.stage == Stage::Confirm {
        return;
    }
    match run {
        Ok(run) => wizard.ran(*run),
        Err(problem) => wizard.refuse(&wizard::mistakes(*problem)),
    }
}

/// Takes the inventory of the one machine that the steps are for.
pub(super) fn inventory(model: &mut Model, machine: &Machine) {
    if let Some(wizard) = &mut model.wizard
        && wizard.machines == [machine.id.as_str()]
        && wizard.stage < Stage::Confirm
    {
        wizard.inventory = machine.inventory.clone();
        wizard.disk = wizard.disk.min(wizard.choices().len().saturating_sub(1));
    }
}

fn profile(model: &Model) -> Option<ProfileSummary> {
    let wizard = model.wizard.as_ref().filter(|wizard| wizard.kind == OperationKind::Rebuild)?;
    wizard.profiles(model.profiles.as_ref()).get(wizard.profile).map(|profile| (*profile).clone())
}

/// A key where a text is typed; says whether it was taken.
pub(super) fn key(model: &mut Model, key: Key, requests: &mut Vec<Request>) -> bool {
    let Some(wizard) = model.wizard.as_mut() else { return false };
    if !wizard.is_typing() || !keys::edits(key) {
        return false;
    }
    match wizard.stage {
        Stage::Values => {
            let Some(field) = wizard.fields.get_mut(wizard.field) else { return false };
            field.input.key(key);
            field.refused = None;
            check(model, requests);
        }
        _ => drop(wizard.typed.key(key)),
    }
    true
}

/// A text that came at once.
pub(super) fn paste(model: &mut Model, text: &str, requests: &mut Vec<Request>) {
    let Some(wizard) = model.wizard.as_mut().filter(|wizard| wizard.is_typing()) else { return };
    // The name is typed: a pasted one was not read.
    if wizard.stage == Stage::Values
        && let Some(field) = wizard.fields.get_mut(wizard.field)
    {
        field.input.insert(text);
        check(model, requests);
    }
}

/// Asks the daemon what it thinks of the values.
fn check(model: &mut Model, requests: &mut Vec<Request>) {
    let chosen = profile(model);
    let Some(wizard) = &mut model.wizard else { return };
    let has_profile = chosen.is_some() || wizard.kind != OperationKind::Rebuild;
    if let ([machine], Some(_), true) = (wizard.machines.as_slice(), &wizard.inventory, has_profile) {
        model.checks += 1;
        wizard.check = model.checks;
        let plan = wizard.plan(chosen.as_ref());
        requests.push(Request::Check { number: model.checks, machine: machine.clone(), plan });
    }
}

/// Moves in the step that is open.
pub(super) fn step(model: &mut Model, step: Step, requests: &mut Vec<Request>) {
    let Some(wizard) = &mut model.wizard else { return };
    let (stage, disk) = (wizard.stage, wizard.disk);
    let profiles = wizard.profiles(model.profiles.as_ref()).len();
    let disks = wizard.choices().len();
    let (place, len) = match wizard.stage {
        Stage::Profile => (&mut wizard.profile, profiles),
        Stage::Values => (&mut wizard.field, wizard.fields.len()),
        Stage::Disk => (&mut wizard.disk, disks),
        Stage::Confirm => {
            wizard.scroll =
                if step == Step::Up { wizard.scroll.saturating_sub(1) } else { wizard.scroll + 1 };
            return;
        }
    };
    let mut list = crate::list::List { cursor: *place, top: 0 };
    list.step(step, len, len);
    *place = list.cursor;
    if stage == Stage::Disk && wizard.disk != disk {
        check(model, requests);
    }
}

/// Goes on, or changes a choice.
pub(super) fn act(model: &mut Model, action: Action, requests: &mut Vec<Request>) {
    let chosen = profile(model);
    let Some(wizard) = &mut model.wizard else { return };
    match (wizard.stage, action) {
        (Stage::Values, Action::Choose) => {
            if let Some(field) = wizard.fields.get_mut(wizard.field) {
                field.choose_next();
                check(model, requests);
            }
        }
        (Stage::Values, Action::NextPane | Action::NextTab) => step(model, Step::Down, requests),
        (Stage::Values, Action::PreviousTab) => step(model, Step::Up, requests),
        (Stage::Profile, Action::Next) => match chosen {
            Some(profile) if wizard.fit(&profile.name).is_some_and(|fit| !fit.fits) => {
                let why = wizard.fit(&profile.name).map(|fit| fit.reasons.join("; ")).unwrap_or_default();
                model.toasts.hint(format!("{} does not fit this machine", profile.name), why, model.now);
            }
            Some(profile) => {
                wizard.choose(&profile);
                wizard.stage = Stage::Values;
                check(model, requests);
            }
            None => {
                model.toasts.hint("There is no profile yet", "`ironwake profile list` tells why", model.now)
            }
        },
        (Stage::Values, Action::Next) => match wizard.fields.iter().position(|field| field.wrong().is_some())
        {
            Some(wrong) => {
                let field = &wizard.fields[wrong];
                let (name, why) = (field.variable.name.clone(), field.wrong().unwrap_or_default());
                wizard.field = wrong;
                model.toasts.hint(format!("{name} {why}"), field_help(model), model.now);
            }
            None => {
                wizard.stage = Stage::Disk;
                check(model, requests);
            }
        },
        (Stage::Disk, Action::Next) if wizard.choices().is_empty() => {
            let next = "i has its hardware read at its next boot";
            model.toasts.hint("No disk of this machine is known", next, model.now);
        }
        (Stage::Disk, Action::Next) => {
            wizard.stage = Stage::Confirm;
            (wizard.making, wizard.demand, wizard.refused) = (true, None, Vec::new());
            let plan = wizard.plan(chosen.as_ref());
            requests.push(Request::Make { machines: wizard.machines.clone(), plan });
        }
        (Stage::Confirm, Action::Next) => confirm(model, requests),
        _ => {}
    }
}

fn field_help(model: &Model) -> String {
    let wizard = model.wizard.as_ref();
    wizard
        .and_then(|wizard| wizard.fields.get(wizard.field))
        .map_or_else(String::new, |field| field.variable.help.clone())
}

/// Arms, if the word was typed.
fn confirm(model: &mut Model, requests: &mut Vec<Request>) {
    let Some(wizard) = model.wizard.as_mut().filter(|wizard| !wizard.arming) else { return };
    let Some(demand) = &wizard.demand else { return };
    match demand.confirmed(&wizard.typed.text()) {
        Some(confirmation) => {
            wizard.arming = true;
            requests.push(Request::Arm(confirmation));
        }
        None => {
            let word = demand.word().to_owned();
            model.toasts.hint("Nothing is armed", format!("type {word} in full to confirm"), model.now);
        }
    }
}

/// Takes what was recorded.
pub(super) fn made(
    model: &mut Model,
    operations: Vec<Operation>,
    refusals: Vec<(String, String)>,
    requests: &mut Vec<Request>,
) {
    let waits = model.wizard.as_ref().is_some_and(|wizard| wizard.making && wizard.stage == Stage::Confirm);
    let ids: Vec<String> = operations.iter().map(|operation| operation.id.clone()).collect();
    if !waits {
        // Whoever asked for them has left meanwhile: they would keep their machines from everything else.
        requests.extend((!ids.is_empty()).then_some(Request::Cancel(ids)));
        return;
    }
    let named =
        operations.into_iter().map(|operation| (model.fleet.name(&operation.machine), operation)).collect();
    if let Some(wizard) = &mut model.wizard {
        wizard.take(named, refusals);
    }
}

/// Shows a refusal where it can be put right; says whether there was a place for it.
pub(super) fn refused(model: &mut Model, problem: &Problem) -> bool {
    let Some(wizard) = model.wizard.as_mut().filter(|wizard| wizard.making) else { return false };
    wizard.making = false;
    wizard.refuse(&wizard::mistakes(problem.clone()));
    let of_field = wizard.fields.iter().position(|field| field.refused.is_some());
    wizard.stage = match of_field {
        Some(place) => {
            wizard.field = place;
            Stage::Values
        }
        None => Stage::Disk,
    };
    true
}

/// The operations are armed: the steps are done.
pub(super) fn armed(model: &mut Model) {
    if model.wizard.take().is_some() {
        model.screens.retain(|screen| *screen != Screen::Rebuild);
        model.fleet.marked.clear();
        // What was said on the way, that nothing is armed among it, is true no more.
        model.toasts.0.clear();
    }
}

/// The arming was refused: it may be tried again.
pub(super) fn not_armed(model: &mut Model) {
    if let Some(wizard) = &mut model.wizard {
        wizard.arming = false;
    }
}

/// Goes a step back, and from the first one out.
pub(super) fn back(model: &mut Model, requests: &mut Vec<Request>) {
    let Some(wizard) = &mut model.wizard else { return screens::pop(model) };
    match wizard.stage {
        Stage::Confirm if wizard.arming => {}
        Stage::Confirm => {
            let unarmed = wizard.unarmed();
            requests.extend((!unarmed.is_empty()).then_some(Request::Cancel(unarmed)));
            wizard.take(Vec::new(), Vec::new());
            wizard.stage = Stage::Disk;
        }
        Stage::Disk if wizard.kind == OperationKind::Rebuild => wizard.stage = Stage::Values,
        Stage::Values => wizard.stage = Stage::Profile,
        Stage::Disk | Stage::Profile => {
            model.wizard = None;
            screens::pop(model);
        }
    }
}

/// Leaves the steps from wherever they are; what was recorded is taken back.
pub(super) fn abandon(model: &mut Model, requests: &mut Vec<Request>) {
    if let Some(wizard) = model.wizard.take() {
        let unarmed = wizard.unarmed();
        requests.extend((!unarmed.is_empty()).then_some(Request::Cancel(unarmed)));
        model.screens.retain(|screen| *screen != Screen::Rebuild);
    }
}
