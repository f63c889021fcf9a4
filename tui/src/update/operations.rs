//! What is done with operations: taken back, disarmed, armed, tried again. What may write is armed by a typed name alone.

use ironwake_api::{Operation, OperationState};

use super::machines::{concerned, named};
use super::screens;
use crate::bindings::Action;
use crate::confirm::Demand;
use crate::human;
use crate::input::Input;
use crate::model::overlay::{Demanded, Overlay, Permits, Question};
use crate::model::{Model, Screen, telling};
use crate::request::Request;

/// What it means to take back what has begun.
const WRITTEN: &str =
    "A disk may have been written already: what was on it is gone, and the operation fails.";
/// What it means to take back what has not.
const UNWRITTEN: &str = "Nothing was written to any disk.";

/// Performs an action on the operation that is open, or under the cursor.
pub(super) fn act(model: &mut Model, action: Action, requests: &mut Vec<Request>) {
    match action {
        Action::FilterEnded => {
            model.works.only = model.works.only.next();
            return;
        }
        _ if model.works.chosen().is_none() && model.works.open.is_none() => return,
        _ => {}
    }
    let chosen = match model.screen() {
        Screen::Operation => model.works.open.clone(),
        _ => model.works.chosen().cloned(),
    };
    let Some(operation) = chosen else { return };
    let name = model.fleet.name(&operation.machine);
    match action {
        Action::Open => screens::operation(model, &operation.id, requests),
        Action::GoMachine => screens::machine(model, operation.machine),
        Action::Cancel if operation.state.has_ended() => {
            model.toasts.hint("It has ended already", "r does it again, if it failed", model.now);
        }
        Action::Cancel => {
            let mut lines = vec![format!(
                "{} of {name}, which is {}.",
                human::capital(operation.kind.name()),
                telling::state_word(operation.state)
            )];
            if operation.may_have_written {
                lines.push(WRITTEN.into());
            } else {
                lines.push(UNWRITTEN.into());
            }
            let yes = Request::Cancel(vec![operation.id]);
            model.overlay = Some(Overlay::Question(Question { title: "Cancel it?".into(), lines, yes }));
        }
        Action::Disarm => disarm_those(model, &[(operation.id, operation.state)], requests),
        Action::Arm if operation.state != OperationState::Registered => {
            model.toasts.hint("Only what is recorded is armed", "r does again what failed", model.now);
        }
        Action::Arm if operation.kind.writes() => demand(model, operation, Permits::Arm),
        Action::Arm => {
            let title = format!("Arm the {} of {name}?", operation.kind.name());
            let lines = vec!["It begins at its next boot. Nothing is written to any disk.".into()];
            let yes = Request::ArmHarmless(operation.id);
            model.overlay = Some(Overlay::Question(Question { title, lines, yes }));
        }
        Action::Retry if !matches!(operation.state, OperationState::Failed | OperationState::Cancelled) => {
            model.toasts.hint(
                "Only what failed or was cancelled is tried again",
                "c cancels what runs",
                model.now,
            );
        }
        Action::Retry if operation.kind.writes() => demand(model, operation, Permits::Retry),
        Action::Retry => {
            let title = format!("{} {name} again?", human::capital(operation.kind.name()));
            let lines = vec!["Nothing is written to any disk.".into()];
            let yes = Request::RetryHarmless(operation.id);
            model.overlay = Some(Overlay::Question(Question { title, lines, yes }));
        }
        _ => {}
    }
}

/// Asks for the machine's name before an operation that writes is armed.
fn demand(model: &mut Model, operation: Operation, permits: Permits) {
    let name = model.fleet.name(&operation.machine);
    let mut lines = Vec::new();
    for disk in &operation.disks {
        let model = disk.model.as_deref().unwrap_or("");
        lines.push(format!("{}  {model}  {}", disk.name, human::disk(disk.size_bytes)));
        lines.extend(disk.told().iter().map(|line| format!("  {line}")));
    }
    let what = human::capital(operation.kind.name());
    let title = match permits {
        Permits::Retry => format!("{what} {name} again: this is overwritten"),
        _ => format!("{what} {name}: this is overwritten"),
    };
    let demand = Demand::new(name, vec![operation.id]);
    model.overlay =
        Some(Overlay::Demanded(Demanded { permits, title, lines, demand, input: Input::default() }));
}

/// Takes the arming back of what is armed: nothing is lost by it, so nothing is asked.
fn disarm_those(model: &mut Model, operations: &[(String, OperationState)], requests: &mut Vec<Request>) {
    let armed = operations.iter().filter(|(_, state)| *state == OperationState::PxeReady);
    let armed: Vec<String> = armed.map(|(id, _)| id.clone()).collect();
    match (armed.is_empty(), operations.is_empty()) {
        (false, _) => requests.push(Request::Disarm(armed)),
        (true, false) => {
            model.toasts.hint(
                "It is not armed",
                "c takes back what has begun, or is only recorded",
                model.now,
            );
        }
        (true, true) => model.toasts.hint("Nothing is armed there", "b arms a rebuild", model.now),
    }
}

/// Disarms the machines that are concerned.
pub(super) fn disarm(model: &mut Model, requests: &mut Vec<Request>) {
    let machines = concerned(model);
    let operation = |id: &String| model.fleet.get(id)?.machine.operation.clone();
    let running = machines.iter().filter_map(operation).map(|running| (running.id, running.state));
    let operations: Vec<_> = running.collect();
    disarm_those(model, &operations, requests);
}

/// Takes back what runs or waits on the machines that are concerned.
pub(super) fn take_back(model: &mut Model) {
    let machines = concerned(model);
    let operation = |id: &String| model.fleet.get(id)?.machine.operation.clone();
    let operations: Vec<_> = machines.iter().filter_map(|id| Some((id.clone(), operation(id)?))).collect();
    let written =
        |operation: &str| model.works.all.get(operation).is_some_and(|known| known.may_have_written);
    let (title, lines) = match operations.as_slice() {
        [] => {
            let what = "Nothing is armed or runs there";
            return model.toasts.hint(what, "b arms a rebuild, i an inspection", model.now);
        }
        [(machine, operation)] => {
            let name = model.fleet.name(machine);
            let state = telling::state_word(operation.state);
            let consequence = if written(&operation.id) { WRITTEN } else { UNWRITTEN };
            let line = format!("{} of {name}, which is {state}.", human::capital(operation.kind.name()));
            ("Take it back?".to_owned(), vec![line, consequence.into()])
        }
        many => {
            let names: Vec<String> = many.iter().map(|(machine, _)| machine.clone()).collect();
            let began = many.iter().filter(|(_, operation)| written(&operation.id)).count();
            let mut lines = vec![named(model, &names).join("  ")];
            if began > 0 {
                lines.push(format!("Of {}: {WRITTEN}", human::count(began, "machine")));
            }
            (format!("Take {} back?", human::count(many.len(), "operation")), lines)
        }
    };
    let yes = Request::Cancel(operations.into_iter().map(|(_, operation)| operation.id).collect());
    model.overlay = Some(Overlay::Question(Question { title, lines, yes }));
}
