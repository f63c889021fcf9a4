//! What is done with machines, operations, events and artifacts: each action asks first where something is lost by it.

use ironwake_api::{MachinePatch, OperationKind, OperationState};

use super::{rebuild, screens};
use crate::bindings::Action;
use crate::confirm::Demand;
use crate::human;
use crate::input::Input;
use crate::model::condition::Condition;
use crate::model::machine::Tab;
use crate::model::overlay::{Demanded, Overlay, Prompt, PromptField, Question};
use crate::model::{Model, Screen};
use crate::request::{BootOnly, Harmless, Request};

/// Names in a question; more are counted.
const NAMES_MAX: usize = 8;

pub(super) fn act(model: &mut Model, action: Action, requests: &mut Vec<Request>) {
    match (model.screen(), action) {
        (Screen::Machines | Screen::Machine, Action::Rebuild) => {
            rebuild::open(model, OperationKind::Rebuild, requests)
        }
        (Screen::Machines | Screen::Machine, Action::Wipe) => {
            rebuild::open(model, OperationKind::Wipe, requests)
        }
        (Screen::Machines | Screen::Machine, Action::Enroll) => many(model, Harmless::Enroll, requests),
        (Screen::Machines | Screen::Machine, Action::Inspect) => many(model, Harmless::Inspect, requests),
        (Screen::Machines | Screen::Machine, Action::Delete) => many(model, Harmless::Delete, requests),
        (Screen::Machines, _) => list(model, action),
        (Screen::Machine, _) => one(model, action, requests),
        (Screen::Operations | Screen::Operation, _) => operation(model, action, requests),
        (Screen::Events, _) => event(model, action),
        (Screen::Artifacts, _) => artifact(model, action, requests),
        (Screen::Network, Action::GoMachine | Action::Open) => lease_machine(model),
        _ => {}
    }
}

/// The machines that an action concerns.
pub(super) fn concerned(model: &Model) -> Vec<String> {
    match (model.screen(), &model.opened) {
        (Screen::Machine, Some(opened)) => vec![opened.id.clone()],
        _ => model.fleet.concerned(),
    }
}

fn named(model: &Model, ids: &[String]) -> Vec<String> {
    let mut names: Vec<String> = ids.iter().take(NAMES_MAX).map(|id| model.fleet.name(id)).collect();
    if ids.len() > NAMES_MAX {
        names.push(format!("and {} more", human::grouped(ids.len() - NAMES_MAX)));
    }
    names
}

