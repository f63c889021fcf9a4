//! The first set-up, as the client asks for it.

use hyper::Method;

use super::{Client, ClientError, query_of};
use crate::{Setup, SetupAnswer, SetupQuery, SetupState};

impl Client {
    /// Whether the appliance is set up, and what there is to choose from.
    pub async fn setup(&self, query: &SetupQuery) -> Result<SetupState, ClientError> {
        self.get(&format!("/setup{}", query_of(query))).await
    }

    /// Sets the appliance up, once.
    pub async fn set_up(&self, setup: &Setup) -> Result<SetupAnswer, ClientError> {
        self.send(Method::POST, "/setup", Some(setup)).await
    }
}
