//! The first set-up, as the client asks for it.

use hyper::Method;

use super::{Client, ClientError, query_of};
use crate::{Setup, SetupAnswer, SetupDryRun, SetupQuery, SetupState};

impl Client {
    /// Whether the appliance is set up, and what there is to choose from.
    pub async fn setup(&self, query: &SetupQuery) -> Result<SetupState, ClientError> {
        self.get(&format!("/setup{}", query_of(query))).await
    }

    /// What a set-up would do, and what is wrong with it.
    pub async fn dry_run_setup(&self, setup: &Setup) -> Result<SetupDryRun, ClientError> {
        self.send(Method::POST, "/setup/dry-run", Some(setup)).await
    }

    /// Sets the appliance up, once.
    pub async fn set_up(&self, setup: &Setup) -> Result<SetupAnswer, ClientError> {
        self.send(Method::POST, "/setup", Some(setup)).await
    }
}
