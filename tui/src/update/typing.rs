//! Lines that are typed: search, palette, values, and words that confirm.

use ironwake_api::MachinePatch;

use super::{access, first, keys, own, rebuild, screens, settings};
use crate::bindings::{self, Action, BINDINGS, Context};
use crate::key::Key;
use crate::message::Asked;
use crate::model::overlay::{self, Entry, Overlay, Palette, Permits, Pick, Picker, PromptField};
use crate::model::tail::About;
use crate::model::{Model, Screen};
use crate::request::Request;
use crate::view::area;

/// Machines that the palette offers.
const MACHINES_OFFERED: usize = 5;

/// A key where a line is typed; says whether it was taken.
pub(super) fn key(model: &mut Model, key: Key, requests: &mut Vec<Request>) -> bool {
    let bound = bindings::action(&model.contexts(), key).is_some();
    match &mut model.overlay {
        Some(Overlay::Search) => {
            let taken =
                !bound && keys::edits(key) && model.search_mut().is_some_and(|search| search.key(key));
            if taken {
                searched(model);
            }
            taken
        }
        Some(Overlay::Palette(palette)) => {
            let taken = !bound && keys::edits(key) && palette.input.key(key);
            if taken {
                fill_palette(model);
            }
            taken
        }
        Some(Overlay::Prompt(prompt)) => !bound && keys::edits(key) && prompt.input.key(key),
        Some(Overlay::Demanded(demanded)) => !bound && keys::edits(key) && demanded.input.key(key),
        Some(Overlay::Login(login)) => !bound && !login.is_asking && keys::edits(key) && login.input.key(key),
        Some(Overlay::Setting(edit)) => !bound && settings::key(edit, key),
        Some(Overlay::Own(edit)) => !bound && own::key(edit, key),
        Some(Overlay::Editor(editor)) => !bound && !editor.saving && editor.text.key(key),
        Some(Overlay::Picker(picker)) => {
            let taken = !bound && keys::edits(key) && picker.input.key(key);
            if taken {
                picker.list = crate::list::List::default();
            }
            taken
        }
        Some(Overlay::Help { .. } | Overlay::Question(_) | Overlay::Code(_)) => false,
        None => screen_key(model, key, requests),
    }
}

/// A key where nothing lies above the screen.
fn screen_key(model: &mut Model, key: Key, requests: &mut Vec<Request>) -> bool {
    match model.screen() {
        Screen::Rebuild => rebuild::key(model, key, requests),
        Screen::First => first::key(model, key, requests),
        Screen::Machine => {
            // The stages of the boot under the cursor are asked for once the key has moved it.
            let moves = [
                Action::Up,
                Action::Down,
                Action::First,
                Action::Last,
                Action::NextPane,
                Action::PreviousTab,
            ];
            let action = bindings::action(&model.contexts(), key).filter(|action| moves.contains(action));
            if let Some(action) = action {
                keys::act(model, action, requests);
                screens::follow_cursor(model, requests);
            }
            action.is_some()
        }
        _ => false,
    }
}

/// A text that came at once: it is typed where a line is, and means nothing elsewhere.
pub(super) fn paste(model: &mut Model, text: &str, requests: &mut Vec<Request>) {
    match &mut model.overlay {
        Some(Overlay::Search) => {
            if let Some(search) = model.search_mut() {
                search.insert(text);
            }
            searched(model);
        }
        Some(Overlay::Palette(palette)) => {
            palette.input.insert(text);
            fill_palette(model);
        }
        Some(Overlay::Prompt(prompt)) => prompt.input.insert(text),
        Some(Overlay::Login(login)) if !login.is_asking => login.input.insert(text),
        Some(Overlay::Setting(edit)) if !edit.sending => edit.input.insert(text),
        Some(Overlay::Own(edit)) if !edit.sending => edit.input.insert(text),
        Some(Overlay::Editor(editor)) if !editor.saving => editor.text.insert(text),
        Some(Overlay::Picker(picker)) => picker.input.insert(text),
        // A word that confirms is typed: a pasted one was not read.
        Some(
            Overlay::Demanded(_)
            | Overlay::Login(_)
            | Overlay::Help { .. }
            | Overlay::Question(_)
            | Overlay::Editor(_)
            | Overlay::Setting(_)
            | Overlay::Own(_)
            | Overlay::Code(_),
        ) => {}
        None => match model.screen() {
            Screen::First => first::paste(model, text, requests),
            _ => rebuild::paste(model, text, requests),
        },
    }
}

