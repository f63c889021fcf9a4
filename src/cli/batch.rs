//! Watching several operations at once.

use std::collections::BTreeMap;

use ironwake_api::{EventKind, Operation, OperationState};

use super::called::Called;
use super::operation::style;
use super::output::clean;
use super::watch::watch;
use super::{Context, Failure, human};

/// One line of one operation of several.
pub fn line(operation: &Operation, called: &Called, context: &mut Context) -> Result<(), Failure> {
    let state = match operation.state {
        OperationState::Registered => "waits for its turn",
        state => state.name(),
    };
    let state = context.output.styled(state, style(operation.state));
    let machine = clean(called.get(&operation.machine));
    let text = format!("{} {} on machine {machine}: {state}", operation.kind, operation.id);
    Ok(context.output.line(text)?)
}

/// Shows every change until all have ended, or Ctrl-C is pressed. One that has not become ready makes the command fail.
pub async fn follow(operations: Vec<Operation>, context: &mut Context) -> Result<(), Failure> {
    watch(until_end(operations, context), "ironwake operation list --running").await
}

async fn until_end(operations: Vec<Operation>, context: &mut Context) -> Result<(), Failure> {
    let machines = operations.iter().map(|operation| operation.machine.as_str());
    let called = Called::of(machines, &context.client).await?;
    let mut stream = context.client.follow(None, None);
    // What happened before is in the records, which are read once the stream stands.
    stream.connect().await?;
    let mut running: BTreeMap<String, Operation> = BTreeMap::new();
    let mut ended = Vec::new();
    for operation in operations {
        let operation = context.client.operation(&operation.id).await?;
        if !context.json {
            line(&operation, &called, context)?;
        }
        match operation.state.has_ended() {
            true => ended.push(operation),
            false => drop(running.insert(operation.id.clone(), operation)),
        }
    }
    let total = running.len() + ended.len();
    while !running.is_empty() {
        context.output.flush()?;
        let event = stream.next().await?;
        let EventKind::OperationChanged { operation: id, to, cause, .. } = &event.kind else { continue };
        let Some(operation) = running.get(id) else { continue };
        let machine = clean(called.get(&operation.machine));
        if to.has_ended() {
            running.remove(id);
            ended.push(context.client.operation(id).await?);
        }
        if !context.json {
            let text = format!(
                "  {}  {machine}  {:13}{} [{} of {total} ended]",
                human::time(event.at),
                to,
                clean(cause),
                ended.len()
            );
            let text = context.output.styled(&text, style(*to));
            context.output.line(text)?;
        }
    }
    if context.json {
        context.output.json(&ended)?;
    }
    let ready = ended.iter().filter(|operation| operation.state == OperationState::Ready).count();
    match ready == total {
        true => Ok(()),
        false => Err(anyhow::anyhow!("{ready} of {total} operations became ready").into()),
    }
}
