//! What people call the machines that answers name by their ids.

use std::collections::HashMap;

use ironwake_api::client::{Client, ClientError};
use ironwake_api::human::short;
use ironwake_api::{MachineQuery, Problem};

use super::Failure;

/// So many machines are asked for one by one, each by a connection of its own; of more, the whole list is quicker on any site.
const ASKED_SINGLY_MAX: usize = 100;

/// What machines are called, by id.
#[derive(Debug, Default)]
pub struct Called(HashMap<String, String>);

impl Called {
    /// What these machines are called.
    pub async fn of(ids: impl IntoIterator<Item = &str>, client: &Client) -> Result<Self, Failure> {
        let mut called = Self::default();
        called.learn(ids, client).await?;
        Ok(called)
    }

    /// Asks what these machines are called, unless that is known. One of which there is no record goes by the end of its id.
    pub async fn learn(
        &mut self,
        ids: impl IntoIterator<Item = &str>,
        client: &Client,
    ) -> Result<(), Failure> {
        let mut unknown: Vec<&str> = ids.into_iter().filter(|id| !self.0.contains_key(*id)).collect();
        unknown.sort_unstable();
        unknown.dedup();
        if unknown.len() > ASKED_SINGLY_MAX {
            let machines = client.machines_all(&MachineQuery::default()).await?;
            self.0.extend(machines.into_iter().map(|machine| {
                let called = machine.called();
                (machine.id, called)
            }));
        } else {
            for id in &unknown {
                match client.machine(id).await {
                    Ok(machine) => drop(self.0.insert((*id).to_owned(), machine.called())),
                    Err(ClientError::Refused(Problem { status: 404, .. })) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        for id in unknown {
            self.0.entry(id.to_owned()).or_insert_with(|| short(id).to_owned());
        }
        Ok(())
    }

    /// Asks for this one anew, when it is needed again.
    pub fn forget(&mut self, id: &str) {
        self.0.remove(id);
    }

    /// What a machine is called; the end of its id, where that is not known.
    pub fn get<'a>(&'a self, id: &'a str) -> &'a str {
        self.0.get(id).map_or_else(|| short(id), String::as_str)
    }
}
