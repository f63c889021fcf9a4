//! Settings: changed as they are typed, checked by the daemon as a whole, and taken back. A refusal is shown where it can be
//! put right.

use ironwake_api::{Problem, SettingOrigin};

use super::keys;
use crate::bindings::Action;
use crate::human;
use crate::input::Input;
use crate::key::{Code, Key};
use crate::list::List;
use crate::message::Asked;
use crate::model::overlay::{Overlay, Prompt, PromptField, Question, SettingEdit};
use crate::model::setting::{self, Kind, Only};
use crate::model::{Model, Screen, known};
use crate::request::{Request, SettingsPatch};

/// Performs an action on settings.
pub(super) fn act(model: &mut Model, action: Action) {
    if action == Action::GoSettings {
        if model.screen() == Screen::System {
            model.screens.push(Screen::Settings);
        }
        return;
    }
    if model.screen() != Screen::Settings {
        return;
    }
    let chosen = model.settings.chosen().map(|setting| (setting.key.clone(), setting.origin));
    match (action, chosen) {
        (Action::FilterOrigin, _) => {
            model.settings.only = model.settings.only.next();
            model.settings.list = List::default();
        }
        (Action::NewSetting, _) => {
            model.overlay = Some(Overlay::Prompt(Prompt {
                title: "Which setting",
                help: "its key, such as api.listen or tag.\"rack=7\".values.timezone",
                input: Input::default(),
                machine: String::new(),
                field: PromptField::SettingKey,
            }));
        }
        (Action::EditSetting, Some((key, _))) => {
            let _ = edit(model, &key);
        }
        (Action::UnsetSetting, Some((key, SettingOrigin::Settings))) => take_back(model, &key),
        (Action::UnsetSetting, Some((key, _))) => {
            let what = format!("{key} was not changed through the API");
            model.toasts.hint(what, "only such changes are taken back here", model.now);
        }
        _ => {}
    }
}

/// A key is none of a setting, which was said.
pub(super) struct NoSetting;

/// Opens the value of a setting. One that is not listed may be one of those without a default.
pub(super) fn edit(model: &mut Model, key: &str) -> Result<(), NoSetting> {
    if key.is_empty() {
        return Ok(());
    }
    let is_listed = model.settings.settings().iter().any(|setting| setting.key == key);
    if let Err(why) = known::check(key)
        && !is_listed
    {
        model.toasts.hint("There is no such setting", why, model.now);
        return Err(NoSetting);
    }
    let known = model.settings.settings().iter().find(|setting| setting.key == key);
    model.overlay = Some(Overlay::Setting(SettingEdit::new(key, known)));
    Ok(())
}

fn take_back(model: &mut Model, key: &str) {
    match setting::taken_back(key) {
        Ok((whole, patch)) => {
            let mut lines = vec!["The configuration file or the default counts again.".to_owned()];
            if whole != key {
                lines.push(format!("{whole} is a list, which is taken back as a whole."));
            }
            let title = format!("Take {whole} back?");
            let what = format!("{whole} is taken back");
            let yes = Request::ChangeSettings { key: whole, patch: SettingsPatch(patch), what };
            model.overlay = Some(Overlay::Question(Question { title, lines, yes }));
        }
        Err(why) => model.toasts.hint("It cannot be taken back", why, model.now),
    }
}

/// A key where a value is typed; says whether it was taken.
pub(super) fn key(edit: &mut SettingEdit, key: Key) -> bool {
    if edit.sending || !keys::edits(key) {
        return false;
    }
    edit.refused.clear();
    if edit.kind == Kind::Switch && key.code == Code::Char(' ') {
        let next = if edit.input.text().trim() == "true" { "false" } else { "true" };
        edit.input = Input::new(next);
        return true;
    }
    edit.input.key(key)
}

/// Sends what was typed, if it can be a value of its kind.
pub(super) fn send(model: &mut Model, mut edit: SettingEdit, requests: &mut Vec<Request>) {
    let value = edit.kind.parse(&edit.input.text());
    let patch = value.and_then(|value| setting::patch(model.settings.settings(), &edit.key, value));
    match patch {
        _ if edit.sending => {}
        Ok(patch) => {
            edit.sending = true;
            let (key, what) = (edit.key.clone(), format!("{} is changed", edit.key));
            requests.push(Request::ChangeSettings { key, patch: SettingsPatch(patch), what });
        }
        Err(why) => edit.refused = vec![why],
    }
    model.overlay = Some(Overlay::Setting(edit));
}

/// The daemon has taken a change.
pub(super) fn changed(model: &mut Model, asked: &Asked) {
    let done = |edit: &SettingEdit| *asked == Asked::Setting(edit.key.clone());
    if matches!(&model.overlay, Some(Overlay::Setting(edit)) if done(edit)) {
        model.overlay = None;
    }
}

/// Shows a refusal below what was typed; says whether that is still there.
pub(super) fn refused(model: &mut Model, key: &str, problem: &Problem) -> bool {
    let Some(Overlay::Setting(edit)) = &mut model.overlay else { return false };
    if edit.key != key {
        return false;
    }
    edit.sending = false;
    edit.refused = reasons(problem);
    true
}

/// Why something was refused, in lines: what is said of it as a whole, then of each field that was not named there.
pub(super) fn reasons(problem: &Problem) -> Vec<String> {
    let told = |error: &&ironwake_api::FieldProblem| problem.detail.contains(&error.message);
    let errors = problem.errors.iter().filter(|error| !told(error));
    let mut lines = human::sentences(&problem.detail);
    lines.extend(errors.map(|error| format!("{}: {}", error.field, error.message)));
    lines
}

/// Drops search or filter; says whether there was one.
pub(super) fn clear(model: &mut Model) -> bool {
    let book = &mut model.settings;
    let narrowed = !book.search.is_empty() || book.only != Only::All;
    if !book.search.is_empty() {
        book.search = Input::default();
    } else {
        book.only = Only::All;
    }
    narrowed
}
