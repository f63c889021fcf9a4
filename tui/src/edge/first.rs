//! What the first set-up asks, performed with the client of the API.

use ironwake_api::client::{Client, ClientError};
use ironwake_api::{NetworkConfirm, SetupQuery};

use super::perform::Answered;
use crate::first::{Ask, Told};
use crate::message::Answer;

/// Asks the daemon.
pub async fn perform(client: &Client, ask: Ask) -> Answered {
    let told = match ask {
        Ask::State { servers } => match client.setup(&SetupQuery { ask: servers }).await {
            Ok(state) => Told::State { servers, state },
            // A daemon without a system of its own is set up elsewhere.
            Err(ClientError::Refused(_)) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        },
        Ask::System => Told::System(Box::new(client.system().await?)),
        Ask::Choices => Told::Choices(client.system_choices().await?),
        Ask::DryRun { number, setup } => match client.dry_run_setup(&setup).await {
            Ok(run) => Told::DryRun { number, run },
            // The banner tells that the daemon is gone; it is asked again when it is back.
            Err(ClientError::NotReachable { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        },
        Ask::Keys => Told::Keys(client.ssh_keys().await?),
        Ask::Sticks => Told::Sticks(client.ssh_keys_found().await?),
        Ask::Keyboard(keyboard) => {
            let patch = ironwake_api::SystemPatch { keyboard: Some(keyboard.clone()), ..Default::default() };
            client.change_system(&patch).await?;
            Told::Keyboard(keyboard)
        }
        Ask::AddKeys(keys) => Told::Added(client.add_ssh_keys(&keys).await?),
        Ask::OneTimePassword => Told::OneTimePassword(client.make_one_time_password().await?),
        Ask::SetUp(setup) => Told::SetUp(client.set_up(&setup).await?),
        Ask::Confirm(token) => {
            client.confirm_network(&NetworkConfirm { token }).await?;
            Told::Confirmed
        }
    };
    Ok(vec![Answer::First(told)])
}
