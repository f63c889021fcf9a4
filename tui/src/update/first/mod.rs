//! The first set-up: opened by itself where the appliance is not set up, filled in step by step with the daemon checking all of
//! it at each key, and done in one go.

mod answers;
mod fields;

use crate::bindings::Action;
use crate::first::Ask;
use crate::input::Input;
use crate::key::{Code, Key};
use crate::list::Step;
use crate::model::first::{Field, First, How, Permit, Phase, Stage};
use crate::model::{Link, Model, Screen};
use crate::request::Request;
use crate::view;

pub(super) use answers::{event, logged_in, login_refused, lost, refused, told, who};

/// How often interfaces are looked at while one is chosen: somebody plugs a cable in.
const INTERFACES_EVERY: u64 = 3_000;
/// How often USB sticks are looked for while keys are added.
const STICKS_EVERY: u64 = 5_000;
/// How often a daemon that starts again is asked whether it serves.
const RESTART_EVERY: u64 = 2_000;

/// Asks for something.
fn ask(requests: &mut Vec<Request>, ask: Ask) {
    requests.push(Request::First(ask));
}

/// Whether the steps are what is shown.
fn is_shown(model: &Model) -> bool {
    model.screen() == Screen::First
}

/// Opens the steps where they were left.
pub(super) fn open(model: &mut Model, requests: &mut Vec<Request>) {
    if !model.needs_set_up {
        let next = "settings of the appliance are under System";
        return model.toasts.hint("It is set up", next, model.now);
    }
    if is_shown(model) {
        return;
    }
    super::rebuild::abandon(model, requests);
    let who = model.access.whoami.clone();
    let first = model.first.get_or_insert_default();
    who.iter().for_each(|who| first.who(who));
    first.is_looking = true;
    model.has_left_first = false;
    model.screens.push(Screen::First);
    requests.push(Request::Whoami);
    for asked in [Ask::System, Ask::Choices, Ask::State { servers: true }] {
        ask(requests, asked);
    }
}

/// Shows what is below the steps.
fn close(model: &mut Model) {
    model.screens.retain(|screen| *screen != Screen::First);
    if model.screens.is_empty() {
        model.screens.push(Screen::Machines);
    }
}

/// Leaves the steps; what was typed is kept.
pub(super) fn leave(model: &mut Model) {
    close(model);
    model.has_left_first = true;
    if model.first.as_ref().is_some_and(|first| matches!(first.phase, Phase::Done { .. })) {
        model.first = None;
        return;
    }
    model.toasts.hint(
        "It is not set up yet",
        "F2 opens the set-up again, with all that was chosen",
        model.now,
    );
}

/// Time went on.
pub(super) fn tick(model: &Model, passes: impl Fn(u64) -> bool, requests: &mut Vec<Request>) {
    let Some(first) = model.first.as_ref().filter(|_| is_shown(model) && model.link == Link::Live) else {
        return;
    };
    match (&first.phase, first.stage) {
        (Phase::Filling, Stage::Interface) if passes(INTERFACES_EVERY) && !first.is_looking => {
            ask(requests, Ask::State { servers: false });
        }
        (Phase::Filling, Stage::Keys) if passes(STICKS_EVERY) && !first.keys.is_asking => {
            ask(requests, Ask::Sticks);
        }
        (Phase::Restarting { .. }, _) if passes(RESTART_EVERY) => {
            ask(requests, Ask::State { servers: false });
        }
        _ => {}
    }
}

/// Asks the daemon what it thinks of all that is chosen.
fn check(model: &mut Model, requests: &mut Vec<Request>) {
    let Some(first) = model.first.as_mut().filter(|first| first.served().is_some()) else { return };
    model.checks += 1;
    first.asked = model.checks;
    let setup = Box::new(first.document());
    ask(requests, Ask::DryRun { number: model.checks, setup });
}

