//! The client of the operators' API on the Unix socket: one typed method for each route.
//!
//! Every request has a connection of its own: on a Unix socket that costs microseconds, and nothing
//! has to be kept alive or cleaned up.

mod bulk;
mod follow;
mod sse;
mod upload;
mod webhooks;

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::AsyncRead;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use crate::*;
use upload::{Connection, Upload, unless_stalled};

pub use follow::EventStream;

/// From connecting to the last byte of an answer: an answer takes milliseconds, a hung daemon for ever.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);
/// Largest answer: a thousand machines with notes are a few megabytes.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// What of an answer that is not understood is shown.
const SHOWN_CHARS_MAX: usize = 200;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing answers on the socket, or it may not be opened.
    #[error("connect to {}", socket.display())]
    NotReachable {
        /// Path of the socket.
        socket: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The daemon refused, and says why.
    #[error("{}", .0.detail)]
    Refused(Problem),
    /// What came is not what the contract says, or did not come.
    #[error("{0}")]
    Protocol(String),
}

/// Lists come bare or as pages.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum List<T> {
    Bare(Vec<T>),
    Page { items: Vec<T> },
}

impl<T> From<List<T>> for Vec<T> {
    fn from(list: List<T>) -> Self {
        match list {
            List::Bare(items) | List::Page { items } => items,
        }
    }
}

