//! The daemon, over HTTP: `/boot/v1`.

use std::time::Duration;

use ironwake_api::{AgentReport, EnrollAnswer, EnrollRequest, Order, Problem};
use ureq::{Agent, Body, http::Response};

/// How long the daemon holds a question for orders open.
const ORDERS_WAIT_SECS: u64 = 30;
/// Time beyond that for the answer to come.
const ANSWER_WAIT: Duration = Duration::from_secs(15);
const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// Answers are a few hundred bytes.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

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
        Self { agent: config.into(), url: format!("{url}/boot/v1") }
    }

    /// Says who this machine is.
    pub fn enroll(&self, request: &EnrollRequest) -> Result<EnrollAnswer, ServerError> {
        let body = serde_json::to_vec(request).map_err(ServerError::Nonsense)?;
        let answer = self.post("enroll", &body)?;
        serde_json::from_slice(&answer).map_err(ServerError::Nonsense)
    }

    /// Says one thing that happened.
    pub fn report(&self, machine: &str, report: &AgentReport) -> Result<(), ServerError> {
        let body = serde_json::to_vec(report).map_err(ServerError::Nonsense)?;
        self.post(&format!("machines/{machine}/report"), &body).map(drop)
    }

    /// Waits for an order; `None` when there was none for a while.
    pub fn orders(&self, machine: &str) -> Result<Option<Order>, ServerError> {
        let url = format!("{}/machines/{machine}/orders?wait_secs={ORDERS_WAIT_SECS}", self.url);
        let answer = read(self.agent.get(&url).call())?;
        if answer.is_empty() {
            return Ok(None);
        }
        serde_json::from_slice(&answer).map(Some).map_err(ServerError::Nonsense)
    }

    fn post(&self, path: &str, body: &[u8]) -> Result<Vec<u8>, ServerError> {
        let request =
            self.agent.post(format!("{}/{path}", self.url)).header("content-type", "application/json");
        read(request.send(body))
    }
}

fn read(response: Result<Response<Body>, ureq::Error>) -> Result<Vec<u8>, ServerError> {
    let unreachable = |error| ServerError::Unreachable(Box::new(error));
    let mut response = response.map_err(unreachable)?;
    let status = response.status().as_u16();
    let body =
        response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec().map_err(unreachable)?;
    match status {
        204 => Ok(Vec::new()),
        200..=299 => Ok(body),
        _ => Err(ServerError::Refused { status, detail: detail(&body) }),
    }
}

/// A problem document's text with the fields that it names, or the beginning of whatever it is.
fn detail(body: &[u8]) -> String {
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
