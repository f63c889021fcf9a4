//! What Enter and the arrows do in each field of the first set-up.

use ironwake_api::{Secret, check_password};

use super::{add_keys, apply, ask, finish, forget_passwords, go};
use crate::first::Ask;
use crate::list::{List, Step};
use crate::model::Model;
use crate::model::first::{Field, First, How, MODES, Permit, Pick, Stage};
use crate::request::Request;

/// The long list of a field.
pub(super) fn pick(first: &mut First, field: Field) -> &mut Pick {
    if field == Field::Zone { &mut first.zone } else { &mut first.keyboard }
}

/// Where nothing narrows the list, the cursor stands on what is chosen.
pub(super) fn settle(first: &mut First, field: Field) {
    let (pick, names) = match field {
        Field::Zone => (&mut first.zone, &first.choices.timezones),
        _ => (&mut first.keyboard, &first.choices.keyboards),
    };
    if pick.typed.is_empty() {
        pick.choose(pick.chosen.clone(), names);
    }
}

/// Takes what the field holds, and goes on.
pub(super) fn next(model: &mut Model, requests: &mut Vec<Request>) {
    let Some(first) = &mut model.first else { return };
    let Some(field) = first.field() else {
        return match first.stage {
            Stage::Summary => apply(model, requests),
            _ if first.permit == Permit::Elsewhere => {}
            _ => finish(model, requests),
        };
    };
    match field {
        Field::Login | Field::New | Field::Again => password(model, field, requests),
        Field::Keyboard => {
            if !first.keyboard.take(&first.choices.keyboards) || first.is_asking {
                return;
            }
            let chosen = first.keyboard.chosen.clone();
            let before = first.system.as_ref().and_then(|system| system.keyboard.as_ref());
            if chosen.is_empty() || before == Some(&chosen) {
                return finish(model, requests);
            }
            first.is_asking = true;
            first.refused = None;
            ask(requests, Ask::Keyboard(chosen));
        }
        Field::Zone => {
            if first.zone.take(&first.choices.timezones) {
                super::check(model, requests);
                on(model, requests);
            }
        }
        Field::Interface if first.served().is_none() => {}
        Field::Dhcp if first.wants_own_address() => {
            first.how = How::Static;
            go(model, Stage::Address, requests);
            if let Some(first) = &mut model.first {
                first.focus = 1;
                first.note = Some(
                    "Server mode needs an address of the appliance's own, which no other server gives it. This one is \
                     suggested: check it, then go on."
                        .into(),
                );
            }
        }
        Field::Paste => match first.text(Field::Paste) {
            text if text.is_empty() => finish(model, requests),
            text => add_keys(model, text, requests),
        },
        Field::Sticks => {
            let found = first.keys.found();
            match found.get(first.keys.list.cursor).map(|(_, key)| key.line.clone()) {
                Some(line) => add_keys(model, line, requests),
                None => ask(requests, Ask::Sticks),
            }
        }
        Field::OneTime => {
            if !std::mem::replace(&mut first.keys.is_asking, true) {
                first.keys.refused.clear();
                ask(requests, Ask::OneTimePassword);
            }
        }
        _ => on(model, requests),
    }
}

/// To the next field, behind the last one to the next step.
fn on(model: &mut Model, requests: &mut Vec<Request>) {
    let Some(first) = &mut model.first else { return };
    if first.focus + 1 < first.fields().len() {
        first.focus += 1;
    } else {
        finish(model, requests);
    }
}

fn password(model: &mut Model, field: Field, requests: &mut Vec<Request>) {
    let Some(first) = &mut model.first else { return };
    let typed = Secret(first.input(field).text());
    if first.is_asking {
        return;
    }
    first.refused = None;
    match (field, typed.0.is_empty()) {
        // There is one, or nobody needs one here.
        (Field::New, true) if matches!(first.permit, Permit::Given { .. }) => {
            let from = if first.retypes { Stage::Keyboard } else { Stage::Password };
            if let Some(next) = first.after(from) {
                go(model, next, requests);
            }
        }
        (_, true) => first.refused = Some("type one: what changes something needs it".into()),
        (Field::New, _) => match check_password(&typed.0) {
            Ok(()) => first.focus = 1,
            Err(why) => {
                forget_passwords(first);
                first.refused = Some(why);
            }
        },
        (Field::Again, _) if first.input(Field::New).text() != typed.0 => {
            forget_passwords(first);
            first.focus = 0;
            first.refused = Some("the two are not the same: type it anew".into());
        }
        (Field::Again, _) => {
            first.is_asking = true;
            requests.push(Request::SetPassword(typed));
        }
        (_, _) => {
            first.is_asking = true;
            requests.push(Request::LogIn(typed));
        }
    }
}

/// Moves in the field under the cursor; says whether something else is chosen by that.
pub(super) fn step(first: &mut First, step: Step, height: usize) -> bool {
    let Some(field) = first.field() else { return false };
    match field {
        Field::Keyboard | Field::Zone => {
            let names = match field {
                Field::Zone => &first.choices.timezones,
                _ => &first.choices.keyboards,
            };
            let len = if field == Field::Zone { &first.zone } else { &first.keyboard }.shown(names).len();
            pick(first, field).list.step(step, len, height);
            false
        }
        Field::Interface => {
            let len = first.state.as_ref().map_or(0, |state| state.interfaces.len());
            let before = first.interface.cursor;
            first.interface.step(step, len, len);
            if first.interface.cursor != before {
                first.chosen_interface();
            }
            first.interface.cursor != before
        }
        Field::How => {
            let hows = first.hows();
            let before = hows.iter().position(|how| *how == first.how).unwrap_or(0);
            let place = moved(before, step, hows.len());
            first.how = hows[place];
            if place == before && step == Step::Down {
                beside(first, step);
            }
            place != before
        }
        Field::Dhcp => {
            let before = MODES.iter().position(|mode| *mode == first.dhcp).unwrap_or(0);
            let place = moved(before, step, MODES.len());
            first.dhcp = MODES[place];
            place != before
        }
        Field::Sticks => {
            let (len, before) = (first.keys.found().len(), first.keys.list.cursor);
            first.keys.list.step(step, len, len);
            if first.keys.list.cursor == before {
                beside(first, step);
            }
            false
        }
        _ => {
            beside(first, step);
            false
        }
    }
}

fn moved(place: usize, step: Step, len: usize) -> usize {
    let mut list = List { cursor: place, top: 0 };
    list.step(step, len, len);
    list.cursor
}

/// To the field above or below.
fn beside(first: &mut First, step: Step) {
    let last = first.fields().len().saturating_sub(1);
    first.focus = match step {
        Step::Up | Step::PageUp => first.focus.saturating_sub(1),
        Step::Down | Step::PageDown => (first.focus + 1).min(last),
        Step::First => 0,
        Step::Last => last,
    };
}