/// A client of one daemon. Cheap to clone; holds no connection.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// A client of the daemon that listens on `socket`.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// Path of the socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Machines that fit a query, one page of them.
    pub async fn machines(&self, query: &MachineQuery) -> Result<Page<Machine>, ClientError> {
        self.get(&format!("/machines{}", query_of(query))).await
    }

    /// Every machine that fits a query, page after page.
    pub async fn machines_all(&self, query: &MachineQuery) -> Result<Vec<Machine>, ClientError> {
        /// The most that the daemon gives at once.
        const PAGE_ITEMS: u32 = 1000;
        let mut query = MachineQuery { limit: Some(PAGE_ITEMS), offset: Some(0), ..query.clone() };
        let mut machines = Vec::new();
        loop {
            let page = self.machines(&query).await?;
            let ended = page.items.is_empty();
            machines.extend(page.items);
            if ended || machines.len() as u64 >= page.total {
                return Ok(machines);
            }
            query.offset = Some(u32::try_from(machines.len()).unwrap_or(u32::MAX));
        }
    }

    /// One machine with its inventory, by id, unique beginning of an id, name, MAC, UUID or serial.
    pub async fn machine(&self, key: &str) -> Result<Machine, ClientError> {
        self.get(&machine_path(key, "")).await
    }

    /// Registers a machine before it is seen.
    pub async fn register(&self, new: &MachineNew) -> Result<Machine, ClientError> {
        self.send(Method::POST, "/machines", Some(new)).await
    }

    /// Changes fields of a machine.
    pub async fn edit(&self, key: &str, patch: &MachinePatch) -> Result<Machine, ClientError> {
        self.send(Method::PATCH, &machine_path(key, ""), Some(patch)).await
    }

    /// Deletes a machine's record.
    pub async fn delete(&self, key: &str) -> Result<(), ClientError> {
        self.call(Method::DELETE, &machine_path(key, ""), None::<&()>).await.map(drop)
    }

    /// Makes a machine known.
    pub async fn enroll(&self, key: &str) -> Result<Machine, ClientError> {
        self.send(Method::POST, &machine_path(key, "/enroll"), None::<&()>).await
    }

    /// Gives an order to a machine's waiting agent.
    pub async fn order(&self, key: &str, order: &Order) -> Result<(), ClientError> {
        self.call(Method::POST, &machine_path(key, "/orders"), Some(order)).await.map(drop)
    }

    /// Makes an operation for a machine.
    pub async fn operate(&self, key: &str, new: &OperationNew) -> Result<Operation, ClientError> {
        self.send(Method::POST, &machine_path(key, "/operations"), Some(new)).await
    }

    /// Operations, newest first, without their histories.
    pub async fn operations(&self, query: &OperationQuery) -> Result<Vec<Operation>, ClientError> {
        self.list(&format!("/operations{}", query_of(query))).await
    }

    /// One operation with its history.
    pub async fn operation(&self, id: &str) -> Result<Operation, ClientError> {
        self.get(&operation_path(id, "")).await
    }

    /// Lets the machine's next boot begin an operation.
    pub async fn arm(&self, id: &str, request: &ArmRequest) -> Result<Operation, ClientError> {
        self.send(Method::POST, &operation_path(id, "/arm"), Some(request)).await
    }

    /// Takes an arming back.
    pub async fn disarm(&self, id: &str) -> Result<Operation, ClientError> {
        self.send(Method::POST, &operation_path(id, "/disarm"), None::<&()>).await
    }

    /// Takes an operation back.
    pub async fn cancel(&self, id: &str) -> Result<Operation, ClientError> {
        self.send(Method::POST, &operation_path(id, "/cancel"), None::<&()>).await
    }

    /// Makes and arms an operation like one that failed or was cancelled.
    pub async fn retry(&self, id: &str, request: &ArmRequest) -> Result<Operation, ClientError> {
        self.send(Method::POST, &operation_path(id, "/retry"), Some(request)).await
    }

    /// What machines can be made into.
    pub async fn profiles(&self) -> Result<Profiles, ClientError> {
        self.get("/profiles").await
    }

    /// One profile.
    pub async fn profile(&self, name: &str) -> Result<ProfileSummary, ClientError> {
        self.get(&format!("/profiles/{}", encode(name))).await
    }

    /// What a profile gives for a machine.
    pub async fn render(
        &self,
        name: &str,
        request: &RenderRequest,
    ) -> Result<Vec<RenderedFile>, ClientError> {
        self.send(Method::POST, &format!("/profiles/{}/render", encode(name)), Some(request)).await
    }

    /// A machine's inventories, newest first.
    pub async fn inventories(&self, key: &str) -> Result<Vec<InventoryRecord>, ClientError> {
        self.list(&machine_path(key, "/inventories")).await
    }

    /// How two inventories of a machine differ; the two newest where left out.
    pub async fn inventory_changes(
        &self,
        key: &str,
        from: Option<i64>,
        to: Option<i64>,
    ) -> Result<Vec<InventoryChange>, ClientError> {
        #[derive(Serialize)]
        struct Between {
            #[serde(skip_serializing_if = "Option::is_none")]
            from: Option<i64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            to: Option<i64>,
        }
        let path = machine_path(key, "/inventories/diff");
        self.list(&format!("{path}{}", query_of(&Between { from, to }))).await
    }

    /// A machine's boot attempts, newest first.
    pub async fn attempts(&self, key: &str) -> Result<Vec<Attempt>, ClientError> {
        self.list(&machine_path(key, "/attempts")).await
    }

    /// One boot attempt with its stages.
    pub async fn attempt(&self, id: i64) -> Result<Attempt, ClientError> {
        self.get(&format!("/attempts/{id}")).await
    }

    /// Events that are stored, oldest first.
    pub async fn events(&self, query: &EventQuery) -> Result<Vec<Event>, ClientError> {
        self.list(&format!("/events{}", query_of(query))).await
    }

    /// Events as they happen, after those that are stored behind `after`. Reconnects by itself.
    pub fn follow(&self, after: Option<i64>, machine: Option<&str>) -> EventStream {
        EventStream::new(self.clone(), after, machine.map(str::to_owned))
    }

    /// Artifacts as they stand.
    pub async fn artifacts(&self) -> Result<Vec<Artifact>, ClientError> {
        self.list("/artifacts").await
    }

    /// One artifact.
    pub async fn artifact(&self, name: &str) -> Result<Artifact, ClientError> {
        self.get(&artifact_path(name)).await
    }

    /// Imports an image under a name: all that `image` gives, `size` bytes where that is known before. The daemon keeps no
    /// bytes of another digest. `progress` is told how many bytes were handed to the daemon.
    pub async fn import(
        &self,
        name: &str,
        image: impl AsyncRead + Send + Unpin + 'static,
        size: Option<u64>,
        digest: ImportQuery,
        progress: impl FnMut(u64) + Send + Unpin + 'static,
    ) -> Result<Artifact, ClientError> {
        let query = query_of(&digest);
        let request = Request::builder()
            .method(Method::PUT)
            .uri(format!("/api/v1{}{query}", artifact_path(name)))
            .header("content-type", "application/octet-stream");
        let upload = Upload::new(image, size, progress);
        let sent = upload.sent();
        let exchanged = async {
            let (answer, connection) = self.send_body(request, upload).await?;
            // An early refusal leaves the rest of the image unsent.
            let _connection = Connection(connection);
            read(answer).await
        };
        let (status, body) = unless_stalled(&sent, exchanged).await?;
        if status.is_success() { parse(&body) } else { Err(refusal(status, &body)) }
    }

    /// Begins to import an image by URL.
    pub async fn download(&self, name: &str, request: &ImportRequest) -> Result<Artifact, ClientError> {
        self.send(Method::PUT, &format!("{}/download", artifact_path(name)), Some(request)).await
    }

    /// Changes an import.
    pub async fn edit_artifact(&self, name: &str, patch: &ArtifactPatch) -> Result<Artifact, ClientError> {
        self.send(Method::PATCH, &artifact_path(name), Some(patch)).await
    }

    /// Deletes an import that is not pinned.
    pub async fn delete_artifact(&self, name: &str) -> Result<(), ClientError> {
        self.call(Method::DELETE, &artifact_path(name), None::<&()>).await.map(drop)
    }

    /// DHCP leases.
    pub async fn leases(&self) -> Result<Vec<Lease>, ClientError> {
        self.list("/leases").await
    }

    /// How the daemon is. A daemon that is failing answers too.
    pub async fn health(&self) -> Result<Health, ClientError> {
        let (status, body) = self.exchange(Method::GET, "/health", None::<&()>).await?;
        match status {
            StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE => parse(&body),
            _ => Err(refusal(status, &body)),
        }
    }

    /// What a machine would get, step by step.
    pub async fn simulate(&self, query: &SimulateQuery) -> Result<Vec<SimulatedStep>, ClientError> {
        self.list(&format!("/simulate{}", query_of(query))).await
    }

    /// The daemon's version.
    pub async fn version(&self) -> Result<Version, ClientError> {
        self.get("/version").await
    }

    /// The OpenAPI document.
    pub async fn openapi(&self) -> Result<serde_json::Value, ClientError> {
        self.get("/openapi.json").await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.send(Method::GET, path, None::<&()>).await
    }

    async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, ClientError> {
        Ok(self.get::<List<T>>(path).await?.into())
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, ClientError> {
        parse(&self.call(method, path, body).await?)
    }

    /// The body of a successful answer.
    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Bytes, ClientError> {
        let (status, body) = self.exchange(method, path, body).await?;
        if status.is_success() { Ok(body) } else { Err(refusal(status, &body)) }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let mut request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        let mut content = Bytes::new();
        if let Some(body) = body {
            content = serde_json::to_vec(body).map_err(|error| protocol("write the request", &error))?.into();
            request = request.header("content-type", "application/json");
        }
        let exchanged = async {
            let answer = self.open(request, content).await?;
            read(answer).await
        };
        tokio::time::timeout(REQUEST_TIME_MAX, exchanged).await.unwrap_or_else(|_| {
            Err(ClientError::Protocol(format!("no answer within {} s", REQUEST_TIME_MAX.as_secs())))
        })
    }

    /// Connects and sends a request; the answer's body is still to be read.
    async fn open(
        &self,
        request: hyper::http::request::Builder,
        content: Bytes,
    ) -> Result<Response<Incoming>, ClientError> {
        // The task ends with the connection: when the answer's body is read or dropped.
        Ok(self.send_body(request, Full::new(content)).await?.0)
    }

    /// Connects and sends a request; the answer's body is still to be read, and comes by the task.
    async fn send_body<B>(
        &self,
        request: hyper::http::request::Builder,
        body: B,
    ) -> Result<(Response<Incoming>, JoinHandle<hyper::Result<()>>), ClientError>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static,
    {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|source| ClientError::NotReachable { socket: self.socket.clone(), source })?;
        let request = request
            .header("host", "ironwake")
            .header("accept", "application/json, application/problem+json, text/event-stream")
            .body(body)
            .map_err(|error| protocol("write the request", &error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| protocol("speak HTTP", &error))?;
        let connection = tokio::spawn(connection);
        let answer = sender.send_request(request).await;
        let answer = answer.map_err(|error| match error.source() {
            Some(source) => protocol(&format!("send the request: {error}"), source),
            None => protocol("send the request", &error),
        })?;
        Ok((answer, connection))
    }
}

