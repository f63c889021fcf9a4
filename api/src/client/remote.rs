//! A daemon over HTTPS: its certificate is checked, and the client shows a token.

use std::fmt;
use std::io;
use std::sync::Arc;

use hyper::Uri;
use hyper::header::HeaderValue;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// RFC 9110, section 4.2.2.
const PORT_DEFAULT: u16 = 443;

/// Where a daemon is, whom it is believed by, and what it is shown.
pub struct Remote {
    host: String,
    port: u16,
    /// As URLs and the header `Host` write it.
    authority: String,
    name: ServerName<'static>,
    /// The header `Authorization`.
    credentials: HeaderValue,
    connector: TlsConnector,
}

/// Why there is no client of a daemon over HTTPS.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The URL cannot be used.
    #[error("{url:?} is not the URL of a daemon: {why}; such as https://boot.example.org:8443")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The certificates cannot be used.
    #[error("the certificates that the daemon is checked by: {0}")]
    Certificates(String),
    /// The token cannot be used; it is not shown.
    #[error("the token is not one: `ironwake token add NAME` makes one, a line of letters, digits and `_`")]
    Token,
}

impl Remote {
    /// A daemon at `url`, whose certificate one of the authorities in `roots` (PEM) has signed, shown `token`.
    pub fn new(url: &str, roots: &[u8], token: &str) -> Result<Self, RemoteError> {
        let wrong = |why| RemoteError::Url { url: url.to_owned(), why };
        let uri: Uri = url.parse().map_err(|_| wrong("it cannot be read"))?;
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") => return Err(wrong("the API is never plain HTTP")),
            _ => return Err(wrong("it does not begin with https://")),
        }
        if uri.path() != "/" || uri.query().is_some() {
            return Err(wrong("a host and a port are all that it has"));
        }
        let authority = uri.authority().ok_or_else(|| wrong("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("it has a user"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host.clone()).map_err(|_| wrong("its host is no name or address"))?;
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if token.is_empty() || !token.bytes().all(legal) {
            return Err(RemoteError::Token);
        }
        let mut credentials =
            HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| RemoteError::Token)?;
        credentials.set_sensitive(true);
        Ok(Self {
            port: authority.port_u16().unwrap_or(PORT_DEFAULT),
            authority: authority.as_str().to_owned(),
            host,
            name,
            credentials,
            connector: TlsConnector::from(Arc::new(client_config(roots)?)),
        })
    }

    /// `https://host:port`
    pub fn url(&self) -> String {
        format!("https://{}", self.authority)
    }

    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    pub(super) fn credentials(&self) -> HeaderValue {
        self.credentials.clone()
    }

    pub(super) async fn connect(&self) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        self.connector.connect(self.name.clone(), stream).await
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remote({})", self.url())
    }
}

fn client_config(roots: &[u8]) -> Result<ClientConfig, RemoteError> {
    let wrong = |why: String| RemoteError::Certificates(why);
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(roots) {
        let certificate = certificate.map_err(|error| wrong(format!("read PEM: {error}")))?;
        // A host's bundle may hold some that rustls does not take; the others count.
        let _ = store.add(certificate);
    }
    if store.is_empty() {
        return Err(wrong("there is none; `ironwake ca show` on the appliance prints its own".into()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| wrong(error.to_string()))?;
    Ok(config.with_root_certificates(store).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, token: &str, expected: &str) {
        let error = Remote::new(url, b"", token).expect_err("there are no certificates");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn what_cannot_be_asked_is_said_before_anything_is_sent() {
        check("http://host:8443", "t", "never plain HTTP");
        check("host:8443", "t", "does not begin with https://");
        check("https://host/api", "t", "a host and a port");
        check("https://anna@host", "t", "it has a user");
        check("https://host", "", "the token is not one");
        check("https://host", "hunter2\r\nx: y", "the token is not one");
        check("https://[::1]:8443", "t", "there is none; `ironwake ca show`");
    }
}