fn many(model: &mut Model, action: Harmless, requests: &mut Vec<Request>) {
    let machines = concerned(model);
    if machines.is_empty() {
        return model.toasts.hint("No machine is chosen", "choose one with the arrow keys", model.now);
    }
    let what = match machines.as_slice() {
        [one] => model.fleet.name(one),
        many => human::count(many.len(), "machine"),
    };
    let names = named(model, &machines);
    let request = match (action, machines.as_slice()) {
        (Harmless::Inspect, [one]) => Request::Begin { machine: one.clone(), work: BootOnly::Inspect },
        _ => Request::Bulk { machines: machines.clone(), action },
    };
    let explained = match action {
        // Enrolling one machine loses nothing, and is taken back by deleting the record.
        Harmless::Enroll if machines.len() == 1 => return requests.push(request),
        Harmless::Enroll => "They become known: rules and operators may work with them.",
        Harmless::Inspect => "At the next boot the hardware is read again. Nothing is written to any disk.",
        Harmless::Delete => {
            "The record with notes, tags and history is deleted. What is on the disks stays, and the machine comes \
             back as an unknown one when it boots again."
        }
    };
    let mut lines = vec![explained.to_owned()];
    if machines.len() > 1 {
        lines.extend([String::new(), names.join("  ")]);
    }
    let title = format!("{} {what}?", capital(action.verb()));
    model.overlay = Some(Overlay::Question(Question { title, lines, yes: request }));
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn list(model: &mut Model, action: Action) {
    let fleet = &mut model.fleet;
    match action {
        Action::Open => {
            if let Some(id) = fleet.chosen().map(|row| row.machine.id.clone()) {
                screens::machine(model, id);
            }
            return;
        }
        Action::Mark => {
            if let Some(id) = fleet.chosen().map(|row| row.machine.id.clone()) {
                if !fleet.marked.remove(&id) {
                    fleet.marked.insert(id);
                }
                fleet.list.cursor = (fleet.list.cursor + 1).min(fleet.shown.len().saturating_sub(1));
                fleet.hold();
            }
            return;
        }
        Action::MarkAll => {
            let all: Vec<String> =
                fleet.shown.iter().map(|place| fleet.rows[*place].machine.id.clone()).collect();
            if all.iter().all(|id| fleet.marked.contains(id)) {
                fleet.marked.clear();
            } else {
                fleet.marked.extend(all);
            }
            return;
        }
        Action::Sort => (fleet.sort, fleet.reverse) = (fleet.sort.next(), false),
        Action::SortReverse => fleet.reverse = !fleet.reverse,
        Action::FilterState => {
            // Only conditions that a machine is in: going through empty lists helps nobody.
            let there: Vec<Condition> = fleet.counts().into_iter().map(|(condition, _)| condition).collect();
            fleet.only = match fleet.only {
                None => there.first().copied(),
                Some(only) => there.into_iter().find(|condition| *condition > only),
            };
        }
        Action::FilterTag => {
            let tags = fleet.tags();
            let next = match &fleet.tag {
                None => tags.first().map(|tag| (*tag).clone()),
                Some(tag) => tags
                    .range::<String, _>((std::ops::Bound::Excluded(tag), std::ops::Bound::Unbounded))
                    .next()
                    .map(|tag| (*tag).clone()),
            };
            if fleet.tag.is_none() && next.is_none() {
                model.toasts.hint(
                    "No machine has a tag",
                    "open a machine and press T to give it some",
                    model.now,
                );
                return;
            }
            fleet.tag = next;
        }
        _ => return,
    }
    fleet.rearrange();
}

fn one(model: &mut Model, action: Action, requests: &mut Vec<Request>) {
    let Some(opened) = &model.opened else { return };
    let id = opened.id.clone();
    let row = model.fleet.get(&id);
    let prompt = |title, help, text: String, field| {
        Some(Overlay::Prompt(Prompt { title, help, input: Input::new(&text), machine: id.clone(), field }))
    };
    let machine = opened.machine.as_ref().or(row.map(|row| &row.machine));
    let Some(machine) = machine else { return };
    match action {
        Action::Rename => {
            let name = machine.name.clone().unwrap_or_default();
            model.overlay =
                prompt("Name", "a hostname, such as node-1; nothing removes it", name, PromptField::Name);
        }
        Action::EditTags => {
            let tags = machine.tags.join(" ");
            model.overlay =
                prompt("Tags", "with spaces between, such as rack=7 lab", tags, PromptField::Tags);
        }
        Action::EditNotes => {
            let notes = machine.notes.clone().unwrap_or_default();
            model.overlay = prompt("Notes", "a line for whoever comes next", notes, PromptField::Notes);
        }
        Action::Discover => {
            let discover = !machine.discover_next;
            requests.push(Request::Edit {
                what: if discover {
                    "Its next boot is discovery".into()
                } else {
                    "Its next boot is not discovery any more".into()
                },
                machine: id,
                patch: MachinePatch { discover_next: Some(discover), ..MachinePatch::default() },
            });
        }
        Action::Rescue => {
            let lines = vec![
                "Its next boot is a system in RAM, with a shell through the agent.".into(),
                "Nothing is written to its disks but what is typed there.".into(),
            ];
            let title = format!("Rescue {}?", model.fleet.name(&id));
            let yes = Request::Begin { machine: id, work: BootOnly::Rescue };
            model.overlay = Some(Overlay::Question(Question { title, lines, yes }));
        }
        Action::Open if opened.tab == Tab::Operations => {
            let chosen = model.works.of_machine(&id).nth(opened.operation_list.cursor);
            if let Some(operation) = chosen.map(|operation| operation.id.clone()) {
                screens::operation(model, &operation, requests);
            }
        }
        _ => {}
    }
}

fn operation(model: &mut Model, action: Action, requests: &mut Vec<Request>) {
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
                capital(operation.kind.name()),
                crate::model::telling::state_word(operation.state)
            )];
            if operation.may_have_written {
                lines.push(
                    "A disk may have been written already: what was on it is gone, and the operation fails."
                        .into(),
                );
            } else {
                lines.push("Nothing was written to any disk.".into());
            }
            let yes = Request::Cancel(vec![operation.id]);
            model.overlay = Some(Overlay::Question(Question { title: "Cancel it?".into(), lines, yes }));
        }
        Action::Retry if !matches!(operation.state, OperationState::Failed | OperationState::Cancelled) => {
            model.toasts.hint(
                "Only what failed or was cancelled is tried again",
                "c cancels what runs",
                model.now,
            );
        }
        Action::Retry if operation.kind.writes() => {
            let mut lines = Vec::new();
            for disk in &operation.disks {
                lines.push(format!(
                    "{}  {}  {}",
                    disk.name,
                    disk.model.as_deref().unwrap_or(""),
                    human::disk(disk.size_bytes)
                ));
                lines.extend(disk.contents.iter().map(|line| format!("  {}", human::content(line))));
            }
            model.overlay = Some(Overlay::Demanded(Demanded {
                title: format!("{} {name} again: this is overwritten", capital(operation.kind.name())),
                lines,
                demand: Demand::new(name, vec![operation.id]),
                input: Input::default(),
            }));
        }
        Action::Retry => {
            let title = format!("{} {name} again?", capital(operation.kind.name()));
            let lines = vec!["Nothing is written to any disk.".into()];
            let yes = Request::RetryHarmless(operation.id);
            model.overlay = Some(Overlay::Question(Question { title, lines, yes }));
        }
        _ => {}
    }
}

