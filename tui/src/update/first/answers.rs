//! What the daemon's answers, refusals and events change in the first set-up.

use ironwake_api::{EventKind, Problem, SetupAnswer, SetupState, Whoami};

use super::super::settings;
use super::{ask, check, close, finish, forget_passwords, go, is_shown, keyboard_set, open};
use crate::first::{Ask, Told, What};
use crate::input::Input;
use crate::model::Model;
use crate::model::first::{Field, Permit, Phase, Stage};
use crate::request::Request;

/// Takes an answer.
pub(crate) fn told(model: &mut Model, told: Told, requests: &mut Vec<Request>) {
    if let Told::State { servers, state } = told {
        return state_told(model, servers, state, requests);
    }
    let Some(first) = &mut model.first else { return };
    match told {
        Told::State { .. } => {}
        Told::System(system) => {
            first.system(*system);
            skip_left_out(model, requests);
        }
        Told::Choices(choices) => first.choices(choices),
        Told::DryRun { number, run } => {
            if first.ran(number, run) {
                check(model, requests);
            }
        }
        Told::Keys(keys) => first.keys.listed = keys,
        Told::Sticks(sticks) => {
            first.keys.sticks = Some(sticks);
            let len = first.keys.found().len();
            first.keys.list.settle(len, len);
        }
        Told::Keyboard(keyboard) => {
            if let Some(system) = &mut first.system {
                system.keyboard = Some(keyboard);
            }
            if first.stage == Stage::Keyboard {
                keyboard_set(model, requests);
            }
        }
        Told::Added(added) => {
            first.keys.is_asking = false;
            *first.input_mut(Field::Paste) = Input::default();
            let count = crate::human::count(added.added.len(), "key");
            let said = match (added.added.is_empty(), added.present.is_empty()) {
                (true, false) => "It is listed already".to_owned(),
                (true, true) => "There is no key in it".to_owned(),
                (false, _) => format!("Added: {count}"),
            };
            model.toasts.done(said, model.now);
            ask(requests, Ask::Keys);
            ask(requests, Ask::Sticks);
        }
        Told::OneTimePassword(made) => {
            first.keys.is_asking = false;
            first.keys.one_time = Some(made);
        }
        Told::SetUp(answer) => set_up(model, answer),
        Told::Confirmed => {
            first.phase = if first.restarts {
                Phase::Restarting { gone: false }
            } else {
                Phase::Done { by_hand: true }
            };
        }
    }
}

fn state_told(model: &mut Model, servers: bool, state: SetupState, requests: &mut Vec<Request>) {
    model.needs_set_up = state.needed;
    let is_set_up = !state.needed;
    if let Some(first) = &mut model.first {
        first.is_looking &= !servers;
        let phase = first.phase.clone();
        first.interfaces(state);
        // It is new, or the answer was lost with the daemon.
        let is_unchecked = !servers && !first.is_checked();
        let unasked = |first: &crate::model::first::First| {
            let found = first.state.iter().flat_map(|state| &state.interfaces);
            found.clone().any(|found| found.link && found.dhcp.is_none())
        };
        match phase {
            // Whoever says so was started since; that it was gone need not have been seen.
            Phase::Restarting { .. } if is_set_up => first.phase = Phase::Done { by_hand: false },
            Phase::Restarting { gone: true } => {
                first.phase = Phase::Filling;
                go(model, Stage::Summary, requests);
                if let Some(first) = &mut model.first {
                    first.refused =
                        Some("the daemon has started again and serves nothing: its log says why".into());
                }
            }
            Phase::Filling if is_set_up => {
                model.first = None;
                close(model);
                model.toasts.done("It is set up", model.now);
            }
            Phase::Filling => {
                // Somebody has plugged a cable in.
                if !servers && first.stage == Stage::Interface && !first.is_looking && unasked(first) {
                    first.is_looking = true;
                    ask(requests, Ask::State { servers: true });
                }
                if is_unchecked || first.asked == 0 {
                    check(model, requests);
                }
            }
            _ => {}
        }
    } else if model.needs_set_up && !model.has_left_first && model.overlay.is_none() {
        open(model, requests);
        if let Some(first) = &mut model.first {
            first.interfaces(state);
        }
    }
}

/// Goes on from a step that turns out to be impossible on this host.
fn skip_left_out(model: &mut Model, requests: &mut Vec<Request>) {
    let Some(first) = &model.first else { return };
    if first.phase == Phase::Filling && first.left_out(first.stage).is_some() {
        finish(model, requests);
    } else {
        check(model, requests);
    }
}

