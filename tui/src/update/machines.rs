//! What is done with machines, events and artifacts: each action asks first where something is lost by it.

use std::collections::BTreeSet;

use ironwake_api::{MachinePatch, OperationKind};

use super::{operations, rebuild, screens};
use crate::bindings::Action;
use crate::human;
use crate::input::Input;
use crate::list::List;
use crate::model::condition::Condition;
use crate::model::machine::Tab;
use crate::model::overlay::{Editor, Overlay, Pick, Picker, Prompt, PromptField, Question};
use crate::model::tail::About;
use crate::model::{Model, Screen};
use crate::request::{BootOnly, Harmless, Request};
use crate::text::Text;
use crate::view::area;

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
        (Screen::Machines | Screen::Machine, Action::Cancel) => operations::take_back(model),
        (Screen::Machines | Screen::Machine, Action::Disarm) => operations::disarm(model, requests),
        (Screen::Machines, _) => list(model, action),
        (Screen::Machine, _) => one(model, action, requests),
        (Screen::Operations | Screen::Operation, _) => operations::act(model, action, requests),
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

pub(super) fn named(model: &Model, ids: &[String]) -> Vec<String> {
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

pub(super) fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// A picker with the first of what is chosen under its cursor.
fn picker(model: &Model, what: Pick, items: Vec<(String, usize)>, chosen: BTreeSet<String>) -> Overlay {
    let first = items.iter().position(|item| chosen.contains(&item.0)).map_or(0, |place| place + 1);
    let mut list = List { cursor: first, top: 0 };
    list.settle(items.len() + 1, area::picker_rows(model));
    Overlay::Picker(Picker { what, items, chosen, input: Input::default(), list })
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
            if tags.is_empty() {
                let next = "open a machine and press T to give it some";
                return model.toasts.hint("No machine has a tag", next, model.now);
            }
            let items = tags.into_iter().map(|(tag, count)| (tag.clone(), count)).collect();
            let chosen = fleet.tagged.clone();
            model.overlay = Some(picker(model, Pick::Tags, items, chosen));
            return;
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
            let text = Text::new(machine.notes.as_deref().unwrap_or_default());
            let title = machine.called();
            model.overlay = Some(Overlay::Editor(Editor { title, text, machine: id, saving: false }));
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

fn event(model: &mut Model, action: Action) {
    let machine = model.tail.chosen().and_then(|event| event.machine.clone());
    match action {
        Action::Pause => model.tail.held = !model.tail.held,
        Action::FilterAbout => {
            let count = |about: About| {
                let of = model.tail.events.iter().filter(|event| About::of(&event.kind) == about);
                (about.word().to_owned(), of.count())
            };
            let items = About::ALL.into_iter().map(count).collect();
            let chosen = model.tail.about.iter().map(|about| about.word().to_owned()).collect();
            model.overlay = Some(picker(model, Pick::About, items, chosen));
        }
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
