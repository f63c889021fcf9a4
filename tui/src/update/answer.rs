//! What answers and refusals change.

use ironwake_api::{BulkAnswer, Operation, Problem};

use super::{access, first, medium, own, rebuild, settings, typing};
use crate::message::{Answer, Asked};
use crate::model::{Model, Screen, known};
use crate::request::Request;

/// Refusals of many machines that are named.
const REFUSALS_NAMED: usize = 3;

pub(super) fn answer(model: &mut Model, answer: Answer, requests: &mut Vec<Request>) {
    match answer {
        Answer::Machines(page) => {
            model.fleet.page(page);
            // Operations may have come before their machines.
            tell_fleet(model);
        }
        Answer::Machine(machine) => {
            if let Some(opened) = model.opened.as_mut().filter(|opened| opened.id == machine.id) {
                opened.machine = Some(machine.clone());
            }
            rebuild::inventory(model, &machine);
            model.fleet.put(machine);
        }
        Answer::Attempts { machine, attempts } => {
            model.fleet.attempts(&machine, &attempts);
            if let Some(opened) = model.opened.as_mut().filter(|opened| opened.id == machine) {
                (opened.attempts, opened.attempts_loaded) = (attempts, true);
                requests.extend(opened.attempt_wanted().map(Request::Attempt));
            }
        }
        Answer::Attempt(attempt) => {
            let shown =
                model.opened.as_mut().filter(|opened| opened.attempts.iter().any(|a| a.id == attempt.id));
            if let Some(opened) = shown {
                opened.attempt = Some(attempt);
            }
        }
        Answer::Operations(operations) => {
            model.works.newest(operations);
            tell_fleet(model);
        }
        Answer::OperationsOf { machine, operations } => {
            model.works.of(machine, operations);
            tell_fleet(model);
        }
        Answer::OlderOperations { before, operations } => {
            model.works.page(&before, operations);
            tell_fleet(model);
        }
        Answer::Operation(operation) => operation_changed(model, operation),
        Answer::Made(operation) => {
            operation_changed(model, operation.clone());
            rebuild::made(model, vec![operation], Vec::new(), requests);
        }
        Answer::MadeMany(BulkAnswer { results, .. }) => {
            let (mut made, mut refusals) = (Vec::new(), Vec::new());
            for result in results {
                let name = result.name.unwrap_or_else(|| model.fleet.name(&result.machine));
                match (result.operation, result.problem) {
                    (Some(operation), _) => made.push(*operation),
                    (None, problem) => refusals.push((name, problem.map_or_else(String::new, |p| p.detail))),
                }
            }
            for operation in &made {
                operation_changed(model, operation.clone());
            }
            rebuild::made(model, made, refusals, requests);
        }
        Answer::Profiles(profiles) => model.profiles = Some(profiles),
        Answer::Fits { machine, fits } => rebuild::fits(model, &machine, fits),
        Answer::Checked { number, run } => rebuild::ran(model, number, run),
        Answer::Artifacts(artifacts) => {
            (model.stock.artifacts, model.stock.loaded, model.stock.asked) = (artifacts, true, false);
        }
        Answer::Builds(builds) => model.stock.builds = builds,
        Answer::Usage(usage) => model.stock.usage = Some(usage),
        Answer::Leases(leases) => model.leases.put(leases),
        Answer::Health(health) => {
            model.traffic.put(&health.networks);
            model.health = Some(health);
        }
        Answer::Version(version) => model.version = Some(version),
        Answer::Settings(settings) => {
            for warning in &settings.warnings {
                model.toasts.hint("It is changed, and wants a look", warning, model.now);
            }
            model.settings.all = Some(known::with_unset(settings));
        }
        Answer::System(system) => model.own.put(*system),
        Answer::Update(update) => model.own.update = Some(*update),
        Answer::SystemChoices(choices) => model.own.choices = Some(choices),
        Answer::ApplianceDisks(disks) => medium::told(model, *disks),
        Answer::InstallState(state) => medium::progress(model, state),
        Answer::AddressChanged(change) => model.own.changed(change),
        Answer::AddressKept => model.own.settled(),
        Answer::First(told) => first::told(model, told, requests),
        Answer::Whoami(whoami) => {
            first::who(model, &whoami);
            model.access.whoami = Some(whoami);
            if !model.access.shows_settings() {
                model.settings.all = None;
            } else if model.settings.all.is_none() {
                requests.push(Request::Settings);
            }
        }
        Answer::LoggedIn { name } => access::logged_in(model, &name, requests),
        Answer::Past { past, events } => model.tail.past(&past, events),
        Answer::Done { asked, said } => {
            match asked {
                Asked::Arm => rebuild::armed(model),
                Asked::Login => access::password_set(model, requests),
                _ => {}
            }
            typing::saved(model, &asked, true);
            settings::changed(model, &asked);
            own::changed(model, &asked);
            model.toasts.done(said, model.now);
            requests.push(Request::Operations);
            if let Some(opened) = &mut model.opened {
                opened.stale = true;
            }
        }
        Answer::Bulk { asked, answer } => bulk(model, &asked, &answer, requests),
    }
}