fn set_up(model: &mut Model, answer: SetupAnswer) {
    let Some(first) = &mut model.first else { return };
    first.done = answer.steps.into_iter().map(|step| (step.what, step.problem)).collect();
    first.restarts = answer.restarts;
    first.phase = match (answer.network_change, answer.restarts) {
        (Some(change), _) => Phase::Confirming { change, sent: false },
        (None, true) => Phase::Restarting { gone: false },
        (None, false) => Phase::Done { by_hand: true },
    };
}

/// Takes an event.
pub(crate) fn event(model: &mut Model, kind: &EventKind, requests: &mut Vec<Request>) {
    let shown = is_shown(model);
    let Some(first) = &mut model.first else { return };
    match kind {
        EventKind::SetupStep { what, problem } if first.phase == Phase::Applying => {
            first.done.push((what.clone(), problem.clone()));
        }
        EventKind::NetworkTakenBack { reason, .. }
            if matches!(first.phase, Phase::Confirming { .. } | Phase::Restarting { .. }) =>
        {
            first.phase = Phase::Filling;
            let reason = reason.clone();
            go(model, Stage::Address, requests);
            if let Some(first) = &mut model.first {
                first.note =
                    Some(format!("The address went back to what it was: {reason}. It can be tried again."));
            }
        }
        EventKind::SshKeyAdded { .. } | EventKind::SshKeyDeleted { .. } if shown => {
            ask(requests, Ask::Keys);
            // It may have let a key in, which it does once.
            requests.extend(first.keys.one_time.is_some().then_some(Request::Whoami));
        }
        _ => {}
    }
}

/// The daemon does not answer.
pub(crate) fn lost(model: &mut Model) {
    if let Some(first) = &mut model.first
        && first.phase == (Phase::Restarting { gone: false })
    {
        first.phase = Phase::Restarting { gone: true };
    }
}

/// Takes who is there.
pub(crate) fn who(model: &mut Model, who: &Whoami) {
    if let Some(first) = &mut model.first {
        first.who(who);
    }
}

/// The password was taken: the steps behind it can be done. Says whether it was typed there.
pub(crate) fn logged_in(model: &mut Model, requests: &mut Vec<Request>) -> bool {
    let Some(first) = model.first.as_mut().filter(|first| first.is_asking) else { return false };
    if first.stage != Stage::Password {
        return false;
    }
    first.is_asking = false;
    first.has_set |= !first.input(Field::New).is_empty();
    forget_passwords(first);
    first.permit = Permit::Given { anew: false };
    let from = if std::mem::take(&mut first.retypes) { Stage::Keyboard } else { Stage::Password };
    if let Some(next) = first.after(from) {
        go(model, next, requests);
    }
    true
}

/// The password was refused; says whether it was typed in the steps.
pub(crate) fn login_refused(model: &mut Model, problem: &Problem) -> bool {
    let Some(first) = model.first.as_mut().filter(|first| first.is_asking) else { return false };
    if first.stage != Stage::Password {
        return false;
    }
    first.is_asking = false;
    first.focus = 0;
    forget_passwords(first);
    first.refused = Some(problem.detail.clone());
    true
}

/// Shows a refusal where it can be put right; says whether there is a place for it.
pub(crate) fn refused(model: &mut Model, what: What, problem: &Problem, requests: &mut Vec<Request>) -> bool {
    let Some(first) = &mut model.first else { return false };
    let said = || settings::reasons(problem);
    match what {
        What::DryRun => {
            first.answered = first.asked;
            first.run = None;
            first.refused = Some(said().join("; "));
        }
        What::Keyboard => {
            first.is_asking = false;
            first.refused = Some(said().join("; "));
        }
        What::AddKeys | What::OneTimePassword => {
            first.keys.is_asking = false;
            first.keys.refused = said();
        }
        What::SetUp => {
            first.phase = Phase::Filling;
            if let Some(run) = first.run.as_mut().filter(|_| !problem.errors.is_empty()) {
                run.mistakes = problem.errors.clone();
            }
            match first.first_wrong() {
                Some(wrong) => {
                    let run = first.run.clone();
                    go(model, wrong, requests);
                    if let Some(first) = &mut model.first {
                        first.run = run;
                        first.focus_wrong();
                    }
                }
                None => first.refused = Some(said().join("; ")),
            }
        }
        What::Confirm => {
            if let Phase::Confirming { sent, .. } = &mut first.phase {
                *sent = false;
            }
            first.refused = Some(said().join("; "));
        }
    }
    true
}
