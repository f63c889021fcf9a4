//! Requests, performed with the client of the API. Each gives the messages that answer it.

use ironwake_api::client::{Client, ClientError, EventQuery};
use ironwake_api::{
    ArmRequest, ArtifactPatch, BatchNew, BuildNew, BulkRequest, EventOrder, FactoryReset, InstallNew,
    InstallThen, LoginRequest, MachineQuery, Operation, OperationNew, OperationQuery, Problem, Selection,
};
use tokio::sync::mpsc;

use super::backend::sentence;
use super::first;
use crate::confirm::Confirmation;
use crate::human;
use crate::message::{Answer, Asked, Message};
use crate::model::works::PAGE_OPERATIONS;
use crate::request::{BootOnly, Harmless, Plan, Request};

/// The most machines that the daemon gives at once.
const PAGE_MACHINES: u32 = 1000;

pub(super) type Answered = Result<Vec<Answer>, ClientError>;

/// Performs a request. Pages go to `messages` as they come, so that the first is shown before the last is there. Where the
/// session is over, that is said, and the request is made once more without it: to look needs none.
pub async fn perform(client: &Client, request: Request, messages: &mpsc::Sender<Message>) -> Vec<Message> {
    let (asked, shown) = (request.asked(), client.shown());
    let mut answered = ask(client, request.clone(), messages).await;
    if let Err(error) = &answered
        && client.forget(&shown, error)
    {
        let _ = messages.send(locked()).await;
        answered = ask(client, request, messages).await;
    }
    match answered {
        Ok(answers) => answers.into_iter().map(|answer| Message::Answer(Box::new(answer))).collect(),
        // The banner tells that the daemon is gone; everything is asked for again when it is back.
        Err(ClientError::NotReachable { .. }) if matches!(asked, Asked::Show(_)) => Vec::new(),
        Err(error) => vec![Message::Refused { asked, problem: Box::new(problem(&error)) }],
    }
}

/// The session is over, as a message.
pub(super) fn locked() -> Message {
    Message::Locked { why: "Locked".into() }
}

async fn ask(client: &Client, request: Request, messages: &mpsc::Sender<Message>) -> Answered {
    let asked = request.asked();
    match request {
        Request::Quit => Ok(Vec::new()),
        Request::Machines => machines(client, messages).await,
        show @ (Request::Machine(_)
        | Request::Attempts(_)
        | Request::Attempt(_)
        | Request::Operations
        | Request::OperationsOf(_)
        | Request::OlderOperations(_)
        | Request::Operation(_)
        | Request::Profiles
        | Request::Fits(_)
        | Request::Artifacts
        | Request::Builds
        | Request::Usage
        | Request::Leases
        | Request::Health
        | Request::Version
        | Request::Settings
        | Request::System
        | Request::SystemChoices
        | Request::Update
        | Request::ApplianceDisks
        | Request::InstallState
        | Request::Whoami
        | Request::Past(_)) => read(client, show).await,
        Request::First(ask) => first::perform(client, ask).await,
        Request::Check { number, machine, plan } => {
            Ok(check(client, number, &machine, plan).await.into_iter().collect())
        }
        login @ (Request::Renew | Request::LogIn(_) | Request::SetPassword(_) | Request::LogOut) => {
            log_in(client, login, messages).await
        }
        change => write(client, change, &asked).await,
    }
}

async fn log_in(client: &Client, request: Request, messages: &mpsc::Sender<Message>) -> Answered {
    let with = |password| LoginRequest { password: Some(password), ..LoginRequest::default() };
    let begun = match request {
        Request::LogIn(password) => client.log_in(&with(password)).await?,
        Request::SetPassword(password) => {
            client.set_password(password.clone()).await?;
            match client.log_in(&with(password)).await {
                // On the operators' socket nobody logs in.
                Err(ClientError::Refused(problem)) if problem.kind.ends_with(":login_elsewhere") => {
                    let said = "The administrator's password is set".into();
                    return Ok(vec![Answer::Done { asked: Asked::Login, said }]);
                }
                begun => begun?,
            }
        }
        Request::LogOut => {
            // Over it is in any case.
            let _ = client.log_out().await;
            let _ = messages.send(locked()).await;
            return Ok(Vec::new());
        }
        _ => {
            let shown = client.shown();
            return match client.renew().await {
                Err(error) if client.forget(&shown, &error) => {
                    let _ = messages.send(locked()).await;
                    Ok(Vec::new())
                }
                // It is tried again with another key.
                _ => Ok(Vec::new()),
            };
        }
    };
    Ok(vec![Answer::LoggedIn { name: begun.name }])
}

