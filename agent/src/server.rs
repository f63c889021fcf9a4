//! The daemon, over HTTP: `/boot/v1`.

use std::time::Duration;

use ironwake_api::{
    AgentReport, Claim, ClaimRequest, EnrollAnswer, EnrollRequest, Order, Problem, WorkReport,
};
use ureq::{Agent, Body, http::Response};

use crate::cmdline::Token;

/// How long the daemon holds a question for orders open.
const ORDERS_WAIT_SECS: u64 = 30;
/// Time beyond that for the answer to come.
const ANSWER_WAIT: Duration = Duration::from_secs(15);
const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// Answers are a few hundred bytes.
const ANSWER_BYTES_MAX: u64 = 64 << 10;
/// A claim carries the files that are put into an image.
const CLAIM_BYTES_MAX: u64 = ironwake_api::CLAIM_BYTES_MAX as u64;

/// Why the daemon was not heard or did not agree.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// No connection, or it broke.
    #[error("no answer: {0}")]
    Unreachable(#[source] Box<ureq::Error>),
    /// It refused; the text is its own.
    #[error("{status}: {detail}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What is wrong, in the daemon's words.
        detail: String,
    },
    /// It answered something else than agreed.
    #[error("an answer that makes no sense: {0}")]
    Nonsense(#[source] serde_json::Error),
}

impl ServerError {
    /// Whether the daemon does not know this machine's id.
    pub fn is_unknown_machine(&self) -> bool {
        matches!(self, Self::Refused { status: 404 | 410, .. })
    }

    /// Whether asking again gives the same answer: the daemon was heard, and it was not its own fault.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Unreachable(_) => false,
            Self::Refused { status, .. } => (400..500).contains(status) && !matches!(status, 408 | 429),
            Self::Nonsense(_) => true,
        }
    }
}

/// The daemon's side that machines call.
#[derive(Debug, Clone)]
pub struct Server {
    agent: Agent,
    url: String,
}

impl Server {
    /// `url` has no slash at its end.
    pub fn new(url: &str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_WAIT))
            .timeout_global(Some(Duration::from_secs(ORDERS_WAIT_SECS) + ANSWER_WAIT))
            .user_agent(concat!("ironwake-agent/", env!("CARGO_PKG_VERSION")))
            .proxy(None)
            .build();
        Self { agent: config.into(), url: url.to_owned() }
    }

    /// The daemon's base URL, without a slash at its end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Says who this machine is, and by the token of an armed boot that it is the one that was armed.
    pub fn enroll(
        &self,
        request: &EnrollRequest,
        token: Option<&Token>,
    ) -> Result<EnrollAnswer, ServerError> {
        let body = serde_json::to_vec(request).map_err(ServerError::Nonsense)?;
        let answer = self.post("enroll", &body, token, ANSWER_BYTES_MAX)?;
        serde_json::from_slice(&answer).map_err(ServerError::Nonsense)
    }

    /// Says one thing that happened.
    pub fn report(&self, machine: &str, report: &AgentReport) -> Result<(), ServerError> {
        let body = serde_json::to_vec(report).map_err(ServerError::Nonsense)?;
        self.post(&format!("machines/{machine}/report"), &body, None, ANSWER_BYTES_MAX).map(drop)
    }

    /// Claims the work of an armed boot.
    pub fn claim(&self, token: &Token, request: &ClaimRequest) -> Result<Claim, ServerError> {
        let body = serde_json::to_vec(request).map_err(ServerError::Nonsense)?;
        let answer = self.post("operations/claim", &body, Some(token), CLAIM_BYTES_MAX)?;
        serde_json::from_slice(&answer).map_err(ServerError::Nonsense)
    }

    /// Says how claimed work goes.
    pub fn report_work(
        &self,
        token: &Token,
        operation: &str,
        report: &WorkReport,
    ) -> Result<(), ServerError> {
        let body = serde_json::to_vec(report).map_err(ServerError::Nonsense)?;
        self.post(&format!("operations/{operation}/report"), &body, Some(token), ANSWER_BYTES_MAX).map(drop)
    }

    /// Waits for an order; `None` when there was none for a while.
    pub fn orders(&self, machine: &str) -> Result<Option<Order>, ServerError> {
        let url = format!("{}/boot/v1/machines/{machine}/orders?wait_secs={ORDERS_WAIT_SECS}", self.url);
        let answer = read(self.agent.get(&url).call(), ANSWER_BYTES_MAX)?;
        if answer.is_empty() {
            return Ok(None);
        }
        serde_json::from_slice(&answer).map(Some).map_err(ServerError::Nonsense)
    }

    fn post(
        &self,
        path: &str,
        body: &[u8],
        token: Option<&Token>,
        limit: u64,
    ) -> Result<Vec<u8>, ServerError> {
        let mut request = self
            .agent
            .post(format!("{}/boot/v1/{path}", self.url))
            .header("content-type", "application/json");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {}", token.expose()));
        }
        read(request.send(body), limit)
    }
}

fn read(response: Result<Response<Body>, ureq::Error>, limit: u64) -> Result<Vec<u8>, ServerError> {
    let unreachable = |error| ServerError::Unreachable(Box::new(error));
    let mut response = response.map_err(unreachable)?;
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(limit).read_to_vec().map_err(unreachable)?;
    match status {
        204 => Ok(Vec::new()),
        200..=299 => Ok(body),
        _ => Err(ServerError::Refused { status, detail: detail(&body) }),
    }
}

/// A problem document's text with the fields that it names, or the beginning of whatever it is.
pub(crate) fn detail(body: &[u8]) -> String {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => {
            let fields = problem.errors.iter().map(|error| format!("; {}: {}", error.field, error.message));
            std::iter::once(problem.detail.clone()).chain(fields).collect()
        }
        Err(_) => String::from_utf8_lossy(body).trim().chars().take(200).collect(),
    }
}

#[cfg(test)]
mod tests;
