//! Certificates of the operators' API: the appliance's own authority, what it issues, and pairs that an operator
//! gives.
//!
//! A [`Keeper`] holds what is served. It looks again whenever it is told to, and keeps what it has when what it
//! finds cannot be used.

mod authority;
mod names;
mod pair;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::SystemTime;

use rustls::ServerConfig;

pub use authority::Authority;
use pair::Pair;

use crate::private::PrivateError;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The authority's file.
    #[error("the authority: {0}")]
    Private(#[from] PrivateError),
    /// The authority cannot be used.
    #[error(
        "the authority {}: {why}; restore it, or delete it to have another made, which every client has to be given",
        path.display()
    )]
    Authority {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A certificate cannot be issued.
    #[error("issue a certificate: {0}")]
    Issue(String),
    /// A file that an operator gave cannot be read.
    #[error("read {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why. Part of the message, which is shown as a whole.
        source: io::Error,
    },
    /// What an operator gave cannot be used.
    #[error("{}: {why}", path.display())]
    Given {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        why: String,
    },
}

/// Where the certificate comes from.
pub enum Source {
    /// Issued by the appliance's own authority, for this host's names and addresses and further ones.
    Own {
        /// Who signs.
        authority: Arc<Authority>,
        /// Names and addresses that this host does not know of itself.
        names: Vec<String>,
    },
    /// Two files in PEM.
    Given {
        /// The certificate, and those that lead from it to an authority.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
}

/// What clients see of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// SHA-256 of the certificate, bytes in hexadecimal with colons between.
    pub fingerprint: String,
    /// Until when it is good.
    pub expires_at: SystemTime,
}

/// The certificate that is served.
pub struct Keeper {
    source: Source,
    current: RwLock<Option<Arc<Pair>>>,
}

impl Keeper {
    /// Serves none until it has looked.
    pub fn new(source: Source) -> Self {
        Self { source, current: RwLock::default() }
    }

    /// What connections are to be served with, if there is any.
    pub fn config(&self) -> Option<Arc<ServerConfig>> {
        self.current().map(|pair| pair.config.clone())
    }

    /// The certificate that is served.
    pub fn shown(&self) -> Option<Shown> {
        self.current().map(|pair| pair.shown.clone())
    }

    /// Takes up what is to be served at `now`: whether it is another one. After an error the one before is served
    /// on.
    pub fn look(&self, now: SystemTime) -> Result<bool, CertificateError> {
        let before = self.current();
        let next = match &self.source {
            Source::Own { authority, names } => pair::own(authority, names, before.as_deref(), now)?,
            Source::Given { certificate, key } => pair::given(certificate, key, before.as_deref(), now)?,
        };
        let Some(next) = next else { return Ok(false) };
        *self.current.write().expect("no panic while held") = Some(Arc::new(next));
        Ok(true)
    }

    fn current(&self) -> Option<Arc<Pair>> {
        self.current.read().expect("no panic while held").clone()
    }
}

/// SHA-256 as people compare it.
fn fingerprint(der: &[u8]) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(der);
    digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests;