/// A key where something is typed; says whether it was taken.
pub(super) fn key(model: &mut Model, key: Key, requests: &mut Vec<Request>) -> bool {
    let Some(first) = model.first.as_mut().filter(|first| first.phase == Phase::Filling) else {
        return false;
    };
    let Some(field) = first.field() else { return false };
    if !super::keys::edits(key) {
        return false;
    }
    if field.is_pick() {
        // In a list the others move.
        let edits = key.typed().is_some() || key.ctrl || matches!(key.code, Code::Backspace | Code::Delete);
        if !edits {
            return false;
        }
        let pick = fields::pick(first, field);
        pick.typed.key(key);
        pick.list = crate::list::List::default();
        fields::settle(first, field);
        return true;
    }
    if !field.is_text() {
        return false;
    }
    if field.is_secret() && first.is_asking || field == Field::Paste && first.keys.is_asking {
        return true;
    }
    first.input_mut(field).key(key);
    typed(model, field, requests);
    true
}

/// A text that came at once.
pub(super) fn paste(model: &mut Model, text: &str, requests: &mut Vec<Request>) {
    let Some(first) = model.first.as_mut().filter(|first| first.phase == Phase::Filling) else { return };
    match first.field() {
        // Several keys are several lines, which a field does not have.
        Some(Field::Paste) if text.trim().contains('\n') => add_keys(model, text.to_owned(), requests),
        Some(field) if field.is_text() => {
            first.input_mut(field).insert(text);
            typed(model, field, requests);
        }
        Some(field) if field.is_pick() => fields::pick(first, field).typed.insert(text),
        _ => {}
    }
}

/// Something was typed.
fn typed(model: &mut Model, field: Field, requests: &mut Vec<Request>) {
    let Some(first) = &mut model.first else { return };
    first.refused = None;
    match field {
        Field::Paste => first.keys.refused.clear(),
        _ if field.is_secret() => {}
        _ => check(model, requests),
    }
}

fn add_keys(model: &mut Model, keys: String, requests: &mut Vec<Request>) {
    let Some(first) = model.first.as_mut().filter(|first| !first.keys.is_asking) else { return };
    first.keys.is_asking = true;
    first.keys.refused.clear();
    ask(requests, Ask::AddKeys(keys));
}

/// Opens a step.
fn go(model: &mut Model, stage: Stage, requests: &mut Vec<Request>) {
    let Some(first) = &mut model.first else { return };
    (first.stage, first.focus, first.scroll) = (stage, 0, 0);
    (first.note, first.refused, first.accepts) = (None, None, false);
    first.seen.insert(stage);
    match stage {
        Stage::Interface if !first.is_looking => {
            first.is_looking = true;
            ask(requests, Ask::State { servers: true });
        }
        Stage::Keys => {
            ask(requests, Ask::Keys);
            ask(requests, Ask::Sticks);
        }
        Stage::Range => {
            for (field, from) in [(Field::Router, Field::Gateway), (Field::Told, Field::Dns)] {
                let value = if first.how == How::Static { first.text(from) } else { String::new() };
                first.suggest(field, &value);
            }
        }
        _ => {}
    }
    check(model, requests);
}

/// Opens the step at a line of the list of steps, if it was open before.
pub(super) fn click(model: &mut Model, place: usize, requests: &mut Vec<Request>) {
    let Some(first) = model.first.as_ref().filter(|first| first.phase == Phase::Filling) else { return };
    let stage = Stage::ALL.get(place).copied().filter(|stage| first.seen.contains(stage));
    if let Some(stage) = stage.filter(|stage| first.left_out(*stage).is_none()) {
        go(model, stage, requests);
    }
}

/// Goes on to the next step, unless the daemon says that this one is wrong.
fn finish(model: &mut Model, requests: &mut Vec<Request>) {
    let Some(first) = &mut model.first else { return };
    if first.is_checked() && !first.mistakes(first.stage).is_empty() {
        return first.focus_wrong();
    }
    if let Some(next) = first.after(first.stage) {
        go(model, next, requests);
    }
}