/// What went wrong, as the daemon would say it.
fn problem(error: &ClientError) -> Problem {
    match error {
        ClientError::Refused(problem) => problem.clone(),
        ClientError::NotReachable { .. } => {
            Problem::new(503, "Not reachable", "not_reachable", sentence(error))
        }
        ClientError::Protocol(_) => Problem::new(502, "Not understood", "protocol", sentence(error)),
    }
}

async fn machines(client: &Client, messages: &mpsc::Sender<Message>) -> Answered {
    let mut offset = 0;
    loop {
        let query =
            MachineQuery { limit: Some(PAGE_MACHINES), offset: Some(offset), ..MachineQuery::default() };
        let page = client.machines(&query).await?;
        let count = page.items.len() as u32;
        offset += count;
        let ended = count == 0 || u64::from(offset) >= page.total;
        let page = Message::Answer(Box::new(Answer::Machines(page)));
        if messages.send(page).await.is_err() || ended {
            return Ok(Vec::new());
        }
    }
}

/// As many operations as one page has.
fn page() -> OperationQuery {
    OperationQuery { limit: u32::try_from(PAGE_OPERATIONS).ok(), ..OperationQuery::default() }
}

async fn read(client: &Client, request: Request) -> Answered {
    let answer = match request {
        Request::Machine(id) => Answer::Machine(client.machine(&id).await?),
        Request::Attempts(machine) => {
            Answer::Attempts { attempts: client.attempts(&machine).await?, machine }
        }
        Request::Attempt(id) => Answer::Attempt(client.attempt(id).await?),
        Request::Operations => {
            // What runs may be older than the newest thousand.
            let mut operations = client.operations(&page()).await?;
            let running = OperationQuery { running: Some(true), ..page() };
            for operation in client.operations(&running).await? {
                if operations.iter().all(|other| other.id != operation.id) {
                    operations.push(operation);
                }
            }
            Answer::Operations(operations)
        }
        Request::OperationsOf(machine) => {
            let query = OperationQuery { machine: Some(machine.clone()), ..page() };
            Answer::OperationsOf { operations: client.operations(&query).await?, machine }
        }
        Request::OlderOperations(before) => {
            let query = OperationQuery { before: Some(before.clone()), ..page() };
            Answer::OlderOperations { operations: client.operations(&query).await?, before }
        }
        Request::Operation(id) => Answer::Operation(client.operation(&id).await?),
        Request::Profiles => Answer::Profiles(client.profiles().await?),
        Request::Fits(machine) => Answer::Fits { fits: client.fitting_profiles(&machine).await?, machine },
        Request::Artifacts => Answer::Artifacts(client.artifacts().await?),
        Request::Builds => Answer::Builds(client.builds().await?),
        Request::Usage => Answer::Usage(client.artifact_usage().await?),
        Request::Leases => Answer::Leases(client.leases().await?),
        Request::Health => Answer::Health(client.health().await?),
        Request::Version => Answer::Version(client.version().await?),
        Request::Settings => Answer::Settings(client.settings().await?),
        Request::System => Answer::System(Box::new(client.system().await?)),
        Request::SystemChoices => Answer::SystemChoices(client.system_choices().await?),
        Request::Update => Answer::Update(Box::new(client.update().await?)),
        Request::ApplianceDisks => Answer::ApplianceDisks(Box::new(client.appliance_disks().await?)),
        Request::InstallState => Answer::InstallState(client.appliance_install_state().await?),
        Request::Whoami => Answer::Whoami(client.whoami().await?),
        Request::Past(past) => {
            let query = EventQuery {
                before: past.before,
                machine: past.scope.machine.clone(),
                kind: past.scope.kinds(),
                order: Some(EventOrder::Desc),
                limit: u32::try_from(past.limit).ok(),
                ..EventQuery::default()
            };
            Answer::Past { events: client.events(&query).await?, past }
        }
        _ => return Ok(Vec::new()),
    };
    Ok(vec![answer])
}