fn searched(model: &mut Model) {
    model.fleet.rearrange();
    if model.screen() == Screen::Machines {
        model.fleet.list = crate::list::List::default();
    }
}

/// Opens the palette.
pub(super) fn open_palette(model: &mut Model) {
    model.overlay = Some(Overlay::Palette(Palette::default()));
    fill_palette(model);
}

fn fill_palette(model: &mut Model) {
    let contexts = [model.screen().context(), Context::Everywhere];
    let (rows, needs_set_up) = (area::palette_rows(model), model.needs_set_up);
    let Some(Overlay::Palette(palette)) = &mut model.overlay else { return };
    let typed = palette.input.text();
    let is_here = |place: &usize| BINDINGS[*place].action != Action::GoFirst || needs_set_up;
    let mut scored: Vec<(usize, usize)> = overlay::offered(&contexts)
        .into_iter()
        .filter(is_here)
        .filter_map(|place| Some((overlay::score(&typed, BINDINGS[place].name)?, place)))
        .collect();
    if !typed.trim().is_empty() {
        scored.sort_by_key(|(score, _)| *score);
    }
    let mut entries: Vec<Entry> = scored.into_iter().map(|(_, place)| Entry::Binding(place)).collect();
    if !typed.trim().is_empty() {
        let mut machines: Vec<(usize, String, String)> = Vec::new();
        for row in &model.fleet.rows {
            let name = row.machine.called();
            if name.to_lowercase().contains(&typed.trim().to_lowercase()) {
                machines.push((name.len(), name, row.machine.id.clone()));
            }
        }
        machines.sort();
        let found = machines.into_iter().take(MACHINES_OFFERED).map(|(_, name, id)| Entry::Machine(id, name));
        entries.extend(found);
    }
    palette.entries = entries;
    palette.list = crate::list::List::default();
    palette.list.settle(palette.entries.len(), rows);
}

/// Takes what was typed.
pub(super) fn accept(model: &mut Model, requests: &mut Vec<Request>) {
    match model.overlay.take() {
        Some(Overlay::Palette(palette)) => match palette.entries.get(palette.list.cursor) {
            Some(Entry::Binding(place)) => run(model, *place, requests),
            Some(Entry::Machine(id, _)) => {
                rebuild::abandon(model, requests);
                screens::machine(model, id.clone());
            }
            None => {}
        },
        Some(Overlay::Prompt(prompt)) => {
            let text = prompt.input.text().trim().to_owned();
            let given = (!text.is_empty()).then(|| text.clone());
            let (patch, what) = match prompt.field {
                PromptField::SettingKey => {
                    if settings::edit(model, &text).is_err() {
                        model.overlay = Some(Overlay::Prompt(prompt));
                    }
                    return;
                }
                PromptField::Name => {
                    (MachinePatch { name: Some(given), ..MachinePatch::default() }, "Renamed")
                }
                PromptField::Tags => {
                    let tags = text.split_whitespace().map(str::to_owned).collect();
                    (MachinePatch { tags: Some(tags), ..MachinePatch::default() }, "Tags saved")
                }
            };
            requests.push(Request::Edit { machine: prompt.machine, patch, what: what.into() });
        }
        Some(Overlay::Demanded(demanded)) => match demanded.demand.confirmed(&demanded.input.text()) {
            Some(confirmation) => requests.push(match demanded.permits {
                Permits::Retry => Request::RetryWriting(confirmation),
                Permits::Arm => Request::Arm(confirmation),
                Permits::Install => {
                    Request::Install { disk: demanded.demand.word().to_owned(), confirmation }
                }
                Permits::FactoryReset => Request::FactoryReset(confirmation),
            }),
            None => {
                let word = demanded.demand.word().to_owned();
                let nothing = match demanded.permits {
                    Permits::Retry | Permits::Arm => "Nothing is armed",
                    Permits::Install => "Nothing is written",
                    Permits::FactoryReset => "Nothing is destroyed",
                };
                model.overlay = Some(Overlay::Demanded(demanded));
                model.toasts.hint(nothing, format!("type {word} in full to confirm"), model.now);
            }
        },
        Some(Overlay::Login(login)) => access::accept(model, login, requests),
        Some(Overlay::Picker(picker)) => pick(model, &picker, requests),
        Some(Overlay::Own(edit)) => own::send(model, edit, requests),
        Some(Overlay::Setting(edit)) => settings::send(model, edit, requests),
        Some(Overlay::Search) | None => {}
        other => model.overlay = other,
    }
}

