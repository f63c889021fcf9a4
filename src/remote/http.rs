//! HTTP and HTTPS: one client, with the limits that hold wherever the program asks others.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Certificate, Client, ClientBuilder, Response};

use super::reach::{Reach, TooNear};

/// How long a connection may take to be made.
const CONNECT_MAX: Duration = Duration::from_secs(20);
/// How long nothing may come.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Mirrors redirect once or twice; more is a circle.
const REDIRECTS_MAX: usize = 8;

/// Why a request has no answer, or not all of it. No text names the URL: parts of it may be secret.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Nothing but a change of something makes it work: a certificate that is not trusted, redirects in a circle.
    #[error("{0}")]
    Lasting(String),
    /// Another try may help.
    #[error("{0}")]
    Passing(String),
}

/// Asks other servers. Trusts what the host's store of certificates trusts; goes through the proxy that the
/// environment names (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`).
#[derive(Debug, Clone)]
pub struct HttpClient(Client);

impl HttpClient {
    /// A client without connections, for somebody who gave these URLs: hosts near this one are asked only if one of
    /// them names it.
    pub fn new(own_urls: &[&str]) -> Result<Self, HttpError> {
        let reach = Reach::of(own_urls);
        let near = || {
            let redirects = reach.clone();
            builder()
                .read_timeout(SILENCE_MAX)
                .redirect(Policy::custom(move |attempt| redirect(attempt, &redirects)))
                .dns_resolver(reach.clone())
        };
        Ok(Self(trusting(near, &[]).map_err(|error| HttpError::Lasting(chain(&error)))?))
    }

    /// Asks for what is at a URL, with further headers.
    pub async fn get(&self, url: &str, headers: &[(&'static str, String)]) -> Result<Answer, HttpError> {
        let mut request = self.0.get(url);
        for (name, value) in headers {
            let value = HeaderValue::from_str(value)
                .map_err(|_| HttpError::Lasting(format!("{name}: {value:?} cannot be sent")))?;
            request = request.header(HeaderName::from_static(name), value);
        }
        Ok(Answer(request.send().await.map_err(failed)?))
    }

    /// A small text, such as a list of checksums: at most `bytes_max`.
    pub async fn text(&self, url: &str, bytes_max: usize) -> Result<Vec<u8>, HttpError> {
        let mut answer = self.get(url, &[]).await?;
        match answer.status() {
            200 => {}
            status @ (408 | 429 | 500..) => {
                return Err(HttpError::Passing(format!("the server answered {status}")));
            }
            status => return Err(HttpError::Lasting(format!("the server answered {status}"))),
        }
        let mut text = Vec::new();
        while let Some(piece) = answer.next().await? {
            text.extend_from_slice(&piece);
            if text.len() > bytes_max {
                return Err(HttpError::Lasting(format!("it is larger than {bytes_max} bytes")));
            }
        }
        Ok(text)
    }
}

/// What holds for whatever is asked of others.
pub(super) fn builder() -> ClientBuilder {
    // A second one is refused, and the first does.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .user_agent(concat!("ironwake/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_MAX)
        .referer(false)
}

/// A client that trusts whom the host trusts, and these. A host that trusts nobody can still ask over HTTP, and those that
/// `own` has signed: everything else then fails with its own words.
pub(super) fn trusting(
    builder: impl Fn() -> ClientBuilder,
    own: &[Certificate],
) -> Result<Client, reqwest::Error> {
    let merged = builder().tls_certs_merge(own.iter().cloned()).build();
    merged.or_else(|_| builder().tls_certs_only(own.iter().cloned()).build())
}

/// The head of an answer, and its body as it comes.
#[derive(Debug)]
pub struct Answer(Response);

impl Answer {
    /// Its status.
    pub fn status(&self) -> u16 {
        self.0.status().as_u16()
    }

    /// A header that is text.
    pub fn header(&self, name: &str) -> Option<String> {
        self.0.headers().get(name)?.to_str().ok().map(str::to_owned)
    }

    /// The next bytes of the body; `None` at its end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, HttpError> {
        self.0.chunk().await.map_err(failed)
    }
}

/// Follows a few, and none from HTTPS to HTTP: whoever asked for the one would get the other. None leads too near.
fn redirect(attempt: Attempt<'_>, reach: &Reach) -> reqwest::redirect::Action {
    let secure = attempt.previous().iter().any(|url| url.scheme() == "https");
    if attempt.previous().len() > REDIRECTS_MAX {
        attempt.error(format!("more than {REDIRECTS_MAX} redirects"))
    } else if secure && attempt.url().scheme() != "https" {
        attempt.error("it redirects from https to http: ask for the http URL if that is meant")
    } else if let Err(near) = reach.check(attempt.url()) {
        attempt.error(near)
    } else {
        attempt.follow()
    }
}

fn failed(error: reqwest::Error) -> HttpError {
    let lasting = error.is_redirect() || error.is_builder();
    let error = error.without_url();
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(near) = inner.downcast_ref::<TooNear>() {
            return HttpError::Lasting(near.to_string());
        }
        cause = inner.source();
    }
    let text = chain(&error);
    if text.contains("certificate") {
        let remedy = "a certificate authority of your own belongs into the host's store of trusted ones";
        return HttpError::Lasting(format!("{text}; {remedy}"));
    }
    if lasting { HttpError::Lasting(text) } else { HttpError::Passing(text) }
}

/// What an error and its causes say. The outermost words of the client are the same for all.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut texts = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        cause = error.source();
    }
    if texts.is_empty() { error.to_string() } else { texts.join(": ") }
}