async fn write(client: &Client, request: Request, asked: &Asked) -> Answered {
    let done = |said: String| Ok(vec![Answer::Done { asked: asked.clone(), said }]);
    match request {
        Request::Edit { machine, patch, what } => {
            let changed = client.edit(&machine, &patch).await?;
            Ok(vec![
                Answer::Machine(client.machine(&changed.id).await?),
                Answer::Done { asked: asked.clone(), said: what },
            ])
        }
        Request::Bulk { machines, action } => bulk(client, machines, action, asked).await,
        Request::Begin { machine, work } => {
            let operation = client.operate(&machine, &harmless(work)).await?;
            Ok(vec![
                Answer::Operation(operation),
                Answer::Done {
                    asked: asked.clone(),
                    said: format!("{} begins at its next boot", work.kind()),
                },
            ])
        }
        Request::Make { machines, plan } => make(client, machines, plan).await,
        Request::Arm(confirmation) => arm(client, &confirmation, asked).await,
        Request::RetryWriting(confirmation) => {
            let mut answers = Vec::new();
            for id in confirmation.operations() {
                answers.push(Answer::Operation(client.retry(id, &ArmRequest::default()).await?));
            }
            answers.push(Answer::Done {
                asked: asked.clone(),
                said: "Armed again: it begins at its next boot".into(),
            });
            Ok(answers)
        }
        Request::RetryHarmless(id) => {
            let operation = client.retry(&id, &ArmRequest::default()).await?;
            Ok(vec![
                Answer::Operation(operation),
                Answer::Done { asked: asked.clone(), said: "It begins at its next boot".into() },
            ])
        }
        Request::ArmHarmless(id) => {
            let operation = client.arm(&id, &ArmRequest::default()).await?;
            Ok(vec![
                Answer::Operation(operation),
                Answer::Done { asked: asked.clone(), said: "Armed: it begins at its next boot".into() },
            ])
        }
        Request::Disarm(ids) => {
            let count = ids.len();
            let mut answers = Vec::new();
            for id in ids {
                answers.push(Answer::Operation(client.disarm(&id).await?));
            }
            let said = format!("Disarmed: {}", human::count(count, "operation"));
            answers.push(Answer::Done { asked: asked.clone(), said });
            Ok(answers)
        }
        Request::Cancel(ids) => {
            let count = ids.len();
            let mut answers = Vec::new();
            for id in ids {
                answers.push(Answer::Operation(client.cancel(&id).await?));
            }
            let said = format!("Taken back: {}", human::count(count, "operation"));
            answers.push(Answer::Done { asked: asked.clone(), said });
            Ok(answers)
        }
        Request::Pin { name, pinned } => {
            client.edit_artifact(&name, &ArtifactPatch { pinned: Some(pinned) }).await?;
            done(format!("{name} is {}", if pinned { "pinned" } else { "not pinned any more" }))
        }
        Request::DeleteArtifact(name) => {
            client.delete_artifact(&name).await?;
            done(format!("{name} is deleted"))
        }
        Request::Build(name) => {
            client.order_build(&BuildNew { name: name.clone(), mirror: None }).await?;
            done(format!("{name} is to be built"))
        }
        Request::ChangeSettings { patch, what, .. } => {
            let settings = client.change_settings(&patch.0).await?;
            Ok(vec![Answer::Settings(settings), Answer::Done { asked: asked.clone(), said: what }])
        }
        system => change_system(client, system, asked).await,
    }
}