fn event(model: &mut Model, action: Action) {
    let machine = model.tail.chosen().and_then(|event| event.machine.clone());
    match action {
        Action::Pause => model.tail.held = !model.tail.held,
        Action::FilterLevel => model.tail.level = model.tail.level.next(),
        Action::FilterMachine => {
            model.tail.machine = if model.tail.machine.is_some() { None } else { machine }
        }
        Action::GoMachine | Action::Open => match machine {
            Some(id) => screens::machine(model, id),
            None => model.toasts.hint("That event is of no machine", "", model.now),
        },
        _ => {}
    }
}

fn artifact(model: &mut Model, action: Action, requests: &mut Vec<Request>) {
    let Some(artifact) = model.stock.chosen().cloned() else { return };
    let name = artifact.name.clone();
    let shipped = !model.stock.is_import(&artifact);
    match action {
        Action::Pin | Action::Delete if shipped => {
            model.toasts.hint(
                format!("{name} is not an import"),
                "only imports are pinned and deleted",
                model.now,
            );
        }
        Action::Pin => requests.push(Request::Pin { name, pinned: !artifact.pinned }),
        Action::Delete if artifact.pinned => {
            model.toasts.hint(
                format!("{name} is pinned"),
                "p takes the pin back; then it can be deleted",
                model.now,
            );
        }
        Action::Delete => {
            let mut lines = match artifact.size {
                Some(size) => vec![format!("{} are freed.", human::size(size))],
                None => vec!["Nothing is kept of it.".into()],
            };
            if !artifact.needed_by.is_empty() {
                lines.push(format!("It is needed by {}.", artifact.needed_by.join(", ")));
            }
            let title = if artifact.download.is_some() { "Cancel the download of" } else { "Delete" };
            let yes = Request::DeleteArtifact(name.clone());
            model.overlay =
                Some(Overlay::Question(Question { title: format!("{title} {name}?"), lines, yes }));
        }
        Action::Build if model.stock.build(&name).is_none() => {
            model.toasts.hint(format!("{name} is not made by the builder"), "debian-image/… are", model.now);
        }
        Action::Build => requests.push(Request::Build(name)),
        _ => {}
    }
}

fn lease_machine(model: &mut Model) {
    let mac = model.leases.shown().get(model.leases.list.cursor).map(|lease| lease.mac);
    match mac.and_then(|mac| model.fleet.with_mac(mac)).map(|row| row.machine.id.clone()) {
        Some(id) => screens::machine(model, id),
        None => model.toasts.hint("No machine has that address", "", model.now),
    }
}
