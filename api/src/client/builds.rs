//! What the builder makes.

use hyper::Method;

use super::{Client, ClientError, encode, parse, query_of};
use crate::{Build, BuildNew, BuildReport, NextBuildQuery};

impl Client {
    /// The last build of each artifact that the builder makes.
    pub async fn builds(&self) -> Result<Vec<Build>, ClientError> {
        self.list("/builds").await
    }

    /// The last build of an artifact.
    pub async fn build(&self, name: &str) -> Result<Build, ClientError> {
        self.get(&build_path(name, "")).await
    }

    /// Has an artifact built.
    pub async fn order_build(&self, new: &BuildNew) -> Result<Build, ClientError> {
        self.send(Method::POST, "/builds", Some(new)).await
    }

    /// Takes what is to be built next; waits a while for it.
    pub async fn next_build(&self) -> Result<Option<Build>, ClientError> {
        /// Well within the time that an answer may take.
        const WAIT_SECS: u64 = 20;
        let query = query_of(&NextBuildQuery { wait_secs: Some(WAIT_SECS) });
        let body = self.call(Method::POST, &format!("/builds/next{query}"), None::<&()>).await?;
        if body.is_empty() { Ok(None) } else { parse(&body).map(Some) }
    }

    /// Says how a build gets on.
    pub async fn report_build(&self, name: &str, report: &BuildReport) -> Result<Build, ClientError> {
        self.send(Method::POST, &build_path(name, "/report"), Some(report)).await
    }
}

fn build_path(name: &str, rest: &str) -> String {
    format!("/builds/{}{rest}", encode(name))
}
