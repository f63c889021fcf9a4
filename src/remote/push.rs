//! Requests to others: one each, without redirects, with limits for everything.

use std::path::Path;
use std::time::Duration;

use reqwest::header::{self, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Method, Response, Url};

use super::http::{builder, chain, trusting};

/// How long all of one request may take: a receiver that is slower keeps the events behind it waiting.
pub const REQUEST_MAX: Duration = Duration::from_secs(20);
/// Of an answer this much is read, so that the other side may say why.
const ANSWER_BYTES_MAX: usize = 4 << 10;
/// Of that, this much is shown.
const SHOWN_CHARS_MAX: usize = 200;

/// What is sent.
#[derive(Clone)]
pub struct Outgoing<'a> {
    /// `POST`, `PUT` or `PATCH`.
    pub method: &'a str,
    /// `http://` or `https://`.
    pub url: &'a str,
    /// Beside `Host`, `Content-Type` and `User-Agent`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// JSON.
    pub body: Vec<u8>,
    /// A file with certificates that are trusted beside the system's.
    pub ca_file: Option<&'a Path>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// 100 to 999.
    pub status: u16,
    /// The beginning of the body, without what would spoil a screen.
    pub text: String,
}

/// Why nothing came back. No text has more of the URL than its host: parts of it may be secret.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The URL cannot be used.
    #[error("the URL is not one of http or https with a host")]
    Url,
    /// Nobody takes it.
    #[error("connect to {host}: {why}")]
    Connect {
        /// Host and port.
        host: String,
        /// What went wrong.
        why: String,
    },
    /// Whom to trust is not known.
    #[error("read certificates: {0}")]
    Roots(String),
    /// The other side does not speak HTTP to its end.
    #[error("{0}")]
    Http(String),
    /// It took too long.
    #[error("no whole answer within {} s", REQUEST_MAX.as_secs())]
    Late,
}

/// Sends, and waits for the answer.
pub async fn send(outgoing: Outgoing<'_>) -> Result<Answer, SendError> {
    tokio::time::timeout(REQUEST_MAX, exchange(outgoing)).await.unwrap_or(Err(SendError::Late))
}

/// Scheme and host of a URL or of a template of one, which may be shown.
pub fn origin(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return String::new() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    format!("{scheme}://{}", authority.rsplit('@').next().unwrap_or_default())
}

async fn exchange(outgoing: Outgoing<'_>) -> Result<Answer, SendError> {
    let url: Url = outgoing.url.parse().map_err(|_| SendError::Url)?;
    let host = match (url.scheme(), url.host_str(), url.port_or_known_default()) {
        ("http" | "https", Some(host), Some(port)) => format!("{host}:{port}"),
        _ => return Err(SendError::Url),
    };
    let method = Method::from_bytes(outgoing.method.as_bytes()).map_err(|_| SendError::Url)?;
    let client = client(outgoing.ca_file).await?;
    let request = client
        .request(method, url)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONNECTION, "close")
        .headers(outgoing.headers.into_iter().collect())
        .body(outgoing.body);
    let answer = request.send().await.map_err(|error| {
        let connects = error.is_connect();
        let why = chain(&error.without_url());
        if connects { SendError::Connect { host, why } } else { SendError::Http(why) }
    })?;
    let status = answer.status().as_u16();
    let text = beginning(answer).await;
    let text = text.chars().filter(|c| !c.is_control()).take(SHOWN_CHARS_MAX).collect();
    Ok(Answer { status, text })
}

/// What is longer, or breaks off, does not matter: the status says what counts.
async fn beginning(mut answer: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < ANSWER_BYTES_MAX
        && let Ok(Some(piece)) = answer.chunk().await
    {
        bytes.extend_from_slice(&piece);
    }
    bytes.truncate(ANSWER_BYTES_MAX);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Asks nobody but who is named: no redirect, no proxy. Trusts what the system trusts, which is where an operator installs a
/// CA of their own, and what the file holds.
async fn client(ca_file: Option<&Path>) -> Result<Client, SendError> {
    let ca_file = ca_file.map(Path::to_owned);
    let made = move || {
        let mut own = Vec::new();
        if let Some(path) = ca_file {
            let wrong = |why: String| SendError::Roots(format!("{}: {why}", path.display()));
            let text = std::fs::read(&path).map_err(|error| wrong(error.to_string()))?;
            own = Certificate::from_pem_bundle(&text).map_err(|error| wrong(chain(&error)))?;
            if own.is_empty() {
                return Err(wrong("it holds no certificate".into()));
            }
        }
        let made = trusting(|| builder().redirect(Policy::none()).no_proxy().pool_max_idle_per_host(0), &own);
        made.map_err(|error| SendError::Roots(chain(&error)))
    };
    // The system's certificates are read from its disk.
    tokio::task::spawn_blocking(made).await.map_err(|error| SendError::Roots(error.to_string()))?
}
