//! Many machines at once.

use hyper::Method;

use super::{Client, ClientError};
use crate::{BatchNew, BulkAnswer, BulkRequest, Operation};

/// One thing done with each of many machines.
pub(super) const BULK: &str = "/bulk";
/// Operations armed together.
pub(super) const BATCHES: &str = "/batches";

impl Client {
    /// Does one thing with many machines; what became of each.
    pub async fn bulk(&self, request: &BulkRequest) -> Result<BulkAnswer, ClientError> {
        self.send(Method::POST, BULK, Some(request)).await
    }

    /// Arms operations, so many at a time.
    pub async fn arm_batch(&self, batch: &BatchNew) -> Result<Vec<Operation>, ClientError> {
        self.send(Method::POST, BATCHES, Some(batch)).await
    }
}