/// Changes the appliance's own system.
async fn change_system(client: &Client, request: Request, asked: &Asked) -> Answered {
    let (answer, said) = match request {
        Request::ChangeSystem { patch, said, .. } => {
            (Some(Answer::System(Box::new(client.change_system(&patch).await?))), said)
        }
        Request::ChangeAddress { interface, address } => {
            let change = client.change_network(&interface, &address).await?;
            let said = format!("{} has {}", change.interface, change.to);
            (Some(Answer::AddressChanged(change)), said)
        }
        Request::KeepAddress(confirm) => {
            client.confirm_network(&confirm).await?;
            (Some(Answer::AddressKept), "The address stays".into())
        }
        Request::RestartUnit(name) => {
            client.restart_unit(&name).await?;
            (None, format!("{name} is started again"))
        }
        Request::CheckUpdate => {
            let update = client.check_update().await?;
            let said = match (&update.check_failed, &update.available) {
                (Some(why), _) => format!("The channel cannot be asked: {why}"),
                (None, Some(found)) if found.newer => format!("{} can be installed", found.version),
                _ => "There is no newer version".into(),
            };
            (Some(Answer::Update(Box::new(update))), said)
        }
        Request::InstallUpdate(request) => {
            let update = client.begin_update(&request).await?;
            (Some(Answer::Update(Box::new(update))), "The update begins".into())
        }
        Request::Install { disk, confirmation } => {
            let digest = confirmation.operations().first().cloned().unwrap_or_default();
            let then = InstallThen::Wait;
            let new = InstallNew { disk: disk.clone(), digest, confirm: disk.clone(), then };
            let state = client.install_appliance(&new).await?;
            (Some(Answer::InstallState(state)), format!("The installation on {disk} begins"))
        }
        Request::FactoryReset(confirmation) => {
            let confirm = confirmation.operations().first().cloned().unwrap_or_default();
            client.factory_reset(&FactoryReset { confirm }).await?;
            (None, "The appliance restarts, as it was made".into())
        }
        Request::EndSystem { power_off: false } => {
            client.reboot_system().await?;
            (None, "The appliance restarts".into())
        }
        Request::EndSystem { power_off: true } => {
            client.power_off_system().await?;
            (None, "The appliance is switched off".into())
        }
        _ => return Ok(Vec::new()),
    };
    Ok(answer.into_iter().chain([Answer::Done { asked: asked.clone(), said }]).collect())
}

/// What writes to no disk, armed at once.
fn harmless(work: BootOnly) -> OperationNew {
    OperationNew {
        kind: work.kind(),
        profile: None,
        variables: Default::default(),
        disks: Vec::new(),
        arm: true,
        armed_secs: None,
    }
}

/// An operation that is recorded, never armed.
fn unarmed(plan: Plan) -> OperationNew {
    OperationNew {
        kind: plan.kind,
        profile: plan.profile,
        variables: plan.variables,
        disks: plan.disks,
        arm: false,
        armed_secs: None,
    }
}

fn selected(machines: Vec<String>) -> Selection {
    Selection { keys: machines, ..Selection::default() }
}

async fn bulk(client: &Client, machines: Vec<String>, action: Harmless, asked: &Asked) -> Answered {
    let request = BulkRequest { machines: selected(machines), action: action.action() };
    let answer = client.bulk(&request).await?;
    let made: Vec<String> = answer
        .results
        .iter()
        .filter_map(|result| result.operation.as_ref())
        .map(|made| made.id.clone())
        .collect();
    if !made.is_empty() {
        client.arm_batch(&BatchNew { operations: made, keep_going: true, ..BatchNew::default() }).await?;
    }
    Ok(vec![Answer::Bulk { asked: asked.clone(), answer }])
}

async fn make(client: &Client, machines: Vec<String>, plan: Plan) -> Answered {
    let new = unarmed(plan);
    if let [machine] = machines.as_slice() {
        return Ok(vec![Answer::Made(client.operate(machine, &new).await?)]);
    }
    let action = ironwake_api::BulkAction::Operate(new);
    Ok(vec![Answer::MadeMany(client.bulk(&BulkRequest { machines: selected(machines), action }).await?)])
}

async fn arm(client: &Client, confirmation: &Confirmation, asked: &Asked) -> Answered {
    let armed: Vec<Operation> = match confirmation.operations() {
        [one] => vec![client.arm(one, &ArmRequest::default()).await?],
        many => client.arm_batch(&BatchNew { operations: many.to_vec(), ..BatchNew::default() }).await?,
    };
    let said = match armed.len() {
        1 => "Armed: it begins at the machine's next boot, within the hour".into(),
        many => format!("Armed: {many} machines, each at its next boot"),
    };
    let done = Answer::Done { asked: asked.clone(), said };
    Ok(armed.into_iter().map(Answer::Operation).chain([done]).collect())
}

async fn check(client: &Client, number: u64, machine: &str, plan: Plan) -> Option<Answer> {
    let run = match client.dry_run(machine, &unarmed(plan)).await {
        Ok(run) => Ok(Box::new(run)),
        Err(error @ ClientError::Refused(_)) => Err(Box::new(problem(&error))),
        // That it could not be checked is told when it is to be recorded.
        Err(_) => return None,
    };
    Some(Answer::Checked { number, run })
}
