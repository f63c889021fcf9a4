//! Logging in, locking, and what waits for a login.

use ironwake_api::{Entrance, Problem, Secret, check_password};

use super::{answer, first};
use crate::message::Asked;
use crate::model::Model;
use crate::model::first::First;
use crate::model::overlay::{Login, LoginStep, Overlay, Waiting};
use crate::request::Request;

/// Locks the console, or asks for a login where it is locked.
pub(super) fn lock(model: &mut Model, requests: &mut Vec<Request>) {
    if model.access.is_in_session() {
        requests.push(Request::LogOut);
    } else if model.access.is_locked() {
        open(model, None, requests);
    } else {
        let why = "whoever may use the operators' socket or shows a token needs no login";
        model.toasts.hint("There is nothing to lock", why, model.now);
    }
}

/// Asks for another password, or for a login where that has to come first.
pub(super) fn set_password(model: &mut Model, requests: &mut Vec<Request>) {
    if model.access.is_locked() && !model.access.sets_first() {
        return open(model, None, requests);
    }
    model.overlay = Some(Overlay::Login(Login::new(LoginStep::First, None)));
}

/// The password is set where nobody logs in.
pub(super) fn password_set(model: &mut Model, requests: &mut Vec<Request>) {
    if first::logged_in(model, requests) {
        return requests.push(Request::Whoami);
    }
    let _ = model.overlay.take_if(|open| matches!(open, Overlay::Login(_)));
}

/// Opens the dialog, or puts what waits into the one that is open; says where there is nothing to log in with.
pub(super) fn open(model: &mut Model, waiting: Option<Waiting>, requests: &mut Vec<Request>) {
    if let Some(Overlay::Login(login)) = &mut model.overlay {
        login.then.extend(waiting);
        return;
    }
    let step = match (model.access.has_password(), model.access.sets_first()) {
        (true, _) => LoginStep::Password,
        (false, true) => LoginStep::First,
        (false, false) => {
            if let Some(Waiting { asked, problem, .. }) = waiting {
                answer::plainly_refused(model, &asked, &problem, requests);
            }
            let how = "`ironwake password set` sets it, on the appliance as root; or log in with a key";
            return model.toasts.hint("No password is set to log in with", how, model.now);
        }
    };
    model.overlay = Some(Overlay::Login(Login::new(step, waiting)));
}

/// Takes what was typed.
pub(super) fn accept(model: &mut Model, mut login: Login, requests: &mut Vec<Request>) {
    let typed = Secret(std::mem::take(&mut login.input).text());
    login.said = None;
    login.step = match login.step {
        _ if login.is_asking || typed.0.is_empty() => login.step,
        LoginStep::Password => {
            login.is_asking = true;
            requests.push(Request::LogIn(typed));
            LoginStep::Password
        }
        LoginStep::First => match check_password(&typed.0) {
            Ok(()) => LoginStep::Again(typed),
            Err(why) => {
                login.said = Some(why);
                LoginStep::First
            }
        },
        LoginStep::Again(first) if first == typed => {
            login.is_asking = true;
            requests.push(Request::SetPassword(typed));
            LoginStep::First
        }
        LoginStep::Again(_) => {
            login.said = Some("the two are not the same: type it anew".into());
            LoginStep::First
        }
    };
    model.overlay = Some(Overlay::Login(login));
}

/// Leaves the dialog: what waited for it is refused.
pub(super) fn leave(model: &mut Model, login: Login, requests: &mut Vec<Request>) {
    for Waiting { asked, problem, .. } in login.then {
        answer::plainly_refused(model, &asked, &problem, requests);
    }
}

/// Somebody has logged in: what waited is asked for again.
pub(super) fn logged_in(model: &mut Model, name: &str, requests: &mut Vec<Request>) {
    model.toasts.done(format!("Logged in as {name}"), model.now);
    requests.push(Request::Whoami);
    first::logged_in(model, requests);
    if let Some(Overlay::Login(login)) = model.overlay.take_if(|open| matches!(open, Overlay::Login(_))) {
        requests.extend(login.then.into_iter().map(|waiting| waiting.request));
    }
}

/// The session is over, by the lock or by a key.
pub(super) fn locked(model: &mut Model, why: &str, requests: &mut Vec<Request>) {
    model.access.lock();
    model.settings.all = None;
    model.first.iter_mut().for_each(First::lock);
    let over_ssh = model.access.whoami.as_ref().is_some_and(|who| who.entrance == Some(Entrance::Ssh));
    let how = match over_ssh {
        true => "Ctrl-L asks for the administrator's password; or connect again",
        false => "Ctrl-L asks for the administrator's password",
    };
    model.toasts.hint(why.to_owned(), how, model.now);
    requests.push(Request::Whoami);
}

/// The login itself was refused: whatever asked for it says why, and asks again.
pub(super) fn login_refused(model: &mut Model, problem: &Problem) {
    if let Some(Overlay::Login(login)) = &mut model.overlay {
        login.is_asking = false;
        login.said = Some(problem.detail.clone());
    } else if !first::login_refused(model, problem) {
        model.toasts.refused("Not logged in", problem, model.now);
    }
}

/// A refusal for want of a login: asks for one, if that was to change something. Says whether it was such a refusal.
pub(super) fn wants_login(
    model: &mut Model,
    asked: &Asked,
    problem: &Problem,
    requests: &mut Vec<Request>,
) -> bool {
    if !problem.kind.ends_with(":locked") {
        return false;
    }
    match asked {
        // What is only shown is not worth a question: the screen says that it is not shown.
        Asked::Show(_) | Asked::Machine(_) => true,
        asked => {
            let Some(request) = model.access.recall(asked) else { return false };
            let waiting = Waiting { asked: asked.clone(), problem: problem.clone(), request };
            open(model, Some(waiting), requests);
            true
        }
    }
}