/// Which stored events to list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct EventQuery {
    /// Only those with a larger id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<i64>,
    /// Only this machine's, by id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// At most this many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Status and body of an answer.
async fn read(answer: Response<Incoming>) -> Result<(StatusCode, Bytes), ClientError> {
    let status = answer.status();
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|error| ClientError::Protocol(format!("read the answer: {error}")))?;
    Ok((status, body.to_bytes()))
}

fn protocol(what: &str, error: &dyn Error) -> ClientError {
    ClientError::Protocol(format!("{what}: {error}"))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(body).map_err(|error| protocol("read the answer", &error))
}

/// What an unsuccessful answer says: its problem document, or what came instead of one.
fn refusal(status: StatusCode, body: &[u8]) -> ClientError {
    match serde_json::from_slice(body) {
        Ok(problem) => ClientError::Refused(problem),
        Err(_) => {
            let text: String = String::from_utf8_lossy(body).chars().take(SHOWN_CHARS_MAX).collect();
            ClientError::Protocol(format!("the daemon answered {status}: {text}"))
        }
    }
}

fn machine_path(key: &str, rest: &str) -> String {
    format!("/machines/{}{rest}", encode(key))
}

fn artifact_path(name: &str) -> String {
    format!("/artifacts/{}", encode(name))
}