/// Tells machines of their operations: the newest of each counts, so it is taken last.
fn tell_fleet(model: &mut Model) {
    model.works.all.values().for_each(|operation| model.fleet.operation(operation));
}

fn operation_changed(model: &mut Model, operation: Operation) {
    let newest =
        model.works.of_machine(&operation.machine).next().is_none_or(|other| other.id <= operation.id);
    if newest {
        model.fleet.operation(&operation);
    }
    model.works.put(vec![operation]);
}

fn bulk(model: &mut Model, asked: &Asked, answer: &BulkAnswer, requests: &mut Vec<Request>) {
    let what = said(asked);
    if answer.done > 0 {
        let count = crate::human::count(usize::try_from(answer.done).unwrap_or(usize::MAX), "machine");
        model.toasts.done(format!("{what}: {count}"), model.now);
    }
    let refused = || answer.results.iter().filter(|result| result.problem.is_some());
    if answer.refused > 0 {
        let mut lines: Vec<String> = refused()
            .take(REFUSALS_NAMED)
            .map(|result| {
                let name = result.name.clone().unwrap_or_else(|| model.fleet.name(&result.machine));
                format!("{name}: {}", result.problem.as_ref().map_or("", |problem| &problem.detail))
            })
            .collect();
        if refused().count() > REFUSALS_NAMED {
            lines.push(format!("and {} more", refused().count() - REFUSALS_NAMED));
        }
        let problem = Problem::new(422, "", "bulk", lines.join("; "));
        model.toasts.refused(format!("{what}: refused for {}", answer.refused), &problem, model.now);
    }
    // What was refused stays marked, to be tried again.
    model.fleet.marked =
        refused().map(|result| result.machine.clone()).filter(|_| model.fleet.marked.len() > 1).collect();
    requests.push(Request::Operations);
    model.fleet.forget();
    if let Some(opened) = &mut model.opened {
        opened.stale = true;
    }
}

fn said(asked: &Asked) -> String {
    match asked {
        Asked::Show(what) | Asked::Do(what) => what.clone(),
        Asked::Machine(_) => "show the machine".into(),
        Asked::Make => "record the operation".into(),
        Asked::Arm => "arm".into(),
        Asked::Login => "log in".into(),
        Asked::Setting(key) => format!("change {key}"),
        Asked::System(what) => format!("change the {}", crate::model::own::word(*what)),
        Asked::Disks => "show the disks".into(),
        Asked::First(what) => what.words().into(),
    }
}

pub(super) fn refused(model: &mut Model, asked: &Asked, problem: &Problem, requests: &mut Vec<Request>) {
    if *asked == Asked::Login {
        return access::login_refused(model, problem);
    }
    if !access::wants_login(model, asked, problem, requests) {
        plainly_refused(model, asked, problem, requests);
    }
}

/// A refusal that no login helps.
pub(super) fn plainly_refused(
    model: &mut Model,
    asked: &Asked,
    problem: &Problem,
    requests: &mut Vec<Request>,
) {
    match asked {
        Asked::Machine(id) => {
            model.fleet.unanswered(id);
            if problem.status == 404 {
                model.fleet.remove(id);
                let open = model.opened.as_ref().is_some_and(|opened| opened.id == *id);
                if open && model.screen() == Screen::Machine {
                    model.screens.pop();
                    model.opened = None;
                    model.toasts.hint("That machine is gone", "its record was deleted", model.now);
                }
            }
            return;
        }
        Asked::Make if rebuild::refused(model, problem) => return,
        Asked::Setting(key) if settings::refused(model, key, problem) => return,
        Asked::System(what) if own::refused(model, *what, problem) => return,
        Asked::First(what) if first::refused(model, *what, problem, requests) => return,
        Asked::Disks if !medium::refused(model) => return,
        Asked::Arm => rebuild::not_armed(model),
        Asked::Do(_) => typing::saved(model, asked, false),
        Asked::Make
        | Asked::Show(_)
        | Asked::Setting(_)
        | Asked::System(_)
        | Asked::Disks
        | Asked::Login
        | Asked::First(_) => {}
    }
    model.toasts.refused(format!("Refused: {}", said(asked)), problem, model.now);
}