/// Narrows the screen by what was chosen, or does it.
fn pick(model: &mut Model, picker: &Picker, requests: &mut Vec<Request>) {
    let taken = picker.taken();
    match picker.what {
        Pick::Tags => {
            model.fleet.tagged = taken;
            model.fleet.rearrange();
        }
        Pick::About => {
            let about = About::ALL.into_iter().filter(|about| taken.contains(about.word()));
            model.tail.scope.about = about.collect();
        }
        one => {
            if let Some(taken) = taken.into_iter().next() {
                own::picked(model, one, taken, requests);
            }
        }
    }
}

/// What the daemon calls a machine's notes when they are saved, so that its answer finds the editor.
pub(super) const NOTES_SAVED: &str = "Notes saved";

/// Sends the notes that were typed; the editor stays open until the daemon has taken them.
pub(super) fn save(model: &mut Model, requests: &mut Vec<Request>) {
    let Some(Overlay::Editor(editor)) = &mut model.overlay else { return };
    if editor.saving {
        return;
    }
    editor.saving = true;
    let text = editor.text.text();
    let patch = MachinePatch { notes: Some((!text.is_empty()).then_some(text)), ..MachinePatch::default() };
    requests.push(Request::Edit { machine: editor.machine.clone(), patch, what: NOTES_SAVED.into() });
}

/// The daemon has taken the notes, or has not: then they can be typed on.
pub(super) fn saved(model: &mut Model, asked: &Asked, taken: bool) {
    let of_notes = matches!(asked, Asked::Do(what) if what == NOTES_SAVED);
    if let Some(Overlay::Editor(editor)) = &mut model.overlay
        && of_notes
        && editor.saving
    {
        editor.saving = false;
        if taken {
            model.overlay = None;
        }
    }
}

/// Runs an entry of the palette: on its own screen, if that is another tab's.
fn run(model: &mut Model, place: usize, requests: &mut Vec<Request>) {
    let binding = &BINDINGS[place];
    let here = [model.screen().context(), Context::Everywhere].contains(&binding.context);
    if !here && let Some(tab) = Screen::TABS.into_iter().find(|tab| tab.context() == binding.context) {
        rebuild::abandon(model, requests);
        screens::tab(model, tab, requests);
    }
    keys::act(model, binding.action, requests);
}

/// Leaves what is typed. A search is dropped with it.
pub(super) fn leave(model: &mut Model, requests: &mut Vec<Request>) {
    if matches!(model.overlay, Some(Overlay::Search)) {
        if let Some(search) = model.search_mut() {
            *search = crate::input::Input::default();
        }
        model.fleet.rearrange();
    }
    if let Some(Overlay::Login(login)) = model.overlay.take() {
        access::leave(model, login, requests);
    }
}
