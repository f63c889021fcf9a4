//! SSH to a host that was just installed: its key is one that it reported, and ours is of one operation.
//!
//! A script is fed to a shell's input, so neither the host's disk nor its process list ever holds it. The shell is
//! the leader of a process group of its own, which is ended as a whole when the script takes too long.

mod key;
mod output;
mod run;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russh::client::{self, AuthResult, Handle};
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{Disconnect, Preferred};

pub use key::{LoginKey, SEED_BYTES};
pub use output::OUTPUT_BYTES_MAX;
pub use run::{End, Ran, Script};

/// How long it may take to connect, agree on keys and log in: a host that has just booted is slow.
const CONNECT_MAX: Duration = Duration::from_secs(20);
/// A host that says nothing is asked whether it is there, and given up after so many questions.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVES_MAX: usize = 4;

/// What host keys may be, the best first. RSA is not among them: every SSH server of the last ten years has another.
const HOST_KEYS: &[Algorithm] = &[
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
];

/// Why a host is not reached, or does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// There is nothing to recognise the host by.
    #[error(
        "the host reported no Ed25519 or ECDSA key when it phoned home, so nothing would tell it from another one"
    )]
    NoHostKey,
    /// Another host answers, or somebody in between.
    #[error("{address} shows the host key {shown}, and {reported} was reported when the host phoned home")]
    OtherHost {
        /// Where.
        address: SocketAddr,
        /// Fingerprint of the key that was shown.
        shown: String,
        /// Fingerprints of those that were reported.
        reported: String,
    },
    /// Nobody answers there, or not as an SSH server does.
    #[error("connect to {address}: {why}")]
    Connect {
        /// Where.
        address: SocketAddr,
        /// What went wrong.
        why: String,
    },
    /// The operation's key opens nothing there.
    #[error("{address} refuses the operation's key for user {user}")]
    Login {
        /// Where.
        address: SocketAddr,
        /// As whom.
        user: String,
    },
    /// The connection broke while something ran.
    #[error("the connection to {address} broke: {why}")]
    Broken {
        /// Where.
        address: SocketAddr,
        /// What went wrong.
        why: String,
    },
}

impl SshError {
    /// Whether the same may work in a while: a host that boots refuses and is silent at first.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::NoHostKey | Self::OtherHost { .. } => false,
            Self::Connect { .. } | Self::Login { .. } | Self::Broken { .. } => true,
        }
    }
}

/// Where to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The SSH server.
    pub address: SocketAddr,
    /// As whom.
    pub user: String,
    /// The host's public keys as it reported them, in the format of OpenSSH.
    pub host_keys: Vec<String>,
}

/// A login.
pub struct Session {
    handle: Handle<Pinned>,
    address: SocketAddr,
}

/// Takes the reported host keys and no other.
struct Pinned {
    reported: Vec<PublicKey>,
    /// The fingerprint of one that was refused.
    refused: Arc<Mutex<Option<String>>>,
}

impl client::Handler for Pinned {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let key = match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => key.key_data(),
            // None is asked for: nobody vouches for a host but itself.
            PublicKeyOrCertificate::Certificate(certificate) => certificate.public_key(),
        };
        if self.reported.iter().any(|reported| reported.key_data() == key) {
            return Ok(true);
        }
        *self.refused.lock().expect("no panic while held") =
            Some(key.fingerprint(HashAlg::Sha256).to_string());
        Ok(false)
    }
}

impl Session {
    /// Connects and logs in.
    pub async fn open(target: &Target, key: &LoginKey) -> Result<Self, SshError> {
        let reported: Vec<PublicKey> = target
            .host_keys
            .iter()
            .filter_map(|line| line.parse::<PublicKey>().ok())
            .filter(|key| HOST_KEYS.contains(&key.algorithm()))
            .collect();
        if reported.is_empty() {
            return Err(SshError::NoHostKey);
        }
        let opening = Self::login(target, key, reported);
        match tokio::time::timeout(CONNECT_MAX, opening).await {
            Ok(opened) => opened,
            Err(_) => Err(SshError::Connect {
                address: target.address,
                why: format!("no answer within {} s", CONNECT_MAX.as_secs()),
            }),
        }
    }

    async fn login(target: &Target, key: &LoginKey, reported: Vec<PublicKey>) -> Result<Self, SshError> {
        let address = target.address;
        let fingerprints: Vec<String> =
            reported.iter().map(|key| key.fingerprint(HashAlg::Sha256).to_string()).collect();
        let refused = Arc::new(Mutex::new(None));
        let config = client::Config {
            preferred: Preferred { key: Cow::Owned(preferred(&reported)), ..Preferred::DEFAULT },
            keepalive_interval: Some(KEEPALIVE),
            keepalive_max: KEEPALIVES_MAX,
            nodelay: true,
            ..client::Config::default()
        };
        let pinned = Pinned { reported, refused: refused.clone() };
        let connected = client::connect(Arc::new(config), address, pinned).await;
        let mut handle =
            connected.map_err(|error| match refused.lock().expect("no panic while held").take() {
                Some(shown) => SshError::OtherHost { address, shown, reported: fingerprints.join(" or ") },
                None => SshError::Connect { address, why: error.to_string() },
            })?;
        let key = PrivateKeyWithHashAlg::new(key.private(), None);
        let authenticated = handle.authenticate_publickey(&target.user, key).await;
        match authenticated.map_err(|error| SshError::Connect { address, why: error.to_string() })? {
            AuthResult::Success => Ok(Self { handle, address }),
            AuthResult::Failure { .. } => Err(SshError::Login { address, user: target.user.clone() }),
        }
    }

    /// Says goodbye; a host that does not hear it finds out by itself.
    pub async fn close(self) {
        let _ = self.handle.disconnect(Disconnect::ByApplication, "done", "").await;
    }

    fn broken(&self, error: impl std::fmt::Display) -> SshError {
        SshError::Broken { address: self.address, why: error.to_string() }
    }
}

/// Kinds of the reported keys before the others: a server shows one of the first kind that it has, and one that
/// has none of the reported kinds still shows something to be refused by name.
fn preferred(reported: &[PublicKey]) -> Vec<Algorithm> {
    let is_reported = |kind: &&Algorithm| reported.iter().any(|key| key.algorithm() == **kind);
    let (first, rest): (Vec<_>, Vec<_>) = HOST_KEYS.iter().partition(is_reported);
    first.into_iter().chain(rest).cloned().collect()
}
