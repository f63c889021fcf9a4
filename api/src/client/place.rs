//! A client of a daemon on another host, from what a command was told: URL, authority, token.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use super::{Client, Remote, RemoteError};

/// Holds the token. It is never an argument: every user of a host sees those.
const TOKEN_VARIABLE: &str = "IRONWAKE_TOKEN";
/// Where hosts keep the authorities that they trust: Debian, then Fedora, then what both link to.
const BUNDLES: &[&str] =
    &["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
/// A token and a line end.
const TOKEN_BYTES_MAX: u64 = 4096;

/// Why what was told makes no client.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The authority cannot be read.
    #[error("read {path}", path = .path.display())]
    Authority {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The token cannot be read.
    #[error("read the token {path}", path = .path.display())]
    Token {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file that is no token's.
    #[error("the token {path} is larger than {TOKEN_BYTES_MAX} bytes: it should hold one line", path = .0.display())]
    TokenTooLarge(PathBuf),
    /// There is none.
    #[error("--url needs a token: name a file with --token-file, or set {TOKEN_VARIABLE}")]
    NoToken(#[source] env::VarError),
    /// URL or authority are of no use.
    #[error(transparent)]
    Remote(#[from] RemoteError),
}

impl Client {
    /// A client of the daemon at `url`, which is checked by the authority in `ca`, or by those that this host trusts; the
    /// token is in a file, or in the environment.
    pub fn at(url: &str, ca: Option<&Path>, token_file: Option<&Path>) -> Result<Self, PlaceError> {
        let roots = match ca {
            Some(path) => {
                fs::read(path).map_err(|source| PlaceError::Authority { path: path.to_owned(), source })?
            }
            None => BUNDLES.iter().find_map(|file| fs::read(file).ok()).unwrap_or_default(),
        };
        let token = match token_file {
            Some(file) => read_token(file)?,
            None => env::var(TOKEN_VARIABLE).map_err(PlaceError::NoToken)?,
        };
        Ok(Self::remote(Remote::new(url, &roots, token.trim())?))
    }
}

fn read_token(file: &Path) -> Result<String, PlaceError> {
    let error = |source| PlaceError::Token { path: file.to_owned(), source };
    if fs::metadata(file).map_err(error)?.len() > TOKEN_BYTES_MAX {
        return Err(PlaceError::TokenTooLarge(file.to_owned()));
    }
    fs::read_to_string(file).map_err(error)
}