/// Performs an action of the steps.
pub(super) fn act(model: &mut Model, action: Action, requests: &mut Vec<Request>) {
    let Some(first) = &mut model.first else { return };
    match (&first.phase, action) {
        (Phase::Filling, Action::Next) => fields::next(model, requests),
        (Phase::Filling, Action::NextPane) => {
            let count = first.fields().len();
            first.focus = if first.focus + 1 < count { first.focus + 1 } else { 0 };
        }
        (Phase::Filling, Action::PreviousTab) => match (first.focus, first.before(first.stage)) {
            (0, Some(before)) => go(model, before, requests),
            (focus, _) => first.focus = focus.saturating_sub(1),
        },
        (Phase::Filling, Action::Choose) if first.field() == Some(Field::Ntp) => {
            first.ntp = !first.ntp;
            check(model, requests);
        }
        (Phase::Filling, Action::Choose) if first.stage == Stage::Summary => {
            first.accepts = !first.accepts && first.danger().is_some();
        }
        (Phase::Filling, Action::Refresh) => {
            (first.is_looking, first.accepts) = (true, false);
            ask(requests, Ask::State { servers: true });
            ask(requests, Ask::System);
            if first.stage == Stage::Keys {
                ask(requests, Ask::Keys);
                ask(requests, Ask::Sticks);
            }
        }
        (Phase::Confirming { change, sent: false }, Action::Next) => {
            if let Some(token) = change.token.clone() {
                first.phase = Phase::Confirming { change: change.clone(), sent: true };
                first.refused = None;
                ask(requests, Ask::Confirm(token));
            }
        }
        (Phase::Done { .. }, Action::Next) => {
            leave(model);
            model.screens = vec![Screen::Machines];
            super::medium::offer(model, requests);
        }
        _ => {}
    }
}

/// Moves in the step that is open.
pub(super) fn step(model: &mut Model, step: Step, requests: &mut Vec<Request>) {
    let height = view::first::list_height(model);
    let lines = view::first::summary_lines(model);
    let Some(first) = model.first.as_mut().filter(|first| first.phase == Phase::Filling) else { return };
    if first.stage == Stage::Summary {
        return super::keys::scrolled(&mut first.scroll, step, lines, height);
    }
    if fields::step(first, step, height) {
        check(model, requests);
    }
}

/// Has the daemon do it, if nothing is wrong with it.
fn apply(model: &mut Model, requests: &mut Vec<Request>) {
    let Some(first) = &mut model.first else { return };
    if !matches!(first.permit, Permit::Given { .. }) {
        return go(model, Stage::Password, requests);
    }
    if let Some(wrong) = first.first_wrong() {
        go(model, wrong, requests);
        return model.first.iter_mut().for_each(|first| first.focus_wrong());
    }
    let is_right = first.run.as_ref().is_some_and(|run| run.mistakes.is_empty());
    if !first.is_checked() || !is_right {
        return;
    }
    // Enter was pressed at each step before, so it does not say that this is meant.
    if first.danger().is_some() && !first.accepts {
        let next = "space says that two DHCP servers are meant; then enter does it";
        return model.toasts.hint("Nothing is done yet", next, model.now);
    }
    first.phase = Phase::Applying;
    first.done.clear();
    (first.refused, first.note) = (None, None);
    let setup = Box::new(first.document());
    ask(requests, Ask::SetUp(setup));
}

/// The keyboard is another one: what was typed before may not be what was meant.
fn keyboard_set(model: &mut Model, requests: &mut Vec<Request>) {
    let at_console = model.access.is_at_console();
    let Some(first) = &mut model.first else { return };
    first.is_asking = false;
    if !(at_console && first.has_set) {
        return finish(model, requests);
    }
    let keyboard = first.keyboard.chosen.clone();
    first.retypes = true;
    first.permit = Permit::Given { anew: true };
    go(model, Stage::Password, requests);
    if let Some(first) = &mut model.first {
        first.note = Some(format!(
            "The keyboard is {keyboard} from here on, and the password was typed on the one before. Type it again, so that it \
             is what you mean; enter with nothing typed keeps it."
        ));
    }
}

/// Empties what was typed of passwords.
fn forget_passwords(first: &mut First) {
    for field in [Field::Login, Field::New, Field::Again] {
        *first.input_mut(field) = Input::default();
    }
}
