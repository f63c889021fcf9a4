//! The client of the operators' API on the Unix socket or over HTTPS: one typed method for each route.
//!
//! Every request has a connection of its own: on a Unix socket that costs microseconds, over HTTPS a handshake
//! of a millisecond or two, and nothing has to be kept alive or cleaned up.

mod backup;
mod bulk;
mod calls;
mod follow;
mod install;
mod builds;
mod logins;
mod place;
mod remote;
mod setup;
mod shell;
mod sse;
mod ssh_keys;
mod system;
mod upload;
mod webhooks;

use std::error::Error;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use std::{fmt, io};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::HeaderValue;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use crate::Problem;

pub use crate::EventQuery;
pub use follow::{EventStream, Signal};
pub use logins::Shown;
pub use place::PlaceError;
pub use remote::{Remote, RemoteError};
pub use shell::{ShellReader, ShellWriter};

/// From connecting to the last byte of an answer: an answer takes milliseconds, a hung daemon for ever.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);
/// The same for what is saved for up to a thousand machines, one after the other, on a slow USB stick.
const MANY_TIME_MAX: Duration = Duration::from_secs(600);
/// What concerns many machines at once.
const MANY_PATHS: [&str; 2] = [bulk::BULK, bulk::BATCHES];
/// Largest answer: a thousand machines with notes are a few megabytes.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// What of an answer that is not understood is shown.
const SHOWN_CHARS_MAX: usize = 200;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing answers there, or the socket may not be opened.
    #[error("connect to {place}")]
    NotReachable {
        /// Where.
        place: Place,
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

/// Where a daemon is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On a Unix socket of this host.
    Socket(PathBuf),
    /// At an `https://` URL.
    Url(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => path.display().fmt(f),
            Self::Url(url) => f.write_str(url),
        }
    }
}

/// A client of one daemon. Cheap to clone; holds no connection. Clones are in the same session, if any.
#[derive(Debug, Clone)]
pub struct Client {
    way: Way,
    /// What is shown where people log in: the header `Authorization`, which `Debug` does not write.
    session: Arc<RwLock<Option<HeaderValue>>>,
}

#[derive(Debug, Clone)]
enum Way {
    Socket(PathBuf),
    Remote(Arc<Remote>),
}

/// A connection of either kind.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Client {
    /// A client of the daemon that listens on `socket`.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { way: Way::Socket(socket.into()), session: Arc::default() }
    }

    /// A client of a daemon over HTTPS.
    pub fn remote(remote: Remote) -> Self {
        Self { way: Way::Remote(Arc::new(remote)), session: Arc::default() }
    }

    /// Where it asks.
    pub fn place(&self) -> Place {
        match &self.way {
            Way::Socket(path) => Place::Socket(path.clone()),
            Way::Remote(remote) => Place::Url(remote.url()),
        }
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, ClientError> {
        let connected: io::Result<Box<dyn Stream>> = match &self.way {
            Way::Socket(path) => UnixStream::connect(path).await.map(|stream| Box::new(stream) as _),
            Way::Remote(remote) => remote.connect().await.map(|stream| Box::new(stream) as _),
        };
        connected.map_err(|source| ClientError::NotReachable { place: self.place(), source })
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
        let most = if MANY_PATHS.contains(&path) { MANY_TIME_MAX } else { REQUEST_TIME_MAX };
        tokio::time::timeout(most, exchanged)
            .await
            .unwrap_or_else(|_| Err(ClientError::Protocol(format!("no answer within {} s", most.as_secs()))))
    }

    /// With what says who is asked, and who asks.
    fn introduced(&self, request: hyper::http::request::Builder) -> hyper::http::request::Builder {
        match &self.way {
            Way::Socket(_) => {
                let request = request.header("host", "ironwake");
                match self.session.read().unwrap_or_else(PoisonError::into_inner).clone() {
                    Some(session) => request.header("authorization", session),
                    None => request,
                }
            }
            Way::Remote(remote) => {
                request.header("host", remote.authority()).header("authorization", remote.credentials())
            }
        }
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
        let stream = self.connect().await?;
        let request = self
            .introduced(request)
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
    use super::calls::machine_path;
    use super::*;
    use crate::MachineQuery;

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
