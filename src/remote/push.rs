//! Requests to others: one each, without redirects, with limits for everything.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

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

/// Why nothing came back.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The URL cannot be used; it is not repeated, for it may hold a secret.
    #[error("the URL is not one of http or https with a host")]
    Url,
    /// Nobody takes it.
    #[error("connect to {host}: {source}")]
    Connect {
        /// Host and port.
        host: String,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// Whom to trust is not known.
    #[error("read certificates: {0}")]
    Roots(String),
    /// The other side does not speak HTTP to its end.
    #[error("{0}")]
    Http(#[from] hyper::Error),
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
    let uri: Uri = outgoing.url.parse().map_err(|_| SendError::Url)?;
    let host = uri.host().ok_or(SendError::Url)?.to_owned();
    let tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(SendError::Url),
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let failed = |source| SendError::Connect { host: format!("{host}:{port}"), source };
    let stream = TcpStream::connect((bare.as_str(), port)).await.map_err(failed)?;
    if !tls {
        return talk(stream, &uri, outgoing).await;
    }
    let config = client_config(outgoing.ca_file).await?;
    let name = ServerName::try_from(bare).map_err(|_| SendError::Url)?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(failed)?;
    talk(stream, &uri, outgoing).await
}

async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    uri: &Uri,
    outgoing: Outgoing<'_>,
) -> Result<Answer, SendError> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::builder()
        .method(Method::from_bytes(outgoing.method.as_bytes()).map_err(|_| SendError::Url)?)
        .uri(path)
        .header(header::HOST, uri.authority().map_or("", |authority| authority.as_str()))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, concat!("ironwake/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close");
    for (name, value) in outgoing.headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::from(outgoing.body))).map_err(|_| SendError::Url)?;
    let answered = sender.send_request(request).await;
    let answer = match answered {
        Ok(answer) => answer,
        Err(error) => {
            driver.abort();
            return Err(error.into());
        }
    };
    let status = answer.status().as_u16();
    // What is longer, or breaks off, does not matter: the status says what counts.
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
    driver.abort();
    let text = body.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned()).unwrap_or_default();
    let text = text.chars().filter(|c| !c.is_control()).take(SHOWN_CHARS_MAX).collect();
    Ok(Answer { status, text })
}

/// Trusts what the system trusts, which is where an operator installs a CA of their own, and what the file holds.
async fn client_config(ca_file: Option<&Path>) -> Result<ClientConfig, SendError> {
    let ca_file = ca_file.map(Path::to_owned);
    let read = move || {
        let mut roots = RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(system.certs);
        if let Some(path) = ca_file {
            let wrong = |error: String| SendError::Roots(format!("{}: {error}", path.display()));
            let found = CertificateDer::pem_file_iter(&path).map_err(|error| wrong(error.to_string()))?;
            for certificate in found {
                let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
                roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
            }
        }
        if roots.is_empty() {
            let errors: Vec<String> = system.errors.iter().map(ToString::to_string).collect();
            return Err(SendError::Roots(format!("the system has none: {}", errors.join("; "))));
        }
        Ok(roots)
    };
    let roots =
        tokio::task::spawn_blocking(read).await.map_err(|error| SendError::Roots(error.to_string()))??;
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| SendError::Roots(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
