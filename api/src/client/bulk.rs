//! Many machines at once.

use hyper::Method;

use super::{Client, ClientError};
use crate::{BatchNew, BulkAnswer, BulkRequest, Operation};

impl Client {
    /// Does one thing with many machines; what became of each.
    pub async fn bulk(&self, request: &BulkRequest) -> Result<BulkAnswer, ClientError> {
        self.send(Method::POST, "/bulk", Some(request)).await
    }

    /// Arms operations, so many at a time.
    pub async fn arm_batch(&self, batch: &BatchNew) -> Result<Vec<Operation>, ClientError> {
        self.send(Method::POST, "/batches", Some(batch)).await
    }
}