fn operation_path(id: &str, rest: &str) -> String {
    format!("/operations/{}{rest}", encode(id))
}

/// `?a=1&b=2` from the fields of a flat struct, or nothing.
fn query_of(query: &impl Serialize) -> String {
    let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(query) else { return String::new() };
    let pairs: Vec<String> = fields
        .iter()
        .map(|(name, value)| match value {
            serde_json::Value::String(text) => format!("{name}={}", encode(text)),
            other => format!("{name}={}", encode(&other.to_string())),
        })
        .collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

/// Percent-encodes everything but the unreserved characters (RFC 3986, section 2.3).
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte as char),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_types_cannot_change_the_route() {
        assert_eq!(machine_path("52:54:00:12:34:56", ""), "/machines/52%3A54%3A00%3A12%3A34%3A56");
        assert_eq!(machine_path("../x?y#z", "/enroll"), "/machines/..%2Fx%3Fy%23z/enroll");
        let query = MachineQuery { search: Some("a&b=ü".into()), limit: Some(5), ..MachineQuery::default() };
        assert_eq!(query_of(&query), "?limit=5&search=a%26b%3D%C3%BC");
        assert_eq!(query_of(&MachineQuery::default()), "");
    }

    #[test]
    fn a_refusal_without_a_problem_document_is_shown_as_it_came() {
        let shown = refusal(StatusCode::BAD_GATEWAY, b"<html>").to_string();
        assert_eq!(shown, "the daemon answered 502 Bad Gateway: <html>");
    }
}
